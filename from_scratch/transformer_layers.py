"""The transformer decoder's layers with gradients by hand.

N batch, S queries, T keys, E embedding, H heads of d = E/H. Parameters are dicts, so that layers nest by name:
attention has Wq, Wk, Wv, Wo (E, E) and bq, bk, bv, bo (E,); a gradient has the name of its parameter.
Unlike the course's torch version there is no dropout: it would make the hand-written gradients random.
"""

import numpy as np

from from_scratch.checks import floats, shape
from from_scratch.temporal import temporal_affine_backward, temporal_affine_forward

Params = dict[str, np.ndarray]
NORMS = ("norm1", "norm2", "norm3")


def part(params: Params, prefix: str) -> Params:
    """The entries whose name starts with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in params.items() if name.startswith(prefix)}


def prefixed(prefix: str, grads: Params) -> Params:
    """The same entries with `prefix` before their names: undoes `part`."""
    return {prefix + name: value for name, value in grads.items()}


def positional_encoding(length: int, dim: int, dtype: type = np.float64) -> np.ndarray:
    """Sines and cosines that tell positions apart: (length, dim).

    P[i, j] = sin(i·10000^(-j/dim)) for even j, cos(i·10000^(-(j-1)/dim)) for odd j.
    Raises ValueError for an odd dim. Source: Vaswani et al., Attention is all you need (2017), 3.5.
    """
    if dim % 2:
        raise ValueError(f"dim must be even, not {dim}")
    angles = np.arange(length)[:, None] * 10000.0 ** (-np.arange(0, dim, 2) / dim)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, dim).astype(dtype)


def last_axis_norm_forward(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, tuple]:
    """Layer norm over the last axis.

    x̂ = (x - mean)/√(var + eps), out = γ·x̂ + β; x (..., E), gamma and beta (E,).
    Raises TypeError for arrays that are not floats and ValueError for shapes that do not fit.
    Source: Ba, Kiros, Hinton (2016).
    """
    floats("x", x)
    shape("gamma", gamma, x.shape[-1:], f"to fit x of {x.shape}")
    shape("beta", beta, x.shape[-1:], f"to fit x of {x.shape}")
    centred = x - x.mean(axis=-1, keepdims=True)
    inverse_std = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + float(eps))
    x_hat = centred * inverse_std
    return x_hat * gamma + beta, (x_hat, inverse_std, gamma)


def last_axis_norm_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `last_axis_norm_forward`: dx, dgamma, dbeta.

    dx = (dx̂ - mean(dx̂) - x̂·mean(dx̂·x̂))/std with dx̂ = γ·dout. Raises ValueError unless dout has x's shape.
    """
    x_hat, inverse_std, gamma = cache
    shape("dout", dout, x_hat.shape, "of out")
    before = tuple(range(dout.ndim - 1))
    dx_hat = dout * gamma
    dx = dx_hat - dx_hat.mean(axis=-1, keepdims=True)
    dx -= x_hat * (dx_hat * x_hat).mean(axis=-1, keepdims=True)
    return dx * inverse_std, (dout * x_hat).sum(axis=before), dout.sum(axis=before)


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
        raise ValueError(f"num_heads must divide the embedding's {E}, and is {num_heads}")
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


def feed_forward_forward(x: np.ndarray, params: Params) -> tuple[np.ndarray, tuple]:
    """Two affine layers with a ReLU between, at each position alike.

    out = max(0, x·W1 + b1)·W2 + b2; x (N, T, E), W1 (E, F), W2 (F, E). Raises as `temporal_affine_forward`.
    Source: Vaswani et al. (2017), 3.3.
    """
    hidden, first = temporal_affine_forward(x, params["W1"], params["b1"])
    out, second = temporal_affine_forward(np.maximum(hidden, 0), params["W2"], params["b2"])
    return out, (first, hidden > 0, second)


def feed_forward_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, Params]:
    """Gradients of `feed_forward_forward`: dx and a dict for the parameters."""
    first, active, second = cache
    dhidden, dW2, db2 = temporal_affine_backward(dout, second)
    dx, dW1, db1 = temporal_affine_backward(dhidden * active, first)
    return dx, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def decoder_layer_init(
    dim: int, dim_feedforward: int, rng: object = np.random, std: float = 0.02, dtype: type = np.float64
) -> Params:
    """Parameters of a decoder layer: Gaussian weights of `std`, zero biases, unit norms."""
    params = {}
    for block in ("self.", "cross."):
        for name in "kqvo":  # the course creates the layers in this order
            params |= {f"{block}W{name}": rng.standard_normal((dim, dim)) * std, f"{block}b{name}": np.zeros(dim)}
    params["W1"], params["b1"] = rng.standard_normal((dim, dim_feedforward)) * std, np.zeros(dim_feedforward)
    params["W2"], params["b2"] = rng.standard_normal((dim_feedforward, dim)) * std, np.zeros(dim)
    for norm in NORMS:
        params |= {f"{norm}.gamma": np.ones(dim), f"{norm}.beta": np.zeros(dim)}
    return {name: value.astype(dtype) for name, value in params.items()}


