"""`make board`: one budget of processor time, many recipes; yours beside ours. Nothing leaves this machine.

    make board                          the boards as they stand
    make board ENTRY=mine.py            a small file to change, then three runs of it, and its row

An entry is a file of Python with a BUDGET, OPTIONS of its tutorial, and for the free budget perhaps a `make_net`.
"""

import argparse
import importlib
import json
import runpy
import statistics
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from data import StudyError
from tutorials.common import checkpoint, plots, summary
from tutorials.common.checkpoint import write_atomic
from tutorials.common.console import print_table, say
from tutorials.common.interrupts import one_line_errors

OURS, YOURS = Path(__file__).parents[2] / "docs/board.json", Path("runs/board/board.json")
TEMPLATE = '''\
"""What is changed, in one line: it becomes the row's title."""

BUDGET = "cifar10-net"  # {budgets}
OPTIONS = {{"lr": 0.025}}  # on top of the study recipe; all there are: make cifar10 ARGS=--help


# For the budget cifar10 alone: any net from images (N, 3, S, S), of mean 0 and variance 1, to logits (N, 10); S is 24
# in the first epochs, then 32 (OPTIONS = {{"small_share": 0}}: always 32).
# def make_net():
#     from torch import nn
#     return nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 10))
'''


@dataclass(frozen=True)
class Budget:
    """Processor minutes of training for a tutorial, with what every entry has to keep to."""

    target: str
    module: str
    minutes: float
    what: str
    fixed: Mapping[str, Any]


BUDGETS = {
    "cifar10-net": Budget("cifar10", "tutorials.cifar10", 3, "the tutorial's net of 62,006 parameters",
                          {"width": 6, "val_size": 5000}),
    "cifar10": Budget("cifar10-fast", "tutorials.cifar10_fast", 30, "any net", {"val_size": 5000}),
    "names": Budget("names", "tutorials.char_rnn", 2, "any cell", {}),
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="board", description=__doc__.partition("\n")[0])
    parser.add_argument("--entry", type=Path, help="a file with a recipe; written as a template if it does not exist")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs the mean is of (default: 3)")
    parser.add_argument("--data", choices=["official", "tiny"], default="official", help="tiny shows that it runs")
    parser.add_argument("--keep", action="store_true", help="keep the row among ours, in docs/board.json")
    parser.add_argument("--train", nargs=2, metavar=("SEED", "FOLDER"), help=argparse.SUPPRESS)  # one run of it
    options = parser.parse_args(argv)
    if not 0 < options.seeds < 100:
        parser.error("--seeds must be in 1..99")
    with one_line_errors():
        if options.train:
            return train(options.entry, *options.train, options.data)
        if options.entry and not options.entry.exists():
            begin(options.entry)
            return 0
        if options.entry:
            row = measure(options.entry, options.seeds, options.data)
            keep(row, OURS if options.keep else YOURS)
        show(options.data)
    return 0


def begin(path: Path) -> None:
    """Write a first entry."""
    if path.suffix != ".py":
        raise StudyError(f"board: ENTRY={path} must end with .py")
    budgets = ", ".join(f"{name}: {b.what}, {b.minutes:g} min" for name, b in BUDGETS.items())
    write_atomic(path, TEMPLATE.format(budgets=budgets).encode())
    say(f"wrote {path}: change it, then make board ENTRY={path}")


def read(path: Path) -> tuple[SimpleNamespace, Budget, dict[str, Any]]:
    """An entry, its budget and its options; raises StudyError for what makes no sense."""
    try:
        entry = SimpleNamespace(**runpy.run_path(str(path), run_name="entry"))
    except Exception as error:  # it is the reader's own code
        places = [
            one.lineno for one in traceback.extract_tb(error.__traceback__) if Path(one.filename).name == path.name
        ]
        line = error.lineno if isinstance(error, SyntaxError) else (places or ["?"])[-1]
        raise StudyError(
            f"board: {path}, line {line}: {type(error).__name__}: {getattr(error, 'msg', error)}"
        ) from error
    name, options = getattr(entry, "BUDGET", None), getattr(entry, "OPTIONS", None)
    if name not in BUDGETS:
        raise StudyError(f"board: {path}: BUDGET must be one of {', '.join(BUDGETS)}, not {name!r}")
    budget = BUDGETS[name]
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise StudyError(f'board: {path}: OPTIONS must be a dict of options, such as {{"lr": 0.05}}')
    for key, value in budget.fixed.items():
        if options.get(key, value) != value:
            raise StudyError(f"board: {path}: {key} is {value} for every entry of {name}")
    if hasattr(entry, "make_net") and name != "cifar10":
        raise StudyError(f"board: {path}: make_net goes with the budget cifar10; {name} is for {budget.what}")
    return entry, budget, {**options, **budget.fixed}


