"""Cases of the vision transformer: GELU, patches, encoder layers."""

import torch
from torch.nn import functional as F

from comparisons import reference_vision as reference
from comparisons.case import Case
from comparisons.cases_captioning import attention_params, feed_forward_params, mask
from comparisons.cases_dense import dropping
from comparisons.reference import TorchsNormals
from comparisons.reference_captioning import feed_forward as torchs_feed_forward
from from_scratch import activations, patches, transformer_layers


def wide(draw, N, C, H, W):
    """Numbers of both tails."""
    return dict(x=2 * draw(N, C, H, W))


def pictures(draw, N, C, T, S, WW):
    """T rows of S patches, which have the side WW."""
    return dict(x=draw(N, C, T * WW, S * WW))


def feed_forward(draw, N, T, M, heads, d):
    inputs = dict(x=draw(N, T, heads * d), params=feed_forward_params(draw, heads * d, M))
    return inputs | dict(activation="gelu", dropout_param=dropping(draw))


def encoder_layer(draw, N, T, M, heads, d):
    draw.needs(d > 2)  # the norm of two features leaves hardly a gradient
    E = heads * d
    params = attention_params(draw, E, "self.") | feed_forward_params(draw, E, M)
    params |= {f"norm{k}.{name}": draw(E) for k in (1, 2) for name in ("gamma", "beta")}
    return dict(x=draw(N, T, E), params=params, num_heads=heads)


ENCODER_LAYER = (
    transformer_layers.encoder_layer_forward,
    transformer_layers.encoder_layer_backward,
    reference.encoder_layer,
)
KEY_BIAS = dict(vanishing=("dself.bk",))  # it adds the same to all scores of a query: see TRANSFORMER
VISION_TRANSFORMER = [
    Case("erf", activations.erf, None, torch.erf, wide),
    Case("gelu", activations.gelu_forward, activations.gelu_backward, F.gelu, wide),
    Case("split_patches", patches.split_patches, None, reference.split_patches,
         lambda draw, N, C, T, S, WW: pictures(draw, N, C, T, S, WW) | dict(side=WW)),
    Case("join_patches", patches.join_patches, None, reference.join_patches,
         lambda draw, N, C, T, S, WW: dict(
             patches=draw(N, T * S, C * WW * WW), picture=(C, T * WW, S * WW), side=WW)),
    Case("patch_embedding", patches.patch_embedding_forward, patches.patch_embedding_backward,
         reference.patch_embedding, lambda draw, N, C, T, S, WW, M: (
             pictures(draw, N, C, T, S, WW) | dict(w=draw(C * WW * WW, M), b=draw(M), side=WW))),
    Case("feed_forward, GELU, dropout", transformer_layers.feed_forward_forward,
         transformer_layers.feed_forward_backward, torchs_feed_forward, feed_forward),
    Case("encoder_layer", *ENCODER_LAYER, encoder_layer, **KEY_BIAS),
    Case("encoder_layer, mask, dropout", *ENCODER_LAYER, lambda draw, N, T, M, heads, d: (
        encoder_layer(draw, N, T, M, heads, d) | dict(attn_mask=mask(draw, T, T), dropout_param=dropping(draw))),
         **KEY_BIAS),
    Case("encoder_layer_init", transformer_layers.encoder_layer_init, None, reference.encoder_layer_init,
         lambda draw, heads, d, M: dict(dim=heads * d, hidden=M, rng=TorchsNormals(3), std=0.05, dtype=draw.dtype)),
]  # fmt: skip
