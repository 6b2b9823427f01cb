"""What is said of a student's function: run in a case, held against torch, and the cause, where that is certain."""

import copy
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import numpy as np

from comparisons.case import Case
from comparisons.cases_dense import trajectory
from comparisons.mistakes import ACCEPTED, MISTAKES, Mistake
from comparisons.parity import TOLERANCES, Difference, Ones, check
from comparisons.public import FUNCTIONS
from comparisons.returns import Call, Recorder, Trial, WrongReturnError

SAME = {np.float64: 1e-10, np.float32: 1e-5}  # how well a planted mistake must make the numbers of a student's


@dataclass
class Outcome:
    """A function in one case: `missing` is still to be written, `raised` has an error that is no wrong return."""

    state: str  # green, red, missing, raised
    trial: Trial
    differences: list[Difference] = field(default_factory=list)
    error: BaseException | None = None
    written: list[str] = field(default_factory=list)  # arguments that a function of a package wrote into
    drew: bool = False  # whether any function of a package drew random numbers
    cause: str = ""  # a known mistake that makes the same numbers
    note: str = ""  # of what is accepted, though it is not what from_scratch does


def run(
    case: Case,
    name: str,
    functions: dict[str, Callable],
    package: bool = False,
    **how: object,
) -> Outcome:
    """The outcome of one of the functions, `how` they are run being options of `parity.check`; those of a `package`
    go together, each with the other's cache."""
    outcome = attempt(case, name, functions, package, **how)
    if outcome.state == "red" and outcome.drew:
        again = attempt(case, name, functions, package, flipped=True, **how)
        outcome = again if again.state == "green" else outcome
    if outcome.state == "red":
        explain(case, outcome, **how)
    return outcome


def attempt(
    case: Case, name: str, functions: dict, package: bool = False, flipped: bool = False, **how: object
) -> Outcome:
    """Run the case with the functions in place of its own."""
    trials = {}
    for one, function in functions.items():
        trials[one] = Trial(case, one, function, trials if package else None, flipped)
    trial = trials[name]
    try:
        with quietly():
            found = check(case, functions=trials, **how)
    except NotImplementedError as error:
        return Outcome("missing", trial, error=error)
    except WrongReturnError as error:
        return Outcome("red", trial, error=error)
    except (Exception, SystemExit) as error:
        return Outcome("raised", trial, error=error)
    mine = [d for d in found if name in d.function.split(", ")]
    outcome = Outcome("green", trial, mine)
    if package:
        outcome.drew = any(one.drew for one in trials.values())
        outcome.differences = [d for d in mine if d.tolerance]  # who wrote into what, the calls know better
        outcome.written = written(case, trial, trials.values(), found)
    if trial.narrow:
        mine = [replace(d, problem="") if d.relative <= TOLERANCES[np.float32] else d for d in outcome.differences]
        outcome.differences = mine
    if outcome.written or any(d.problem for d in outcome.differences):
        outcome.state = "red"
    return outcome


def written(case: Case, trial: Trial, trials: Iterable[Trial], found: list[Difference]) -> list[str]:
    """The arguments that a function of a package wrote into, be it by way of the cache."""
    named = {one.name: [name for call in one.calls for name in call.written if name != "cache"] for one in trials}
    by_cache = [d.tensor for d in found if not d.tolerance and d.tensor != "upstream" and case.call is not trajectory]
    return list(dict.fromkeys(named[trial.name] or ([] if any(named.values()) else by_cache)))


@contextmanager
def quietly() -> Iterator[None]:
    """NumPy's warnings and all others are a student's own affair."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def explain(case: Case, outcome: Outcome, **how: object) -> None:
    """Look for the known mistake that makes exactly what the function gave, call by call."""
    trial = outcome.trial
    for mistake in known_mistakes(trial.name) if trial.calls else ():
        if same_calls(trial.calls, calls_with(mistake, case, trial.name, **how), how.get("dtype", np.float64)):
            if mistake in ACCEPTED:
                outcome.state, outcome.note = "green", mistake.why
            else:
                outcome.cause = mistake.why
            return


def known_mistakes(name: str) -> list[Mistake]:
    """Those planted in the function, and in the plain one that computes the same."""
    return [mistake for mistake in [*ACCEPTED, *MISTAKES] if mistake.function in (name, plain(name))]


def plain(name: str) -> str:
    """conv_backward_naive for conv_backward_fast, lstm_forward_naive for lstm_forward, ..."""
    return f"{re.sub('_(im2col|strides|fast|reshape|vectorized)$', '', name)}_naive"


def calls_with(mistake: Mistake, case: Case, name: str, **how: object) -> list[Call]:
    """What a function with the mistake in it gives in the case."""
    given = case.draw(how.get("sizes") or {}, how.get("dtype", np.float64))
    _, upstream = case.by_torch(copy.deepcopy(given), Ones() if how.get("ones") else np.random.default_rng(1))
    if mistake.function != name:  # the plain pair in place of this one
        backward = case.backward and FUNCTIONS[plain(case.backward.__name__)]
        case = replace(case, forward=FUNCTIONS[plain(case.forward.__name__)], backward=backward)
    wrong = Recorder(case, mistake.function, mistake.replacing(case)[mistake.function])
    with suppress(Exception), quietly():  # a wrong shape goes no further
        case.by_hand(case.functions | {mistake.function: wrong}, *copy.deepcopy((given, upstream)))
    return wrong.calls


def same_calls(mine: list[Call], wrong: list[Call], dtype: type) -> bool:
    """Whether both give the same, as far as the student's got."""
    return len(mine) <= len(wrong) and all(same_call(*pair, SAME[dtype]) for pair in zip(mine, wrong, strict=False))


def same_call(mine: Call, wrong: Call, tolerance: float) -> bool:
    """What a student keeps in the options beyond is a student's own affair."""
    more = [path for path in mine.arrays.keys() - wrong.arrays.keys() if not path.startswith("options")]
    pairs = [(mine.arrays.get(path), array) for path, array in wrong.arrays.items()]
    same = all(given is not None and alike(given, array, tolerance) for given, array in pairs)
    return same and not more and mine.written == wrong.written


def alike(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    largest = np.abs(b[np.isfinite(b)]).max(initial=0)
    return a.shape == b.shape and np.allclose(a, b, tolerance, tolerance * largest, equal_nan=True)


def tell(difference: Difference, outcome: Outcome) -> str:
    """A difference as a student reads it: where, both numbers, a plain relative error, and a cause that is certain."""
    if difference.numbers is None:
        told = str(difference).rstrip(".")
        return f"{told}. Cause: {outcome.cause}." if outcome.cause else f"{told}."
    mine, right = difference.numbers
    where = f"{difference.tensor}[{', '.join(map(str, difference.place))}]" if difference.place else difference.tensor
    error = f"relative error {abs(mine - right) / abs(right):.1e}" if right else f"error {abs(mine):.1e}"
    cause = outcome.cause or (difference.cause if difference.certain else "")
    if outcome.trial.undrawn:
        cause = "`rng` was not used: all random numbers must come from it, as the docstring says"
    told = f"{difference.case}, {difference.dtype}: {where} is {mine:.9g}, but must be {right:.9g} ({error})."
    return f"{told} Cause: {cause}." if cause else told
