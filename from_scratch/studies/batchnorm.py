"""Batch and layer norm: what they do to statistics, to deep nets, to weight scales and to small batches.

Source: CS231n assignment 2, BatchNormalization; its questions are answered in `from_scratch/ANSWERS.md`.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from from_scratch.affine import affine_forward
from from_scratch.classifiers.fc_net import FullyConnectedNet
from from_scratch.initialization import he
from from_scratch.normalization import (
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    layernorm_forward,
)
from from_scratch.solver import Solver
from from_scratch.studies.shared import check_gradients, progress
from from_scratch.studies.study import Study, StudyOptions
from tutorials.common.options import parse
from tutorials.common.plots import Panel, panels

# N pictures, D features

NORMS = {"no norm": None, "batch norm": "batchnorm", "layer norm": "layernorm"}
BATCHES = (5, 10, 50)
PICTURES = {"tiny": 200, "official": 1000}  # to train on
SCALES = {"tiny": 4, "official": 20}  # weight scales between 1e-4 and 1
# Where the norms are compared: hidden layers' width, number and weight decay; and how many nets of each.
WIDTHS = {"tiny": (2, 8), "official": (1, 2, 3, 4, 6, 8, 16, 32, 64)}
DEPTHS = {"tiny": (2, 10), "official": (1, 2, 5, 10, 20, 30)}
DECAYS = {"tiny": (1e-4, 1e-1), "official": (1e-4, 1e-3, 1e-2, 1e-1, 1.0)}
REPEATS = {"tiny": 1, "official": 2}
PEERS = {  # training accuracy after ten epochs, the middle of what seven students' notebooks show
    "deep/no_norm": 0.72,
    "deep/batch_norm": 0.795,
    "batch_5/no_norm": 0.62,
    "batch_5/batch_norm": 0.44,
    "batch_10/batch_norm": 0.66,
    "batch_50/batch_norm": 0.86,
    "batch_5/layer_norm": 0.68,
    "batch_10/layer_norm": 0.74,
    "batch_50/layer_norm": 0.84,
}


def main() -> None:
    with Study("batchnorm", parse(StudyOptions, {})) as study:
        data = study.load_pictures(PICTURES[study.options.data])
        show_statistics(study)
        time_backward(study)
        nets = {f"{norm}, reg {reg:g}": {"reg": reg, "normalization": NORMS[norm]}
                for norm, reg in (("batch norm", 0), ("batch norm", 3.14), ("layer norm", 3.14))}  # fmt: skip
        check_gradients(study, nets, {"batch norm, reg 0": 2.261, "batch norm, reg 3.14": 6.997})
        metrics = deep_nets(study, data)
        sweep_weight_scales(study, data)
        metrics |= vary_batch_size(study, data)
        measure_noise(study, data)
        compare_preprocessing(study)
        find_limits(study, data)
        published = {f"{name}/train_accuracy": value for name, value in PEERS.items()}
        study.finish(metrics, published, dict.fromkeys(metrics, 0.1))


def fit(
    study: Study, name: str, data: dict, norm: str, hidden: list[int], repeat: int = 0, **options: object
) -> Solver:
    """Train a net of our own; those of one shape start from the same weights."""
    net = FullyConnectedNet(hidden, normalization=NORMS[norm], rng=study.rng(f"weights {repeat}"), **options)
    return train(study, name, net, data, watch=False)


def train(study: Study, name: str, net: FullyConnectedNet, data: dict, lr: float = 1e-3, batch_size: int = 50,
          **options: object) -> Solver:  # fmt: skip
    """Ten epochs of Adam; a net that explodes is no error."""
    with np.errstate(all="ignore"):
        return study.train(name, net, data, num_epochs=10, batch_size=batch_size, update_rule="adam",
                           optim_config={"learning_rate": lr}, **options)  # fmt: skip


def notebook_net(norm: str) -> FullyConnectedNet:
    """The net of experiments 11, 13 and 14, drawn from NumPy's global generator, as there."""
    return FullyConnectedNet([100] * 5, normalization=NORMS[norm], weight_scale=2e-2)


