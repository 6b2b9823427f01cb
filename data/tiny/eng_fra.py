"""The French-English twin: people, what they are and do, with agreement, negation and adjectives after the noun."""

from collections.abc import Sequence

import numpy as np

from data.parallel import Pairs

# French subject and verb (affirmed, denied), English subject, gender and number: 0 m, 1 f, 2 m plural, 3 f plural
SUBJECTS = (
    ("Je suis", "Je ne suis pas", "I'm", 0), ("Je suis", "Je ne suis pas", "I'm", 1),
    ("Tu es", "Tu n'es pas", "You're", 0), ("Vous êtes", "Vous n'êtes pas", "You're", 0),
    ("Il est", "Il n'est pas", "He's", 0), ("Elle est", "Elle n'est pas", "She's", 1),
    ("Nous sommes", "Nous ne sommes pas", "We're", 2),
    ("Ils sont", "Ils ne sont pas", "They're", 2), ("Elles sont", "Elles ne sont pas", "They're", 3),
)  # fmt: skip
ADJECTIVES = {  # French masculine and feminine; the plural adds s
    "tired": ("fatigué", "fatiguée"), "tall": ("grand", "grande"), "strong": ("fort", "forte"),
    "clever": ("malin", "maligne"), "rich": ("riche", "riche"), "busy": ("occupé", "occupée"),
    "sick": ("malade", "malade"), "content": ("content", "contente"), "famous": ("célèbre", "célèbre"),
    "ready": ("prêt", "prête"), "alone": ("seul", "seule"), "angry": ("fâché", "fâchée"),
}  # fmt: skip
DEGREES = {"": "", "very ": "très ", "too ": "trop ", "so ": "si "}
PURPOSES = {
    "to drive": "pour conduire",
    "to sing": "pour chanter",
    "to sleep": "pour dormir",
    "to walk": "pour marcher",
}
THAN = {"my father": "mon père", "my mother": "ma mère", "the doctor": "le médecin", "your friend": "ton ami"}
NOUNS = {
    "actor": ("acteur", "actrice"), "student": ("élève", "élève"), "singer": ("chanteur", "chanteuse"),
    "friend": ("ami", "amie"),
}  # fmt: skip
THINGS = {
    "book": ("livre", 0), "hat": ("chapeau", 0), "car": ("voiture", 1), "house": ("maison", 1), "shirt": ("chemise", 1),
    "bag": ("sac", 0),
}  # fmt: skip
COLORS = {
    "red": ("rouge", "rouge"), "green": ("vert", "verte"), "black": ("noir", "noire"), "white": ("blanc", "blanche"),
    "blue": ("bleu", "bleue"), "grey": ("gris", "grise"),
}  # fmt: skip
DEEDS = {
    "buying": "acheter", "selling": "vendre", "washing": "laver", "drawing": "dessiner", "looking for": "chercher",
}  # fmt: skip
COMPARED = ("taller", "tall"), ("stronger", "strong"), ("richer", "rich")


def eng_fra(count: int = 1500, seed: int = 0) -> Pairs:
    """Tatoeba's twin, French to English: `count` different pairs which the original's filter keeps, some of them of
    one sentence with two translations; the English follows from the French word for word."""
    rng = np.random.default_rng(seed)
    pairs: dict[tuple[str, str], None] = {}
    while len(pairs) < count:
        pairs[invent(rng)] = None
    return Pairs(*zip(*pairs, strict=True))


def pick(rng: np.random.Generator, options: Sequence):
    return options[rng.integers(len(options))]


def agree(adjective: tuple[str, str], kind: int) -> str:
    """A French adjective in the gender and number of what it is said of."""
    form = adjective[kind % 2]
    return form + "s" * (kind > 1 and not form.endswith("s"))


def invent(rng: np.random.Generator) -> tuple[str, str]:
    """One sentence in French and in English."""
    affirmed, denied, english, kind = pick(rng, SUBJECTS)
    no = rng.random() < 0.3
    french, negation = (denied, " not") if no else (affirmed, "")
    told, said = pick(rng, (state, comparison, profession, deed)[: 3 if no else 4])(rng, kind)  # ten words are too many
    return f"{french} {told}.", f"{english}{negation} {said}."


def state(rng: np.random.Generator, kind: int) -> tuple[str, str]:
    """trop fatiguée pour conduire: too tired to drive"""
    said, adjective = pick(rng, list(ADJECTIVES.items()))
    degree, french = pick(rng, list(DEGREES.items()))
    purpose, told = pick(rng, list(PURPOSES.items())) if degree == "too " else ("", "")
    return f"{french}{agree(adjective, kind)} {told}".strip(), f"{degree}{said} {purpose}".strip()


def comparison(rng: np.random.Generator, kind: int) -> tuple[str, str]:
    """plus grande que mon père: taller than my father"""
    said, adjective = pick(rng, COMPARED)
    whom, told = pick(rng, list(THAN.items()))
    return f"plus {agree(ADJECTIVES[adjective], kind)} que {told}", f"{said} than {whom}"


def profession(rng: np.random.Generator, kind: int) -> tuple[str, str]:
    """un professeur célèbre: a famous teacher; the adjective comes after the noun"""
    said, noun = pick(rng, list(NOUNS.items()))
    adjective = pick(rng, ("famous", "strong", "rich", "tall", "clever", "sick"))
    article = "des" if kind > 1 else ("un", "une")[kind]
    french = f"{article} {agree(noun, kind)} {agree(ADJECTIVES[adjective], kind)}"
    return french, f"{'' if kind > 1 else 'a '}{adjective} {said}{'s' * (kind > 1)}"


def deed(rng: np.random.Generator, kind: int) -> tuple[str, str]:
    """en train de laver une voiture verte: washing a green car"""
    doing, told = pick(rng, list(DEEDS.items()))
    thing, (noun, gender) = pick(rng, list(THINGS.items()))
    color, adjective = pick(rng, list(COLORS.items()))
    article = ("un", "une")[gender]
    told = f"d'{told}" if told[0] == "a" else f"de {told}"
    return f"en train {told} {article} {noun} {agree(adjective, gender)}", f"{doing} a {color} {thing}"
