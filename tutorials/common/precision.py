"""Half precision where it is worth it: some processors are twice as fast in bfloat16, others very slow."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch


def half_precision(device: torch.device, wanted: bool, say: Callable[[str], None]) -> AbstractContextManager:
    """A context, to be entered again and again, that multiplies matrices in bfloat16 if that is wanted and of use.

    A processor is tried out, and if it is slower in bfloat16 than in float32, that is said and all stays in float32.
    """
    if not wanted:
        return nullcontext()
    try:
        context = torch.autocast(device.type, torch.bfloat16)
    except RuntimeError:  # a device for which torch has no such thing
        say("bfloat16 is not to be had on this device: computing in float32")
        return nullcontext()
    if device.type == "cpu" and product_seconds(torch.bfloat16) > product_seconds(torch.float32):
        say("this processor is slow in bfloat16: computing in float32")
        return nullcontext()
    return context


def product_seconds(dtype: torch.dtype, rounds: int = 5) -> float:
    """The shortest of some times that a product of two matrices takes."""
    left, right, seconds = torch.ones(512, 256, dtype=dtype), torch.ones(256, 512, dtype=dtype), []
    for _ in range(rounds):
        begun = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - begun)
    return min(seconds)
