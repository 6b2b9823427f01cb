"""Time convolution, pooling and recurrent layers beside torch, in one process: `python -m comparisons.bench`.

Then one step of the three-layer ConvNet with its peak memory, and a figure: the cost of a convolution against batch
size, channels and image size.

Times are in milliseconds for a forward and a backward pass, medians over `--repeats` rounds, in each of which every
method runs once, so that a busy machine slows all of them alike. BLAS and torch run on one thread.
"""

import argparse
import os

# Read when NumPy and torch load their libraries, hence before the imports.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("OPENBLAS_CORETYPE", None)  # kernels for another processor than this one would be measured

import platform
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from threadpoolctl import threadpool_info

from from_scratch import convolution, fast_layers, recurrent
from from_scratch.classifiers.cnn import ThreeLayerConvNet
from tutorials.common import plots

# name: shape of x, shape of w, stride, pad. The notebook's and the three-layer ConvNet's at batch 50.
CONVOLUTIONS = {
    "conv 3x3/2, 100x3x31x31 -> 25": ((100, 3, 31, 31), (25, 3, 3, 3), 2, 1),
    "conv 7x7, 50x3x32x32 -> 32": ((50, 3, 32, 32), (32, 3, 7, 7), 1, 3),
}
POOLINGS = {
    "max pool 2x2, 100x3x32x32": ((100, 3, 32, 32), 2, 2),
    "max pool 3x3/2, 100x3x32x32": ((100, 3, 32, 32), 3, 2),
}
# N, T, D, H of a captioner's sequences: the notebook's overfitting, and the captioning study.
SEQUENCES = {"25x16x256 -> 512": (25, 16, 256, 512), "100x16x256 -> 256": (100, 16, 256, 256)}
# One size varies, the others stay: batch, channels and filters, image side. The filters are 3x3 and keep the size.
COSTS = {"batch": (8, 16, 32, 64, 128), "channels": (4, 8, 16, 32, 64), "image": (8, 16, 32, 48, 64)}
UNITS = {"batch": "batch (images)", "channels": "channels", "image": "side of the image (pixels)"}
COMMON = {"batch": 32, "channels": 16, "image": 32}
Pass = tuple[Callable, Callable]  # forward() -> (out, cache), backward(dout, cache)


def conv_methods(dtype: type, x_shape: tuple, w_shape: tuple, stride: int, pad: int) -> dict[str, Pass]:
    """Forward and backward of every convolution on the same random arrays."""
    rng = np.random.default_rng(231)
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape, w_shape[:1]))
    param = {"stride": stride, "pad": pad}
    methods = {
        name: (
            partial(getattr(fast_layers, f"conv_forward_{name}"), x, w, b, param),
            getattr(fast_layers, f"conv_backward_{name}"),
        )
        for name in ("im2col", "strides", "fast")
    }
    methods["naive"] = (lambda: convolution.conv_forward_naive(x[:1], w, b, param), convolution.conv_backward_naive)
    leaves = [torch.tensor(v, requires_grad=True) for v in (x, w, b)]
    return methods | {
        "torch": torch_pass(lambda: torch.nn.functional.conv2d(*leaves, stride=stride, padding=pad), leaves)
    }


def pool_methods(dtype: type, x_shape: tuple, size: int, stride: int) -> dict[str, Pass]:
    """Forward and backward of every pooling on the same random array."""
    x = np.random.default_rng(231).standard_normal(x_shape).astype(dtype)
    param = {"pool_height": size, "pool_width": size, "stride": stride}
    leaf = torch.tensor(x, requires_grad=True)
    return {
        "im2col": (lambda: fast_layers.max_pool_forward_im2col(x, param), fast_layers.max_pool_backward_im2col),
        "fast": (lambda: fast_layers.max_pool_forward_fast(x, param), fast_layers.max_pool_backward_fast),
        "naive": (lambda: convolution.max_pool_forward_naive(x[:1], param), convolution.max_pool_backward_naive),
        "torch": torch_pass(lambda: torch.nn.functional.max_pool2d(leaf, size, stride), [leaf]),
    }


def sequence_methods(dtype: type, kind: str, N: int, T: int, D: int, H: int) -> dict[str, Pass]:
    """Forward and backward of `rnn_*` or `lstm_*` over whole sequences, of the loop over steps, and of torch."""
    rng, blocks = np.random.default_rng(231), 4 if kind == "lstm" else 1
    shapes = ((N, T, D), (N, H), (D, blocks * H), (H, blocks * H), (blocks * H,))
    x, h0, Wx, Wh, b = (0.1 * rng.standard_normal(shape).astype(dtype) for shape in shapes)
    net = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM}[kind](D, H, batch_first=True).to(torch.from_numpy(x).dtype)
    inputs, state = (torch.tensor(v, requires_grad=True) for v in (x, h0[None]))
    start = (state, torch.zeros_like(state)) if kind == "lstm" else state
    arrays = x, h0, Wx, Wh, b
    return {
        "loop": (
            partial(getattr(recurrent, f"{kind}_forward_naive"), *arrays),
            getattr(recurrent, f"{kind}_backward_naive"),
        ),
        "fast": (partial(getattr(recurrent, f"{kind}_forward"), *arrays), getattr(recurrent, f"{kind}_backward")),
        "torch": torch_pass(lambda: net(inputs, start)[0], [inputs, state, *net.parameters()]),
    }


def torch_pass(forward: Callable, leaves: list[torch.Tensor]) -> Pass:
    """torch's layer in the same two steps, with autograd's graph as the cache."""

    def run() -> tuple:
        out = forward()
        return out, out

    return run, lambda dout, out: torch.autograd.grad(out, leaves, torch.from_numpy(dout))


