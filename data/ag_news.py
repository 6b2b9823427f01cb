"""AG_NEWS: 120,000 training and 7,600 test news items of four topics, and any other csv file of labels and texts.

Source: X. Zhang et al., "Character-level Convolutional Networks for Text Classification", NIPS, 2015.
"""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from data.errors import StudyError
from data.fetch import fetch
from data.text import find_encoding

CLASSES = ("World", "Sports", "Business", "Sci/Tech")
LABEL_NAMES = {"label", "labels", "class", "category", "sentiment", "polarity", "target", "topic", "rating", "stars",
               "y"}  # fmt: skip
SAMPLE = 1000  # rows by which header and columns are found
MOST_CLASSES = 200
LONGEST_LABEL = 100  # signs


@dataclass(frozen=True)
class Table:
    """A csv file: on the disk, or, of a twin, its bytes."""

    path: Path
    content: bytes | None = None

    def open(self) -> BinaryIO:
        try:
            return io.BytesIO(self.content) if self.content is not None else self.path.open("rb")
        except OSError as error:
            raise StudyError(
                f"{self.path}: cannot be read ({error.strerror}). Name a csv file of labels and texts."
            ) from error

    def digest(self) -> str:
        """Size and sha256 of the content."""
        with self.open() as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return f"{file.tell()}:{digest}"


@dataclass(frozen=True)
class Layout:
    """Where a row has its label and its texts; `labels` are the only ones allowed, unless it is empty."""

    label: int = 0
    texts: tuple[int, ...] = (1, 2)
    header: bool = False
    encoding: str = "utf-8"
    labels: tuple[str, ...] = ("1", "2", "3", "4")


@dataclass(frozen=True)
class AgNews:
    """Two tables of the official layout: no header, then label 1..4, title, description."""

    train: Table
    test: Table
    layout: Layout = Layout()
    classes: tuple[str, ...] = CLASSES


@dataclass
class Skipped:
    """How many rows were left out, and where the first of each kind was."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, line: int) -> None:
        self.counts[kind] += 1
        self.first.setdefault(kind, line)

    def __str__(self) -> str:
        return ", ".join(
            f"{count:,} {kind} (the first in line {self.first[kind]:,})" for kind, count in self.counts.items()
        )


def official(root: Path | None = None) -> AgNews:
    """The published csv files, downloaded when they are not below `root`; raises StudyError when they cannot be had."""
    folder = fetch("ag_news", root) / "ag_news_csv"
    return AgNews(Table(folder / "train.csv"), Table(folder / "test.csv"))


def records(table: Table, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a csv file with the line in which each begins; a quoted field may go over several lines.

    Raises StudyError with file and line where the quotes do not fit: what follows could not be told apart.
    """
    csv.field_size_limit(2**31 - 1)  # a field of any length
    with table.open() as binary, io.TextIOWrapper(binary, encoding, newline="") as file:
        reader = csv.reader(file, delimiter="\t" if table.path.suffix == ".tsv" else ",", strict=True)
        line = 1
        try:
            for record in reader:
                if record:
                    yield line, record
                line = reader.line_num + 1
        except csv.Error as error:
            raise StudyError(
                f"{table.path}, line {line:,}: not csv ({error}). A field with quotes in it must stand in quotes, "
                'and each quote in it be doubled: "so ""to say""".'
            ) from error


