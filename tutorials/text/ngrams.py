"""Words, hashed word n-grams and prefixes as features, computed for many texts at once.

scikit-learn's CountVectorizer counts n-grams too, but takes longer than a training, and predictions would need it.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from data.tokens import Corpus
from tutorials.text import tokenizer

# S. Vigna's SplitMix64: its multipliers, to spread neighboring numbers over all 64 bits.
GOLDEN, MIX1, MIX2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
PER_TEXT, MOST = 128, 2**20  # buckets, where the user names no number

# T words of all texts together, S features of all of them, N texts, L words in a lexicon


def mix(values: ndarray) -> ndarray:
    """A 64-bit hash of each number, uint64 modulo 2^64; as SplitMix64 does."""
    values = values + GOLDEN
    values = (values ^ (values >> np.uint64(30))) * MIX1
    values = (values ^ (values >> np.uint64(27))) * MIX2
    return values ^ (values >> np.uint64(31))


def buckets_for(texts: int, classes: int = 2) -> int:
    """A power of two: some for each training text, so that few features collide, up to a million in all; less for more
    than 32 classes, since each bucket has a count for each class."""
    return min(MOST, 1 << (PER_TEXT * texts - 1).bit_length(), 1 << (32 * MOST // classes).bit_length() - 1)


def gather_rows(corpus: Corpus, rows: ndarray) -> tuple[ndarray, ndarray]:
    """The lexicon's indices of all words of some texts (T,), and which of the texts each is in (T,)."""
    starts = corpus.offsets[rows]
    lengths = corpus.offsets[np.asarray(rows) + 1] - starts
    places = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(places)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return corpus.words[np.repeat(starts, lengths) + within], places


def chunks(rows: ndarray, size: int = 10_000) -> Iterator[ndarray]:
    """Rows in parts, so that no more than one part of the texts is in memory."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def count_words(corpus: Corpus, rows: ndarray) -> ndarray:
    """How often some texts have each word of the lexicon (L,)."""
    counts = np.zeros(len(corpus.lexicon), np.int64)
    for part in chunks(rows):
        counts += np.bincount(gather_rows(corpus, part)[0], minlength=len(counts))
    return counts


@dataclass(frozen=True)
class Ngrams:
    """Words -> indices of features: those below `len(words)` are words (0 is unknown), the rest hash buckets."""

    words: list[str]
    ngrams: int = 1
    buckets: int = MOST
    prefixes: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return len(self.words) + (self.buckets if self.ngrams > 1 or self.prefixes else 0)

    def table(self, lexicon: Sequence[str]) -> ndarray:
        """Each word of a lexicon as features (L, 1 + prefixes): itself, its prefixes, -1 where it is too short."""
        known = tokenizer.vocabulary(self.words)(list(lexicon))
        prefixes = [[self.prefix(word, length) for word in lexicon] for length in self.prefixes]
        return np.array([known, *prefixes], np.int64).T

    def prefix(self, word: str, length: int) -> int:
        if len(word) <= length:
            return -1
        return len(self.words) + zlib.crc32(f"{length}:{word[:length]}".encode()) % self.buckets

    def grid(self, table: ndarray, words: ndarray, places: ndarray) -> ndarray:
        """The features (T, K) that begin at each word: itself, bigram, trigram, prefixes; -1 where there is none.

        An n-gram ends with its text, and has no unknown word in it.
        """
        found = table[words]
        columns, known = [found[:, 0]], found[:, 0].astype(np.uint64)
        hashed, whole = mix(known), known > 0
        for length in range(2, self.ngrams + 1):
            ahead = length - 1
            column = np.full(len(words), -1, np.int64)
            if len(words) > ahead:
                whole = whole[:-1] & (known[ahead:] > 0) & (places[:-ahead] == places[ahead:])
                hashed = mix(hashed[:-1] ^ known[ahead:])
                inside = (hashed % np.uint64(self.buckets)).astype(np.int64) + len(self.words)
                column[:-ahead] = np.where(whole, inside, -1)
            columns.append(column)
        return np.column_stack([*columns, found[:, 1:]])

    def features(self, table: ndarray) -> ndarray:
        """The features (S,) of one text, whose words have these rows in a `table`."""
        grid = self.grid(table, np.arange(len(table)), np.zeros(len(table), np.int64))
        return grid[grid >= 0].astype(np.int32)

    def csr(self, corpus: Corpus, rows: ndarray, table: ndarray) -> tuple[ndarray, ndarray]:
        """The features of some texts as `indices` (S,) and `indptr` (N + 1,) of a sparse matrix in CSR format."""
        indices, lengths = [], [np.zeros(1)]
        for part in chunks(rows):
            words, places = gather_rows(corpus, part)
            grid = self.grid(table, words, places)
            indices.append(grid[grid >= 0].astype(np.int32))
            lengths.append(np.bincount(places, (grid >= 0).sum(1), len(part)))
        return np.concatenate(indices), np.concatenate(lengths).cumsum().astype(np.int64)

    def spell(self, column: int, words: Sequence[str]) -> str:
        """The text of a feature: that of a column of the grid, at the first of these words."""
        if column < self.ngrams:
            return " ".join(words[: column + 1])
        return f"{words[0][: self.prefixes[column - self.ngrams]]}…"

    def about(self) -> dict[str, Any]:
        """What is saved with a model; the words as bytes, one per line, since no word has a line break in it."""
        words = np.frombuffer("\n".join(self.words).encode(), np.uint8).copy()
        return {"words": torch.from_numpy(words), "ngrams": self.ngrams, "buckets": self.buckets,
                "prefixes": list(self.prefixes)}  # fmt: skip

    @classmethod
    def of(cls, about: dict[str, Any]) -> "Ngrams":
        """The inverse of `about`."""
        words = about["words"].numpy().tobytes().decode().split("\n")
        return cls(words, about["ngrams"], about["buckets"], tuple(about["prefixes"]))