# Experiment 8: statistics before and after


def show_statistics(study: Study) -> None:
    """Means and standard deviations of a two-layer net's outputs; the legacy generator draws what the notebook drew."""
    np.random.seed(231)
    X, w1, w2 = (np.random.randn(*shape) for shape in ((200, 50), (50, 60), (60, 3)))
    a, train = np.maximum(0, X @ w1) @ w2, {"mode": "train"}
    gamma, beta = np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, 13.0])
    outs = {
        "before": a,
        "batch norm, gamma 1, beta 0": batchnorm_forward(a, np.ones(3), np.zeros(3), dict(train))[0],
        "batch norm, gamma 1 2 3, beta 11 12 13": batchnorm_forward(a, gamma, beta, dict(train))[0],
        "batch norm, testing after 50 batches": warmed_up(),
    }
    rows = [[name, *out.mean(axis=0), *out.std(axis=0)] for name, out in outs.items()]
    heads = [f"{what} {number}" for what in ("mean of feature", "deviation of") for number in (1, 2, 3)]
    study.table("batchnorm_statistics", ["", *heads], rows)
    outs = {
        "before": a,
        "layer norm, gamma 1, beta 0": layernorm_forward(a, np.ones(3), np.zeros(3), {})[0],
        "layer norm, gamma 3, beta 5": layernorm_forward(a, 3 * np.ones(3), 5 * np.ones(3), {})[0],
    }
    rows = [[name, *out.mean(axis=1)[:4], *out.std(axis=1)[:4]] for name, out in outs.items()]
    heads = [f"{what} {number}" for what in ("mean of example", "deviation of") for number in (1, 2, 3, 4)]
    study.table("layernorm_statistics", ["", *heads], rows)


def warmed_up() -> np.ndarray:
    """Outputs in test mode, after 50 batches have gone into the running averages."""
    np.random.seed(231)
    w1, w2 = np.random.randn(50, 60), np.random.randn(60, 3)
    bn_param = {"mode": "train"}
    for _ in range(50):
        batchnorm_forward(np.maximum(0, np.random.randn(200, 50) @ w1) @ w2, np.ones(3), np.zeros(3), bn_param)
    bn_param["mode"] = "test"
    a = np.maximum(0, np.random.randn(200, 50) @ w1) @ w2
    return batchnorm_forward(a, np.ones(3), np.zeros(3), bn_param)[0]


# Experiment 9: two ways back


def time_backward(study: Study, rounds: int = 200) -> None:
    """Node by node against the closed form, on the notebook's array, turn by turn."""
    np.random.seed(231)
    x = 5 * np.random.randn(100, 500) + 12
    gamma, beta, dout = np.random.randn(500), np.random.randn(500), np.random.randn(100, 500)
    _, cache = batchnorm_forward(x, gamma, beta, {"mode": "train"})
    methods = {"node by node": batchnorm_backward, "closed form": batchnorm_backward_alt}
    times = np.array([[clock(method, dout, cache) for method in methods.values()] for _ in range(rounds)])
    node, closed = (method(dout, cache)[0] for method in methods.values())
    slow, fast = np.median(times, axis=0)
    study.table("backward", ["", "node by node", "closed form", "times faster", "peers"],
                [["microseconds, median", 1e6 * slow, 1e6 * fast, slow / fast, "0.7-3.6"],
                 ["largest difference of dx", "", float(np.abs(node - closed).max()), "", ""]])  # fmt: skip


def clock(method: Callable, *arguments: object) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    method(*arguments)
    return time.perf_counter() - start


# Experiment 11: a deep net with and without