def measure(methods: dict[str, Pass], repeats: int) -> dict[str, np.ndarray]:
    """Milliseconds (repeats, 2) forward and backward of each method; the naive one runs once, on one image, times N."""
    shape = tuple(methods["torch"][0]()[0].shape)
    out, _ = methods["fast"][0]()
    dout = np.random.default_rng(0).standard_normal(shape).astype(out.dtype)
    once = {"naive": shape[0] * timed(methods["naive"], dout[:1])[None]} if "naive" in methods else {}
    quick = {name: passes for name, passes in methods.items() if name != "naive"}
    for passes in quick.values():
        timed(passes, dout)  # the first call pays for pages and plans
    rounds = [{name: timed(passes, dout) for name, passes in quick.items()} for _ in range(repeats)]
    return once | {name: np.array([r[name] for r in rounds]) for name in quick}


def timed(passes: Pass, dout: np.ndarray) -> np.ndarray:
    """Milliseconds of one forward and of one backward."""
    forward, backward = passes
    start = time.perf_counter()
    _, cache = forward()
    middle = time.perf_counter()
    backward(dout, cache)
    return 1e3 * np.array([middle - start, time.perf_counter() - middle])


def table(repeats: int) -> str:
    """The whole bench as text."""
    lines = []
    cases = [(name, conv_methods, args) for name, args in CONVOLUTIONS.items()]
    cases += [(name, pool_methods, args) for name, args in POOLINGS.items()]
    cases += [(f"{kind}, {name}", sequence_methods, (kind, *sizes))
              for kind in ("rnn", "lstm") for name, sizes in SEQUENCES.items()]  # fmt: skip
    for name, methods, args in cases:
        for dtype in (np.float64, np.float32):
            times = measure(methods(dtype, *args), repeats)
            total = {method: np.median(t.sum(axis=1)) for method, t in times.items()}
            lines += [
                "",
                f"{name}, {dtype.__name__}",
                f"{'':8}{'forward':>9}{'backward':>10}{'both':>9}{'quartiles':>18}",
            ]
            lines[-1] += f"{'x naive':>11}{'x torch':>9}"
            for method in ("naive", "loop", "im2col", "strides", "fast", "torch"):
                if method in times:
                    low, high = np.percentile(times[method].sum(axis=1), (25, 75))
                    forward, backward = np.median(times[method], axis=0)
                    spread = f"{low:.2f} - {high:.2f}" if method != "naive" else "1 image x N"
                    naive = f"{total[method] / total['naive']:11.5f}" if "naive" in total else f"{'-':>11}"
                    ratios = f"{naive}{total[method] / total['torch']:9.2f}"
                    lines.append(f"{method:8}{forward:9.2f}{backward:10.2f}{total[method]:9.2f}{spread:>18}{ratios}")
    return "\n".join(lines)


def convnet_step(repeats: int) -> str:
    """Time and peak memory (of NumPy's arrays, beyond the net and its input) of a ConvNet's loss and gradients."""
    net, rng = ThreeLayerConvNet(), np.random.default_rng(231)
    X, y = rng.standard_normal((50, 3, 32, 32)).astype(net.dtype), rng.integers(10, size=50)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        net.loss(X, y)
        times.append(1e3 * (time.perf_counter() - start))
    tracemalloc.start()
    net.loss(X, y)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return f"ThreeLayerConvNet, loss and gradients, batch 50, float32: {np.median(times):.1f} ms, peak {peak:.1f} MiB"


def cost_figure(repeats: int) -> Figure:
    """Milliseconds forward and backward of conv_*_fast and torch against batch size, channels and image size."""
    figure = plots.new_figure(12, 3.6)
    for axes, (varied, values) in zip(figure.subplots(1, 3), COSTS.items(), strict=True):
        for dtype, marker in ((np.float64, "o"), (np.float32, "s")):
            medians = {"fast": [], "torch": []}
            for value in values:
                size = COMMON | {varied: value}
                x_shape = (size["batch"], size["channels"], size["image"], size["image"])
                methods = conv_methods(dtype, x_shape, (size["channels"], size["channels"], 3, 3), 1, 1)
                times = measure({name: methods[name] for name in medians}, repeats)
                for name, line in medians.items():
                    line.append(np.median(times[name].sum(axis=1)))
            for name, color in (("fast", plots.TRAIN), ("torch", plots.VAL)):
                label = f"{name}, {dtype.__name__}"
                axes.plot(values, medians[name], color=color, marker=marker, fillstyle="none", label=label)
        others = ", ".join(f"{name} {value}" for name, value in COMMON.items() if name != varied)
        plots.tidy(axes, UNITS[varied], "")
        axes.set(xscale="log", yscale="log", title=f"3x3, {others}", xticks=values, xticklabels=values)
        axes.minorticks_off()
    figure.axes[0].set_ylabel("forward + backward (ms, one thread)")
    figure.axes[0].legend(fontsize="small")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=25, help="rounds per case")
    parser.add_argument(
        "--figure", type=Path, default=Path("runs/bench-from-scratch/cost.png"), help="where to draw the cost"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"NumPy {np.__version__}, torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}"
    )
    for library in threadpool_info():
        print(f"{library['prefix']} {library['version']} {library.get('architecture', '')}".rstrip())
    print(f"one thread, {options.repeats} rounds, milliseconds, medians; ratios of forward + backward")
    print(table(options.repeats))
    print(f"\n{convnet_step(options.repeats)}")
    plots.save(cost_figure(options.repeats), options.figure)
    print(f"wrote {options.figure}")


if __name__ == "__main__":
    main()
