"""The fully connected layer."""

import numpy as np

from from_scratch import checks

# N batch, D input features, M output features


def affine_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Flatten every example and map it linearly.

    out = x w + b

    x (N, d1, ..., dk) with d1 ... dk = D, w (D, M), b (M,) -> out (N, M); cache (x, w, b). Raises ValueError for shapes
    that do not fit, TypeError for integers. Source: CS231n assignment 2, FullyConnectedNets.
    """
    checks.floats("x", x)
    checks.floats("w", w, 2)
    if x.ndim < 2 or np.prod(x.shape[1:], dtype=int) != len(w):
        raise ValueError(f"x {x.shape} must have as many features per example as w {w.shape} has rows")
    b = checks.floating(b, w.dtype)
    checks.shape("b", b, w.shape[1:], f"(one per column of w {w.shape})")
    return x.reshape(len(x), len(w)) @ w + b, (x, w, b)


def affine_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of the input, the weights and the bias.

    dx = dout w^T, dw = x^T dout, db = sum of dout over the batch

    dout (N, M) -> dx (N, d1, ..., dk), dw (D, M), db (M,). Raises ValueError unless dout has the shape of the output.
    Source: CS231n assignment 2, FullyConnectedNets.
    """
    x, w, _ = cache
    checks.shape("dout", dout, (len(x), w.shape[1]), "of the layer's output")
    return (dout @ w.T).reshape(x.shape), x.reshape(len(x), len(w)).T @ dout, dout.sum(axis=0)
