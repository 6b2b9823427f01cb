"""Checkpoints: one safetensors file each, all but tensors as JSON in its header. Loading runs no code."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from data import StudyError

NAMES = ("last", "previous")


class BrokenCheckpointError(StudyError):
    """A checkpoint that cannot be read whole."""


def write_atomic(path: Path, content: bytes, previous: Path | None = None) -> None:
    """Write a file that is either there whole or not there, even when the power fails; `previous` gets the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if previous and path.exists():
            path.replace(previous)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)  # on a full disk it is in the way
        raise


def save(path: Path, tree: Mapping[str, Any], keep_previous: bool = False) -> None:
    """Write a tree of dicts, lists, tuples, numbers, strings, arrays and tensors; with `keep_previous`, keep the file
    that was there as `previous.safetensors` beside it."""
    tensors: dict[str, torch.Tensor] = {}
    body = json.dumps(flatten(tree, "", tensors))
    metadata = {"tree": body, "digest": digest(body, tensors)}
    content = safetensors.torch.save(tensors, metadata)
    write_atomic(path, content, path.with_name(f"{NAMES[1]}.safetensors") if keep_previous else None)


def load(path: Path, needed: Sequence[str] = ()) -> dict[str, Any]:
    """Read what `save` wrote, on the CPU; raises BrokenCheckpointError when the file is cut short or altered, or lacks
    what is `needed`."""
    if not path.exists():
        raise BrokenCheckpointError(f"{path} is not there. Run again without --resume.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        body = metadata["tree"]
        if metadata["digest"] != digest(body, tensors):
            raise BrokenCheckpointError(f"{path}: its content does not match its checksum")
        tree = unflatten(json.loads(body), tensors)
        if lacking := [name for name in needed if name not in tree]:
            raise BrokenCheckpointError(f"{path}: it lacks {', '.join(lacking)}")
        return tree
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BrokenCheckpointError(f"{path}: cut short or no checkpoint of this repository ({error})") from error


def find(
    folder: Path, identity: Mapping[str, Any], needed: Sequence[str], say: Callable[[str], None]
) -> dict[str, Any] | None:
    """The newest checkpoint of a run folder that can be read and has what is `needed`, or None when there is none.

    Raises StudyError when all are broken, or when it belongs to a run of other options.
    """
    broken = []
    for path in (folder / f"{name}.safetensors" for name in NAMES):
        if not path.exists():
            continue
        try:
            state = load(path, needed)
        except BrokenCheckpointError as error:
            broken.append(str(error))
            continue
        if broken or path.stem != NAMES[0]:
            say(
                f"{'; '.join(broken) or f'{folder} has no last checkpoint'}. Continuing from the one before it, {path}."
            )
        check_identity(path, state["identity"], identity)
        return state | {"file": path.stem}
    if broken:
        raise StudyError("\n".join(broken) + "\nNo checkpoint is left to continue from. Run again without --resume.")
    say(f"{folder}: no checkpoint yet; starting from the beginning")
    return None


def find_best(name: str, folder: Path | None = None, runs: Path = Path("runs")) -> Path:
    """The best weights of a run folder; without one, the newest of a tutorial, of any data rather than of the twin."""
    if folder:
        found = [folder / "best.safetensors"]
    else:
        there = [*runs.glob(f"{name}-*/best.safetensors"), *runs.glob(f"study/{name}/best.safetensors")]
        newest = sorted(there, key=lambda path: path.stat().st_mtime)
        found = [path for path in newest if not knows_twin(path, name)] or newest
    if not found or not found[-1].exists():
        where = folder or runs / f"{name}-…"
        raise StudyError(
            f"{where}: there is no saved net (best.safetensors). Train one first: make {name} DATA=official"
        )
    return found[-1]


def knows_twin(path: Path, name: str) -> bool:
    """Whether a net below `runs` was trained on a tutorial's twin, by the name of its folder."""
    folder = path.parent
    return (folder.parent.name, folder.name) == ("study", name) or folder.name.startswith(f"{name}-tiny-")


def describe(path: Path, name: str) -> str:
    """The path of a net that answers, and of the twin's, what it lacks."""
    lacks = f" (trained on synthetic data only; make {name} DATA=official trains one on real data)"
    return f"{path}{lacks if knows_twin(path, name) else ''}"


def load_best(path: Path, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The weights that `keep_best` of a tutorial saved, and what it said about them."""
    weights = load(path)
    about = weights.pop("about", {})
    if about.get("tutorial") != name:
        raise StudyError(f"{path} was saved by {about.get('tutorial', 'another program')}, not by {name}.")
    return weights, about


def fits(tutorial: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator for a function that loads a net from a path: it reports in one line what does not fit the current net.
    Without `tutorial`, the function's second argument names it."""

    def decorate(load_net: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(load_net)
        def load_fitting(path: Path, *arguments: Any) -> Any:
            try:
                return load_net(path, *arguments)
            except (KeyError, TypeError, RuntimeError, AttributeError, ValueError) as error:
                reason = " ".join(str(error).split())[:150]
                raise StudyError(
                    f"{path} is damaged or from an earlier version of this tutorial ({reason}). Train anew: make "
                    f"{tutorial or arguments[0]}"
                ) from error

        return load_fitting

    return decorate


def check_identity(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to continue a run under other options."""
    differing = [name for name in {**saved, **wanted} if saved.get(name) != wanted.get(name)]
    if differing:
        lines = "\n".join(
            f"  {name}: {saved.get(name)} in the checkpoint, {wanted.get(name)} now" for name in differing
        )
        raise StudyError(
            f"{path} belongs to a run of other options:\n{lines}\nGive the same options to continue it, or "
            "leave out --resume to start anew."
        )


def digest(body: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """A checksum over everything in the file: a copy that was cut and padded has the right length."""
    total = hashlib.sha256(body.encode())
    for key in sorted(tensors):
        total.update(key.encode())
        total.update(tensors[key].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def flatten(node: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    """The JSON form of a tree; tensors go into `tensors` under their path."""
    if isinstance(node, np.ndarray):
        # torch 2.3 has hardly any unsigned types, which the states of generators are of.
        copy = node.astype(np.int64 if node.dtype.kind == "u" else node.dtype, order="C")
        return {"array": flatten(torch.from_numpy(copy), path, tensors), "dtype": str(node.dtype)}
    if isinstance(node, torch.Tensor):
        tensors[path] = node.detach().cpu().clone().contiguous()  # a copy: two names may share one storage
        return {"tensor": path}
    if isinstance(node, Mapping):
        # Some schedulers name a function in their state: the new scheduler has its own.
        kept = {key: value for key, value in node.items() if not callable(value)}
        return {
            "dict": [
                [key, flatten(value, f"{path}/{key}" if path else str(key), tensors)] for key, value in kept.items()
            ]
        }
    if isinstance(node, list | tuple):
        return {type(node).__name__: [flatten(value, f"{path}/{place}", tensors) for place, value in enumerate(node)]}
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise TypeError(f"checkpoint: cannot keep {path}, a {type(node).__name__}")


def unflatten(node: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The inverse of `flatten`."""
    if not isinstance(node, dict):
        return node
    if "array" in node:
        return unflatten(node["array"], tensors).numpy().astype(node["dtype"])
    kind, value = next(iter(node.items()))
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: unflatten(child, tensors) for key, child in value}
    children = [unflatten(child, tensors) for child in value]
    return tuple(children) if kind == "tuple" else children
