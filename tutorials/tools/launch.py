"""What make's targets run: `launch TARGET MODULE WORDS…` starts a module with the options that make's variables give.

A word in capitals is a variable: its value comes through the environment and becomes one argument, as it is. No shell
sees it, so nothing in it is ever run. ARGS, any further options, is split as a shell would split it.
"""

import os
import re
import runpy
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tutorials.common.console import replace_unprintable

# Options that are not called as their variables are; "" marks an argument without an option.
NAMES = {"TEST": "--test-csv", "LAYER": "", "FILES": "", "WEIGHTS": ""}
FLAGS = {"RESUME", "REPLACE"}
SEVERAL = {"CSV", "MODELS", "FILES"}  # values that may be several words
NEEDED = {"IMAGE": "IMAGE=photo.jpg", "NOTEBOOK": "NOTEBOOK=knn.ipynb", "WEIGHTS": "WEIGHTS=net.pth"}
EVEN_EMPTY = {"NAME", "TEXT"}  # the module itself asks for them


def main() -> int:
    target, module, *words = sys.argv[1:]
    replace_unprintable()
    try:
        arguments = [argument for word in words for argument in spell(word)] + split("ARGS")
        seeds = whole("SEEDS") if "SEEDS" in words and os.environ.get("SEEDS") else None
        several = "NPROC" in words and (whole("NPROC") > 1 or whole("NNODES") > 1 or whole("RESTARTS", 0) > 0)
    except ValueError as error:
        print(f"make {target}: {error}", file=sys.stderr)
        return 2
    if several:
        module, arguments = "tutorials.tools.torchrun", [str(whole("NPROC")), module, *arguments]
    if seeds is not None:
        return for_each_seed(target, seeds, module, arguments)
    sys.argv = [module, *arguments]
    signal.signal(signal.SIGINT, Early())
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        print(f"make {target}: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception:
        from tutorials.common.interrupts import one_line_errors  # which takes a while to import

        with one_line_errors():
            raise
    return 0


class Early:
    """Hears Ctrl-C until a program listens itself, even where a shell that runs it in the background had it ignored."""

    asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        raise KeyboardInterrupt


def spell(word: str) -> list[str]:
    """The arguments of one word: of a variable its option and value, of any other the word itself.

    Raises ValueError where a needed variable has no value.
    """
    if not re.fullmatch("[A-Z]+", word):
        return [word]
    value = os.environ.get(word, "")
    if word in NEEDED and not value:
        raise ValueError(f"give {NEEDED[word]}")
    if word in ("NPROC", "SEEDS") or (word == "SEED" and os.environ.get("SEEDS")) or not (value or word in EVEN_EMPTY):
        return []
    if word in FLAGS:
        return [f"--{word.lower()}"] if value != "0" else []
    option = NAMES.get(word, f"--{word.lower()}")
    if word in SEVERAL:
        return [option, *split(word)] if option else split(word)
    return [f"{option}={value}"] if option else [value]


def split(variable: str) -> list[str]:
    """The words of a variable; the name of a file that exists is one, whatever is in it."""
    value = os.environ.get(variable, "")
    if variable != "ARGS" and Path(value).exists():
        return [value] if value else []
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"{variable}={value} cannot be split into words: {str(error).lower()}") from None


def whole(variable: str, least: int = 1, most: int = 9999, value: str | None = None) -> int:
    """The number in a variable, the least one without any; raises ValueError for anything but a whole number within
    these limits, and for more processes than four for each core, which would stop the machine."""
    value = os.environ.get(variable, "") if value is None else value
    most = 4 * (os.cpu_count() or 1) if variable == "NPROC" else most
    if value and not (value.isascii() and value.isdigit() and len(value) < 6 and least <= int(value) <= most):
        raise ValueError(f"{variable} must be a whole number from {least} to {most}, not {value!r}")
    return int(value or least)


def for_each_seed(target: str, seeds: int, module: str, arguments: Sequence[str]) -> int:
    """One run for each of the seeds from 0, until one fails, and then their mean ± sd."""
    import subprocess

    if any(argument.startswith("--run-dir") for argument in arguments):
        print(f"make {target}: SEEDS: each seed has a folder of its own; leave out --run-dir", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches the run, which saves; this process waits for it
    runs = [[module, *arguments, f"--seed={seed}"] for seed in range(seeds)]
    for command in [*runs, ["tutorials.tools.scorecard", "--seeds", str(seeds), target]]:
        code = subprocess.Popen([sys.executable, "-m", *command]).wait()
        if code:
            return code if code > 0 else 128 - code
    return 0


if __name__ == "__main__":
    sys.exit(main())
