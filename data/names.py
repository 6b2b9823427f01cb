"""Names of 18 languages, or the lines of any folder of text files: one file for each class, one name in each line.

Source: S. Robertson, "Classifying Names with a Character-Level RNN", PyTorch Tutorials, 2017.
"""

import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data.errors import StudyError
from data.fetch import fetch
from data.text import check_name, read_text

UNKNOWN = "_"
ALPHABET = string.ascii_letters + " .,;'" + UNKNOWN
LONGEST = 200  # letters of a name: all are padded to the longest one
# Grave, acute, circumflex, tilde, macron, breve, dot, diaeresis, ring, double acute, caron, cedilla, ogonek, stroke.
MARKS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327\u0328\u0335"
# Letters that Unicode does not take apart into a plain letter and its marks.
LETTERS = str.maketrans({
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o\u0335", "Ø": "O\u0335", "ł": "l\u0335",
    "Ł": "L\u0335", "đ": "d\u0335", "Đ": "D\u0335", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i",
    "ħ": "h\u0335", "Ħ": "H\u0335", "’": "'", "‘": "'", "\u00a0": " ",
})  # fmt: skip


@dataclass(frozen=True)
class Names:
    """N names in letters of ALPHABET, each with its MARKS after it, their labels (N,) int64, and the classes
    that labels number.

    `empty` counts the lines that were left out because nothing was in them; `foreign` tells, with file and line, of
    each name with letters outside the alphabet.
    """

    names: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    empty: int = 0
    foreign: tuple[str, ...] = ()

    def part(self, indices: Sequence[int] | np.ndarray) -> "Names":
        """Some of the names, of the same classes."""
        return Names(tuple(self.names[i] for i in indices), self.labels[indices], self.classes)

    def to_ascii(self) -> "Names":
        """The names without marks."""
        return replace(self, names=tuple(map(to_ascii, self.names)))


def official(root: Path | None = None) -> Names:
    """The published names, downloaded when they are not below `root`; raises StudyError when they cannot be had."""
    return read_folder(fetch("names", root) / "names")


def read_folder(path: Path, encoding: str = "utf-8") -> Names:
    """The lines of all `<class>.txt` of a folder, classes by name; raises StudyError for what is no text of that
    encoding, naming file and line, for a file without a name in it and for a line that is no name."""
    files = sorted(path.glob("*.txt"), key=lambda file: file.stem)
    if len(files) < 2:
        found = f"{len(files)} .txt file{'s' * (len(files) != 1)}" if path.is_dir() else "no such folder"
        raise StudyError(f"names: {path}: {found}. Give a folder with a <class>.txt for each of two or more classes.")
    classes = tuple(map(check_name, files))
    names, labels, empty, foreign = [], [], 0, []
    for label, file in enumerate(files):
        before = len(names)
        for number, line in enumerate(read_text(file, encoding).rstrip().split("\n"), 1):
            if len(line) > LONGEST:
                raise StudyError(
                    f"names: {file}, line {number} has {len(line):,} letters. Write one name of at most {LONGEST} in "
                    "each line."
                )
            name, outside = known_letters(spell(line.strip()))
            if outside:
                foreign.append(f"{file}, line {number}: {line.strip()!r} has {' '.join(map(repr, outside))}")
            if not name.strip(UNKNOWN + " "):  # nothing that could be learned from
                empty += 1
                continue
            names.append(name)
        if len(names) == before:
            raise StudyError(f"names: {file} has no name in it. Write one in each line, or remove the file.")
        labels += [label] * (len(names) - before)
    return Names(tuple(names), np.array(labels), classes, empty, tuple(foreign))


def spell(text: str) -> str:
    """A text in plain letters, each with its MARKS after it; letters that have no such form stay as they are."""
    apart = unicodedata.normalize("NFD", text.translate(LETTERS))
    return "".join(letter for letter in apart if letter in MARKS or unicodedata.category(letter) != "Mn")


def to_ascii(text: str) -> str:
    """A text without marks: Ślusàrski becomes Slusarski. Letters that have no such form stay as they are."""
    return "".join(letter for letter in spell(text) if letter not in MARKS)


def key(name: str) -> str:
    """What is the same for all spellings of a name: José, Jose and JOSE."""
    return to_ascii(name).casefold()


def known_letters(text: str) -> tuple[str, list[str]]:
    """A text with UNKNOWN for each letter outside the alphabet, and those letters."""
    known = "".join(letter if letter in ALPHABET + MARKS else UNKNOWN for letter in text)
    return known, sorted(set(text) - set(ALPHABET + MARKS))


def split_grouped(names: Names, seed: int, val: float = 0.05, test: float = 0.1) -> tuple[Names, Names, Names]:
    """Training, validation and test part: no name, in whatever case and with whatever marks, is in two of them, and a
    name that a class has several times counts once. Each part has its share of every class; raises StudyError where
    that cannot be."""
    owners: dict[str, dict[int, int]] = {}  # name -> class -> where it comes first
    for place, (name, label) in enumerate(zip(names.names, names.labels.tolist(), strict=True)):
        owners.setdefault(key(name), {}).setdefault(label, place)
    sizes = np.bincount([label for places in owners.values() for label in places], minlength=len(names.classes))
    strata: list[list[list[int]]] = [[] for _ in names.classes]
    for places in owners.values():  # a name of several classes is dealt out with the rarest of them
        strata[min(places, key=lambda label: (sizes[label], label))].append(list(places.values()))
    rng = np.random.default_rng(seed)
    parts: tuple[list[int], ...] = ([], [], [])
    for kind, groups in zip(names.classes, strata, strict=True):
        if len(groups) < 3:
            raise StudyError(
                f"names: {kind} needs three or more different names that no rarer class has, one for each of training, "
                f"validation and test; it has {len(groups)}. Add names, or remove its file."
            )
        held = [max(1, round(share * len(groups))) for share in (val, test)]
        order = rng.permutation(len(groups))
        for part, chosen in zip(parts, np.split(order, np.cumsum([len(groups) - sum(held), held[0]])), strict=True):
            part += [place for number in chosen for place in groups[number]]
    return tuple(names.part(np.sort(part)) for part in parts)
