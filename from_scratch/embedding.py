"""Word embedding: rows of a table, looked up by word."""

import numpy as np

from from_scratch.checks import floats, labels, shape


def word_embedding_forward(x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Look up a vector for each word.

    out[n, t] = W[x[n, t]]; x whole numbers in 0..V-1 of any shape, as a rule (N, T), W (V, D) -> out (N, T, D).
    Raises TypeError for words that are not whole numbers, ValueError for words outside the table.
    Source: CS231n, assignment 3.
    """
    floats("W", W, 2)
    x = np.array(x)  # a copy: the backward must not see words that the caller has changed since
    labels("x", x, x.shape, len(W))
    return W[x], (x, W.shape)


def word_embedding_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Gradient of `word_embedding_forward` for the table: dW (V, D).

    dW[v] is the sum of dout[n, t] over all places where x[n, t] = v, so repeated words add up.
    Raises TypeError or ValueError unless dout has the shape of out. Source: CS231n, assignment 3.
    """
    x, (V, D) = cache
    shape("dout", dout, (*x.shape, D), "of out")
    dW = np.zeros((V, D), dout.dtype)
    if x.size:
        # Equal words side by side turn the scatter into sums of consecutive rows, far faster than np.add.at.
        order = np.argsort(x, axis=None, kind="stable")
        words = x.ravel()[order]
        starts = np.flatnonzero(np.r_[True, words[1:] != words[:-1]])
        dW[words[starts]] = np.add.reduceat(dout.reshape(-1, D)[order], starts, axis=0)
    return dW
