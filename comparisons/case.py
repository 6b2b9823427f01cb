"""What a parity case is: a function of from_scratch, torch's counterpart, and what to feed both with.

Results are dicts from a tensor's name to the tensor: `out`, `dx`, `dw`, `running_mean`, ...
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch

# A size is a prime of its own, so that no two axes can be mistaken for one another. N batch, C channels, H W image,
# F filters, HH WW window, D M features, T S time, V vocabulary, K channels of a group, d features of a head.
PRIMES = dict(N=2, C=3, W=5, H=7, F=11, D=13, M=17, V=19, T=5, S=3, HH=3, WW=2, K=3, G=2, d=5, heads=2, stride=2, pad=1)

Argument = str | dict[str, str] | Callable
Results = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True, repr=False)
class Case:
    """A function of from_scratch and torch's counterpart, which takes the same arguments as tensors.

    An argument is a shape such as "N C*H*W" (normal numbers, differentiated), a dict of shapes (parameters), or a
    function of the sizes and a generator that returns anything else: labels, masks, options.
    """

    name: str
    functions: dict[str, Callable]
    theirs: Callable
    arguments: dict[str, Argument]
    sizes: dict[str, int] = field(default_factory=dict)  # where they differ from PRIMES
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)  # of the sizes that may also be drawn at random
    requires: Callable = lambda s: True  # which of those sizes make sense
    outputs: tuple[str, ...] = ("out",)
    vanishing: tuple[str, ...] = ()  # gradients that are zero by the mathematics, and rounding noise on both sides
    call: Callable | None = None  # how to call the function, where not simply with the arguments

    def __repr__(self) -> str:
        return self.name

    def all_sizes(self, **changed: int) -> dict[str, int]:
        return PRIMES | self.sizes | changed

    def draw(self, sizes: dict[str, int], dtype: type, rng: np.random.Generator) -> dict:
        """Values for all arguments."""
        space = SimpleNamespace(**sizes, dtype=dtype)
        return {name: draw(argument, space, rng) for name, argument in self.arguments.items()}

    def leaves(self) -> list[str]:
        """The arguments that have gradients."""
        return [name for name, argument in self.arguments.items() if not callable(argument)]

    def maker(self, tensor: str) -> str:
        """The function that made a result."""
        return next(iter(self.functions))

    def by_torch(self, arguments: dict, rng: np.random.Generator) -> tuple[Results, list[np.ndarray]]:
        """Results, and the upstream gradients drawn for them (here none)."""
        return self.named(self.theirs(*tensors(arguments, ()).values())), []

    def by_hand(self, functions: dict[str, Callable], arguments: dict, upstream: list[np.ndarray]) -> Results:
        """The same results from the functions of from_scratch, or from wrong ones in their place."""
        (function,) = functions.values()
        call = self.call or (lambda function, *values: function(*values))
        return self.named(call(function, *arguments.values()))

    def named(self, outs: object) -> Results:
        outs = outs if isinstance(outs, tuple) else (outs,)
        return {name: array(out) for name, out in zip(self.outputs, outs, strict=True)}


class Loss(Case):
    """A function that returns the loss and the gradient of its first argument."""

    def by_torch(self, arguments, rng):
        values = tensors(arguments, self.leaves())
        loss = self.theirs(*values.values())
        return self.named((loss, *torch.autograd.grad(loss, [values["x"]]))), []


@dataclass(frozen=True, kw_only=True, repr=False)
class Layer(Case):
    """A forward (first of the functions), which returns outputs and a cache, and its backward, if there is one.

    Arrays that the forward leaves in a dict of options, such as running averages, are results too.
    """

    def gradients(self) -> list[str]:
        """Their names, in the order in which the backward returns them."""
        names = []
        for leaf in self.leaves():
            keys = self.arguments[leaf]
            names += [f"d{key}" for key in keys] if isinstance(keys, dict) else [f"d{leaf}"]
        return names

    def maker(self, tensor):
        return list(self.functions)[-1 if tensor in self.gradients() else 0]

    def by_torch(self, arguments, rng):
        values = tensors(arguments, self.leaves())
        outs = self.theirs(*values.values())
        outs = outs if isinstance(outs, tuple) else (outs,)
        upstream = [rng.standard_normal(out.shape).astype(array(out).dtype) for out in outs]
        results = self.named(outs) | state(values)
        if len(self.functions) > 1:
            leaves = [part for leaf in self.leaves() for part in flat(values[leaf])]
            gradients = torch.autograd.grad(outs, leaves, [torch.tensor(dout) for dout in upstream])
            results |= dict(zip(self.gradients(), map(array, gradients), strict=True))
        return results, upstream

    def by_hand(self, functions, arguments, upstream):
        forward, *backward = functions.values()
        *outs, cache = forward(*arguments.values())
        results = self.named(tuple(outs)) | {name: value.copy() for name, value in state(arguments).items()}
        if backward:
            gradients = backward[0](*upstream, cache)
            gradients = gradients if isinstance(gradients, tuple) else (gradients,)
            gradients = [gradient for gradient in gradients if gradient is not None]
            for leaf, gradient in zip(self.leaves(), gradients, strict=True):
                named = gradient if isinstance(gradient, dict) else {leaf: gradient}
                results |= {f"d{name}": value for name, value in named.items()}
        return results


@dataclass(frozen=True, kw_only=True, repr=False)
class Rule(Case):
    """An update rule over 100 steps with its rate changing: the weights on the way, and the state at the end."""

    def by_hand(self, functions, arguments, upstream):
        (rule,) = functions.values()
        w, gradients, rates, decay, config = arguments.values()
        results = {}
        for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
            config |= {} if rate is None else {"learning_rate": rate}
            w, config = rule(w, gradient + w.dtype.type(decay) * w, config)
            if step in (1, 10, len(gradients)):
                results[f"w after {step}"] = w
        return results | {name: value for name, value in config.items() if isinstance(value, np.ndarray)}

    def by_torch(self, arguments, rng):
        return {name: array(value) for name, value in self.theirs(*tensors(arguments, ()).values()).items()}, []


def draw(argument: Argument, sizes: SimpleNamespace, rng: np.random.Generator) -> object:
    """A value for an argument."""
    if callable(argument):
        return argument(sizes, rng)
    if isinstance(argument, dict):
        return {name: draw(shape, sizes, rng) for name, shape in argument.items()}
    shape = tuple(eval(size, {}, vars(sizes)) for size in argument.split())
    return rng.standard_normal(shape).astype(sizes.dtype)


def tensors(values: dict, leaves: list[str]) -> dict:
    """The same values for torch: arrays as tensors, differentiable where they are leaves."""

    def convert(value: object, differentiable: bool) -> object:
        if isinstance(value, np.ndarray):
            return torch.tensor(value, requires_grad=differentiable)
        if isinstance(value, dict):
            return {key: convert(part, differentiable) for key, part in value.items()}
        return value

    return {name: convert(value, name in leaves) for name, value in values.items()}


def state(values: dict) -> Results:
    """What a layer keeps from step to step in its dicts of options."""
    dicts = [value for value in values.values() if isinstance(value, dict)]
    return {key: array(part) for options in dicts for key, part in options.items() if key.startswith("running_")}


def flat(value: object) -> list:
    return list(value.values()) if isinstance(value, dict) else [value]


def array(value: object) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
