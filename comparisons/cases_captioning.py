"""Cases of the captioning notebooks: vanilla RNN, LSTM, Transformer."""

from collections.abc import Callable

import numpy as np
import torch

from comparisons import adapters_sequences as adapters
from comparisons.adapters_training import TorchsNormals, decoder_init
from comparisons.catalogue import FUNCTIONS, given, layer, loss, plain, size, whole

RNN, LSTM = dict(Wx="D H", Wh="H H", b="H"), dict(Wx="D 4*H", Wh="H 4*H", b="4*H")
STATES = dict(outputs=("next_h", "next_c"))


def words_kept(s: object, rng: np.random.Generator) -> np.ndarray:
    """A mask (N, T) of words that count; the first does, so that there is something to learn."""
    mask = rng.random((s.N, s.T)) < 0.6
    mask[0, 0] = True
    return mask


RECURRENT = [
    layer("rnn_step_{}", adapters.rnn_step, x="N D", prev_h="N H", **RNN),
    layer("rnn_{}", adapters.rnn, x="N T D", h0="N H", **RNN),
    layer("word_embedding_{}", torch.nn.functional.embedding, x=whole("V", "N T"), W="V D",
          sizes={"V": 7}),
    layer("temporal_affine_{}", adapters.temporal_affine, x="N T D", w="D M", b="M"),
    loss("temporal_softmax_loss", adapters.temporal_softmax_loss, x="N T V", y=whole("V", "N T"), mask=words_kept),
    plain("sigmoid", torch.sigmoid, note="without cache", x="N H"),
    layer("lstm_step_{}", adapters.lstm_step, x="N D", prev_h="N H", prev_c="N H", **LSTM, **STATES),
    layer("lstm_{}", adapters.lstm, x="N T D", h0="N H", **LSTM),
]  # fmt: skip

E = "heads*d"
HEADS = dict(q="N heads S d", k="N heads T d", v="N heads T d")
INPUTS = dict(query=f"N S {E}", key=f"N T {E}", value=f"N T {E}")
ATTENTION = {f"W{name}": f"{E} {E}" for name in "qkvo"} | {f"b{name}": E for name in "qkvo"}
FEED_FORWARD = {"W1": f"{E} M", "b1": "M", "W2": f"M {E}", "b2": E}
NORMS = {f"norm{k}.{name}": E for k in (1, 2, 3) for name in ("gamma", "beta")}
DECODER = {f"{block}.{name}": shape for block in ("self", "cross") for name, shape in ATTENTION.items()}
DECODER |= FEED_FORWARD | NORMS
LAYER = dict(x=f"N T {E}", memory=f"N S {E}", params=DECODER, num_heads=size("heads"))
# A key's bias adds the same to all scores of a query, and softmax takes it away again.
BLIND, BLIND_LAYER = dict(vanishing=("dbk",)), dict(vanishing=("dself.bk", "dcross.bk"))
FEW = dict(ranges=dict(heads=(1, 3), d=(1, 3)))
NORMED = dict(ranges=dict(heads=(1, 3), d=(3, 4)))  # the norm of two features leaves hardly a gradient


def mask(queries: str, keys: str) -> Callable:
    """A random mask, 0 where blocked; every query sees the first key."""

    def drawn(s: object, rng: np.random.Generator) -> np.ndarray:
        seen = rng.random((getattr(s, queries), getattr(s, keys))) < 0.6
        seen[:, 0] = True
        return seen

    return drawn


def causal(s: object, rng: object) -> np.ndarray:
    return np.tri(s.T)


def word_by_word(step: Callable, x: np.ndarray, memory: np.ndarray, params: dict, num_heads: int) -> np.ndarray:
    past = {}
    outs = [step(x[:, t : t + 1], memory, params, num_heads, past) for t in range(x.shape[1])]
    return np.concatenate(outs, axis=1)


def init_values(init: Callable, *arguments: object) -> tuple[np.ndarray, ...]:
    return tuple(init(*arguments).values())


EMBEDDING, AS_TORCH = dict(dim=size("heads*d"), hidden=size("M")), dict(rng=lambda s, rng: TorchsNormals(3))
PARAMETERS = tuple(FUNCTIONS["decoder_layer_init"](2, 2))
TRANSFORMER = [
    plain("positional_encoding", adapters.positional_encoding, length=size("V"), dim=size("2*D"), dtype=size("dtype")),
    plain("split_heads", adapters.split_heads, x=f"N T {E}", heads=size("heads")),
    plain("join_heads", adapters.join_heads, x="N heads T d"),
    layer("attention_{}", adapters.attention, **HEADS, **FEW),
    layer("attention_{}", adapters.attention, note="mask", **HEADS, mask=mask("S", "T"), **FEW),
    layer("multi_head_attention_{}", adapters.multi_head_attention, **INPUTS, params=ATTENTION,
          num_heads=size("heads"), attn_mask=mask("S", "T"), **FEW, **BLIND),
    layer("feed_forward_{}", adapters.feed_forward, x=f"N T {E}", params=FEED_FORWARD, **FEW),
    layer("decoder_layer_{}", adapters.decoder_layer, **LAYER, attn_mask=causal, **NORMED, **BLIND_LAYER),
    plain("decoder_layer_step", adapters.decoder_prefix, **LAYER, **NORMED, call=word_by_word),
    plain("decoder_layer_init", decoder_init, outputs=PARAMETERS, **EMBEDDING, **AS_TORCH, std=given(0.05),
          dtype=size("dtype"), call=init_values),
]  # fmt: skip
