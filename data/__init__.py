"""Data sets as NumPy arrays, strings and paths: official files (verified) or generated tiny twins. Knows no torch."""

from importlib import import_module
from pathlib import Path

from data import tiny
from data.errors import StudyError
from data.fetch import default_root

__all__ = ["StudyError", "default_root", "load"]


def load(name: str, source: str = "official", root: Path | None = None, seed: int = 0):
    """A data set by name: `official` from below `root` (downloaded when missing), or its `tiny` twin from a seed."""
    if source == "tiny":
        return getattr(tiny, name)(seed=seed)
    if source == "official":
        return import_module(f"data.{name}").official(root)
    raise StudyError(f"{name}: there is no source {source!r}. Choose official or tiny.")
