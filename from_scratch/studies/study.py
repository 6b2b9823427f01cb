"""The frame of a study: `with Study(...)` trains many small nets, each with its own curve on the dashboard."""

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from data import StudyError, tiny
from from_scratch.data_utils import get_CIFAR10_data
from from_scratch.solver import Solver
from tutorials.common import summary
from tutorials.common.console import print_table
from tutorials.common.logger import Logger
from tutorials.common.options import MOST_THREADS, Options
from tutorials.common.plots import read_point
from tutorials.common.session import RECORD, Session


@dataclass
class StudyOptions(Options):
    """What every study takes."""

    recipe: Literal["study"] = "study"
    """A study has one recipe: the notebook's experiments, and what goes beyond them."""
    epochs: int = 0
    """Maximum number of epochs of each training, for a quick look; 0: as many as the experiment asks for."""
    log_every: int = 10
    """Steps over which the training loss is averaged for each point of a curve."""
    device: Literal["cpu"] = "cpu"
    """NumPy computes on the CPU."""
    threads: int = 1
    """Threads of NumPy's matrix products; more help large nets, and slow a busy machine down."""

    limits = Options.limits | {"epochs": (0, inf), "threads": (1, MOST_THREADS)}


class Study(Session):
    """One run of one study: `train` nets, show `figure` and `table`, `finish` with the summary.

    A study that is interrupted, killed or unplugged goes on with `--resume`: nets that were trained come back from
    their checkpoints, the one that was being trained continues.
    """

    def __init__(self, name: str, options: StudyOptions) -> None:
        super().__init__(name, options)
        self.tables: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        threadpool_limits(self.options.threads, "blas")
        return super().__enter__()

    def find_checkpoint(self) -> None:
        """Leave alone what is finished; each training finds its own checkpoint."""
        if summary.read(self.folder / "summary.json"):
            self.say(f"{self.folder}: finished already (leave out --resume to run it anew)")
            raise SystemExit(0)
        super().find_checkpoint()

    def load_data(self, name: str, own: Callable[[], Any] | None = None) -> Any:
        """As in every run; but the colors of CIFAR-10's twin hint at the class here, for nets without convolutions."""
        if name == "cifar10" and self.options.data == "tiny":
            own = partial(tiny.cifar10, hint=0.5)
        return super().load_data(name, own)

    def load_pictures(self, num_training: int = 49000, subtract_mean: bool = True) -> dict[str, np.ndarray]:
        """CIFAR-10 as the course's dict, with all test pictures; at most `num_training` pictures to train on."""
        pictures = self.load_data("cifar10")
        total = len(pictures.train_labels)
        num_validation = min(1000, total // 8)
        sizes = (total - num_validation, num_validation, len(pictures.test_labels))
        arrays = get_CIFAR10_data(*sizes, subtract_mean, pictures)
        return arrays | {f"{kind}_train": arrays[f"{kind}_train"][:num_training] for kind in "Xy"}

    def rng(self, name: str) -> np.random.Generator:
        """A generator for one purpose: it does not depend on what was drawn for another."""
        return np.random.default_rng([self.options.seed, zlib.crc32(name.encode())])

    def train(
        self, name: str, model: object, data: dict, kind: type[Solver] = Solver, watch: bool = True, **options: Any
    ) -> Solver:
        """Train a model under the Solver's options and return the solver; the model has its best parameters then.

        With `watch` it has a curve and checkpoints in the folder of its name; without, it leaves nothing there. Its
        batches are drawn for its name, or by another `rng` of the options (None: NumPy's global generator).
        """
        options["num_epochs"] = min(options.get("num_epochs", 10), self.options.epochs or inf)
        options.setdefault("rng", self.rng(f"batches of {name}"))
        solver = kind(model, data, verbose=False, **options)
        training = Training(self, name, solver, watch)
        self.stopping.wait_for_step = True
        try:
            solver.train()
        finally:
            self.stopping.wait_for_step = False
            self.seconds += training.close()
        if watch:
            self.say(f"{name}: {training.latest} ({training.seconds:.1f} s)")
        return solver

    def table(self, name: str, head: Sequence[str], rows: Sequence[Sequence[str | float | int]]) -> None:
        """Print a table, show it on the dashboard, and keep it for the summary."""
        self.tables[name] = {"head": list(head), "rows": [list(row) for row in rows]}
        shown = [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
        self.say(f"\n{name}")
        print_table(head, shown)
        self.logger.table(f"tables/{name}", head, shown, 0)

    def finish(self, metrics: Mapping[str, float], published: Mapping[str, float], chance: Mapping[str, float]) -> None:
        """Write `summary.json`, last and at once; the trainings' checkpoints have served."""
        metrics = {name: float(value) for name, value in metrics.items()}
        published = published if self.options.data == "official" else {}
        super().finish(metrics, published, chance, tables=self.tables)
        for path in self.folder.rglob("checkpoint.npz"):
            path.unlink()


NAMES = {"train_acc": "accuracy/train", "val_acc": "accuracy/val", "val_loss": "loss/val"}


def describe(values: Mapping[str, float]) -> str:
    """One line of the record in words."""
    return "  ".join(f"{name} {values[name]:.4f}" for name in ("loss/train", *NAMES.values()) if name in values)


class Training:
    """What a solver calls after each step: the curve, the checkpoint, the progress bar, and whether to stop."""

    def __init__(self, study: Study, name: str, solver: Solver, watch: bool) -> None:
        self.study, self.name, self.solver = study, name, solver
        self.folder: Path = study.folder / name
        self.checkpoint = self.folder / "checkpoint.npz"
        self.total = solver.num_epochs * max(solver.num_train // solver.batch_size, 1)
        self.before = 0.0  # seconds before this process began
        self.written = 0  # steps that the curve has shown
        self.latest = ""
        self.logger: Logger | None = None
        if watch:
            self.open()
        self.started = self.saved_at = time.monotonic()
        self.bar = tqdm(total=self.total, initial=solver.steps, desc=name, unit="step", leave=False, disable=None)
        solver.record = self

    def open(self) -> None:
        """Begin the record, or go on where the checkpoint stands."""
        kept = 0
        if self.study.options.resume and self.checkpoint.exists():
            try:
                self.solver.resume(self.checkpoint)
                kept = self.read_record(self.folder / RECORD)
                self.study.started -= self.before  # the study's time counts what came before
            except (ValueError, OSError) as error:
                self.study.say(f"{self.checkpoint} cannot be continued ({error}): this net is trained anew")
        self.logger = Logger(self.folder, self.solver.steps, kept)
        if self.logger.damaged:
            self.study.say(f"{self.folder / RECORD}: {self.logger.damaged} damaged lines are left out")

    def read_record(self, path: Path) -> int:
        """How many bytes of the record the checkpoint knows of; its last time and measurement are taken over."""
        kept = 0
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
            about = read_point(line) or {}
            if about.get("step", 0) > self.solver.steps:
                break
            kept += len(line)
            if about:
                self.before, self.written, self.latest = about["seconds"], about["step"], describe(about)
        return kept

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    def __call__(self, step: int, loss: float, **measured: float) -> None:
        self.bar.update()
        if self.logger:
            if measured or (step + 1) % self.study.options.log_every == 0:
                self.write(step + 1, measured)
            if step + 1 == self.total or self.due():
                self.save()
        if self.study.stopping.asked:
            raise KeyboardInterrupt(f"stopped at step {step + 1:,} of {self.name}")

    def write(self, step: int, measured: Mapping[str, float]) -> None:
        losses = self.solver.loss_history[self.written : step]
        if not np.isfinite(losses).all():
            raise StudyError(f"{self.study.name}: the training loss of {self.name} is not finite at step {step:,}.")
        values = {"loss/train": float(np.mean(losses, dtype=np.float64))}
        values |= {NAMES[name]: float(value) for name, value in measured.items()}
        self.latest = describe(values)
        values["lr"] = next(iter(self.solver.optim_configs.values()))["learning_rate"]
        self.logger.scalars(values, step, self.solver.epoch, self.seconds)
        self.written = step

    def due(self) -> bool:
        return self.study.stopping.asked or time.monotonic() - self.saved_at >= self.study.options.save_every

    def save(self) -> None:
        self.logger.size()  # the record is on the disk before the checkpoint that counts on it
        self.solver.save(self.checkpoint)
        self.saved_at = time.monotonic()

    def close(self) -> float:
        """Show the weights' histograms and end the record; the seconds that the training took."""
        self.bar.close()
        if self.logger:
            weights = {f"weights/{name}": w for name, w in self.solver.model.params.items()}
            self.logger.histograms(weights, self.total)
            self.logger.close()
        return self.seconds
