"""What a parity case is: functions of from_scratch, torch's counterpart, and what to feed both with.

Results are dicts from a tensor's name to the tensor: `out`, `dx`, `dw`, `running_mean`, ...
"""

import inspect
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
import torch

# A size is a prime of its own, so that no two axes can be mistaken for one another. N batch, C channels, H W image,
# F filters, HH WW window, D M features, T S time, V vocabulary, K channels of a group, d features of a head.
PRIMES = dict(N=2, C=3, W=5, H=7, F=11, D=13, M=17, V=19, T=5, S=3, HH=3, WW=2, K=3, G=2, d=5, heads=2, stride=2, pad=1)
# Sizes are also drawn at random, from 1 to 6 unless this says otherwise.
RANGES = dict(H=(1, 7), W=(1, 7), HH=(1, 4), WW=(1, 4), stride=(1, 4), pad=(0, 3), G=(1, 3), K=(1, 3))
RANGES |= dict(heads=(1, 3), d=(1, 4))

Results = dict[str, np.ndarray]


class SizeError(Exception):
    """A window larger than its image, a batch norm of one number, ..."""


class Draw:
    """What the inputs of a case are drawn with: draw(N, D) is an array of normal numbers."""

    def __init__(self, rng: np.random.Generator, dtype: type):
        self.rng, self.dtype = rng, dtype

    def __call__(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(self.dtype)

    def needs(self, condition: bool) -> None:
        """Raise SizeError unless the sizes make sense together."""
        if not condition:
            raise SizeError

    def whole(self, high: int, *shape: int) -> np.ndarray:
        """Whole numbers in 0..high-1: labels or words."""
        return self.rng.integers(high, size=shape)


@dataclass(frozen=True, repr=False)
class Case:
    """Functions of from_scratch and torch's counterpart, which takes the same inputs as tensors.

    With a backward, the forward returns outputs and a cache, and gradients are compared for every input that is an
    array of floats, or a dict of nothing but those: parameters. Without one, only what the function returns is.
    `inputs(draw, N, D, ...)` returns the arguments in their order; its parameters name the sizes of the case.
    Arrays that a function leaves in a dict of options, such as running averages, are results too.
    """

    name: str
    forward: Callable
    backward: Callable | None
    reference: Callable
    inputs: Callable[..., dict]
    _: KW_ONLY
    sizes: dict[str, int] = field(default_factory=dict)  # where they differ from PRIMES
    outputs: tuple[str, ...] = ("out",)
    vanishing: tuple[str, ...] = ()  # gradients that are zero by the mathematics, and rounding noise on both sides
    call: Callable | None = None  # how to call the function, where not simply with the inputs

    def __repr__(self) -> str:
        return self.name

    @property
    def functions(self) -> dict[str, Callable]:
        return {function.__name__: function for function in (self.forward, self.backward) if function}

    def maker(self, tensor: str) -> str:
        """The function that made a result: the backward, if it is a gradient."""
        return list(self.functions)[-1 if tensor.startswith("d") else 0]

    def all_sizes(self, **changed: int) -> dict[str, int]:
        """The sizes that the inputs name."""
        _, *names = inspect.signature(self.inputs).parameters
        return {name: (PRIMES | self.sizes | changed)[name] for name in names}

    def draw(self, sizes: dict[str, int], dtype: type = np.float64, seed: int = 0) -> dict:
        """Values for all inputs; raises SizeError."""
        return self.inputs(Draw(np.random.default_rng(seed), dtype), **self.all_sizes(**sizes))

    def by_torch(self, inputs: dict, rng: np.random.Generator) -> tuple[Results, list[np.ndarray]]:
        """torch's results, and the upstream gradients that were drawn for its outputs."""
        values = {name: tensors(value, bool(self.backward) and is_leaf(value)) for name, value in inputs.items()}
        outs = self.reference(*values.values())
        results = self.named(outs) | state(values)
        if not self.backward:
            return results, []
        outs = outs if isinstance(outs, tuple) else (outs,)
        upstream = [rng.standard_normal(out.shape).astype(array(out).dtype) for out in outs]
        leaves = gradients_of(inputs, values)
        grads = torch.autograd.grad(outs, list(leaves.values()), [torch.tensor(dout) for dout in upstream])
        return results | dict(zip(leaves, map(array, grads), strict=True)), upstream

    def by_hand(self, functions: dict[str, Callable], inputs: dict, upstream: list[np.ndarray]) -> Results:
        """The same results from the functions of from_scratch, or from wrong ones in their place."""
        forward, *backward = functions.values()
        outs = self.call(forward, *inputs.values()) if self.call else forward(*inputs.values())
        if not backward:
            return self.named(outs) | state(inputs)
        *outs, cache = outs
        results = self.named(tuple(outs)) | {name: value.copy() for name, value in state(inputs).items()}
        grads = backward[0](*upstream, cache)
        grads = [grad for grad in (grads if isinstance(grads, tuple) else (grads,)) if grad is not None]
        leaves = [name for name, value in inputs.items() if is_leaf(value)]
        return results | gradients_of(inputs, dict(zip(leaves, grads, strict=True)))

    def named(self, outs: object) -> Results:
        """Outputs by their names; what comes as a dict has names of its own."""
        if not isinstance(outs, dict):
            outs = dict(zip(self.outputs, outs if isinstance(outs, tuple) else (outs,), strict=True))
        return {name: array(out) for name, out in outs.items()}


def is_leaf(value: object) -> bool:
    """Whether an input has gradients: an array of floats, or a dict of nothing but those."""
    if isinstance(value, dict):
        return bool(value) and all(map(is_leaf, value.values()))
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def gradients_of(inputs: dict, values: dict) -> dict:
    """The values (tensors, gradients) of all leaves under their gradients' names; a dict's keys name its parts."""
    found = {}
    for name in filter(lambda name: is_leaf(inputs[name]), values):
        value = values[name]
        found |= {f"d{key}": part for key, part in (value if isinstance(value, dict) else {name: value}).items()}
    return found


def tensors(value: object, differentiable: bool) -> object:
    """The same value for torch: arrays as tensors."""
    if isinstance(value, np.ndarray):
        return torch.tensor(value, requires_grad=differentiable)
    return {key: tensors(part, differentiable) for key, part in value.items()} if isinstance(value, dict) else value


def state(values: dict) -> Results:
    """What a layer keeps from step to step in its dicts of options."""
    dicts = [value for value in values.values() if isinstance(value, dict)]
    return {key: array(part) for options in dicts for key, part in options.items() if key.startswith("running_")}


def array(value: object) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
