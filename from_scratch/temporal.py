"""Layers applied at every time step alike: affine, and the masked softmax loss.

N batch, T time, D and M features, V vocabulary.
"""

import numpy as np

from from_scratch.checks import floats, labels, shape


def temporal_affine_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple]:
    """An affine layer at each time step.

    out[n, t] = x[n, t]·w + b; x (N, T, D), w (D, M), b (M,) -> out (N, T, M).
    Raises TypeError for arrays that are not floats and ValueError for shapes that do not fit.
    Source: CS231n, assignment 3.
    """
    floats("x", x, 3)
    floats("w", w, 2)
    N, T, D = x.shape
    shape("w", w, (D, w.shape[1]), f"to fit x of {x.shape}")
    shape("b", b, (w.shape[1],), f"to fit w of {w.shape}")
    out = (x.reshape(N * T, D) @ w + b).reshape(N, T, w.shape[1])
    return out, (x, w, b, out)


def temporal_affine_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `temporal_affine_forward`: dx, dw, db.

    dx = dout·wᵀ, dw = Σ xᵀ·dout, db = Σ dout, the sums over samples and time.
    Raises TypeError or ValueError unless dout is (N, T, M). Source: CS231n, assignment 3.
    """
    x, w, _, out = cache
    shape("dout", dout, out.shape, "of out")
    rows = dout.reshape(-1, w.shape[1])
    return (rows @ w.T).reshape(x.shape), x.reshape(-1, w.shape[0]).T @ rows, rows.sum(axis=0)


def temporal_softmax_loss(
    x: np.ndarray, y: np.ndarray, mask: np.ndarray, verbose: bool = False
) -> tuple[float, np.ndarray]:
    """Cross-entropy summed over time and divided by the number of samples; returns the loss and dx.

    loss = -1/N Σ mask[n, t]·log softmax(x[n, t])[y[n, t]]; scores x (N, T, V), words y (N, T), mask (N, T).
    Raises TypeError for scores that are not floats or words that are not whole numbers, ValueError for shapes that do
    not fit and for words outside 0..V-1. Source: CS231n, assignment 3.
    """
    floats("x", x, 3)
    N, T, V = x.shape
    labels("y", y, (N, T), V)
    mask = np.asarray(mask)
    if mask.shape != (N, T):
        raise ValueError(f"mask must have the shape {(N, T)} of y, not {mask.shape}")
    if N == 0:
        raise ValueError(f"x must hold at least one sample, not the shape {x.shape}")
    weights = mask.ravel().astype(x.dtype)
    places = np.arange(N * T), np.asarray(y).ravel()
    scores = x.reshape(N * T, V)
    scores = scores - scores.max(axis=1, keepdims=True)
    right = scores[places]
    dx = np.exp(scores, out=scores)
    total = dx.sum(axis=1)
    loss = float((weights * (np.log(total) - right)).sum()) / N
    dx *= (weights / (total * N))[:, None]
    dx[places] -= weights / N
    if verbose:
        print("dx_flat: ", dx.shape)
    return loss, dx.reshape(N, T, V)
