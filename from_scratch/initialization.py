"""Weights to start from: (D, M) of an affine layer or (F, C, HH, WW) of a convolution.

`rng` is a generator of NumPy; without one the draws come from NumPy's global generator, as in the course. Every
function raises ValueError for a shape of fewer than two axes.
"""

import numpy as np


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many inputs an output sees and how many outputs an input feeds."""
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"shape must be (D, M) or (F, C, HH, WW), all at least 1, not {tuple(shape)}")
    if len(shape) == 2:
        return tuple(shape)
    field = int(np.prod(shape[2:]))
    return shape[1] * field, shape[0] * field


def gaussian(shape: tuple[int, ...], scale: float = 1e-2, rng: object = np.random, dtype: type = float) -> np.ndarray:
    """Independent normal numbers of standard deviation `scale`. Source: CS231n assignment 2."""
    fans(shape)
    return (float(scale) * rng.standard_normal(tuple(shape))).astype(dtype)


def xavier(shape: tuple[int, ...], rng: object = np.random, dtype: type = float) -> np.ndarray:
    """Normal numbers that keep a linear layer's variance forward and backward as well as one number can.

    Standard deviation sqrt(2 / (fan in + fan out)). Source: Glorot and Bengio, 2010.
    """
    return gaussian(shape, np.sqrt(2 / sum(fans(shape))), rng, dtype)


def he(shape: tuple[int, ...], rng: object = np.random, dtype: type = float) -> np.ndarray:
    """Normal numbers that keep the mean square of activations through ReLU layers.

    Standard deviation sqrt(2 / fan in). Source: He et al., "Delving Deep into Rectifiers", 2015.
    """
    return gaussian(shape, np.sqrt(2 / fans(shape)[0]), rng, dtype)


def orthogonal(shape: tuple[int, ...], gain: float = 1.0, rng: object = np.random, dtype: type = float) -> np.ndarray:
    """A random matrix with orthonormal rows or columns (whichever are fewer), times the gain.

    A convolution's filters are the rows of (F, C HH WW). Source: Saxe, McClelland and Ganguli, 2013.
    """
    a = gaussian(shape, 1.0, rng).reshape(shape[0], -1)
    tall = a if len(a) >= a.shape[1] else a.T
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # without it the result would not be uniform over rotations
    return (float(gain) * (q if tall is a else q.T)).reshape(shape).astype(dtype)
