"""Words, RNN, LSTM, attention, decoder layers, patches and encoder layers: plain solutions."""

import numpy as np

from comparisons.solutions_dense import gelu_forward, sigmoid
from comparisons.solutions_normalization import dropout_forward
from from_scratch import layers as L
from from_scratch import rnn_layers as R
from from_scratch import transformer_layers as T

# Captions: words, RNN, LSTM


def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x.dot(Wx) + prev_h.dot(Wh) + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)


def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h**2)
    return da.dot(Wx.T), da.dot(Wh.T), x.T.dot(da), prev_h.T.dot(da), np.sum(da, axis=0)


def rnn_forward(x, h0, Wx, Wh, b):
    h, prev_h, steps = np.zeros((x.shape[0], x.shape[1], h0.shape[1])), h0, []
    for t in range(x.shape[1]):
        prev_h, step = R.rnn_step_forward(x[:, t, :], prev_h, Wx, Wh, b)
        h[:, t, :] = prev_h
        steps.append(step)
    return h, (x, steps)


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
    h, prev_h, prev_c, steps = np.zeros((x.shape[0], x.shape[1], h0.shape[1])), h0, np.zeros_like(h0), []
    for t in range(x.shape[1]):
        prev_h, prev_c, step = R.lstm_step_forward(x[:, t, :], prev_h, prev_c, Wx, Wh, b)
        h[:, t, :] = prev_h
        steps.append(step)
    return h, (x, steps)


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


def feed_forward_forward(x, params, activation="relu", dropout_param=None):
    hidden = x.dot(params["W1"]) + params["b1"]
    hidden = np.maximum(0, hidden) if activation == "relu" else gelu_forward(hidden)[0]
    if dropout_param:
        hidden = dropout_forward(hidden, dropout_param)[0]
    return hidden.dot(params["W2"]) + params["b2"], None


def normalized(x, params, name):
    rows = x.reshape(-1, x.shape[-1])
    return L.layernorm_forward(rows, params[f"{name}.gamma"], params[f"{name}.beta"], {})[0].reshape(x.shape)


def decoder_layer_forward(x, memory, params, num_heads, attn_mask=None):
    own, cross = T.part(params, "self."), T.part(params, "cross.")
    x = normalized(x + multi_head_attention_forward(x, x, x, own, num_heads, attn_mask)[0], params, "norm1")
    x = normalized(x + multi_head_attention_forward(x, memory, memory, cross, num_heads)[0], params, "norm2")
    return normalized(x + feed_forward_forward(x, params)[0], params, "norm3"), None


def decoder_layer_step(x, memory, params, num_heads, past):
    past["x"] = np.concatenate([past["x"], x], axis=1) if "x" in past else x
    mask = np.tril(np.ones((past["x"].shape[1],) * 2))
    return decoder_layer_forward(past["x"], memory, params, num_heads, mask)[0][:, -1:]


# Vision transformer


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


def encoder_layer_forward(x, params, num_heads, attn_mask=None, dropout_param=None):
    def branch(new):
        return dropout_forward(new, dropout_param)[0] if dropout_param else new

    attended = multi_head_attention_forward(x, x, x, T.part(params, "self."), num_heads, attn_mask)[0]
    x = normalized(x + branch(attended), params, "norm1")
    fed = feed_forward_forward(x, params, "gelu", dropout_param)[0]
    return normalized(x + branch(fed), params, "norm2"), None
