"""Where a run computes: device, threads, seeds and, under torchrun, the processes. No other file knows of them."""

import os
import platform
import random
import re
import shlex
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from data import StudyError
from tutorials.common.console import say
from tutorials.common.interrupts import one_line_errors


class Device:
    """One process's place: its torch device, its rank among `world_size` processes, and what they do together."""

    def __init__(self, name: str, seed: int, threads: int = 0) -> None:
        """`threads`: of the CPU; 0 leaves torch's number."""
        self.rank, self.world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.torch = choose(name)
        if threads:
            torch.set_num_threads(threads)
        if self.torch.type == "cuda":
            torch.cuda.set_device(self.torch)
        if self.world_size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.torch.type == "cuda" else "gloo")
        # Flags travel by gloo even when gradients go by nccl, so that asking for them never stalls a GPU. All may wait
        # long for the main process, which downloads, and tests; of one that ended they hear at once.
        wait = timedelta(hours=12)
        self.control = dist.new_group(backend="gloo", timeout=wait) if self.world_size > 1 else None
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
        if shuffle:
            batch_size = self.fit_batch(batch_size, len(dataset))
        sampler = DistributedSampler(dataset, self.world_size, self.rank, shuffle=shuffle, seed=seed, drop_last=shuffle)
        return DataLoader(dataset, -(-batch_size // self.world_size), sampler=sampler, drop_last=shuffle, **kwargs)

    def fit_batch(self, batch_size: int, samples: int) -> int:
        """The size of a training batch of all ranks together: of a smaller training set, all that there is."""
        if batch_size % self.world_size:
            raise StudyError(f"--batch-size {batch_size} cannot be shared equally by {self.world_size} processes.")
        fitting = min(batch_size, samples // self.world_size * self.world_size)
        if not fitting:
            raise StudyError(
                f"the training set has {samples} samples for {self.world_size} processes. Use more data, or fewer "
                "processes."
            )
        if fitting < batch_size and self.is_main:
            say(f"batches of {fitting}, not {batch_size}: there are {samples} training samples")
        return fitting

    def move(self, batch: Any) -> Any:
        """Move every tensor of a batch to the device, however it is nested."""
        return tree_map_only(torch.Tensor, lambda part: part.to(self.torch, non_blocking=True), batch)

    def gather(self, values: torch.Tensor, total: int) -> torch.Tensor:
        """The rows that all ranks computed over an unshuffled `loader`, in the data set's order: (total, ...)."""
        if self.world_size == 1:
            return values
        parts = [torch.empty_like(values) for _ in range(self.world_size)]
        dist.all_gather(parts, values.contiguous())
        # The sampler deals rows out in turn and pads the last round.
        return torch.stack(parts, dim=1).flatten(0, 1)[:total]

    @property
    def share(self) -> slice:
        """This rank's part of rows that are dealt out in turn."""
        return slice(self.rank, None, self.world_size)

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

    def all_see(self, path: Path, seconds: float = 30) -> bool:
        """Whether all hosts see a file that the main process wrote; a shared file system may take some seconds."""
        if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
            return True
        content = self.collect(path.read_bytes() if self.is_main else None)[0]
        end = time.monotonic() + seconds
        while not (seen := path.exists() and path.read_bytes() == content) and time.monotonic() < end:
            time.sleep(0.1)
        return all(self.collect(seen))

    def lost_another(self, error: BaseException | None) -> bool:
        """Whether an error came of another process's end."""
        text = str(error).lower()
        return self.world_size > 1 and isinstance(error, RuntimeError) and ("gloo" in text or "nccl" in text)

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

    def exit(self, code: int) -> NoReturn:
        """End the program early, without waiting for the other processes. One of several leaves at once: threads of
        gloo that still wait would abort an interpreter that shuts down, and the exit code would be theirs."""
        if self.world_size > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        raise SystemExit(code)

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
    """The torch device for `auto`, `cpu`, `cuda` or `mps`; raises StudyError when it is not there or cannot be used.

    With `auto`, a GPU for which this torch has no code is named in one line, and the CPU computes.
    """
    kind = accelerator()
    if name not in ("auto", "cpu", kind):
        raise StudyError(f"--device {name}: this torch sees no such device. Use --device auto or --device cpu.")
    kind = "cpu" if name == "cpu" else kind or "cpu"
    index = int(os.environ.get("LOCAL_RANK", 0)) if kind == "cuda" else None
    if kind == "cuda" and (lack := missing_code(index)):
        if name != "auto":
            raise StudyError(f"--device cuda: {lack}, or use --device cpu.")
        if os.environ.get("RANK", "0") == "0":
            print(f"{lack}. Computing on the CPU.", file=sys.stderr)
        kind, index = "cpu", None
    return torch.device(kind, index) if index is not None else torch.device(kind)


def fastest_threads(most: int) -> int:
    """How many CPU threads do short work soonest just now: `most`, one less, or one.

    Threads wait for each other after every operation. Beside one busy process on two cores, training with two threads
    took 1.5 to 5 times as long as alone, with one thread 1 to 1.4 times; alone, two are 1.1 to 1.5 times as fast.
    """
    matrix, seconds = torch.ones(256, 256), {threads: [] for threads in (most, most - 1, 1) if threads}
    end = time.perf_counter() + 0.5
    while not seconds[1] or time.perf_counter() < end:
        for threads, measured in seconds.items():
            torch.set_num_threads(threads)
            begun = time.perf_counter()
            for _ in range(20):
                matrix @ matrix
            measured.append(time.perf_counter() - begun)
    return min(seconds, key=lambda threads: statistics.median(seconds[threads]))


@contextmanager
def predicting() -> Iterator[None]:
    """For one example: a single CPU thread, as two spend half their time waiting for each other, and one line for what
    the user can mend."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with one_line_errors():
            yield
    finally:
        torch.set_num_threads(threads)


def accelerator() -> str | None:
    """The kind of GPU that torch sees, `cuda` or `mps`, if any."""
    if hasattr(torch, "accelerator"):  # since torch 2.6
        return torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else None
    seen = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return next((kind for kind, there in seen.items() if there), None)


def missing_code(index: int) -> str:
    """What to do about a GPU for which this build of torch has no code; nothing for one that it can use."""
    with warnings.catch_warnings(action="ignore"):  # torch says the same in many lines
        capability, archs = torch.cuda.get_device_capability(index), torch.cuda.get_arch_list()
        if runs_on(capability, archs):
            return ""
        name = torch.cuda.get_device_name(index)
    if not hasattr(torch, "accelerator"):
        other = "Run without TORCHTEXT=1: the default environment has code for GPUs from Turing to Blackwell"
    elif capability < (9, 1):
        other = "Run with TORCHTEXT=1: that environment has code for GPUs from Maxwell to Hopper"
    else:
        other = "A newer torch may have it: see requirements.lock"
    version = ".".join(map(str, capability))
    return f"torch {torch.__version__} has no code for the {name} (compute capability {version}). {other}"


def runs_on(capability: tuple[int, int], archs: Sequence[str]) -> bool:
    """Whether a build for `archs`, such as sm_86 and compute_90, has code that a GPU of this capability can run.

    Binary code (sm) runs on GPUs of its own major version whose minor one is not lower; with a letter behind, on its
    own version alone. PTX (compute) is compiled by the driver for any later GPU.
    """
    for arch in archs:
        kind, major, minor, exact = re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", arch).groups()
        built = int(major), int(minor)
        if built == capability or (not exact and kind == "compute" and built < capability):
            return True
        if not exact and kind == "sm" and built[0] == capability[0] and built[1] < capability[1]:
            return True
    return False


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch: the one place where seeding happens."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def get_random_states() -> dict[str, Any]:
    """The state of every random generator of this process."""
    states = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    kind = accelerator()
    return states | ({kind: getattr(torch, kind).get_rng_state()} if kind else {})


def set_random_states(states: dict[str, Any]) -> None:
    """Put back what `get_random_states` returned."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    kind = accelerator()
    if kind in states:
        getattr(torch, kind).set_rng_state(states[kind])


def count_samples(batch: Any) -> int:
    """The length of the first tensor in a batch, however it is nested."""
    return next((len(part) for part in tree_leaves(batch) if isinstance(part, torch.Tensor) and len(part)), 0)


def unwrap(thing: Any) -> Any:
    """The net inside what `distribute` returned; anything else as it is."""
    return thing.module if isinstance(thing, DistributedDataParallel) else thing


def restarted() -> bool:
    """Whether torchrun has started this process again after one was killed; on a host with none, it may not know."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def launch_command() -> str:
    """The command that started this program, in as many processes; of several hosts, that of this one."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = spec.name if spec else sys.argv[0]
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        program = f"tutorials.tools.torchrun {processes} {program}"
    hosts = "".join(f"{name}={os.environ[name]} " for name in ("NNODES", "NODE_RANK", "MASTER") if os.environ.get(name))
    python = os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(Path.cwd()) else sys.executable
    return f"{hosts}{python} {'-m ' if spec else ''}{program} {shlex.join(sys.argv[1:])}".rstrip()
