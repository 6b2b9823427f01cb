"""Fully connected nets: two layers, and any number of them with normalization and dropout."""

import warnings
from collections.abc import Callable

import numpy as np

from from_scratch import checks
from from_scratch.affine import affine_backward, affine_forward
from from_scratch.classifiers.net import Net
from from_scratch.initialization import gaussian
from from_scratch.layer_utils import *  # noqa: F403  the notebooks reach the layers through this module
from from_scratch.layer_utils import (
    NORMALIZATIONS,
    affine_norm_relu_dropout_backward,
    affine_norm_relu_dropout_forward,
)
from from_scratch.layers import *  # noqa: F403
from from_scratch.losses import softmax_loss

# N batch, D input features, H hidden units, C classes


class TwoLayerNet(Net):
    """affine - ReLU - affine - softmax, in float64.

    `params`: W1 (D, H), b1, W2 (H, C), b2; weights Gaussian with std `weight_scale`, biases zero. `rng` draws them
    (default: NumPy's global generator). Raises ValueError for sizes below 1. Source: CS231n, FullyConnectedNets.
    """

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        rng: object = np.random,
    ):
        self.reg, self.params = reg, {}
        sizes = read_sizes(input_dim, [hidden_dim], num_classes)
        for layer in (1, 2):
            self.params[f"W{layer}"] = gaussian(sizes[layer - 1 : layer + 1], weight_scale, rng)
            self.params[f"b{layer}"] = np.zeros(sizes[layer])

    def loss(self, X: np.ndarray, y: np.ndarray | None = None) -> np.ndarray | tuple[float, dict]:
        """Scores (N, C) of X (N, d1, ..., dk); with labels y (N,) the loss and its gradients."""
        p, grads = self.params, {}
        hidden, cache1 = affine_norm_relu_dropout_forward(X, p["W1"], p["b1"])
        scores, cache2 = affine_forward(hidden, p["W2"], p["b2"])
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        dhidden, grads["W2"], grads["b2"] = affine_backward(dscores, cache2)
        _, grads["W1"], grads["b1"], _, _ = affine_norm_relu_dropout_backward(dhidden, cache1)
        return self.add_weight_decay(loss, grads), grads


