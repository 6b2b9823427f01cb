"""torchtext, imported here and nowhere else: its last version, 0.18.0, loads with torch 2.3 only."""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from data import StudyError

TOKENIZER = "basic_english"
UNKNOWN = "<unk>"  # what stands for every word that the vocabulary does not have: number 0


def torchtext() -> ModuleType:
    """The library, without its notice of retirement; raises StudyError when it does not load."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torchtext.data
            import torchtext.vocab
    except (ImportError, OSError, AttributeError, RuntimeError) as error:  # it fails in many ways
        raise StudyError(
            f"torchtext: it cannot be loaded ({str(error).splitlines()[0][:100]}). Version 0.18.0, the last, needs "
            "torch 2.3: `make setup` builds the environment of requirements.lock, which has both."
        ) from error
    return torchtext


def tokenizer() -> Callable[[str], list[str]]:
    """Text -> words in lower case, with punctuation as words."""
    return torchtext().data.get_tokenizer(TOKENIZER)


def vocabulary(words: Sequence[str]) -> Any:
    """torchtext's vocabulary of these words, the first being number 0: `vocabulary(words)(tokens)` is their numbers,
    0 for those that it does not have."""
    vocab = torchtext().vocab.vocab(OrderedDict.fromkeys(words, 1))
    vocab.set_default_index(0)
    return vocab
