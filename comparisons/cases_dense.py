"""Cases of the notebooks FullyConnectedNets, BatchNormalization and Dropout; update rules and initialisers."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional as F

from comparisons import adapters
from comparisons.adapters import TorchsMask
from comparisons.adapters_training import (
    TorchsNormals,
    adagrad,
    adam,
    adamw,
    initialiser,
    momentum,
    nesterov,
    rmsprop,
    trajectory,
)
from comparisons.case import Case
from comparisons.catalogue import averages, given, layer, loss, plain, rule, size, whole
from from_scratch.normalization import standardise

BATCH = dict(sizes={"N": 11}, requires=lambda s: s.N > 1)  # torch takes no batch of one; two leave hardly a gradient
AFFINE = dict(x="N D", w="D M", b="M")
NORM = dict(x="N D", gamma="D", beta="D")
ROWS = dict(x="N D", axis=given(1), eps=given(1e-3))

FULLY_CONNECTED = [
    layer("affine_{}", adapters.affine, x="N C H W", w="C*H*W M", b="M"),
    layer("relu_{}", F.relu, x="N C H W"),
    layer("leaky_relu_{}", F.leaky_relu, x="N C H W", slope=given(0.2)),
    layer("sigmoid_{}", torch.sigmoid, x="N D"),
    layer("tanh_{}", torch.tanh, x="N D"),
    layer("affine_relu_{}", lambda *a: F.relu(adapters.affine(*a)), x="N C H W", w="C*H*W M", b="M"),
    loss("softmax_loss", F.cross_entropy, x="N C", y=whole("C", "N"), sizes={"N": 11}),
    loss("svm_loss", adapters.svm_loss, x="N C", y=whole("C", "N"), sizes={"N": 11}),
]


def rules(name: str, kind: type, options: Callable, states: dict, rate: float = 1e-2, config: dict | None = None):
    """Two cases of a rule: as it comes, and with every option changed, rates that vary and weight decay."""
    theirs, arguments = trajectory(kind, options, states, rate), dict(w="D M", gradients="100 D M")
    fixed = dict(rates=given([None] * 100), decay=given(0.0), config=lambda s, rng: {})
    waves = [0.1 * rate * (2 + np.cos(step / 7)) for step in range(100)]
    decay = 0.0 if name == "adamw" else 0.3  # its own decay is an option of its config
    varied = dict(rates=given(waves), decay=given(decay), config=lambda s, rng: dict(config or {}))
    return [
        rule(name, theirs, "defaults", **arguments, **fixed),
        rule(name, theirs, "rates vary" + ", L2" * bool(decay), **arguments, **varied),
    ]


# Epsilons as large as this tell whether they stand inside or outside of the root.
VELOCITY, BETAS = {"velocity": "momentum_buffer"}, {"beta1": 0.8, "beta2": 0.95, "epsilon": 0.1}
UPDATE_RULES = [
    *rules("sgd", optim.SGD, lambda config: {}, {}),
    *rules("sgd_momentum", optim.SGD, momentum, VELOCITY, config={"momentum": 0.7}),
    *rules("nesterov", optim.SGD, nesterov, VELOCITY, config={"momentum": 0.7}),
    *rules("adagrad", optim.Adagrad, adagrad, {"cache": "sum"}, config={"epsilon": 0.1}),
    *rules("rmsprop", optim.RMSprop, rmsprop, {"cache": "square_avg"}, config={"decay_rate": 0.8, "epsilon": 0.1}),
    *rules("adam", optim.Adam, adam, {"m": "exp_avg", "v": "exp_avg_sq"}, 1e-3, BETAS),
    *rules("adamw", optim.AdamW, adamw, {"m": "exp_avg", "v": "exp_avg_sq"}, 1e-3, BETAS | {"weight_decay": 0.3}),
]

AS_TORCH = dict(rng=lambda s, rng: TorchsNormals(3), dtype=size("dtype"))
MATRIX, FILTERS = dict(shape=size("(D, M)")), dict(shape=size("(F, C, HH, WW)"))
normal, orthogonal = initialiser(lambda w, std: nn.init.normal_(w, 0, std)), initialiser(nn.init.orthogonal_)
xavier, he = initialiser(nn.init.xavier_normal_), initialiser(lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"))
INITIALISERS = [
    plain("gaussian", normal, **MATRIX, scale=given(0.05), **AS_TORCH),
    plain("xavier", xavier, **MATRIX, **AS_TORCH),
    plain("xavier", xavier, note="filters", **FILTERS, **AS_TORCH),
    plain("he", he, **MATRIX, **AS_TORCH),
    plain("he", he, note="filters", **FILTERS, **AS_TORCH),
    plain("orthogonal", orthogonal, note="wide", **MATRIX, gain=given(1.7), **AS_TORCH),
    plain("orthogonal", orthogonal, note="tall", shape=size("(M, D)"), gain=given(1.7), **AS_TORCH),
    plain("orthogonal", orthogonal, note="filters", **FILTERS, gain=given(1.7), **AS_TORCH),
]


def dropping(mode: str = "train", keep: float = 0.7) -> Callable:
    """Dropout's options; NumPy's layer gets torch's mask by way of its generator."""
    return lambda s, rng: {"p": keep, "mode": mode, "rng": TorchsMask(7, keep, s.dtype)}


