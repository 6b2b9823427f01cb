"""What a student's function returns, held against what from_scratch's own returns, before any number is compared."""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np

from comparisons.case import Case, is_leaf
from comparisons.cases import CASES
from comparisons.cases_dense import trajectory
from comparisons.parity import same
from comparisons.reference import TorchsMask, TorchsNormals


class WrongReturnError(Exception):
    """A function returned another number, type, shape or dtype of values than it must."""


class WrongShapeError(WrongReturnError):
    """What it returned is of the right kind, and of another shape or dtype than it must be."""


class UnwrittenError(NotImplementedError):
    """A function returned None: it is still to be written."""


@dataclass
class Call:
    """What one call gave: arrays by their place in the values that are no cache, and in the options; what it wrote."""

    arrays: dict[str, np.ndarray]
    written: list[str]


class Recorder:
    """A function as a case calls it, which remembers what every call gave."""

    def __init__(self, case: Case, name: str, function: Callable) -> None:
        self.case, self.name, self.function, self.calls = case, name, function, []
        self.forward = "_forward" in name and "_backward" not in name  # its last value is a cache

    def __call__(self, *arguments: object) -> object:
        before = [shallow_copy(argument) for argument in arguments]
        value = self.function(*arguments)
        self.record(arguments, before, value)
        return value

    def record(self, arguments: Sequence, before: Sequence, value: object) -> None:
        shown = value[:-1] if self.forward and isinstance(value, tuple | list) and len(value) > 1 else value
        options = [argument for argument in arguments if type(argument) is dict]
        found = dict(arrays_in(shown, "")) | dict(arrays_in(options, "options"))
        names = list(inspect.signature(self.case.functions[self.name]).parameters)
        pairs = zip(names, before, arguments, strict=False)
        written = [name for name, old, new in pairs if not same(old, new)]
        rule = self.case.call is trajectory  # which may go on with the same w
        self.calls.append(Call(found, [name for name in written if name != "w" or not rule]))


class Trial(Recorder):
    """A student's function. What it returns must be of the kind that from_scratch's own returns.

    Alone, as an exercise: what a forward keeps for its own backward is its own affair, and the case goes on with
    from_scratch's cache. As one of a `package`, of trials by name: it goes on with its own cache, None is still to be
    written, and float32 is no fault. `flipped` turns the random numbers around, for a mask that keeps what is above.
    """

    def __init__(self, case: Case, name: str, function: Callable, package: dict | None = None, flipped: bool = False):
        super().__init__(case, name, function)
        self.package, self.flipped = package, flipped
        self.drew = self.undrawn = False  # whether a generator was given and used, or given and not used
        self.narrow = False  # whether float32 came where float64 was given
        self.right_cache = None
        self.must = ""  # what it must return

    def __call__(self, *arguments: object) -> object:
        before = [shallow_copy(argument) for argument in arguments]
        forward = next(iter(self.case.functions))
        backward = self.package is not None and self.name != forward and self.case.backward
        copies = copy.deepcopy(arguments[:-1] if backward else arguments)
        if backward:  # from_scratch's own knows nothing of the student's cache
            copies = (*copies, self.package[forward].right_cache)
        right = self.case.functions[self.name](*copies)
        self.right_cache = right[-1] if self.forward else None
        generators = [[rng for rng in map(find_generator, given) if rng] for given in (arguments, copies)]
        drawn = [progress(rng) for rng in generators[0]]
        with drawing_from(generators[0], self.package is not None, self.flipped):
            mine = self.function(*arguments)
        for rng, other, start in zip(*generators, drawn, strict=True):
            self.undrawn |= progress(rng) == start != progress(other)
            self.drew |= progress(rng) != start
        if self.package is not None:
            mine = self.widened(mine)
        self.record(arguments, before, mine)
        names = self.names(right)
        self.must = f"return ({', '.join(names)})" if names else "return one value"
        self.compare(mine, right, names)
        return (*mine[:-1], right[-1]) if self.forward and self.package is None else mine

    def widened(self, mine: object) -> object:
        """Its float32 as float64; raises UnwrittenError for None."""
        values = list(mine) if isinstance(mine, tuple | list) else [mine]
        if values and values[0] is None:
            raise UnwrittenError("returns None")
        if isinstance(mine, dict):
            return {key: self.wide(value) for key, value in mine.items()}
        values = [self.wide(value) for value in values]
        return tuple(values) if isinstance(mine, tuple | list) else values[0]

    def wide(self, value: object) -> object:
        if not isinstance(value, np.ndarray | np.generic) or value.dtype not in (np.float32, np.float16):
            return value
        self.narrow = True
        return value.astype(np.float64)

    def names(self, right: object) -> list[str]:
        """What the values of a tuple are called; nothing for a single value."""
        if not isinstance(right, tuple):
            return []
        if self.case.call is trajectory:
            return ["next_w", "config"]
        case = next((one for one in CASES if one.backward and self.name in one.functions), self.case)
        if case.backward and case.backward.__name__ == self.name:
            leaves = [name for name, value in case.draw({}).items() if is_leaf(value) or value is None]
            names = ["grads" if name == "params" else f"d{name}" for name in leaves][: len(right)]
        else:
            names = [*case.outputs, *["cache"] * (len(right) > len(case.outputs))]
        return names if len(names) == len(right) else [f"value {number}" for number in range(1, len(right) + 1)]

    def compare(self, mine: object, right: object, names: Sequence[str]) -> None:
        """Raise WrongReturnError unless both are of one kind; only then WrongShapeError."""
        must = f"{self.name} must {self.must};"
        if names:
            count = len(mine) if isinstance(mine, tuple | list) else 1
            if count != len(names):
                raise WrongReturnError(f"{must} yours returned {count} value{'s' * (count != 1)}")
            pairs = list(zip(names, mine, right, strict=True))[: -1 if self.forward else None]
        else:
            pairs = [("its value", mine, right)]
        for name, value, wanted in pairs:
            if self.package is not None and value is None and wanted is not None:
                raise UnwrittenError(f"returns None for {name}")
        for error, unlike in ((WrongReturnError, of_another_kind), (WrongShapeError, of_another_shape)):
            for name, value, wanted in pairs:
                if fault := unlike(value, wanted):
                    raise error(f"{must} {name} {fault}")