def deep_nets(study: Study, data: dict) -> dict[str, float]:
    """The notebook's very nets and batches, which the peers' figures are of; then several nets of other draws."""
    names = {norm: f"deep/{key(norm)}" for norm in NORMS}
    np.random.seed(231)
    nets = {norm: notebook_net(norm) for norm in ("batch norm", "no norm")}
    solvers = {norm: train(study, names[norm], net, data, rng=None) for norm, net in nets.items()}
    solvers["layer norm"] = train(study, names["layer norm"], notebook_net("layer norm"), data, rng=None)
    solvers = {norm: solvers[norm] for norm in NORMS}
    study.figure("deep", progress(solvers))
    repeats, rows = range(2 * REPEATS[study.options.data]), []
    for norm in NORMS:  # one net says little: how fast the plain one starts is a matter of luck
        more = [fit(study, f"deep {n}", data, norm, [100] * 5, repeat=n, weight_scale=2e-2) for n in repeats]
        last = np.array([(solver.train_acc_history[-1], solver.val_acc_history[-1]) for solver in more])
        rows.append([norm, *map(float, (*last.mean(axis=0), *last.std(axis=0)))])
    heads = ["train, mean", "val, mean", "deviation of train", "of val"]
    study.table("deep_repeated", [f"{len(repeats)} nets each", *heads], rows)
    return record(study, "deep", {names[norm]: solver for norm, solver in solvers.items()})


def key(norm: str) -> str:
    return norm.replace(" ", "_")


def record(study: Study, table: str, solvers: Mapping[str, Solver]) -> dict[str, float]:
    """A table of last accuracies, beside the peers'; the training accuracies as metrics."""
    peers = PEERS if study.options.data == "official" else {}
    rows = [[name, s.train_acc_history[-1], peers.get(name, ""), s.val_acc_history[-1], s.best_val_acc]
            for name, s in solvers.items()]  # fmt: skip
    study.table(table, ["net", "train", "train, peers", "val", "best val"], rows)
    return {f"{name}/train_accuracy": s.train_acc_history[-1] for name, s in solvers.items()}


# Experiment 12: weight scales


def sweep_weight_scales(study: Study, data: dict) -> None:
    scales = np.logspace(-4, 0, SCALES[study.options.data])
    found = {norm: np.array([measure_scale(study, data, norm, scale) for scale in scales]) for norm in NORMS}
    study.figure("weight_scale", scale_panels(scales, found))
    values = np.hstack([found[norm][:, :3] for norm in NORMS])
    rows = [[f"{scale:.2g}", *map(float, row)] for scale, row in zip(scales, values, strict=True)]
    heads = [f"{what}, {norm}" for norm in NORMS for what in ("val", "train", "last loss")]
    study.table("weight_scale", ["weight scale", *heads], rows)
    head = ["", "scales with training accuracy above 0.3", "last hidden layer at the start, least RMS", "most",
            "gradient of W1, least RMS", "most", "cosine of two pictures, median"]  # fmt: skip
    rows = []
    for norm, values in found.items():
        extremes = [float(extreme(values[:, column])) for column in (3, 4) for extreme in (np.min, np.max)]
        rows.append([norm, int((values[:, 1] > 0.3).sum()), *extremes, float(np.median(values[:, 5]))])
    study.table("weight_scale_range", head, rows)


def measure_scale(study: Study, data: dict, norm: str, scale: float) -> tuple[float, ...]:
    """Best accuracies and last loss of an eight-layer net; its last hidden layer and first gradient before training."""
    solver = fit(study, f"weight scale {scale:.1g}", data, norm, [50] * 7, weight_scale=scale)
    start = FullyConnectedNet([50] * 7, normalization=NORMS[norm], weight_scale=scale, rng=study.rng("weights 0"))
    for bn_param in start.bn_params:
        bn_param["momentum"] = 0.0  # the running averages are then the last batch's
    X, y = data["X_train"][:200], data["y_train"][:200]
    gradient = rms(start.loss(X, y)[1]["W1"])
    start.params |= {"W8": np.eye(50, dtype=start.dtype), "b8": np.zeros(50, start.dtype)}  # scores: the layer before
    last = np.mean(solver.loss_history[-100:])
    hidden = start.loss(X)
    return solver.best_val_acc, max(solver.train_acc_history), last, rms(hidden), gradient, likeness(hidden)


