"""CIFAR-10's twin: textures and shapes."""

import numpy as np

from data.cifar10 import Cifar10

PATTERNS = ("rows", "columns", "diagonals", "circles", "chequers", "disc", "ring", "square", "cross", "triangle")


def cifar10(train: int = 4000, test: int = 1000, seed: int = 0, hint: float = 0.0) -> Cifar10:
    """CIFAR-10's twin: ten textures and shapes of random color, size and place under noise, as uint8 (N, 3, 32, 32).

    Color tells nothing of the class, so a net has to learn edges and their arrangement, as on the real pictures. With
    a `hint` of up to 1 the background tends to a color of the class, as blue does to ships: nets without convolutions
    then learn something, too.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(train + test) % 10)
    images = draw_patterns(labels, rng, hint)
    return Cifar10(images[:train], labels[:train], images[train:], labels[train:], PATTERNS)


def draw_patterns(labels: np.ndarray, rng: np.random.Generator, hint: float = 0.0) -> np.ndarray:
    """One picture for each label (N,): a mask of the class's pattern blends two random colors; with a hint of 1, the
    background's is that of the class."""
    count = len(labels)

    def uniform(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (count, 1, 1)).astype(np.float32)

    row, column = np.mgrid[:32, :32].astype(np.float32)
    y, x = row - uniform(11, 20), column - uniform(11, 20)  # (N, 32, 32), from a center of their own
    radius, wave, phase = uniform(6, 10), uniform(0.8, 1.3), uniform(0, 6.28)
    side = rng.choice([-1, 1], (count, 1, 1)).astype(np.float32)  # mirroring keeps the class
    distance, square = np.hypot(x, y), np.maximum(abs(x), abs(y))
    patterns = [  # in the order of PATTERNS
        np.sin(wave * y + phase) > 0,
        np.sin(wave * x + phase) > 0,
        np.sin(0.7 * wave * (x + side * y) + phase) > 0,
        np.sin(wave * distance + phase) > 0,
        np.sin(wave * x + phase) * np.sin(wave * y + phase) > 0,
        distance < radius,
        abs(distance - radius) < 2,
        square < radius,
        (np.minimum(abs(x), abs(y)) < 2) & (square < radius),
        (y > -radius) & (abs(x) < (y + radius) / 2) & (y < radius),
    ]
    mask = np.stack(patterns)[labels, np.arange(count)][:, None]  # (N, 1, 32, 32)
    ground = rng.uniform(0, 255, (count, 3, 1, 1)).astype(np.float32)
    hue = 2 * np.pi * (labels[:, None] / len(PATTERNS) + np.arange(3) / 3)  # (N, 3)
    ground += hint * ((127.5 * (1 + np.cos(hue))).astype(np.float32)[..., None, None] - ground)
    shift = rng.choice([-1.0, 1.0], (count, 3, 1, 1)).astype(np.float32) * uniform(60, 120)[..., None]
    noise = rng.normal(0, 20, (count, 3, 32, 32)).astype(np.float32)
    return np.clip(ground + mask * shift + noise, 0, 255).astype(np.uint8)
