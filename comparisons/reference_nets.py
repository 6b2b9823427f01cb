"""from_scratch's nets in torch, to be read beside them: functions of leaf tensors `p`, which have the names and the
layout of the net's own `params`, so that autograd's gradients are those that the net must give.

`net` is asked for its options, and holds running averages; of its arrays and methods none is used.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from comparisons.reference import (
    affine,
    affine_norm_relu_dropout,
    affine_relu,
    conv_bn_relu,
    conv_relu_pool,
    dropout,
    max_pool,
    without_prefix,
)
from comparisons.reference_generative import cosine_beta_schedule, linear_beta_schedule, q_sample, unet
from comparisons.reference_sequences import (
    decoder_layer,
    encoder_layer,
    lstm,
    patch_embedding,
    positional_encoding,
    rnn,
    temporal_affine,
    temporal_softmax_loss,
)

POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}


def loss_of(scores: Tensor, y: Tensor | None, net: object, p: dict[str, Tensor]) -> Tensor:
    """The loss with weight decay on the weights alone; without labels the scores."""
    if y is None:
        return scores
    decay = sum(w.square().sum() for name, w in p.items() if name.rpartition(".")[2].startswith("W"))
    return F.cross_entropy(scores, y) + 0.5 * net.reg * decay


def same_size(w: Tensor) -> dict:
    """Options of a convolution that keeps the image's size if its filters are odd."""
    return {"stride": 1, "pad": (w.shape[-1] - 1) // 2}


def two_layer_net(net: object, p: dict[str, Tensor], X: Tensor, y: Tensor | None = None) -> Tensor:
    hidden = affine_relu(X, p["W1"], p["b1"])
    return loss_of(affine(hidden, p["W2"], p["b2"]), y, net, p)


def old_two_layer_net(net: object, p: dict[str, Tensor], X: Tensor, y: Tensor | None = None) -> Tensor:
    """Assignment 1's until 2020: its weight decay lacks the 0.5."""
    scores = affine(affine_relu(X, p["W1"], p["b1"]), p["W2"], p["b2"])
    decay = p["W1"].square().sum() + p["W2"].square().sum()
    return scores if y is None else F.cross_entropy(scores, y) + net.reg * decay


def fully_connected_net(net: object, p: dict[str, Tensor], X: Tensor, y: Tensor | None = None) -> Tensor:
    out, last = X, sum(name.startswith("W") for name in p)
    for layer in range(1, last):
        params = [p.get(f"{name}{layer}") for name in ("W", "b", "gamma", "beta")]
        norm_param = net.bn_params[layer - 1] if net.normalization else None
        out = affine_norm_relu_dropout(out, *params, net.normalization, norm_param, net.dropout_param)
    return loss_of(affine(out, p[f"W{last}"], p[f"b{last}"]), y, net, p)


def three_layer_conv_net(net: object, p: dict[str, Tensor], X: Tensor, y: Tensor | None = None) -> Tensor:
    pooled = conv_relu_pool(X, p["W1"], p["b1"], same_size(p["W1"]), POOL)
    hidden = affine_relu(pooled, p["W2"], p["b2"])
    return loss_of(affine(hidden, p["W3"], p["b3"]), y, net, p)


def deep_conv_net(net: object, p: dict[str, Tensor], X: Tensor, y: Tensor | None = None) -> Tensor:
    out, layer = X, 0
    for block in net.blocks:
        for _ in block:
            layer += 1
            w, gamma, beta = (p[f"{name}{layer}"] for name in ("W", "gamma", "beta"))
            out = conv_bn_relu(out, w, None, gamma, beta, same_size(w), net.bn_params[layer - 1])
        out = max_pool(out, POOL)
    return loss_of(affine(out, p[f"W{layer + 1}"], p[f"b{layer + 1}"]), y, net, p)


def vision_transformer(net: object, p: dict[str, Tensor], X: Tensor, y: Tensor | None = None) -> Tensor:
    x = patch_embedding(X, p["W_patch"], p["b_patch"], net.patch_size)
    _, P, E = x.shape
    x = x + p.get("positions", positional_encoding(P, E, np.float64).to(X))
    if net.dropout_param:
        x = dropout(x, net.dropout_param)
    for i in range(net.num_layers):
        x = encoder_layer(x, without_prefix(p, f"layer{i}."), net.num_heads, None, net.dropout_param)
    return loss_of(affine(x.mean(1), p["W_head"], p["b_head"]), y, net, p)


def captioning_rnn(net: object, p: dict[str, Tensor], features: Tensor, captions: Tensor) -> Tensor:
    words, targets = captions[:, :-1], captions[:, 1:]
    h0 = affine(features, p["W_proj"], p["b_proj"])
    recurrence = {"rnn": rnn, "lstm": lstm}[net.cell_type]
    h = recurrence(F.embedding(words, p["W_embed"]), h0, p["Wx"], p["Wh"], p["b"])
    scores = temporal_affine(h, p["W_vocab"], p["b_vocab"])
    return temporal_softmax_loss(scores, targets, targets != net.word_to_idx["<NULL>"])


def captioning_transformer(net: object, p: dict[str, Tensor], features: Tensor, captions: Tensor) -> Tensor:
    words, targets, null = captions[:, :-1], captions[:, 1:], net.word_to_idx["<NULL>"]
    (N, T), (_, E) = words.shape, p["W_embed"].shape
    memory = affine(features, p["W_proj"], p["b_proj"]).reshape(N, 1, E)
    x = F.embedding(words, p["W_embed"], padding_idx=null) + positional_encoding(T, E, np.float64).to(features)
    for i in range(net.num_layers):
        x = decoder_layer(x, memory, without_prefix(p, f"layer{i}."), net.num_heads, torch.ones(T, T).tril())
    scores = temporal_affine(x, p["W_vocab"], p["b_vocab"])
    return temporal_softmax_loss(scores, targets, targets != null) / T


def gaussian_diffusion(net: object, p: dict[str, Tensor], X: Tensor, y: Tensor) -> Tensor:
    """Steps, noise and withheld classes are drawn in the net's order."""
    t, noise = net.rng.choice(net.num_timesteps, len(X)), torch.from_numpy(net.rng.standard_normal(X.shape)).to(X)
    withheld = torch.from_numpy(net.rng.random(len(X))) < net.uncond_prob
    classes = torch.where(withheld, len(p["embed.classes.W"]) - 1, y)
    schedule = {"linear": linear_beta_schedule, "cosine": cosine_beta_schedule}[net.beta_schedule]
    steps, x_start, betas = torch.from_numpy(t), X * 2 - 1, schedule(net.num_timesteps)
    time = positional_encoding(net.num_timesteps, len(p["embed.W1"]), np.float64).to(X)[steps]
    out = unet(q_sample(x_start, steps, noise, betas), time, classes, p, net.model.groups)
    if net.objective == "pred_noise":
        return F.mse_loss(out, noise)
    left = torch.cumprod(1 - betas, dim=0)[steps].reshape(-1, 1, 1, 1)
    return (left / (1 - left) * (out - x_start).square()).mean().to(X)
