"""The engine: run a case on both sides, and say of each tensor whether it is torch's, and if not, how it differs."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from comparisons.case import Case
from comparisons.causes import certain_cause, likely_cause, weight_decay

# The only tolerances: relative differences, and what may be left of a gradient that is zero by the mathematics.
TOLERANCES = {np.float64: 1e-9, np.float32: 1e-4}
ZEROS = {np.float64: 1e-12, np.float32: 1e-4}
# Whole nets, as shares of a loss or of a gradient's largest number: 200 steps may amplify rounding by as much.
TRAINING, FIRST_STEP = 1e-8, {np.float64: 1e-12, np.float32: 1e-4}
# Numbers below this share of their tensor's largest are measured against that share: they are differences of larger
# ones. A tensor of rounding noise is its own measure, so that it cannot pass for a gradient.
SMALL = 0.1


class Ones:
    """Where upstream gradients are drawn: all ones, which asks for the gradient of a plain sum."""

    standard_normal = staticmethod(np.ones)


@dataclass(frozen=True)
class Difference:
    """How far one tensor is from torch's, and what is wrong with it, if anything is."""

    case: str
    function: str
    tensor: str
    dtype: str
    absolute: float
    relative: float
    tolerance: float
    problem: str = ""
    cause: str = ""  # the likely one
    certain: bool = True  # whether the cause, if there is one, makes torch's numbers of ours
    place: tuple[int, ...] = ()  # of the worst number
    numbers: tuple[float, float] | None = None  # there, by hand and by torch
    seconds: tuple[float, float] = (0.0, 0.0)  # by hand, by torch; forward and backward

    def __str__(self) -> str:
        where = f"{self.case}, {self.dtype}: {self.tensor} of {self.function}"
        cause = f" Likely cause: {self.cause}." if self.cause else ""
        return f"{where} {self.problem}{cause}" if self.problem else f"{where} agrees to {self.relative:.1e}"


def check(
    case: Case,
    dtype: type = np.float64,
    sizes: dict[str, int] | None = None,
    functions: dict[str, Callable] | None = None,
    seed: int = 0,
    repeats: int = 1,
    generic: bool = True,
    ones: bool = False,
    wider: bool = False,
) -> list[Difference]:
    """Run both sides on the same random numbers and compare every result.

    `functions` stand in for the case's own: that is how planted mistakes and exercises are run. Sizes that are not
    `generic`, a batch of one or a single feature, may leave nothing of a gradient but rounding noise. The upstream
    gradients may be `ones`. With `wider`, float64 is as good as the float32 that torch gives.
    """
    functions = case.functions | (functions or {})
    given = case.draw(sizes or {}, dtype, seed)

    def by_torch(arguments: dict) -> tuple:
        return case.by_torch(arguments, Ones() if ones else np.random.default_rng(seed + 1))

    (theirs, upstream), _, their_time = fastest(by_torch, (given,), repeats)
    ours, used, our_time = fastest(partial(case.by_hand, functions), (given, upstream), repeats)
    if wider:
        ours = {name: narrowed(value, theirs.get(name)) for name, value in ours.items()}
    named = case.all_sizes(**sizes or {})
    tensors = [*theirs, *(name for name in ours if name not in theirs)]
    found = [compare(case, name, ours.get(name), theirs.get(name), dtype, named, generic, given) for name in tensors]
    found += changed(case, given | {"upstream": upstream}, used[0] | {"upstream": used[1]}, dtype)
    return [replace(difference, seconds=(our_time, their_time)) for difference in found]


def narrowed(ours: np.ndarray, theirs: np.ndarray | None) -> np.ndarray:
    """Float64 as float32, if torch gives that."""
    narrow = ours.dtype == np.float64 and theirs is not None and theirs.dtype == np.float32
    return ours.astype(np.float32) if narrow else ours


def fastest(run: Callable, arguments: tuple, repeats: int) -> tuple[object, tuple, float]:
    """What it returns, what it made of a copy of the arguments, and the shortest time of several runs."""
    seconds = []
    for _ in range(repeats):
        used = copy.deepcopy(arguments)
        start = time.perf_counter()
        result = run(*used)
        seconds.append(time.perf_counter() - start)
    return result, used, min(seconds)


def compare(
    case: Case, name: str, ours: np.ndarray, theirs: np.ndarray, dtype: type, sizes: dict, generic: bool,
    inputs: dict | None = None,
) -> Difference:  # fmt: skip
    """One tensor against torch's."""
    noise = theirs is not None and theirs.size and np.abs(theirs).max() <= ZEROS[dtype]
    vanishing = name in case.vanishing or (noise and not generic)
    tolerance = (ZEROS if vanishing else TOLERANCES)[dtype]
    differs = partial(Difference, case.name, case.maker(name), name, np.dtype(dtype).name)
    wrong = partial(differs, np.inf, np.inf, tolerance)
    if ours is None or theirs is None:
        return wrong("is missing" if ours is None else "is not among torch's results")
    if ours.shape != theirs.shape:
        cause = "transposed" if ours.shape[::-1] == theirs.shape else "a sum over the wrong axis, or none"
        return wrong(f"has the shape {ours.shape}, torch's {theirs.shape}.", cause)
    if ours.ndim and ours.dtype != theirs.dtype:
        return wrong(f"is of {ours.dtype} where torch's is of {theirs.dtype}")
    if not ours.size:
        return differs(0.0, 0.0, tolerance)

    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    absolute = np.abs(ours - theirs)
    measure = np.ones(()) if vanishing else np.maximum(np.abs(theirs), SMALL * np.abs(theirs).max())
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.nan_to_num(np.where(absolute == 0, 0, absolute / measure), nan=np.inf)
    worst = np.unravel_index(relative.argmax(), relative.shape)
    measured = float(absolute[worst]), float(relative[worst]), tolerance
    if relative[worst] <= tolerance:
        return differs(*measured)
    where = f"at [{', '.join(map(str, worst))}] " if worst else ""
    problem = (
        f"differs {where}by {relative[worst]:.1e} (allowed {tolerance:.0e}): "
        f"{ours[worst]:.12g} by hand, {theirs[worst]:.12g} by torch."
    )
    decay = weight_decay(name, ours, theirs, inputs or {})
    cause = decay or likely_cause(ours, theirs, sizes)
    certain = bool(decay or certain_cause(ours, theirs, sizes))
    place, numbers = tuple(map(int, worst)), (float(ours[worst]), float(theirs[worst]))
    return differs(*measured, problem, cause, certain, place, numbers)


def changed(case: Case, before: dict, after: dict, dtype: type) -> list[Difference]:
    """Arguments that the functions wrote into; what they keep in options (running averages) is theirs to change."""
    problem = "was modified in place: a layer must not change its arguments"
    functions, dtype = ", ".join(case.functions), np.dtype(dtype).name
    names = [name for name in before if not same(before[name], after[name])]
    return [Difference(case.name, functions, name, dtype, np.inf, np.inf, 0.0, problem) for name in names]


def same(before: object, after: object) -> bool:
    """Whether two values hold the same arrays, state in options aside."""
    if isinstance(before, dict):
        return all(same(value, after.get(key)) for key, value in before.items() if not key.startswith("running_"))
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(same, before, after))
    return not isinstance(before, np.ndarray) or np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
