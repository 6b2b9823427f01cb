"""Fully connected nets: gradients checked, fifty pictures learned by heart, seven update rules, and the best net.

Source: CS231n assignment 2, FullyConnectedNets; its questions are answered in `from_scratch/ANSWERS.md`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from from_scratch.activations import (
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
)
from from_scratch.classifiers.fc_net import FullyConnectedNet, TwoLayerNet
from from_scratch.initialization import he
from from_scratch.solver import Solver
from from_scratch.studies.shared import (
    average_views,
    check_gradients,
    heat_maps,
    learning,
    mirror_and_shift,
    progress,
    rise_and_fall,
    small,
)
from from_scratch.studies.study import Study, StudyOptions
from tutorials.common.image_grids import filters
from tutorials.common.options import parse
from tutorials.common.plots import Panel, confusion, panels

# N pictures, D = 3 x 32 x 32 numbers of a picture, C = 10 classes


@dataclass(frozen=True)
class Recipe:
    """How the best net is built and trained."""

    hidden: tuple[int, ...]
    epochs: int
    keep: float = 1.0  # probability of keeping a unit
    normalization: str | None = "batchnorm"
    reg: float = 0.0
    rule: str = "adam"
    lr: float = 1e-3
    batch_size: int = 256
    warmup: float = 0.0  # share of the steps over which the learning rate rises, before it falls to zero
    shift: int = 0  # pixels, up to
    view_shift: int = 0  # pixels between the views of a test picture, whose scores are averaged
    whiten: float | None = None  # what is added to the variances, in (white = 1)^2; None: no whitening


RECIPES = {
    "tiny": Recipe(hidden=(128, 128), epochs=5, batch_size=50),
    "official": Recipe(
        hidden=(2048, 1024, 512),
        epochs=50,
        reg=5e-4,
        rule="nesterov",
        lr=0.08,
        warmup=0.15,
        shift=3,
        view_shift=2,
        whiten=1.0,
    ),
}
RULES = {  # the notebook's learning rates, and for the others that of their nearest relative
    "sgd": 5e-3,
    "sgd_momentum": 5e-3,
    "nesterov": 5e-3,
    "adagrad": 1e-3,
    "rmsprop": 1e-4,
    "adam": 1e-3,
    "adamw": 1e-3,
}
OVERFIT = {3: (4e-3, 2e-2), 5: (3e-3, 6e-2)}  # layers: learning rate, weight scale
GRID = {"tiny": (3, 4, 1), "official": (9, 13, 2)}  # learning rates, weight scales, repeats
STEPS = {"tiny": 3, "official": 25}  # epochs over which the sizes of steps are measured
TWO_LAYERS = {"tiny": 5, "official": 10}  # epochs
COMPARED = {"tiny": 1500, "official": 4000}  # pictures that the update rules learn
PUBLISHED = {  # the middle of what seven students' notebooks show
    "two_layer/val_accuracy": 0.52,
    "3_layers/train_accuracy": 1.0,
    "5_layers/train_accuracy": 1.0,
    "sgd_momentum/train_accuracy": 0.53,
    "sgd_momentum/val_accuracy": 0.36,
    "adam/train_accuracy": 0.555,
    "adam/val_accuracy": 0.37,
    "best/val_accuracy": 0.54,
    "best/test_accuracy": 0.53,
}


def main() -> None:
    with Study("fully-connected", parse(StudyOptions, {})) as study:
        data = study.load_pictures()
        show_slopes(study)
        check_gradients(study, {"reg 0": {"reg": 0.0}, "reg 3.14": {"reg": 3.14}}, {"reg 0": 2.300, "reg 3.14": 7.052})
        metrics = two_layers(study, data)
        metrics |= overfit(study, data)
        find_sensitivity(study, data)
        metrics |= compare_rules(study, data)
        measure_steps(study, data)
        metrics |= best_net(study, data, RECIPES[study.options.data])
        study.finish(metrics, PUBLISHED, dict.fromkeys(metrics, 0.1))


# Question 1: which activation has a gradient of zero?


def show_slopes(study: Study) -> None:
    """The slope of each activation far from zero and near to it, in float32 as the nets compute."""
    x = np.array([-200, -20, -2, 2, 20, 200], np.float32)
    layers = {
        "sigmoid": (sigmoid_forward, sigmoid_backward),
        "ReLU": (relu_forward, relu_backward),
        "leaky ReLU": (leaky_relu_forward, leaky_relu_backward),
    }
    slopes = {name: backward(np.ones_like(x), forward(x)[1]) for name, (forward, backward) in layers.items()}
    study.table("slopes", ["activation", *(f"at {value:g}" for value in x)],
                [[name, *map(float, values)] for name, values in slopes.items()])  # fmt: skip


# Experiment 2: a two-layer net


def two_layers(study: Study, data: dict) -> dict[str, float]:
    net = TwoLayerNet(hidden_dim=100, weight_scale=1e-3, reg=0.25, rng=study.rng("two layers"))
    solver = study.train("two_layers", net, data, num_epochs=TWO_LAYERS[study.options.data], batch_size=200,
                         update_rule="sgd_momentum", optim_config={"learning_rate": 2e-4}, lr_decay=0.9)  # fmt: skip
    study.figure("two_layers", learning(solver, 20, 0.5))
    return {"two_layer/val_accuracy": solver.best_val_acc}


# Experiments 3 and 4: fifty pictures, learned by heart, with three and with five layers


def overfit(study: Study, data: dict) -> dict[str, float]:
    solvers = {}
    for layers, (lr, scale) in OVERFIT.items():
        name = f"{layers}_layers"
        net = FullyConnectedNet([100] * (layers - 1), weight_scale=scale, rng=study.rng(name))
        solvers[name] = study.train(f"overfit/{name}", net, small(data, 50), num_epochs=20, batch_size=25,
                                    optim_config={"learning_rate": lr})  # fmt: skip
    study.figure("overfit", progress(solvers, 1, "log"))
    return {f"{name}/train_accuracy": solver.train_acc_history[-1] for name, solver in solvers.items()}


def find_sensitivity(study: Study, data: dict) -> None:
    """Question 2: which depth is more sensitive to the weight scale? Training accuracy over a grid of both."""
    rates, scales, repeats = GRID[study.options.data]
    rates, scales = np.logspace(-5, -1, rates), np.logspace(-3, 0, scales)
    few, maps, rows = small(data, 50, 50), {}, []
    for layers in OVERFIT:
        maps[f"{layers} layers"] = reached = np.zeros((len(rates), len(scales)))
        for (row, column), _ in np.ndenumerate(reached):
            reached[row, column] = np.mean(
                [memorize(study, few, layers, rates[row], scales[column], repeat) for repeat in range(repeats)]
            )
        whole = reached >= 0.98
        rows.append([layers, float(whole.mean()), int(whole.any(axis=0).sum()), int(whole.sum(axis=1).max()),
                     float(reached.max(axis=0).mean())])  # fmt: skip
    head = ["layers", "share of the grid at 98 % or more", "weight scales there with some learning rate",
            "with the best single one", "best accuracy, mean over scales"]  # fmt: skip
    study.table("sensitivity", head, rows)
    ticks = [f"{value:.1g}" for value in rates], [f"{value:.2g}" for value in scales]
    study.figure(
        "sensitivity", heat_maps(maps, ("learning rate", ticks[0]), ("weight scale", ticks[1]), "training accuracy")
    )


def memorize(study: Study, few: dict, layers: int, lr: float, scale: float, repeat: int) -> float:
    """The training accuracy after 20 epochs of 50 pictures; a training that explodes is no error here."""
    net = FullyConnectedNet([100] * (layers - 1), weight_scale=scale, rng=study.rng(f"grid {layers} {repeat}"))
    with np.errstate(all="ignore"):
        solver = study.train(f"sensitivity {repeat}", net, few, watch=False, num_epochs=20, batch_size=25,
                             optim_config={"learning_rate": lr})  # fmt: skip
    return solver.train_acc_history[-1]


# Experiments 5 and 6: update rules


def compare_rules(study: Study, data: dict) -> dict[str, float]:
    few, solvers = small(data, COMPARED[study.options.data]), {}
    for rule, lr in RULES.items():
        net = FullyConnectedNet([100] * 5, weight_scale=5e-2, rng=study.rng("rules"))
        solvers[rule] = study.train(f"rules/{rule}", net, few, num_epochs=5, update_rule=rule,
                                    optim_config={"learning_rate": lr})  # fmt: skip
    study.figure("rules", progress(solvers))
    last = {rule: (s.train_acc_history[-1], s.val_acc_history[-1]) for rule, s in solvers.items()}
    peers = {"sgd_momentum": ("0.52-0.54", "0.35-0.37"), "adam": ("0.53-0.58", "0.36-0.38")}
    peers = peers if study.options.data == "official" else {}
    rows = [[rule, RULES[rule], *values, *peers.get(rule, ("", ""))] for rule, values in last.items()]
    study.table("rules", ["rule", "learning rate", "train", "val", "train, peers", "val, peers"], rows)
    return {f"{rule}/{split}_accuracy": value for rule, values in last.items()
            for split, value in zip(("train", "val"), values, strict=True)}  # fmt: skip


class StepSizes(Solver):
    """A solver that measures how far each step moves the weights, in learning rates."""

    def _step(self) -> None:
        before = self.model.params
        self.model.params = dict(before)
        super()._step()
        moved = np.concatenate([(self.model.params[name] - w).ravel() for name, w in before.items()])
        lr = self.optim_configs["W1"]["learning_rate"]
        self.sizes = [*getattr(self, "sizes", []), float(np.sqrt(np.mean(moved**2))) / lr]


def measure_steps(study: Study, data: dict) -> None:
    """Question 3: AdaGrad's steps shrink for ever, those of RMSProp and Adam do not."""
    few, sizes = small(data, 4000, 100), {}
    for rule in ("adagrad", "rmsprop", "adam"):
        net = FullyConnectedNet([100] * 5, weight_scale=5e-2, rng=study.rng("rules"))
        solver = study.train("steps", net, few, StepSizes, watch=False, num_epochs=STEPS[study.options.data],
                             num_train_samples=100, update_rule=rule,
                             optim_config={"learning_rate": RULES[rule]})  # fmt: skip
        sizes[rule] = np.array(solver.sizes)
    steps = np.arange(1, len(sizes["adam"]) + 1)
    shown = [int(step) for step in 10.0 ** np.arange(5) if step <= len(steps)]
    study.table(
        "step_sizes", ["step", *sizes], [[step, *(float(s[step - 1]) for s in sizes.values())] for step in shown]
    )
    lines = {rule: (steps, values) for rule, values in sizes.items()}
    lines["1 / square root of the step"] = (steps, steps**-0.5)
    scales = {"xscale": "log", "yscale": "log"}
    study.figure(
        "step_sizes", panels(Panel("RMS of a step / learning rate", lines, "step", "", axes=scales), width=6, height=4)
    )


