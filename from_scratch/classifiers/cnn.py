"""Convolutional nets: the assignment's three layers, and a deeper one."""

import numpy as np

from from_scratch import checks
from from_scratch.classifiers.net import Net
from from_scratch.convolution import output_size
from from_scratch.fast_layers import *  # noqa: F403  the notebooks reach the layers through this module
from from_scratch.fast_layers import max_pool_backward_fast, max_pool_forward_fast
from from_scratch.layer_utils import *  # noqa: F403
from from_scratch.layer_utils import (
    affine_relu_backward,
    affine_relu_forward,
    conv_bn_relu_backward,
    conv_bn_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
)
from from_scratch.layers import *  # noqa: F403
from from_scratch.layers import affine_backward, affine_forward, softmax_loss

# N batch, C channels, H W image, F filters

POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}


def images(X: np.ndarray, input_dim: tuple[int, int, int], dtype: type) -> np.ndarray:
    """X (N, C, H, W) in the net's dtype; raises ValueError or TypeError for images of another shape or of integers."""
    checks.shape("X", X, (len(X), *input_dim), "(N, C, H, W) of the net's input_dim")
    return X.astype(dtype, copy=False)


class ThreeLayerConvNet(Net):
    """conv - ReLU - 2x2 max pool - affine - ReLU - affine - softmax, on images (N, C, H, W).

    The convolution has stride 1 and pads (filter_size - 1) // 2, so an odd filter keeps the image's size. `params`:
    W1 (F, C, filter_size, filter_size), b1 (F,), W2 (F H/2 W/2, hidden_dim), b2, W3 (hidden_dim, num_classes), b3;
    weights are Gaussian with std `weight_scale`, drawn in that order from NumPy's global generator, biases zero.
    Raises ValueError for sizes below 1. Source: CS231n assignment 2, ConvolutionalNetworks.
    """

    def __init__(
        self,
        input_dim: tuple[int, int, int] = (3, 32, 32),
        num_filters: int = 32,
        filter_size: int = 7,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        dtype: type = np.float32,
    ):
        self.input_dim, self.reg, self.dtype = tuple(input_dim), reg, dtype
        C, H, W = self.input_dim
        sizes = {"num_filters": num_filters, "filter_size": filter_size, "hidden_dim": hidden_dim}
        for name, value in (sizes | {"num_classes": num_classes}).items():
            checks.size(name, value)
        self.conv_param = {"stride": 1, "pad": (filter_size - 1) // 2}
        size = output_size((H, W), (filter_size,) * 2, (1, 1), (self.conv_param["pad"],) * 2)
        height, width = output_size(size, (2, 2), (2, 2))
        shapes = [
            (num_filters, C, filter_size, filter_size),
            (num_filters * height * width, hidden_dim),
            (hidden_dim, num_classes),
        ]
        self.params = {}
        for layer, (shape, outputs) in enumerate(zip(shapes, (num_filters, hidden_dim, num_classes), strict=True), 1):
            self.params[f"W{layer}"] = (weight_scale * np.random.randn(*shape)).astype(dtype)
            self.params[f"b{layer}"] = np.zeros(outputs, dtype)

    def loss(self, X: np.ndarray, y: np.ndarray | None = None) -> np.ndarray | tuple[float, dict]:
        """Scores (N, classes) of images X, or with labels y (N,) the loss and the gradient of every parameter.

        loss = softmax loss + 0.5 reg (|W1|^2 + |W2|^2 + |W3|^2). Raises ValueError or TypeError if X or y does not fit.
        """
        X, p = images(X, self.input_dim, self.dtype), self.params
        pooled, pooled_cache = conv_relu_pool_forward(X, p["W1"], p["b1"], self.conv_param, POOL)
        hidden, hidden_cache = affine_relu_forward(pooled, p["W2"], p["b2"])
        scores, scores_cache = affine_forward(hidden, p["W3"], p["b3"])
        if y is None:
            return scores

        loss, dscores = softmax_loss(scores, y)
        grads = {}
        dhidden, grads["W3"], grads["b3"] = affine_backward(dscores, scores_cache)
        dpooled, grads["W2"], grads["b2"] = affine_relu_backward(dhidden, hidden_cache)
        _, grads["W1"], grads["b1"] = conv_relu_pool_backward(dpooled, pooled_cache, with_dx=False)
        return self.add_weight_decay(loss, grads), grads


class DeepConvNet(Net):
    """{conv - spatial batch norm - ReLU, as often as the block says - 2x2 max pool} per block - affine - softmax.

    `blocks` names the filters of each convolution, block by block: ((32, 32), (64, 64)) is two blocks of two. All
    filters are square and odd and keep the image's size; the convolutions have no bias, since batch norm would
    cancel it. `params`: W1 (F, C, filter_size, filter_size), gamma1 and beta1 (F,), W2, ..., and W and b of the last
    layer. Weights are Gaussian, with std `weight_scale`, or sqrt(2 / fan-in) without one (He et al. 2015). Raises
    ValueError for an empty block, an even filter, or images too small for the pools. It is made for the Solver.
    """

    def __init__(
        self,
        input_dim: tuple[int, int, int] = (3, 32, 32),
        blocks: tuple[tuple[int, ...], ...] = ((32,), (64,), (128,)),
        filter_size: int = 3,
        num_classes: int = 10,
        weight_scale: float | None = None,
        reg: float = 0.0,
        dtype: type = np.float32,
        rng: np.random.Generator | None = None,
    ):
        if not blocks or not all(isinstance(block, tuple | list) and block for block in blocks):
            raise ValueError(f"blocks must each be a tuple of at least one convolution's filters, not {blocks!r}")
        for filters in (filters for block in blocks for filters in block):
            checks.size("filters of a block", filters)
        checks.size("num_classes", num_classes)
        if checks.size("filter_size", filter_size) % 2 != 1:
            raise ValueError(f"filter_size must be odd, so that the image keeps its size, not {filter_size}")
        self.input_dim, self.blocks, self.reg, self.dtype = tuple(input_dim), tuple(blocks), reg, dtype
        self.conv_param = {"stride": 1, "pad": filter_size // 2}
        self.rng, self.weight_scale, self.params = rng or np.random.default_rng(), weight_scale, {}
        channels, *size = self.input_dim
        for block in self.blocks:
            for filters in block:
                layer = self.draw((filters, channels, filter_size, filter_size), channels * filter_size**2)
                self.params[f"gamma{layer}"] = np.ones(filters, dtype)
                self.params[f"beta{layer}"] = np.zeros(filters, dtype)
                channels = filters
            size = output_size(size, (2, 2), (2, 2))
        self.bn_params = [{"mode": "train"} for _ in range(layer)]
        self.num_layers = self.draw((channels * size[0] * size[1], num_classes), channels * size[0] * size[1])
        self.params[f"b{self.num_layers}"] = np.zeros(num_classes, dtype)

    def draw(self, shape: tuple[int, ...], fan_in: int) -> int:
        """Add the next layer's weights to the parameters and return that layer's number."""
        layer = 1 + sum(name.startswith("W") for name in self.params)
        scale = np.sqrt(2 / fan_in) if self.weight_scale is None else self.weight_scale
        self.params[f"W{layer}"] = (scale * self.rng.standard_normal(shape)).astype(self.dtype)
        return layer

    def loss(self, X: np.ndarray, y: np.ndarray | None = None) -> np.ndarray | tuple[float, dict]:
        """Scores (N, classes) of images X by the running statistics, or with labels y (N,) the loss and the gradients.

        loss = softmax loss + 0.5 reg (sum over W of |W|^2). Raises ValueError or TypeError if X or y does not fit.
        """
        out, p = images(X, self.input_dim, self.dtype), self.params
        for bn_param in self.bn_params:
            bn_param["mode"] = "test" if y is None else "train"
        caches = []
        for block in self.blocks:
            for _ in block:
                layer = len(caches) + 1
                w, gamma, beta = (p[f"{name}{layer}"] for name in ("W", "gamma", "beta"))
                no_bias, bn_param = np.zeros(len(w), self.dtype), self.bn_params[layer - 1]
                out, cache = conv_bn_relu_forward(out, w, no_bias, gamma, beta, self.conv_param, bn_param)
                caches.append([cache, None])
            out, caches[-1][1] = max_pool_forward_fast(out, POOL)
        last = self.num_layers
        scores, cache = affine_forward(out, p[f"W{last}"], p[f"b{last}"])
        if y is None:
            return scores

        loss, dout = softmax_loss(scores, y)
        grads = {}
        dout, grads[f"W{last}"], grads[f"b{last}"] = affine_backward(dout, cache)
        for layer in range(len(caches), 0, -1):
            conv_cache, pool_cache = caches[layer - 1]
            if pool_cache is not None:
                dout = max_pool_backward_fast(dout, pool_cache)
            dout, dw, _, dgamma, dbeta = conv_bn_relu_backward(dout, conv_cache, with_dx=layer > 1)
            grads |= {f"W{layer}": dw, f"gamma{layer}": dgamma, f"beta{layer}": dbeta}
        return self.add_weight_decay(loss, grads), grads
