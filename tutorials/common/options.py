"""The command line of every tutorial: a dataclass, read by tyro; a field's docstring is its help."""

import argparse
import errno
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn, TypeVar

import tyro

from data import default_root
from data.text import check_encoding
from tutorials.common.console import replace_unprintable, silence

MOST_THREADS = 4 * (os.cpu_count() or 1)  # of a process, and processes of a run: more of them stop a machine
DATA = ("tiny", "official")
LONGEST_NAME = 200  # bytes of a run folder's name; file systems take 255, and what lies beside it has longer ones


@dataclass
class Options:
    """What every tutorial takes; a tutorial's own dataclass adds to it."""

    data: Literal["tiny", "official"] = "tiny"
    """Data set: small synthetic data (seconds, no network), or the official data (downloaded when missing)."""
    recipe: Literal["study", "original"] = "study"
    """Recipe: the improved one, or the original's; with --data, it sets the defaults of the options below."""
    seed: int = 0
    """Random seed."""
    epochs: int = 1
    """Number of training epochs."""
    data_root: Path = field(default_factory=default_root)
    """Root directory of the data sets. Default: the environment variable STUDY_DATA, else data/cache."""
    run_dir: Path | None = None
    """Output directory of the run. Default: runs/NAME-DATA-RECIPE-seedN; with your own data, DATA is their name."""
    resume: bool = False
    """Resume the run in that directory from its last checkpoint."""
    save_every: float = 30.0
    """Seconds between checkpoints: the most training time that a power cut can cost."""
    log_every: int = 50
    """Steps between log entries of training metrics, averaged over those steps; the first step is logged too."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Device; auto uses a GPU when there is one."""
    threads: int = 0
    """CPU threads per process; 0: the number that a short measurement at the start finds fastest."""

    # Options that say where and how to compute and keep; all others decide what is computed.
    keeping: ClassVar[set[str]] = {"data_root", "run_dir", "resume", "save_every", "device", "threads"}
    # Options that name the user's own data, after which `data` is then called.
    own: ClassVar[tuple[str, ...]] = ()
    # The smallest and the largest value that an option may have.
    limits: ClassVar[dict[str, tuple[float, float]]] = {
        "epochs": (1, inf),
        "log_every": (1, inf),
        "save_every": (0, inf),
        "threads": (0, MOST_THREADS),
        "seed": (0, 2**31 - 1),
    }

    changed: ClassVar[dict[str, Any]] = {}  # options that were given another value than the recipe's

    def check(self) -> None:
        """Raise ValueError, naming the option, for a value outside its limits and for a folder that cannot be."""
        for name, (low, high) in self.limits.items():
            if not low <= getattr(self, name) <= high:
                allowed = f"at least {low}" if high == inf else f"in {low}..{high}"
                allowed += " (four for each of the cores)" * (name in ("threads", "workers"))
                raise ValueError(f"--{name.replace('_', '-')} must be {allowed}, not {getattr(self, name)}")
        if self.run_dir:
            check_folder(self.run_dir)


def check_folder(folder: Path) -> None:
    """Raise ValueError for a folder that no run can have."""
    name, fault = os.fsencode(os.path.basename(os.path.abspath(folder))), ""
    try:
        os.stat(folder)
    except OSError as error:  # others are no fault, or reported when the folder is made
        fault = f"cannot be used ({error.strerror})" if error.errno in (errno.ELOOP, errno.ENAMETOOLONG) else ""
    if not name or len(name) > LONGEST_NAME:
        fault = f"has a name of {len(name)} bytes, not of 1 to {LONGEST_NAME}"
    if fault:
        shown = os.fsencode(folder).decode(errors="replace")
        raise ValueError(f"--run-dir {shown if len(shown) < 100 else f'{shown[:100]}…'} {fault}: give another folder")


def own_name(options: Options) -> str:
    """A short name, safe in a path, of the user's own data, after their file or folder; none without such data."""
    given = next(filter(None, (getattr(options, name) for name in options.own)), None)
    if not given:
        return ""
    path = Path(os.path.abspath(given[0] if isinstance(given, tuple) else given))
    name = re.sub(r"[^\w-]+", "-", path.name if path.is_dir() else path.stem)[:40].strip("-") or "data"
    return f"own-{name}" if name.split("-")[0] in DATA else name  # no twin, and not official


@dataclass
class TextFileOptions(Options):
    """What every tutorial takes that reads text files of the user's own."""

    encoding: str = "utf-8"
    """Encoding of your own text files: cp949, gb18030, shift_jis, cp1252 …; a byte order mark overrides it."""

    def check(self) -> None:
        super().check()
        check_encoding(self.encoding)


AnyOptions = TypeVar("AnyOptions", bound=Options)


def parse(
    kind: type[AnyOptions], recipes: Mapping[str, Mapping[str, Any]], argv: Sequence[str] | None = None
) -> AnyOptions:
    """Read the command line into `kind`; the chosen recipe gives the defaults. A wrong option exits with 2.

    A recipe may have other values for a data set, under the name "study-tiny" for instance. Data of the user's own are
    trained on by the recipe for real data.
    """
    replace_unprintable()
    check_utf8([*(sys.argv[1:] if argv is None else argv), os.environ.get("STUDY_DATA", "")])
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--recipe", default="study")
    first.add_argument("--data", default="tiny")
    for name in kind.own:
        first.add_argument(f"--{name}", dest="own", nargs="?", const=name)
    chosen = first.parse_known_args(argv)[0]
    twin = {} if getattr(chosen, "own", None) else recipes.get(f"{chosen.recipe}-{chosen.data}", {})
    default = kind(**{**recipes.get(chosen.recipe, {}), **twin})
    try:
        options = tyro.cli(
            kind,
            args=argv,
            default=default,
            description=kind.__doc__,
            config=(tyro.conf.OmitSubcommandPrefixes,),
        )
    except BrokenPipeError:  # --help | head
        silence(sys.stdout)
        raise SystemExit(0) from None
    try:
        options.check()
    except ValueError as error:
        leave(f"{error}. See --help.")
    options.data = own_name(options) or options.data
    values, usual = deciding(options), deciding(default)
    kept = {"data", "recipe", "seed", "log_every"}
    options.changed = {name: values[name] for name in values.keys() - kept if values[name] != usual[name]}
    return options


def check_utf8(words: Sequence[str]) -> None:
    """Leave the program for a word with bytes that are not of the terminal's encoding: no later step can use them."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            byte = f"{ord(word[error.start]) & 0xFF:02x}"
            leave(f"{word!a}: byte 0x{byte} is not {sys.getfilesystemencoding().upper()}. Type it in that encoding.")


def leave(message: str) -> NoReturn:
    """End the program for a wrong option."""
    print(f"{Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
    raise SystemExit(2)


def deciding(options: Options) -> dict[str, Any]:
    """The options that decide what a run computes, as JSON takes them; a checkpoint continues only under the same."""
    values = {
        field.name: getattr(options, field.name) for field in fields(options) if field.name not in options.keeping
    }
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