# Experiment 7: the best net


def best_net(study: Study, data: dict, recipe: Recipe) -> dict[str, float]:
    """Train by the recipe, choose the epoch on validation pictures, and look at the test pictures once."""
    data = prepare(data, recipe.whiten)
    net = FullyConnectedNet(list(recipe.hidden), dropout_keep_ratio=recipe.keep, normalization=recipe.normalization,
                            reg=recipe.reg, init=he, rng=study.rng("best"))  # fmt: skip
    start = net.params["W1"].copy()
    solver = study.train("best", net, data, num_epochs=recipe.epochs, batch_size=recipe.batch_size,
                         update_rule=recipe.rule, optim_config={"learning_rate": recipe.lr},
                         augment=partial(mirror_and_shift, pixels=recipe.shift),
                         schedule=rise_and_fall(recipe.warmup))  # fmt: skip
    study.figure("best", learning(solver, 20))
    learned = net.params["W1"] - start  # the noise of the start would hide it
    most = np.argsort(-np.linalg.norm(learned, axis=0))[:32]
    study.figure("best_filters", filters(learned.T[most].reshape(-1, 3, 32, 32)))
    X, y = data["X_test"], data["y_test"]
    predicted = average_views(net, X, recipe.view_shift).argmax(axis=1)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y, predicted), 1)
    study.figure("best_confusion", confusion(counts, study.load_data("cifar10").classes))
    study.table("best_recipe", ["option", "value"], [[name, str(value)] for name, value in asdict(recipe).items()])
    one_view = solver.check_accuracy(X, y, batch_size=500)
    accuracies = {"best/one_view_test_accuracy": one_view, "best/test_accuracy": np.mean(predicted == y)}
    return {"best/val_accuracy": solver.best_val_acc, **accuracies}


