"""Runs in processes of their own that can be killed, started fast: a fork server has imported everything once. (Windows
has none, and starts each process anew.)"""

import json
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from data import fetch
from tutorials.common import checkpoint

WINDOWS = sys.platform == "win32"
KILLED = -getattr(signal, "SIGKILL", signal.SIGTERM)  # the exit code after `kill`
needs_signals = pytest.mark.skipif(WINDOWS, reason="Windows cannot send signals")
context = multiprocessing.get_context("spawn" if WINDOWS else "forkserver")
if not WINDOWS:
    context.set_forkserver_preload([
        "tests.trainings", "tests.programs", "tests.studies", "from_scratch.studies.captioning", "tutorials.cifar10",
        "tutorials.pretrained", "tutorials.transfer_learning", "tutorials.char_rnn", "tutorials.text_sentiment",
        "tutorials.seq2seq", "tutorials.translation", "tutorials.language_model",
    ])  # fmt: skip


def start(
    function: Callable[..., Any], *arguments: Any, output: Path, environment: dict[str, str] | None = None
) -> BaseProcess:
    """Start `function(*arguments)`; what it prints goes to the end of `output`."""
    process = context.Process(target=call, args=(function, arguments, str(output), environment or {}), daemon=True)
    process.start()
    return process


def call(function: Callable[..., Any], arguments: tuple, output: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    fetch.RETRIES = 0  # nothing is downloaded in a test, so no second try has to be waited for
    try:
        function(*arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def finish(process: BaseProcess, seconds: float = 900) -> int:
    """Wait for the end, and return the exit code (negative: the signal that ended it).

    The longest runs take half a minute; what is given up is one that hangs, not one on a busy machine.
    """
    process.join(seconds)
    assert process.exitcode is not None, f"still running after {seconds} s"
    return process.exitcode


def run_to_end(function: Callable[..., None], folder: Path, *argv: str) -> tuple[int, str]:
    """A run into `folder`: its exit code, and all that it printed."""
    with tempfile.TemporaryDirectory() as place:
        output = Path(place) / "output.txt"
        code = finish(start(function, "--run-dir", str(folder), *argv, output=output))
        return code, output.read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_ranks(function: Callable[..., None], folder: Path, *argv: str, kill: float | None = None) -> list[int]:
    """The same run in two processes, killed so many seconds after its first checkpoint: their exit codes."""
    port = str(free_port())
    processes = []
    for rank in "01":
        environment = {
            "WORLD_SIZE": "2",
            "RANK": rank,
            "LOCAL_RANK": rank,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        output = folder.with_suffix(f".{rank}.txt")
        processes.append(start(function, "--run-dir", str(folder), *argv, output=output, environment=environment))
    if kill is not None:
        while not (folder / "last.safetensors").exists():
            time.sleep(0.01)
        time.sleep(kill)
        for process in processes:
            process.kill()
    return [finish(process) for process in processes]


CLOCKED = ("seconds", "cpu", "samples_per_second", "journal_size", "file", "latency", "throughput", "memory", "speed")


def timeless(tree: Any) -> Any:
    """A tree of what was recorded, without what a clock wrote."""
    if not isinstance(tree, Mapping):
        return tree
    return {key: timeless(value) for key, value in tree.items() if not any(word in str(key) for word in CLOCKED)}


def record(folder: Path) -> list[dict]:
    """The record without what a clock wrote."""
    return [timeless(json.loads(line)) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def summary(folder: Path) -> dict:
    """What a finished run says of itself."""
    return json.loads((folder / "summary.json").read_text())


def same(one: Path, other: Path) -> None:
    """Both runs ended with the same bits and tell the same story: weights, states, finished steps, records, summary."""
    kinds = ("last.safetensors", "best.safetensors", "done.safetensors", "metrics.jsonl", "summary.json")
    names, others = ({str(path.relative_to(folder)) for kind in kinds for path in folder.rglob(kind)}
                     for folder in (one, other))  # fmt: skip
    assert names == others
    for name in names:
        if name.endswith("metrics.jsonl"):
            assert record((one / name).parent) == record((other / name).parent), name
        elif name.endswith("summary.json"):
            first, second = (timeless(json.loads((folder / name).read_text())) for folder in (one, other))
            assert [first[key] for key in ("metrics", "chance")] == [second[key] for key in ("metrics", "chance")]
            assert first.get("tables") == second.get("tables")
        else:
            trees, flat = zip(*(flatten(folder / name) for folder in (one, other)), strict=True)
            assert trees[0] == trees[1], name
            for key, tensor in flat[0].items():
                assert torch.equal(tensor, flat[1][key]), f"{name}: {key}"


def flatten(path: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    tensors: dict[str, torch.Tensor] = {}
    return checkpoint.flatten(timeless(checkpoint.load(path)), "", tensors), tensors
