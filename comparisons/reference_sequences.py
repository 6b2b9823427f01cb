"""torch's counterpart of words, RNN, LSTM, attention, patches, decoder and encoder layers.

`reference.py` says how the two differ.
"""

from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from comparisons.reference import TorchsNormals, cast, dropout, in_our_layout, without_prefix

# N batch, T S time, D features, E embedding, H hidden units


def temporal_affine(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.linear(x, w.T, b)


def temporal_softmax_loss(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    words = torch.where(mask, y, -100)
    return F.cross_entropy(x.flatten(0, 1), words.flatten(), ignore_index=-100, reduction="sum") / len(x)


def gates(w: Tensor) -> Tensor:
    """The assignment's i, f, o, g along the last axis in torch's order i, f, g, o."""
    i, f, o, g = w.chunk(4, dim=-1)
    return torch.cat([i, f, g, o], dim=-1)


def recurrent(Wx: Tensor, Wh: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """weight_ih, weight_hh, bias_ih, bias_hh."""
    return Wx.T, Wh.T, b, torch.zeros_like(b)


def rnn_step(x: Tensor, h: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> Tensor:
    return torch.rnn_tanh_cell(x, h, *recurrent(Wx, Wh, b))


def rnn(x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> Tensor:
    return torch.rnn_tanh(x, h0[None], recurrent(Wx, Wh, b), True, 1, 0.0, True, False, True)[0]


def lstm_step(x: Tensor, h: Tensor, c: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return torch.lstm_cell(x, (h, c), *recurrent(gates(Wx), gates(Wh), gates(b)))


def lstm(x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> Tensor:
    start = (h0[None], torch.zeros_like(h0)[None])
    return torch.lstm(x, start, recurrent(gates(Wx), gates(Wh), gates(b)), True, 1, 0.0, True, False, True)[0]


def split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, None if mask is None else mask != 0)


@cache
def module(kind: type[nn.Module], *sizes: int, **options: object) -> nn.Module:
    """A module of torch, kept: functional_call gives it its weights, and only the call is to be timed."""
    return kind(*sizes, **options)


def attention_weights(params: dict[str, Tensor], ours: str = "", theirs: str = "") -> dict[str, Tensor]:
    """The parameters of nn.MultiheadAttention, all prefixed by `theirs`, from Wq, Wk, Wv, Wo and their biases."""
    return {
        f"{theirs}in_proj_weight": torch.cat([params[f"{ours}W{name}"].T for name in "qkv"]),
        f"{theirs}in_proj_bias": torch.cat([params[f"{ours}b{name}"] for name in "qkv"]),
        f"{theirs}out_proj.weight": params[f"{ours}Wo"].T,
        f"{theirs}out_proj.bias": params[f"{ours}bo"],
    }


def multi_head_attention(query, key, value, params, num_heads, attn_mask=None) -> Tensor:
    layer = module(nn.MultiheadAttention, query.shape[-1], num_heads, batch_first=True, dtype=query.dtype)
    options = {"need_weights": False, "attn_mask": None if attn_mask is None else attn_mask == 0}
    return functional_call(layer, attention_weights(params), (query, key, value), options)[0]


def feed_forward(x, params, activation: str = "relu", dropout_param: dict | None = None) -> Tensor:
    hidden = {"relu": F.relu, "gelu": F.gelu}[activation](temporal_affine(x, params["W1"], params["b1"]))
    hidden = dropout(hidden, dropout_param) if dropout_param else hidden
    return temporal_affine(hidden, params["W2"], params["b2"])


def layer_weights(params: dict[str, Tensor], blocks: dict[str, str]) -> dict[str, Tensor]:
    """The parameters of torch's encoder or decoder layer, whose attention `blocks` have these names on both sides."""
    weights = {}
    for ours, theirs in blocks.items():
        weights |= attention_weights(params, ours, theirs)
    for k in (1, 2):
        weights |= {f"linear{k}.weight": params[f"W{k}"].T, f"linear{k}.bias": params[f"b{k}"]}
    for k in range(1, len(blocks) + 2):
        gamma, beta = params[f"norm{k}.gamma"], params[f"norm{k}.beta"]
        weights |= {f"norm{k}.weight": gamma, f"norm{k}.bias": beta}
    return weights


def norm_of(x: Tensor, params: dict[str, Tensor], number: int) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], params[f"norm{number}.gamma"], params[f"norm{number}.beta"])


def decoder_layer(x, memory, params, num_heads, attn_mask=None) -> Tensor:
    """nn.TransformerDecoderLayer."""
    weights = layer_weights(params, {"self.": "self_attn.", "cross.": "multihead_attn."})
    sizes = x.shape[-1], num_heads, params["W1"].shape[1]
    layer = module(nn.TransformerDecoderLayer, *sizes, dropout=0, batch_first=True, dtype=x.dtype)
    return functional_call(layer, weights, (x, memory), {"tgt_mask": None if attn_mask is None else attn_mask == 0})


def decoder_layer_step(x, memory, params, num_heads) -> Tensor:
    """What a position-by-position decoder must give: the whole sequence under the causal mask."""
    return decoder_layer(x, memory, params, num_heads, torch.ones(x.shape[1], x.shape[1]).tril())


def positional_encoding(length: int, dim: int, dtype: type) -> Tensor:
    """As complex numbers: position i turns with frequency 10000^(-2k/dim); the imaginary part is the sine."""
    frequencies = torch.logspace(0, -1 + 2 / dim, dim // 2, base=10000.0, dtype=torch.float64)
    turning = torch.polar(torch.ones(1, dtype=torch.float64), torch.arange(length)[:, None] * frequencies)
    return cast(torch.view_as_real(turning).flip(-1).flatten(1), dtype)


def layer_init(blocks: tuple[str, ...], dim: int, dim_feedforward: int, rng: TorchsNormals, std: float, dtype: type):
    """A layer's parameters, drawn in the course's order; norms begin as the identity, like nn.LayerNorm's."""
    torch.manual_seed(rng.seed)
    shapes = {f"{block}.{{}}{name}": (dim, dim) for block in blocks for name in "kqvo"}
    shapes |= {"{}1": (dim, dim_feedforward), "{}2": (dim_feedforward, dim)}
    params = {}
    for name, shape in shapes.items():
        params[name.format("W")] = in_our_layout(lambda w: nn.init.normal_(w, 0, std), shape)
        params[name.format("b")] = torch.zeros(shape[1])
    for k in range(1, len(blocks) + 2):
        norm = nn.LayerNorm(dim)
        params |= {f"norm{k}.gamma": norm.weight, f"norm{k}.beta": norm.bias}
    return {name: cast(value, dtype) for name, value in params.items()}


decoder_layer_init = partial(layer_init, ("self", "cross"))


def split_patches(x: Tensor, side: int) -> Tensor:
    return F.unfold(x, side, stride=side).transpose(1, 2)


def join_patches(patches: Tensor, picture: tuple[int, ...], side: int) -> Tensor:
    return F.fold(patches.transpose(1, 2), picture[1:], side, stride=side)


def patch_embedding(x: Tensor, w: Tensor, b: Tensor, side: int) -> Tensor:
    """A convolution that goes from patch to patch."""
    filters = w.T.unflatten(1, (x.shape[1], side, side))
    return F.conv2d(x, filters, b, stride=side).flatten(2).transpose(1, 2)


def encoder_layer(x, params, num_heads, attn_mask=None, dropout_param=None) -> Tensor:
    """nn.TransformerEncoderLayer; with dropout its steps one by one, since masks are shared one by one."""
    if dropout_param:
        new = multi_head_attention(x, x, x, without_prefix(params, "self."), num_heads, attn_mask)
        x = norm_of(x + dropout(new, dropout_param), params, 1)
        new = feed_forward(x, params, "gelu", dropout_param)
        return norm_of(x + dropout(new, dropout_param), params, 2)
    options = dict(dropout=0, activation="gelu", batch_first=True, dtype=x.dtype)
    layer = module(nn.TransformerEncoderLayer, x.shape[-1], num_heads, params["W1"].shape[1], **options)
    weights = layer_weights(params, {"self.": "self_attn."})
    return functional_call(layer, weights, (x, None if attn_mask is None else attn_mask == 0))


encoder_layer_init = partial(layer_init, ("self",))
