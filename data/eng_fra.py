"""French-English sentence pairs of Tatoeba.

Source: S. Robertson, "Translation with a Sequence to Sequence Network and Attention", PyTorch Tutorials, 2017.
"""

import re
from pathlib import Path

from data.errors import StudyError
from data.fetch import fetch
from data.parallel import Pairs, letters, read_table

COUNT = 135_842
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


def key(sentence: str) -> str:
    """What near-identical sentences share, to split by: neither case nor punctuation, nor "i m" for "i am"."""
    plain = sentence.lower().replace("'", " ").replace("’", " ")
    for pattern, whole in CONTRACTIONS:
        plain = re.sub(pattern, whole, plain)
    return letters(plain)
