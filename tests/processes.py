"""Runs in processes of their own that can be killed, started fast: a fork server has imported everything once."""

import json
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from tutorials.common import checkpoint

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    [
        "tests.trainings",
        "tests.studies",
        "from_scratch.studies.captioning",
        *(f"tutorials.{name}" for name in ("cifar10", "pretrained", "transfer_learning", "char_rnn", "text_sentiment")),
        *(f"tutorials.{name}" for name in ("seq2seq", "translation", "language_model")),
    ]
)


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
    output = folder.with_suffix(".txt")
    output.unlink(missing_ok=True)
    code = finish(start(function, "--run-dir", str(folder), *argv, output=output))
    return code, output.read_text()


def run_ranks(function: Callable[..., None], folder: Path, *argv: str, kill: float | None = None) -> list[int]:
    """The same run in two processes, killed so many seconds after its first checkpoint: their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
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


def record(folder: Path) -> list[dict]:
    """The record without what a clock wrote."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if not key.startswith(("seconds", "samples"))} for line in lines]


def same(one: Path, other: Path) -> None:
    """Both runs ended with the same bits and tell the same story."""
    for name in ("last", "best"):
        flat = []
        for folder in (one, other):
            tree, tensors = checkpoint.load(folder / f"{name}.safetensors"), {}
            for clocked in ("seconds", "total_seconds", "journal_size", "file"):
                tree.pop(clocked, None)
            flat.append((checkpoint.flatten(tree, "", tensors), tensors))
        assert flat[0][0] == flat[1][0]
        for key, tensor in flat[0][1].items():
            assert torch.equal(tensor, flat[1][1][key]), key
    assert record(one) == record(other)
