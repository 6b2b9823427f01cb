"""Patches and encoder layers: plain solutions."""

import numpy as np

from comparisons.solutions_captioning import (
    feed_forward_forward,
    multi_head_attention_forward,
    normalized,
)
from comparisons.solutions_normalization import dropout_forward
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


def encoder_layer_forward(x, params, num_heads, attn_mask=None, dropout_param=None):
    def branch(new):
        return dropout_forward(new, dropout_param)[0] if dropout_param else new

    attended = multi_head_attention_forward(x, x, x, T.part(params, "self."), num_heads, attn_mask)[0]
    x = normalized(x + branch(attended), params, "norm1")
    fed = feed_forward_forward(x, params, "gelu", dropout_param)[0]
    return normalized(x + branch(fed), params, "norm2"), None
