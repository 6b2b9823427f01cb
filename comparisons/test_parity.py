"""Every public function of from_scratch against torch: at prime sizes, at the edges, and at sizes drawn at random.

And what all layers owe their callers: a cache that serves twice, and errors that name what does not fit.
"""

from contextlib import suppress
from dataclasses import asdict
from types import FunctionType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from comparisons.case import RANGES, SizeError
from comparisons.cases import CASES, EDGES
from comparisons.parity import TOLERANCES, check
from comparisons.public import FUNCTIONS, HELPERS, public_functions
from from_scratch import activations

every_case = pytest.mark.parametrize("case", CASES, ids=str)
LAYERS = [case for case in CASES if case.backward]
every_layer = pytest.mark.parametrize("case", LAYERS, ids=str)
PROVED = {name for case in CASES for name in case.functions}


def problems(differences: list) -> str:
    return "\n".join(str(difference) for difference in differences if difference.problem)


def test_every_public_function_has_a_case():
    missing = FUNCTIONS.keys() - PROVED - HELPERS
    assert not missing, f"without a case in comparisons/cases_*.py: {', '.join(sorted(missing))}"


def test_a_new_function_would_be_missed(monkeypatch):
    for name in ("softplus_forward", "squash"):
        function = FunctionType((lambda x: x).__code__, {"__name__": activations.__name__}, name)
        monkeypatch.setattr(activations, name, function, raising=False)
        assert name in public_functions().keys() - PROVED - HELPERS


def test_helpers_are_helpers():
    assert not HELPERS - FUNCTIONS.keys(), "HELPERS in public.py names functions that are gone"
    assert not HELPERS & PROVED, "a function with a case is no helper: take it out of HELPERS in public.py"


def test_cases_have_names_of_their_own():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names), {name for name in names if names.count(name) > 1}


@pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda dtype: np.dtype(dtype).name)
@every_case
def test_torch_agrees(case, dtype, record_property):
    differences = check(case, dtype, repeats=3)
    record_property("differences", [asdict(difference) for difference in differences])
    assert not problems(differences), problems(differences)


@every_case
def test_torch_agrees_at_the_edges(case):
    for edge, sizes in EDGES.items():
        if sizes.keys() <= case.all_sizes().keys():
            with suppress(SizeError):
                found = problems(check(case, sizes=sizes, generic=False))
                assert not found, f"{edge} {sizes}: {found}"


@every_case
@settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_torch_agrees_at_any_sizes(case, data):
    sizes = {size: data.draw(st.integers(*RANGES.get(size, (1, 6))), label=size) for size in case.all_sizes()}
    try:
        differences = check(case, sizes=sizes, seed=data.draw(st.integers(0, 1000), label="seed"), generic=False)
    except SizeError:
        reject()
    assert not problems(differences), problems(differences)


@every_layer
def test_a_cache_serves_twice_and_a_gradient_may_lie_in_any_order(case):
    inputs, rng = case.draw({}), np.random.default_rng(1)
    *outs, cache = case.forward(*inputs.values())
    upstream = [rng.standard_normal(out.shape) for out in outs]
    once, again = (flat(case.backward(*map(order, upstream), cache)) for order in (np.array, np.asfortranarray))
    assert once
    for one, other in zip(once, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def flat(grads: object) -> list[np.ndarray]:
    """The arrays of what a backward returns, be it one, several, some left out, or a dict of parameters'."""
    if isinstance(grads, dict | tuple):
        return [array for part in (grads.values() if isinstance(grads, dict) else grads) for array in flat(part)]
    return [] if grads is None else [grads]


@every_layer
def test_wrong_arguments_are_named(case):
    inputs = case.draw({})
    *outs, cache = case.forward(*inputs.values())
    if "test mode" not in case.name:  # dropout's cache then knows no shape
        with pytest.raises(ValueError, match=r"must have the shape .* not \("):
            case.backward(*(np.ones((*out.shape[:-1], out.shape[-1] + 1)) for out in outs), cache)
    first = next(name for name, value in inputs.items() if isinstance(value, np.ndarray) and value.dtype == float)
    with pytest.raises(TypeError, match=r"must be an array of floats, not an array of int"):
        case.forward(*(inputs | {first: inputs[first].astype(int)}).values())


@pytest.mark.parametrize("case", [case for case in LAYERS if case.name.startswith(("rnn", "lstm"))], ids=str)
def test_states_and_weights_that_do_not_fit_are_named(case):
    _, *others = inputs = case.draw({})
    for name in others:
        wrong = np.zeros(tuple(size + 1 for size in inputs[name].shape))
        with pytest.raises(ValueError, match=r"must have the shape|axes"):
            case.forward(*(inputs | {name: wrong}).values())


@pytest.mark.parametrize(
    ("name", "shape", "deviation"),
    [
        ("gaussian", (300, 400), 1e-2),
        ("xavier", (300, 400), (2 / 700) ** 0.5),
        ("xavier", (30, 20, 3, 5), (2 / 750) ** 0.5),
        ("he", (300, 400), (2 / 300) ** 0.5),
        ("he", (30, 20, 3, 5), (2 / 300) ** 0.5),
    ],
)
def test_initial_weights_have_their_statistics(name, shape, deviation):
    w = FUNCTIONS[name](shape, rng=np.random.default_rng(0))
    assert abs(w.mean()) < 4 * deviation / w.size**0.5
    assert abs(w.std() / deviation - 1) < 4 / (2 * w.size) ** 0.5


@pytest.mark.parametrize("shape", [(30, 40), (40, 30), (8, 3, 5, 5)])
def test_orthogonal_weights_are_orthogonal(shape):
    w = FUNCTIONS["orthogonal"](shape, gain=3.0, rng=np.random.default_rng(0)).reshape(shape[0], -1)
    w = w if len(w) <= w.shape[1] else w.T
    np.testing.assert_allclose(w @ w.T, 9 * np.eye(len(w)), atol=1e-12)
