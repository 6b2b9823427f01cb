"""CS231n's own functions by their modules, 2018 to 2026, and the cases that a student's package is held against."""

import inspect
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from comparisons.batches import VOCABULARY
from comparisons.case import Case
from comparisons.cases import CASES
from comparisons.nets import NET_CASES, NetCase
from comparisons.reference import TorchsMask
from comparisons.returns import UnwrittenError, WrongReturnError


def pairs(names: str) -> list[str]:
    """Forward and backward of each."""
    return [f"{name}_{way}" for name in names.split() for way in ("forward", "backward")]


def ways(names: str, endings: str) -> list[str]:
    return [f"{name}_{way}_{ending}" for name in names.split() for ending in endings.split()
            for way in ("forward", "backward")]  # fmt: skip


# What students write, or are given, in each module; nets by their classes, nearest neighbors by their methods.
MODULES = {
    "classifiers/k_nearest_neighbor.py": [
        *(f"compute_distances_{loops}" for loops in ("two_loops", "one_loop", "no_loops")), "predict_labels",
    ],
    "classifiers/linear_svm.py": ["svm_loss_naive", "svm_loss_vectorized"],
    "classifiers/softmax.py": ["softmax_loss_naive", "softmax_loss_vectorized"],
    "classifiers/neural_net.py": ["TwoLayerNet"],
    "layers.py": [
        *pairs("affine relu"), "softmax_loss", "svm_loss", *pairs("batchnorm"), "batchnorm_backward_alt",
        *pairs("layernorm dropout"), *ways("conv max_pool", "naive"), *pairs("spatial_batchnorm spatial_groupnorm"),
    ],
    "layer_utils.py": pairs("affine_relu conv_relu conv_bn_relu conv_relu_pool"),
    "im2col.py": ["get_im2col_indices", "im2col_indices", "col2im_indices"],
    "fast_layers.py": [*ways("conv", "im2col strides fast"), *ways("max_pool", "im2col reshape fast")],
    "optim.py": ["sgd", "sgd_momentum", "nesterov", "adagrad", "rmsprop", "adam"],
    "classifiers/fc_net.py": ["TwoLayerNet", "FullyConnectedNet"],
    "classifiers/cnn.py": ["ThreeLayerConvNet"],
    "rnn_layers.py": [
        *pairs("rnn_step rnn word_embedding temporal_affine"), "temporal_softmax_loss", "sigmoid",
        *pairs("lstm_step lstm"),
    ],
    "classifiers/rnn.py": ["CaptioningRNN"],
    "transformer_layers.py": [],
    "classifiers/transformer.py": [],
}  # fmt: skip
# Not in every year, or nobody's task: nothing is said where they are not.
OPTIONAL = {"svm_loss", "nesterov", "adagrad", "sigmoid", *MODULES["im2col.py"], *MODULES["fast_layers.py"],
            *pairs("affine_relu conv_relu conv_bn_relu conv_relu_pool")}  # fmt: skip
# What the course's blank functions return: zeros, where others return None.
BLANK_ZEROS = {name for file in ("k_nearest_neighbor", "linear_svm", "softmax") for name in
               MODULES[f"classifiers/{file}.py"]}  # fmt: skip
BEYOND = {*(f"{layer}_{way}, pairs" for layer in ("conv", "max_pool") for way in ("naive", "fast")),
          "FullyConnectedNet, group norm"}  # the course has no such options  # fmt: skip


def exact(case: Case) -> dict[str, int]:
    """Sizes into which the windows fit exactly, as the course may assume; its compiled kernels take square ones."""
    sizes = case.all_sizes()
    if "stride" in sizes:
        sizes |= {"WW": sizes["HH"]} if "naive" not in case.name else {}
        for image, window in (("H", "HH"), ("W", "WW")):
            room = sizes[image] + 2 * sizes.get("pad", 0) - sizes[window]
            sizes[image] += -room % sizes["stride"]
    return sizes


