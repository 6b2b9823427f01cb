"""Nearest neighbors, linear classifiers, fully connected nets, update rules: plain solutions."""

import math

import numpy as np

from from_scratch import layers as L

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


def tanh_backward(dout, cache):
    return dout * (1 - np.tanh(cache) ** 2)


def erf(x):
    return np.array([math.erf(value) for value in x.ravel()], x.dtype).reshape(x.shape)


def gelu_forward(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2))), None


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
