"""The checks of an exercise, made from its parity cases: from what it returns to sizes of one, each a little step.

They come in a fixed order; the first that is red says why, and those after it wait.
"""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from comparisons.case import Case, SizeError
from comparisons.cases import CASES, EDGES
from comparisons.cases_dense import trajectory
from comparisons.parity import Difference
from comparisons.public import FUNCTIONS
from comparisons.returns import WrongReturnError, WrongShapeError
from comparisons.verdicts import Outcome, attempt, run, tell

ONES = "for an upstream gradient of ones"
SHOWN = 6  # names that a line has room for


@dataclass(eq=False)
class Run:
    """A case and `how` it is run: options of `parity.check`. Checks that share one look at the same outcome."""

    case: Case
    how: dict = field(default_factory=dict)
    note: str = ""


@dataclass
class Check:
    """`asks` says whether a wrong tensor, or a wrong return, is a fault in it; `state` and `why` are what it found."""

    label: str
    runs: list[Run]
    asks: Callable[[Difference | WrongReturnError], bool]
    state: str = "not yet"  # green, RED
    why: list[str] = field(default_factory=list)


def values(what: Difference | WrongReturnError) -> bool:
    return isinstance(what, WrongReturnError) or what.tolerance > 0


def only(*tensors: str) -> Callable:
    return lambda what: values(what) and getattr(what, "tensor", None) in (None, *tensors)


def kind(what: Difference | WrongReturnError) -> bool:
    return isinstance(what, WrongReturnError) and not isinstance(what, WrongShapeError)


def shape(what: Difference | WrongReturnError) -> bool:
    return isinstance(what, WrongReturnError)


def changed(what: Difference | WrongReturnError) -> bool:
    return isinstance(what, WrongReturnError) or not what.tolerance


def checks_of(name: str) -> list[Check]:
    """All checks of a function, in their order."""
    cases = {}
    for case in (case for case in CASES if name in case.functions):
        cases.setdefault((case.inputs, *case.sizes.items()), case)  # those of another backward have the same inputs
    first, *others = cases.values()
    whole, rest = Run(first), [Run(case) for case in others]
    backward = bool(first.backward) and first.backward.__name__ == name
    begin = Run(first, {"ones": True, "generic": False}) if backward else whole
    right = attempt(first, name, {name: FUNCTIONS[name]}, **begin.how)
    found = [
        Check(right.trial.must.replace("return", "returns", 1), [begin], kind),
        Check("shapes and dtypes", [begin], shape),
        *steps(first, [d.tensor for d in right.differences], whole, begin),
        *(Check(one.case.name, [one], values) for one in rest),
        Check("leaves what it is given as it is", [whole, *rest], changed),
        Check("float32", [Run(one.case, {"dtype": np.float32, "wider": True}) for one in (whole, *rest)], values),
    ]
    edges = [edge for case in {case.inputs: case for case in (*others, first)}.values() for edge in at_the_edges(case)]
    notes = ", ".join(dict.fromkeys(edge.note for edge in edges))
    return found + [Check(f"edge sizes: {notes}", edges, values)] * bool(edges)


def steps(case: Case, tensors: list[str], whole: Run, begin: Run) -> Iterator[Check]:
    """From one tensor to all of them: of a rule step by step, of a backward also from ones to any upstream gradient."""
    more = len(tensors) > 1
    if case.call is trajectory:
        one, *later = (tensor for tensor in tensors if tensor.startswith("w "))
        yield Check(f"{one} step", [whole], only(one))
        if state := [tensor for tensor in tensors if tensor not in (one, *later)]:
            yield Check(f"what it keeps in config: {names(state)}", [whole], only(*state))
        yield from (Check(f"{tensor} steps", [whole], only(tensor)) for tensor in later)
    elif begin is not whole:
        last = [tensor for tensor in tensors if tensor not in case.vanishing][-1]  # nearest to the loss
        if more:
            yield Check(f"{last} {ONES}", [begin], only(last))
        yield Check(f"{names(tensors)} {ONES}", [begin], values)
        yield Check(f"{names(tensors)} for any upstream gradient", [whole], values)
    else:
        if sizes := small(case):
            yield Check(f"a small example: {names(tensors)}", [Run(case, {"sizes": sizes, "generic": False})], values)
        if more:
            yield Check(f"every number of {tensors[0]}", [whole], only(tensors[0]))
        yield Check(f"every number of {names(tensors)}", [whole], values)


def names(tensors: list[str]) -> str:
    return ", ".join(tensors) if len(tensors) <= SHOWN else f"all {len(tensors)} tensors"


def small(case: Case) -> dict[str, int]:
    """The smallest sizes but one that make sense together; none if only the case's own do."""
    own = case.all_sizes()
    for largest in range(2, max(own.values())):
        if fits(case, sizes := {name: min(size, largest) for name, size in own.items()}):
            return sizes
    return {}


def at_the_edges(case: Case) -> list[Run]:
    known = [(edge, sizes) for edge, sizes in EDGES.items() if sizes.keys() <= case.all_sizes().keys()]
    return [Run(case, {"sizes": sizes, "generic": False}, edge) for edge, sizes in known if fits(case, sizes)]


def fits(case: Case, sizes: dict[str, int]) -> bool:
    try:
        case.draw(sizes)
    except SizeError:
        return False
    return True


def examine(name: str, function: Callable, path: Path) -> list[Check]:
    """All checks of an exercise with what they found; those after the first red one are not run."""
    outcomes, checks = {}, checks_of(name)
    for check in checks:
        for one in check.runs:
            if one not in outcomes:
                outcomes[one] = run(one.case, name, {name: function}, **one.how)
                if one.how.get("sizes"):  # so small that several mistakes make the same numbers
                    alike = [replace(difference, cause="") for difference in outcomes[one].differences]
                    outcomes[one].cause, outcomes[one].differences = outcomes[checks[0].runs[0]].cause, alike
            if why := faults(outcomes[one], check, path):
                check.state, check.why = "RED", [f"{one.note}: {line}" if one.note else line for line in why]
                return checks
        check.state = "green"
    return checks


def faults(outcome: Outcome, check: Check, path: Path) -> list[str]:
    """What a check has against an outcome, a line each."""
    error, case = outcome.error, outcome.trial.case
    if outcome.state == "green":  # be it because a known other form of it is accepted
        return []
    if outcome.state == "missing":
        return ["still to be written"]
    if outcome.state == "raised":
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = f"{path}, line {where[-1].lineno}" if where else str(path)
        return [" ".join(f"{case.name}: {type(error).__name__} in {place}: {error}".split())]
    if error:
        cause = f" Cause: {outcome.cause}." if outcome.cause else ""
        return [f"{case.name}: {error}.{cause}"] if check.asks(error) else []
    return [tell(d, outcome) for d in outcome.differences if d.problem and check.asks(d)]
