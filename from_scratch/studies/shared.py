"""What several studies need: parts of the data, augmentation, schedules, the gradient check, memory, and figures."""

import tracemalloc
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from from_scratch.classifiers.fc_net import FullyConnectedNet
from from_scratch.gradient_check import eval_numerical_gradient
from from_scratch.solver import Solver
from from_scratch.studies.study import Study
from tutorials.common.plots import Panel, new_figure, panels, smooth


def rise_and_fall(warmup: float) -> Callable[[float], float]:
    """A factor on the learning rate: up in a straight line over the share `warmup`, then down to zero."""
    return lambda share: share / warmup if share < warmup else (1 - share) / (1 - warmup)


def mirror_and_shift(X: np.ndarray, rng: np.random.Generator, pixels: int) -> np.ndarray:
    """Mirror each picture of a batch with probability 1/2, and shift it by up to so many pixels either way.

    X (N, C, H, W) -> the same shape, a new array; what a shift uncovers is filled with the picture's own reflection.
    Raises ValueError for other shapes, and for shifts that are negative or not smaller than the picture.
    """
    if X.ndim != 4 or not 0 <= pixels < min(X.shape[2:]):
        raise ValueError(f"X must be pictures (N, C, H, W) larger than the shift, not {X.shape} shifted by {pixels}")
    N, _, H, W = X.shape
    X = np.where(rng.random((N, 1, 1, 1)) < 0.5, X[..., ::-1], X)
    padded = np.pad(X, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (H, W), axis=(2, 3))
    row, column = rng.integers(2 * pixels + 1, size=(2, N))
    return windows[np.arange(N), :, row, column]


def average_views(net: object, X: np.ndarray, pixels: int, batch: int = 500) -> np.ndarray:
    """Scores (N, C) of pictures X (N, 3, H, W), each the mean over 18 views: shifted by `pixels` up, down, left, right
    and diagonally, or not at all, and each mirrored, too.

    A net that has learned from shifted pictures errs less often on the mean than on one view.
    """
    H, W = X.shape[2:]
    places = [(row, column) for row in (0, pixels, 2 * pixels) for column in (0, pixels, 2 * pixels)]
    found = []
    for start in range(0, len(X), batch):
        around = ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels))
        padded = np.pad(X[start : start + batch], around, mode="reflect")
        views = [padded[:, :, row : row + H, column : column + W] for row, column in dict.fromkeys(places)]
        found.append(np.mean([net.loss(view) for one in views for view in (one, one[..., ::-1])], axis=0))
    return np.concatenate(found)


def small(data: Mapping[str, np.ndarray], num_training: int, num_validation: int | None = None) -> dict:
    """The first pictures of the training and the validation split."""
    return {name: array[: num_training if "train" in name else num_validation] for name, array in data.items()}


def progress(solvers: Mapping[str, Solver], width: int = 10, scale: str = "linear") -> Figure:
    """Training loss (mean of `width` steps), training accuracy and validation accuracy of trainings, side by side."""
    solvers = {name.replace("_", " "): solver for name, solver in solvers.items()}
    losses = {name: smooth(solver.loss_history, width) for name, solver in solvers.items()}
    return panels(
        Panel("training loss (nats)", losses, "step", "", axes={"yscale": scale}),
        Panel("training accuracy", {n: s.train_acc_history for n, s in solvers.items()}),
        Panel("validation accuracy", {n: s.val_acc_history for n, s in solvers.items()}),
    )


def learning(solver: Solver, width: int, level: float | None = None) -> Figure:
    """The training loss (means of `width` steps) and both accuracies, with a dashed line at `level`."""
    loss = {"training": smooth(solver.loss_history, width)}
    accuracy = {"training": solver.train_acc_history, "validation": solver.val_acc_history}
    return panels(
        Panel("training loss (nats)", loss, "step", "o" if width == 1 else ""),
        Panel("accuracy" if level is None else f"accuracy (dashed: {level})", accuracy, line=level),
    )


def peak(call: Callable, *arguments: object) -> int:
    """Bytes that a call holds at most."""
    call(*arguments)  # what stays for the calls to come is not counted
    tracemalloc.start()
    call(*arguments)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def gradient_errors(numerical: Mapping, grads: Mapping) -> dict:
    """For each gradient the largest |numerical - by hand|, as a share of the gradient's largest number.

    The notebooks divide element by element. But rounding moves a central difference by some eps |f| / h, 1e-10 or so,
    whatever the element, so that an element near zero has a relative error that each processor rounds to another
    number, up to 1e-3. A gradient of rounding noise, which is zero by the mathematics (a bias before batch norm), has
    no scale of its own: it is measured against the largest of all.
    """
    scale = {name: np.abs(grad).max() for name, grad in grads.items()}
    largest = max(scale.values())
    scale = {name: value if value > 1e-12 * largest else largest for name, value in scale.items()}
    return {name: float(np.abs(numerical[name] - grad).max() / scale[name]) for name, grad in grads.items()}


def net_errors(net: object, X: np.ndarray, y: np.ndarray, h: float = 1e-5) -> dict[str, float]:
    """The `gradient_errors` of a net against central differences of its loss."""
    _, grads = net.loss(X, y)
    numerical = {
        name: eval_numerical_gradient(lambda _: net.loss(X, y)[0], net.params[name], verbose=False, h=h)
        for name in grads
    }
    return gradient_errors(numerical, grads)


def check_gradients(study: Study, nets: Mapping[str, dict], notebook: Mapping[str, float]) -> None:
    """The notebook's check: initial losses, and each gradient's error against the numerical one.

    The legacy generator draws what the notebook drew, net after net.
    """
    np.random.seed(231)
    X, y = np.random.randn(2, 15), np.random.randint(10, size=(2,))
    columns = {}
    for label, options in nets.items():
        net = FullyConnectedNet([20, 30], input_dim=15, weight_scale=5e-2, dtype=np.float64, **options)
        columns[label] = {"initial loss": float(net.loss(X, y)[0]), "initial loss, notebook": notebook.get(label, "")}
        columns[label] |= {f"error of {name}": error for name, error in sorted(net_errors(net, X, y).items())}
    names = list(next(iter(columns.values())))
    study.table(
        "gradient_check", ["", *columns], [[name, *(column[name] for column in columns.values())] for name in names]
    )


def heat_maps(
    maps: Mapping[str, np.ndarray], rows: tuple[str, Sequence], columns: tuple[str, Sequence], label: str
) -> Figure:
    """Values in 0..1 as colors, a map for each title; `rows` and `columns` are the axis' name and its ticks."""
    figure = new_figure(1.6 + (0.42 * len(columns[1]) + 1) * len(maps), 0.36 * len(rows[1]) + 1.6)
    places = figure.subplots(1, len(maps), squeeze=False, sharey=True)[0]
    low, high = (float(extreme([extreme(values) for values in maps.values()])) for extreme in (np.min, np.max))
    for axes, (title, values) in zip(places, maps.items(), strict=True):
        picture = axes.imshow(values, cmap="cividis", vmin=low, vmax=high, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            color = "white" if value < 0.4 * low + 0.6 * high else "black"
            axes.text(column, row, f"{100 * value:.0f}%", ha="center", va="center", fontsize=7, color=color)
        axes.set_xticks(range(len(columns[1])), columns[1], rotation=60)
        axes.set_yticks(range(len(rows[1])), rows[1])
        axes.set(xlabel=columns[0], title=title)
    places[0].set_ylabel(rows[0])
    figure.colorbar(picture, ax=places, label=label)
    return figure