def decoder_layer_forward(
    x: np.ndarray, memory: np.ndarray, params: Params, num_heads: int, attn_mask: np.ndarray | None = None
) -> tuple[np.ndarray, tuple]:
    """A decoder layer: attention to itself, attention to the memory, feed-forward, each added and then normalised.

    x = LN1(x + self(x, x, x, mask)); x = LN2(x + cross(x, memory, memory)); out = LN3(x + feed_forward(x));
    x (N, T, E), memory (N, M, E); parameters as `decoder_layer_init` makes them. Raises as its parts do.
    Source: Vaswani et al. (2017), 3.1; CS231n, assignment 3.
    """
    new, own = multi_head_attention_forward(x, x, x, part(params, "self."), num_heads, attn_mask)
    x, norm1 = _norm(x + new, params, "norm1")
    new, cross = multi_head_attention_forward(x, memory, memory, part(params, "cross."), num_heads)
    x, norm2 = _norm(x + new, params, "norm2")
    new, feed = feed_forward_forward(x, params)
    x, norm3 = _norm(x + new, params, "norm3")
    return x, (own, norm1, cross, norm2, feed, norm3)


def decoder_layer_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, Params]:
    """Gradients of `decoder_layer_forward`: dx, dmemory and a dict for the parameters.

    Each sum x + f(x) passes its gradient on twice: as it is, and through f.
    """
    own, norm1, cross, norm2, feed, norm3 = cache
    grads = {}
    dx = _norm_backward(dout, norm3, "norm3", grads)
    dnew, feed_grads = feed_forward_backward(dx, feed)
    dx = _norm_backward(dx + dnew, norm2, "norm2", grads)
    dquery, dkey, dvalue, cross_grads = multi_head_attention_backward(dx, cross)
    dmemory = dkey + dvalue
    dx = _norm_backward(dx + dquery, norm1, "norm1", grads)
    dquery, dkey, dvalue, own_grads = multi_head_attention_backward(dx, own)
    grads |= feed_grads | prefixed("cross.", cross_grads) | prefixed("self.", own_grads)
    return dx + dquery + dkey + dvalue, dmemory, grads


def decoder_layer_step(x: np.ndarray, memory: np.ndarray, params: Params, num_heads: int, past: dict) -> np.ndarray:
    """`decoder_layer_forward` for the newest position only, x (N, 1, E), in time that grows with the prefix alone.

    `past` starts as {} and keeps this layer's keys and values of earlier positions and of the memory: the causal mask
    leaves them as they were. Mutated, as the running state of a sampler.
    """
    own, cross = part(params, "self."), part(params, "cross.")
    for name in "kv":
        new = split_heads(temporal_affine_forward(x, own[f"W{name}"], own[f"b{name}"])[0], num_heads)
        past[name] = np.concatenate([past[name], new], axis=2) if name in past else new
    if "memory_k" not in past:
        for name in "kv":
            new, _ = temporal_affine_forward(memory, cross[f"W{name}"], cross[f"b{name}"])
            past[f"memory_{name}"] = split_heads(new, num_heads)
    x, _ = _norm(x + _attend(x, past["k"], past["v"], own, num_heads), params, "norm1")
    x, _ = _norm(x + _attend(x, past["memory_k"], past["memory_v"], cross, num_heads), params, "norm2")
    x, _ = _norm(x + feed_forward_forward(x, params)[0], params, "norm3")
    return x


def _attend(x: np.ndarray, k: np.ndarray, v: np.ndarray, params: Params, num_heads: int) -> np.ndarray:
    q, _ = temporal_affine_forward(x, params["Wq"], params["bq"])
    out, _ = attention_forward(split_heads(q, num_heads), k, v)
    return temporal_affine_forward(join_heads(out), params["Wo"], params["bo"])[0]


def _norm(x: np.ndarray, params: Params, name: str) -> tuple[np.ndarray, tuple]:
    return last_axis_norm_forward(x, params[f"{name}.gamma"], params[f"{name}.beta"])


def _norm_backward(dout: np.ndarray, cache: tuple, name: str, grads: Params) -> np.ndarray:
    """dx; the two parameter gradients go into `grads`."""
    dx, grads[f"{name}.gamma"], grads[f"{name}.beta"] = last_axis_norm_backward(dout, cache)
    return dx
