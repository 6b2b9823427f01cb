"""Texts as flat arrays on the disk: tokenized once, memory-mapped ever after, built anew when anything changes.

A folder holds `words.int32` (all texts' word numbers, one after another), `offsets.npy` (where each text begins),
`labels.npy`, `lines.npy`, `digests.npy`, the lexicon and `about.json`. It appears by one rename, whole or not at all.
"""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.ag_news import Layout, Skipped, Table, label_order, rows
from data.errors import StudyError
from data.unpack import move, workspace

FORMAT = 1  # to be raised when these files change
BUFFER = 1 << 20  # words in memory while building


@dataclass(frozen=True)
class Corpus:
    """N texts of several tables: text i is `words[offsets[i] : offsets[i + 1]]`, numbers of words in the `lexicon`.

    words (T,) int32, memory-mapped; offsets (N + 1,) int64; labels (N,) int64, places in `tables[t]["labels"]`; lines
    (N,) int64 of the csv; digests (N,) uint64, equal for texts of equal tokens; bounds: table t has the texts
    `bounds[t] : bounds[t + 1]`.
    """

    words: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    lines: np.ndarray
    digests: np.ndarray
    bounds: list[int]
    lexicon: list[str]
    tables: list[dict[str, Any]]


class Numbers(dict):
    """Word -> number, in the order in which words are first asked for."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


def tokenized(
    tables: Sequence[tuple[Table, Layout]], tokenize: Callable[[str], list[str]], name: str, root: Path
) -> Corpus:
    """The tokens of some tables, from the arrays below `root`, which are made when there are none for these files
    (size and sha256), these layouts and this tokenizer, whose `name` says all that decides its output.

    Raises StudyError for a table that cannot be read or has no text.
    """
    identity = [FORMAT, name, [[table.path.name, table.digest(), asdict(layout)] for table, layout in tables]]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    folder = root / "tokenized" / f"{tables[0][0].path.stem}-{key}"
    if not (folder / "about.json").exists():
        with workspace(root) as part:
            build(tables, tokenize, part / "arrays")
            move(part / "arrays", folder, folder)  # when two processes build at once, the first one's stays
    return load(folder)


def build(tables: Sequence[tuple[Table, Layout]], tokenize: Callable[[str], list[str]], folder: Path) -> None:
    """Tokenize all rows once and write the arrays; at no time is more than a buffer of the words in memory."""
    folder.mkdir()
    numbers, columns = Numbers(), {name: array("q") for name in ("offsets", "labels", "lines")}
    digests, buffer, bounds, read, total = array("Q"), array("i"), [0], [], 0
    with (folder / "words.int32").open("wb") as file:
        for table, layout in tables:
            labels, skipped = Numbers(), Skipped()
            for line, label, text in rows(table, layout, skipped):
                tokens = tokenize(text)
                if not tokens:
                    skipped.add("rows without a word", line)
                    continue
                columns["offsets"].append(total)
                columns["labels"].append(labels[label])
                columns["lines"].append(line)
                digests.append(digest(tokens))
                buffer.extend(map(numbers.__getitem__, tokens))
                total += len(tokens)
                if len(buffer) >= BUFFER:
                    buffer.tofile(file)
                    buffer = array("i")
            check_skipped(table, skipped, len(digests) - bounds[-1])
            bounds.append(len(digests))
            read.append({"skipped": str(skipped), "labels": list(labels)})
        buffer.tofile(file)
    columns["offsets"].append(total)
    sort_labels(columns["labels"], bounds, read)
    for name, values in (*columns.items(), ("digests", digests)):
        np.save(folder / f"{name}.npy", np.frombuffer(values, np.uint64 if name == "digests" else np.int64))
    (folder / "lexicon.txt").write_text("\n".join(numbers), encoding="utf-8", newline="\n")
    (folder / "about.json").write_text(json.dumps({"bounds": bounds, "tables": read}), encoding="utf-8")


def digest(tokens: Iterable[str]) -> int:
    """64 bits that are equal for equal tokens, and else not in practice."""
    return int.from_bytes(hashlib.blake2b(" ".join(tokens).encode(), digest_size=8).digest(), "little")


def check_skipped(table: Table, skipped: Skipped, kept: int) -> None:
    """Leaving out rows is safe as long as they are few."""
    left_out = sum(skipped.counts.values())
    if not kept or left_out > max(10, kept // 10):
        raise StudyError(
            f"{table.path}: {kept:,} rows can be used; left out: {skipped or 'none'}. Correct the file, or name the "
            "columns of label and text with --columns."
        )


def sort_labels(labels: array, bounds: list[int], tables: list[dict[str, Any]]) -> None:
    """Number each table's labels by their order instead of by their first row, in place."""
    numbered = np.frombuffer(labels, np.int64)
    for low, high, table in zip(bounds, bounds[1:], tables, strict=False):
        found = table["labels"]
        table["labels"] = sorted(found, key=label_order)
        rank = {label: place for place, label in enumerate(table["labels"])}
        numbered[low:high] = np.array([rank[label] for label in found])[numbered[low:high]]


def load(folder: Path) -> Corpus:
    """Open what `build` wrote; the words stay on the disk until they are asked for."""
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        arrays = {name: np.load(folder / f"{name}.npy") for name in ("offsets", "labels", "lines", "digests")}
        words = np.memmap(folder / "words.int32", np.int32, mode="r")
        lexicon = (folder / "lexicon.txt").read_text(encoding="utf-8").split("\n")
        if len(words) != arrays["offsets"][-1]:
            raise ValueError(f"{len(words)} words, not {arrays['offsets'][-1]}")
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise StudyError(f"{folder}: damaged ({error}). Remove it and run again: it is then made anew.") from error
    return Corpus(words, bounds=about["bounds"], lexicon=lexicon, tables=about["tables"], **arrays)
