"""The convolution study's first half: layers used by hand, timed, checked against numerical gradients, and weighed.

Source: CS231n assignment 2, ConvolutionalNetworks.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from data.pictures import open_picture
from from_scratch import fast_layers, layers
from from_scratch.classifiers.cnn import DeepConvNet, ThreeLayerConvNet
from from_scratch.gradient_check import eval_numerical_gradient_array
from from_scratch.studies.shared import gradient_errors, net_errors, peak
from from_scratch.studies.study import Study
from tutorials.common.plots import new_figure

# N pictures, C channels, H W pixels


# Experiment 18: filters made by hand


def process_pictures(study: Study) -> None:
    """Gray and edges by one convolution, of the photograph that comes with matplotlib and of a test picture."""
    photograph = open_picture(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    picture = Image.fromarray(study.load_data("cifar10").test_images[0].transpose(1, 2, 0))
    both = [ImageOps.fit(image, (200, 200), Image.Resampling.BICUBIC) for image in (photograph, picture)]
    x = np.stack([np.asarray(image, float) for image in both]).transpose(0, 3, 1, 2)  # (2, 3, 200, 200)
    study.figure("image_processing", filtered(x, gray_and_edges(x)))


def gray_and_edges(x: np.ndarray) -> np.ndarray:
    """0.3 R + 0.6 G + 0.1 B, and horizontal edges of blue (Sobel) around 128: (N, 3, H, W) -> (N, 2, H, W)."""
    w = np.zeros((2, 3, 3, 3))
    w[0, :, 1, 1] = 0.3, 0.6, 0.1
    w[1, 2] = [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
    return fast_layers.conv_forward_fast(x, w, np.array([0.0, 128.0]), {"stride": 1, "pad": 1})[0]


def filtered(x: np.ndarray, out: np.ndarray) -> Figure:
    """A row for each picture: itself, and the output of each filter, from 0 (black) to 255 (white)."""
    figure = new_figure(7.5, 2.6 * len(x))
    for row, picture, channels in zip(figure.subplots(len(x), 3), x, out, strict=True):
        row[0].imshow(picture.transpose(1, 2, 0).astype(np.uint8))
        for axes, channel in zip(row[1:], channels, strict=True):
            axes.imshow(channel, cmap="gray", vmin=0, vmax=255)
    for axes, title in zip(figure.axes, ("picture", "gray", "horizontal edges of blue"), strict=False):
        axes.set_title(title)
    for axes in figure.axes:
        axes.axis("off")
    return figure


# Experiment 19: naive against fast


def time_layers(study: Study, N: int) -> None:
    """Milliseconds on the notebook's arrays, for which N is 100."""
    np.random.seed(231)
    x, w, b, dout = (np.random.randn(*shape) for shape in ((N, 3, 31, 31), (25, 3, 3, 3), (25,), (N, 25, 16, 16)))
    rows = compare("conv", (x, w, b, {"stride": 2, "pad": 1}), dout, {"forward": "278-514", "backward": "361-622"})
    x, dout = np.random.randn(N, 3, 32, 32), np.random.randn(N, 3, 16, 16)
    pool_param = {"pool_height": 2, "pool_width": 2, "stride": 2}
    rows += compare("max_pool", (x, pool_param), dout, {"forward": "61-97", "backward": "30-54"})
    head = ["layer", "naive, ms", "fast, ms (median)", "times faster", "peers", "largest difference"]
    study.table("naive_and_fast", head, rows)


def compare(layer: str, arguments: tuple, dout: np.ndarray, peers: Mapping[str, str], rounds: int = 15) -> list[list]:
    """Rows of the table, forward and backward; the naive layers run once."""
    found = {"forward": [], "backward": []}  # (output, seconds) of naive, of fast
    for kind, module, times in (("naive", layers, 1), ("fast", fast_layers, rounds)):
        forward, backward = (getattr(module, f"{layer}_{way}_{kind}") for way in found)
        (out, cache), seconds = clock(partial(forward, *arguments), times)
        found["forward"].append((out, seconds))
        grads, seconds = clock(partial(backward, dout, cache), times)
        grads = grads if isinstance(grads, tuple) else (grads,)
        found["backward"].append((np.concatenate([grad.ravel() for grad in grads]), seconds))
    rows = []
    for way, ((slow_out, slow), (fast_out, fast)) in found.items():
        difference = float(np.abs(slow_out - fast_out).max())
        rows.append([f"{layer} {way}", 1e3 * slow, 1e3 * fast, slow / fast, peers[way], difference])
    return rows


def clock(call: Callable, times: int) -> tuple:
    """What a call returns, and its median seconds."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return result, float(np.median(seconds))


# Experiment 20: first losses and gradients


def check_losses(study: Study) -> None:
    np.random.seed(231)
    net = ThreeLayerConvNet()
    X, y = np.random.randn(50, 3, 32, 32), np.random.randint(10, size=50)
    rows = []
    for net.reg, expected in ((0.0, 2.3026), (0.5, 2.508)):
        rows.append([net.reg, float(net.loss(X, y)[0]), expected])
    study.table("initial_loss", ["reg", "loss", "notebook"], rows)


def check_gradients(study: Study) -> None:
    """Errors against numerical gradients: of the notebook's net, and of a small deep one."""
    np.random.seed(231)
    X, y = np.random.randn(2, 3, 16, 16), np.random.randint(10, size=2)
    three = ThreeLayerConvNet((3, 16, 16), num_filters=3, filter_size=3, hidden_dim=7, dtype=np.float64)
    deep = DeepConvNet((3, 16, 16), ((3, 3), (4,)), dtype=np.float64, rng=study.rng("gradients"))
    rows = []
    for title, net in (("three layers", three), ("deep, ((3, 3), (4,))", deep)):
        _, grads = net.loss(X, y)
        for name, error in sorted(net_errors(net, X, y, h=1e-6).items()):
            rows.append([title, name, error, float(np.abs(grads[name]).max())])
    study.table("gradient_check", ["net", "gradient of", "error, as a share of the largest", "largest"], rows)


