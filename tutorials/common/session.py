"""The frame of a run: its folder, device, lock and logger when it begins, one clear line when it ends early."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

import data
from data import StudyError
from tutorials.common import checkpoint, summary
from tutorials.common.console import say
from tutorials.common.device import Device, fastest_threads, launch_command
from tutorials.common.interrupts import MENDABLE, Stopping
from tutorials.common.lock import FolderLock
from tutorials.common.options import Options, deciding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tutorials.common.logger import Logger


STEP = "done.safetensors"  # what a finished step came to, in the folder of its name
CHECKPOINTS = (*(f"{name}.safetensors" for name in checkpoint.NAMES), "checkpoint.npz")


def move_aside(folder: Path, say: Callable[[str], None]) -> None:
    """Rename an earlier run of the same name, so that nothing of it is lost or mixed with the new one."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / "metrics.jsonl").exists():
        raise StudyError(f"--run-dir {folder}: it holds files of other kinds. Choose a new or an empty folder.")
    number = 1
    while (aside := folder.resolve().with_name(f"{folder.resolve().name}.{number}")).exists():
        number += 1
    folder.rename(aside)
    say(f"{folder}: an earlier run was there; it is now {aside} (to continue one instead: --resume)")


class Session:
    """What `with Run(...)` enters and leaves: a failure that the user can mend ends in one line and exit code 1,
    an interruption in 128 + the signal.

    A run of several steps does each `once`: when it was interrupted, killed or unplugged, `--resume` takes the steps
    that were finished from their files.
    """

    def __init__(self, name: str, options: Options) -> None:
        self.name, self.options = name, options
        self.folder = options.run_dir or Path("runs") / f"{name}-{options.data}-{options.recipe}-seed{options.seed}"
        self.is_main = True
        self.resumed: dict[str, Any] | None = None  # the checkpoint that --resume found
        self.seconds = 0.0  # spent in training and measuring
        self.logger: Logger | None = None
        self.stopping = Stopping()
        self.lock = FolderLock(self.folder)
        self.last_is_good = True  # whether last.safetensors may become the previous one
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        self.stopping.listen()
        try:
            self.place = Device(self.options.device, self.options.seed, self.options.threads)
            self.device, self.is_main = self.place.torch, self.place.is_main
            if self.is_main:
                self.lock.acquire()
            if self.options.resume:
                self.resumed = self.find_checkpoint()
                self.last_is_good = self.resumed is None or self.resumed["file"] == checkpoint.NAMES[0]
            elif self.is_main:
                move_aside(self.folder, self.say)
            if self.is_main:
                from tutorials.common.logger import Logger  # TensorBoard and matplotlib, which a prediction needs not

                state = self.resumed or {"step": 0, "journal_size": 0}
                self.logger = Logger(self.folder, state["step"], state["journal_size"])
                checkpoint.write_atomic(self.folder / "identity.json", json.dumps(self.identity()).encode())
            self.choose_threads()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self.stopping.ignore()
        if self.logger:
            self.logger.close()
        self.lock.release()
        if isinstance(error, KeyboardInterrupt):
            self.leave(f"{str(error) or 'stopped'}. {self.how_to_continue()}", self.stopping.exit_code)
        if isinstance(error, StudyError):
            self.leave(str(error), 1)
        if isinstance(error, RuntimeError) and "without overflow" in str(error):  # in an optimizer's step
            self.leave(f"{self.name}: a learning rate is too large for float32. Try a lower one.", 1)
        if isinstance(error, OSError) and error.errno in MENDABLE:
            what = f"{self.name}: cannot write {error.filename or self.folder}: {error.strerror}"
            self.leave(f"{what}. Make room, or choose another folder with --run-dir. {self.how_to_continue()}", 1)
        if error is None:
            self.place.close()

    def choose_threads(self) -> None:
        """Take the number of CPU threads that is the fastest at the start, and keep to it on resume: another number
        rounds sums in another way. An explicit number, a GPU and several processes are left alone."""
        if self.options.threads or self.device.type != "cpu" or self.place.world_size > 1:
            return
        most, path = torch.get_num_threads(), self.folder / "threads"
        kept = path.read_text(encoding="utf-8") if self.options.resume and path.exists() else ""
        if most == 1 and not kept:
            return
        threads = int(kept) if kept.isdecimal() and 0 < int(kept) <= 1024 else fastest_threads(most)
        torch.set_num_threads(threads)
        checkpoint.write_atomic(path, str(threads).encode())
        less = f", not {most}: other work keeps the cores busy" if not kept and threads < most else ""
        self.say(f"{self.name}: CPU threads: {threads}{less} (--threads sets another number)")

    def find_checkpoint(self) -> dict[str, Any] | None:
        """What `--resume` continues from, if there is a checkpoint of the whole run: `once` finds those of its steps.

        Raises StudyError for a run of other options.
        """
        path = self.folder / "identity.json"
        if path.exists():
            checkpoint.check_identity(path, json.loads(path.read_text(encoding="utf-8")), self.identity())
        else:
            self.say(f"{self.folder}: no checkpoint yet; starting from the beginning")
        return None

    def once(self, name: str, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What `work` returns, a tree of numbers, texts and tensors, with the `seconds` it took; kept in the folder
        of its name, from where `--resume` takes it instead of doing the work again."""
        path = self.folder / name / STEP
        done = self.place.collect(self.options.resume and path.exists())[0]
        try:
            outcome = checkpoint.load(path) if done else None
        except checkpoint.BrokenCheckpointError as error:
            self.say(f"{error}. It is done again.")
            outcome = None
        if outcome:
            self.say(f"{name}: done before")
        else:
            since = time.perf_counter()
            outcome = {"seconds": 0.0, **work()}
            outcome["seconds"] = outcome["seconds"] or time.perf_counter() - since
            if self.is_main:
                checkpoint.save(path, outcome)
        self.seconds += outcome["seconds"]
        return outcome

    def load_data(self, name: str) -> Any:
        """The data set that `--data` chose; under torchrun the first process downloads while the others wait."""
        return self.place.main_first(lambda: data.load(name, self.options.data, self.options.data_root))

    def figure(self, name: str, figure: "Figure", step: int = 0) -> None:
        """Save a figure and show it on the dashboard."""
        if self.logger:
            self.logger.figure(name, figure, step)

    def finish(
        self, metrics: Mapping[str, float], published: Mapping[str, float], chance: Mapping[str, float], **more: Any
    ) -> None:
        """Write `summary.json`, last and at once, with `more` in it, and say how the run compares."""
        if self.logger:
            summary.write(self, metrics, published, chance, **more)

    def leave(self, message: str, code: int) -> None:
        """End the program with one message."""
        if self.is_main:
            say(message.rstrip(), error=True)
        self.place.exit(code)

    def say(self, text: str) -> None:
        """Print a line, once for all processes."""
        if self.is_main:
            say(text)

    def how_to_continue(self) -> str:
        """The command that goes on from the last checkpoint, when there is one."""
        if not any(next(self.folder.rglob(name), None) for name in (*CHECKPOINTS, STEP)):
            return ""
        return f"To continue: {launch_command()} --resume".replace(" --resume --resume", " --resume")

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that continues it, as JSON gives it back."""
        about = {"tutorial": self.name, "processes": self.place.world_size, **deciding(self.options)}
        return json.loads(json.dumps(about))
