"""WikiText-2: Good and Featured articles of the English Wikipedia, two million words.

Source: S. Merity et al., "Pointer Sentinel Mixture Models", ICLR, 2017.
"""

from dataclasses import dataclass
from pathlib import Path

from data.errors import StudyError
from data.fetch import fetch

SPLITS = {"train": 36_718, "valid": 3_760, "test": 4_358}


@dataclass(frozen=True)
class WikiText2:
    """Lines as they stand in the files: a paragraph, a heading (" = Title = ") or nothing but a blank in each."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


def official(root: Path | None = None) -> WikiText2:
    """The published text, downloaded when missing; raises StudyError when it cannot be had or is cut short."""
    folder = fetch("wikitext2", root) / "wikitext-2"
    parts = []
    for name, count in SPLITS.items():
        path = folder / f"wiki.{name}.tokens"
        # Read as bytes: a text file's universal newlines would also cut lines at a carriage return.
        lines = path.read_bytes().decode().removesuffix("\n").split("\n")
        if len(lines) != count:
            raise StudyError(f"wikitext2: {path} has {len(lines):,} lines, not {count:,}. Remove {folder}, run again.")
        parts.append(tuple(lines))
    return WikiText2(*parts)
