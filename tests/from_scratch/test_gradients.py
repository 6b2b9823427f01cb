"""Every layer once against numerical gradients, and what all layers owe their callers; comparisons proves the rest."""

import numpy as np
import pytest

from from_scratch import (
    attention,
    convolution,
    fast_layers,
    layer_utils,
    layers,
    recurrent,
    transformer_layers,
    unet_layers,
)
from from_scratch.gradient_check import eval_numerical_gradient, eval_numerical_gradient_array
from from_scratch.temporal import temporal_affine_backward, temporal_affine_forward, temporal_softmax_loss

CONV, POOL = {"stride": 1, "pad": 1}, {"pool_height": 2, "pool_width": 2, "stride": 2}
PAIRS, OVERLAPPING = {"stride": (2, 3), "pad": (2, 0)}, {"pool_height": 3, "pool_width": 3, "stride": (1, 2)}
DROPOUT = {"mode": "train", "p": 0.7, "seed": 3}


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape) * 7 + len(shape)).normal(0.3, 1.1, shape)


def with_options(forward, *options):
    """The layer as a function of its arrays; options are copied, for batch norm writes into its own."""
    return lambda *arrays: forward(*arrays, *({**o} if isinstance(o, dict) else o for o in options))


def sandwich(normalization, norm_param=None):
    def forward(x, w, b, gamma=None, beta=None):
        options = normalization, {**norm_param} if norm_param else None, DROPOUT
        return layer_utils.affine_norm_relu_dropout_forward(x, w, b, gamma, beta, *options)

    return forward


def sandwich_backward(dout, cache):
    return tuple(d for d in layer_utils.affine_norm_relu_dropout_backward(dout, cache) if d is not None)


def with_params(forward, backward, names, inputs, *options):
    """Forward and backward of a layer whose parameters are a dict, as functions of arrays."""

    def run(*arrays):
        return forward(*arrays[:inputs], dict(zip(names, arrays[inputs:], strict=True)), *options)

    def run_backward(dout, cache):
        *dinputs, grads = backward(dout, cache)
        return *dinputs, *(grads[name] for name in names)

    return run, run_backward


def pair(module, layer, way=""):
    return tuple(getattr(module, f"{layer}_{direction}{way}") for direction in ("forward", "backward"))


def conv(module, way, options=CONV):
    forward, backward = pair(module, "conv", f"_{way}")
    return with_options(forward, options), backward, (normal(2, 2, 5, 4), normal(F, 2, 2, 3), normal(F))


def pool(module, way, options=POOL):
    forward, backward = pair(module, "max_pool", f"_{way}")
    return with_options(forward, options), backward, (TILED,)


def recurrent_weights(gates):
    return normal(4, gates * 2), normal(2, gates * 2), normal(gates * 2)


def utility(name, *options):
    forward, backward = pair(layer_utils, name)
    return with_options(forward, *options), backward