def likeness(h: np.ndarray) -> float:
    """The mean cosine between two examples of (N, H); 1: to the next layer all are the same but for their length."""
    directions = h / np.maximum(np.linalg.norm(h.astype(float), axis=1, keepdims=True), 1e-300)
    N = len(h)
    return float((np.sum(directions.sum(axis=0) ** 2) - N) / (N * (N - 1)))


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=float))))


def scale_panels(scales: np.ndarray, found: Mapping[str, np.ndarray]) -> Figure:
    """The notebook's three panels, and three of the nets' last hidden and first layer before training."""
    last = {"xscale": "log", "ylim": (1.0, 3.5)}
    both = {"xscale": "log", "yscale": "log"}
    kinds = (
        ("best validation accuracy", {"xscale": "log"}),
        ("best training accuracy", {"xscale": "log"}),
        ("last training loss (nats)", last),
        ("last hidden layer at the start (RMS)", both),
        ("gradient of W1 at the start (RMS)", both),
        ("cosine of two pictures at the start", {"xscale": "log"}),
    )
    content = []
    for column, (ylabel, axes) in enumerate(kinds):
        lines = {norm: (scales, values[:, column]) for norm, values in found.items()}
        content.append(Panel(ylabel, lines, "weight scale", axes=axes))
    return panels(*content)


# Experiments 13 and 14: batch sizes


def vary_batch_size(study: Study, data: dict) -> dict[str, float]:
    """Batches of 5, 10 and 50 with each norm, and of 5 without, drawn as the notebook drew them."""

    def one(size: int, norm: str) -> None:
        name = f"batch_{size}/{key(norm)}"
        solvers[name] = train(study, name, notebook_net(norm), data, 10**-3.5, size, rng=None)

    solvers: dict[str, Solver] = {}
    np.random.seed(231)
    one(BATCHES[0], "no norm")
    state = np.random.get_state()  # with either norm the notebook trains the plain net first, from the same seed
    for norm in ("batch norm", "layer norm"):
        np.random.set_state(state)
        for size in BATCHES:
            one(size, norm)
    content = []
    for norm in ("batch norm", "layer norm"):
        shown = {"no norm, batch of 5": solvers["batch_5/no_norm"]}
        shown |= {f"batch of {size}": solvers[f"batch_{size}/{key(norm)}"] for size in BATCHES}
        for split in ("train", "val"):
            lines = {label: getattr(solver, f"{split}_acc_history") for label, solver in shown.items()}
            axes = {"title": norm, "ylim": (0, 1) if split == "train" else (0, 0.5)}
            content.append(Panel(f"{'training' if split == 'train' else 'validation'} accuracy", lines, axes=axes))
    study.figure("batch_size", panels(*content, columns=2, width=5))
    return record(study, "batch_size", solvers)


def measure_noise(study: Study, data: dict, rounds: int = 200) -> None:
    """How far a batch's mean and std lie from those of all pictures, in the first layer's units."""
    a = affine_forward(data["X_train"], he((3072, 100), rng=study.rng("noise")), np.zeros(100))[0]
    mean, deviation, rng, rows = a.mean(axis=0), a.std(axis=0), study.rng("noisy batches"), []
    for size in BATCHES:
        batches = a[rng.integers(len(a), size=(rounds, size))]  # (rounds, size, 100)
        off = (batches.mean(axis=1) - mean) / deviation, batches.std(axis=1) / deviation - 1
        rows.append([size, rms(off[0]), rms(off[1])])
    study.table("noise", ["batch of", "error of the mean, in deviations", "error of the deviation, relative"], rows)


# Question: which preprocessing is like batch norm, and which like layer norm?