def of_another_kind(value: object, wanted: object) -> str:
    """In what a value is not of the kind that is wanted."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return f"must be a dict, but is {kind(value)}"
        lacking = [key for key in wanted if key not in value]
        return f"lacks {', '.join(map(repr, lacking))}" if lacking else in_dict(of_another_kind, value, wanted)
    if not isinstance(wanted, np.ndarray | np.generic | float | int) or isinstance(wanted, bool | str):
        return "" if wanted is not None or value is None else f"must be None, but is {kind(value)}"
    if not isinstance(value, np.ndarray | np.generic | float | int):
        return f"must be {kind(wanted)}, but is {kind(value)}"
    return ""


def of_another_shape(value: object, wanted: object) -> str:
    """In what a value of the right kind is not of the shape and the type of numbers that is wanted."""
    if isinstance(wanted, dict):
        return in_dict(of_another_shape, value, wanted)
    if not isinstance(wanted, np.ndarray | np.generic | float | int) or isinstance(wanted, bool | str):
        return ""
    value, wanted = np.asarray(value), np.asarray(wanted)
    if value.shape != wanted.shape:
        return f"must have the shape {wanted.shape}, but has {value.shape}"
    whole = wanted.dtype.kind == "i" and value.dtype.kind == "f" and np.all(value == np.floor(value))  # labels
    if wanted.ndim and value.dtype.kind != wanted.dtype.kind and not whole:
        return f"must be of {wanted.dtype}, but is of {value.dtype}"
    return ""


def in_dict(unlike: Callable, value: dict, wanted: dict) -> str:
    """The first of its parts that is not as wanted, and in what."""
    return next((f"{key!r} {fault}" for key in wanted if (fault := unlike(value[key], wanted[key]))), "")


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
def drawing_from(generators: Sequence[object], package: bool = False, flipped: bool = False) -> Iterator[None]:
    """Let np.random.rand and its like draw from the case's mask, as the course's own dropout does without an `rng`; of
    a package that knows no `rng`, a generator of its own too."""
    masks = [one for one in generators if isinstance(one, TorchsMask)]

    def draw(size: object = ()) -> np.ndarray:
        u = masks[0].random(size if isinstance(size, tuple | list) else (size,))
        return 1 - u if flipped else u

    drawn = {
        "rand": lambda *shape: draw(shape),
        "random": draw,
        "random_sample": draw,
        "uniform": lambda low=0.0, high=1.0, size=(): low + (high - low) * draw(size),
        "binomial": lambda n, p, size=(): (draw(size) < p).astype(int),
    }
    drawn |= {"default_rng": lambda seed=None: masks[0]} if package else {}
    with ExitStack() as stack:
        for name, function in drawn.items() if masks else ():
            stack.enter_context(mock.patch.object(np.random, name, function))
        yield


def shallow_copy(argument: object) -> object:
    """An argument's arrays as they are now: itself, or those in a tuple (a cache) or in a dict of parameters."""
    if isinstance(argument, tuple | list):
        return [part.copy() if isinstance(part, np.ndarray) else None for part in argument]
    return copy.deepcopy(argument) if isinstance(argument, np.ndarray) or is_leaf(argument) else None


def arrays_in(value: object, path: str) -> Iterator[tuple[str, np.ndarray]]:
    """Copies of the arrays and numbers in nested tuples, lists and dicts, by their path."""
    if isinstance(value, dict | tuple | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from arrays_in(part, f"{path}.{key}")
    elif isinstance(value, np.ndarray | np.number | float | int) and not isinstance(value, bool):
        yield path, np.array(value, dtype=np.float64)
