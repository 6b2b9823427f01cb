"""`make tensorboard`: TensorBoard with as many runs as it selects by default; RUNS=cifar10 shows those of that name.

Of more than 40 runs it selects none, and its tabs look empty; `make study` alone leaves 70, with the many small nets of
the studies by hand.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tensorboard.main import run_main

LIMIT = 40


def find(root: Path) -> dict[Path, int]:
    """The topmost folders that hold event files, and in how many of their folders those lie: TensorBoard's runs."""
    folders = {path.parent for path in root.rglob("events.out.tfevents.*")}
    top = [folder for folder in folders if not folders & set(folder.parents)]
    return {folder: sum(folder in (one, *one.parents) for one in folders) for folder in top}


def choose(found: dict[Path, int]) -> tuple[list[Path], list[Path]]:
    """Which folders to show and which not: those of the fewest runs first, and of these the newest."""
    shown, left, room = [], [], LIMIT
    for folder in sorted(found, key=lambda folder: (found[folder], -folder.stat().st_mtime)):
        (shown if found[folder] <= room or not shown else left).append(folder)
        room -= found[folder] if folder in shown else 0
    return shown, left


def logdir(root: Path, name: str, place: Path) -> Path:
    """The folder to serve: `root`, or in `place` links to the runs whose folder has `name` in it, as many as it
    selects."""
    found = {folder: runs for folder, runs in find(root).items() if name in str(folder.relative_to(root))}
    if name and not found:
        sys.exit(f"tensorboard: no run below {root} has {name!r} in its name")
    if not name and sum(found.values()) <= LIMIT:
        return root
    shown, left = choose(found)
    if left:
        names = ", ".join(folder.name for folder in left)
        print(f"not shown, as TensorBoard selects at most {LIMIT} runs: {names}. Choose by a name: RUNS={left[0].name}")
    for folder in shown:
        link = place / folder.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder.resolve(), target_is_directory=True)
    return place


def main(argv: Sequence[str] | None = None) -> None:
    """What TensorBoard's own main does, with the runs that were chosen."""
    parser = argparse.ArgumentParser(prog="tensorboard", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--runs", default="", help="only runs whose folder has this in its name")
    options, others = parser.parse_known_args(argv)
    with TemporaryDirectory() as place:
        folder = logdir(options.root, options.runs, Path(place))
        sys.argv = ["tensorboard", f"--logdir={folder}", "--load_fast=false", *others]
        run_main()


if __name__ == "__main__":
    main()
