"""Dropout: what it does to a layer's statistics, to a net that learns by heart, and to nets of every width.

Source: CS231n assignment 2, Dropout; its questions are answered in `from_scratch/ANSWERS.md`.
"""

from collections.abc import Mapping

import numpy as np

from from_scratch.classifiers.fc_net import FullyConnectedNet
from from_scratch.dropout import dropout_forward
from from_scratch.losses import softmax_loss
from from_scratch.solver import Solver
from from_scratch.studies.shared import check_gradients, heat_maps, progress, small
from from_scratch.studies.study import Study, StudyOptions
from tutorials.common.options import parse
from tutorials.common.plots import Panel, panels

UNITS = {"tiny": 100, "official": 500}  # hidden units of the notebook's nets
KEEPS = {"tiny": (0.25, 0.5, 1.0), "official": (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)}
WIDTHS = {"tiny": (20, 100), "official": (10, 25, 100, 500)}  # hidden units
REPEATS = {"tiny": 1, "official": 4}  # nets of each kind
UNSEEN = 5000  # training pictures that no net here trains on: they tell accuracies apart that 1000 cannot
PUBLISHED = {  # the middle of what seven students' notebooks show after 25 epochs
    "keep_1/train_accuracy": 0.99,
    "keep_0.25/train_accuracy": 0.92,
    "keep_1/val_accuracy": 0.31,
    "keep_0.25/val_accuracy": 0.325,
}


def main() -> None:
    with Study("dropout", parse(StudyOptions, {})) as study:
        everything = study.load_pictures(500 + UNSEEN)
        data = small(everything, 500)
        unseen = {kind: everything[f"{kind}_train"][500:] for kind in "Xy"}
        show_statistics(study)
        nets = {f"keep {keep:g}": {"dropout_keep_ratio": keep, "seed": 123} for keep in (1, 0.75, 0.5)}
        check_gradients(study, nets, {"keep 1": 2.3005, "keep 0.75": 2.3024, "keep 0.5": 2.3043})
        metrics = regularize(study, data)
        leave_out_division(study, data)
        vary_width(study, data, unseen)
        study.finish(metrics, PUBLISHED, dict.fromkeys(metrics, 0.1))


def fit(study: Study, name: str, data: dict, hidden: list[int], keep: float) -> Solver:
    """Train a net of our own, with its own draws."""
    net = FullyConnectedNet(hidden, dropout_keep_ratio=keep, rng=study.rng(f"weights of {name}"))
    return train(study, name, net, data, watch=False)


def train(study: Study, name: str, net: FullyConnectedNet, data: dict, **options: object) -> Solver:
    """The notebook's training: 25 epochs of Adam."""
    return study.train(name, net, data, num_epochs=25, batch_size=100, update_rule="adam",
                       optim_config={"learning_rate": 5e-4}, **options)  # fmt: skip


# Experiment 15: statistics of a layer


def show_statistics(study: Study) -> None:
    """Means of a 500 x 500 matrix around 10; the legacy generator draws what the notebook drew."""
    np.random.seed(231)
    x, rows = np.random.randn(500, 500) + 10, []
    for keep in (0.25, 0.4, 0.7):
        train, _ = dropout_forward(x, {"mode": "train", "p": keep})
        test, _ = dropout_forward(x, {"mode": "test", "p": keep})
        undivided = train * keep
        rows.append([keep, float(x.mean()), float(train.mean()), float(test.mean()), float(np.mean(train == 0)),
                     float(undivided.mean()), float(test.mean() / undivided.mean())])  # fmt: skip
    head = ["p", "mean of input", "training", "testing", "zeros in training", "training, not divided by p",
            "testing / that"]  # fmt: skip
    study.table("statistics", head, rows)


# Experiment 17: dropout as a regularizer


def regularize(study: Study, data: dict) -> dict[str, float]:
    """The notebook's two nets, with its very draws: the peers' figures are of these."""
    solvers = {}
    np.random.seed(231)
    for keep, name in ((1, "keep_1"), (0.25, "keep_0.25")):
        net = FullyConnectedNet([UNITS[study.options.data]], dropout_keep_ratio=keep)
        solvers[name] = train(study, name, net, data, rng=None)
    study.figure("regularization", progress(solvers, 1, "log"))
    rows = [[name, s.train_acc_history[-1], s.val_acc_history[-1], s.best_val_acc] for name, s in solvers.items()]
    study.table("regularization", ["net", "train", "val", "best val"], rows)
    repeat_regularization(study, data)
    return {f"{name}/{split}_accuracy": getattr(solver, f"{split}_acc_history")[-1]
            for split in ("train", "val") for name, solver in solvers.items()}  # fmt: skip


