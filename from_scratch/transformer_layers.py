"""The layers of a transformer's encoder and decoder with gradients by hand.

N batch, S queries, T keys, E embedding, F hidden. Parameters are dicts, so that layers nest by name; a gradient has the
name of its parameter. Unlike in the course's torch version, the decoder has no dropout; the encoder drops residual
branches and hidden units, but no attention weights.
"""

import numpy as np

from from_scratch.activations import gelu_backward, gelu_forward, relu_backward, relu_forward
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
from from_scratch.checks import choice
from from_scratch.dropout import dropout_backward, dropout_forward
from from_scratch.normalization import layernorm_backward, layernorm_forward
from from_scratch.temporal import temporal_affine_backward, temporal_affine_forward

ACTIVATIONS = {"relu": (relu_forward, relu_backward), "gelu": (gelu_forward, gelu_backward)}


def part(params: Params, prefix: str) -> Params:
    """The entries whose name starts with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in params.items() if name.startswith(prefix)}


def prefixed(prefix: str, grads: Params) -> Params:
    """The same entries with `prefix` before their names: undoes `part`."""
    return {prefix + name: value for name, value in grads.items()}


def feed_forward_forward(
    x: np.ndarray, params: Params, activation: str = "relu", dropout_param: dict | None = None
) -> tuple[np.ndarray, tuple]:
    """Two affine layers with a ReLU or a GELU between, at each position alike.

    out = dropout(activation(x·W1 + b1))·W2 + b2; x (N, T, E), W1 (E, F), W2 (F, E); `activation` 'relu' or 'gelu';
    without `dropout_param` nothing is dropped. Raises as `temporal_affine_forward`, ValueError for another activation.
    Source: Vaswani et al. (2017), 3.3.
    """
    choice("activation", activation, tuple(ACTIVATIONS))
    hidden, first = temporal_affine_forward(x, params["W1"], params["b1"])
    hidden, active = ACTIVATIONS[activation][0](hidden)
    hidden, dropped = _drop(hidden, dropout_param)
    out, second = temporal_affine_forward(hidden, params["W2"], params["b2"])
    return out, (first, activation, active, dropped, second)


def feed_forward_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, Params]:
    """Gradients of `feed_forward_forward`: dx and a dict for the parameters."""
    first, activation, active, dropped, second = cache
    dhidden, dW2, db2 = temporal_affine_backward(dout, second)
    dhidden = ACTIVATIONS[activation][1](dropout_backward(dhidden, dropped), active)
    dx, dW1, db1 = temporal_affine_backward(dhidden, first)
    return dx, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


def encoder_layer_init(
    dim: int, dim_feedforward: int, rng: object = np.random, std: float = 0.02, dtype: type = np.float64
) -> Params:
    """Parameters of an encoder layer: Gaussian weights of `std`, zero biases, unit norms."""
    return _layer_init(("self.",), dim, dim_feedforward, rng, std, dtype)


def encoder_layer_forward(
    x: np.ndarray,
    params: Params,
    num_heads: int,
    attn_mask: np.ndarray | None = None,
    dropout_param: dict | None = None,
) -> tuple[np.ndarray, tuple]:
    """An encoder layer: attention to itself, then feed-forward with GELU, each added and then normalized (post-norm).

    x = LN1(x + dropout(self(x, x, x, mask))); out = LN2(x + dropout(feed_forward(x))); x (N, T, E); parameters as
    `encoder_layer_init` makes them; without `dropout_param` nothing is dropped. Raises as its parts do.
    Source: Vaswani et al. (2017), 3.1; CS231n, assignment 3 (2025).
    """
    new, own = multi_head_attention_forward(x, x, x, part(params, "self."), num_heads, attn_mask)
    new, dropped1 = _drop(new, dropout_param)
    x, norm1 = _norm(x + new, params, "norm1")
    new, feed = feed_forward_forward(x, params, "gelu", dropout_param)
    new, dropped2 = _drop(new, dropout_param)
    x, norm2 = _norm(x + new, params, "norm2")
    return x, (own, dropped1, norm1, feed, dropped2, norm2)


def encoder_layer_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, Params]:
    """Gradients of `encoder_layer_forward`: dx and a dict for the parameters."""
    own, dropped1, norm1, feed, dropped2, norm2 = cache
    grads = {}
    dx = _norm_backward(dout, norm2, "norm2", grads)
    dnew, feed_grads = feed_forward_backward(dropout_backward(dx, dropped2), feed)
    dx = _norm_backward(dx + dnew, norm1, "norm1", grads)
    dquery, dkey, dvalue, own_grads = multi_head_attention_backward(dropout_backward(dx, dropped1), own)
    return dx + dquery + dkey + dvalue, grads | feed_grads | prefixed("self.", own_grads)


def decoder_layer_init(
    dim: int, dim_feedforward: int, rng: object = np.random, std: float = 0.02, dtype: type = np.float64
) -> Params:
    """Parameters of a decoder layer: Gaussian weights of `std`, zero biases, unit norms."""
    return _layer_init(("self.", "cross."), dim, dim_feedforward, rng, std, dtype)


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


def _drop(x: np.ndarray, dropout_param: dict | None) -> tuple[np.ndarray, tuple]:
    """Dropout, or with no options the same x, and a cache for `dropout_backward` either way."""
    return dropout_forward(x, dropout_param) if dropout_param else (x, (dropout_param, None))


def _layer_init(blocks: tuple[str, ...], dim: int, hidden: int, rng: object, std: float, dtype: type) -> Params:
    """Attention for each block, a feed-forward net, and a norm behind each of them."""
    params = {}
    for block in blocks:
        for name in "kqvo":  # the course creates the layers in this order
            params |= {f"{block}W{name}": rng.standard_normal((dim, dim)) * std, f"{block}b{name}": np.zeros(dim)}
    params["W1"], params["b1"] = rng.standard_normal((dim, hidden)) * std, np.zeros(hidden)
    params["W2"], params["b2"] = rng.standard_normal((hidden, dim)) * std, np.zeros(dim)
    for number in range(1, len(blocks) + 2):
        params |= {f"norm{number}.gamma": np.ones(dim), f"norm{number}.beta": np.zeros(dim)}
    return {name: value.astype(dtype) for name, value in params.items()}
