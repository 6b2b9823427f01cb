"""The names' twin: six invented languages, each with its own spelling rules."""

import numpy as np

from data.names import Names

# A name is one to three syllables (onset, vowel, coda) and, more often than not, an ending.
LANGUAGES = {
    "Aquish": (("k", "t", "m", "r", "h", "n"), ("a", "o", "u", "ai"), ("",), ("ko", "mi", "ru")),
    "Brontic": (("gr", "br", "d", "k", "st"), ("a", "o", "u"), ("rk", "nd", "g", "rt"), ("grad", "ark", "und")),
    "Celvene": (("l", "v", "c", "d", "m"), ("e", "ie", "ou", "eau"), ("", "l", "nn"), ("elle", "ien", "oux")),
    "Drusk": (("v", "dr", "k", "z", "p"), ("a", "i", "o"), ("", "k", "sl", "n"), ("ov", "ska", "ich")),
    "Eltan": (("th", "l", "f", "el", "w"), ("i", "e", "ae"), ("", "l", "n"), ("iel", "wen", "ith")),
    "Fjordic": (("fj", "sk", "h", "b", "l"), ("o", "e", "a", "u"), ("r", "ld", "", "n"), ("sen", "dal", "vik")),
}
WEIGHTS = (10, 6, 4, 3, 2, 2)  # as unequal as the real languages are
SHARED = 0.02  # of the names are spelt as in another language, so that not all of them can be told


def names(count: int = 1800, seed: int = 0) -> Names:
    """The names' twin: names by the spelling rules of six languages, of unequal number; short ones come twice."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(len(WEIGHTS), count, p=np.array(WEIGHTS) / sum(WEIGHTS)))
    spelt = np.where(rng.random(count) < SHARED, rng.integers(len(WEIGHTS), size=count), labels)
    rules = list(LANGUAGES.values())
    return Names(tuple(invent(rules[kind], rng) for kind in spelt), labels, tuple(LANGUAGES))


def invent(rules: tuple[tuple[str, ...], ...], rng: np.random.Generator) -> str:
    """One name by a language's rules."""
    onsets, vowels, codas, endings = rules
    parts = [rng.choice(part) for _ in range(rng.integers(1, 4)) for part in (onsets, vowels, codas)]
    return "".join(parts + [rng.choice(endings)] * (rng.random() < 0.6)).capitalize()
