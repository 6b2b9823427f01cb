"""The `summary.json` that ends a run."""

import json
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tutorials.common.checkpoint import write_atomic
from tutorials.common.console import markdown_table, print_table, say
from tutorials.common.device import launch_command
from tutorials.common.options import deciding

# What whoever reads a summary relies on.
NEEDED = ("name", "recipe", "data", "seed", "device", "threads", "processes", "seconds", "metrics", "published",
          "chance", "versions", "changed")  # fmt: skip
PACKAGES = ("torch", "torchvision", "numpy", "tensorboard")


def write(
    run: Any,
    metrics: Mapping[str, float],
    published: Mapping[str, float],
    chance: Mapping[str, float],
    step: int = 0,
    **more: Any,
) -> None:
    """Write the `summary.json` of a Session, with `more` in it; print our figures beside the published ones and beside
    chance, and show them on the dashboard, as a text and as a row of its table of options and results."""
    options = run.options
    content: dict[str, Any] = {
        "name": run.name,
        "recipe": options.recipe,
        "data": options.data,
        "seed": options.seed,
        **run.place.describe(),
        "epochs": options.epochs,
        "seconds": {
            "train": round(run.seconds, 2),
            **({"processor": round(run.processor_seconds, 2)} if run.processor_seconds else {}),
            "total": round(time.monotonic() - run.started, 2),
        },
        "metrics": dict(metrics),
        "published": dict(published),
        "chance": dict(chance),
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
        "options": deciding(options),
        "changed": options.changed,
        **more,
    }
    write_atomic(run.folder / "summary.json", json.dumps(content, indent=2).encode() + b"\n")
    head = ("metric", "this run", "published", "chance")
    rows = [[name, *(f"{table[name]:10.4f}" if name in table else "-" for table in (metrics, published, chance))]
            for name in metrics]  # fmt: skip
    run.logger.hparams(deciding(options), metrics, step)
    run.logger.text("summary", f"{describe(content)}\n\n{markdown_table(head, rows)}", step)
    print_table(head, rows)
    print(f"{run.seconds:.1f} s of training, {content['seconds']['total']:.1f} s in all; everything is in {run.folder}")


def read(path: Path) -> dict[str, Any] | None:
    """A finished run's summary; None where there is none, and after one line where it is damaged."""
    if not path.exists():
        return None
    content = read_json(path)
    if content is None or any(name not in content for name in NEEDED):
        say(f"{path} is damaged, and left out. Remove it, or run that again.", error=True)
        return None
    return content


def read_json(path: Path) -> dict[str, Any] | None:
    """The object that a file of JSON holds, or None for a file that is damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError):
        return None
    return content if isinstance(content, dict) else None


def describe(content: Mapping[str, Any]) -> str:
    """What a run was, in Markdown: by which command, of which options, with which packages."""
    names = ("data", "recipe", "seed", "device", "threads", "processes", "epochs", "parameters")
    about = {name: content[name] for name in names if name in content}
    lines = [", ".join(f"{name} {value}" for name, value in part.items()) for part in (about, content["versions"])]
    return "\n\n".join([f"**{content['name']}**: `{launch_command()}`", *lines])
