"""Half precision where it is worth it: some processors are twice as fast in bfloat16, others very slow."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch


class Autocast:
    """Makes contexts that multiply matrices in bfloat16 if that is wanted and of use.

    A processor is tried out, and if it is slower in bfloat16 than in float32, that is said and all stays in float32.
    Tracked, a run that is resumed keeps to what it chose at its start: a second trial might end otherwise.
    """

    def __init__(self, device: torch.device, wanted: bool, say: Callable[[str], None]) -> None:
        self.device, self.used = device.type, wanted
        try:
            self()
        except RuntimeError:  # a device for which torch has no such thing
            say("bfloat16 is not supported on this device: computing in float32")
            self.used = False
        if self.used and self.device == "cpu" and product_seconds(torch.bfloat16) > product_seconds(torch.float32):
            say("this processor is slow in bfloat16: computing in float32")
            self.used = False

    def __call__(self) -> AbstractContextManager:
        return torch.autocast(self.device, torch.bfloat16) if self.used else nullcontext()

    def state_dict(self) -> dict[str, bool]:
        return {"used": self.used}

    def load_state_dict(self, state: Mapping[str, bool]) -> None:
        self.used = state["used"]


def product_seconds(dtype: torch.dtype, rounds: int = 5) -> float:
    """The shortest of some times that a product of two matrices takes."""
    left, right, seconds = torch.ones(512, 256, dtype=dtype), torch.ones(256, 512, dtype=dtype), []
    for _ in range(rounds):
        begun = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - begun)
    return min(seconds)
