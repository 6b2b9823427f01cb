"""What nets are trained on: batches of CIFAR-10 or of its generated twin, as pictures or as features and captions."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

import data
from data import cifar10

WORDS = ("<NULL>", "<START>", "<END>", "<UNK>", "a", "dark", "bright")
VOCABULARY = {word: k for k, word in enumerate((*WORDS, *(f"class {k}" for k in range(10))))}
POOL = 512  # pictures that the batches come from: few enough to learn something in 200 steps


def here() -> str:
    """The real pictures where they lie below STUDY_DATA, else their generated twin."""
    root = os.environ.get("STUDY_DATA")
    return "official" if root and (Path(root) / cifar10.FOLDER).is_dir() else "tiny"


def batches(
    captions: bool, count: int, size: int = 16, source: str = "", root: Path | None = None, seed: int = 0
) -> Iterator[tuple]:
    """`count` batches of CIFAR-10 (or its twin): images (N, 3, 32, 32) and labels, or features and captions.

    A caption says what the picture shows, and of a dark or a bright one that too; the features are the picture at a
    quarter of its size.
    """
    images, labels = pictures(source or here(), root)
    rng = np.random.default_rng(seed)
    for _ in range(count):
        chosen = rng.integers(len(images), size=size)
        X, y = (images[chosen] / 255.0 - 0.5) / 0.25, labels[chosen]
        yield (shrink(X), describe(X, y)) if captions else (X, y)


@cache
def pictures(source: str, root: Path | None) -> tuple[np.ndarray, np.ndarray]:
    loaded = data.load("cifar10", source, root)
    return loaded.train_images[:POOL], loaded.train_labels[:POOL]


def shrink(X: np.ndarray) -> np.ndarray:
    """(N, 3, 32, 32) -> (N, 192): means of 4 x 4 pixels."""
    return X.reshape(len(X), 3, 8, 4, 8, 4).mean(axis=(3, 5)).reshape(len(X), -1)


def describe(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Captions (N, 6): "<START> a dark (class) <END>", filled up with <NULL>."""
    captions = np.full((len(X), 6), VOCABULARY["<NULL>"])
    for n, (light, label) in enumerate(zip(X.mean(axis=(1, 2, 3)), y, strict=True)):
        adjective = ["dark"] if light < -0.5 else ["bright"] if light > 0.5 else []
        words = ["<START>", "a", *adjective, f"class {label}", "<END>"]
        captions[n, : len(words)] = [VOCABULARY[word] for word in words]
    return captions
