"""Attention, its heads, and the positions that it cannot see by itself; gradients by hand.

N batch, S queries, T keys, E embedding, H heads of d = E/H. Parameters are dicts: Wq, Wk, Wv, Wo (E, E) and bq, bk, bv,
bo (E,); a gradient has the name of its parameter.
"""

import numpy as np

from from_scratch.checks import floats, shape
from from_scratch.temporal import temporal_affine_backward, temporal_affine_forward

Params = dict[str, np.ndarray]


def positional_encoding(length: int, dim: int, dtype: type = np.float64) -> np.ndarray:
    """Sines and cosines that tell positions apart: (length, dim).

    P[i, j] = sin(i·10000^(-j/dim)) for even j, cos(i·10000^(-(j-1)/dim)) for odd j.
    Raises ValueError for an odd dim. Source: Vaswani et al., Attention is all you need (2017), 3.5.
    """
    if dim % 2:
        raise ValueError(f"dim must be even, not {dim}")
    angles = np.arange(length)[:, None] * 10000.0 ** (-np.arange(0, dim, 2) / dim)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, dim).astype(dtype)


def split_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """(N, T, E) -> (N, H, T, E/H)."""
    N, T, E = x.shape
    return x.reshape(N, T, heads, E // heads).transpose(0, 2, 1, 3)


def join_heads(x: np.ndarray) -> np.ndarray:
    """(N, H, T, d) -> (N, T, H·d): undoes `split_heads`."""
    N, H, T, d = x.shape
    return x.transpose(0, 2, 1, 3).reshape(N, T, H * d)


def attention_forward(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, tuple]:
    """Scaled dot-product attention, in each head by itself.

    out = softmax(q·kᵀ/√d)·v; q (N, H, S, d), k and v (N, H, T, d) -> (N, H, S, d). Where mask (S, T) is 0, a query
    does not see the key. Raises ValueError for a mask of another shape or with a query that sees nothing.
    Source: Vaswani et al. (2017), 3.2.1.
    """
    for name, value in (("q", q), ("k", k), ("v", v)):
        floats(name, value, 4)
    scores = q @ k.swapaxes(-1, -2) * q.dtype.type(q.shape[-1] ** -0.5)
    if mask is not None:
        mask = np.asarray(mask) != 0
        if mask.shape != scores.shape[-2:]:
            raise ValueError(f"mask must have the shape {scores.shape[-2:]} of queries and keys, not {mask.shape}")
        if not mask.any(axis=1).all():
            raise ValueError(f"mask of {mask.shape} must leave each query at least one key")
        scores = np.where(mask, scores, scores.dtype.type(-np.inf))
    scores -= scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores, out=scores)
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights @ v, (q, k, v, weights)


def attention_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `attention_forward`: dq, dk, dv.

    With weights p and dp = dout·vᵀ: ds = p·(dp - Σ dp·p)/√d; blocked places have p = 0 and so pass nothing.
    """
    q, k, v, weights = cache
    shape("dout", dout, q.shape, "of out")
    dv = weights.swapaxes(-1, -2) @ dout
    dweights = dout @ v.swapaxes(-1, -2)
    dscores = weights * (dweights - (dweights * weights).sum(axis=-1, keepdims=True))
    dscores *= q.dtype.type(q.shape[-1] ** -0.5)
    return dscores @ k, dscores.swapaxes(-1, -2) @ q, dv


def multi_head_attention_forward(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    params: Params,
    num_heads: int,
    attn_mask: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple]:
    """Attention in several subspaces at once.

    out = join(attention(split(query·Wq + bq), split(key·Wk + bk), split(value·Wv + bv)))·Wo + bo;
    query (N, S, E), key and value (N, T, E), attn_mask (S, T), 0 where blocked -> out (N, S, E).
    Raises TypeError or ValueError for arrays that do not fit, ValueError where num_heads does not divide E.
    Source: Vaswani et al. (2017), 3.2.2; CS231n, assignment 3.
    """
    floats("query", query, 3)
    floats("key", key, 3)
    N, _, E = query.shape
    shape("key", key, (N, key.shape[1], E), f"to fit query of {query.shape}")
    shape("value", value, key.shape, "of key")
    if num_heads < 1 or E % num_heads:
        raise ValueError(f"num_heads must divide the embedding's {E}, but is {num_heads}")
    q, q_cache = temporal_affine_forward(query, params["Wq"], params["bq"])
    k, k_cache = temporal_affine_forward(key, params["Wk"], params["bk"])
    v, v_cache = temporal_affine_forward(value, params["Wv"], params["bv"])
    heads, cache = attention_forward(*(split_heads(x, num_heads) for x in (q, k, v)), attn_mask)
    out, o_cache = temporal_affine_forward(join_heads(heads), params["Wo"], params["bo"])
    return out, (q_cache, k_cache, v_cache, cache, o_cache, num_heads)


def multi_head_attention_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray, Params]:
    """Gradients of `multi_head_attention_forward`: dquery, dkey, dvalue and a dict for the parameters.

    Where query, key and value are one array, its gradient is the sum of the three.
    """
    *input_caches, cache, o_cache, num_heads = cache
    grads = {}
    djoined, grads["Wo"], grads["bo"] = temporal_affine_backward(dout, o_cache)
    dinputs = []
    for name, dhead, input_cache in zip(
        "qkv", attention_backward(split_heads(djoined, num_heads), cache), input_caches, strict=True
    ):
        dx, grads[f"W{name}"], grads[f"b{name}"] = temporal_affine_backward(join_heads(dhead), input_cache)
        dinputs.append(dx)
    return *dinputs, grads
