"""CIFAR-10: 50,000 training and 10,000 test color pictures of 32 x 32 pixels in ten classes.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data import plain_pickle
from data.errors import StudyError
from data.fetch import fetch

CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER = "cifar-10-batches-py"


@dataclass(frozen=True)
class Cifar10:
    """Images are (N, 3, 32, 32) uint8, labels (N,) int64 in 0..9."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...] = CLASSES


def official(root: Path | None = None) -> Cifar10:
    """The published pictures, downloaded when they are not below `root`; raises StudyError when they cannot be had."""
    folder = fetch("cifar10", root) / FOLDER
    batches = [read_batch(folder / f"data_batch_{number}") for number in range(1, 6)]
    train_images, train_labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Cifar10(train_images, train_labels, *read_batch(folder / "test_batch"))


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) int64 of one batch file; raises StudyError for any other content."""
    try:
        with path.open("rb") as file:
            batch = plain_pickle.read(file)
        data, labels = batch[b"data"], batch[b"labels"]
        if not isinstance(data, np.ndarray) or not (type(labels) is list and all(type(one) is int for one in labels)):
            raise ValueError("its data are no array or its labels no list of numbers")
        images = data.reshape(-1, 3, 32, 32).copy()  # what was read is read-only
        labels = np.array(labels, dtype=np.int64)
    except (pickle.UnpicklingError, ValueError, TypeError, LookupError, OverflowError) as error:
        raise StudyError(
            f"cifar10: {path} is not a CIFAR-10 batch ({error}). Remove {path.parent} and run again."
        ) from error
    if images.dtype != np.uint8 or labels.shape != (len(images),) or not np.isin(labels, range(10)).all():
        raise StudyError(
            f"cifar10: {path} has images {images.dtype}{images.shape} and labels {labels.shape}; expected "
            f"uint8(N, 3, 32, 32) and N labels in 0..9. Remove {path.parent} and run again."
        )
    return images, labels
