"""Layers that usually stand together; shapes, options and errors are those of the parts, caches tuples of theirs.

Source: CS231n assignment 2, layer_utils.
"""

import numpy as np

from from_scratch import checks
from from_scratch.activations import relu_backward, relu_forward
from from_scratch.affine import affine_backward, affine_forward
from from_scratch.dropout import dropout_backward, dropout_forward
from from_scratch.fast_layers import (
    conv_backward_fast,
    conv_forward_fast,
    max_pool_backward_fast,
    max_pool_forward_fast,
)
from from_scratch.normalization import (
    batchnorm_backward_alt,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    spatial_groupnorm_backward,
    spatial_groupnorm_forward,
)


def groupnorm_forward(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, gn_param: dict) -> tuple[np.ndarray, tuple]:
    """Group norm of rows, images of one pixel, with gn_param['G'] groups: x (N, D), gamma, beta (D,) -> out, cache."""
    checks.floats("x", x, 2)
    scale = (v.reshape(1, -1, 1, 1) for v in (gamma, beta))
    out, cache = spatial_groupnorm_forward(x[:, :, None, None], *scale, gn_param["G"], gn_param)
    return out[:, :, 0, 0], cache


def groupnorm_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dout (N, D) -> dx (N, D), dgamma (D,), dbeta (D,)."""
    checks.floats("dout", dout, 2)
    dx, dgamma, dbeta = spatial_groupnorm_backward(dout[:, :, None, None], cache)
    return dx[:, :, 0, 0], dgamma.ravel(), dbeta.ravel()


NORMALIZATIONS = {
    "batchnorm": (batchnorm_forward, batchnorm_backward_alt),
    "layernorm": (layernorm_forward, layernorm_backward),
    "groupnorm": (groupnorm_forward, groupnorm_backward),
}


def affine_relu_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple]:
    """affine - ReLU: x (N, d1, ..., dk), w (D, M), b (M,) -> out (N, M), cache."""
    a, fc_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    return out, (fc_cache, relu_cache)


def affine_relu_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dout (N, M) -> dx, dw, db."""
    fc_cache, relu_cache = cache
    return affine_backward(relu_backward(dout, relu_cache), fc_cache)


def affine_norm_relu_dropout_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    gamma: np.ndarray | None = None,
    beta: np.ndarray | None = None,
    normalization: str | None = None,
    norm_param: dict | None = None,
    dropout_param: dict | None = None,
) -> tuple[np.ndarray, tuple]:
    """affine - [batch, layer or group norm] - ReLU - [dropout]: one hidden layer of FullyConnectedNet.

    `normalization` is None, 'batchnorm', 'layernorm' or 'groupnorm'; without `dropout_param` nothing is dropped. -> out
    (N, M)
    """
    checks.choice("normalization", normalization, (None, *NORMALIZATIONS))
    norm_cache = dropout_cache = None
    out, fc_cache = affine_forward(x, w, b)
    if normalization:
        out, norm_cache = NORMALIZATIONS[normalization][0](out, gamma, beta, norm_param)
    out, relu_cache = relu_forward(out)
    if dropout_param:
        out, dropout_cache = dropout_forward(out, dropout_param)
    return out, (normalization, fc_cache, norm_cache, relu_cache, dropout_cache)


def affine_norm_relu_dropout_backward(dout: np.ndarray, cache: tuple) -> tuple:
    """dout (N, M) -> dx, dw, db, dgamma, dbeta, the last two None without normalization."""
    normalization, fc_cache, norm_cache, relu_cache, dropout_cache = cache
    dgamma = dbeta = None
    if dropout_cache:
        dout = dropout_backward(dout, dropout_cache)
    dout = relu_backward(dout, relu_cache)
    if normalization:
        dout, dgamma, dbeta = NORMALIZATIONS[normalization][1](dout, norm_cache)
    return *affine_backward(dout, fc_cache), dgamma, dbeta


def conv_relu_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, conv_param: dict) -> tuple[np.ndarray, tuple]:
    """convolution - ReLU: x (N, C, H, W), w (F, C, HH, WW), b (F,) -> out (N, F, OH, OW), cache."""
    a, conv_cache = conv_forward_fast(x, w, b, conv_param)
    out, relu_cache = relu_forward(a)
    return out, (conv_cache, relu_cache)


def conv_relu_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dout (N, F, OH, OW) -> dx, dw, db."""
    conv_cache, relu_cache = cache
    return conv_backward_fast(relu_backward(dout, relu_cache), conv_cache)


def conv_bn_relu_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    conv_param: dict,
    bn_param: dict,
) -> tuple[np.ndarray, tuple]:
    """convolution - batch norm of channels - ReLU: gamma and beta (F,) -> out (N, F, OH, OW), cache."""
    a, conv_cache = conv_forward_fast(x, w, b, conv_param)
    a, bn_cache = spatial_batchnorm_forward(a, gamma, beta, bn_param)
    out, relu_cache = relu_forward(a)
    return out, (conv_cache, bn_cache, relu_cache)


def conv_bn_relu_backward(dout: np.ndarray, cache: tuple, with_dx: bool = True) -> tuple:
    """dout (N, F, OH, OW) -> dx, dw, db, dgamma, dbeta; without `with_dx`, dx is None (see `conv_backward_fast`)."""
    conv_cache, bn_cache, relu_cache = cache
    dout, dgamma, dbeta = spatial_batchnorm_backward(relu_backward(dout, relu_cache), bn_cache)
    return *conv_backward_fast(dout, conv_cache, with_dx), dgamma, dbeta


def conv_relu_pool_forward(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, conv_param: dict, pool_param: dict
) -> tuple[np.ndarray, tuple]:
    """convolution - ReLU - max pool: out (N, F, PH, PW), cache."""
    a, conv_cache = conv_forward_fast(x, w, b, conv_param)
    a, relu_cache = relu_forward(a)
    out, pool_cache = max_pool_forward_fast(a, pool_param)
    return out, (conv_cache, relu_cache, pool_cache)


def conv_relu_pool_backward(dout: np.ndarray, cache: tuple, with_dx: bool = True) -> tuple:
    """dout (N, F, PH, PW) -> dx, dw, db; without `with_dx`, dx is None (see `conv_backward_fast`)."""
    conv_cache, relu_cache, pool_cache = cache
    dout = relu_backward(max_pool_backward_fast(dout, pool_cache), relu_cache)
    return conv_backward_fast(dout, conv_cache, with_dx)
