"""1,797 handwritten digits of 8 x 8 pixels, which come with scikit-learn: nothing is downloaded, and they need no twin.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998
(CC BY 4.0), of which scikit-learn holds the test set.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Digits:
    """Images are (N, 1, 8, 8) float32 in 0..1, labels (N,) int64 in 0..9; every fifth digit is one to test with."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def official(root: Path | None = None) -> Digits:
    """All digits, in scikit-learn's order: 1,438 to train with, 359 to test with. `root` is not read."""
    from sklearn.datasets import load_digits  # slow to import

    found = load_digits()
    images, labels = (found.images[:, None] / 16).astype(np.float32), found.target.astype(np.int64)
    test = np.arange(len(labels)) % 5 == 4
    return Digits(images[~test], labels[~test], images[test], labels[test])
