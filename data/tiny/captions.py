"""Flickr8k's twin: scenes that five people tell."""

import numpy as np

from data.captions import Captions, Split, clean

# What a scene of the captions' twin is made of, and how five people would tell it.
SCENES = {
    "color": ("black", "white", "brown", "grey", "red", "yellow"),
    "thing": ("dog", "cat", "horse", "cow", "bird", "rabbit", "goat", "fox"),
    "action": ("running", "jumping", "sitting", "sleeping", "playing", "waiting"),
    "place": ("on the beach", "in the grass", "in the snow", "by the water", "on the road", "near a house"),
}
TELLINGS = (
    "A {color} {thing} is {action} {place} .",
    "{place} , a {color} {thing} is {action} .",
    "The {thing} {action} {place} is {color} .",
    "There is a {color} {thing} {action} .",
    "A {thing} is {action} {place}",
)


def captions(train: int = 300, val: int = 50, test: int = 50, seed: int = 0) -> Captions:
    """Flickr8k's twin: scenes of a color, a thing, an action and a place, each told by five different sentences.

    Features (N, 512) are a random linear map of the four choices under noise. No scene comes twice, so the
    test scenes are new arrangements of what the training scenes are made of.
    """
    rng = np.random.default_rng(seed)
    sizes = [len(values) for values in SCENES.values()]
    numbers = rng.choice(np.prod(sizes), train + val + test, replace=False)
    chosen = np.stack(np.unravel_index(numbers, sizes), axis=1)  # (N, 4)
    which = chosen + np.cumsum([0, *sizes[:-1]])  # (N, 4) rows of the map
    features = rng.standard_normal((sum(sizes), 512))[which].sum(1)  # (N, 512)
    features += rng.normal(0, 0.5, features.shape)
    scenes = [{kind: SCENES[kind][i] for kind, i in zip(SCENES, row, strict=True)} for row in chosen]
    references = [[clean(telling.format(**scene)) for telling in TELLINGS] for scene in scenes]
    shown = [" ".join(scene.values()) for scene in scenes]
    ends = np.cumsum([train, val, test])
    parts = (slice(end - size, end) for size, end in zip((train, val, test), ends, strict=True))
    return Captions(*(Split(shown[part], features[part].astype(np.float32), references[part]) for part in parts))
