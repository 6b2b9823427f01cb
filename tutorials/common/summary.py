"""A run's folder: whose it is, and the `summary.json` that ends it."""

import json
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from data import StudyError
from tutorials.common.checkpoint import write_atomic
from tutorials.common.options import deciding

if TYPE_CHECKING:
    from tutorials.common.run import Run

PACKAGES = ("torch", "torchvision", "numpy", "tensorboard")


class FolderLock:
    """One writer for each run folder: the operating system lets go of the lock even of a killed process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = filelock.FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)

    def acquire(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.lock.acquire()
        except filelock.Timeout:
            raise StudyError(
                f"{self.folder}: another process is writing this run. Wait for it, or choose another "
                "folder with --run-dir."
            ) from None

    def release(self) -> None:
        self.lock.release(force=True)


def move_aside(folder: Path, say: Callable[[str], None]) -> None:
    """Rename an earlier run of the same name, so that nothing of it is lost or mixed with the new one."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    folder.rename(aside)
    say(f"{folder}: an earlier run was there; it is now {aside} (to continue one instead: --resume)")


def write(
    run: "Run", metrics: Mapping[str, float], published: Mapping[str, float], chance: Mapping[str, float]
) -> None:
    """Write `summary.json` and print our figures beside the published ones and beside chance."""
    options = run.options
    content: dict[str, Any] = {
        "name": run.name,
        "recipe": options.recipe,
        "data": options.data,
        "seed": options.seed,
        **run.place.describe(),
        "epochs": options.epochs,
        "parameters": sum(p.numel() for p in run.tracked["net"].parameters()),
        "seconds": {"train": round(run.seconds, 2), "total": round(time.monotonic() - run.started, 2)},
        "metrics": dict(metrics),
        "published": dict(published),
        "chance": dict(chance),
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
        "options": deciding(options),
    }
    write_atomic(run.folder / "summary.json", json.dumps(content, indent=2).encode() + b"\n")
    print(f"\n{'metric':<24} {'this run':>10} {'published':>10} {'chance':>10}")
    for name, value in metrics.items():
        others = (f"{table[name]:10.4f}" if name in table else f"{'-':>10}" for table in (published, chance))
        print(f"{name:<24} {value:10.4f} {' '.join(others)}")
    print(f"{run.seconds:.1f} s of training, {content['seconds']['total']:.1f} s in all; everything is in {run.folder}")
