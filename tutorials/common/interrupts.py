"""How a program ends before its end: by a signal, or by a failure that one line explains."""

import errno
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from data import StudyError

HANGUP = getattr(signal, "SIGHUP", None)  # the terminal was closed; Windows has no such signal
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([HANGUP] if HANGUP else []))
# Under torchrun one Ctrl-C arrives twice, from the terminal and from torchrun; a person's second one comes later.
SECOND_PRESS = 1.0  # seconds


# Failures of the machine, not of the program.
MENDABLE = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR", "EEXIST", "EFBIG", "ENAMETOOLONG")
    if hasattr(errno, name)
}


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What the user can mend ends the program in one line and exit code 1 (inside a `Run`, the run does this)."""
    try:
        yield
    except (StudyError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in MENDABLE:
            raise
        print(error if isinstance(error, StudyError) else in_one_line(error), file=sys.stderr)
        raise SystemExit(1) from None


def in_one_line(error: OSError) -> str:
    """What the user can do about a file that cannot be written."""
    what = f"cannot write {error.filename or 'a file'}: {error.strerror}"
    return f"{what}. Make room there, or work in a folder that you may write to."


class Stopping:
    """Whether a signal asked for an end, between `listen` and `ignore`.

    While it may `wait_for_step`, the first Ctrl-C, SIGTERM or SIGHUP asks the run to save and stop after its step, and
    a second one stops it at once; else the first does.
    """

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self.wait_for_step = False
        self.exit_code = 128 + signal.SIGINT
        self.before: dict[int, object] = {}

    @property
    def asked(self) -> bool:
        return self.asked_at is not None

    def listen(self) -> None:
        """Take over the signals (only a main thread can); a Ctrl-C that came before, while modules were imported, may
        have been lost in one of their callbacks: it counts now."""
        if threading.current_thread() is threading.main_thread() and not self.before:
            lost = getattr(signal.getsignal(signal.SIGINT), "asked", False)  # by tutorials.tools.launch
            wanted = [one for one in SIGNALS if one != HANGUP or signal.getsignal(one) != signal.SIG_IGN]  # by nohup
            self.before = {number: signal.signal(number, self.hear) for number in wanted}
            if lost:
                self.hear(signal.SIGINT, None)

    def hear(self, number: int, frame: FrameType | None) -> None:
        self.exit_code = 128 + number
        if number == HANGUP:
            let_go_of_terminal()
        first = self.asked_at is None
        if first:
            self.asked_at = time.monotonic()
        if not self.wait_for_step or (not first and time.monotonic() - self.asked_at > SECOND_PRESS):
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """Give the signals back to whoever had them."""
        while self.before:
            signal.signal(*self.before.popitem())


def let_go_of_terminal() -> None:
    """Print into the void where a terminal was closed: to write to it would fail, and end a run before it has saved."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(null, stream)