def sandwich(note: str, normalization: str | None, dropout_param: Callable, **options: object) -> Case:
    """affine - norm - ReLU - dropout."""
    scale = dict(gamma="M", beta="M") if normalization else dict(gamma=given(None), beta=given(None))
    norms = {"batchnorm": averages("M", "train"), "layernorm": given({"eps": 1e-3}), "groupnorm": grouped}
    norm_param = norms.get(normalization, given(None))
    rest = dict(normalization=given(normalization), norm_param=norm_param, dropout_param=dropout_param)
    theirs = adapters.affine_norm_relu_dropout
    return layer("affine_norm_relu_dropout_{}", theirs, note=note, **AFFINE, **scale, **rest, **options)


def through_standardise(backward: Callable, dx_hat: np.ndarray, x: np.ndarray, axis: int, eps: float) -> np.ndarray:
    return backward(dx_hat, *standardise(x, axis, eps)[:2], axis)


def several_batches(forward: Callable, batches: np.ndarray, gamma: np.ndarray, beta: np.ndarray, bn_param: dict):
    for x in batches:
        out, _ = forward(x, gamma, beta, bn_param)
    return out, bn_param["running_mean"], bn_param["running_var"]


def grouped(s: object, rng: object) -> dict:
    return {"G": s.G, "eps": 1e-3}


def defaults(s: object, rng: object) -> dict:
    return {"mode": "train"}


GROUPS = dict(ranges=dict(G=(1, 3), K=(1, 3)), requires=lambda s: s.N * s.K > 1)  # torch takes no group of one number
IN_GROUPS = dict(sizes={"M": 6}, ranges={"M": (6, 6), "G": (1, 3)}, requires=lambda s: s.M % s.G == 0)
TRAIN, TEST = dict(bn_param=averages("D", "train")), dict(bn_param=averages("D", "test"))
RUNNING, BATCHES = ("out", "running_mean", "running_var"), dict(x="7 N D", gamma="D", beta="D", bn_param=defaults)
BATCH_NORMALIZATION = [
    plain("standardise", adapters.standardise, outputs=("x_hat", "std", "mean", "var"), **ROWS),
    plain("standardise_backward", adapters.standardise_backward, dx_hat="N D", **ROWS, call=through_standardise),
    layer("batchnorm_{}", adapters.batchnorm, **NORM, **TRAIN, **BATCH),
    layer("batchnorm_{}", adapters.batchnorm, note="defaults", **NORM, bn_param=defaults, **BATCH),
    layer("batchnorm_{}", adapters.batchnorm, "backward_alt", note="backward_alt", **NORM, **TRAIN, **BATCH),
    layer("batchnorm_{}", adapters.batchnorm, None, note="test mode", **NORM, **TEST),
    plain("batchnorm_forward", adapters.running_averages, note="7 batches", outputs=RUNNING, **BATCHES, **BATCH,
          call=several_batches),
    layer("layernorm_{}", adapters.layernorm, **NORM, ln_param=given({"eps": 1e-3})),
    layer("layernorm_{}", adapters.layernorm, note="defaults", **NORM, ln_param=given({})),
    layer("groupnorm_{}", adapters.rows_groupnorm, x="N G*K", gamma="G*K", beta="G*K", gn_param=grouped, **GROUPS),
    sandwich("no norm", None, given(None)),
    sandwich("batch norm", "batchnorm", given(None), vanishing=("db",), **BATCH),  # batch norm takes b away again
    sandwich("layer norm, dropout", "layernorm", dropping()),
    sandwich("group norm, dropout", "groupnorm", dropping(), **IN_GROUPS),
]  # fmt: skip

DROPOUT = [
    layer("dropout_{}", adapters.dropout, x="N C H W", dropout_param=dropping()),
    layer("dropout_{}", adapters.dropout, note="keeping 0.3", x="N C H W", dropout_param=dropping(keep=0.3)),
    layer("dropout_{}", adapters.dropout, note="test mode", x="N C H W", dropout_param=dropping("test")),
]
