"""Whole nets against torch's with the same weights: every gradient, and 200 steps of training."""

from dataclasses import replace

import numpy as np
import pytest

from comparisons.mistakes import NET_MISTAKES, effect_in_nets
from comparisons.nets import NET_CASES, Reference, options_of, relative, side_by_side, summary
from comparisons.parity import FIRST_STEP, TRAINING
from comparisons.public import NETS

STEPS = 200
EXAMPLES = {name: case for name, case in NET_CASES.items() if not case.diffuses}  # noise is never the same twice
CLASSIFIERS = {name: case for name, case in EXAMPLES.items() if not case.captions}


def test_every_net_has_a_case_and_a_planted_mistake():
    assert set(NETS.values()) == {case.net for case in NET_CASES.values()}
    assert NETS.keys() == {mistake.function for mistake in NET_MISTAKES}


@pytest.mark.parametrize("dtype", FIRST_STEP, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("name", NET_CASES)
def test_200_steps_beside_torch(name, dtype, record_property):
    case = NET_CASES[name]
    net, reference = case.start(dtype)
    steps = list(side_by_side(case, net, reference, case.batches(STEPS)))
    found = summary(name, dtype, steps)
    record_property("nets", found)
    worst = max(steps[0].gradients, key=steps[0].gradients.get)
    assert steps[0].gradients[worst] <= FIRST_STEP[dtype], f"the gradient of {worst} differs from the start: {found}"
    assert relative(steps[0]) <= FIRST_STEP[dtype]
    assert np.isfinite([step.losses for step in steps]).all() and len(steps) == STEPS
    if dtype is np.float64:  # in float32 a ReLU that falls the other way sets the two on paths of their own
        assert found["loss"] <= TRAINING and found["gradient"] <= TRAINING, found
        same_averages_and_scores(case, net, reference)


def same_averages_and_scores(case, net, reference) -> None:
    """What testing needs, after the training: running averages, then scores by them."""
    for ours, theirs in zip(options_of(net), reference.net.bn_params, strict=True):
        for key in filter(lambda key: key.startswith("running_"), ours.keys() | theirs.keys()):
            np.testing.assert_allclose(ours[key], theirs[key], rtol=TRAINING, atol=TRAINING)
    if case in CLASSIFIERS.values():
        X, _ = next(case.batches(1, seed=1))
        scores = reference.loss(X).detach().numpy()
        np.testing.assert_allclose(case.loss(net, X), scores, rtol=TRAINING, atol=TRAINING)


@pytest.mark.parametrize("mistake", NET_MISTAKES, ids=str)
def test_a_mistake_in_a_net_is_caught(mistake, record_property):
    assert effect_in_nets(mistake).tensor, f"no case notices: {mistake}"
    record_property("planted", 1)


@pytest.mark.parametrize("case", NET_CASES.values(), ids=NET_CASES)
def test_every_gradient_of_a_net_is_compared(case, record_property):
    parameters = list(case.start()[0].params)
    for parameter in parameters:
        net, reference = case.start()
        right = net.loss
        net.loss = lambda *X_y, right=right, parameter=parameter, **reg: scaled(*right(*X_y, **reg), parameter)
        (step,) = side_by_side(case, net, reference, case.batches(1))
        assert step.gradients[parameter] > TRAINING or vanishing(case, parameter), f"{parameter} may be wrong unnoticed"
    record_property("mutations", len(parameters))


def scaled(loss, grads, name):
    return loss, grads | {name: grads[name] * 1.001}


def vanishing(case, parameter: str) -> bool:
    """Whether a gradient is zero by the mathematics: its numbers are noise beside the net's other gradients."""
    net, _ = case.start()
    _, grads = case.loss(net, *next(case.batches(1)))
    return np.abs(grads[parameter]).max() < 1e-12 * max(np.abs(value).max() for value in grads.values())


@pytest.mark.parametrize("case", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_net_that_knows_nothing_loses_log_c(case):
    net, _ = replace(case, options=case.options | {"reg": 0.0}).start()
    net.params = {key: 1e-4 * w if key[0] in "Wb" else w for key, w in net.params.items()}
    reference = Reference(case.reference, net)
    X, y = next(case.batches(1))
    np.testing.assert_allclose([case.loss(net, X, y)[0], reference.loss(X, y).item()], np.log(10), rtol=1e-2)


@pytest.mark.parametrize("case", EXAMPLES.values(), ids=EXAMPLES)
def test_both_learn_five_examples_by_heart(case):
    options = case.options | ({} if case.captions else {"reg": 0.0})
    case = replace(case, options=options, rule="adam", config={"learning_rate": 1e-2})
    five = next(case.batches(1, size=5))
    steps = list(side_by_side(case, *case.start(), [five] * 100))
    assert max(steps[-1].losses) < 0.1 * min(steps[0].losses), steps[-1].losses
