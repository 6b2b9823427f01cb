"""Tokens and their numbers: words, or sub-words learnt by byte-pair encoding; sentences as padded rows of numbers."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

PAD, BOS, EOS, UNK = range(4)
SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")


class Vocabulary:
    """Tokens by number, the specials first; here a token is what blanks part."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """`tokens` without the specials, in the order of their numbers."""
        self.tokens = [*SPECIALS, *tokens]
        self.numbers = {token: number for number, token in enumerate(self.tokens)}

    @classmethod
    def build(cls, texts: Iterable[str], min_count: int = 1) -> Self:
        """The words that the texts hold at least `min_count` times, the most frequent first."""
        counts = Counter(chain.from_iterable(map(str.split, texts)))
        kept = [word for word in counts if counts[word] >= min_count and word not in SPECIALS]
        return cls(sorted(kept, key=lambda word: (-counts[word], word)))

    def __len__(self) -> int:
        return len(self.tokens)

    def cut(self, text: str) -> list[str]:
        """The tokens of a text."""
        return text.split()

    def join(self, tokens: Iterable[str]) -> str:
        """The text of some tokens: the inverse of `cut`."""
        return " ".join(tokens)

    def unknown(self, text: str) -> list[str]:
        """The tokens of a text that have no number, each once."""
        return list(dict.fromkeys(token for token in self.cut(text) if token not in self.numbers))

    def knows(self, text: str) -> bool:
        """Whether any token of a text has a number, signs aside."""
        return any(token in self.numbers and re.search(r"\w", token) for token in self.cut(text))

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's tokens, and EOS; what has no number is UNK."""
        return [*(self.numbers.get(token, UNK) for token in self.cut(text)), EOS]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of a row of numbers, up to its first EOS, without specials but UNK."""
        return self.join(self.pieces(numbers))

    def pieces(self, numbers: Iterable[int]) -> list[str]:
        """The tokens of a row of numbers, up to its first EOS, without specials but UNK."""
        tokens = []
        for number in numbers:
            if number == EOS:
                break
            if number not in (PAD, BOS):
                tokens.append(self.tokens[number])
        return tokens

    def to_json(self) -> dict[str, Any]:
        """What JSON, and so a checkpoint, can keep."""
        return {"kind": type(self).__name__, "tokens": self.tokens[len(SPECIALS) :]}


class Subwords(Vocabulary):
    """Pieces of words, most frequent words whole: no word is unknown whose letters are known.

    Byte-pair encoding (R. Sennrich et al., 2016): begin with letters, and merge the most frequent pair of neighbours,
    again and again. A piece that begins a word carries a mark; punctuation is a word of its own.
    """

    MARK = "▁"
    WORD = re.compile(r"(\s*)(\w+|[^\w\s])")

    def __init__(self, tokens: Sequence[str], merges: Sequence[Sequence[str]]) -> None:
        super().__init__(tokens)
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(merges)}
        self.known: dict[str, list[str]] = {}  # words that have been cut already

    @classmethod
    def learn(cls, texts: Iterable[str], size: int) -> Self:
        """At most `size` tokens that cut the texts short."""
        counts = Counter(word for text in texts for word in cls.words(text))
        letters = Counter()
        for word, count in counts.items():
            letters.update(dict.fromkeys(word, count))
        kept = [letter for letter, _ in letters.most_common(size // 2)]
        merges = learn_merges(counts, size - len(SPECIALS) - len(kept))
        return cls(list(dict.fromkeys([*kept, *("".join(pair) for pair in merges)])), merges)

    @classmethod
    def words(cls, text: str) -> list[str]:
        """The words and signs of a text; what follows a blank, and the first, begins with the mark."""
        return [cls.MARK + word if gap else word for gap, word in cls.WORD.findall(" " + text.strip())]

    def cut(self, text: str) -> list[str]:
        return [piece for word in self.words(text) for piece in self.cut_word(word)]

    def cut_word(self, word: str) -> list[str]:
        """A word's pieces: merge in the order in which the merges were learnt."""
        if word not in self.known:
            pieces = list(word)
            while len(pieces) > 1:
                rank, pair = min((self.ranks.get(pair, len(self.ranks)), pair) for pair in pairwise(pieces))
                if rank == len(self.ranks):
                    break
                pieces = merge(pieces, pair)
            self.known[word] = pieces
        return self.known[word]

    def join(self, tokens: Iterable[str]) -> str:
        return "".join(tokens).replace(self.MARK, " ").strip()

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"merges": [list(pair) for pair in self.ranks]}


class Words(Subwords):
    """Whole words and signs, each as it was written, in such a way that `join` gives back the very text."""

    def __init__(self, tokens: Sequence[str]) -> None:
        super().__init__(tokens, ())

    @classmethod
    def build(cls, texts: Iterable[str], min_count: int = 1) -> Self:
        return super().build((" ".join(cls.words(text)) for text in texts), min_count)

    def cut_word(self, word: str) -> list[str]:
        return [word]

    def to_json(self) -> dict[str, Any]:
        return Vocabulary.to_json(self)


def from_json(content: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary that `to_json` described."""
    if content["kind"] == "Subwords":
        return Subwords(content["tokens"], content["merges"])
    return {"Words": Words, "Vocabulary": Vocabulary}[content["kind"]](content["tokens"])


def merge(pieces: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """The pieces of a word after two neighbours, wherever they stand, have become one."""
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def learn_merges(counts: Mapping[str, int], number: int) -> list[tuple[str, str]]:
    """The `number` most useful merges, one after another; after each, only words that hold its pair are looked at."""
    words = [list(word) for word in counts]
    weights = list(counts.values())
    frequency: Counter[tuple[str, str]] = Counter()
    places: dict[tuple[str, str], set[int]] = defaultdict(set)
    for place, word in enumerate(words):
        for pair in pairwise(word):
            frequency[pair] += weights[place]
            places[pair].add(place)
    queue = [(-count, pair) for pair, count in frequency.items()]  # with entries that later merges have outdated
    heapify(queue)
    merges: list[tuple[str, str]] = []
    while len(merges) < number and queue:
        count, best = heappop(queue)
        if -count != frequency[best]:
            continue
        if -count < 2:
            break
        merges.append(best)
        changed = set()
        for place in places.pop(best):
            for sign, word in ((-1, words[place]), (1, merge(words[place], best))):
                for pair in pairwise(word):
                    frequency[pair] += sign * weights[place]
                    places[pair].add(place)
                    changed.add(pair)
            words[place] = word
        for pair in changed - {best}:
            heappush(queue, (-frequency[pair], pair))
    return merges


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of numbers as one tensor (N, T) int64, as wide as the longest row, filled up with PAD."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    padded = np.full((len(rows), lengths.max(initial=0)), PAD, dtype=np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.fromiter(chain.from_iterable(rows), dtype=np.int64)
    return torch.from_numpy(padded)
