"""Training of classifiers, as the course does it."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np

from from_scratch import checks, optim
from from_scratch.state import generator_state, load_state, save_state, set_generator_state

HISTORIES = ("loss_history", "train_acc_history", "val_acc_history", "val_loss_history")
OPTIONS = ("rule_name", "batch_size", "num_epochs", "lr_decay")  # what a training must share to be continued
PROGRESS = ("epoch", "steps", "optim_configs", "best_val_acc", "best_params", "best_bn_params", *HISTORIES)


class Solver:
    """Trains a model that has `params`, `loss(X)` -> scores and `loss(X, y)` -> loss, grads.

    `data` has X_train, y_train, X_val, y_val. Options: update_rule (a name in `optim`), optim_config (copied for every
    parameter), lr_decay per epoch, batch_size, num_epochs, num_train_samples and num_val_samples (how many to measure
    accuracy on; None: all), checkpoint_name, print_every (-1: epochs alone), verbose.

    Beyond the course: `record(step, loss)`, called after each step, at every measurement as `record(step, loss,
    train_acc=..., val_acc=...)`; `rng`, a generator or a seed for the batches (without it NumPy's global generator, in
    the course's order of draws); `augment(X, rng)`, which gives every training batch before the model sees it;
    `schedule(share)`, the factor on the learning rate when that share of the steps is done.

    State: epoch, steps, best_val_acc, best_params, loss_history, train_acc_history, val_acc_history, optim_configs.
    Raises ValueError or TypeError for options and data that do not fit. Source: CS231n assignment 2, Solver.
    """

    def __init__(
        self,
        model: object,
        data: dict,
        *,
        update_rule: str = "sgd",
        optim_config: dict | None = None,
        lr_decay: float = 1.0,
        batch_size: int = 100,
        num_epochs: int = 10,
        num_train_samples: int | None = 1000,
        num_val_samples: int | None = None,
        checkpoint_name: str | None = None,
        print_every: int = 10,
        verbose: bool = True,
        record: Callable | None = None,
        rng: object = None,
        augment: Callable | None = None,
        schedule: Callable[[float], float] | None = None,
        **unknown: object,
    ):
        if unknown:
            raise ValueError(f"Unrecognized arguments {', '.join(map(repr, unknown))}")
        sizes = {"batch_size": batch_size, "num_epochs": num_epochs}
        for name, number in (sizes if print_every == -1 else sizes | {"print_every": print_every}).items():
            checks.size(name, number)
        rules = tuple(name for name in vars(optim) if not name.startswith("_") and callable(getattr(optim, name)))
        checks.choice("update_rule", update_rule, rules)
        self.model = model
        self.rule_name, self.update_rule = update_rule, getattr(optim, update_rule)
        self.optim_config = dict(optim_config or {})
        if schedule and "learning_rate" not in self.optim_config:
            raise ValueError("a schedule needs optim_config['learning_rate'], which its factor multiplies")
        self.lr_decay, self.batch_size, self.num_epochs = lr_decay, batch_size, num_epochs
        self.num_train_samples, self.num_val_samples = num_train_samples, num_val_samples
        self.checkpoint_name, self.print_every, self.verbose = checkpoint_name, print_every, verbose
        self.record, self.augment, self.schedule = record, augment, schedule
        self.rng = np.random if rng is None else rng if hasattr(rng, "choice") else np.random.default_rng(rng)
        self.num_train = self._read(data)
        self._reset()

    def _read(self, data: dict) -> int:
        """Take the data in; the number of training examples."""
        self.X_train, self.y_train = read_split(data, "train")
        self.X_val, self.y_val = read_split(data, "val")
        return len(self.X_train)

    def _reset(self) -> None:
        self.epoch = self.steps = 0
        self.best_val_acc, self.best_params, self.best_bn_params = 0, {}, []
        for history in HISTORIES:
            setattr(self, history, [])
        self.optim_configs = {name: copy.deepcopy(self.optim_config) for name in self.model.params}

    def _minibatch(self) -> tuple[np.ndarray, np.ndarray]:
        """What the model's loss takes, drawn with replacement."""
        batch = self.rng.choice(self.num_train, self.batch_size)
        X = self.X_train[batch]
        return self.augment(X, self.rng) if self.augment else X, self.y_train[batch]

    def _step(self) -> None:
        """One minibatch, and one update of every parameter."""
        loss, grads = self.model.loss(*self._minibatch())
        self.loss_history.append(loss)
        for name, w in self.model.params.items():
            self.model.params[name], self.optim_configs[name] = self.update_rule(
                w, grads[name], self.optim_configs[name]
            )

    def check_accuracy(self, X: np.ndarray, y: np.ndarray, num_samples: int | None = None, batch_size: int = 100):
        """The share of examples whose highest score is the label's; of `num_samples` of them, drawn with replacement,
        where there are more."""
        if num_samples is not None and len(X) > num_samples:
            sample = self.rng.choice(len(X), num_samples)
            X, y = X[sample], y[sample]
        starts = range(0, len(X), batch_size)
        return np.mean(np.concatenate([self.model.loss(X[i : i + batch_size]).argmax(axis=1) for i in starts]) == y)

    def train(self) -> None:
        """Run num_epochs epochs of max(N // batch_size, 1) steps each, then give the model its best parameters.

        Accuracy is measured after the first step, after each epoch and after the last step. Best is the highest
        validation accuracy, the first of equals; batch norm's running averages go with it, unlike in the course, so
        that the model at the end is the one measured.
        """
        per_epoch = max(self.num_train // self.batch_size, 1)
        total = self.num_epochs * per_epoch
        for t in range(self.steps, total):
            if self.schedule:
                self._set_learning_rate(self.schedule(t / total))
            self._step()
            self.steps, loss = t + 1, self.loss_history[-1]
            if self.verbose and self.print_every > 0 and t % self.print_every == 0:
                print(f"(Iteration {t + 1} / {total}) loss: {loss:f}")
            epoch_end = self.steps % per_epoch == 0
            if epoch_end:
                self.epoch += 1
                for config in self.optim_configs.values():
                    config["learning_rate"] *= self.lr_decay
            measured = {}
            if t == 0 or self.steps == total or epoch_end:
                measured = self._measure()
                if self.checkpoint_name is not None:
                    self.save(f"{self.checkpoint_name}_epoch_{self.epoch}.npz")
            if self.record:
                self.record(t, loss, **measured)
        self.steps = 0
        if self.best_params:
            self.model.params = self.best_params
            restore_averages(self.model, self.best_bn_params)

    def _set_learning_rate(self, factor: float) -> None:
        rate = self.optim_config["learning_rate"] * self.lr_decay**self.epoch * factor
        for config in self.optim_configs.values():
            config["learning_rate"] = rate

    def _measure(self) -> dict[str, float]:
        """Training and validation accuracy, into the histories; the best parameters so far are kept."""
        train_acc = self.check_accuracy(self.X_train, self.y_train, self.num_train_samples)
        val_acc = self.check_accuracy(self.X_val, self.y_val, self.num_val_samples)
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
        if self.verbose:
            print(f"(Epoch {self.epoch} / {self.num_epochs}) train acc: {train_acc:f}; val_acc: {val_acc:f}")
        if val_acc > self.best_val_acc or not self.best_params:
            self.best_val_acc = val_acc
            self._keep_best()
        return {"train_acc": train_acc, "val_acc": val_acc}

    def _keep_best(self) -> None:
        self.best_params = {name: w.copy() for name, w in self.model.params.items()}
        self.best_bn_params = copy.deepcopy(getattr(self.model, "bn_params", []))

    def _generators(self) -> list:
        """Every generator that the training may draw from; dropout draws from NumPy's own unless it has another."""
        dropout = getattr(self.model, "dropout_param", {}).get("rng", np.random)
        return list({id(rng): rng for rng in (np.random, self.rng, dropout)}.values())

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, without pickle, that `resume` continues from."""
        state = {name: getattr(self, name) for name in PROGRESS}
        state |= {name: getattr(self, name) for name in OPTIONS} | {"params": self.model.params}
        state["bn_params"] = getattr(self.model, "bn_params", [])
        state["generators"] = [generator_state(rng) for rng in self._generators()]
        save_state(path, state)

    def resume(self, path: str | Path) -> None:
        """Return to a checkpoint, generators included, so that `train()` goes on as if it had never stopped.

        The solver must be made with the same model, data and options. Raises ValueError if the file is no checkpoint,
        or one of another rule, of other numbers of epochs or examples in a batch, or of other parameters.
        """
        state = load_state(path)
        needed = (*PROGRESS, *OPTIONS, "params", "bn_params", "generators")
        if lacking := [name for name in needed if name not in state]:
            raise ValueError(f"{path} is not a checkpoint of a Solver: it lacks {', '.join(lacking)}")
        theirs, ours = describe(state, state["params"]), describe(vars(self), self.model.params)
        if theirs != ours:
            raise ValueError(f"{path} is of another training: {theirs}, not {ours}")
        for name in PROGRESS:
            setattr(self, name, state[name])
        self.model.params = state["params"]
        restore_averages(self.model, state["bn_params"])
        for rng, generator in zip(self._generators(), state["generators"], strict=True):
            set_generator_state(rng, generator)


class LossSolver(Solver):
    """Trains a model that has a loss and no accuracy; its validation loss, by `check_loss(split, num_samples)`, is
    measured where `num_val_samples` says on how many examples, and the model ends with the parameters of the lowest."""

    def check_accuracy(self, X, y, num_samples=None, batch_size=100) -> float:
        """0.0, as in the course: there is no accuracy; the name is kept for code that calls it."""
        return 0.0

    def _measure(self) -> dict[str, float]:
        if self.num_val_samples is None:
            return {}
        loss = self.check_loss("val", self.num_val_samples)
        if not self.best_params or loss < min(self.val_loss_history):
            self._keep_best()
        self.val_loss_history.append(loss)
        if self.verbose:
            print(f"(Epoch {self.epoch} / {self.num_epochs}) val loss: {loss:f}")
        return {"val_loss": loss}


def describe(options: dict, params: dict[str, np.ndarray]) -> str:
    """What a training must share to be continued, in words."""
    return f"{[options.get(name) for name in OPTIONS]} on { ({name: w.shape for name, w in params.items()}) }"


def restore_averages(model: object, bn_params: list[dict]) -> None:
    """Put running averages back into the model's own dicts."""
    for mine, saved in zip(getattr(model, "bn_params", []), bn_params, strict=False):
        mine.update(copy.deepcopy(saved))


def read_split(data: dict, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Examples and labels of one split; raises ValueError if they are missing, empty or of different number."""
    if any(f"{kind}_{split}" not in data for kind in "Xy"):
        raise ValueError(f"data must have X_{split} and y_{split}, but has {', '.join(map(str, data)) or 'nothing'}")
    X, y = (np.asarray(data[f"{kind}_{split}"]) for kind in "Xy")
    if len(X) != len(y) or not len(X):
        raise ValueError(f"X_{split} and y_{split} must be equally many, not {np.shape(X)} and {np.shape(y)}")
    return X, y
