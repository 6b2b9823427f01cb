"""What was read, as a short digest: it is the same for the same data, wherever they lie."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import StudyError

CHUNK = 1 << 20


def fingerprint(value: Any, root: Path) -> str:
    """A digest of arrays, texts and files' contents, however nested; the folder `root` may stand elsewhere.

    Raises StudyError for a file that cannot be read.
    """
    total = hashlib.blake2b(digest_size=16)
    for part in pieces(value, str(root)):
        total.update(f"{len(part)}:".encode())
        total.update(part)
    return total.hexdigest()


def pieces(value: Any, root: str) -> Iterator[bytes | np.ndarray]:
    """All that counts of a value, as bytes."""
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode()
        yield np.ascontiguousarray(value).reshape(-1).view(np.uint8)
    elif isinstance(value, list | tuple):
        yield str(len(value)).encode()
        for part in value:
            yield from pieces(part, root)
    elif isinstance(value, Path):
        yield from contents(value)
    else:
        yield value if isinstance(value, bytes) else str(value).replace(root, "").encode(errors="surrogateescape")


def contents(path: Path) -> Iterator[bytes]:
    """A file's name and its bytes; a twin's file has its name alone."""
    yield path.name.encode(errors="surrogateescape")
    if path.is_file():
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except OSError as error:
            raise StudyError(f"{path}: cannot be read ({error.strerror}). Make it readable, or remove it.") from error
