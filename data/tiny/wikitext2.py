"""WikiText-2's twin: short articles on invented animals, in which number agrees and an article keeps to its subject."""

import numpy as np

from data.tiny.eng_fra import pick
from data.wikitext2 import WikiText2

ANIMALS = ("wolf", "heron", "beetle", "salmon", "lynx", "otter", "falcon", "viper", "badger", "crane", "hare", "newt")
PLACES = ("forest", "river", "desert", "island", "valley", "marsh", "mountain", "coast")
FOODS = ("grass", "fish", "insects", "berries", "roots", "eggs", "leaves", "mice")
COLORS = ("grey", "brown", "black", "white", "red", "green")
PARTS = ("head", "tail", "back", "wing", "belly")
SEASONS = ("spring", "summer", "autumn", "winter")
SENTENCES = (
    "The {animal} lives in the {place} and eats {food} .",
    "{animals} live in the {place} , where they eat {food} .",
    "Its {part} is {color} , and its young are {color} in {season} .",
    "In {season} the {animal} leaves the {place} and looks for {food} .",
    "In {season} the {animals} leave the {place} and look for {food} .",
    "The {animal} was first seen in the {place} in {year} .",
    "There are {number} {animals} in the {place} , and most of them are {color} .",
    "The name of the {animal} comes from <unk> , a word for its {color} {part} .",
    "When {season} comes , the {animal} that eats {food} sleeps , and the others wait .",
)


def wikitext2(train: int = 150, val: int = 30, test: int = 30, seed: int = 0) -> WikiText2:
    """WikiText-2's twin: so many articles in each part, with headings, empty lines and <unk> as in the real text."""
    rng = np.random.default_rng(seed)
    parts = ([line for _ in range(count) for line in article(rng)] for count in (train, val, test))
    return WikiText2(*(tuple(lines) for lines in parts))


def article(rng: np.random.Generator) -> list[str]:
    """The lines of one article: it speaks of one animal, one place and one food."""
    animal, place, food, color = (pick(rng, words) for words in (ANIMALS, PLACES, FOODS, COLORS))
    lines = [" ", f" = {animal.capitalize()} = ", " "]
    for number in range(rng.integers(2, 4)):
        if number:
            lines += [f" = = {pick(rng, ('Life', 'Range', 'History'))} = = ", " "]
        sentences = [
            pick(rng, SENTENCES).format(
                animal=animal, animals=plural(animal), place=place, food=food, color=color,
                part=pick(rng, PARTS), season=pick(rng, SEASONS), year=rng.integers(1700, 1710),
                number=pick(rng, ("two", "ten", "many")),
            ) for _ in range(rng.integers(3, 7))
        ]  # fmt: skip
        lines += [" " + " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences) + " ", " "]
    return lines


def plural(animal: str) -> str:
    """More than one of them."""
    irregular = {"wolf": "wolves", "salmon": "salmon", "lynx": "lynxes"}
    return irregular.get(animal, animal + "s")
