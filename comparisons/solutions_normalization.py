"""Normalization and dropout: plain solutions."""

import numpy as np

from from_scratch import layer_utils as lu
from from_scratch import layers as L


def standardize(x, axis, eps):
    mean, var = x.mean(axis=axis, keepdims=True), x.var(axis=axis, keepdims=True)
    return (x - mean) / np.sqrt(var + eps), np.sqrt(var + eps), mean, var


def standardize_backward(dx_hat, x_hat, std, axis):
    N = x_hat.shape[axis]
    sums = np.sum(dx_hat, axis=axis, keepdims=True), np.sum(dx_hat * x_hat, axis=axis, keepdims=True)
    return (N * dx_hat - sums[0] - x_hat * sums[1]) / (N * std)


def batchnorm_forward(x, gamma, beta, bn_param):
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1], dtype=x.dtype))
    if bn_param["mode"] == "train":
        mean, var = x.mean(axis=0), x.var(axis=0)
        std = np.sqrt(var + eps)
        x_hat = (x - mean) / std
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * var
        cache = x_hat, std, gamma
    else:
        x_hat, cache = (x - running_mean) / np.sqrt(running_var + eps), None
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    return gamma * x_hat + beta, cache


def batchnorm_backward(dout, cache):
    x_hat, std, gamma = cache
    N = len(dout)
    dx_hat = dout * gamma
    dvar = np.sum(dx_hat * x_hat, axis=0) * -0.5 / std**2
    dmean = np.sum(dx_hat, axis=0) / -std
    return dx_hat / std + dvar * 2 * x_hat * std / N + dmean / N, np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)


def batchnorm_backward_alt(dout, cache):
    x_hat, std, gamma = cache
    N, dgamma, dbeta = dout.shape[0], np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)
    return gamma / (N * std) * (N * dout - dbeta - x_hat * dgamma), dgamma, dbeta


def layernorm_forward(x, gamma, beta, ln_param):
    x_hat, std, _, _ = standardize(x, 1, ln_param.get("eps", 1e-5))
    return gamma * x_hat + beta, (x_hat, std, gamma)


def layernorm_backward(dout, cache):
    x_hat, std, gamma = cache
    dx = standardize_backward(dout * gamma, x_hat, std, 1)
    return dx, np.sum(dout * x_hat, axis=0), np.sum(dout, axis=0)


def groupnorm_forward(x, gamma, beta, gn_param):
    N, D = x.shape
    out, cache = layernorm_forward(x.reshape(N * gn_param["G"], -1), 1.0, 0.0, gn_param)
    return gamma * out.reshape(N, D) + beta, cache


def affine_norm_relu_dropout_forward(x, w, b, gamma, beta, normalization, norm_param, dropout_param):
    out, fc = L.affine_forward(x, w, b)
    norms = {"batchnorm": L.batchnorm_forward, "layernorm": L.layernorm_forward, "groupnorm": lu.groupnorm_forward}
    if normalization:
        out, _ = norms[normalization](out, gamma, beta, norm_param)
    out, _ = L.relu_forward(out)
    if dropout_param:
        out, _ = L.dropout_forward(out, dropout_param)
    return out, fc


def dropout_forward(x, dropout_param):
    p, mode, mask = dropout_param["p"], dropout_param["mode"], None
    if "seed" in dropout_param:
        np.random.seed(dropout_param["seed"])
    if mode == "train":
        mask = (np.random.rand(*x.shape) < p) / p
        out = x * mask
    elif mode == "test":
        out = x
    return out.astype(x.dtype, copy=False), (dropout_param, mask)


def dropout_backward(dout, cache):
    dropout_param, mask = cache
    return dout * mask if dropout_param["mode"] == "train" else dout
