"""A run: loop control, resume and record. Forward, loss, backward and step stay in the tutorial."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from data import StudyError
from tutorials.common import checkpoint
from tutorials.common.device import (
    count_samples,
    get_random_states,
    set_random_states,
    unwrap,
)
from tutorials.common.options import Options, deciding
from tutorials.common.session import FINGERPRINTS, Session
from tutorials.common.window import Window

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a checkpoint keeps of a run, beside the states of what is tracked.
PROGRESS = ("epoch", "batch", "step", "seconds", "processor_seconds", "best_score")
NEEDED = {*PROGRESS, "identity", "journal_size", "processes", "total_seconds", "tracked"}


class Run(Session):
    """One run of one tutorial: inside `with`, `track` what it must remember, then go through `epochs` and `batches`.

    A run that is interrupted, killed or unplugged goes on with `--resume` from its last checkpoint; on a CPU the
    results are bit for bit the same.
    """

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options)
        self.epoch = self.batch = self.step = 0  # epochs done; batches begun in this one; steps begun in all
        self.samples = 0  # trained on since this process began
        self.measured = (0, 0.0)  # samples and seconds at the curve's last point
        self.best_score: float | None = None
        self.tracked: dict[str, Any] = {}
        self.window = Window()
        self.epoch_start: dict[str, Any] = {}  # random states before the epoch's first batch was drawn
        self.passed_over = 0  # batches that a resumed epoch has already seen
        self.saved_at = time.monotonic()

    def find_checkpoint(self) -> dict[str, Any] | None:
        """The training's newest checkpoint, or None to begin at the beginning."""
        found = checkpoint.find(self.folder, self.identity(), NEEDED, self.say)
        self.fingerprints = found.get(FINGERPRINTS, {}) if found else {}
        return found

    def loader(self, dataset: Dataset, batch_size: int, shuffle: bool = False, **kwargs: Any) -> DataLoader:
        """A DataLoader of this process's share of every batch of `batch_size` samples (see `Device.loader`)."""
        return self.place.loader(dataset, batch_size, shuffle, self.options.seed, **kwargs)

    def distribute(self, net: nn.Module) -> nn.Module:
        """The net on the run's device; under torchrun, with its gradients averaged over the processes."""
        return self.place.distribute(net)

    def track(self, **objects: Any) -> None:
        """Put what has a state (`net=`, `optimizer=`, …) under the checkpoint's care; restore it on resume."""
        self.tracked.update(objects)
        if self.resumed:
            for name, thing in objects.items():
                with self.fitting(name):
                    unwrap(thing).load_state_dict(self.resumed["tracked"][name])

    def epochs(self) -> Iterator[int]:
        """The numbers of the epochs still to do; saves on the way and at the end."""
        if self.resumed:
            with self.fitting("the run's progress"):
                self.restore(self.resumed)
        self.stopping.wait_for_step = True
        for number in range(self.epoch, self.options.epochs):
            yield number
            self.epoch, self.batch = number + 1, 0
            self.save_if_due()
        self.save()
        self.stopping.wait_for_step = False
        if self.place.any(self.stopping.asked):
            raise KeyboardInterrupt(f"stopped at step {self.step:,}, the last")

    def batches(self, loader: DataLoader) -> Iterator[Any]:
        """The epoch's batches on the device, one training step each; on resume, those already done are passed over."""
        for part in (loader.sampler, loader.dataset):
            if hasattr(part, "set_epoch"):
                part.set_epoch(self.epoch)
        done, self.passed_over = self.passed_over, 0
        if self.batch != done:
            raise RuntimeError("run.batches can be gone through once in an epoch; use run.each for evaluation")
        now = get_random_states()
        if done:  # draw again what was drawn, from the same state, so that any loader comes to the same place
            set_random_states(self.epoch_start)
        self.epoch_start = get_random_states()
        batches = iter(loader)
        for _ in range(done):
            next(batches)
        if done:
            set_random_states(now)
        with tqdm(
            total=len(loader),
            initial=done,
            unit="batch",
            leave=False,
            disable=None if self.is_main else True,
            desc=f"epoch {self.epoch + 1}/{self.options.epochs}",
        ) as bar:
            since, used = time.perf_counter(), time.process_time()
            for batch in batches:
                self.step, self.batch = self.step + 1, self.batch + 1
                yield self.place.move(batch)
                self.seconds += time.perf_counter() - since
                self.processor_seconds += (time.process_time() - used) * self.place.world_size  # all do the same
                self.samples += count_samples(batch) * self.place.world_size
                bar.update()
                if self.batch == len(loader) and self.epoch + 1 == self.options.epochs:
                    self.flush()  # a run that is resumed from here has no gradients
                self.save_if_due()
                since, used = time.perf_counter(), time.process_time()
        self.check_finite()

    def each(self, loader: DataLoader) -> Iterator[Any]:
        """A loader's batches on the device, for evaluation: nothing is counted or saved."""
        return (self.place.move(batch) for batch in loader)

    def gather(self, rows: torch.Tensor, total: int) -> torch.Tensor:
        """Rows computed over an unshuffled `loader` by all processes, in the data set's order: (total, ...)."""
        return self.place.gather(rows, total)

    def mean(self, values: torch.Tensor) -> float:
        """The mean of the values (n,) of all processes, each of which has computed its share of them."""
        total, count = self.place.mean(torch.stack([values.sum(), values.new_tensor(len(values))]))
        return float(total / count)

    def log(self, split: str, **values: float | torch.Tensor) -> None:
        """Log `value/split`. Training values are averaged over `log_every` steps, but those of the first step stand
        alone, so that a curve begins where the training does; all others are written at once."""
        if split == "train":
            self.window.add(values)
            if self.step == 1 or self.step % self.options.log_every == 0:
                self.flush()
            return
        values = {name: float(value) for name, value in values.items()}
        self.write({f"{name}/{split}": value for name, value in values.items()})
        shown = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        where = f"epoch {self.epoch + 1}/{self.options.epochs}  step {self.step:,}"
        self.say(f"{where}  {split}: {shown}  ({self.seconds:.1f} s of training)")

    def keep_best(self, score: float, **about: Any) -> None:
        """Save the net, and what is to be known `about` it, as `best.safetensors` if the score is the best so far."""
        self.check_finite()
        if self.best_score is not None and score <= self.best_score:
            return
        self.best_score = score
        if self.is_main:
            about |= {"tutorial": self.name, "epoch": self.epoch + 1, "score": score, "options": deciding(self.options)}
            checkpoint.save(
                self.folder / "best.safetensors", {**unwrap(self.tracked["net"]).state_dict(), "about": about}
            )

    def histograms(self) -> None:
        """Show the distributions of the tracked net's weights and last gradients."""
        if self.logger:
            weights = dict(unwrap(self.tracked["net"]).named_parameters())
            gradients = {f"gradients/{name}": w.grad for name, w in weights.items() if w.grad is not None}
            self.logger.histograms(
                {f"weights/{name}": w.detach() for name, w in weights.items()} | gradients, self.step
            )

    def figure(self, name: str, figure: "Figure") -> None:
        """Save a figure and show it on the dashboard."""
        super().figure(name, figure, self.step)

    def finish(
        self, metrics: Mapping[str, float], published: Mapping[str, float], chance: Mapping[str, float], **more: Any
    ) -> None:
        """Write `summary.json`, last and atomically, and print the results beside the published ones and chance."""
        parameters = sum(weight.numel() for weight in self.tracked["net"].parameters())
        super().finish(metrics, published, chance, step=self.step, parameters=parameters, **more)

    def flush(self) -> None:
        """Write the means of the training values since the last point, with samples per second, learning rate and
        gradient norm."""
        if not self.window.values:
            return
        self.check_finite()
        values = {f"{name}/train": value for name, value in self.window.means(self.place.mean).items()}
        if "optimizer" in self.tracked:
            values["lr"] = self.tracked["optimizer"].param_groups[0]["lr"]
        gradients = [p.grad.norm() for p in self.tracked["net"].parameters() if p.grad is not None]
        values["grad_norm"] = torch.stack(gradients).norm().item()
        samples, seconds = self.samples - self.measured[0], self.seconds - self.measured[1]
        if seconds > 0:
            values["samples_per_second"] = samples / seconds
        self.measured = (self.samples, self.seconds)
        self.write(values)
        self.window.clear()

    def write(self, values: dict[str, float]) -> None:
        if self.logger:
            self.logger.scalars(values, self.step, self.epoch + 1, self.seconds)

    def check_finite(self) -> None:
        """Stop the run at the first step whose training values are not finite, before anything of it is saved."""
        wrong = self.window.first_not_finite(self.place.mean)
        what = "the training loss is" if wrong is not None else "the weights are"
        if wrong is not None or not all(weight.isfinite().all() for weight in self.tracked["net"].parameters()):
            raise StudyError(
                f"{self.name}: {what} not finite at step {self.step - (wrong or 0):,}. The last good checkpoint "
                f"in {self.folder} is kept. Try a lower learning rate."
            )

    def save_if_due(self) -> None:
        """Save when the interval is over on the main process, or when any process was asked to stop."""
        due = self.is_main and time.monotonic() - self.saved_at >= self.options.save_every
        if not self.place.any(due or self.stopping.asked):
            return
        self.save()
        if self.place.any(self.stopping.asked):
            raise KeyboardInterrupt(f"stopped at step {self.step:,}")

    def save(self) -> None:
        """Write `last.safetensors`; the one before stays as `previous.safetensors`."""
        self.check_finite()
        own = self.place.collect(
            {"random": get_random_states(), "epoch_start": self.epoch_start, "window": self.window.state_dict()}
        )
        if self.is_main:
            checkpoint.save(
                self.folder / "last.safetensors",
                {name: getattr(self, name) for name in PROGRESS}
                | {"identity": self.identity(), "journal_size": self.logger.size(), "processes": own}
                | {"total_seconds": time.monotonic() - self.started, FINGERPRINTS: self.fingerprints}
                | {"tracked": {name: unwrap(thing).state_dict() for name, thing in self.tracked.items()}},
                keep_previous=self.last_is_good,
            )
        self.last_is_good = True
        self.saved_at = time.monotonic()

    @contextmanager
    def fitting(self, what: str) -> Iterator[None]:
        """A StudyError for a checkpoint that lacks something of what is tracked today."""
        try:
            yield
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            path = self.folder / f"{self.resumed['file']}.safetensors"
            raise StudyError(
                f"{path}: {what} in it cannot be continued ({' '.join(str(error).split())[:150]}). Remove the file to "
                "continue from the one before it, or leave out --resume to start anew."
            ) from error

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in PROGRESS:
            setattr(self, name, state[name])
        self.started = time.monotonic() - state["total_seconds"]
        own = state["processes"][self.place.rank]
        self.passed_over = self.batch
        self.measured = (0, self.seconds)
        self.window.load_state_dict(own["window"])
        self.epoch_start = own["epoch_start"]
        set_random_states(own["random"])
        done = self.epoch == self.options.epochs
        self.say(
            f"{self.name}: {'trained already; testing again' if done else f'continuing at epoch {self.epoch + 1}'}, "
            f"step {self.step:,}"
        )
