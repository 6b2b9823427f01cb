"""The multiclass SVM's loss of a linear classifier, by loops and at once."""

import numpy as np

from from_scratch.losses import svm_loss

# N batch, D input features, C classes


def svm_loss_naive(W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float) -> tuple[float, np.ndarray]:
    """Mean hinge loss of margin 1 of the scores X W, and reg times the sum of the squared weights, by loops.

    loss = mean over i of the sum over c != y_i of max(0, s_ic - s_iy + 1) + reg sum W^2. Each violated margin adds X_i
    to dW's column c and takes it from column y_i.

    W (D, C), X (N, D), whole y (N,) in 0..C-1 -> loss, dW (D, C). Raises what `svm_loss` does. Source: CS231n
    assignment 1.
    """
    scores, dW, loss = X @ W, np.zeros_like(W), 0.0
    svm_loss(scores, y)  # checks them
    N, C = scores.shape
    for i in range(N):
        for c in range(C):
            margin = scores[i, c] - scores[i, y[i]] + 1
            if c != y[i] and margin > 0:
                loss += margin
                dW[:, c] += X[i]
                dW[:, y[i]] -= X[i]
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


def svm_loss_vectorized(W: np.ndarray, X: np.ndarray, y: np.ndarray, reg: float) -> tuple[float, np.ndarray]:
    """As `svm_loss_naive`, without loops: dW = X^T dscores + 2 reg W."""
    loss, dscores = svm_loss(X @ W, y)
    return loss + reg * np.sum(W * W), X.T @ dscores + 2 * reg * W
