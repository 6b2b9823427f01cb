"""Mechanical mistakes: whatever a function gives is scaled by 1.001, zeroed and negated, one tensor at a time."""

from collections.abc import Callable, Iterator

import numpy as np

from comparisons.case import Case
from comparisons.parity import ZEROS, check

CHANGES = {
    "scaled by 1.001": lambda value: value * 1.001,
    "zeroed": lambda value: value * 0,
    "turned around": lambda value: -value,
}
SHIFT = {"shifted by 0.001": lambda value: value + 1e-3}  # for what is zero by the mathematics, and has no scale


def mutations_caught(case: Case) -> dict[str, bool]:
    """Of every mutation of the case's functions, whether the case notices it."""
    with np.errstate(all="ignore"):
        return {what: any(d.problem for d in check(case, functions=functions)) for what, functions in mutations(case)}


def mutations(case: Case) -> Iterator[tuple[str, dict[str, Callable]]]:
    """For every function and all that it gives: what is done to it, and the function that does it."""
    for name, right in case.functions.items():
        for path, value in outputs(case, name):
            for label, change in (CHANGES if np.abs(value).max() > ZEROS[np.float64] else SHIFT).items():
                yield f"{name}: {'.'.join(map(str, path))} {label}", {name: mutant(right, path, change)}


def outputs(case: Case, name: str) -> list[tuple[tuple, object]]:
    """Path and value of all that a function returns, its cache aside, and of all that it leaves in its arguments."""
    calls = []

    def spy(*arguments: object) -> object:
        calls.append((arguments, case.functions[name](*arguments)))
        return calls[-1][1]

    _, upstream = case.by_torch(case.draw({}), np.random.default_rng(1))
    inputs = case.draw({})
    options = {key for value in inputs.values() if isinstance(value, dict) for key in value if "running_" not in key}
    case.by_hand(case.functions | {name: spy}, inputs, upstream)
    arguments, result = calls[-1]
    kept = {k: {key: value for key, value in argument.items() if key not in options}
            for k, argument in enumerate(arguments) if type(argument) is dict}  # fmt: skip
    shown = result[:-1] if "_forward" in name else result
    return [*arrays(shown, ("result",)), *arrays(kept, ("argument",))]


def arrays(value: object, path: tuple) -> Iterator[tuple[tuple, object]]:
    """The arrays in nested tuples and dicts, and the number that a loss is."""
    if isinstance(value, dict | tuple):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            if not isinstance(part, float) or not isinstance(value, dict):
                yield from arrays(part, (*path, key))
    elif isinstance(value, np.ndarray | float | np.floating):
        yield path, value


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
    return value | {path[0]: part} if isinstance(value, dict) else (*value[: path[0]], part, *value[path[0] + 1 :])
