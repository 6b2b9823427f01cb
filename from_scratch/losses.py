"""Losses of class scores; each returns the mean over the batch and its gradient."""

import numpy as np

from from_scratch import checks

# N batch, C classes


def softmax_loss(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of the softmax of the scores.

    loss = mean of log(sum over c of e^x_c) - x_y, dx = (softmax(x) - onehot(y)) / N, shifted by each row's maximum

    x (N, C), whole y (N,) in 0..C-1 -> loss, dx (N, C). Raises ValueError or TypeError for what does not fit. Source:
    CS231n assignments 1 and 2.
    """
    N, y = read_scores(x, y)
    shifted = x - x.max(axis=1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    dx = np.exp(log_probs)
    dx[np.arange(N), y] -= 1
    return -log_probs[np.arange(N), y].mean(), dx / N


def svm_loss(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean multiclass hinge loss of margin 1.

    loss = mean of the sum over c != y of max(0, x_c - x_y + 1); dx_c = 1/N where that is positive, and the true class
    has minus their sum

    x (N, C), whole y (N,) in 0..C-1 -> loss, dx (N, C). Raises ValueError or TypeError for what does not fit. Source:
    CS231n assignment 1.
    """
    N, y = read_scores(x, y)
    margins = np.maximum(x - x[np.arange(N), y][:, None] + 1, 0)
    margins[np.arange(N), y] = 0
    dx = (margins > 0).astype(x.dtype)
    dx[np.arange(N), y] = -dx.sum(axis=1)
    return margins.sum(axis=1).mean(), dx / N


def read_scores(x: np.ndarray, y: np.ndarray) -> tuple[int, np.ndarray]:
    """Check scores and labels; return the batch size and the labels as an array."""
    checks.floats("x", x, 2)
    if not x.size:
        raise ValueError(f"x must hold at least one example and one class, not the shape {x.shape}")
    checks.labels("y", y, x.shape[:1], x.shape[1])
    return len(x), np.asarray(y)
