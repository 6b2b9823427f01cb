"""Elementwise nonlinearities, for arrays of any shape; each caches its input x."""

import numpy as np

from from_scratch import checks


def relu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut off what is negative.

    out = max(0, x); cache x. Raises TypeError for integers. Source: CS231n assignment 2, FullyConnectedNets.
    """
    checks.floats("x", x)
    return np.maximum(x, 0), x


def relu_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """Pass the gradient where x > 0.

    dx = dout [x > 0]; raises ValueError if dout has not x's shape. Source: CS231n assignment 2, FullyConnectedNets.
    """
    checks.shape("dout", dout, cache.shape, "of x")
    return dout * (cache > 0)


def leaky_relu_forward(x: np.ndarray, slope: float = 0.01) -> tuple[np.ndarray, tuple]:
    """Weaken what is negative.

    out = x where x > 0, slope x elsewhere; cache (x, slope). Raises TypeError for integers. Source: Maas et al.,
    "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.
    """
    checks.floats("x", x)
    return np.where(x > 0, x, float(slope) * x), (x, float(slope))


def leaky_relu_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Pass the gradient where x > 0 and weaken it elsewhere.

    dx = dout where x > 0, slope dout elsewhere; raises ValueError if dout has not x's shape. Source: Maas et al., 2013.
    """
    x, slope = cache
    checks.shape("dout", dout, x.shape, "of x")
    return np.where(x > 0, dout, slope * dout)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow and with full relative precision in both tails.

    1 / (1 + e^-x), for x < 0 as e^x / (1 + e^x); raises TypeError for integers. Source: CS231n assignment 3, LSTM.
    """
    checks.floats("x", x)
    e = np.exp(-np.abs(x))
    return np.maximum(e, x >= 0) / (1 + e)  # e is at most 1, and 1 is wanted from 0 on: quicker than np.where


def sigmoid_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squash to (0, 1).

    out = 1 / (1 + e^-x); cache x. Raises TypeError for integers. Source: CS231n notes, Neural Networks 1.
    """
    return sigmoid(x), x


def sigmoid_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """Multiply by the slope, computed from x: out (1 - out) is already 0 at x = 37.

    dx = dout e / (1 + e)^2 with e = e^-|x|; raises ValueError if dout has not x's shape. Source: CS231n notes, Neural
    Networks 1.
    """
    checks.shape("dout", dout, cache.shape, "of x")
    e = np.exp(-np.abs(cache))
    return dout * (e / (1 + e) ** 2)


def silu_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Let each number through as far as it is positive, smoothly: the sigmoid is the gate.

    out = x sigmoid(x); cache (x, sigmoid(x)). Raises TypeError for integers. Source: Elfwing et al., "Sigmoid-Weighted
    Linear Units", 2017.
    """
    gate = sigmoid(x)
    return x * gate, (x, gate)


def silu_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Through the product of x and its gate s = sigmoid(x).

    dx = dout s (1 + x (1 - s)); raises ValueError if dout has not x's shape. Source: Elfwing et al., 2017.
    """
    x, gate = cache
    checks.shape("dout", dout, x.shape, "of x")
    return dout * (gate * (1 + x * (1 - gate)))


def tanh_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squash to (-1, 1).

    out = tanh x; cache x. Raises TypeError for integers. Source: CS231n notes, Neural Networks 1.
    """
    checks.floats("x", x)
    return np.tanh(x), x


def tanh_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """Multiply by the slope, computed from x: 1 - out^2 is already 0 at x = 19.

    dx = dout 4 e / (1 + e)^2 with e = e^-2|x|; raises ValueError if dout has not x's shape. Source: CS231n notes,
    Neural Networks 1.
    """
    checks.shape("dout", dout, cache.shape, "of x")
    e = np.exp(-2 * np.abs(cache))
    return dout * (4 * e / (1 + e) ** 2)
