"""basic_english and a vocabulary: torchtext's where it loads, imported here and nowhere else; otherwise our own.

torchtext's last version, 0.18.0, loads with torch 2.3 only. `comparisons/test_text.py` proves ours equal to it.
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType

RULES = "basic_english 0.18.0"  # the same rules, whoever applies them: one cache of tokenized texts serves both
UNKNOWN = "<unk>"  # what stands for every word that the vocabulary does not have: number 0
END = "<eos>"  # the end of a line, in the standard protocol of WikiText
FAILURES = (ImportError, OSError, AttributeError, RuntimeError)  # it fails to load in many ways


def tokenizer(name: str = "basic_english") -> Callable[[str], list[str]]:
    """Text -> words: by `basic_english` in lower case, with punctuation as words; by `wikitext` as they stand in a line
    of WikiText, which is tokenized, and its end."""
    if name == "wikitext":
        return lambda line: [*line.split(), END]
    library = torchtext()
    return library.data.get_tokenizer("basic_english") if library else basic_english


def vocabulary(words: Sequence[str]) -> Callable[[list[str]], list[int]]:
    """The vocabulary of these words, the first being number 0: `vocabulary(words)(tokens)` is their numbers, 0 for
    those that it does not have."""
    library = torchtext()
    if not library:
        return WordIndex(words)
    vocab = library.vocab.vocab(OrderedDict.fromkeys(words, 1))
    vocab.set_default_index(0)
    return vocab


@cache
def torchtext() -> ModuleType | None:
    """The library, without its notice of retirement, where it loads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torchtext.data
            import torchtext.vocab
    except FAILURES:
        return None
    return torchtext


def basic_english(line: str) -> list[str]:
    """Words in lower case: the rules, one after another, and then what white space (Unicode's) parts.

    Source: torchtext 0.18.0, `torchtext.data.get_tokenizer("basic_english")`.
    """
    line = line.lower()
    for pattern, replacement in (
        ("'", " ' "),
        ('"', ""),
        (".", " . "),
        ("<br />", " "),  # after the quotes, which may have stood in it, and before the signs below
        (",", " , "),
        ("(", " ( "),
        (")", " ) "),
        ("!", " ! "),
        ("?", " ? "),
        (";", " "),
        (":", " "),
    ):
        line = line.replace(pattern, replacement)  # twice as fast as regular expressions, and here the same
    return line.split()


class WordIndex:
    """Tokens -> their numbers: a word's is its place among `words`, each counted once; any other word's is 0."""

    def __init__(self, words: Sequence[str]) -> None:
        self.numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}

    def __len__(self) -> int:
        return len(self.numbers)

    def __call__(self, tokens: list[str]) -> list[int]:
        return [self.numbers.get(token, 0) for token in tokens]
