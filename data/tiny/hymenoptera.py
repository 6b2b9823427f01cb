"""The twin of ants and bees: chains of three discs, and striped ovals."""

import io

import numpy as np
from PIL import Image

from data.hymenoptera import Pictures


def hymenoptera(train: int = 120, test: int = 80, seed: int = 0) -> Pictures:
    """The twin of ants and bees: drawn pictures of 40 to 64 pixels a side, as PNG bytes.

    Colors, direction, size and place tell nothing of the class; half of each part are ants.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(train + test) % 2)
    files = tuple(draw(label, rng) for label in labels)
    return Pictures(files[:train], labels[:train], files[train:], labels[train:], ("ants", "bees"))


def draw(label: int, rng: np.random.Generator) -> bytes:
    """One picture, as the bytes of a PNG file: an insect of label 0 or 1 on noisy ground."""
    height, width = rng.integers(40, 65, 2)
    row, column = np.mgrid[:height, :width]
    angle, unit = rng.uniform(0, 2 * np.pi), rng.uniform(0.14, 0.2) * min(height, width)
    y, x = row - height / 2 - rng.uniform(-4, 4), column - width / 2 - rng.uniform(-4, 4)
    x, y = (np.cos(angle) * x + np.sin(angle) * y) / unit, (np.cos(angle) * y - np.sin(angle) * x) / unit
    if label:
        shape = (x / 2.4) ** 2 + (y / 1.5) ** 2 < 1
        shape &= np.sin(rng.uniform(3, 4) * x + rng.uniform(0, 6.28)) > 0
    else:
        shape = np.minimum(np.hypot(x, y), np.minimum(np.hypot(x - 2, y), np.hypot(x + 2, y))) < rng.uniform(0.8, 1)
    ground, insect = rng.uniform(0, 255, (2, 3))
    while abs(ground - insect).max() < 80:
        insect = rng.uniform(0, 255, 3)
    pixels = np.where(shape[..., None], insect, ground) + rng.normal(0, 15, (height, width, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
