"""torch modules for from_scratch's nets: the same architecture out of torch's own layers."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from comparisons.adapters_sequences import positional_encoding, temporal_softmax_loss
from comparisons.links import Averaging, Link, Twin, decoder_links, gated, linear, norm, same, turned


class Classifier(Twin):
    """What classifiers share: the loss of the scores, with weight decay on the weights alone."""

    reg: float

    def forward(self, X: Tensor, y: Tensor) -> Tensor:
        loss = F.cross_entropy(self.scores(X), y)
        weights = [module.weight for module in self.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
        return loss + 0.5 * self.reg * sum(weight.square().sum() for weight in weights)


class SharedDropout(nn.Module):
    """Dropout with the masks of the NumPy net: drawn anew from a generator of the same seed."""

    def __init__(self, keep: float, rng: np.random.Generator):
        super().__init__()
        self.keep, self.rng = keep, rng

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (torch.from_numpy(self.rng.random(x.shape) < self.keep).to(x.dtype) / self.keep)


class FullyConnected(Classifier):
    """TwoLayerNet and FullyConnectedNet; `masks` is a generator in the state of the net's own dropout."""

    def __init__(self, net: object, masks: np.random.Generator | None = None):
        super().__init__()
        self.reg, self.links = net.reg, []
        kind, last = getattr(net, "normalization", None), sum(name.startswith("W") for name in net.params)
        self.linears, self.norms = nn.ModuleList(), nn.ModuleList()
        self.dropout = SharedDropout(net.dropout_param["p"], masks) if masks else nn.Identity()
        for k in range(1, last + 1):
            self.linears.append(nn.Linear(*net.params[f"W{k}"].shape))
            self.links += linear(f"linears.{k - 1}", f"W{k}", f"b{k}")
            if kind and k < last:
                self.norms.append(made_norm(kind, len(net.params[f"b{k}"]), net.bn_params[k - 1]))
                self.links += norm(f"norms.{k - 1}", f"gamma{k}", f"beta{k}")

    def scores(self, X: Tensor) -> Tensor:
        x = X.flatten(1)
        for k, layer in enumerate(self.linears[:-1]):
            x = layer(x)
            x = self.dropout(F.relu(self.norms[k](x) if self.norms else x))
        return self.linears[-1](x)


def made_norm(kind: str, features: int, norm_param: dict) -> nn.Module:
    if kind == "groupnorm":
        return nn.GroupNorm(norm_param["G"], features)
    return {"batchnorm": Averaging, "layernorm": nn.LayerNorm}[kind](features)


class ThreeLayerConv(Classifier):
    def __init__(self, net: object):
        super().__init__()
        filters, channels, size, _ = net.params["W1"].shape
        self.reg = net.reg
        self.conv = nn.Conv2d(channels, filters, size, padding=net.conv_param["pad"])
        self.hidden, self.output = (nn.Linear(*net.params[name].shape) for name in ("W2", "W3"))
        self.links = [same("W1", "conv.weight"), same("b1", "conv.bias")]
        self.links += [*linear("hidden", "W2", "b2"), *linear("output", "W3", "b3")]

    def scores(self, X: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv(X)), 2)
        return self.output(F.relu(self.hidden(x.flatten(1))))


class DeepConv(Classifier):
    def __init__(self, net: object):
        super().__init__()
        self.reg, self.links, self.blocks, layer = net.reg, [], nn.Sequential(), 0
        for block in net.blocks:
            for filters in block:
                layer += 1
                channels, size = net.params[f"W{layer}"].shape[1:3]
                conv = nn.Conv2d(channels, filters, size, padding=size // 2, bias=False)
                self.blocks.append(nn.Sequential(conv, Averaging(filters), nn.ReLU()))
                place = f"blocks.{len(self.blocks) - 1}"
                self.links += [same(f"W{layer}", f"{place}.0.weight")]
                self.links += norm(f"{place}.1", f"gamma{layer}", f"beta{layer}")
            self.blocks.append(nn.MaxPool2d(2))
        self.output = nn.Linear(*net.params[f"W{layer + 1}"].shape)
        self.links += linear("output", f"W{layer + 1}", f"b{layer + 1}")

    def scores(self, X: Tensor) -> Tensor:
        return self.output(self.blocks(X).flatten(1))


class Captioning(Twin):
    """CaptioningRNN with either cell."""

    def __init__(self, net: object):
        super().__init__()
        (words, vector), (features, hidden) = net.params["W_embed"].shape, net.params["W_proj"].shape
        self.null = net.word_to_idx["<NULL>"]
        self.project, self.embed = nn.Linear(features, hidden), nn.Embedding(words, vector)
        self.cell = {"rnn": nn.RNN, "lstm": nn.LSTM}[net.cell_type](vector, hidden, batch_first=True)
        self.vocabulary = nn.Linear(hidden, words)
        self.cell.bias_hh_l0.requires_grad_(False).zero_()  # the assignment has one bias
        into = (
            gated if net.cell_type == "lstm" else lambda w, theirs: Link((w,), theirs, turned, lambda w: (turned(w),))
        )
        recurrent = {"Wx": "weight_ih_l0", "Wh": "weight_hh_l0", "b": "bias_ih_l0"}
        self.links = [into(ours, f"cell.{theirs}") for ours, theirs in recurrent.items()]
        self.links += [same("W_embed", "embed.weight"), *linear("project", "W_proj", "b_proj")]
        self.links += linear("vocabulary", "W_vocab", "b_vocab")

    def forward(self, features: Tensor, captions: Tensor) -> Tensor:
        start = self.project(features)[None]
        start = (start, torch.zeros_like(start)) if isinstance(self.cell, nn.LSTM) else start
        h, _ = self.cell(self.embed(captions[:, :-1]), start)
        return temporal_softmax_loss(self.vocabulary(h), captions[:, 1:], captions[:, 1:] != self.null)


class CaptioningByAttention(Twin):
    """CaptioningTransformer."""

    def __init__(self, net: object):
        super().__init__()
        (words, size), (features, _) = net.params["W_embed"].shape, net.params["W_proj"].shape
        self.null = net.word_to_idx["<NULL>"]
        self.project, self.vocabulary = nn.Linear(features, size), nn.Linear(size, words)
        self.embed = nn.Embedding(words, size, padding_idx=self.null)
        sizes = size, net.num_heads, net.params["layer0.W1"].shape[1]
        layers = [nn.TransformerDecoderLayer(*sizes, dropout=0, batch_first=True) for _ in range(net.num_layers)]
        self.layers = nn.ModuleList(layers)
        self.register_buffer("positions", positional_encoding(*net.positions.shape, np.float64))
        self.links = [same("W_embed", "embed.weight"), *linear("project", "W_proj", "b_proj")]
        self.links += linear("vocabulary", "W_vocab", "b_vocab")
        for k in range(net.num_layers):
            self.links += decoder_links(f"layer{k}.", f"layers.{k}.")

    def forward(self, features: Tensor, captions: Tensor) -> Tensor:
        words, targets = captions[:, :-1], captions[:, 1:]
        memory, x = self.project(features)[:, None], self.embed(words) + self.positions[: words.shape[1]]
        blocked = torch.ones(words.shape[1], words.shape[1]).triu(1).bool()
        for layer in self.layers:
            x = layer(x, memory, tgt_mask=blocked)
        loss = temporal_softmax_loss(self.vocabulary(x), targets, targets != self.null)
        return loss / targets.shape[1]
