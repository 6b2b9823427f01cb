"""from_scratch's nets beside their torch twins: the same weights, batches and update rule, step by step."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from comparisons import twins
from comparisons.adapters_training import OPTIMIZERS
from comparisons.feeds import VOCABULARY, batches
from comparisons.twins import Twin
from from_scratch import optim
from from_scratch.classifiers.cnn import DeepConvNet, ThreeLayerConvNet
from from_scratch.classifiers.fc_net import FullyConnectedNet, TwoLayerNet
from from_scratch.classifiers.rnn import CaptioningRNN
from from_scratch.classifiers.transformer import CaptioningTransformer


@dataclass(frozen=True)
class Race:
    """A net, its twin, and how both are trained."""

    net: type
    options: dict
    twin: type[Twin]
    rule: str = "adam"
    config: dict | None = None

    def start(self, dtype: type = np.float64, seed: int = 0) -> tuple[object, Twin]:
        """Both, with the same weights: no bias zero, no gain one."""
        rng = np.random.default_rng(seed)
        np.random.seed(seed)  # most nets draw from NumPy's global generator, as in the course
        own = {"rng": rng} if self.net.__name__ == DeepConvNet.__name__ else {}
        net = self.net(**self.options | own)
        values = {name: w if w.ndim > 1 else w + 0.1 * rng.standard_normal(w.shape) for name, w in net.params.items()}
        net.dtype, net.params = dtype, {name: value.astype(dtype) for name, value in values.items()}
        if not getattr(net, "use_dropout", False):
            return net, self.twin(net).take(net.params)
        net.dropout_param["rng"] = np.random.default_rng(seed)
        return net, self.twin(net, np.random.default_rng(seed)).take(net.params)

    @property
    def captions(self) -> bool:
        return not issubclass(self.twin, twins.Classifier)


def race(net: type, twin: type[Twin], options: dict, rule: str = "adam", **config: float) -> Race:
    return Race(net, options | {"dtype": np.float64} if net is not TwoLayerNet else options, twin, rule, config)


def full(normalization: str | None = None, keep: float = 1, **options: object) -> dict:
    common = {"hidden_dims": [25, 20], "reg": 1e-2, "weight_scale": 2e-2}
    return common | {"normalization": normalization, "dropout_keep_ratio": keep} | options


def captioner(**options: object) -> dict:
    return {"word_to_idx": VOCABULARY, "input_dim": 192, "wordvec_dim": 24} | options


TWO = {"hidden_dim": 25, "reg": 1e-2}
CONV = {"num_filters": 4, "filter_size": 5, "hidden_dim": 20, "weight_scale": 3e-2, "reg": 1e-2}
DEEP = {"blocks": ((4,), (6, 6)), "reg": 1e-2}
FC, MOMENTUM = FullyConnectedNet, dict(rule="sgd_momentum", learning_rate=3e-3)
RACES = {
    "TwoLayerNet": race(TwoLayerNet, twins.FullyConnected, TWO, "rmsprop", learning_rate=1e-4),
    "FullyConnectedNet": race(FC, twins.FullyConnected, full()),
    "FullyConnectedNet, batch norm": race(FC, twins.FullyConnected, full("batchnorm"), **MOMENTUM),
    "FullyConnectedNet, layer norm, dropout": race(FC, twins.FullyConnected, full("layernorm", 0.8)),
    "FullyConnectedNet, group norm": race(FC, twins.FullyConnected, full("groupnorm", num_groups=5), **MOMENTUM),
    "FullyConnectedNet, batch norm, dropout": race(FC, twins.FullyConnected, full("batchnorm", 0.8)),
    "ThreeLayerConvNet": race(ThreeLayerConvNet, twins.ThreeLayerConv, CONV),
    "DeepConvNet": race(DeepConvNet, twins.DeepConv, DEEP, **MOMENTUM),
    "CaptioningRNN, rnn": race(CaptioningRNN, twins.Captioning, captioner(hidden_dim=32)),
    "CaptioningRNN, lstm": race(CaptioningRNN, twins.Captioning, captioner(hidden_dim=32, cell_type="lstm")),
    "CaptioningTransformer": race(
        CaptioningTransformer, twins.CaptioningByAttention, captioner(num_heads=4, dim_feedforward=48)
    ),
}


@dataclass(frozen=True)
class Step:
    """Losses, the largest difference of each gradient (as a share of its largest value), seconds."""

    losses: tuple[float, float]
    gradients: dict[str, float]
    seconds: tuple[float, float]


def side_by_side(
    race: Race, net: object, twin: Twin, batches: Iterator[tuple[np.ndarray, np.ndarray]]
) -> Iterator[Step]:
    """Train both on the same batches; the gradients of each step are compared too.

    Raises LookupError if the net leaves out the gradient of a parameter.
    """
    rule, config = getattr(optim, race.rule), race.config or {}
    configs = {name: dict(config) for name in net.params}
    optimizer = OPTIMIZERS[race.rule]([p for p in twin.parameters() if p.requires_grad], config)
    for X, y in batches:
        X = X.astype(net.dtype)
        start = time.perf_counter()
        loss, grads = net.loss(X, y)
        if grads.keys() != net.params.keys():
            raise LookupError(f"gradients and parameters differ: {', '.join(grads.keys() ^ net.params.keys())}")
        for name, w in net.params.items():
            net.params[name], configs[name] = rule(w, grads[name], configs[name])
        middle = time.perf_counter()
        optimizer.zero_grad()
        their_loss = twin(torch.from_numpy(X), torch.from_numpy(y))
        their_loss.backward()
        their_grads = {name: value.copy() for name, value in twin.gradients().items()}
        optimizer.step()
        seconds = middle - start, time.perf_counter() - middle
        yield Step((float(loss), their_loss.item()), furthest(grads, their_grads), seconds)


def relative(step: Step) -> float:
    """|by hand - by torch| / |by torch| of the losses."""
    ours, theirs = step.losses
    return abs(ours - theirs) / abs(theirs)


def summary(name: str, dtype: type, steps: list[Step]) -> dict:
    """How far the two sides were apart: at the first step, and at the worst."""
    milliseconds = 1e3 * np.median([step.seconds for step in steps], axis=0)
    return {
        "net": name,
        "dtype": np.dtype(dtype).name,
        "steps": len(steps),
        "losses": (steps[0].losses[0], steps[-1].losses[0]),
        "first gradient": max(steps[0].gradients.values()),
        "gradient": max(max(step.gradients.values()) for step in steps),
        "loss": max(map(relative, steps)),
        "milliseconds": tuple(milliseconds.tolist()),
    }


def worst_difference(race: Race, steps: int = 3) -> tuple[str, float]:
    """What is furthest from torch in the first steps, the loss or a gradient, and by how much."""
    try:
        found = list(side_by_side(race, *race.start(), batches(race.captions, steps)))
    except LookupError:  # a gradient is missing
        return "a gradient", np.inf
    differences = [item for step in found for item in [("loss", relative(step)), *step.gradients.items()]]
    return max(differences, key=lambda item: item[1])


def furthest(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, float]:
    """max |ours - theirs| of each array as a share of torch's largest there.

    Rounding noise, in gradients that vanish by the mathematics, is measured against the net's largest gradient.
    """
    largest = {name: np.abs(value).max() for name, value in theirs.items()}
    net = max(largest.values())
    noise = 1000 * np.finfo(next(iter(theirs.values())).dtype).eps * net
    scale = {name: value if value > noise else net for name, value in largest.items()}
    return {name: float(np.abs(ours[name] - theirs[name]).max() / scale[name]) for name in theirs}
