"""Ctrl-C and SIGTERM: the first asks the run to save and stop after its step, the second stops at once."""

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Whether a signal asked for an end, between `listen` and `ignore`."""

    def __init__(self) -> None:
        self.asked = False
        self.exit_code = 128 + signal.SIGINT
        self.before: dict[int, object] = {}

    def listen(self) -> None:
        """Take over the signals (only a main thread can)."""
        if threading.current_thread() is threading.main_thread() and not self.before:
            self.before = {number: signal.signal(number, self.hear) for number in SIGNALS}

    def hear(self, number: int, frame: FrameType | None) -> None:
        self.exit_code = 128 + number
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def ignore(self) -> None:
        """Give the signals back to whoever had them."""
        while self.before:
            signal.signal(*self.before.popitem())