# Experiment 24: spatial batch norm and group norm


def show_norm_statistics(study: Study) -> None:
    """Means and standard deviations, over what each norm makes equal, on the notebook's arrays."""
    np.random.seed(231)
    x, train = 4 * np.random.randn(2, 3, 4, 5) + 10, {"mode": "train"}
    gamma, beta = np.array([3.0, 4.0, 5.0]), np.array([6.0, 7.0, 8.0])
    bn = {
        "channels: before": x,
        "channels: batch norm, gamma 1, beta 0": layers.spatial_batchnorm_forward(x, np.ones(3), np.zeros(3), train)[0],
        "channels: batch norm, gamma 3 4 5, beta 6 7 8": layers.spatial_batchnorm_forward(x, gamma, beta, train)[0],
        "channels: batch norm, testing after 50 batches": tested_norm(),
    }
    rows = [[name, *spread(out.swapaxes(0, 1))] for name, out in bn.items()]
    x, ones, zeros = 4 * np.random.randn(2, 6, 4, 5) + 10, np.ones((1, 6, 1, 1)), np.zeros((1, 6, 1, 1))
    normed, _ = layers.spatial_groupnorm_forward(x, ones, zeros, 2, {})
    gn = {"groups of 3 channels: before": x, "groups of 3 channels: group norm": normed}
    rows += [[name, *spread(out.reshape(4, -1))] for name, out in gn.items()]
    study.table("norm_statistics", ["", "least mean", "most", "least deviation", "most"], rows)


def tested_norm() -> np.ndarray:
    """Spatial batch norm in test mode, after 50 batches have gone into the running averages."""
    np.random.seed(231)
    bn_param, ones, zeros = {"mode": "train"}, np.ones(4), np.zeros(4)
    for _ in range(50):
        layers.spatial_batchnorm_forward(2.3 * np.random.randn(10, 4, 11, 12) + 13, ones, zeros, bn_param)
    bn_param["mode"] = "test"
    return layers.spatial_batchnorm_forward(2.3 * np.random.randn(10, 4, 11, 12) + 13, ones, zeros, bn_param)[0]


def spread(sets: np.ndarray) -> list[float]:
    """The least and greatest mean, and the least and greatest std, of sets of numbers (K, ...)."""
    flat = sets.reshape(len(sets), -1)
    mean, deviation = flat.mean(axis=1), flat.std(axis=1)
    return [float(value) for value in (mean.min(), mean.max(), deviation.min(), deviation.max())]


def check_norm_gradients(study: Study) -> None:
    """Errors against numerical gradients, on the notebook's arrays."""
    np.random.seed(231)
    x, gamma, beta, dout = (np.random.randn(*shape) for shape in ((2, 3, 4, 5), (3,), (3,), (2, 3, 4, 5)))
    forward, backward = layers.spatial_batchnorm_forward, layers.spatial_batchnorm_backward
    batch = norm_errors(lambda *arrays: forward(*arrays, {"mode": "train"}), backward, (5 * x + 12, gamma, beta), dout)
    np.random.seed(231)
    shapes = ((2, 6, 4, 5), (1, 6, 1, 1), (1, 6, 1, 1), (2, 6, 4, 5))
    x, gamma, beta, dout = (np.random.randn(*shape) for shape in shapes)
    forward, backward = layers.spatial_groupnorm_forward, layers.spatial_groupnorm_backward
    group = norm_errors(lambda *arrays: forward(*arrays, 2, {}), backward, (5 * x + 12, gamma, beta), dout)
    rows = [["spatial batch norm", *batch], ["group norm, 2 groups", *group]]
    study.table("norm_gradients", ["error, as a share of the largest, of", "dx", "dgamma", "dbeta"], rows)


def norm_errors(forward: Callable, backward: Callable, arrays: Sequence[np.ndarray], dout: np.ndarray) -> list[float]:
    """For each array, the error of its gradient."""
    grads = backward(dout, forward(*arrays)[1])
    numerical = [eval_numerical_gradient_array(lambda _: forward(*arrays)[0], array, dout) for array in arrays]
    return list(gradient_errors(dict(enumerate(numerical)), dict(enumerate(grads))).values())


# What a step needs


def measure_memory(study: Study, blocks: tuple[tuple[int, ...], ...]) -> None:
    """Peak of NumPy's arrays, beyond the net and its pictures, of three layers and of a deep net of these blocks."""
    nets = {
        "three layers, hidden 500": ThreeLayerConvNet(hidden_dim=500),
        f"deep, {blocks}": DeepConvNet(blocks=blocks),
    }
    rows = []
    for (title, net), N in zip(nets.items(), (50, 100), strict=True):
        X, y = np.zeros((N, 3, 32, 32), np.float32), np.zeros(N, int)
        size = sum(w.nbytes for w in net.params.values())
        rows.append([title, N, *(amount / 2**20 for amount in (size, peak(net.loss, X, y), peak(net.loss, X)))])
    head = ["net, float32", "pictures", "parameters, MiB", "loss and gradients, MiB", "scores, MiB"]
    study.table("memory", head, rows)
