"""Where a run computes: device, threads, seeds and, under torchrun, the processes. No other file knows of them."""

import os
import platform
import random
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from data import StudyError


class Device:
    """One process's place: its torch device, its rank among `world_size` processes, and what they do together."""

    def __init__(self, name: str, seed: int, threads: int = 0) -> None:
        self.rank, self.world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.torch = choose(name)
        if threads:
            torch.set_num_threads(threads)
        if self.torch.type == "cuda":
            torch.cuda.set_device(self.torch)
        if self.world_size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.torch.type == "cuda" else "gloo")
        # Flags travel by gloo even when gradients go by nccl, so that asking for them never stalls a GPU.
        self.control = dist.new_group(backend="gloo") if self.world_size > 1 else None
        seed_everything(seed)

    @property
    def is_main(self) -> bool:
        """Whether this process writes: rank 0 alone does."""
        return self.rank == 0

    def distribute(self, net: torch.nn.Module) -> torch.nn.Module:
        """Move a net to the device; under torchrun, wrap it so that backward averages the gradients of all ranks."""
        net = net.to(self.torch)
        if self.world_size == 1:
            return net
        return DistributedDataParallel(net, device_ids=[self.torch.index] if self.torch.type == "cuda" else None)

    def loader(self, dataset: Dataset, batch_size: int, shuffle: bool, seed: int, **kwargs: Any) -> DataLoader:
        """A DataLoader of this rank's part of every batch; `batch_size` counts the samples of all ranks together.

        Step k sees the same samples however many processes share it. Shuffled (training) loaders leave out the
        incomplete last batch, so that every step weighs the same; others keep it.
        """
        if shuffle and batch_size % self.world_size:
            raise StudyError(f"--batch-size {batch_size} cannot be shared equally by {self.world_size} processes.")
        if shuffle and len(dataset) < batch_size:
            raise StudyError(f"--batch-size {batch_size} is larger than the training set ({len(dataset)} samples).")
        sampler = DistributedSampler(dataset, self.world_size, self.rank, shuffle=shuffle, seed=seed, drop_last=shuffle)
        return DataLoader(dataset, -(-batch_size // self.world_size), sampler=sampler, drop_last=shuffle, **kwargs)

    def move(self, batch: Any) -> Any:
        """Move every tensor of a batch to the device, however it is nested."""
        if isinstance(batch, torch.Tensor):
            return batch.to(self.torch, non_blocking=True)
        if isinstance(batch, Mapping):
            return {key: self.move(part) for key, part in batch.items()}
        if isinstance(batch, tuple | list):
            return type(batch)(self.move(part) for part in batch)
        return batch

    def gather(self, values: torch.Tensor, total: int) -> torch.Tensor:
        """The rows that all ranks computed over an unshuffled `loader`, in the data set's order: (total, ...)."""
        if self.world_size == 1:
            return values
        parts = [torch.empty_like(values) for _ in range(self.world_size)]
        dist.all_gather(parts, values.contiguous())
        # The sampler deals rows out in turn and pads the last round.
        return torch.stack(parts, dim=1).flatten(0, 1)[:total]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of a tensor over all ranks, on the CPU."""
        values = values.detach().cpu()
        if self.world_size > 1:
            dist.all_reduce(values, group=self.control)
            values /= self.world_size
        return values

    def any(self, flag: bool) -> bool:
        """Whether any rank says so; every rank must ask."""
        if self.world_size == 1:
            return flag
        shared = torch.tensor(int(flag))
        dist.all_reduce(shared, op=dist.ReduceOp.MAX, group=self.control)
        return bool(shared)

    def collect(self, value: Any) -> list[Any]:
        """The values of all ranks, in order of rank, on every rank."""
        values: list[Any] = [value]
        if self.world_size > 1:
            values = [None] * self.world_size
            dist.all_gather_object(values, value, group=self.control)
        return values

    def main_first(self, function: Callable[[], Any]) -> Any:
        """Call a function in the main process first, then in the others; they fail together."""
        value, failure = None, None
        if self.is_main:
            try:
                value = function()
            except StudyError as error:
                failure = str(error)
        failure = self.collect(failure)[0]
        if failure is not None:
            raise StudyError(failure)
        return value if self.is_main else function()

    def close(self) -> None:
        """Leave the process group, all ranks together: gloo may wait for ever for a peer that went first."""
        if self.world_size > 1:
            dist.barrier(group=self.control)
            self.control = None
            dist.destroy_process_group()

    def describe(self) -> dict[str, Any]:
        """What a summary says of the machine."""
        name = torch.cuda.get_device_name(self.torch) if self.torch.type == "cuda" else platform.machine()
        return {
            "device": self.torch.type,
            "device_name": name,
            "processes": self.world_size,
            "threads": torch.get_num_threads(),
        }


def choose(name: str) -> torch.device:
    """The torch device for `auto`, `cpu`, `cuda` or `mps`; raises StudyError when it is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    if not there[name]:
        raise StudyError(f"--device {name}: this torch sees no such device. Use --device auto or --device cpu.")
    if name == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device(name)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch: the one place where seeding happens."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def get_random_states() -> dict[str, Any]:
    """The state of every random generator of this process."""
    states = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Put back what `get_random_states` returned."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])


def count_samples(batch: Any) -> int:
    """The length of the first tensor in a batch, however it is nested."""
    if isinstance(batch, torch.Tensor):
        return len(batch)
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, tuple | list) else ()
    return next((count for count in map(count_samples, parts) if count), 0)


def unwrap(thing: Any) -> Any:
    """The net inside what `distribute` returned; anything else as it is."""
    return thing.module if isinstance(thing, DistributedDataParallel) else thing


def launch_command() -> str:
    """The command that started this program, in as many processes."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = spec.name if spec else sys.argv[0]
    if processes > 1:
        program = f"tutorials.common.torchrun {processes} {program}"
    python = os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(Path.cwd()) else sys.executable
    return f"{python} {'-m ' if spec else ''}{program} {shlex.join(sys.argv[1:])}".rstrip()