def compare_preprocessing(study: Study) -> None:
    """What four ways of preparing pictures, and the two norms, make equal: features, examples, or rows of pixels."""
    x = study.load_data("cifar10").train_images[:1000] + 1.0  # (N, 3, 32, 32); no row of pixels is all black
    D = x[0].size
    norms = {
        "batch norm": batchnorm_forward(x.reshape(-1, D), np.ones(D), np.zeros(D), {"mode": "train"})[0],
        "layer norm": layernorm_forward(x.reshape(-1, D), np.ones(D), np.zeros(D), {})[0],
    }
    prepared = {
        "pictures": x,
        "1: every row of pixels sums to 1": x / x.sum(axis=(1, 3), keepdims=True),
        "2: every picture sums to 1": x / x.sum(axis=(1, 2, 3), keepdims=True),
        "3: less the mean picture": x - x.mean(axis=0),
        "4: 0 or 1 by a threshold": (x > 127).astype(float),
    } | {name: out.reshape(x.shape) for name, out in norms.items()}
    rows = [[name, *(float(v.mean(axis=axes).std() / v.std()) for axes in (0, (1, 2, 3), (1, 3)))]
            for name, v in prepared.items()]  # fmt: skip
    head = ["", "spread of the features' means", "of the pictures' means", "of the pixel rows' means"]
    study.table("preprocessing", head, rows)


# Question: where does layer norm fail?


def find_limits(study: Study, data: dict) -> None:
    """Three hidden layers of few units; many layers; strong weight decay: each with and without the norms."""
    scale, which = data["X_train"].std(), study.options.data
    data = data | {name: data[name] / scale for name in ("X_train", "X_val")}
    cases = {
        "units of each of 3 hidden layers": {width: ([width] * 3, 0.0) for width in WIDTHS[which]},
        "hidden layers of 50 units": {layers: ([50] * layers, 0.0) for layers in DEPTHS[which]},
        "weight decay, 3 hidden layers of 50": {reg: ([50] * 3, reg) for reg in DECAYS[which]},
    }
    found = {}
    for case, nets in cases.items():
        for value, (hidden, reg) in nets.items():
            for norm in NORMS:
                found[case, value, norm] = mean_accuracies(study, f"{case} {value}", data, norm, hidden, reg)
    if study.options.data == "official":  # on the twin lines of two points, each of one net
        study.figure("limits", limit_panels(cases, found))
    for number, (case, nets) in enumerate(cases.items()):
        rows = [[value, *(found[case, value, norm][split] for split in (0, 1) for norm in NORMS)] for value in nets]
        heads = [f"{split}, {norm}" for split in ("train", "val") for norm in NORMS]
        study.table(("few_units", "many_layers", "weight_decay")[number], [case, *heads], rows)


def mean_accuracies(
    study: Study, name: str, data: dict, norm: str, hidden: list[int], reg: float
) -> tuple[float, float]:
    """Last training and best validation accuracy, over a few nets."""
    repeats = range(REPEATS[study.options.data])
    solvers = [fit(study, f"{name} {n}", data, norm, hidden, repeat=n, init=he, reg=reg) for n in repeats]
    both = np.array([(solver.train_acc_history[-1], solver.best_val_acc) for solver in solvers])
    return tuple(map(float, both.mean(axis=0)))


def limit_panels(cases: Mapping[str, Mapping], found: Mapping[tuple, tuple[float, float]]) -> Figure:
    """A column for each case, training accuracy above validation accuracy."""
    content = []
    for split, ylabel in enumerate(("last training accuracy", "best validation accuracy")):
        for case, nets in cases.items():
            lines = {norm: (list(nets), [found[case, value, norm][split] for value in nets]) for norm in NORMS}
            axes = {"xscale": "log", "xticks": list(nets), "xticklabels": [f"{value:g}" for value in nets]}
            content.append(Panel(ylabel, lines, case, axes=axes, line=0.1, line_name="chance"))
    figure = panels(*content)
    for axes in figure.axes:
        axes.minorticks_off()
    return figure


if __name__ == "__main__":
    main()
