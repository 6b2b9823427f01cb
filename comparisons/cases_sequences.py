"""Cases of the captioning notebooks (vanilla RNN, LSTM, Transformer) and of the vision transformer."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from comparisons import reference_sequences as reference
from comparisons.case import Case
from comparisons.cases_dense import dropping
from comparisons.reference import TorchsNormals, with_gradient
from from_scratch import activations, attention, patches, recurrent, rnn_layers, transformer_layers


def rnn_weights(draw, D, H, blocks=1):
    return dict(Wx=draw(D, blocks * H), Wh=draw(H, blocks * H), b=draw(blocks * H))


def words_kept(draw, N, T):
    """A mask (N, T) of words that count; the first does, so that there is something to learn."""
    mask = draw.rng.random((N, T)) < 0.6
    mask[0, 0] = True
    return mask


def rnn(draw, N, T, D, H):
    return dict(x=draw(N, T, D), h0=draw(N, H)) | rnn_weights(draw, D, H)


def lstm(draw, N, T, D, H):
    return dict(x=draw(N, T, D), h0=draw(N, H)) | rnn_weights(draw, D, H, 4)


RECURRENT = [
    Case("rnn_step", rnn_layers.rnn_step_forward, rnn_layers.rnn_step_backward, reference.rnn_step,
         lambda draw, N, D, H: dict(x=draw(N, D), prev_h=draw(N, H)) | rnn_weights(draw, D, H)),
    Case("rnn_naive", recurrent.rnn_forward_naive, recurrent.rnn_backward_naive, reference.rnn, rnn),
    Case("rnn", rnn_layers.rnn_forward, rnn_layers.rnn_backward, reference.rnn, rnn),
    Case("word_embedding", rnn_layers.word_embedding_forward, rnn_layers.word_embedding_backward, F.embedding,
         lambda draw, N, T, V, D: dict(x=draw.whole(V, N, T), W=draw(V, D)), sizes={"V": 7}),
    Case("temporal_affine", rnn_layers.temporal_affine_forward, rnn_layers.temporal_affine_backward,
         reference.temporal_affine, lambda draw, N, T, D, M: dict(x=draw(N, T, D), w=draw(D, M), b=draw(M))),
    Case("temporal_softmax_loss", rnn_layers.temporal_softmax_loss, None,
         with_gradient(reference.temporal_softmax_loss),
         lambda draw, N, T, V: dict(x=draw(N, T, V), y=draw.whole(V, N, T), mask=words_kept(draw, N, T)),
         outputs=("loss", "dx")),
    Case("sigmoid, without cache", activations.sigmoid, None, torch.sigmoid,
         lambda draw, N, H: dict(x=draw(N, H))),
    Case("lstm_step", rnn_layers.lstm_step_forward, rnn_layers.lstm_step_backward, reference.lstm_step,
         lambda draw, N, D, H: dict(x=draw(N, D), prev_h=draw(N, H), prev_c=draw(N, H)) | rnn_weights(draw, D, H, 4),
         outputs=("next_h", "next_c")),
    Case("lstm_naive", recurrent.lstm_forward_naive, recurrent.lstm_backward_naive, reference.lstm, lstm),
    Case("lstm", rnn_layers.lstm_forward, rnn_layers.lstm_backward, reference.lstm, lstm),
]  # fmt: skip


def mask(draw, queries, keys):
    """A random mask, 0 where blocked; every query sees the first key."""
    seen = draw.rng.random((queries, keys)) < 0.6
    seen[:, 0] = True
    return seen


def heads_apart(draw, N, S, T, heads, d):
    return dict(q=draw(N, heads, S, d), k=draw(N, heads, T, d), v=draw(N, heads, T, d))


def attention_params(draw, E, prefix=""):
    """Weights of a scale at which no softmax saturates, which would leave hardly a gradient."""
    weights = {f"{prefix}W{name}": draw(E, E) * E**-0.5 for name in "qkvo"}
    return weights | {f"{prefix}b{name}": draw(E) for name in "qkvo"}


def feed_forward_params(draw, E, M):
    return {"W1": draw(E, M), "b1": draw(M), "W2": draw(M, E), "b2": draw(E)}


def multi_head_attention(draw, N, S, T, M, heads, d):
    E = heads * d
    inputs = dict(query=draw(N, S, E), key=draw(N, T, E), value=draw(N, T, E), params=attention_params(draw, E))
    return inputs | dict(num_heads=heads, attn_mask=mask(draw, S, T))


def feed_forward(draw, N, T, M, heads, d):
    return dict(x=draw(N, T, heads * d), params=feed_forward_params(draw, heads * d, M))


def layer_params(draw, E, M, *blocks):
    params = {}
    for block in blocks:
        params |= attention_params(draw, E, block)
    params |= feed_forward_params(draw, E, M)
    return params | {f"norm{k}.{name}": draw(E) for k in range(1, len(blocks) + 2) for name in ("gamma", "beta")}


def decoder_layer(draw, N, S, T, M, heads, d):
    draw.needs(d > 2)  # the norm of two features leaves hardly a gradient
    E = heads * d
    inputs = dict(x=draw(N, T, E), memory=draw(N, S, E))
    return inputs | dict(params=layer_params(draw, E, M, "self.", "cross."), num_heads=heads)


def word_by_word(step: Callable, x: np.ndarray, memory: np.ndarray, params: dict, num_heads: int) -> np.ndarray:
    past = {}
    outs = [step(x[:, t : t + 1], memory, params, num_heads, past) for t in range(x.shape[1])]
    return np.concatenate(outs, axis=1)


# A key's bias adds the same to all scores of a query, and softmax takes it away again.
TRANSFORMER = [
    Case("positional_encoding", attention.positional_encoding, None, reference.positional_encoding,
         lambda draw, V, D: dict(length=V, dim=2 * D, dtype=draw.dtype)),
    Case("split_heads", attention.split_heads, None, reference.split_heads,
         lambda draw, N, T, heads, d: dict(x=draw(N, T, heads * d), heads=heads)),
    Case("join_heads", attention.join_heads, None, reference.join_heads,
         lambda draw, N, T, heads, d: dict(x=draw(N, heads, T, d))),
    Case("attention", attention.attention_forward, attention.attention_backward, reference.attention, heads_apart),
    Case("attention, mask", attention.attention_forward, attention.attention_backward, reference.attention,
         lambda draw, N, S, T, heads, d: heads_apart(draw, N, S, T, heads, d) | dict(mask=mask(draw, S, T))),
    Case("multi_head_attention", attention.multi_head_attention_forward, attention.multi_head_attention_backward,
         reference.multi_head_attention, multi_head_attention, vanishing=("dbk",)),
    Case("feed_forward", transformer_layers.feed_forward_forward, transformer_layers.feed_forward_backward,
         reference.feed_forward, feed_forward),
    Case("decoder_layer", transformer_layers.decoder_layer_forward, transformer_layers.decoder_layer_backward,
         reference.decoder_layer, lambda draw, N, S, T, M, heads, d: (
             decoder_layer(draw, N, S, T, M, heads, d) | dict(attn_mask=np.tri(T, dtype=int))),
         vanishing=("dself.bk", "dcross.bk")),
    Case("decoder_layer_step", transformer_layers.decoder_layer_step, None, reference.decoder_layer_step,
         decoder_layer, call=word_by_word),
    Case("decoder_layer_init", transformer_layers.decoder_layer_init, None, reference.decoder_layer_init,
         lambda draw, heads, d, M: dict(dim=heads * d, hidden=M, rng=TorchsNormals(3), std=0.05, dtype=draw.dtype)),
]  # fmt: skip


def wide(draw, N, C, H, W):
    """Numbers of both tails."""
    return dict(x=2 * draw(N, C, H, W))


def pictures(draw, N, C, T, S, WW):
    """T rows of S patches, which have the side WW."""
    return dict(x=draw(N, C, T * WW, S * WW))


def gelu_feed_forward(draw, N, T, M, heads, d):
    return feed_forward(draw, N, T, M, heads, d) | dict(activation="gelu", dropout_param=dropping(draw))


def encoder_layer(draw, N, T, M, heads, d):
    draw.needs(d > 2)  # the norm of two features leaves hardly a gradient
    E = heads * d
    return dict(x=draw(N, T, E), params=layer_params(draw, E, M, "self."), num_heads=heads)


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
         transformer_layers.feed_forward_backward, reference.feed_forward, gelu_feed_forward),
    Case("encoder_layer", *ENCODER_LAYER, encoder_layer, **KEY_BIAS),
    Case("encoder_layer, mask, dropout", *ENCODER_LAYER, lambda draw, N, T, M, heads, d: (
        encoder_layer(draw, N, T, M, heads, d) | dict(attn_mask=mask(draw, T, T), dropout_param=dropping(draw))),
         **KEY_BIAS),
    Case("encoder_layer_init", transformer_layers.encoder_layer_init, None, reference.encoder_layer_init,
         lambda draw, heads, d, M: dict(dim=heads * d, hidden=M, rng=TorchsNormals(3), std=0.05, dtype=draw.dtype)),
]  # fmt: skip
