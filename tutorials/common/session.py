"""The frame of a run: its folder, device, lock and logger when it begins, one clear line when it ends early."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

import data
from data import StudyError
from data.fingerprint import fingerprint
from tutorials.common import checkpoint, summary
from tutorials.common.console import say
from tutorials.common.device import Device, fastest_threads, launch_command, restarted
from tutorials.common.interrupts import MENDABLE, Stopping
from tutorials.common.lock import FolderLock
from tutorials.common.memory import keep_freed_memory
from tutorials.common.options import MOST_THREADS, Options, deciding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tutorials.common.logger import Logger


IDENTITY, RECORD, FINGERPRINTS = "identity.json", "metrics.jsonl", "fingerprints"
TRACES = (IDENTITY, f".{IDENTITY}.part", "threads", ".threads.part")  # of a run that may not have begun to train
STEP = "done.safetensors"  # what a finished step came to, in the folder of its name
CHECKPOINTS = (*(f"{name}.safetensors" for name in checkpoint.NAMES), "checkpoint.npz")


def move_aside(folder: Path, say: Callable[[str], None]) -> Path | None:
    """Rename an earlier run of the same name, so that nothing of it is lost or mixed with the new one; returns where
    it is now. Raises StudyError for a folder of anything else."""
    if not folder.exists() or is_blank(folder):
        return None
    if not is_run(folder):
        raise StudyError(f"--run-dir {folder}: it holds files of other kinds. Choose a new or an empty folder.")
    number = 1
    while (aside := folder.resolve().with_name(f"{folder.resolve().name}.{number}")).exists():
        number += 1
    folder.rename(aside)
    say(f"{folder}: an earlier run was there; it is now {aside} (to continue one instead: --resume)")
    return aside


def is_run(folder: Path) -> bool:
    """Whether a run of ours began in a folder, which its `identity.json` tells, even a damaged one."""
    about = summary.read_json(folder / IDENTITY) if (folder / IDENTITY).exists() else {}
    return about is None or "tutorial" in about


def is_blank(folder: Path) -> bool:
    """Whether a folder has nothing in it but what a run leaves that ended before its first step."""
    return all(
        file.name in TRACES or file.name.startswith("events.") or (file.name == RECORD and not file.stat().st_size)
        for file in folder.rglob("*")
        if not file.is_dir()
    )


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
        self.place: Device | None = None
        self.resumed: dict[str, Any] | None = None  # the checkpoint that --resume found
        self.fingerprints: dict[str, str] = {}  # of the data that the run began with
        self.aside: Path | None = None  # where an earlier run in this folder is now
        self.seconds = 0.0  # spent in training and measuring
        self.processor_seconds = 0.0  # of all threads and processes, in training
        self.logger: Logger | None = None
        self.stopping = Stopping()
        self.lock = FolderLock(self.folder)
        self.last_is_good = True  # whether last.safetensors may become the previous one
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        try:
            self.stopping.listen()
            keep_freed_memory()
            self.place = Device(self.options.device, self.options.seed, self.options.threads)
            self.device, self.is_main = self.place.torch, self.place.is_main
            self.options.resume = self.place.any(self.options.resume or restarted())
            if self.is_main:
                self.lock.acquire()
            if self.options.resume:
                self.resumed = self.find_checkpoint()
                self.last_is_good = self.resumed is None or self.resumed["file"] == checkpoint.NAMES[0]
            elif self.is_main:
                self.aside = move_aside(self.folder, self.say)
            if self.is_main:
                from tutorials.common.logger import Logger  # TensorBoard and matplotlib, which a prediction needs not

                self.write_identity()
                state = self.resumed or {"step": 0, "journal_size": 0}
                self.logger = Logger(self.folder, state["step"], state["journal_size"])
                if self.logger.damaged:
                    self.say(f"{self.folder / RECORD}: {self.logger.damaged} damaged lines are left out")
            if not self.place.all_see(self.folder / IDENTITY):
                raise StudyError(f"{self.folder}: not all hosts see it. Give a folder that they share: --run-dir")
            self.choose_threads()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self.stopping.ignore()
        if self.logger:
            self.logger.close()
            if error is not None and is_blank(self.folder):  # or it would count as an earlier run
                self.leave_nothing()
        self.lock.release()
        if isinstance(error, KeyboardInterrupt):
            self.leave(f"{str(error) or 'stopped'}. {self.how_to_continue()}", self.stopping.exit_code)
        if isinstance(error, StudyError):
            self.leave(str(error), 1)
        if isinstance(error, RuntimeError) and "without overflow" in str(error):  # in an optimizer's step
            self.leave(f"{self.name}: a learning rate is too large for float32. Try a lower one.", 1)
        if self.place and self.place.lost_another(error):
            print(f"{self.name}: another process of this run ended", file=sys.stderr)
            self.place.exit(1)
        if isinstance(error, OSError) and error.errno in MENDABLE:
            what = f"{self.name}: cannot write {error.filename or self.folder}: {error.strerror}"
            self.leave(f"{what}. Make room, or choose another folder with --run-dir. {self.how_to_continue()}", 1)
        if error is None:
            self.place.close()

    def leave_nothing(self) -> None:
        """Remove what a run wrote that ended before its first step, and put an earlier one back in its place."""
        with suppress(OSError):  # where anything else is in the folder, that stays
            for file in self.folder.iterdir():
                file.unlink()
            self.folder.rmdir()
            if self.aside:
                self.aside.rename(self.folder)
                self.say(f"{self.folder}: the earlier run is back")

    def choose_threads(self) -> None:
        """Take the number of CPU threads that is the fastest at the start, and keep to it on resume: another number
        rounds sums in another way. An explicit number, a GPU and several processes are left alone."""
        if self.options.threads or self.device.type != "cpu" or self.place.world_size > 1:
            return
        most, path = torch.get_num_threads(), self.folder / "threads"
        kept = path.read_bytes() if self.options.resume and path.is_file() else b""
        if most == 1 and not kept:
            return
        known = kept.isdigit() and len(kept) < 5 and 0 < int(kept) <= MOST_THREADS
        threads = int(kept) if known else fastest_threads(most)
        torch.set_num_threads(threads)
        checkpoint.write_atomic(path, str(threads).encode())
        less = f", not {most}: other work keeps the cores busy" if not kept and threads < most else ""
        self.say(f"{self.name}: CPU threads: {threads}{less} (--threads sets another number)")

    def find_checkpoint(self) -> dict[str, Any] | None:
        """What `--resume` continues from, if there is a checkpoint of the whole run: `once` finds those of its steps.

        Raises StudyError for a run of other options, or when its options cannot be read.
        """
        path = self.folder / IDENTITY
        if path.exists():
            about = summary.read_json(path)
            if about is None:
                raise StudyError(
                    f"{path} is damaged: the options and data of the finished steps cannot be read. Leave out --resume "
                    "to start anew; what is there is kept beside it."
                )
            self.fingerprints = about.pop(FINGERPRINTS, {})
            checkpoint.check_identity(path, about, self.identity())
        else:
            self.say(f"{self.folder}: no checkpoint yet; starting from the beginning")
        return None

    def once(self, name: str, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What `work` returns, a tree of numbers, texts and tensors, with the `seconds` it took; kept in the folder
        of its name, from where `--resume` takes it instead of doing the work again."""
        path = self.folder / name / STEP
        done = self.place.collect(self.options.resume and path.exists())[0]
        try:
            outcome = checkpoint.load(path, ("seconds",)) if done else None
        except checkpoint.BrokenCheckpointError as error:
            self.say(f"{error}. Doing this step again.")
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

    def load_data(self, name: str, own: Callable[[], Any] | None = None) -> Any:
        """The data set that `--data` chose, or what `own` reads of the user's; under torchrun the first process
        downloads while the others wait. Raises StudyError where a run would be resumed with other data."""

        def load() -> Any:
            loaded = own() if own else data.load(name, self.options.data, self.options.data_root)
            if self.is_main:
                self.check_data(name, loaded)
            return loaded

        return self.place.main_first(load)

    def check_data(self, name: str, loaded: Any) -> None:
        """Remember what was read, or raise StudyError where it is not what the run began with."""
        found = fingerprint(loaded, self.options.data_root)
        if self.fingerprints.setdefault(name, found) != found:
            given = (getattr(self.options, option) for option in self.options.own)
            what = ", ".join(str(path) for path in given if path) or f"data set {name}"
            raise StudyError(
                f"{self.name}: the data have changed since the run in {self.folder} began ({what}). Put back what was "
                "there to continue it, or leave out --resume to start anew."
            )
        self.write_identity()

    def write_identity(self) -> None:
        """Write what the run is: its options, and the fingerprints of its data as far as they were read."""
        content = self.identity() | {FINGERPRINTS: self.fingerprints}
        checkpoint.write_atomic(self.folder / IDENTITY, json.dumps(content).encode())

    def figure(self, name: str, figure: "Figure", step: int = 0) -> None:
        """Save a figure and show it on the dashboard."""
        if self.logger:
            self.logger.figure(name, figure, step)

    def finish(
        self, metrics: Mapping[str, float], published: Mapping[str, float], chance: Mapping[str, float], **more: Any
    ) -> None:
        """Write `summary.json`, last and atomically, with `more` in it, and print the results beside the published ones
        and chance."""
        if self.logger:
            summary.write(self, metrics, published, chance, **more)

    def leave(self, message: str, code: int) -> None:
        """End the program with one message."""
        if self.is_main:
            say(message.rstrip(), error=True)
        if self.place:
            self.place.exit(code)
        raise SystemExit(code)

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
