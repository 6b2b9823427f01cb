"""Ctrl-C and SIGTERM: the first asks the run to save and stop after its step, the second stops at once."""

import signal
import threading
import time
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Under torchrun one Ctrl-C arrives twice, from the terminal and from torchrun; a person's second one comes later.
SECOND_PRESS = 1.0  # seconds


class Stopping:
    """Whether a signal asked for an end, between `listen` and `ignore`."""

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self.exit_code = 128 + signal.SIGINT
        self.before: dict[int, object] = {}

    @property
    def asked(self) -> bool:
        return self.asked_at is not None

    def listen(self) -> None:
        """Take over the signals (only a main thread can)."""
        if threading.current_thread() is threading.main_thread() and not self.before:
            self.before = {number: signal.signal(number, self.hear) for number in SIGNALS}

    def hear(self, number: int, frame: FrameType | None) -> None:
        self.exit_code = 128 + number
        if self.asked_at is None:
            self.asked_at = time.monotonic()
        elif time.monotonic() - self.asked_at > SECOND_PRESS:
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """Give the signals back to whoever had them."""
        while self.before:
            signal.signal(*self.before.popitem())
