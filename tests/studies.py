"""A small study: nets trained one after another, with dropout and batch norm, for the tests of the frame."""

import sys
import time

import numpy as np

from from_scratch.classifiers.fc_net import FullyConnectedNet
from from_scratch.studies.study import Study, StudyOptions
from tutorials.common.options import parse
from tutorials.common.plots import Panel, panels


def study(*argv: str, pause: float = 0.0) -> None:
    sys.argv = ["small", *argv]
    with Study("small", parse(StudyOptions, {})) as study:
        rng = np.random.default_rng(5)
        X = rng.standard_normal((200, 6)).astype(np.float32)
        data = {"X_train": X[:150], "X_val": X[150:]}
        data |= {name.replace("X", "y"): (part.sum(1) > 0).astype(int) for name, part in data.items()}

        def augment(X, rng):
            time.sleep(pause)
            return X + 0.1 * rng.standard_normal(X.shape).astype(X.dtype)

        solvers = {}
        for rule in ("adam", "rmsprop"):
            net = FullyConnectedNet(
                [8, 8], 6, 2, dropout_keep_ratio=0.8, normalization="batchnorm", rng=study.rng(f"weights {rule}")
            )
            options = dict(update_rule=rule, optim_config={"learning_rate": 1e-2}, augment=augment)
            solvers[rule] = study.train(f"rules/{rule}", net, data, batch_size=10, num_epochs=3, **options)
        study.train("unwatched", FullyConnectedNet([8], 6, 2, rng=study.rng("w")), data, watch=False, num_epochs=2)
        study.figure("curves", panels(Panel("validation accuracy", {n: s.val_acc_history for n, s in solvers.items()})))
        study.table("rules", ["rule", "best"], [[name, float(s.best_val_acc)] for name, s in solvers.items()])
        study.finish({f"{name}/val_accuracy": s.best_val_acc for name, s in solvers.items()}, {}, {})


def slow_study(*argv: str) -> None:
    study(*argv, pause=0.02)