def repeat_regularization(study: Study, data: dict) -> None:
    """Several nets of each kind, and the mean of their last ten epochs: one curve's noise is as large as the effect."""
    repeats, rows = range(REPEATS[study.options.data] + 1), []
    for keep in (1, 0.25):
        solvers = [
            fit(study, f"keep {keep:g}, {repeat}", data, [UNITS[study.options.data]], keep) for repeat in repeats
        ]
        train, val = (np.array([np.mean(getattr(s, f"{split}_acc_history")[-10:]) for s in solvers])
                      for split in ("train", "val"))  # fmt: skip
        rows.append([keep, *map(float, (train.mean(), train.std(ddof=1), val.mean(), val.std(ddof=1)))])
    head = [f"keep ({len(repeats)} nets each)", "train", "deviation", "val", "deviation"]
    study.table("regularization_repeated", head, rows)


# Question: what if the kept units are not divided by p?


def leave_out_division(study: Study, data: dict, keep: float = 0.25) -> None:
    """Test nets as if they had been trained without the division, with one hidden layer and with three.

    Such a net learns weights W / p where ours learns W, for then both compute the same in training. In testing, where
    nothing is dropped, each of its layers gets inputs that are 1 / p too large.
    """
    rows = []
    for layers in (1, 3):
        net = fit(study, f"division {layers}", data, [UNITS[study.options.data]] * layers, keep).model
        undivided = {name: w / keep if name.startswith("W") and name != "W1" else w for name, w in net.params.items()}
        for label, params in (("divided", net.params), ("not divided", undivided)):
            net.params = params
            scores = net.loss(data["X_val"])
            rows.append([layers, label, float(np.std(scores)), float(softmax_loss(scores, data["y_val"])[0]),
                         float(np.mean(scores.argmax(axis=1) == data["y_val"]))])  # fmt: skip
    study.table(
        "division", ["hidden layers", "kept units", "deviation of val scores", "val loss", "val accuracy"], rows
    )


# Question: should p change with the width? Accuracy over keep ratios and widths


def vary_width(study: Study, data: dict, unseen: Mapping[str, np.ndarray]) -> None:
    """Nets of each width and keep ratio, their epoch chosen on validation pictures, measured on many others."""
    keeps, widths, repeats = KEEPS[study.options.data], WIDTHS[study.options.data], REPEATS[study.options.data]
    data = small(data, 500, 500)
    found = {split: np.zeros((len(widths), len(keeps), repeats)) for split in ("training", "unseen")}
    for row, column, repeat in np.ndindex(found["unseen"].shape):
        name = f"{widths[row]} units, keep {keeps[column]:g}, {repeat}"
        solver = fit(study, name, data, [widths[row]], keeps[column])
        found["training"][row, column, repeat] = solver.check_accuracy(data["X_train"], data["y_train"])
        found["unseen"][row, column, repeat] = solver.check_accuracy(unseen["X"], unseen["y"])
    means = {f"{split} pictures": values.mean(axis=2) for split, values in found.items()}
    content = []
    for title, values in means.items():
        lines = {f"{width} units": (keeps, line) for width, line in zip(widths, values, strict=True)}
        content.append(Panel(f"accuracy, {title}", lines, "probability of keeping a unit"))
    study.figure("keep_ratios", panels(*content, width=5))
    ticks = ("hidden units", widths), ("probability of keeping a unit", [f"{keep:g}" for keep in keeps])
    if study.options.data == "official":  # on the twin there are six cells, of one net each
        study.figure("widths", heat_maps({"unseen pictures": means["unseen pictures"]}, *ticks, "accuracy"))
    deviations = found["unseen"].std(axis=2, ddof=int(repeats > 1)).mean(axis=1)
    rows = [[width, keeps[int(line.argmax())], float(deviation), *map(float, line)]
            for width, deviation, line in zip(widths, deviations, means["unseen pictures"], strict=True)]  # fmt: skip
    head = ["hidden units", "best keep", "deviation of one net", *(f"keep {keep}" for keep in ticks[1][1])]
    study.table("widths", head, rows)


if __name__ == "__main__":
    main()
