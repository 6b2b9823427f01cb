"""Patches and encoder layers: plain solutions."""

import numpy as np

from comparisons.solutions_captioning import (
    feed_forward_backward,
    feed_forward_forward,
    layer_init,
    multi_head_attention_backward,
    multi_head_attention_forward,
    normalized,
    through_norm,
)
from comparisons.solutions_normalization import dropout_forward
from from_scratch import layers as L
from from_scratch import transformer_layers as T


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
