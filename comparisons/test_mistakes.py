"""The tests are tested: planted mistakes and mechanical mutations must turn the cases red."""

import numpy as np
import pytest

from comparisons.cases import CASES
from comparisons.mistakes import MISTAKES, Mistake
from comparisons.mutations import mutations
from comparisons.parity import check

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def caught(case, functions) -> bool:
    with np.errstate(all="ignore"):
        return any(difference.problem for difference in check(case, functions=functions))


def test_every_function_has_a_planted_mistake():
    missing = {name for case in CASES for name in case.functions} - {mistake.function for mistake in MISTAKES}
    assert not missing, f"without a mistake in comparisons/mistakes.py: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_planted_mistake_is_caught(mistake, record_property):
    cases = filter(mistake.concerns, CASES)
    assert any(caught(case, mistake.replacing(case)) for case in cases), f"no case notices: {mistake}"
    record_property("planted", 1)


@every_case
def test_a_case_catches_a_planted_mistake(case):
    mistakes = [mistake for mistake in MISTAKES if mistake.concerns(case)]
    assert any(caught(case, mistake.replacing(case)) for mistake in mistakes), f"{case} notices no mistake"


@every_case
def test_whatever_a_function_gives_is_compared(case, record_property):
    made = list(mutations(case))
    missed = [label for label, functions in made if not caught(case, functions)]
    assert {next(iter(functions)) for _, functions in made} == set(case.functions), "a function that gives nothing"
    assert not missed, f"{case} does not notice: {'; '.join(missed)}"
    record_property("mutations", len(made))


def test_a_mistake_that_no_longer_fits_says_so():
    with pytest.raises(ValueError, match=r"planted in relu_forward no longer fits: 'minimum' stands 0 times"):
        Mistake("relu_forward", "minimum", "maximum", "").module()