N, D, M, C, F = 5, 11, 13, 6, 3
ROWS, IMAGES, AFFINE = normal(N, D), normal(2, C, 5, 7), (normal(N, 2, 7), normal(14, M), normal(M))
SCALE, CHANNELS = (normal(D), normal(1, D)[0]), (normal(1, C, 1, 1), normal(1, C, 1, 1) + 1)
CONVOLUTION = IMAGES, normal(F, C, 3, 3), normal(F)
TILED = np.random.default_rng(0).permutation(2 * 3 * 8 * 6).reshape(2, 3, 8, 6) / 10  # steps of 0.1: no ties
STEP, SEQUENCE, TRAIN = (normal(3, 4), normal(3, 2)), (normal(3, 5, 4), normal(3, 2)), {"mode": "train"}
ATTENTION = {f"{kind}{n}": normal(*(6,) * axes) for n in "qkvo" for kind, axes in (("W", 2), ("b", 1))}
FEED_FORWARD = {"W1": normal(6, M), "b1": normal(M), "W2": normal(M, 6), "b2": normal(6)}
DECODER = transformer_layers.decoder_layer_init(4, 5, np.random.default_rng(0), std=0.7)
DECODER = {name: value + 0.1 * normal(*value.shape) for name, value in DECODER.items()}
BLOCK = {
    "gamma1": (1, 4, 1, 1),
    "beta1": (1, 4, 1, 1),
    "W1": (6, 4, 3, 3),
    "b1": (6,),
    "We": (3, 12),
    "be": (12,),
    "gamma2": (1, 6, 1, 1),
    "beta2": (1, 6, 1, 1),
    "W2": (6, 6, 3, 3),
    "b2": (6,),
    "Ws": (6, 4, 1, 1),
    "bs": (6,),
}
BLOCK = {name: 0.3 * normal(*shape) for name, shape in BLOCK.items()}
EMBED = {"W1": normal(2, 3), "b1": normal(3), "W2": normal(3, 3), "b2": normal(3), "classes.W": normal(4, 3)}
MULTI_HEAD = pair(attention, "multi_head_attention")
# name: forward of its arrays, backward, arrays
LAYERS = {
    "affine": (*pair(layers, "affine"), AFFINE),
    "relu": (*pair(layers, "relu"), (IMAGES,)),
    "leaky_relu": (*pair(layers, "leaky_relu"), (IMAGES,)),
    "sigmoid": (*pair(layers, "sigmoid"), (3 * IMAGES,)),
    "silu": (*pair(layers, "silu"), (IMAGES,)),
    "gelu": (*pair(layers, "gelu"), (IMAGES,)),
    "tanh": (*pair(layers, "tanh"), (IMAGES,)),
    "dropout": (with_options(layers.dropout_forward, DROPOUT), layers.dropout_backward, (IMAGES,)),
    "batchnorm": (with_options(layers.batchnorm_forward, TRAIN), layers.batchnorm_backward, (ROWS, *SCALE)),
    "batchnorm_alt": (with_options(layers.batchnorm_forward, TRAIN), layers.batchnorm_backward_alt, (ROWS, *SCALE)),
    "layernorm": (
        with_options(layers.layernorm_forward, {"mode": "ignored"}),
        layers.layernorm_backward,
        (ROWS, *SCALE),
    ),
    "groupnorm": (*utility("groupnorm", {"G": 3}), (normal(N, 12), normal(12), normal(1, 12)[0])),
    "spatial_batchnorm": (
        with_options(layers.spatial_batchnorm_forward, TRAIN),
        layers.spatial_batchnorm_backward,
        (IMAGES, normal(C), normal(C) + 1),
    ),
    "spatial_groupnorm": (
        with_options(layers.spatial_groupnorm_forward, 3, {}),
        layers.spatial_groupnorm_backward,
        (IMAGES, *CHANNELS),
    ),
    "affine_relu": (*utility("affine_relu"), AFFINE),
    "sandwich": (sandwich(None), sandwich_backward, AFFINE),
    "sandwich_batchnorm": (sandwich("batchnorm", TRAIN), sandwich_backward, (*AFFINE, normal(M) + 1, normal(M))),
    "conv_naive": conv(convolution, "naive", PAIRS),
    "conv_fast": conv(fast_layers, "fast"),
    "conv_im2col": conv(fast_layers, "im2col"),
    "conv_strides": conv(fast_layers, "strides"),
    "max_pool_naive": pool(convolution, "naive", OVERLAPPING),
    "max_pool_fast": pool(fast_layers, "fast", OVERLAPPING),
    "max_pool_im2col": pool(fast_layers, "im2col"),
    "max_pool_reshape": pool(fast_layers, "reshape"),
    "conv_relu": (*utility("conv_relu", CONV), CONVOLUTION),
    "conv_bn_relu": (*utility("conv_bn_relu", CONV, TRAIN), (*CONVOLUTION, normal(F) + 1, normal(F))),
    "conv_relu_pool": (*utility("conv_relu_pool", CONV, POOL), CONVOLUTION),
    "rnn_step": (*pair(recurrent, "rnn_step"), (*STEP, *recurrent_weights(1))),
    "rnn_naive": (*pair(recurrent, "rnn", "_naive"), (*SEQUENCE, *recurrent_weights(1))),
    "rnn": (*pair(recurrent, "rnn"), (*SEQUENCE, *recurrent_weights(1))),
    "lstm_step": (*pair(recurrent, "lstm_step"), (*STEP, normal(1, 3, 2)[0], *recurrent_weights(4))),
    "lstm_naive": (*pair(recurrent, "lstm", "_naive"), (*SEQUENCE, *recurrent_weights(4))),
    "lstm": (*pair(recurrent, "lstm"), (*SEQUENCE, *recurrent_weights(4))),
    "temporal_affine": (temporal_affine_forward, temporal_affine_backward, (normal(3, 5, 7), normal(7, 2), normal(2))),
    "attention": (*pair(attention, "attention"), (normal(3, 2, 5, 3), normal(3, 2, 7, 3), normal(1, 3, 2, 7, 3)[0])),
    "multi_head_attention": (
        *with_params(*MULTI_HEAD, ATTENTION, 3, 3, np.tri(5, 7)),
        (normal(3, 5, 6), normal(3, 7, 6), normal(1, 3, 7, 6)[0], *ATTENTION.values()),
    ),
    "feed_forward": (
        *with_params(*pair(transformer_layers, "feed_forward"), FEED_FORWARD, 1),
        (normal(3, 5, 6), *FEED_FORWARD.values()),
    ),
    "upsample": (*pair(unet_layers, "upsample"), (normal(2, 3, 2, 3),)),
    "modulate": (*pair(unet_layers, "modulate"), (normal(2, 3, 2, 3), normal(2, 6))),
    "resnet_block": (
        *with_params(*pair(unet_layers, "resnet_block"), BLOCK, 2, 2),
        (normal(2, 4, 3, 2), normal(2, 3), *BLOCK.values()),
    ),
    "embed": (
        *with_params(
            lambda time, params: unet_layers.embed_forward(time, np.array([3, 0]), params),
            unet_layers.embed_backward,
            EMBED,
            1,
        ),
        (normal(2, 2), *EMBED.values()),
    ),
    "decoder_layer": (
        *with_params(*pair(transformer_layers, "decoder_layer"), DECODER, 2, 2, np.tri(3)),
        (normal(2, 3, 4), normal(2, 2, 4), *DECODER.values()),
    ),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def in_tuple(x) -> tuple:
    return x if isinstance(x, tuple) else (x,)


@every_layer
def test_backward_is_the_numerical_gradient(name):
    forward, backward, arrays = LAYERS[name]
    arrays = [a.copy() for a in arrays]
    *outs, cache = forward(*arrays)
    upstream = [np.random.default_rng(5 + k).normal(size=out.shape) for k, out in enumerate(outs)]
    grads = in_tuple(backward(*upstream, cache))
    for x, grad in zip(arrays, grads, strict=True):
        wanted = sum(
            eval_numerical_gradient_array(lambda _, k=k: forward(*arrays)[k], x, dout)
            for k, dout in enumerate(upstream)
        )
        assert grad.shape == x.shape
        np.testing.assert_allclose(grad, wanted, rtol=1e-6, atol=1e-8)


@every_layer
def test_a_cache_serves_twice_and_a_gradient_may_lie_in_any_order(name):
    forward, backward, arrays = LAYERS[name]
    *outs, cache = forward(*arrays)
    once = in_tuple(backward(*outs, cache))
    again = in_tuple(backward(*map(np.asfortranarray, outs), cache))
    for one, other in zip(once, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@every_layer
def test_wrong_arguments_are_named(name):
    forward, backward, arrays = LAYERS[name]
    *outs, cache = forward(*arrays)
    with pytest.raises(ValueError, match=r"must have the shape .* not \("):
        backward(*(np.ones((*out.shape[:-1], out.shape[-1] + 1)) for out in outs), cache)
    with pytest.raises(TypeError, match=r"must be an array of floats, not an array of int"):
        forward(arrays[0].astype(int), *arrays[1:])


@pytest.mark.parametrize("name", [name for name in LAYERS if "rnn" in name or "lstm" in name])
def test_states_and_weights_that_do_not_fit_are_named(name):
    forward, _, arrays = LAYERS[name]
    for i in range(1, len(arrays)):
        wrong = np.zeros(tuple(size + 1 for size in arrays[i].shape))
        with pytest.raises(ValueError, match=r"must have the shape|axes"):
            forward(*arrays[:i], wrong, *arrays[i + 1 :])


@pytest.mark.parametrize("loss", [layers.softmax_loss, layers.svm_loss])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_losses(loss, dtype):
    x, y = normal(5, 7).astype(dtype), np.array([0, 6, 3, 3, 1])
    value, dx = loss(x, y)
    assert value.dtype == dx.dtype == dtype
    if dtype == np.float64:
        wanted = eval_numerical_gradient(lambda _: loss(x, y)[0], x, verbose=False)
        np.testing.assert_allclose(dx, wanted, rtol=1e-7, atol=1e-9)


def test_temporal_softmax_loss():
    rng = np.random.default_rng(0)
    x, y, mask = normal(3, 5, 11), rng.integers(11, size=(3, 5)), rng.random((3, 5)) < 0.5
    loss, dx = temporal_softmax_loss(x, y, mask)
    wanted = eval_numerical_gradient(lambda _: temporal_softmax_loss(x, y, mask)[0], x, verbose=False)
    np.testing.assert_allclose(dx, wanted, rtol=1e-5, atol=1e-9)
    assert np.isclose(loss, temporal_softmax_loss(x + 1e4, y, mask)[0])
    for arguments, name in (((x, y + 11, mask), "y"), ((x, y[:1], mask), "y"), ((x, y, mask[:, 1:]), "mask")):
        with pytest.raises(ValueError, match=f"{name} must"):
            temporal_softmax_loss(*arguments)
