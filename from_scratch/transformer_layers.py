"""The transformer decoder's layers with gradients by hand.

N batch, S queries, T keys, E embedding, F hidden. Parameters are dicts, so that layers nest by name; a gradient has the
name of its parameter. Unlike the course's torch version there is no dropout: it would make the gradients random.
"""

import numpy as np

from from_scratch.attention import (
    Params,
    attention_backward,
    attention_forward,
    join_heads,
    multi_head_attention_backward,
    multi_head_attention_forward,
    positional_encoding,
    split_heads,
)
from from_scratch.normalization import layernorm_backward, layernorm_forward
from from_scratch.temporal import temporal_affine_backward, temporal_affine_forward

__all__ = [
    "attention_backward",
    "attention_forward",
    "decoder_layer_backward",
    "decoder_layer_forward",
    "decoder_layer_init",
    "decoder_layer_step",
    "feed_forward_backward",
    "feed_forward_forward",
    "multi_head_attention_backward",
    "multi_head_attention_forward",
    "part",
    "positional_encoding",
    "prefixed",
]
NORMS = ("norm1", "norm2", "norm3")


def part(params: Params, prefix: str) -> Params:
    """The entries whose name starts with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in params.items() if name.startswith(prefix)}


def prefixed(prefix: str, grads: Params) -> Params:
    """The same entries with `prefix` before their names: undoes `part`."""
    return {prefix + name: value for name, value in grads.items()}


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
    """A decoder layer: attention to itself, attention to the memory, feed-forward, each added and then normalized.

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
    """Layer norm of each position."""
    out, cache = layernorm_forward(x.reshape(-1, x.shape[-1]), params[f"{name}.gamma"], params[f"{name}.beta"], {})
    return out.reshape(x.shape), cache


def _norm_backward(dout: np.ndarray, cache: tuple, name: str, grads: Params) -> np.ndarray:
    """dx; the two parameter gradients go into `grads`."""
    rows = dout.reshape(-1, dout.shape[-1])
    dx, grads[f"{name}.gamma"], grads[f"{name}.beta"] = layernorm_backward(rows, cache)
    return dx.reshape(dout.shape)
