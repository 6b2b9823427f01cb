"""A run of several trainings, one after another: each has its curve, checkpoint and seed in a folder of its own."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from tutorials.common.run import Run
from tutorials.common.session import CHECKPOINTS, Session


class Experiment(Run):
    """The run around the trainings. With `--resume`, finished ones return their saved outcomes, and the interrupted
    one goes on from its checkpoint."""

    find_checkpoint = Session.find_checkpoint  # each trial finds its own

    def trial(self, name: str, work: Callable[["Trial"], Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
        """What one training comes to: `work` trains under the run's options, some of them changed.

        Its outcome is kept as tensors and numbers in the folder of its name, and its checkpoints are removed.
        """
        outcome = self.once(name, partial(self.train, name, work, changes))
        if self.is_main:
            for kept in (*CHECKPOINTS, "best.safetensors"):
                (self.folder / name / kept).unlink(missing_ok=True)
        return outcome

    def train(self, name: str, work: Callable[["Trial"], Mapping[str, Any]], changes: Mapping[str, Any]) -> dict:
        """The training itself: its outcome with its seconds."""
        self.say(f"\n{name}")
        with Trial(self, name, changes) as trial:
            outcome = {**work(trial), "seconds": trial.seconds}
            trial.logger and trial.logger.size()  # the record is on the disk before what stands for it
        return outcome


class Trial(Run):
    """One training of an `Experiment`."""

    def __init__(self, whole: Experiment, name: str, changes: Mapping[str, Any]) -> None:
        options = replace(whole.options, run_dir=whole.folder / name, threads=torch.get_num_threads(), **changes)
        super().__init__(whole.name, options)
        self.title, self.how_to_continue = name, whole.how_to_continue

    def identity(self) -> dict[str, Any]:
        return {"trial": self.title, **super().identity()}

    def find_checkpoint(self) -> dict[str, Any] | None:
        """Most trials of an interrupted run had not begun: that is not worth a line."""
        return super().find_checkpoint() if any((self.folder / name).exists() for name in CHECKPOINTS) else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None:  # the processes stay together: the whole run still needs them
            self.place.close = lambda: None
        super().__exit__(kind, error, trace)
