"""Convolutional nets: filters made by hand and learned, layers timed and checked, one epoch, and a deep net.

Source: CS231n assignment 2, ConvolutionalNetworks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from from_scratch.classifiers.cnn import DeepConvNet, ThreeLayerConvNet
from from_scratch.initialization import he
from from_scratch.solver import Solver
from from_scratch.studies.convnet_layers import (
    check_gradients,
    check_losses,
    check_norm_gradients,
    measure_memory,
    process_pictures,
    show_norm_statistics,
    time_layers,
)
from from_scratch.studies.shared import average_views, learning, mirror_and_shift, rise_and_fall, small
from from_scratch.studies.study import Study, StudyOptions
from from_scratch.vis_utils import visualize_grid
from tutorials.common.image_grids import image_grid
from tutorials.common.options import parse
from tutorials.common.plots import Panel, bars, confusion, new_figure, panels, smooth

# N pictures, F filters


@dataclass(frozen=True)
class Deep:
    """How the deep net is built and trained."""

    blocks: tuple[tuple[int, ...], ...]  # filters of each convolution, block by block
    epochs: int
    lr: float = 4e-3
    warmup: float = 0.1  # share of the steps over which the learning rate rises, before it falls to zero
    batch_size: int = 100
    reg: float = 1e-4
    shift: int = 2  # pixels, up to
    view_shift: int = 1  # pixels between the views of a test picture, whose scores are averaged


DEEP = {
    "tiny": Deep(blocks=((8,), (16,), (32,)), epochs=4, batch_size=50),
    "official": Deep(blocks=((32,), (64,), (128, 128), (256, 256)), epochs=10),
}
TIMED = {"tiny": 10, "official": 100}  # pictures in the arrays that the naive layers are timed on
PUBLISHED = {  # the middle of what seven students' notebooks show; none of them has a deeper net
    "overfit/train_accuracy": 0.99,
    "one_epoch/train_accuracy": 0.483,
    "one_epoch/val_accuracy": 0.4925,
}


def main() -> None:
    with Study("convnet", parse(StudyOptions, {})) as study:
        data = study.load_pictures()
        process_pictures(study)
        time_layers(study, TIMED[study.options.data])
        check_losses(study)
        check_gradients(study)
        show_norm_statistics(study)
        check_norm_gradients(study)
        measure_memory(study, DEEP["official"].blocks)
        metrics = overfit(study, data)
        scaled = scale(data)
        metrics |= one_epoch(study, data, scaled)
        metrics |= deep_net(study, scaled, DEEP[study.options.data])
        study.finish(metrics, PUBLISHED, {name: 0.1 for name in metrics if name.endswith("accuracy")})


# Experiment 21: a hundred pictures


def overfit(study: Study, data: Mapping[str, np.ndarray]) -> dict[str, float]:
    few = small(data, 100)
    np.random.seed(231)
    net = ThreeLayerConvNet(weight_scale=1e-2)
    solver = study.train("overfit", net, few, num_epochs=15, batch_size=50, update_rule="adam",
                         optim_config={"learning_rate": 1e-3})  # fmt: skip
    study.figure("overfit", learning(solver, 1))
    kept = solver.check_accuracy(few["X_train"], few["y_train"])
    rows = [["last", solver.train_acc_history[-1], solver.val_acc_history[-1]], ["kept", kept, solver.best_val_acc]]
    peers = [["last, peers", 0.99, ""], ["kept, peers", 0.82, 0.25]] if study.options.data == "official" else []
    study.table("overfit", ["parameters", "train", "val"], rows + peers)
    return {"overfit/train_accuracy": solver.train_acc_history[-1]}


# Experiments 22 and 23: one epoch on everything, and the filters it leaves


def scale(data: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same pictures in a scale where the training ones have standard deviation 1."""
    deviation = data["X_train"].std()
    return {name: array / deviation if name.startswith("X") else array for name, array in data.items()}


