"""torch's own transformer layers one position at a time, with a KV cache: what both transformer tutorials decode with.

A step computes only what is new: the keys and values of earlier positions are kept. It uses the layers of
nn.TransformerEncoder and nn.TransformerDecoder (`batch_first`) as they are, without dropout, and can show their
attention, which the layers themselves do not give away.
Source: A. Vaswani et al., "Attention Is All You Need", 2017.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

# N sentences, S source and T target positions, E width, h heads of d = E / h

Kept = tuple[Tensor, Tensor]  # keys and values (N, h, T, d) of one layer


def attention_for_training(device: torch.device) -> AbstractContextManager:
    """Inside it torch's layers compute attention in the way that is fastest to train: on a CPU that is by plain matrix
    products, as the fused attention's backward pass is slow there."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


# One layer


def heads(attention: nn.MultiheadAttention, x: Tensor, part: int) -> Tensor:
    """Queries (part 0), keys (1) or values (2) of every head: (N, T, E) -> (N, h, T, d)."""
    rows = slice(part * attention.embed_dim, (part + 1) * attention.embed_dim)
    bias = None if attention.in_proj_bias is None else attention.in_proj_bias[rows]
    return F.linear(x, attention.in_proj_weight[rows], bias).unflatten(2, (attention.num_heads, -1)).transpose(1, 2)


def attend(
    attention: nn.MultiheadAttention, x: Tensor, kept: Kept, seen: Tensor | None, maps: list[Tensor] | None
) -> Tensor:
    """What positions x (N, T, E) take from kept ones where `seen` is True; the weights (N, h, T, S) go to `maps`."""
    query, (keys, values) = heads(attention, x, 0), kept
    if maps is None:
        out = F.scaled_dot_product_attention(query, keys, values, seen)
    else:
        scores = query @ keys.transpose(2, 3) / math.sqrt(query.shape[3])
        maps.append((scores if seen is None else scores.masked_fill(~seen, -torch.inf)).softmax(3))
        out = maps[-1] @ values
    return attention.out_proj(out.transpose(1, 2).flatten(2))


def attend_to_past(
    attention: nn.MultiheadAttention, x: Tensor, past: Kept | None, maps: list[Tensor] | None
) -> tuple[Tensor, Kept]:
    """Causal self-attention of new positions x (N, T, E), which follow those of the past; and what to keep of both."""
    kept = heads(attention, x, 1), heads(attention, x, 2)
    if past is not None:
        kept = tuple(torch.cat(pair, dim=2) for pair in zip(past, kept, strict=True))
    new, total = x.shape[1], kept[0].shape[2]
    seen = None if new == 1 else torch.ones(new, total, dtype=torch.bool, device=x.device).tril(total - new)
    return attend(attention, x, kept, seen, maps), kept


def sublayer(layer: nn.Module, norm: nn.Module, x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The residual connection, with its norm before (as most do today) or behind (as in the paper)."""
    return x + change(norm(x)) if layer.norm_first else norm(x + change(x))


def feed_forward(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: layer.linear2(layer.activation(layer.linear1(x)))


# Stacks of layers


def encoder_step(
    encoder: nn.TransformerEncoder, x: Tensor, past: Sequence[Kept] | None = None, maps: list[Tensor] | None = None
) -> tuple[Tensor, list[Kept]]:
    """New positions x (N, T, E) of a causal encoder, and what its layers keep: give that as `past` of the next step.

    Equals encoder(all positions, mask=causal_mask(...)) at the new ones, in evaluation mode.
    """
    state = []
    for number, layer in enumerate(encoder.layers):
        before = None if past is None else past[number]

        def remember(y: Tensor, layer=layer, before=before) -> Tensor:
            out, kept = attend_to_past(layer.self_attn, y, before, maps)
            state.append(kept)
            return out

        x = sublayer(layer, layer.norm1, x, remember)
        x = sublayer(layer, layer.norm2, x, feed_forward(layer))
    return (x if encoder.norm is None else encoder.norm(x)), state


def decoder_memory(decoder: nn.TransformerDecoder, memory: Tensor, padding: Tensor) -> dict[str, object]:
    """What `decoder_step` needs of the source at every step: keys and values of each layer, and where words stand.

    `memory` (N, S, E) is the encoder's output; `padding` (N, S) is True where there is none.
    """
    attentions = [layer.multihead_attn for layer in decoder.layers]
    kept = [(heads(attention, memory, 1), heads(attention, memory, 2)) for attention in attentions]
    return {"kept": kept, "seen": ~padding[:, None, None]}  # (N, 1, 1, S)


def decoder_step(
    decoder: nn.TransformerDecoder,
    x: Tensor,
    past: Sequence[Kept] | None,
    memory: dict,
    maps: list[Tensor] | None = None,
) -> tuple[Tensor, list[Kept]]:
    """New positions x (N, T, E) of a decoder, and what its layers keep; `maps` takes the attention to the source.

    Equals decoder(all positions, memory, causal mask, padding) at the new ones, in evaluation mode.
    """
    state = []
    for number, layer in enumerate(decoder.layers):
        before, source = None if past is None else past[number], memory["kept"][number]

        def remember(y: Tensor, layer=layer, before=before) -> Tensor:
            out, kept = attend_to_past(layer.self_attn, y, before, None)
            state.append(kept)
            return out

        def look_at_source(y: Tensor, layer=layer, source=source) -> Tensor:
            return attend(layer.multihead_attn, y, source, memory["seen"], maps)

        x = sublayer(layer, layer.norm1, x, remember)
        x = sublayer(layer, layer.norm2, x, look_at_source)
        x = sublayer(layer, layer.norm3, x, feed_forward(layer))
    return (x if decoder.norm is None else decoder.norm(x)), state
