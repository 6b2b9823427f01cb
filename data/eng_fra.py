"""French-English sentence pairs of Tatoeba, and how the original tutorial makes them plain and chooses among them.

Source: S. Robertson, "Translation with a Sequence to Sequence Network and Attention", PyTorch Tutorials, 2017.
"""

import re
import string
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.errors import StudyError
from data.fetch import fetch
from data.parallel import Pairs, letters, read_table

COUNT = 135_842
MAX_WORDS = 10  # sentences have fewer
PREFIXES = (
    "i am ", "i m ", "he is", "he s ", "she is", "she s ", "you are", "you re ", "we are", "we re ", "they are",
    "they re ",
)  # fmt: skip
# "i m" and "i am" are the same to a reader: a pair with the one must not be tested where the other was trained on.
CONTRACTIONS = ((r"\bi m\b", "i am"), (r"\b(you|we|they) re\b", r"\1 are"), (r"\b(he|she|it) s\b", r"\1 is"))


def official(root: Path | None = None) -> Pairs:
    """All pairs as they were written, French to English, downloaded when missing; raises StudyError when they cannot
    be had."""
    path = fetch("eng_fra", root) / "eng-fra.txt"
    pairs = read_table(path).reversed()
    if len(pairs) != COUNT:
        raise StudyError(f"eng_fra: {path} has {len(pairs):,} pairs, not {COUNT:,}. Remove it and run again.")
    return pairs


def normalize(sentences: Sequence[str], full_stops: bool = False) -> list[str]:
    """Lower case, without accents, only letters and ! ?, one blank between words; with `full_stops` also the full
    stop, as the original did until 2023. All sentences at once, as one text, which is much faster than one by one."""
    text = unicodedata.normalize("NFD", "\n".join(sentence.replace("\n", " ") for sentence in sentences).lower())
    marks = "".join(sign for sign in set(text) if unicodedata.category(sign) == "Mn")
    text = re.sub(f"[{marks}]+", "", text) if marks else text
    stops = ".!?" if full_stops else "!?"
    text = re.sub(f"([{stops}])", r" \1", re.sub(r"[^\x00-\x7f]+", " ", text))
    blanks = bytes(place if chr(place) in string.ascii_lowercase + stops + "\n" else 32 for place in range(256))
    return [line.strip() for line in re.sub(b" {2,}", b" ", text.encode().translate(blanks)).decode().split("\n")]


def is_short_be(source: str, target: str) -> bool:
    """Whether the original's filter keeps a normalized pair: short, and the English begins with "i am", "he is" …"""
    return target.startswith(PREFIXES) and all(len(text.split(" ")) < MAX_WORDS for text in (source, target))


def prepare(pairs: Pairs, full_stops: bool = False) -> Pairs:
    """The normalized pairs that the original's filter keeps."""
    both = zip(normalize(pairs.source, full_stops), normalize(pairs.target, full_stops), strict=True)
    kept = [pair for pair in both if is_short_be(*pair)]
    return Pairs(tuple(source for source, _ in kept), tuple(target for _, target in kept))


def further(pairs: Pairs, held_out: Sequence[Pairs], count: int, seed: int) -> Pairs:
    """Up to `count` of the short pairs that the filter does not keep, drawn by the seed, normalized; no sentence of
    them, source or target, is by `key` in a held-out part."""
    sides = normalize(pairs.source), normalize(pairs.target)
    known = [{key(text) for part in held_out for text in getattr(part, side)} for side in ("source", "target")]
    chosen: list[int] = []
    for number in np.random.default_rng(seed).permutation(len(pairs)):
        if len(chosen) == count:
            break
        both = [side[number] for side in sides]
        short = all(0 < len(text.split()) < MAX_WORDS for text in both)
        if (
            short
            and not is_short_be(*both)
            and all(key(text) not in keys for text, keys in zip(both, known, strict=True))
        ):
            chosen.append(number)
    return Pairs(*sides).part(chosen)


def key(sentence: str) -> str:
    """What near-identical sentences share, to split by: neither case nor punctuation, nor "i m" for "i am"."""
    plain = sentence.lower().replace("'", " ").replace("’", " ")
    for pattern, whole in CONTRACTIONS:
        plain = re.sub(pattern, whole, plain)
    return letters(plain)
