"""Numerical gradients by central differences. x is perturbed in place and restored: f may close over it.

Source: CS231n, gradient_check.
"""

import random
from collections.abc import Callable

import numpy as np

from from_scratch import checks


def eval_numerical_gradient(f: Callable, x: np.ndarray, verbose: bool = True, h: float = 1e-5) -> np.ndarray:
    """Gradient of the scalar f at x: (f(x + h) - f(x - h)) / 2h, element by element; raises TypeError for integers."""
    checks.floats("x", x)
    grad = np.zeros_like(x)
    for ix in np.ndindex(x.shape):
        grad[ix] = (shifted(f, x, ix, h) - shifted(f, x, ix, -h)) / (2 * h)
        if verbose:
            print(ix, grad[ix])
    return grad


def eval_numerical_gradient_array(f: Callable, x: np.ndarray, df: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Gradient at x of the sum of f(x) df, for an f that gives an array; raises TypeError for integers."""
    checks.floats("x", x)
    grad = np.zeros_like(x)
    for ix in np.ndindex(x.shape):
        grad[ix] = np.sum((shifted(f, x, ix, h) - shifted(f, x, ix, -h)) * df) / (2 * h)
    return grad


def shifted(f: Callable, x: np.ndarray, ix: tuple[int, ...], h: float) -> object:
    """f of x with one element moved by h; an array is copied, for f may use one again and again."""
    old = x[ix]
    x[ix] = old + h
    try:
        return np.array(f(x))
    finally:
        x[ix] = old


def eval_numerical_gradient_blobs(f: Callable, inputs: tuple, output: object, h: float = 1e-5) -> list[np.ndarray]:
    """Gradients for an f(*inputs, output) that writes into blobs: objects with arrays `vals` and `diffs`."""

    def value(_: np.ndarray) -> np.ndarray:
        f(*inputs, output)
        return output.vals

    return [eval_numerical_gradient_array(value, blob.vals, output.diffs, h) for blob in inputs]


def eval_numerical_gradient_net(net: object, inputs: tuple, output: object, h: float = 1e-5) -> list[np.ndarray]:
    """The same for the `forward` of a net of blobs."""
    return eval_numerical_gradient_blobs(lambda *_: net.forward(), inputs, output, h)


def grad_check_sparse(
    f: Callable, x: np.ndarray, analytic_grad: np.ndarray, num_checks: int = 10, h: float = 1e-5, rng: object = random
) -> None:
    """Print numerical beside analytic gradient at a few random elements.

    They are drawn with `rng.randrange`, so NumPy's global generator, which the notebooks seed, is left alone. Raises
    TypeError for integers.
    """
    checks.floats("x", x)
    for _ in range(num_checks):
        ix = tuple(rng.randrange(m) for m in x.shape)
        numerical = (shifted(f, x, ix, h) - shifted(f, x, ix, -h)) / (2 * h)
        analytic = analytic_grad[ix]
        error = abs(numerical - analytic) / max(abs(numerical) + abs(analytic), 1e-300)
        print(f"numerical: {numerical:f} analytic: {analytic:f}, relative error: {error:e}")


def rel_error(x: np.ndarray, y: np.ndarray) -> float:
    """The notebooks' relative error: the largest |x - y| / max(1e-8, |x| + |y|)."""
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))
