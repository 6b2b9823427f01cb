"""The tests are tested: planted mistakes and mechanical mutations must turn the cases red."""

import pytest

from comparisons.cases import CASES
from comparisons.mistakes import MISTAKES, Mistake, effect_in_layers
from comparisons.mutations import mutations_caught

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_function_has_a_planted_mistake():
    missing = {name for case in CASES for name in case.functions} - {mistake.function for mistake in MISTAKES}
    assert not missing, f"without a mistake in comparisons/mistakes_*.py: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_planted_mistake_is_caught(mistake, record_property):
    assert effect_in_layers(mistake, CASES).tensor, f"no case notices: {mistake}"
    record_property("planted", 1)


@every_case
def test_a_case_catches_a_planted_mistake(case):
    mistakes = filter(lambda mistake: mistake.concerns(case), MISTAKES)
    assert any(effect_in_layers(mistake, [case]).tensor for mistake in mistakes), f"{case} notices no mistake"


@every_case
def test_whatever_a_function_gives_is_compared(case, record_property):
    caught = mutations_caught(case)
    assert {what.partition(":")[0] for what in caught} == set(case.functions), "a function that gives nothing"
    assert all(caught.values()), f"{case} does not notice: {[what for what in caught if not caught[what]]}"
    record_property("mutations", len(caught))


def test_a_mistake_that_no_longer_fits_says_so():
    with pytest.raises(ValueError, match=r"planted in relu_forward no longer fits: 'minimum' stands 0 times"):
        Mistake("relu_forward", "minimum", "maximum", "").module()
