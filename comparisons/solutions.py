"""The well-known solutions of the course's exercises, written anew from its contracts: each must be accepted.

They are plain on purpose (loops, np.random, no checks), unlike from_scratch's own, whose caches the backwards read.
"""

import math

import numpy as np

from from_scratch import fast_layers as fast
from from_scratch import layer_utils as lu
from from_scratch import layers as L
from from_scratch import rnn_layers as R
from from_scratch import transformer_layers as T
from from_scratch import unet_layers as U

# Nearest neighbors: methods, whose `self` has X_train and y_train


def compute_distances_two_loops(self, X):
    dists = np.zeros((X.shape[0], self.X_train.shape[0]))
    for i in range(X.shape[0]):
        for j in range(self.X_train.shape[0]):
            dists[i, j] = np.linalg.norm(X[i] - self.X_train[j])
    return dists


def compute_distances_one_loop(self, X):
    dists = np.zeros((X.shape[0], self.X_train.shape[0]))
    for i in range(X.shape[0]):
        dists[i, :] = np.linalg.norm(self.X_train - X[i], axis=1)
    return dists


def compute_distances_no_loops(self, X):
    squares = np.sum(X**2, axis=1, keepdims=True) + np.sum(self.X_train**2, axis=1)
    return np.sqrt(squares - 2 * X.dot(self.X_train.T))


def predict_labels(self, dists, k=1):
    y_pred = np.zeros(dists.shape[0])
    for i in range(dists.shape[0]):
        closest_y = self.y_train[np.argsort(dists[i])[:k]]
        y_pred[i] = np.argmax(np.bincount(closest_y))
    return y_pred


# Linear classifiers


def svm_loss_naive(W, X, y, reg):
    dW, loss, num_train = np.zeros(W.shape), 0.0, X.shape[0]
    for i in range(num_train):
        scores = X[i].dot(W)
        correct = scores[y[i]]
        for j in range(W.shape[1]):
            if j == y[i]:
                continue
            margin = scores[j] - correct + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
                dW[:, y[i]] -= X[i]
    return loss / num_train + reg * np.sum(W * W), dW / num_train + 2 * reg * W


def svm_loss_vectorized(W, X, y, reg):
    N, scores = X.shape[0], X.dot(W)
    margins = np.maximum(0, scores - scores[np.arange(N), y].reshape(-1, 1) + 1)
    margins[np.arange(N), y] = 0
    binary = (margins > 0).astype(float)
    binary[np.arange(N), y] = -binary.sum(axis=1)
    return margins.sum() / N + reg * np.sum(W * W), X.T.dot(binary) / N + 2 * reg * W


def softmax_loss_naive(W, X, y, reg):
    dW, loss, N = np.zeros_like(W), 0.0, X.shape[0]
    for i in range(N):
        scores = X[i].dot(W)
        p = np.exp(scores - scores.max()) / np.sum(np.exp(scores - scores.max()))
        loss -= np.log(p[y[i]])
        p[y[i]] -= 1
        for j in range(W.shape[1]):
            dW[:, j] += p[j] * X[i]
    return loss / N + reg * np.sum(W * W), dW / N + 2 * reg * W


def softmax_loss_vectorized(W, X, y, reg):
    N, scores = X.shape[0], X.dot(W)
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(N), y]).mean() + reg * np.sum(W**2)
    p[np.arange(N), y] -= 1
    return loss, X.T.dot(p) / N + 2 * reg * W


# Fully connected nets


def affine_forward(x, w, b):
    return x.reshape(x.shape[0], -1).dot(w) + b, (x, w, b)


def affine_backward(dout, cache):
    x, w, _ = cache
    rows = x.reshape(x.shape[0], -1)
    return dout.dot(w.T).reshape(x.shape), rows.T.dot(dout), np.sum(dout, axis=0)


def relu_forward(x):
    return np.maximum(0, x), x


def relu_backward(dout, cache):
    dx = dout.copy()
    dx[cache <= 0] = 0
    return dx


def leaky_relu_forward(x, slope=0.01):
    return np.maximum(x, 0) + slope * np.minimum(x, 0), (x, slope)


def leaky_relu_backward(dout, cache):
    x, slope = cache
    return dout * ((x > 0) + slope * (x <= 0))


def sigmoid(x):
    positive = x >= 0
    z = np.zeros_like(x)
    z[positive] = np.exp(-x[positive])
    z[~positive] = np.exp(x[~positive])
    top = np.ones_like(x)
    top[~positive] = z[~positive]
    return top / (1 + z)


