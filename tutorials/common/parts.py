"""A run of several trainings, one after another: each has its curve, checkpoint and seed in a folder of its own."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch

from tutorials.common import checkpoint
from tutorials.common.device import launch_command
from tutorials.common.run import Run

DONE = "done.safetensors"


class Whole(Run):
    """The run around the trainings. With `--resume`, those that were finished come back as what they came to, and the
    one that was interrupted goes on from its checkpoint."""

    def __enter__(self) -> Self:
        super().__enter__()
        if self.is_main:
            checkpoint.write_atomic(self.folder / "identity.json", json.dumps(self.identity()).encode())
        return self

    def find_checkpoint(self) -> None:
        """Refuse to go on under other options; each part finds its own checkpoint."""
        path = self.folder / "identity.json"
        if path.exists():
            checkpoint.check_identity(path, json.loads(path.read_text()), self.identity())

    def how_to_continue(self) -> str:
        begun = any(next(self.folder.rglob(name), None) for name in (DONE, "last.safetensors"))
        return f"To continue: {launch_command()} --resume".replace(" --resume --resume", " --resume") if begun else ""

    def part(self, name: str, work: Callable[["Part"], Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
        """What one training comes to: `work` trains under the run's options, some of them changed.

        Its outcome is kept as tensors and numbers in the folder of its name, and its checkpoints are removed.
        """
        done = self.folder / name / DONE
        if self.options.resume and done.exists():
            outcome = checkpoint.load(done)
        else:
            self.say(f"\n{name}")
            with Part(self, name, changes) as part:
                outcome = {**work(part), "seconds": part.seconds}
                part.logger and part.logger.size()  # the record is on the disk before what stands for it
            if self.is_main:
                checkpoint.save(done, outcome)
                for kept in ("last", "previous", "best"):
                    (done.parent / f"{kept}.safetensors").unlink(missing_ok=True)
        self.seconds += outcome["seconds"]
        return outcome


class Part(Run):
    """One training of a `Whole`."""

    def __init__(self, whole: Whole, name: str, changes: Mapping[str, Any]) -> None:
        options = replace(whole.options, run_dir=whole.folder / name, threads=torch.get_num_threads(), **changes)
        super().__init__(whole.name, options)
        self.title, self.how_to_continue = name, whole.how_to_continue

    def identity(self) -> dict[str, Any]:
        return {"part": self.title, **super().identity()}

    def find_checkpoint(self) -> dict[str, Any] | None:
        """Most parts of an interrupted run had not begun: that is not worth a line."""
        there = any((Path(self.folder) / f"{name}.safetensors").exists() for name in checkpoint.NAMES)
        return super().find_checkpoint() if there else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None:  # the processes stay together: the whole run still needs them
            self.place.close = lambda: None
        super().__exit__(kind, error, trace)
