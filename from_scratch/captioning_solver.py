"""Training of captioning models, as the course does it."""

from collections.abc import Callable

import numpy as np

from from_scratch import optim
from from_scratch.coco_utils import sample_coco_minibatch


class CaptioningSolver:
    """Trains a model that has `params` and `loss(features, captions)` on the dict of `load_coco_data`.

    Options: update_rule (a name in `optim`), optim_config, lr_decay per epoch, batch_size, num_epochs, print_every,
    verbose; beyond the course: record(step, loss), called after each step, and rng for the batches.
    Raises ValueError for an unknown option or rule. Source: CS231n, assignment 3.
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
        print_every: int = 10,
        verbose: bool = True,
        record: Callable[[int, float], None] | None = None,
        rng: object = np.random,
        **unknown: object,
    ) -> None:
        if unknown:
            raise ValueError(f"Unrecognized arguments {', '.join(map(repr, unknown))}")
        if update_rule.startswith("_") or not callable(getattr(optim, update_rule, None)):
            raise ValueError(f"update_rule must be a rule of optim, not {update_rule!r}")
        self.model, self.data = model, data
        self.update_rule = getattr(optim, update_rule)
        self.optim_config = optim_config or {}
        self.lr_decay, self.batch_size, self.num_epochs = lr_decay, batch_size, num_epochs
        self.print_every, self.verbose = print_every, verbose
        self.record, self.rng = record, rng
        self._reset()

    def _reset(self) -> None:
        self.epoch = 0
        self.best_val_acc = 0
        self.best_params = {}
        self.loss_history = []
        self.train_acc_history = []
        self.val_acc_history = []
        self.optim_configs = {name: dict(self.optim_config) for name in self.model.params}

    def _step(self) -> None:
        captions, features, _ = sample_coco_minibatch(self.data, self.batch_size, "train", self.rng)
        loss, grads = self.model.loss(features, captions)
        self.loss_history.append(loss)
        for name, w in self.model.params.items():
            self.model.params[name], self.optim_configs[name] = self.update_rule(
                w, grads[name], self.optim_configs[name]
            )

    def check_accuracy(self, X, y, num_samples=None, batch_size=100) -> float:
        """0.0, as in the course: captions have no accuracy; the name is kept for code that calls it."""
        return 0.0

    def train(self) -> None:
        """Run num_epochs epochs of max(captions // batch_size, 1) steps each; the losses are in loss_history."""
        per_epoch = max(len(self.data["train_captions"]) // self.batch_size, 1)
        total = self.num_epochs * per_epoch
        for step in range(total):
            self._step()
            if self.record:
                self.record(step, self.loss_history[-1])
            if self.verbose and step % self.print_every == 0:
                print(f"(Iteration {step + 1} / {total}) loss: {self.loss_history[-1]:f}")
            if (step + 1) % per_epoch == 0:
                self.epoch += 1
                for config in self.optim_configs.values():
                    config["learning_rate"] *= self.lr_decay
