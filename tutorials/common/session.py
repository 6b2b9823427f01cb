"""The frame of a run: its folder, device, lock and journal when it begins, one clear line when it ends early."""

import time
from pathlib import Path
from typing import Any, Self

from data import StudyError
from tutorials.common import checkpoint, summary
from tutorials.common.device import Device, launch_command
from tutorials.common.journal import Journal, say
from tutorials.common.options import Options, deciding
from tutorials.common.stopping import MENDABLE, Stopping


class Session:
    """What `with Run(...)` enters and leaves: a failure that the user can mend ends in one line and exit code 1,
    an interruption in 128 + the signal."""

    def __init__(self, name: str, options: Options) -> None:
        self.name, self.options = name, options
        self.folder = options.run_dir or Path("runs") / f"{name}-{options.data}-{options.recipe}-seed{options.seed}"
        self.is_main = True
        self.resumed: dict[str, Any] | None = None  # the checkpoint that --resume found
        self.journal: Journal | None = None
        self.stopping = Stopping()
        self.lock = summary.FolderLock(self.folder)
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        try:
            self.place = Device(self.options.device, self.options.seed, self.options.threads)
            self.device, self.is_main = self.place.torch, self.place.is_main
            if self.is_main:
                self.lock.acquire()
            if self.options.resume:
                self.resumed = checkpoint.find(self.folder, self.identity(), self.say)
            elif self.is_main:
                summary.move_aside(self.folder, self.say)
            if self.is_main:
                state = self.resumed or {"step": 0, "journal_size": 0}
                self.journal = Journal(self.folder, state["step"], state["journal_size"])
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self.stopping.ignore()
        if self.journal:
            self.journal.close()
        self.lock.release()
        if isinstance(error, KeyboardInterrupt):
            self.leave(f"{error or 'stopped'}. {self.how_to_continue()}", self.stopping.exit_code)
        if isinstance(error, StudyError):
            self.leave(str(error), 1)
        if isinstance(error, OSError) and error.errno in MENDABLE:
            what = f"{self.name}: cannot write {error.filename or self.folder}: {error.strerror}"
            self.leave(f"{what}. Make room, or choose another folder with --run-dir. {self.how_to_continue()}", 1)
        if error is None:
            self.place.close()

    def leave(self, message: str, code: int) -> None:
        """End the program with one message."""
        if self.is_main:
            say(message.rstrip(), error=True)
        raise SystemExit(code)

    def say(self, text: str) -> None:
        """Print a line, once for all processes."""
        if self.is_main:
            say(text)

    def how_to_continue(self) -> str:
        """The command that goes on from the last checkpoint, when there is one."""
        if not any((self.folder / f"{name}.safetensors").exists() for name in checkpoint.NAMES):
            return ""
        return f"To continue: {launch_command()} --resume".replace(" --resume --resume", " --resume")

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that continues it."""
        return {"tutorial": self.name, "processes": self.place.world_size, **deciding(self.options)}
