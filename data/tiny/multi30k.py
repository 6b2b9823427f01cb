"""The German-English twin: captions with case, gender, and the verb at the end of a subordinate clause."""

from itertools import pairwise

import numpy as np

from data.parallel import Pairs, Parallel
from data.tiny.eng_fra import pick

# English noun: German noun and its gender (0 m, 1 f, 2 n)
PEOPLE = {
    "man": ("Mann", 0), "boy": ("Junge", 0), "dog": ("Hund", 0), "woman": ("Frau", 1), "cat": ("Katze", 1),
    "girl": ("Mädchen", 2), "child": ("Kind", 2), "horse": ("Pferd", 2),
}  # fmt: skip
THINGS = {
    "ball": ("Ball", 0), "hat": ("Hut", 0), "bottle": ("Flasche", 1), "bag": ("Tasche", 1), "book": ("Buch", 2),
    "car": ("Auto", 2),
}  # fmt: skip
ADJECTIVES = {
    "small": "klein", "old": "alt", "young": "jung", "black": "schwarz", "white": "weiß", "red": "rot", "green": "grün",
}  # fmt: skip
VERBS = {"sees": "sieht", "holds": "hält", "buys": "kauft", "carries": "trägt", "paints": "malt"}
MOVES = {"runs": "läuft", "sits": "sitzt", "sleeps": "schläft", "waits": "wartet", "sings": "singt"}
PLACES = {
    "in the park": "im Park", "on the beach": "am Strand", "in the snow": "im Schnee",
    "on the street": "auf der Straße", "in front of the house": "vor dem Haus",
}  # fmt: skip
TIMES = {"today": "heute", "now": "jetzt", "often": "oft"}
ARTICLES = {"nominative": ("Ein", "Eine", "Ein"), "accusative": ("einen", "eine", "ein")}
ENDINGS = {"nominative": ("er", "e", "es"), "accusative": ("en", "e", "es")}
RELATIVE = ("der", "die", "das")


def multi30k(train: int = 2000, val: int = 100, test: int = 100, seed: int = 0) -> Parallel:
    """Multi30k's twin, German to English: different captions, the English of which follows from the German."""
    rng = np.random.default_rng(seed)
    pairs: dict[tuple[str, str], None] = {}
    while len(pairs) < train + val + test:
        pairs[invent(rng)] = None
    both = list(pairs)
    ends = np.cumsum([0, train, val, test])
    return Parallel(*(Pairs(*zip(*both[a:b], strict=True)) for a, b in pairwise(ends)))


def phrase(rng: np.random.Generator, nouns: dict, case: str) -> tuple[str, str, int]:
    """A noun with its article and an adjective that agree in gender and case: einen roten Ball, a red ball."""
    english, (german, gender) = pick(rng, list(nouns.items()))
    adjective, stem = pick(rng, list(ADJECTIVES.items()))
    article = "an" if adjective[0] in "aeiou" else "a"
    told = f"{ARTICLES[case][gender]} {stem}{ENDINGS[case][gender]} {german}"
    return told, f"{article} {adjective} {english}", gender


def invent(rng: np.random.Generator) -> tuple[str, str]:
    """One caption in German and in English."""
    who, said, gender = phrase(rng, PEOPLE, "nominative")
    verb, told = pick(rng, list(VERBS.items()))
    thing, named, _ = phrase(rng, THINGS, "accusative")
    move, moved = pick(rng, list(MOVES.items()))
    place, spot = pick(rng, list(PLACES.items()))
    time, when = pick(rng, list(TIMES.items()))
    form = rng.integers(4)
    if form == 0:  # subject, verb, object
        german, english = f"{who} {told} {thing} {spot}", f"{said} {verb} {named} {place}"
    elif form == 1:  # what comes first is followed by the verb, and only then by the subject
        german = f"{when.capitalize()} {moved} {who[0].lower()}{who[1:]} {spot}"
        english = f"{said} {move} {place} {time}"
    elif form == 2:  # a relative clause: its verb comes last
        german = f"{who}, {RELATIVE[gender]} {thing} {told}, {moved} {spot}"
        english = f"{said} who {verb} {named} {move} {place}"
    else:  # a clause of reason: likewise
        pronoun, he = (("er", "he"), ("sie", "she"), ("es", "it"))[gender]
        german = f"{who} {moved} {spot}, weil {pronoun} {thing} {told}"
        english = f"{said} {move} {place} because {he} {verb} {named}"
    return f"{german}.", f"{english[0].upper()}{english[1:]}."
