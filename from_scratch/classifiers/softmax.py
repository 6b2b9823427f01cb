"""The softmax loss of a linear classifier, by loops and at once."""

import numpy as np

from from_scratch.losses import softmax_loss

# N batch, D input features, C classes


def softmax_loss_naive(W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of the softmax of the scores X W, and reg times the sum of the squared weights, by loops.

    p_ic = e^s_ic / sum over k of e^s_ik, loss = mean of -log p_iy + reg sum W^2. Example i adds (p_ic - [c = y_i]) X_i
    to dW's column c.

    W (D, C), X (N, D), whole y (N,) in 0..C-1 -> loss, dW (D, C). Raises what `softmax_loss` does. Source: CS231n
    assignment 1.
    """
    scores, dW, loss = X @ W, np.zeros_like(W), 0.0
    softmax_loss(scores, y)  # checks them
    N, C = scores.shape
    for i in range(N):
        e = np.exp(scores[i] - scores[i].max())  # the largest becomes 1: nothing overflows
        p = e / e.sum()
        loss -= np.log(p[y[i]])
        for c in range(C):
            dW[:, c] += (p[c] - (c == y[i])) * X[i]
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


def softmax_loss_vectorized(W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float) -> tuple[float, np.ndarray]:
    """As `softmax_loss_naive`, without loops: dW = X^T dscores + 2 reg W."""
    loss, dscores = softmax_loss(X @ W, y)
    return loss + reg * np.sum(W * W), X.T @ dscores + 2 * reg * W
