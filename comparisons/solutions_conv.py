"""Convolution, pooling, spatial normalization and blocks of them: plain solutions."""

import numpy as np

from comparisons.solutions_normalization import standardize_backward
from from_scratch import fast_layers as fast
from from_scratch import layers as L


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def conv_forward_naive(x, w, b, conv_param):
    (sy, sx), (py, px) = pair(conv_param["stride"]), pair(conv_param["pad"])
    (N, _, H, W), (F, _, HH, WW) = x.shape, w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)), mode="constant")
    out = np.zeros((N, F, 1 + (H + 2 * py - HH) // sy, 1 + (W + 2 * px - WW) // sx))
    for n in range(N):
        for f in range(F):
            for i in range(out.shape[2]):
                for j in range(out.shape[3]):
                    window = padded[n, :, i * sy : i * sy + HH, j * sx : j * sx + WW]
                    out[n, f, i, j] = np.sum(window * w[f]) + b[f]
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout, cache):
    x, w, b, conv_param = cache
    (sy, sx), (py, px) = pair(conv_param["stride"]), pair(conv_param["pad"])
    HH, WW = w.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)), mode="constant")
    dpadded, dw, db = np.zeros_like(padded), np.zeros_like(w), np.zeros_like(b)
    for n, f, i, j in np.ndindex(*dout.shape):
        rows, columns = slice(i * sy, i * sy + HH), slice(j * sx, j * sx + WW)
        dpadded[n, :, rows, columns] += w[f] * dout[n, f, i, j]
        dw[f] += padded[n, :, rows, columns] * dout[n, f, i, j]
        db[f] += dout[n, f, i, j]
    return dpadded[:, :, py : py + x.shape[2], px : px + x.shape[3]], dw, db


conv_forward_im2col = conv_forward_strides = conv_forward_fast = conv_forward_naive
conv_backward_im2col = conv_backward_strides = conv_backward_fast = conv_backward_naive


def get_im2col_indices(x_shape, field_height, field_width, padding=1, stride=1):
    _, C, H, W = x_shape
    out_height = (H + 2 * padding - field_height) // stride + 1
    out_width = (W + 2 * padding - field_width) // stride + 1
    i0 = np.tile(np.repeat(np.arange(field_height), field_width), C)
    i1 = stride * np.repeat(np.arange(out_height), out_width)
    j0 = np.tile(np.arange(field_width), field_height * C)
    j1 = stride * np.tile(np.arange(out_width), out_height)
    k = np.repeat(np.arange(C), field_height * field_width).reshape(-1, 1)
    return k, i0.reshape(-1, 1) + i1.reshape(1, -1), j0.reshape(-1, 1) + j1.reshape(1, -1)


def im2col_indices(x, field_height, field_width, padding=1, stride=1):
    p = padding
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="constant")
    k, i, j = get_im2col_indices(x.shape, field_height, field_width, padding, stride)
    return padded[:, k, i, j].transpose(1, 2, 0).reshape(field_height * field_width * x.shape[1], -1)


def col2im_indices(cols, x_shape, field_height=3, field_width=3, padding=1, stride=1):
    N, C, H, W = x_shape
    padded = np.zeros((N, C, H + 2 * padding, W + 2 * padding), dtype=cols.dtype)
    k, i, j = get_im2col_indices(x_shape, field_height, field_width, padding, stride)
    np.add.at(padded, (slice(None), k, i, j), cols.reshape(C * field_height * field_width, -1, N).transpose(2, 0, 1))
    return padded[:, :, padding : padding + H, padding : padding + W]


def max_pool_forward_naive(x, pool_param):
    height, width, (sy, sx) = pool_param["pool_height"], pool_param["pool_width"], pair(pool_param["stride"])
    N, C, H, W = x.shape
    out = np.zeros((N, C, 1 + (H - height) // sy, 1 + (W - width) // sx))
    for i, j in np.ndindex(*out.shape[2:]):
        window = x[:, :, i * sy : i * sy + height, j * sx : j * sx + width]
        out[:, :, i, j] = np.max(window, axis=(2, 3))
    return out, (x, pool_param)


def max_pool_backward_naive(dout, cache):
    x, pool_param = cache[0], cache[-1]
    height, width, (sy, sx) = pool_param["pool_height"], pool_param["pool_width"], pair(pool_param["stride"])
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*dout.shape):
        rows, columns = slice(i * sy, i * sy + height), slice(j * sx, j * sx + width)
        window = x[n, c, rows, columns]
        dx[n, c, rows, columns] += (window == window.max()) * dout[n, c, i, j]
    return dx


max_pool_forward_im2col = max_pool_forward_reshape = max_pool_forward_fast = max_pool_forward_naive
max_pool_backward_im2col = max_pool_backward_reshape = max_pool_backward_naive


def max_pool_backward_fast(dout, cache):
    _, inner = cache
    return max_pool_backward_naive(dout, inner)


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    out, cache = L.batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, C), gamma, beta, bn_param)
    return out.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    dx, dgamma, dbeta = L.batchnorm_backward(dout.transpose(0, 2, 3, 1).reshape(-1, C), cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    N, C, H, W = x.shape
    groups = x.reshape(N, G, C // G, H, W)
    mean, var = groups.mean(axis=(2, 3, 4), keepdims=True), groups.var(axis=(2, 3, 4), keepdims=True)
    std = np.sqrt(var + gn_param.get("eps", 1e-5))
    x_hat = (groups - mean) / std
    return gamma * x_hat.reshape(x.shape) + beta, (x_hat.reshape(N * G, -1), std.reshape(N * G, 1), gamma, x.shape)


def spatial_groupnorm_backward(dout, cache):
    x_hat, std, gamma, shape = cache
    dx = standardize_backward((dout * gamma).reshape(x_hat.shape), x_hat, std, 1).reshape(shape)
    dgamma = np.sum(dout * x_hat.reshape(shape), axis=(0, 2, 3), keepdims=True)
    return dx, dgamma, np.sum(dout, axis=(0, 2, 3), keepdims=True)


def conv_relu_forward(x, w, b, conv_param):
    out, conv = L.conv_forward_naive(x, w, b, conv_param)
    return np.maximum(out, 0), (conv, out)


def conv_relu_backward(dout, cache):
    conv, relu = cache
    return L.conv_backward_naive(L.relu_backward(dout, relu), conv)


def conv_bn_relu_forward(x, w, b, gamma, beta, conv_param, bn_param):
    out, conv = L.conv_forward_naive(x, w, b, conv_param)
    out, norm = L.spatial_batchnorm_forward(out, gamma, beta, bn_param)
    return np.maximum(out, 0), (conv, norm, out)


def conv_bn_relu_backward(dout, cache):
    conv, norm, relu = cache
    dout, dgamma, dbeta = L.spatial_batchnorm_backward(L.relu_backward(dout, relu), norm)
    return (*L.conv_backward_naive(dout, conv), dgamma, dbeta)


def conv_relu_pool_forward(x, w, b, conv_param, pool_param):
    out, cache = conv_relu_forward(x, w, b, conv_param)
    out, pool = fast.max_pool_forward_fast(out, pool_param)
    return out, (*cache, pool)


def conv_relu_pool_backward(dout, cache):
    conv, relu, pool = cache
    return L.conv_backward_naive(L.relu_backward(fast.max_pool_backward_fast(dout, pool), relu), conv)