def forward_alone(case: Case) -> Case:
    """The same without the backward, which may still have to be written."""
    return replace(case, backward=None, call=case.call or (lambda forward, *inputs: forward(*inputs)[:-1]))


def course_cases() -> dict[str, list[tuple[str, Case]]]:
    """Of each module, its functions and the cases that each is held against, in the course's order."""
    found = {}
    for module, names in MODULES.items():
        found[module] = []
        for name in names:
            cases = [case for case in CASES if name in case.functions and case.name not in BEYOND]
            cases = [forward_alone(case) if case.backward and case.forward.__name__ == name else case for case in cases]
            if name[0].isupper():
                home = f"from_scratch.{module.removesuffix('.py').replace('/', '.')}"
                nets = {
                    n: net for n, net in NET_CASES.items() if (net.net.__module__, net.net.__name__) == (home, name)
                }
                cases = [net_case(n, net) for n, net in nets.items() if n not in BEYOND]
            found[module] += [(name, case) for case in cases]
    return found


# Whole nets


def net_case(name: str, net: NetCase) -> Case:
    """The first step of a net as a case: a function of parameters and batch that gives loss, gradients and scores."""
    ours, _ = net.start()
    keep = getattr(ours, "dropout_param", {}).get("p")

    def inputs(draw):
        batch = dict(X=draw(4, ours.params["W_proj"].shape[0]), y=draw.whole(len(VOCABULARY), 4, 6)) if net.captions \
            else dict(X=draw(4, 3, 32, 32), y=draw.whole(10, 4))  # fmt: skip
        mask = TorchsMask(0, keep, np.float64) if keep else None
        return dict(params=ours.params) | batch | dict(reg=net.options.get("reg", 0.0), rng=mask)

    def theirs(params, X, y, reg, rng):
        _, reference = net.start()
        loss = reference.loss(X.numpy(), y.numpy())
        loss.backward()
        grads = {
            f"d{key}": p.grad if p.grad is not None else torch.zeros_like(p) for key, p in reference.params.items()
        }
        return {"loss": loss, **grads} | ({} if net.captions else {"scores": reference.loss(X.numpy())})

    lost = ("db1", "db2") if "batch norm" in name else ()  # batch norm takes b away again
    return Case(name, first_step(net, net.net), None, theirs, inputs, vanishing=lost)


def first_step(net: NetCase, cls: type) -> Callable:
    """A class's loss, gradients and scores; raises UnwrittenError or WrongReturnError for what is not there."""

    def step(params, X, y, reg=0.0, rng=None):
        model = net.build(cls)
        has = {key: np.shape(value) for key, value in getattr(model, "params", {}).items()}
        if not has:
            raise UnwrittenError("leaves params empty")
        if wrong := [key for key in params.keys() | has.keys() if has.get(key) != np.shape(params.get(key, "none"))]:
            shape = params[wrong[0]].shape if wrong[0] in params else "none of the kind"
            raise WrongReturnError(f"params[{wrong[0]!r}] must be {shape}, but is {has.get(wrong[0], 'missing')}")
        model.params, model.dtype, model.reg = {key: value.copy() for key, value in params.items()}, np.float64, reg
        if rng is not None:
            model.dropout_param["rng"] = rng
        given = net.loss(model, X, y)
        if given is None or not isinstance(given, tuple) or not given[1]:
            raise UnwrittenError("returns no gradients")
        loss, grads = given
        if lacking := [key for key in params if key not in grads]:
            raise WrongReturnError(f"its gradients lack {', '.join(lacking)}")
        results = {"loss": np.float64(loss), **{f"d{key}": np.asarray(grads[key]) for key in params}}
        return results if net.captions else results | {"scores": np.asarray(net.loss(model, X))}

    step.__name__, step.__qualname__ = cls.__name__, cls.__qualname__
    step.__wrapped__ = cls
    step.__signature__ = inspect.signature(step, follow_wrapped=False)
    return step
