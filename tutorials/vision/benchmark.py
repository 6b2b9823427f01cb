"""The measured cost of a net: multiply-adds, latency, throughput, memory, bytes."""

import statistics
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WARM_UP = 3  # forward passes at most that are not timed: the first ones choose algorithms and fill caches


@dataclass(frozen=True)
class Cost:
    """One net at one image size on one device."""

    parameters: int
    gflops: float  # 1e9 multiply-adds for one image, as torchvision counts them
    megabytes: float  # of its state dict, in units of 2^20 bytes, as torchvision states files
    latency: float  # ms for one image, median
    latency_p95: float  # ms
    throughput: float  # images per second
    batch_size: int  # at which the throughput was measured
    memory: float  # peak in units of 2^20 bytes, weights included, for a batch of one


def measure(net: nn.Module, size: int, batch_size: int, repetitions: int) -> Cost:
    """All costs of a net for images (3, size, size), on the net's own device, in its data type and memory format."""
    weight = next(net.parameters())
    images = torch.randn(batch_size, 3, size, size, device=weight.device, dtype=weight.dtype)
    times = time_calls(lambda: net(images[:1]), weight.device, repetitions)
    throughput, fitting = measure_throughput(net, images, max(1, repetitions // 5))
    return Cost(
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        gflops=count_gflops(net, images[:1]),
        megabytes=sum(value.nbytes for value in net.state_dict().values()) / 2**20,
        latency=statistics.median(times),
        latency_p95=sorted(times)[min(len(times) - 1, round(0.95 * len(times)))],
        throughput=throughput,
        batch_size=fitting,
        memory=peak_memory(net, images[:1]),
    )


@torch.no_grad()  # in inference mode the counter sees nothing
def count_gflops(net: nn.Module, images: Tensor) -> float:
    """Multiply-adds, in 1e9, of all convolutions and matrix products: half of what torch's counter says."""
    from torch.utils.flop_counter import FlopCounterMode  # imports triton, of which a prediction needs nothing

    with FlopCounterMode(display=False) as counter:
        net(images)
    return counter.get_total_flops() / 2e9


@torch.inference_mode()
def time_calls(function: Callable[[], Any], device: torch.device, repetitions: int) -> list[float]:
    """Milliseconds of each of so many calls, after a few that do not count; each ends when the device has finished."""
    finish, times = getattr(torch, device.type).synchronize, []
    warm_up = min(WARM_UP, repetitions)
    for call in range(warm_up + repetitions):
        finish()
        begun = time.perf_counter()
        function()
        finish()
        if call >= warm_up:
            times.append(1000 * (time.perf_counter() - begun))
    return times


def measure_throughput(net: nn.Module, images: Tensor, repetitions: int) -> tuple[float, int]:
    """Throughput in images per second of a batch, halved until it fits in memory; and the batch size."""
    try:
        times = time_calls(lambda: net(images), images.device, repetitions)
    except RuntimeError as error:  # what every device raises when its memory is full
        if len(images) == 1 or "memory" not in str(error):
            raise
        return measure_throughput(net, images[: len(images) // 2], repetitions)
    return 1000 * len(images) / statistics.median(times), len(images)


@torch.no_grad()
def peak_memory(net: nn.Module, images: Tensor) -> float:
    """The most memory, in 2^20 bytes, that weights and activations took at once: as the device's allocator counts it,
    or where it does not, as the tensors alive after each operation (without an operation's own scratch space)."""
    allocator = getattr(torch, images.device.type)
    if hasattr(allocator, "max_memory_allocated"):
        before = allocator.memory_allocated()
        allocator.reset_peak_memory_stats()
        net(images)
        made = allocator.max_memory_allocated() - before
    else:
        with AliveTensors() as alive:
            net(images)
        made = alive.peak
    weights = sum(value.nbytes for value in net.state_dict().values())
    return (weights + images.nbytes + made) / 2**20


class AliveTensors(TorchDispatchMode):
    """Counts the bytes of all tensors made inside it: `now`, and at the most, `peak`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: dict[int, int] = {}  # users of each storage, by its address

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {part.untyped_storage()._cdata for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)}
        result = function(*args, **(kwargs or {}))
        for part in tree_leaves(result):
            if isinstance(part, Tensor):
                self.add(part, part.untyped_storage()._cdata in given)
        self.peak = max(self.peak, self.now)
        return result

    def add(self, tensor: Tensor, is_view: bool) -> None:
        """Count a tensor's storage, once for all its views, until the last of them has gone."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            if is_view:  # of the weights or the input, which are counted elsewhere
                return
            self.known[key], self.now = 0, self.now + size
        self.known[key] += 1
        weakref.finalize(tensor, self.release, key, size)

    def release(self, key: int, size: int) -> None:
        self.known[key] -= 1
        if not self.known[key]:
            del self.known[key]
            self.now -= size
