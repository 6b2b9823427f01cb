"""Sentence pairs: read from two line-aligned files or one tab-separated file, and split so that nothing leaks."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import StudyError
from data.text import read_text

LONGEST = 4000  # characters of a sentence


@dataclass(frozen=True)
class Pairs:
    """Sentence i of `target` is the translation of sentence i of `source`."""

    source: tuple[str, ...]
    target: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.source)

    def part(self, indices: Sequence[int] | np.ndarray) -> "Pairs":
        """Some of the pairs, in the order of `indices`."""
        return Pairs(tuple(self.source[i] for i in indices), tuple(self.target[i] for i in indices))

    def reversed(self) -> "Pairs":
        """The same pairs, to translate the other way."""
        return Pairs(self.target, self.source)


@dataclass(frozen=True)
class Parallel:
    """Pairs to train on, to choose by, and to test on once."""

    train: Pairs
    val: Pairs
    test: Pairs


# Reading


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The lines of a text file without the blanks around them; empty lines at the end do not count.

    Only a line feed ends a line: splitlines() would also cut at the rarer separators of Unicode, and what comes after
    would be paired wrongly. Raises StudyError for an empty file and as `read_text` does.
    """
    lines = [line.strip() for line in read_text(path, encoding).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise StudyError(f"pairs: {path} is empty. Write one sentence in each line.")
    return lines


def check_length(path: Path, sentences: Sequence[str]) -> None:
    """Raise StudyError, naming the line, for what is no sentence: all pairs are padded to the longest one."""
    for number, text in enumerate(sentences, 1):
        if len(text) > LONGEST:
            raise StudyError(
                f"pairs: {path}, line {number} has a sentence of {len(text):,} characters, more than {LONGEST:,}. "
                "Split it into sentences, or remove it."
            )


def read_files(source: Path, target: Path, encoding: str = "utf-8") -> Pairs:
    """The pairs of two files, line by line; raises StudyError for unequal lengths, for the first empty line and for
    the first that is too long."""
    both = {path: read_lines(path, encoding) for path in (source, target)}
    counts = [len(lines) for lines in both.values()]
    for path, lines in both.items():
        if "" in lines:
            raise StudyError(
                f"pairs: {path}, line {lines.index('') + 1} is empty ({lines.count('')} such lines). Write the "
                "sentence there, or remove that line from both files."
            )
        check_length(path, lines)
    if len(set(counts)) > 1:
        raise StudyError(
            f"pairs: {source} has {counts[0]:,} lines and {target} {counts[1]:,}: from line {min(counts) + 1:,} on, "
            "one of them has no partner. Line i of one file must translate line i of the other."
        )
    return Pairs(tuple(both[source]), tuple(both[target]))


def read_table(path: Path, encoding: str = "utf-8") -> Pairs:
    """The pairs of lines `source<tab>target`; further columns, as manythings.org adds, are passed over.

    Raises StudyError, naming the line, where a tab or a sentence is missing or a sentence is too long.
    """
    rows = [line.split("\t") for line in read_lines(path, encoding)]
    for number, row in enumerate(rows, 1):
        if len(row) < 2 or not (row[0].strip() and row[1].strip()):
            what = "has no tab" if len(row) < 2 else "has an empty column"
            raise StudyError(f"pairs: {path}, line {number} {what}. Each line is: source sentence, tab, translation.")
    sides = [tuple(row[side].strip() for row in rows) for side in (0, 1)]
    for sentences in sides:
        check_length(path, sentences)
    return Pairs(*sides)


# Splitting


def letters(text: str) -> str:
    """A sentence without case, accents, punctuation and blanks: what two near-identical sentences share."""
    apart = unicodedata.normalize("NFD", text.casefold())
    return re.sub(r"[\W_]+", "", apart) or text  # marks of accents are no \w


def groups(pairs: Pairs, key: Callable[[str], str] = letters) -> np.ndarray:
    """The group (N,) of each pair: pairs that share a source or a target sentence, directly or through others."""
    parent = list(range(len(pairs)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    for sentences in (pairs.source, pairs.target):
        first: dict[str, int] = {}
        for place, sentence in enumerate(sentences):
            parent[root(place)] = root(first.setdefault(key(sentence), place))
    return np.array([root(place) for place in range(len(pairs))])


def split(pairs: Pairs, held_out: int, key: Callable[[str], str] = letters) -> Parallel:
    """Training, validation and test part, the last two of `held_out` pairs each, but at most a tenth of all: the same
    in every run, whatever its seed, so that the seeds' results can be compared.

    A group of pairs that share a source or a target sentence (by `key`) stays together, so that no held-out sentence,
    source or target, was trained on. Raises StudyError when there are too few pairs.
    """
    if held_out == 0:
        return Parallel(pairs, pairs.part([]), pairs.part([]))
    room = min(held_out, len(pairs) // 10)
    if room == 0:
        raise StudyError(f"pairs: {len(pairs)} pairs are too few to hold some out. Give 10 or more, ideally thousands.")
    _, group, sizes = np.unique(groups(pairs, key), return_inverse=True, return_counts=True)
    part = np.zeros(len(sizes), dtype=int)  # of each group: 0 train, 1 val, 2 test
    left = [len(pairs), room, room]
    for number in np.random.default_rng(0).permutation(len(sizes)):
        part[number] = next(p for p in (2, 1, 0) if sizes[number] <= left[p] or p == 0)
        left[part[number]] -= sizes[number]
    if max(left[1:]) == room:
        raise StudyError(
            f"pairs: no part of the {len(pairs)} pairs can be held out: nearly all share a sentence with others. Give "
            "more different ones."
        )
    chosen = part[group.reshape(-1)]
    return Parallel(*(pairs.part(np.flatnonzero(chosen == number)) for number in range(3)))