def prepare(data: Mapping[str, np.ndarray], whiten: float | None) -> dict[str, np.ndarray]:
    """Pictures in a scale where the training ones have the mean square 1, whitened before if wanted."""
    matrix = None if whiten is None else zca(data["X_train"] / np.float32(255), whiten)
    ready, deviation = dict(data), None
    for name in ("X_train", "X_val", "X_test"):
        X = data[name] / np.float32(255)
        X = X if matrix is None else (X.reshape(len(X), -1) @ matrix).reshape(X.shape)
        deviation = deviation or X.std()
        ready[name] = X / deviation
    return ready


def zca(X: np.ndarray, eps: float) -> np.ndarray:
    """The symmetric matrix that makes the numbers of centered pictures (N, ...) uncorrelated and of variance 1.

    V diag(1 / sqrt(v + eps)) V^T, (D, D), with v and V of the covariance X^T X / N. Source: Bell and Sejnowski, 1997;
    CS231n notes, Neural Networks 2.
    """
    flat = X.reshape(len(X), -1)
    variances, directions = np.linalg.eigh(flat.T @ flat / flat.dtype.type(len(flat)))
    return (directions / np.sqrt(np.maximum(variances, 0) + flat.dtype.type(eps))) @ directions.T


if __name__ == "__main__":
    main()