def rows(table: Table, layout: Layout, skipped: Skipped | None = None) -> Iterator[tuple[int, str, str]]:
    """Line, label and text of every good row; the texts of a row are joined by blanks.

    Rows that are too short or have no label or text are counted in `skipped`; raises StudyError with file and line
    for a label that is not allowed, since nobody knows what class the row is.
    """
    skipped = skipped if skipped is not None else Skipped()
    needed = max(layout.label, *layout.texts) + 1
    reader = records(table, layout.encoding)
    if layout.header:
        next(reader, None)
    for line, record in reader:
        if len(record) < needed:
            skipped.add("rows of too few fields", line)
            continue
        label, text = record[layout.label].strip(), " ".join(record[column] for column in layout.texts)
        if not label or not text.strip():
            skipped.add("rows without " + ("text" if label else "label"), line)
            continue
        if len(label) > LONGEST_LABEL:
            raise StudyError(
                f"{table.path}, line {line:,}: a label of {len(label):,} characters is too long. Name the column "
                "of the labels and then those of the text: --columns 2 1."
            )
        if layout.labels and label not in layout.labels:
            raise StudyError(
                f"{table.path}, line {line:,}: the label is {label!r}, not one of {', '.join(layout.labels)}. "
                "Correct or remove the row."
            )
        yield line, label, text


def find_layout(table: Table, columns: Sequence[str] = (), encoding: str = "utf-8") -> Layout:
    """Find header and columns by the first rows of a csv file of labels and texts, in an `encoding` unless a byte
    order mark says another.

    `columns` names the label's column and then the text's, by header or number (1 is the first). Without it, the
    label's is the one that a header calls so, else the one of the fewest different values; all others are text.
    Raises StudyError when there are no two columns, or none that looks like labels, or as `find_encoding` does.
    """
    with table.open() as file:
        encoding = find_encoding(file, table.path, encoding)
    sample = [record for _, record in zip(range(SAMPLE), (r for _, r in records(table, encoding)), strict=False)]
    width = Counter(map(len, sample)).most_common(1)[0][0] if sample else 0
    sample = [record for record in sample if len(record) == width]
    if width < 2 or len(sample) < 2:
        raise StudyError(f"{table.path}: has no rows of a label and a text, separated by commas.")
    names = [cell.strip().lower() for cell in sample[0]]
    chosen = [find_column(table, column, names) for column in columns]
    kinds = [len({record[column].strip() for record in sample[1:]}) for column in range(width)]
    named = [column for column in range(width) if names[column] in LABEL_NAMES]
    label = chosen[0] if chosen else named[0] if named else min(range(width), key=kinds.__getitem__)
    header = label in named or is_header(sample, label) or any(not column.isdecimal() for column in columns)
    if kinds[label] > min(MOST_CLASSES, len(sample) // 2 + 1):
        raise StudyError(
            f"{table.path}: column {label + 1} has {kinds[label]:,} different values in {len(sample):,} rows: too "
            "many for labels. Name the column of the labels and then those of the text: --columns 2 1."
        )
    texts = tuple(chosen[1:]) or tuple(column for column in range(width) if column != label)
    return Layout(label, texts, header, encoding, ())


def find_column(table: Table, wanted: str, names: list[str]) -> int:
    """The place of a column, given by its number (1 is the first) or by the header's name for it."""
    if wanted.lower() in names:
        return names.index(wanted.lower())
    if wanted.isdecimal() and len(wanted) < 9 and 1 <= int(wanted) <= len(names):
        return int(wanted) - 1
    raise StudyError(f"--columns {wanted}: {table.path} has no such column. Its first row: {', '.join(names)[:200]}")


def is_header(sample: list[list[str]], label: int) -> bool:
    """Whether the first row's label is of another kind than all others: a word among numbers, or one seen only there
    among labels that come again and again."""
    first, others = sample[0][label].strip(), [record[label].strip() for record in sample[1:]]
    if first in others:
        return False
    if all(is_number(other) for other in others):
        return not is_number(first)
    return (
        len(others) >= 4 * len(set(others))
        and len(sample[0]) == len({cell.strip() for cell in sample[0]})
        and all(len(cell.split()) == 1 for cell in sample[0])
    )


def is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text))


def label_order(label: str) -> tuple[int, float, str]:
    """Numbers by their size, then words by the alphabet."""
    return (0, float(label), label) if is_number(label) else (1, 0.0, label)
