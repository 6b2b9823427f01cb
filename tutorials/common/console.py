"""What a program prints: lines that leave a progress bar whole, and tables."""

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from tqdm import tqdm


def replace_unprintable() -> None:
    """From now on, print a question mark for what the console's encoding does not have, instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def say(text: str, error: bool = False) -> None:
    """Print a line without tearing a progress bar; nothing, when the terminal or the pipe was closed."""
    stream = sys.stderr if error else sys.stdout
    try:
        tqdm.write(text, file=stream)
        stream.flush()
    except OSError as failure:  # may come before the signal that asks the run to save
        if failure.errno not in (errno.EIO, errno.EPIPE):
            raise
        silence(stream)


def silence(stream: TextIO) -> None:
    """From now on, print into the void, with what is left in the buffer: it would fail again at the program's end."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text under their heads, in Markdown."""
    cells = [[cell.replace("|", "&#124;") for cell in row] for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under their heads, columns aligned."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in (head, ["-" * width for width in widths], *rows)]  # fmt: skip
    say("\n" + "\n".join(lines))
