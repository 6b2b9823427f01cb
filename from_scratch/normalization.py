"""Batch, layer and group normalization; the last two are the same in training and testing."""

import numpy as np

from from_scratch import checks

# N batch, D features, C channels, H W image, G groups


def standardize(x: np.ndarray, axis: int, eps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shift and scale x (2-D) along the axis; return x_hat, std, mean, biased variance (all but x_hat keep the axis).

    x_hat = (x - mean) / std, std = sqrt(var + eps)
    """
    mean = x.mean(axis=axis, keepdims=True)
    x_hat = x - mean
    var = np.mean(x_hat * x_hat, axis=axis, keepdims=True)
    std = np.sqrt(var + float(eps))
    x_hat /= std
    return x_hat, std, mean, var


def standardize_backward(dx_hat: np.ndarray, x_hat: np.ndarray, std: np.ndarray, axis: int) -> np.ndarray:
    """Through the standardization along the axis.

    dx = (dx_hat - mean(dx_hat) - x_hat mean(dx_hat x_hat)) / std
    """
    along = np.mean(dx_hat * x_hat, axis=axis, keepdims=True)
    return (dx_hat - dx_hat.mean(axis=axis, keepdims=True) - x_hat * along) / std


def read_scale(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Check gamma and beta, and that x is not empty; return both as floats."""
    gamma, beta = checks.floating(gamma, x.dtype), checks.floating(beta, x.dtype)
    checks.shape("gamma", gamma, shape, f"for x {x.shape}")
    checks.shape("beta", beta, shape, f"for x {x.shape}")
    if not x.size:
        raise ValueError(f"x must not be empty, but has the shape {x.shape}")
    return gamma, beta


def batchnorm_forward(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, bn_param: dict) -> tuple:
    """Standardize each feature over the batch, in testing with the running mean and variance.

    out = gamma (x - mean) / sqrt(var + eps) + beta; running = momentum running + (1 - momentum) batch's, var biased

    x (N, D), gamma and beta (D,) -> out (N, D), cache (None in test mode). `bn_param` has `mode` ('train' or 'test')
    and optionally `eps` (1e-5), `momentum` (0.9), `running_mean` and `running_var` ((D,), zeros), stored back. It
    raises ValueError or TypeError for what does not fit. Source: Ioffe and Szegedy, 2015; CS231n assignment 2.
    """
    checks.floats("x", x, 2)
    gamma, beta = read_scale(x, gamma, beta, x.shape[1:])
    mode, eps, momentum = bn_param.get("mode"), float(bn_param.get("eps", 1e-5)), float(bn_param.get("momentum", 0.9))
    checks.choice("bn_param['mode']", mode, ("train", "test"))
    running = [bn_param.get(key, np.zeros(x.shape[1], x.dtype)) for key in ("running_mean", "running_var")]
    for key, value in zip(("running_mean", "running_var"), running, strict=True):
        checks.shape(f"bn_param['{key}']", value, x.shape[1:], f"for x {x.shape}")
    if mode == "train":
        x_hat, std, *batch = standardize(x, 0, eps)
        running = [momentum * old + (1 - momentum) * new[0] for old, new in zip(running, batch, strict=True)]
        cache = (x_hat, std, gamma)
    else:
        x_hat, cache = (x - running[0]) / np.sqrt(running[1] + eps), None
    bn_param["running_mean"], bn_param["running_var"] = running
    return gamma * x_hat + beta, cache


def batchnorm_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Through batch normalization node by node of its graph, last node first.

    dout (N, D) -> dx (N, D), dgamma (D,), dbeta (D,). Raises ValueError unless dout has the shape of the output, or for
    the cache of test mode. Source: CS231n assignment 2, BatchNormalization.
    """
    x_hat, std, gamma = read_batch_cache(dout, cache)
    dbeta = dout.sum(axis=0)
    dgamma = (dout * x_hat).sum(axis=0)
    dx_hat = dout * gamma
    # x_hat = centered / std
    dcentred = dx_hat / std
    dstd = -(dx_hat * x_hat).sum(axis=0) / std
    # std = sqrt(var + eps), var = mean of centered^2, and centered = x_hat std
    dvar = dstd / (2 * std)
    dcentred += dvar * 2 * (x_hat * std) / len(dout)
    # centered = x - mean, mean = sum of x / N
    dmean = -dcentred.sum(axis=0)
    return dcentred + dmean / len(dout), dgamma, dbeta


def batchnorm_backward_alt(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Through batch normalization at once: two of the three sums are dgamma and dbeta themselves.

    dx = gamma / std (dout - dbeta / N - x_hat dgamma / N)

    dout (N, D) -> dx (N, D), dgamma (D,), dbeta (D,). Raises as `batchnorm_backward`. Source: CS231n assignment 2.
    """
    x_hat, std, gamma = read_batch_cache(dout, cache)
    dbeta = dout.sum(axis=0)
    dgamma = np.einsum("nd,nd->d", dout, x_hat)
    dx = x_hat * (dgamma / -len(dout))
    dx += dout
    dx -= dbeta / len(dout)
    dx *= gamma / std
    return dx, dgamma, dbeta


def read_batch_cache(dout: np.ndarray, cache: tuple | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check dout against the cache of training and return the cache."""
    if cache is None:
        raise ValueError("cache is None: batchnorm_forward ran in test mode, which has no backward")
    checks.shape("dout", dout, cache[0].shape, "of the layer's output")
    return cache


def layernorm_forward(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, ln_param: dict) -> tuple:
    """Standardize each example over its features.

    out = gamma (x - mean) / sqrt(var + eps) + beta

    x (N, D), gamma and beta (D,) -> out (N, D), cache. `ln_param` may have `eps` (1e-5). Raises ValueError or TypeError
    for what does not fit. Source: Ba, Kiros and Hinton, 2016; CS231n assignment 2.
    """
    checks.floats("x", x, 2)
    gamma, beta = read_scale(x, gamma, beta, x.shape[1:])
    x_hat, std, _, _ = standardize(x, 1, ln_param.get("eps", 1e-5))
    return gamma * x_hat + beta, (x_hat, std, gamma)


def layernorm_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Through layer normalization.

    dout (N, D) -> dx (N, D), dgamma (D,), dbeta (D,), the last two summed over the batch. Raises ValueError if dout has
    not the shape of the output. Source: CS231n assignment 2.
    """
    x_hat, std, gamma = cache
    checks.shape("dout", dout, x_hat.shape, "of the layer's output")
    return standardize_backward(dout * gamma, x_hat, std, 1), (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def to_rows(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> (N H W, C)."""
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def from_rows(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(N H W, C) -> (N, C, H, W)."""
    N, C, H, W = shape
    return np.ascontiguousarray(rows.reshape(N, H, W, C).transpose(0, 3, 1, 2))


def spatial_batchnorm_forward(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, bn_param: dict) -> tuple:
    """Batch normalization of each channel over the batch and the image.

    x (N, C, H, W), gamma and beta (C,) -> out (N, C, H, W), cache; `bn_param` and errors as in `batchnorm_forward`,
    with running arrays (C,). Source: CS231n assignment 2, ConvolutionalNetworks.
    """
    checks.floats("x", x, 4)
    out, cache = batchnorm_forward(to_rows(x), gamma, beta, bn_param)
    return from_rows(out, x.shape), cache


def spatial_batchnorm_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Through batch normalization of channels.

    dout (N, C, H, W) -> dx (N, C, H, W), dgamma (C,), dbeta (C,). Raises as `batchnorm_backward`. Source: CS231n
    assignment 2, ConvolutionalNetworks.
    """
    checks.floats("dout", dout, 4)
    dx, dgamma, dbeta = batchnorm_backward_alt(to_rows(dout), cache)
    return from_rows(dx, dout.shape), dgamma, dbeta


def spatial_groupnorm_forward(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, G: int, gn_param: dict) -> tuple:
    """Standardize each example's groups of C / G neighboring channels over channels and image.

    out = gamma (x - mean) / sqrt(var + eps) + beta

    x (N, C, H, W), gamma and beta (1, C, 1, 1), G dividing C -> out (N, C, H, W), cache. `gn_param` may have `eps`
    (1e-5). Raises ValueError or TypeError for what does not fit. Source: Wu and He, 2018; CS231n assignment 2.
    """
    checks.floats("x", x, 4)
    N, C, _, _ = x.shape
    gamma, beta = read_scale(x, gamma, beta, (1, C, 1, 1))
    if C % checks.size("G", G):
        raise ValueError(f"G must divide x's number of channels {C}, but is {G}")
    x_hat, std, _, _ = standardize(x.reshape(N * G, -1), 1, gn_param.get("eps", 1e-5))
    return gamma * x_hat.reshape(x.shape) + beta, (x_hat, std, gamma, x.shape)


def spatial_groupnorm_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Through group normalization.

    dout (N, C, H, W) -> dx (N, C, H, W), dgamma (1, C, 1, 1), dbeta (1, C, 1, 1). Raises ValueError unless dout has the
    shape of the output. Source: CS231n assignment 2, ConvolutionalNetworks.
    """
    x_hat, std, gamma, shape = cache
    checks.shape("dout", dout, shape, "of the layer's output")
    dgamma = (dout * x_hat.reshape(shape)).sum(axis=(0, 2, 3), keepdims=True)
    dx = standardize_backward((dout * gamma).reshape(x_hat.shape), x_hat, std, 1)
    return dx.reshape(shape), dgamma, dout.sum(axis=(0, 2, 3), keepdims=True)
