"""torch's counterpart of patches and encoder layers."""

from functools import partial

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from comparisons.reference import dropout, without_prefix
from comparisons.reference_captioning import (
    feed_forward,
    layer_init,
    layer_weights,
    module,
    multi_head_attention,
    norm_of,
)


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
