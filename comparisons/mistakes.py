"""Planted mistakes: the tests are tested with edits of from_scratch's source, of the kind that students make.

Every function has at least one that a case of it must catch, every net one that must spoil its loss or a gradient.
"""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from types import ModuleType

import numpy as np

from comparisons.case import Case
from comparisons.mistakes_conv import CONV
from comparisons.mistakes_dense import DENSE
from comparisons.mistakes_generative import GENERATIVE
from comparisons.mistakes_sequences import SEQUENCES
from comparisons.nets import NET_CASES, worst_difference
from comparisons.parity import TRAINING, check
from comparisons.public import FUNCTIONS, NETS


@dataclass(frozen=True)
class Mistake:
    """`right` in the source of `where` becomes `wrong`: in the function or net itself, or in a part of its module."""

    function: str
    right: str
    wrong: str
    why: str
    where: str = ""
    home: ModuleType | None = None  # the module in which the function stands, where not from_scratch's

    def __str__(self) -> str:
        return f"{self.function}: {self.why}"

    def concerns(self, case: Case) -> bool:
        return self.function in case.functions

    def module(self) -> ModuleType:
        """A copy of the function's module with the mistake in it.

        Raises ValueError if the right text does not stand just once in the source, because the function has changed.
        """
        planted = (FUNCTIONS | NETS).get(self.function)
        module = self.home or sys.modules[planted.__module__]
        where = self.where or (planted.__qualname__ if planted else self.function)
        part = module
        for name in where.split("."):
            part = getattr(part, name)
        source = inspect.getsource(part)
        if (times := source.count(self.right)) != 1:
            raise ValueError(
                f"the mistake planted in {where} no longer fits: {self.right!r} stands {times} times in its source. "
                f"Plant it anew in comparisons/mistakes_*.py or mistakes.py."
            )
        wrong = source.replace(self.right, self.wrong)
        copy = ModuleType(module.__name__)
        exec(compile(inspect.getsource(module).replace(source, wrong, 1), f"<{self}>", "exec"), vars(copy))
        return copy

    def replacing(self, case: Case) -> dict[str, Callable]:
        """The wrong functions that stand in for those of the case."""
        module = self.module()
        own = {name: f for name, f in case.functions.items() if hasattr(module, f.__qualname__.partition(".")[0])}
        return {name: attrgetter(function.__qualname__)(module) for name, function in own.items()}


@dataclass
class Effect:
    """What a mistake spoils most: the tensor, by how much, and the likely cause that the message names."""

    mistake: Mistake
    tensor: str = ""  # empty: nothing notices the mistake
    relative: float = 0.0
    cause: str = ""


def effect_in_layers(mistake: Mistake, cases: list[Case]) -> Effect:
    with np.errstate(all="ignore"):
        found = [d for case in filter(mistake.concerns, cases) for d in check(case, functions=mistake.replacing(case))]
    found = [Effect(mistake, d.tensor, d.relative, d.cause) for d in found if d.problem]
    return max(found, key=lambda effect: effect.relative, default=Effect(mistake))


def effect_in_nets(mistake: Mistake) -> Effect:
    """The loss or the gradient that is furthest from torch's in the first steps."""
    net = NETS[mistake.function]
    wrong = getattr(mistake.module(), net.__name__)
    cases = [replace(case, net=wrong) for case in NET_CASES.values() if case.net is net]
    found = [Effect(mistake, *worst_difference(case)) for case in cases]
    worst = max(found, key=lambda effect: effect.relative)
    return worst if worst.relative > TRAINING else Effect(mistake)


IN_LAYERS = [*DENSE, *CONV, *SEQUENCES, *GENERATIVE]
# Net, right, wrong, why, where.
IN_NETS = [
    ("neural_net.TwoLayerNet", "2 * reg * p[name]", "reg * p[name]", "0.5 in the gradient, not in the loss",
     "TwoLayerNet.loss"),
    ("neural_net.TwoLayerNet", 'in ("W1", "W2")', "in p", "weight decay on biases", "TwoLayerNet.loss"),
    ("TwoLayerNet", "self.add_weight_decay(loss, grads), grads", "loss, grads", "weight decay forgotten",
     "TwoLayerNet.loss"),
    ("FullyConnectedNet", "range(last - 1, 0, -1)", "range(last - 1, 1, -1)", "the first layer never learns",
     "FullyConnectedNet._backward"),
    ("FullyConnectedNet", "affine_backward(dout, last_cache)", "affine_backward(dout / 2, last_cache)",
     "a factor on the way back", "FullyConnectedNet._backward"),
    ("ThreeLayerConvNet", "affine_relu_backward(dhidden, hidden_cache)", "affine_backward(dhidden, hidden_cache[0])",
     "ReLU forgotten on the way back", "ThreeLayerConvNet.loss"),
    ("DeepConvNet", "dw, _, dgamma, dbeta =", "dw, _, dbeta, dgamma =", "scale and shift swapped",
     "DeepConvNet.loss"),
    ("VisionTransformer", "x.mean(axis=1)", "x[:, 0]", "the first patch for the mean", "VisionTransformer.forward"),
    ("VisionTransformer", "dmean[:, None] / shape[1]", "dmean[:, None]", "1/P missing", "VisionTransformer.backward"),
    ("VisionTransformer", "dx.sum(axis=0)", "dx.mean(axis=0)", "mean for sum: positions serve every picture",
     "VisionTransformer.backward"),
    ("CaptioningRNN", "targets != self._null", "targets == targets", "<NULL> counts", "CaptioningRNN.loss"),
    ("CaptioningRNN", "captions[:, :-1], captions[:, 1:]", "captions[:, :-1], captions[:, :-1]",
     "each word predicts itself", "CaptioningRNN.loss"),
    ("CaptioningTransformer", "self.positions[:T]", "self.positions[0]", "every word in the first place",
     "CaptioningTransformer.forward"),
    ("CaptioningTransformer", "dmemory = dmemory + dmore", "dmemory = dmore", "= for +=: the memory of one layer only",
     "CaptioningTransformer.backward"),
    ("CaptioningTransformer", "np.tri(T)", "np.ones((T, T))", "the future is visible", "CaptioningTransformer.forward"),
    ("GaussianDiffusion", "np.mean(weighted * error)", "np.sum(weighted * error)", "sum for mean in the loss",
     "GaussianDiffusion.p_losses"),
    ("GaussianDiffusion", "weighted * error.dtype.type(2 / error.size)", "weighted * error.dtype.type(1 / error.size)",
     "the square's 2 forgotten", "GaussianDiffusion.p_losses"),
    ("GaussianDiffusion", "x_start = 2 * x_start - 1", "pass", "pictures in 0..1 under noise of mean 0",
     "GaussianDiffusion.errors"),
    ("GaussianDiffusion", "left / (1 - left)", "np.ones(timesteps)", "the picture's error not weighted",
     "GaussianDiffusion.__init__"),
]  # fmt: skip
# What is no mistake, though it makes other numbers than torch's: it is right by the course.
ACCEPTED = [
    Mistake("adam", "config[\"m\"] / (1 - beta1**t) / (np.sqrt(config[\"v\"] / (1 - beta2**t)) + eps)",
            "np.sqrt(1 - beta2**t) / (1 - beta1**t) * config[\"m\"] / (np.sqrt(config[\"v\"]) + eps)",
            "epsilon is added before the bias correction, the second form of Kingma and Ba", "_adam"),
]  # fmt: skip
MISTAKES, NET_MISTAKES = ([Mistake(*row) for row in rows] for rows in (IN_LAYERS, IN_NETS))
