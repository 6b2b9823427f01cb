"""The tests are tested: mistakes are planted in from_scratch's functions, and the cases must turn red.

A planted mistake is one edit of a function's source, of the kind that a student makes. Beside them every output, every
gradient and every state of every function is scaled by 1.001, zeroed and turned around, one at a time.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from comparisons.case import Case, Layer
from comparisons.catalogue import FUNCTIONS, NETS


@dataclass(frozen=True)
class Mistake:
    """`right` in the source of `where` becomes `wrong`: in the function or net itself, or in a part of its module."""

    function: str
    right: str
    wrong: str
    why: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.function}: {self.why}"

    def home(self) -> ModuleType:
        """The module in which the function stands."""
        return sys.modules[(FUNCTIONS | NETS)[self.function].__module__]

    def module(self) -> ModuleType:
        """A copy of the function's module with the mistake in it.

        Raises ValueError if the right text does not stand just once in the source, because the function has changed.
        """
        module = self.home()
        where = self.where or self.function
        part = module
        for name in where.split("."):
            part = getattr(part, name)
        source = inspect.getsource(part)
        if (times := source.count(self.right)) != 1:
            raise ValueError(
                f"the mistake planted in {where} no longer fits: {self.right!r} stands {times} times in its source. "
                f"Plant it anew in comparisons/planted_*.py."
            )
        wrong = source.replace(self.right, self.wrong)
        copy = ModuleType(module.__name__)
        exec(compile(inspect.getsource(module).replace(source, wrong, 1), f"<{self}>", "exec"), vars(copy))
        return copy

    def replacing(self, case: Case) -> dict[str, Callable]:
        """The wrong functions that stand in for those of the case."""
        module = self.module()
        return {name: getattr(module, name) for name in case.functions if hasattr(module, name)}


CHANGES = {
    "scaled by 1.001": lambda value: value * 1.001,
    "zeroed": lambda value: value * 0,
    "turned around": lambda value: -value,
}
SHIFT = {"shifted by 0.001": lambda value: value + 1e-3}  # for what is zero by the mathematics, and has no scale


def mutations(case: Case, given: dict, upstream: list[np.ndarray]) -> Iterator[tuple[str, dict[str, Callable]]]:
    """For every function and all that it gives: what is done to it, and the function that does it."""
    for name, right in case.functions.items():
        for path, value in outputs(case, name, given, upstream):
            vanishes = not np.any(value) or tensor_name(case, name, path) in case.vanishing
            for label, change in (SHIFT if vanishes else CHANGES).items():
                yield f"{name}: {'.'.join(map(str, path))} {label}", {name: mutant(right, path, change)}


def outputs(case: Case, name: str, given: dict, upstream: list[np.ndarray]) -> list[tuple[tuple, object]]:
    """Path and value of all that a function returns, its cache aside, and of all that it leaves in its arguments."""
    calls = []

    def spy(*arguments: object) -> object:
        calls.append((arguments, case.functions[name](*arguments)))
        return calls[-1][1]

    case.by_hand(case.functions | {name: spy}, given, upstream)
    arguments, result = calls[-1]
    shown = result[:-1] if "_forward" in name else result
    inputs = {key for value in given.values() if isinstance(value, dict) for key in value if "running_" not in key}
    kept = {
        k: {key: value for key, value in a.items() if key not in inputs}
        for k, a in enumerate(arguments)
        if type(a) is dict
    }
    return [*leaves(shown, ("result",)), *leaves(kept, ("argument",))]


def leaves(value: object, path: tuple) -> Iterator[tuple[tuple, object]]:
    """The arrays in nested tuples and dicts, and the number that a loss is."""
    if isinstance(value, dict | tuple):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if not isinstance(part, float) or not isinstance(value, dict):
                yield from leaves(part, (*path, key))
    elif isinstance(value, np.ndarray | float | np.floating):
        yield path, value


def tensor_name(case: Case, name: str, path: tuple) -> str:
    """The name of the gradient at that place of what a backward returns."""
    if not isinstance(case, Layer) or name != list(case.functions)[-1] or path[0] != "result":
        return ""
    return f"d{path[-1]}" if isinstance(path[-1], str) else f"d{case.leaves()[path[-1] if len(path) > 1 else 0]}"


def mutant(right: Callable, path: tuple, change: Callable) -> Callable:
    """The function with one of its outputs changed."""

    def wrong(*arguments: object) -> object:
        result = right(*arguments)
        if path[0] == "result":
            return altered(result, path[1:], change)
        _, k, key = path
        arguments[k][key] = change(arguments[k][key])
        return result

    return wrong


def altered(value: object, path: tuple, change: Callable) -> object:
    """A copy with the part at the end of the path changed."""
    if not path:
        return change(value)
    part = altered(value[path[0]], path[1:], change)
    if isinstance(value, dict):
        return value | {path[0]: part}
    return (*value[: path[0]], part, *value[path[0] + 1 :])
