"""Files of weights from outside, opened so that none can run code: the one place that calls `torch.load`.

A `.safetensors` file holds numbers and names, and any torch reads it. A `.pth` file can hold a program: a torch before
SAFE can run it even under `weights_only=True` (CVE-2025-32434 before 2.6, CVE-2026-24747 before 2.10), and opens only
what `data/sources.py` lists by whole hash.
"""

import hashlib
import io
import pickle
import re
import sys
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from data import StudyError
from data.sources import SOURCES, File

SAFE = torch.__version__ >= (2, 10)
WHOLE = re.compile(r"sha256:[0-9a-f]{64}")
DANGER = f"torch {torch.__version__} can run code from a .pth file (CVE-2025-32434, CVE-2026-24747)"
DEFAULT = "the default environment (make setup, without TORCHTEXT=1)"


def read_state(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a .safetensors or .pth file, on the CPU; raises StudyError for any other file.

    A torch before SAFE opens a .pth file only if its whole SHA-256 is listed.
    """
    if not path.is_file():
        raise StudyError(f"weights: there is no file {path}. Give another one.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StudyError(f"weights: {path} cannot be read ({error.strerror}). Give another file.") from error
    safe_format = path.suffix.lower() == ".safetensors"
    if not safe_format:
        check_hash(path, hashlib.sha256(content).hexdigest())
    try:  # what is opened are the bytes whose hash was taken: nobody can exchange the file in between
        state = safetensors.torch.load(content) if safe_format else load_pth(content)
    except Exception as error:  # damaged bytes may raise nearly anything
        kind = "safetensors" if safe_format else "weights"
        raise StudyError(
            f"weights: {path} is not a readable {kind} file ({reason(error)}). Remove it and run again, or "
            "give another file."
        ) from error
    named = isinstance(state, Mapping) and all(isinstance(key, str) for key in state)
    if not named or not all(isinstance(value, Tensor) for value in state.values()):
        raise StudyError(f"weights: {path} holds no state dict (names and tensors). Save net.state_dict() there.")
    return state


def load_pth(content: bytes) -> Any:
    """What torch.save wrote, for bytes that `check_hash` has let pass."""
    with warnings.catch_warnings(action="ignore"):  # what torch has to say is an error of ours, in one line
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def reason(error: Exception) -> str:
    """One line for what went wrong. torch's own for a refused pickle tells how to open it unsafely."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds more than tensors, or is damaged"
    return (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]


def check_hash(path: Path, digest: str) -> None:
    """Raise StudyError for a .pth file that this torch must not open; say so if only its name vouches for one."""
    files = SOURCES["weights"].files
    if f"sha256:{digest}" in {file.hash for file in files}:
        return
    if not SAFE:
        raise StudyError(
            f"weights: {path} stays closed: {DANGER}, and data/sources.py does not list the file's whole SHA-256. In "
            f"{DEFAULT} make it safetensors with make convert WEIGHTS={path}, and give that file instead."
        )
    listed = {PurePath(file.path).name: file.hash or "" for file in files}
    named = re.search(r"-([0-9a-f]{8,})\.pth$", path.name)  # as torchvision calls its files
    known = listed.get(path.name, f"sha256:{named[1]}" if named else "").removeprefix("sha256:")
    if known and digest.startswith(known):
        say_once(path, len(known))


@cache
def say_once(path: Path, digits: int) -> None:
    """A study loads a model more than once."""
    print(
        f"weights: {path.name} matches only the {digits} hash digits in its name, which do not prove who made it",
        file=sys.stderr,
    )


def check_listed(*files: File) -> None:
    """Raise StudyError for published files that this torch must not open, before they are downloaded in vain."""
    unknown = [PurePath(file.path).name for file in files if not WHOLE.fullmatch(file.hash or "")]
    if unknown and not SAFE:
        raise StudyError(
            f"weights: {DANGER}, and of {', '.join(unknown)} only 8 digits of the SHA-256 are published. Take "
            f"{DEFAULT} or other models, or make it safetensors there (make convert WEIGHTS=file.pth) and give that "
            "file with --weights-file."
        )
