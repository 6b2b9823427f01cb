"""Elementwise nonlinearities, for arrays of any shape; each caches its input x."""

import math

import numpy as np
from numpy.polynomial import chebyshev

from from_scratch import checks


def relu_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut off what is negative.

    out = max(0, x); cache x. Raises TypeError for integers. Source: CS231n assignment 2, FullyConnectedNets.
    """
    checks.floats("x", x)
    return np.maximum(x, 0), x


def relu_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """Pass the gradient where x > 0.

    dx = dout [x > 0]; raises ValueError unless dout has x's shape. Source: CS231n assignment 2, FullyConnectedNets.
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

    dx = dout where x > 0, slope dout elsewhere; raises ValueError unless dout has x's shape. Source: Maas et al., 2013.
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

    dx = dout e / (1 + e)^2 with e = e^-|x|; raises ValueError unless dout has x's shape. Source: CS231n notes, Neural
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

    dx = dout s (1 + x (1 - s)); raises ValueError unless dout has x's shape. Source: Elfwing et al., 2017.
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

    dx = dout 4 e / (1 + e)^2 with e = e^-2|x|; raises ValueError unless dout has x's shape. Source: CS231n notes,
    Neural Networks 1.
    """
    checks.shape("dout", dout, cache.shape, "of x")
    e = np.exp(-2 * np.abs(cache))
    return dout * (4 * e / (1 + e) ** 2)


FAR = 6.0  # where 1 - erf is less than the rounding of 1


def _tail(degree: int) -> list[float]:
    """Coefficients, highest first, of the polynomial in y that erfc(z) e^(z^2) is for z in 0..FAR; y as in `erf`."""

    def scaled(y: np.ndarray) -> list[float]:
        return [math.erfc(z) * math.exp(z * z) for z in 16 / (3 * y + 5) - 2]

    return chebyshev.cheb2poly(chebyshev.chebinterpolate(scaled, degree)).tolist()[::-1]


TAILS = {8: _tail(8), 18: _tail(18)}  # by degree: what float32 and float64 can tell apart


def erf(x: np.ndarray) -> np.ndarray:
    """The error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x, which NumPy lacks.

    erf(x) = sign(x) (1 - e^(-z^2) p(y)), z = min(|x|, 6), y = (16/(2 + z) - 5)/3 in -1..1; the polynomial p is smooth
    where erfc falls over sixteen decades. Within 1e-14 (float32: 3e-7). Raises TypeError for integers. Source: Press
    et al., Numerical Recipes, 3rd edition, 6.2.2, whose idea it is.
    """
    checks.floats("x", x)
    first, *rest = TAILS[8 if x.dtype == np.float32 else 18]
    z = np.minimum(np.abs(x), FAR)
    y = (16 / (2 + z) - 5) / 3
    p = np.full_like(x, first)
    for coefficient in rest:
        p *= y
        p += coefficient
    return np.copysign(1 - np.exp(-z * z) * p, x)


def gelu_forward(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Weight x by the share of a standard normal distribution that lies below it.

    out = x P(x), P(x) = (1 + erf(x / sqrt 2)) / 2; cache (x, P(x)). Raises TypeError for integers. Source: Hendrycks
    and Gimpel, "Gaussian Error Linear Units", 2016.
    """
    checks.floats("x", x)
    share = 0.5 * (1 + erf(x * 0.5**0.5))
    return x * share, (x, share)


def gelu_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Both factors of x P(x) have a slope, and P's is the normal density.

    dx = dout (P(x) + x e^(-x^2/2) / sqrt(2 pi)); raises ValueError unless dout has x's shape. Source: Hendrycks and
    Gimpel, 2016.
    """
    x, share = cache
    checks.shape("dout", dout, x.shape, "of x")
    return dout * (share + x * np.exp(-0.5 * x * x) * (2 * math.pi) ** -0.5)
