"""Runs in processes of their own that can be killed, started fast: a fork server has imported everything once."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.trainings", "tutorials.cifar10"])


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


def finish(process: BaseProcess, seconds: float = 120) -> int:
    """Wait for the end, and return the exit code (negative: the signal that ended it)."""
    process.join(seconds)
    assert process.exitcode is not None, f"still running after {seconds} s"
    return process.exitcode
