"""torch's counterparts of recurrent layers and of the Transformer's; `adapters.py` lists the conventions."""

from functools import cache

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from comparisons.adapters import like


def temporal_affine(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.linear(x, w.T, b)


def temporal_softmax_loss(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    words = torch.where(mask, y, -100)
    return F.cross_entropy(x.flatten(0, 1), words.flatten(), ignore_index=-100, reduction="sum") / len(x)


def gates(w: Tensor) -> Tensor:
    """The assignment's i, f, o, g along the last axis in torch's order i, f, g, o (and back: it is its own inverse)."""
    i, f, o, g = w.chunk(4, dim=-1)
    return torch.cat([i, f, g, o], dim=-1)


def rnn_step(x: Tensor, h: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> Tensor:
    return torch.rnn_tanh_cell(x, h, Wx.T, Wh.T, b, torch.zeros_like(b))


def rnn(x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> Tensor:
    return torch.rnn_tanh(x, h0[None], recurrent(Wx, Wh, b), True, 1, 0.0, True, False, True)[0]


def lstm_step(x: Tensor, h: Tensor, c: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return torch.lstm_cell(x, (h, c), *recurrent(gates(Wx), gates(Wh), gates(b)))


def lstm(x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> Tensor:
    start = (h0[None], torch.zeros_like(h0)[None])
    return torch.lstm(x, start, recurrent(gates(Wx), gates(Wh), gates(b)), True, 1, 0.0, True, False, True)[0]


def recurrent(Wx: Tensor, Wh: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """weight_ih, weight_hh, bias_ih, bias_hh."""
    return Wx.T, Wh.T, b, torch.zeros_like(b)


def split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, None if mask is None else mask != 0)


@cache
def made(kind: type, *sizes: int, **options: object) -> nn.Module:
    """A module of torch, kept: functional_call gives it its weights, and only the call is to be timed."""
    return kind(*sizes, **options)


def attention_weights(params: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """The parameters of nn.MultiheadAttention from Wq, Wk, Wv, Wo and their biases."""
    return {
        f"{prefix}in_proj_weight": torch.cat([params[f"W{name}"].T for name in "qkv"]),
        f"{prefix}in_proj_bias": torch.cat([params[f"b{name}"] for name in "qkv"]),
        f"{prefix}out_proj.weight": params["Wo"].T,
        f"{prefix}out_proj.bias": params["bo"],
    }


def multi_head_attention(query, key, value, params, num_heads, attn_mask=None) -> Tensor:
    module = made(nn.MultiheadAttention, query.shape[-1], num_heads, batch_first=True, dtype=query.dtype)
    options = {"need_weights": False, "attn_mask": None if attn_mask is None else attn_mask == 0}
    return functional_call(module, attention_weights(params), (query, key, value), options)[0]


def feed_forward(x: Tensor, params: dict[str, Tensor]) -> Tensor:
    return temporal_affine(F.relu(temporal_affine(x, params["W1"], params["b1"])), params["W2"], params["b2"])


def decoder_weights(params: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of nn.TransformerDecoderLayer."""
    weights = {}
    for ours, theirs in (("self.", "self_attn."), ("cross.", "multihead_attn.")):
        weights |= attention_weights({k[len(ours) :]: v for k, v in params.items() if k.startswith(ours)}, theirs)
    for k in (1, 2):
        weights |= {f"linear{k}.weight": params[f"W{k}"].T, f"linear{k}.bias": params[f"b{k}"]}
    for k in (1, 2, 3):
        weights |= {f"norm{k}.weight": params[f"norm{k}.gamma"], f"norm{k}.bias": params[f"norm{k}.beta"]}
    return weights


def decoder_layer(x, memory, params, num_heads, attn_mask=None) -> Tensor:
    sizes = x.shape[-1], num_heads, params["W1"].shape[1]
    module = made(nn.TransformerDecoderLayer, *sizes, dropout=0, batch_first=True, dtype=x.dtype)
    mask = None if attn_mask is None else attn_mask == 0
    return functional_call(module, decoder_weights(params), (x, memory), {"tgt_mask": mask})


def decoder_prefix(x, memory, params, num_heads) -> Tensor:
    """What a position-by-position decoder must give: the whole sequence under the causal mask."""
    return decoder_layer(x, memory, params, num_heads, torch.ones(x.shape[1], x.shape[1]).tril())


def positional_encoding(length: int, dim: int, dtype: type) -> Tensor:
    """As complex numbers: position i turns with frequency 10000^(-2k/dim); the imaginary part is the sine."""
    frequencies = torch.logspace(0, -1 + 2 / dim, dim // 2, base=10000.0, dtype=torch.float64)
    turning = torch.polar(torch.ones(1, dtype=torch.float64), torch.arange(length)[:, None] * frequencies)
    return like(dtype, torch.view_as_real(turning).flip(-1).flatten(1))