def one_epoch(study: Study, data: Mapping[str, np.ndarray], scaled: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The notebook's recipe, and a better start and schedule for the same net and the same number of steps."""
    np.random.seed(231)
    plain, better = (ThreeLayerConvNet(weight_scale=1e-3, hidden_dim=500, reg=reg) for reg in (1e-3, 1e-4))
    for name in ("W1", "W2", "W3"):
        better.params[name] = he(better.params[name].shape, study.rng(f"one epoch {name}"), better.dtype)
    start = better.params["W1"].copy()
    options = dict(num_epochs=1, batch_size=50, update_rule="adam", optim_config={"learning_rate": 1e-3})
    solvers = {
        "as written": study.train("one_epoch/as_written", plain, data, **options),
        "better": study.train("one_epoch/better", better, scaled, schedule=rise_and_fall(0.1), **options),
    }
    losses = {name: smooth(solver.loss_history, 20) for name, solver in solvers.items()}
    panel = Panel("training loss with weight decay (nats)", losses, "step", "")
    study.figure("one_epoch", panels(panel, width=6, height=4))
    filters = {name: solver.model.params["W1"] for name, solver in solvers.items()}
    filters["better, less its start"] = filters["better"] - start  # the noise of the start hides what was learned
    study.figure("filters", filter_grids(filters))
    return record_epoch(study, solvers)


def record_epoch(study: Study, solvers: Mapping[str, Solver]) -> dict[str, float]:
    """Both recipes beside the peers; accuracies as metrics."""
    recipes = {
        "as written": ["pictures less their mean", "deviation 0.001", 1e-3, "0.001"],
        "better": ["and divided by their deviation", "He", 1e-4, "up to 0.001, down to 0"],
    }
    rows, metrics = [], {}
    for (name, solver), metric in zip(solvers.items(), ("one_epoch", "one_epoch_better"), strict=True):
        train = solver.check_accuracy(solver.X_train[:10000], solver.y_train[:10000])
        rows.append([name, *recipes[name], train, solver.best_val_acc])
        metrics |= {f"{metric}/train_accuracy": train, f"{metric}/val_accuracy": solver.best_val_acc}
    if study.options.data == "official":
        rows.append(["peers, as written", *recipes["as written"], "0.476-0.49", "0.48-0.505"])
    head = ["recipe", "input", "weights at the start", "reg", "learning rate", "train (10,000 pictures)", "val"]
    study.table("one_epoch", head, rows)
    return metrics


def filter_grids(filters: Mapping[str, np.ndarray]) -> Figure:
    """First-layer filters (F, 3, H, W) of each net as a grid of color pictures, each stretched to the full range."""
    figure = new_figure(4.2 * len(filters), 4.5)
    for axes, (title, w) in zip(figure.subplots(1, len(filters), squeeze=False)[0], filters.items(), strict=True):
        axes.imshow(visualize_grid(w.transpose(0, 2, 3, 1)).astype(np.uint8))
        axes.set_title(title)
        axes.axis("off")
    return figure


# A deep net of the same layers


def deep_net(study: Study, data: Mapping[str, np.ndarray], recipe: Deep) -> dict[str, float]:
    """Train by the recipe, choose the epoch on validation pictures, and look at the test pictures once."""
    net, before = DeepConvNet(blocks=recipe.blocks, reg=recipe.reg, rng=study.rng("deep")), study.seconds
    solver = study.train("deep", net, data, num_epochs=recipe.epochs, batch_size=recipe.batch_size, update_rule="adam",
                         optim_config={"learning_rate": recipe.lr}, schedule=rise_and_fall(recipe.warmup),
                         augment=partial(mirror_and_shift, pixels=recipe.shift))  # fmt: skip
    study.figure("deep", learning(solver, 20, 0.75 if study.options.data == "official" else None))
    size = sum(w.size for w in net.params.values())
    about = asdict(recipe) | {"parameters": size, "minutes of training": round((study.seconds - before) / 60, 1)}
    study.table("deep_recipe", ["option", "value"], [[name, str(value)] for name, value in about.items()])
    X, y = data["X_test"], data["y_test"]
    scores = average_views(net, X, recipe.view_shift)
    show_test(study, scores, y)
    accuracies = {"deep/one_view_test_accuracy": solver.check_accuracy(X, y, batch_size=500),
                  "deep/test_accuracy": np.mean(scores.argmax(axis=1) == y)}  # fmt: skip
    return {"deep/val_accuracy": solver.best_val_acc, **accuracies}


def show_test(study: Study, scores: np.ndarray, y: np.ndarray) -> None:
    """Which classes are found, for which they are taken, and the mistakes of which the net was surest."""
    pictures = study.load_data("cifar10")
    classes, predicted = pictures.classes, scores.argmax(axis=1)
    counts = np.zeros((len(classes),) * 2, int)
    np.add.at(counts, (y, predicted), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    found = share.diagonal()
    study.figure("deep_confusion", confusion(counts, classes))
    study.figure("deep_classes", bars(found, classes, "test accuracy", float(np.mean(predicted == y)), "all"))
    wrong = share - np.diag(found)
    rows = [
        [classes[c], float(found[c]), classes[wrong[c].argmax()], float(wrong[c].max())] for c in range(len(classes))
    ]
    study.table("deep_classes", ["class", "test accuracy", "most often taken for", "share"], rows)
    images = pictures.test_images.transpose(0, 2, 3, 1)
    study.figure("deep_mistakes", surest_mistakes(images, scores, y, classes))


def surest_mistakes(
    images: np.ndarray, scores: np.ndarray, y: np.ndarray, classes: Sequence[str], count: int = 24
) -> Figure:
    """The wrongly classified pictures (N, H, W, 3) with the highest probability, by scores (N, classes)."""
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted, sure = scores.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != y)
    worst = wrong[np.argsort(-sure[wrong])][:count]
    titles = [f"{classes[y[i]]}\nas {classes[predicted[i]]} {sure[i]:.0%}" for i in worst]
    return image_grid(images[worst], titles)


if __name__ == "__main__":
    main()