def train(path: Path, seed: str, folder: str, data: str) -> int:
    """One run of an entry, in this process."""
    entry, budget, options = read(path)
    tutorial = importlib.import_module(budget.module)
    if hasattr(entry, "make_net"):
        tutorial.make_net = lambda *_: entry.make_net()
    words = [spelled(key, value) for key, value in options.items()]
    sys.argv = [budget.target, f"--data={data}", f"--seed={seed}", f"--run-dir={folder}", *words]
    return tutorial.main() or 0


def spelled(key: str, value: Any) -> str:
    """An option as the command line has it."""
    name = key.replace("_", "-")
    return f"--{'' if value else 'no-'}{name}" if isinstance(value, bool) else f"--{name}={value}"


def measure(path: Path, seeds: int, data: str) -> dict[str, Any]:
    """Run an entry for every seed; its row. Raises StudyError when a run fails."""
    entry, budget, options = read(path)
    title = (entry.__doc__ or path.stem).strip().splitlines()[0]
    found = []
    for seed in range(seeds):
        folder = Path("runs/board") / f"{path.stem}-{data}-seed{seed}"
        command = [sys.executable, "-m", "tutorials.tools.board", "--entry", str(path), "--data", data]
        say(f"\n{title}: seed {seed}, in {folder}")
        if subprocess.run([*command, "--train", str(seed), str(folder)]).returncode:
            raise StudyError(f"board: {path} failed with seed {seed}; nothing was added")
        found.append(summary.read(folder / "summary.json") | {"val": kept_accuracy(folder, budget.target)})
    return {
        "budget": entry.BUDGET, "title": title, "file": path.name, "data": data, "options": options,
        "own net": hasattr(entry, "make_net"), "parameters": found[0]["parameters"],
        "minutes": [one["seconds"]["processor"] / 60 for one in found], "val": [one["val"] for one in found],
        "test": [one["metrics"]["test/accuracy"] for one in found], "machine": found[0]["device_name"],
    }  # fmt: skip


def kept_accuracy(folder: Path, name: str) -> float:
    """Validation accuracy at the epoch whose weights a run kept."""
    _, about = checkpoint.load_best(folder / "best.safetensors", name)
    return plots.read_curves(folder / "metrics.jsonl")["accuracy/val"][1][about["epoch"] - 1]


def keep(row: dict[str, Any], path: Path) -> None:
    """Add a row, or replace that of the same file, data and budget."""
    key = ("budget", "file", "data")
    others = [one for one in rows(path) if any(one[name] != row[name] for name in key)]
    write_atomic(path, json.dumps([*others, row], indent=1).encode() + b"\n")


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; none where there is none. Raises StudyError for a damaged one."""
    try:
        return json.loads(path.read_bytes()) if path.exists() else []
    except ValueError as error:
        raise StudyError(f"board: {path} is damaged ({error}). Remove it, and run the entries again.") from error


def show(data: str) -> None:
    """Print the boards: the best on validation first; what took longer than its budget is not placed."""
    found = [(row, "ours" if path == OURS else "yours") for path in (OURS, YOURS) for row in rows(path)]
    for name, budget in BUDGETS.items():
        say(f"\n{name}: {budget.what}, {budget.minutes:g} minutes of processor time in training, {data} data")
        mine = [(row, whose) for row, whose in found if (row["budget"], row["data"]) == (name, data)]
        if not mine:
            say("  no row yet")
            continue
        mine.sort(key=lambda pair: (max(pair[0]["minutes"]) > budget.minutes, -statistics.mean(pair[0]["val"])))
        lines = [["over" if max(row["minutes"]) > budget.minutes else str(place), row["title"], whose,
                  spread(row["val"]), spread(row["test"]), f"{max(row['minutes']):.2f}", f"{row['parameters']:,}"]
                 for place, (row, whose) in enumerate(mine, start=1)]  # fmt: skip
        print_table(["", "recipe", "whose", "validation", "test", "minutes", "parameters"], lines)
    say("\nChoose by validation; test shows what the choice is worth. Yours: make board ENTRY=mine.py")


def spread(values: list[float]) -> str:
    """Mean ± standard deviation, in percent."""
    deviation = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{deviation} (n = {len(values)})"


if __name__ == "__main__":
    sys.exit(main())