def sigmoid_forward(x):
    return 1 / (1 + np.exp(-x)), x


def sigmoid_backward(dout, cache):
    s = 1 / (1 + np.exp(-cache))
    return dout * s * (1 - s)


def tanh_forward(x):
    return np.tanh(x), x


def tanh_backward(dout, cache):
    return dout * (1 - np.tanh(cache) ** 2)


def affine_relu_forward(x, w, b):
    a, fc_cache = L.affine_forward(x, w, b)
    out, relu_cache = L.relu_forward(a)
    return out, (fc_cache, relu_cache)


def affine_relu_backward(dout, cache):
    fc_cache, relu_cache = cache
    return L.affine_backward(L.relu_backward(dout, relu_cache), fc_cache)


def softmax_loss(x, y):
    probs = np.exp(x - np.max(x, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    N = x.shape[0]
    loss = -np.sum(np.log(probs[np.arange(N), y])) / N
    probs[np.arange(N), y] -= 1
    return loss, probs / N


def svm_loss(x, y):
    N, dx = x.shape[0], np.zeros_like(x)
    loss = 0.0
    for i in range(N):
        for j in range(x.shape[1]):
            margin = x[i, j] - x[i, y[i]] + 1
            if j != y[i] and margin > 0:
                loss += margin
                dx[i, j] += 1
                dx[i, y[i]] -= 1
    return loss / N, dx / N


# Update rules


def defaults(config, **options):
    config = {} if config is None else config
    for name, value in options.items():
        config.setdefault(name, value)
    return config


def sgd(w, dw, config=None):
    config = defaults(config, learning_rate=1e-2)
    return w - config["learning_rate"] * dw, config


def sgd_momentum(w, dw, config=None):
    config = defaults(config, learning_rate=1e-2, momentum=0.9)
    v = config.get("velocity", np.zeros_like(w))
    v = config["momentum"] * v - config["learning_rate"] * dw
    config["velocity"] = v
    return w + v, config


def nesterov(w, dw, config=None):
    config = defaults(config, learning_rate=1e-2, momentum=0.9, velocity=np.zeros_like(w))
    before = config["velocity"]
    config["velocity"] = config["momentum"] * before - config["learning_rate"] * dw
    return w - config["momentum"] * before + (1 + config["momentum"]) * config["velocity"], config


def adagrad(w, dw, config=None):
    config = defaults(config, learning_rate=1e-2, epsilon=1e-8, cache=np.zeros_like(w))
    config["cache"] = config["cache"] + dw**2
    return w - config["learning_rate"] * dw / (np.sqrt(config["cache"]) + config["epsilon"]), config


def rmsprop(w, dw, config=None):
    config = defaults(config, learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8, cache=np.zeros_like(w))
    config["cache"] = config["decay_rate"] * config["cache"] + (1 - config["decay_rate"]) * dw**2
    return w - config["learning_rate"] * dw / (np.sqrt(config["cache"]) + config["epsilon"]), config


def adam(w, dw, config=None):
    config = defaults(config, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, t=0)
    config = defaults(config, m=np.zeros_like(w), v=np.zeros_like(w))
    config["t"] += 1
    config["m"] = config["beta1"] * config["m"] + (1 - config["beta1"]) * dw
    config["v"] = config["beta2"] * config["v"] + (1 - config["beta2"]) * dw**2
    mt = config["m"] / (1 - config["beta1"] ** config["t"])
    vt = config["v"] / (1 - config["beta2"] ** config["t"])
    return w - config["learning_rate"] * mt / (np.sqrt(vt) + config["epsilon"]), config


def adamw(w, dw, config=None):
    config = defaults(config, learning_rate=1e-3, weight_decay=1e-2)
    decay = config["learning_rate"] * config["weight_decay"] * w
    next_w, config = adam(w, dw, config)
    return next_w - decay, config


# Initialization


def gaussian(shape, scale=1e-2, rng=np.random, dtype=float):
    return (scale * rng.standard_normal(shape)).astype(dtype)


def sizes(shape):
    window = np.prod(shape[2:]) if len(shape) > 2 else 1
    return (shape[0], shape[1]) if len(shape) == 2 else (shape[1] * window, shape[0] * window)


def xavier(shape, rng=np.random, dtype=float):
    return gaussian(shape, np.sqrt(2 / sum(sizes(shape))), rng, dtype)


def he(shape, rng=np.random, dtype=float):
    return gaussian(shape, np.sqrt(2 / sizes(shape)[0]), rng, dtype)


def orthogonal(shape, gain=1.0, rng=np.random, dtype=float):
    flat = rng.standard_normal(shape).reshape(shape[0], -1)
    q, r = np.linalg.qr(flat if flat.shape[0] >= flat.shape[1] else flat.T)
    q = q * np.sign(np.diag(r))
    return (gain * (q if q.shape == flat.shape else q.T)).reshape(shape).astype(dtype)


# Normalization and dropout


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


def groupnorm_backward(dout, cache):
    x_hat, std, gamma, _ = cache
    dx = standardize_backward((dout * gamma.ravel()).reshape(x_hat.shape), x_hat, std, 1).reshape(dout.shape)
    return dx, np.sum(dout * x_hat.reshape(dout.shape), axis=0), np.sum(dout, axis=0)


def affine_norm_relu_dropout_forward(x, w, b, gamma, beta, normalization, norm_param, dropout_param):
    out, fc = L.affine_forward(x, w, b)
    norms = {"batchnorm": L.batchnorm_forward, "layernorm": L.layernorm_forward, "groupnorm": lu.groupnorm_forward}
    if normalization:
        out, _ = norms[normalization](out, gamma, beta, norm_param)
    out, _ = L.relu_forward(out)
    if dropout_param:
        out, _ = L.dropout_forward(out, dropout_param)
    return out, fc


def affine_norm_relu_dropout_backward(dout, cache):
    normalization, fc, norm, relu, dropout = cache
    if dropout:
        dout = L.dropout_backward(dout, dropout)
    dout, dgamma, dbeta = L.relu_backward(dout, relu), None, None
    norms = {"batchnorm": L.batchnorm_backward, "layernorm": L.layernorm_backward, "groupnorm": lu.groupnorm_backward}
    if normalization:
        dout, dgamma, dbeta = norms[normalization](dout, norm)
    return (*L.affine_backward(dout, fc), dgamma, dbeta)


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


# Convolution


def pairs(conv_param):
    return [
        value if isinstance(value, tuple) else (value, value) for value in (conv_param["stride"], conv_param["pad"])
    ]


def conv_forward_naive(x, w, b, conv_param):
    (sy, sx), (py, px) = pairs(conv_param)
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
    (sy, sx), (py, px) = pairs(conv_param)
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
    height, width, stride = (pool_param[key] for key in ("pool_height", "pool_width", "stride"))
    N, C, H, W = x.shape
    out = np.zeros((N, C, 1 + (H - height) // stride, 1 + (W - width) // stride))
    for i, j in np.ndindex(*out.shape[2:]):
        window = x[:, :, i * stride : i * stride + height, j * stride : j * stride + width]
        out[:, :, i, j] = np.max(window, axis=(2, 3))
    return out, (x, pool_param)


def max_pool_backward_naive(dout, cache):
    x, pool_param = cache[0], cache[-1]
    height, width, stride = (pool_param[key] for key in ("pool_height", "pool_width", "stride"))
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*dout.shape):
        rows, columns = slice(i * stride, i * stride + height), slice(j * stride, j * stride + width)
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
    x_hat = ((groups - mean) / np.sqrt(var + gn_param.get("eps", 1e-5))).reshape(x.shape)
    return gamma * x_hat + beta, x_hat


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
    return L.max_pool_forward_naive(out, pool_param)[0], cache


def conv_relu_pool_backward(dout, cache):
    conv, relu, pool = cache
    return L.conv_backward_naive(L.relu_backward(fast.max_pool_backward_fast(dout, pool), relu), conv)


# Captions: words, RNN, LSTM


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x.dot(Wx) + prev_h.dot(Wh) + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    return da.dot(Wx.T), da.dot(Wh.T), x.T.dot(da), prev_h.T.dot(da), np.sum(da, axis=0)


def rnn_forward(x, h0, Wx, Wh, b):
    h, prev_h = np.zeros((x.shape[0], x.shape[1], h0.shape[1])), h0
    for t in range(x.shape[1]):
        prev_h, _ = R.rnn_step_forward(x[:, t, :], prev_h, Wx, Wh, b)
        h[:, t, :] = prev_h
    return h, None


rnn_forward_naive = rnn_forward


def backward_of(steps, step_backward, dh, x, states):
    """Backpropagation through time: the steps' gradients, `states` of them for what is handed on."""
    dx, carried, total = np.zeros_like(x), [np.zeros_like(dh[:, 0])] * states, []
    for t in reversed(range(x.shape[1])):
        dx[:, t], *rest = step_backward(dh[:, t] + carried[0], *carried[1:], steps[t])
        carried, weights = rest[:states], rest[states:]
        total = [a + b for a, b in zip(total, weights, strict=True)] if total else weights
    return (dx, carried[0], *total)


def rnn_backward_naive(dh, cache):
    return backward_of(cache[-1], R.rnn_step_backward, dh, cache[0], 1)


def rnn_backward(dh, cache):
    x, h, Wx, Wh = cache  # time first
    steps = [(x[t], h[t], Wx, Wh, h[t + 1]) for t in range(len(x))]
    return backward_of(steps, rnn_step_backward, dh, x.transpose(1, 0, 2), 1)


def word_embedding_forward(x, W):
    return W[x, :], (x, W.shape)


def word_embedding_backward(dout, cache):
    x, shape = cache
    dW = np.zeros(shape)
    np.add.at(dW, x, dout)
    return dW


def temporal_affine_forward(x, w, b):
    N, T, D = x.shape
    return x.reshape(N * T, D).dot(w).reshape(N, T, -1) + b, (x, w, b)


def temporal_affine_backward(dout, cache):
    x, w = cache[:2]
    (N, T, D), M = x.shape, w.shape[1]
    rows = dout.reshape(N * T, M)
    return rows.dot(w.T).reshape(N, T, D), rows.T.dot(x.reshape(N * T, D)).T, dout.sum(axis=(0, 1))


def temporal_softmax_loss(x, y, mask, verbose=False):
    N, T, V = x.shape
    flat, words, kept = x.reshape(N * T, V), y.reshape(N * T), mask.reshape(N * T)
    probs = np.exp(flat - np.max(flat, axis=1, keepdims=True))
    probs /= np.sum(probs, axis=1, keepdims=True)
    loss = -np.sum(kept * np.log(probs[np.arange(N * T), words])) / N
    dx = probs.copy()
    dx[np.arange(N * T), words] -= 1
    dx /= N
    dx *= kept[:, None]
    return loss, dx.reshape(N, T, V)


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x.dot(Wx) + prev_h.dot(Wh) + b
    i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    next_c = f * prev_c + i * g
    return o * np.tanh(next_c), next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, np.tanh(next_c))


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, tanh_c = cache
    dc = dnext_c + dnext_h * o * (1 - tanh_c**2)
    gates = [dc * g * i * (1 - i), dc * prev_c * f * (1 - f), dnext_h * tanh_c * o * (1 - o), dc * i * (1 - g**2)]
    da = np.concatenate(gates, axis=1)
    return da.dot(Wx.T), da.dot(Wh.T), dc * f, x.T.dot(da), prev_h.T.dot(da), np.sum(da, axis=0)


def lstm_forward(x, h0, Wx, Wh, b):
    h, prev_h, prev_c = np.zeros((x.shape[0], x.shape[1], h0.shape[1])), h0, np.zeros_like(h0)
    for t in range(x.shape[1]):
        prev_h, prev_c, _ = R.lstm_step_forward(x[:, t, :], prev_h, prev_c, Wx, Wh, b)
        h[:, t, :] = prev_h
    return h, None


lstm_forward_naive = lstm_forward


def lstm_backward_naive(dh, cache):
    return backward_of(cache[-1], R.lstm_step_backward, dh, cache[0], 2)


def lstm_backward(dh, cache):
    x, h, c, tanh_c, gates, Wx, Wh = cache  # time first
    steps = [(x[t], h[t], c[t], Wx, Wh, *np.split(gates[t], 4, axis=1), tanh_c[t]) for t in range(len(x))]
    return backward_of(steps, lstm_step_backward, dh, x.transpose(1, 0, 2), 2)


# Transformer


def positional_encoding(length, dim, dtype=np.float64):
    P = np.zeros((length, dim))
    for i in range(length):
        for j in range(0, dim, 2):
            P[i, j], P[i, j + 1] = np.sin(i * 10000 ** (-j / dim)), np.cos(i * 10000 ** (-j / dim))
    return P.astype(dtype)


def split_heads(x, heads):
    N, S, E = x.shape
    return np.moveaxis(x.reshape(N, S, heads, E // heads), 1, 2)


def join_heads(x):
    N, H, S, d = x.shape
    return np.moveaxis(x, 1, 2).reshape(N, S, H * d)


def attention_forward(q, k, v, mask=None):
    scores = np.matmul(q, k.transpose(0, 1, 3, 2)) / np.sqrt(q.shape[-1])
    if mask is not None:
        scores[:, :, mask == 0] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.matmul(weights, v), (q, k, v, weights)


def attention_backward(dout, cache):
    q, k, v, weights = cache
    dweights = np.matmul(dout, v.transpose(0, 1, 3, 2))
    dscores = weights * (dweights - np.sum(weights * dweights, axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    turned = [part.transpose(0, 1, 3, 2) for part in (dscores, weights)]
    return np.matmul(dscores, k), np.matmul(turned[0], q), np.matmul(turned[1], dout)


def multi_head_attention_forward(query, key, value, params, num_heads, attn_mask=None):
    inputs = zip((query, key, value), "qkv", strict=True)
    heads = [split_heads(x.dot(params[f"W{name}"]) + params[f"b{name}"], num_heads) for x, name in inputs]
    joined = join_heads(attention_forward(*heads, attn_mask)[0])
    return joined.dot(params["Wo"]) + params["bo"], None


def multi_head_attention_backward(dout, cache):
    *projections, attention, out, num_heads = cache
    dx, dWo, dbo = R.temporal_affine_backward(dout, out)
    grads, found = {"Wo": dWo, "bo": dbo}, []
    for name, dhead, projection in zip("qkv", attention_backward(split_heads(dx, num_heads), attention), projections,
                                       strict=True):  # fmt: skip
        dinput, grads[f"W{name}"], grads[f"b{name}"] = R.temporal_affine_backward(join_heads(dhead), projection)
        found.append(dinput)
    return (*found, grads)


def feed_forward_forward(x, params, activation="relu", dropout_param=None):
    hidden = x.dot(params["W1"]) + params["b1"]
    hidden = np.maximum(0, hidden) if activation == "relu" else gelu_forward(hidden)[0]
    if dropout_param:
        hidden = dropout_forward(hidden, dropout_param)[0]
    return hidden.dot(params["W2"]) + params["b2"], None


def feed_forward_backward(dout, cache):
    first, activation, active, dropped, second = cache
    dhidden, dW2, db2 = R.temporal_affine_backward(dout, second)
    dhidden = L.dropout_backward(dhidden, dropped)
    dhidden = dhidden * (active > 0) if activation == "relu" else gelu_backward(dhidden, active)
    dx, dW1, db1 = R.temporal_affine_backward(dhidden, first)
    return dx, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def normalized(x, params, name):
    rows = x.reshape(-1, x.shape[-1])
    return L.layernorm_forward(rows, params[f"{name}.gamma"], params[f"{name}.beta"], {})[0].reshape(x.shape)


def through_norm(dout, norm, name, grads):
    dx, grads[f"{name}.gamma"], grads[f"{name}.beta"] = L.layernorm_backward(dout.reshape(-1, dout.shape[-1]), norm)
    return dx.reshape(dout.shape)


def decoder_layer_forward(x, memory, params, num_heads, attn_mask=None):
    own, cross = T.part(params, "self."), T.part(params, "cross.")
    x = normalized(x + multi_head_attention_forward(x, x, x, own, num_heads, attn_mask)[0], params, "norm1")
    x = normalized(x + multi_head_attention_forward(x, memory, memory, cross, num_heads)[0], params, "norm2")
    return normalized(x + feed_forward_forward(x, params)[0], params, "norm3"), None


def decoder_layer_backward(dout, cache):
    own, norm1, cross, norm2, feed, norm3 = cache
    grads = {}
    dx = through_norm(dout, norm3, "norm3", grads)
    dnew, found = feed_forward_backward(dx, feed)
    grads.update(found)
    dx = through_norm(dx + dnew, norm2, "norm2", grads)
    dquery, dkey, dvalue, found = multi_head_attention_backward(dx, cross)
    grads.update(T.prefixed("cross.", found))
    dmemory = dkey + dvalue
    dx = through_norm(dx + dquery, norm1, "norm1", grads)
    *three, found = multi_head_attention_backward(dx, own)
    grads.update(T.prefixed("self.", found))
    return dx + sum(three), dmemory, grads


def decoder_layer_step(x, memory, params, num_heads, past):
    past["x"] = np.concatenate([past["x"], x], axis=1) if "x" in past else x
    mask = np.tril(np.ones((past["x"].shape[1],) * 2))
    return decoder_layer_forward(past["x"], memory, params, num_heads, mask)[0][:, -1:]


def layer_init(blocks, dim, dim_feedforward, rng, std, dtype):
    params = {}
    for block in blocks:
        for name in "kqvo":
            params[f"{block}W{name}"], params[f"{block}b{name}"] = std * rng.standard_normal((dim, dim)), np.zeros(dim)
    params["W1"], params["b1"] = std * rng.standard_normal((dim, dim_feedforward)), np.zeros(dim_feedforward)
    params["W2"], params["b2"] = std * rng.standard_normal((dim_feedforward, dim)), np.zeros(dim)
    for name in ("norm1", "norm2", "norm3")[: len(blocks) + 1]:
        params[f"{name}.gamma"], params[f"{name}.beta"] = np.ones(dim), np.zeros(dim)
    return {name: value.astype(dtype) for name, value in params.items()}


def decoder_layer_init(dim, dim_feedforward, rng=np.random, std=0.02, dtype=np.float64):
    return layer_init(("self.", "cross."), dim, dim_feedforward, rng, std, dtype)


# Vision transformer


def erf(x):
    return np.array([math.erf(value) for value in x.ravel()], x.dtype).reshape(x.shape)


def gelu_forward(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2))), None


def gelu_backward(dout, cache):
    x, share = cache
    return dout * (share + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))


def split_patches(x, side):
    N, _, H, W = x.shape
    corners = [(i, j) for i in range(0, H, side) for j in range(0, W, side)]
    return np.stack([x[:, :, i : i + side, j : j + side].reshape(N, -1) for i, j in corners], axis=1)


def join_patches(patches, picture, side):
    C, H, W = picture
    x = np.zeros((len(patches), C, H, W), patches.dtype)
    corners = [(i, j) for i in range(0, H, side) for j in range(0, W, side)]
    for p, (i, j) in enumerate(corners):
        x[:, :, i : i + side, j : j + side] = patches[:, p].reshape(-1, C, side, side)
    return x


def patch_embedding_forward(x, w, b, side):
    return split_patches(x, side).dot(w) + b, None


def patch_embedding_backward(dout, cache):
    (patches, w, _, _), picture, side = cache
    dw = np.einsum("npd,npe->de", patches, dout)
    return join_patches(dout.dot(w.T), picture, side), dw, dout.sum(axis=(0, 1))


def encoder_layer_forward(x, params, num_heads, attn_mask=None, dropout_param=None):
    def branch(new):
        return dropout_forward(new, dropout_param)[0] if dropout_param else new

    attended = multi_head_attention_forward(x, x, x, T.part(params, "self."), num_heads, attn_mask)[0]
    x = normalized(x + branch(attended), params, "norm1")
    fed = feed_forward_forward(x, params, "gelu", dropout_param)[0]
    return normalized(x + branch(fed), params, "norm2"), None


def encoder_layer_backward(dout, cache):
    own, dropped1, norm1, feed, dropped2, norm2 = cache
    grads = {}
    dx = through_norm(dout, norm2, "norm2", grads)
    dnew, found = feed_forward_backward(L.dropout_backward(dx, dropped2), feed)
    grads.update(found)
    dx = through_norm(dx + dnew, norm1, "norm1", grads)
    *three, found = multi_head_attention_backward(L.dropout_backward(dx, dropped1), own)
    grads.update(T.prefixed("self.", found))
    return dx + sum(three), grads


def encoder_layer_init(dim, dim_feedforward, rng=np.random, std=0.02, dtype=np.float64):
    return layer_init(("self.",), dim, dim_feedforward, rng, std, dtype)


# Diffusion


def linear_beta_schedule(timesteps):
    first, last = 1000 / timesteps * 0.0001, 1000 / timesteps * 0.02
    return np.array([first + (last - first) * step / (timesteps - 1) for step in range(timesteps)])


def cosine_beta_schedule(timesteps, s=0.008):
    def left(step):
        return np.cos((step / timesteps + s) / (1 + s) * np.pi * 0.5) ** 2

    return np.clip([1 - left(step + 1) / left(step) for step in range(timesteps)], 0, 0.999)


def coefficients(x, t, betas):
    """sqrt(a) and sqrt(1 - a) at each example's step."""
    left = np.array([np.prod(1 - betas[: step + 1]) for step in t]).reshape(-1, 1, 1, 1)
    return np.sqrt(left).astype(x.dtype), np.sqrt(1 - left).astype(x.dtype)


def q_sample(x_start, t, noise, betas):
    signal, sigma = coefficients(x_start, t, betas)
    return signal * x_start + sigma * noise


def predict_start_from_noise(x_t, t, noise, betas):
    signal, sigma = coefficients(x_t, t, betas)
    return x_t / signal - sigma / signal * noise


def predict_noise_from_start(x_t, t, x_start, betas):
    signal, sigma = coefficients(x_t, t, betas)
    return (x_t - signal * x_start) / sigma


def q_posterior(x_start, x_t, t, betas):
    alphas_cumprod = np.cumprod(1 - betas)
    mean, std = np.zeros_like(x_t), np.zeros((len(t), 1, 1, 1), x_t.dtype)
    for n, step in enumerate(t):
        now, before = alphas_cumprod[step], alphas_cumprod[step - 1] if step else 1.0
        mean[n] = betas[step] * np.sqrt(before) / (1 - now) * x_start[n]
        mean[n] += (1 - before) * np.sqrt(1 - betas[step]) / (1 - now) * x_t[n]
        std[n] = np.sqrt(betas[step] * (1 - before) / (1 - now))
    return mean, std


def silu_forward(x):
    return x / (1 + np.exp(-x)), None


def silu_backward(dout, cache):
    x, s = cache
    return dout * (s + x * s * (1 - s))


def upsample_forward(x, factor=2):
    return np.kron(x, np.ones((1, 1, factor, factor), x.dtype)), None


def upsample_backward(dout, cache):
    _, factor = cache
    return sum(dout[:, :, i::factor, j::factor] for i in range(factor) for j in range(factor))


def modulate_forward(x, scale_shift):
    scale, shift = np.split(scale_shift[:, :, None, None], 2, axis=1)
    return x * (scale + 1) + shift, None


def modulate_backward(dout, cache):
    x, factor = cache
    dscale, dshift = np.sum(dout * x, axis=(2, 3)), np.sum(dout, axis=(2, 3))
    return dout * factor, np.hstack([dscale, dshift])


def resnet_block_forward(x, emb, params, G):
    h = silu_forward(L.spatial_groupnorm_forward(x, params["gamma1"], params["beta1"], G, {})[0])[0]
    h = L.conv_forward_naive(h, params["W1"], params["b1"], {"stride": 1, "pad": 1})[0]
    h = L.spatial_groupnorm_forward(h, params["gamma2"], params["beta2"], G, {})[0]
    h = silu_forward(modulate_forward(h, emb.dot(params["We"]) + params["be"])[0])[0]
    h = L.conv_forward_naive(h, params["W2"], params["b2"], {"stride": 1, "pad": 1})[0]
    if "Ws" in params:
        x = L.conv_forward_naive(x, params["Ws"], params["bs"], {"stride": 1, "pad": 0})[0]
    return x + h, None


def resnet_block_backward(dout, cache):
    norm1, silu1, conv1, affine, norm2, modulate, silu2, conv2, shortcut = cache
    grads = {}
    dh, grads["W2"], grads["b2"] = L.conv_backward_naive(dout, conv2)
    dh, dscale_shift = modulate_backward(silu_backward(dh, silu2), modulate)
    demb, grads["We"], grads["be"] = L.affine_backward(dscale_shift, affine)
    dh, grads["gamma2"], grads["beta2"] = L.spatial_groupnorm_backward(dh, norm2)
    dh, grads["W1"], grads["b1"] = L.conv_backward_naive(dh, conv1)
    dx, grads["gamma1"], grads["beta1"] = L.spatial_groupnorm_backward(silu_backward(dh, silu1), norm1)
    if shortcut is None:
        return dx + dout, demb, grads
    dshort, grads["Ws"], grads["bs"] = L.conv_backward_naive(dout, shortcut)
    return dx + dshort, demb, grads


def embed_forward(time, classes, params):
    h = silu_forward(time.dot(params["W1"]) + params["b1"])[0]
    return silu_forward(h.dot(params["W2"]) + params["b2"] + params["classes.W"][classes])[0], None


def embed_backward(dout, cache):
    first, silu1, second, (classes, shape), silu2 = cache
    dsum = silu_backward(dout, silu2)
    table = np.zeros(shape, dout.dtype)
    for n, one in enumerate(classes):
        table[one] += dsum[n]
    dh, dW2, db2 = L.affine_backward(dsum, second)
    dtime, dW1, db1 = L.affine_backward(silu_backward(dh, silu1), first)
    return dtime, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "classes.W": table}


def unet_forward(x, time, classes, params, G):
    def conv(h, name, stride=1):
        return fast.conv_forward_strides(h, params[f"{name}.W"], params[f"{name}.b"], {"stride": stride, "pad": 1})[0]

    def block(h, name):
        return U.resnet_block_forward(h, emb, T.part(params, f"{name}."), G)[0]

    emb = embed_forward(time, classes, T.part(params, "embed."))[0]
    fine = block(conv(x, "first"), "down0")
    kept = [fine]
    for level in range(1, 10):
        if f"half{level}.W" in params:
            kept.append(block(conv(kept[-1], f"half{level - 1}", 2), f"down{level}"))
    h = block(conv(kept[-1], f"half{len(kept) - 1}", 2), "middle")
    while kept:
        h = block(np.concatenate([upsample_forward(h)[0], kept.pop()], axis=1), f"up{len(kept)}")
    h = L.spatial_groupnorm_forward(h, params["last.gamma"], params["last.beta"], G, {})[0]
    return conv(silu_forward(h)[0], "last"), None


def unet_backward(dout, cache, with_dx=True):
    embed, first, down, middle, up, norm, silu, last = cache
    grads, dembs, dkept = {}, [], {}

    def add(prefix, found):
        grads.update({prefix + name: value for name, value in found.items()})

    def conv(dh, name, of_conv):
        dh, dW, db = fast.conv_backward_strides(dh, of_conv)
        add(f"{name}.", {"W": dW, "b": db})
        return dh

    def block(dh, name, of_block):
        dh, demb, found = U.resnet_block_backward(dh, of_block)
        dembs.append(demb)
        add(f"{name}.", found)
        return dh

    dh = silu_backward(conv(dout, "last", last), silu)
    dh, dgamma, dbeta = L.spatial_groupnorm_backward(dh, norm)
    add("last.", {"gamma": dgamma, "beta": dbeta})
    for level in range(len(up)):
        factor, of_block, channels = up[len(up) - 1 - level]
        dh, dkept[level] = np.split(block(dh, f"up{level}", of_block), [-channels], axis=1)
        dh = upsample_backward(dh, factor)
    dh = block(dh, "middle", middle)
    for level in range(len(down) - 1, -1, -1):
        of_block, half = down[level]
        dh = block(conv(dh, f"half{level}", half) + dkept[level], f"down{level}", of_block)
    dx = conv(dh, "first", first)
    dtime, found = embed_backward(sum(dembs), embed)
    add("embed.", found)
    return dx, dtime, grads


# Contrastive learning


def sim(z_i, z_j):
    return np.dot(z_i, z_j) / (np.linalg.norm(z_i) * np.linalg.norm(z_j))


def simclr_loss_naive(out_left, out_right, tau):
    N, out = len(out_left), np.concatenate([out_left, out_right])
    total, dout = 0.0, np.zeros_like(out)
    lengths = np.linalg.norm(out, axis=1)
    for i in range(2 * N):
        positive = i + N if i < N else i - N
        exps = {k: np.exp(sim(out[i], out[k]) / tau) for k in range(2 * N) if k != i}
        total -= np.log(exps[positive] / sum(exps.values()))
        for k, one in exps.items():
            slope = (one / sum(exps.values()) - (k == positive)) / tau / (2 * N)
            cosine = sim(out[i], out[k])
            dout[i] += slope * (out[k] / (lengths[i] * lengths[k]) - cosine * out[i] / lengths[i] ** 2)
            dout[k] += slope * (out[i] / (lengths[i] * lengths[k]) - cosine * out[k] / lengths[k] ** 2)
    return np.asarray(total / (2 * N), out.dtype), dout[:N], dout[N:]


def sim_positive_pairs(out_left, out_right):
    return np.array([[sim(left, right)] for left, right in zip(out_left, out_right, strict=True)])


def compute_sim_matrix(out):
    units = out / np.linalg.norm(out, axis=1, keepdims=True)
    return units.dot(units.T)


def simclr_loss_vectorized(out_left, out_right, tau):
    N, out = len(out_left), np.concatenate([out_left, out_right])
    lengths = np.linalg.norm(out, axis=1, keepdims=True)
    units = out / lengths
    exponential = np.exp(compute_sim_matrix(out) / tau) * (1 - np.eye(2 * N))
    p = exponential / exponential.sum(axis=1, keepdims=True)
    positives = np.roll(np.eye(2 * N), N, axis=0)
    loss = -np.mean(np.log(np.sum(p * positives, axis=1)))
    dsim = (p - positives) / (2 * N) / tau
    dunits = dsim.dot(units) + dsim.T.dot(units)
    dout = (dunits - units * np.sum(units * dunits, axis=1, keepdims=True)) / lengths
    return loss, dout[:N], dout[N:]
