"""What a student's function returns, held against what from_scratch's own returns, before any number is compared."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np

from comparisons.case import Case, is_leaf
from comparisons.cases import CASES, NOTEBOOKS
from comparisons.public import FUNCTIONS
from comparisons.reference import TorchsMask, TorchsNormals


class WrongReturnError(Exception):
    """A function returned another number, type, shape or dtype of values than it must."""


class Trial:
    """A student's function as a case calls it. What a forward keeps for its own backward is its own affair: it goes on
    with from_scratch's cache. What it returns must be of the kind that from_scratch's own returns."""

    def __init__(self, case: Case, name: str, function: Callable) -> None:
        self.case, self.name, self.function = case, name, function
        self.forward = bool(case.backward) and case.forward.__name__ == name
        self.undrawn = False  # whether a generator was given and not used

    def __call__(self, *arguments: object) -> object:
        copies = copy.deepcopy(arguments)
        right = FUNCTIONS[self.name](*copies)
        generators = [[rng for rng in map(find_generator, given) if rng] for given in (arguments, copies)]
        before = [progress(rng) for rng in generators[0]]
        with drawing_from(generators[0]):
            mine = self.function(*arguments)
        for rng, other, start in zip(*generators, before, strict=True):
            self.undrawn |= progress(rng) == start != progress(other)
        names = self.names(right)
        self.compare(mine, right, f"return ({', '.join(names)})" if names else "return one value", names)
        return (*mine[:-1], right[-1]) if self.forward else mine

    def names(self, right: object) -> list[str]:
        """What the values of a tuple are called; nothing for a single value."""
        if not isinstance(right, tuple):
            return []
        if self.name in [rule.forward.__name__ for rule in NOTEBOOKS["FullyConnectedNets"] if rule.call]:
            return ["next_w", "config"]
        case = next((one for one in CASES if one.backward and self.name in one.functions), self.case)
        if case.backward and case.backward.__name__ == self.name:
            leaves = [name for name, value in case.draw({}).items() if is_leaf(value) or value is None]
            names = ["grads" if name == "params" else f"d{name}" for name in leaves][: len(right)]
        else:
            names = [*case.outputs, *["cache"] * (len(right) > len(case.outputs))]
        return names if len(names) == len(right) else [f"value {number}" for number in range(1, len(right) + 1)]

    def compare(self, mine: object, right: object, must: str, names: Sequence[str]) -> None:
        """Raise WrongReturnError unless both are of one kind."""
        if names:
            count = len(mine) if isinstance(mine, tuple | list) else 1
            if count != len(names):
                raise WrongReturnError(f"{self.name} must {must}; yours returned {count} value{'s' * (count != 1)}")
            pairs = list(zip(names, mine, right, strict=True))[: -1 if self.forward else None]
        else:
            pairs = [("its value", mine, right)]
        for name, value, wanted in pairs:
            if fault := unlike(value, wanted):
                raise WrongReturnError(f"{self.name} must {must}; {name} {fault}")


def unlike(value: object, wanted: object) -> str:
    """In what a value is not of the kind that is wanted."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return f"must be a dict, and is {kind(value)}"
        lacking = [key for key in wanted if key not in value]
        return (
            f"lacks {', '.join(map(repr, lacking))}"
            if lacking
            else next((f"{key!r} {fault}" for key in wanted if (fault := unlike(value[key], wanted[key]))), "")
        )
    if not isinstance(wanted, np.ndarray | np.generic | float | int) or isinstance(wanted, bool | str):
        return "" if wanted is not None or value is None else f"must be None, and is {kind(value)}"
    if not isinstance(value, np.ndarray | np.generic | float | int):
        return f"must be {kind(wanted)}, and is {kind(value)}"
    value, wanted = np.asarray(value), np.asarray(wanted)
    if value.shape != wanted.shape:
        return f"must have the shape {wanted.shape}, and has {value.shape}"
    whole = wanted.dtype.kind == "i" and value.dtype.kind == "f" and np.all(value == np.floor(value))  # labels
    if wanted.ndim and value.dtype.kind != wanted.dtype.kind and not whole:
        return f"must be of {wanted.dtype}, and is of {value.dtype}"
    return ""


def kind(value: object) -> str:
    """A value's kind in words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def find_generator(argument: object) -> object:
    """The case's generator in an argument, alone or in a dict of options."""
    found = argument.get("rng") if isinstance(argument, dict) else argument
    return found if isinstance(found, TorchsMask | TorchsNormals) else None


def progress(rng: object) -> tuple:
    """What changes in a case's generator when it is drawn from."""
    return rng.seed, getattr(rng, "generator", None) is None


@contextmanager
def drawing_from(generators: Sequence[object]) -> Iterator[None]:
    """Let np.random.rand and its like draw from the case's mask, as the course's own dropout does without an `rng`."""
    masks = [one for one in generators if isinstance(one, TorchsMask)]
    with ExitStack() as stack:
        for name in ("rand", "random", "random_sample") if masks else ():
            one_shape = name != "rand"
            draw = (lambda size: masks[0].random(size)) if one_shape else (lambda *shape: masks[0].random(shape))
            stack.enter_context(mock.patch.object(np.random, name, draw))
        yield