class FullyConnectedNet(Net):
    """{affine - [batch, layer or group norm] - ReLU - [dropout]} x (L - 1) - affine - softmax.

    `params`: W1, b1, ..., WL, bL, with normalization also gamma1, beta1, ..., gamma{L-1}, beta{L-1}; all of `dtype`.
    `dropout_keep_ratio` is the probability of keeping a unit, 1 for no dropout; `normalization` None, 'batchnorm' or
    'layernorm'; `seed` makes dropout repeat its masks, for gradient checks. Beyond the course: `normalization`
    'groupnorm' with `num_groups`, which divides every hidden width; `init(shape, rng=rng)` draws each weight matrix
    instead of a Gaussian with std `weight_scale` (see initialization.py); `rng` draws weights and dropout (default:
    NumPy's global generator). The older names `dropout` (0 or 1 for none) and `use_batchnorm` still work, with a
    DeprecationWarning. Raises ValueError or TypeError for what does not fit. Source:
    CS231n assignment 2, FullyConnectedNets.
    """

    def __init__(
        self,
        hidden_dims: list[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout_keep_ratio: float = 1,
        normalization: str | None = None,
        reg: float = 0.0,
        weight_scale: float = 1e-2,
        dtype: type = np.float32,
        seed: int | None = None,
        *,
        num_groups: int = 1,
        init: Callable | None = None,
        rng: object = None,
        **older: object,
    ):
        dropout_keep_ratio, normalization = newest_names(float(dropout_keep_ratio), normalization, older)
        checks.choice("normalization", normalization, (None, *NORMALIZATIONS))
        if not 0 < dropout_keep_ratio <= 1:
            raise ValueError(f"dropout_keep_ratio must lie in (0, 1], not {dropout_keep_ratio}")
        self.normalization, self.use_dropout, self.reg = normalization, dropout_keep_ratio != 1, reg
        self.num_layers, self.dtype = 1 + len(hidden_dims), dtype
        self.params = self._initial_params(
            read_sizes(input_dim, hidden_dims, num_classes), weight_scale, init, np.random if rng is None else rng
        )
        self.dropout_param = {"mode": "train", "p": dropout_keep_ratio} if self.use_dropout else {}
        if self.use_dropout and seed is not None:
            self.dropout_param["seed"] = seed
        if self.use_dropout and rng is not None:
            self.dropout_param["rng"] = rng
        # One dict a layer, for batch norm keeps its running averages there.
        options = {"batchnorm": {"mode": "train"}, "layernorm": {}, "groupnorm": {"G": num_groups}}.get(normalization)
        self.bn_params = [] if options is None else [dict(options) for _ in hidden_dims]

    def _initial_params(self, sizes: list[int], scale: float, init: Callable | None, rng: object) -> dict:
        params = {}
        for layer in range(1, self.num_layers + 1):
            shape = tuple(sizes[layer - 1 : layer + 1])
            params[f"W{layer}"] = init(shape, rng=rng) if init else gaussian(shape, scale, rng)
            params[f"b{layer}"] = np.zeros(sizes[layer])
            if self.normalization and layer < self.num_layers:
                params[f"gamma{layer}"], params[f"beta{layer}"] = np.ones(sizes[layer]), np.zeros(sizes[layer])
        return {name: value.astype(self.dtype) for name, value in params.items()}

    def loss(self, X: np.ndarray, y: np.ndarray | None = None) -> np.ndarray | tuple[float, dict]:
        """Scores (N, C) of X (N, d1, ..., dk) in test mode; with labels y (N,) the loss and its gradients."""
        checks.floats("X", X)
        out, mode = X.astype(self.dtype, copy=False), "test" if y is None else "train"
        with_mode = [self.dropout_param] if self.use_dropout else []
        with_mode += self.bn_params if self.normalization == "batchnorm" else []
        for param in with_mode:
            param["mode"] = mode
        caches, p, last = [], self.params, self.num_layers
        for layer in range(1, last):
            names = [f"{kind}{layer}" for kind in ("W", "b", "gamma", "beta")]
            norm_param = self.bn_params[layer - 1] if self.normalization else None
            out, cache = affine_norm_relu_dropout_forward(
                out, *map(p.get, names), self.normalization, norm_param, self.dropout_param
            )
            caches.append(cache)
        scores, cache = affine_forward(out, p[f"W{last}"], p[f"b{last}"])
        if y is None:
            return scores
        loss, dout = softmax_loss(scores, y)
        grads = self._backward(dout, caches, cache)
        return self.add_weight_decay(loss, grads), grads

    def _backward(self, dout: np.ndarray, caches: list[tuple], last_cache: tuple) -> dict[str, np.ndarray]:
        grads, last = {}, self.num_layers
        dout, grads[f"W{last}"], grads[f"b{last}"] = affine_backward(dout, last_cache)
        for layer in range(last - 1, 0, -1):
            dout, dw, db, dgamma, dbeta = affine_norm_relu_dropout_backward(dout, caches[layer - 1])
            grads |= {f"W{layer}": dw, f"b{layer}": db}
            if self.normalization:
                grads |= {f"gamma{layer}": dgamma, f"beta{layer}": dbeta}
        return grads


def read_sizes(input_dim: int, hidden_dims: list[int], num_classes: int) -> list[int]:
    """The widths from input to classes; raises ValueError for one below 1."""
    if not isinstance(hidden_dims, list | tuple | np.ndarray):
        raise TypeError(f"hidden_dims must be a list of widths, not {hidden_dims!r}")
    hidden = [checks.size("hidden_dims", width) for width in hidden_dims]
    return [checks.size("input_dim", np.prod(input_dim)), *hidden, checks.size("num_classes", num_classes)]


def newest_names(keep: float, normalization: str | None, older: dict) -> tuple[float, str | None]:
    """What the older arguments mean: `dropout` until 2020 (in 2017 0 was none), `use_batchnorm` until 2017."""
    renamed = {"dropout": "dropout_keep_ratio, the probability of keeping a unit"}
    renamed["use_batchnorm"] = "normalization='batchnorm'"
    for name, value in older.items():
        if name not in renamed:
            raise TypeError(f"FullyConnectedNet has no argument {name!r}")
        warnings.warn(f"{name} is now {renamed[name]}", DeprecationWarning, stacklevel=3)
        if name == "dropout":
            keep = float(value) or 1.0
        elif value:
            normalization = "batchnorm"
    return keep, normalization
