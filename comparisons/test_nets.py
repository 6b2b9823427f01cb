"""Whole nets against torch modules with the same weights: every gradient, and 200 steps of training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from comparisons.catalogue import NETS
from comparisons.feeds import batches
from comparisons.nets import RACES, relative, side_by_side, summary, worst_difference
from comparisons.parity import FIRST_STEP, TRAINING
from comparisons.planted import WHOLE_NETS

STEPS = 200
every_race = pytest.mark.parametrize("name", RACES)
every_classifier = pytest.mark.parametrize("name", [name for name, race in RACES.items() if not race.captions])


def test_every_net_has_a_race_and_a_planted_mistake():
    assert set(NETS.values()) == {race.net for race in RACES.values()}
    assert NETS.keys() == {mistake.function for mistake in WHOLE_NETS}


@pytest.mark.parametrize("dtype", FIRST_STEP, ids=lambda dtype: np.dtype(dtype).name)
@every_race
def test_200_steps_beside_torch(name, dtype, record_property):
    race = RACES[name]
    net, twin = race.start(dtype)
    steps = list(side_by_side(race, net, twin, batches(race.captions, STEPS)))
    drift = summary(name, dtype, steps)
    record_property("drift", drift)
    worst = max(steps[0].gradients, key=steps[0].gradients.get)
    assert steps[0].gradients[worst] <= FIRST_STEP[dtype], f"the gradient of {worst} differs from the start: {drift}"
    assert relative(steps[0]) <= FIRST_STEP[dtype]
    assert np.isfinite([step.losses for step in steps]).all() and len(steps) == STEPS
    if dtype is np.float64:  # in float32 a ReLU that falls the other way sets the two on paths of their own
        assert drift["loss"] <= TRAINING and drift["gradient"] <= TRAINING, drift
        same_averages_and_scores(race, net, twin)


def same_averages_and_scores(race, net, twin) -> None:
    """What testing needs, after the training: running averages, then scores by them."""
    ours = [(p["running_mean"], p["running_var"]) for p in getattr(net, "bn_params", []) if "running_mean" in p]
    for mine, theirs in zip(ours, twin.averages(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=TRAINING, atol=TRAINING)
    if not race.captions:
        X, _ = next(batches(False, 1, seed=1))
        scores = twin.eval().scores(torch.from_numpy(X)).detach().numpy()
        np.testing.assert_allclose(net.loss(X), scores, rtol=TRAINING, atol=TRAINING)


@pytest.mark.parametrize("mistake", WHOLE_NETS, ids=str)
def test_a_mistake_in_a_net_is_caught(mistake, record_property):
    wrong = getattr(mistake.module(), mistake.function)
    races = [replace(race, net=wrong) for race in RACES.values() if race.net.__name__ == mistake.function]
    assert any(worst_difference(race)[1] > TRAINING for race in races), f"no race notices: {mistake}"
    record_property("planted", 1)


@every_race
def test_every_gradient_of_a_net_is_compared(name, record_property):
    race = RACES[name]
    parameters = list(race.start()[0].params)
    for parameter in parameters:
        net, twin = race.start()
        right = net.loss
        net.loss = lambda X, y, right=right, parameter=parameter: scaled(*right(X, y), parameter)
        (step,) = side_by_side(race, net, twin, batches(race.captions, 1))
        assert step.gradients[parameter] > TRAINING or vanishing(race, parameter), f"{parameter} may be wrong unnoticed"
    record_property("mutations", len(parameters))


def scaled(loss, grads, name):
    return loss, grads | {name: grads[name] * 1.001}


def vanishing(race, parameter: str) -> bool:
    """Whether a gradient is zero by the mathematics: its numbers are noise beside the net's other gradients."""
    net, _ = race.start()
    _, grads = net.loss(*next(batches(race.captions, 1)))
    return np.abs(grads[parameter]).max() < 1e-12 * max(np.abs(value).max() for value in grads.values())


@every_classifier
def test_a_net_that_knows_nothing_loses_log_c(name):
    race = RACES[name]
    net, twin = race.start()
    net.reg = twin.reg = 0.0
    net.params = {key: 1e-4 * w if key[0] in "Wb" else w for key, w in net.params.items()}
    X, y = next(batches(False, 1))
    losses = net.loss(X, y)[0], twin.take(net.params)(torch.from_numpy(X), torch.from_numpy(y)).item()
    np.testing.assert_allclose(losses, np.log(10), rtol=1e-2)


@every_race
def test_both_learn_five_examples_by_heart(name):
    race = RACES[name]
    net, twin = replace(race, rule="adam", config={"learning_rate": 1e-2}).start()
    net.reg = twin.reg = 0.0
    five = next(batches(race.captions, 1, size=5))
    quick = replace(race, rule="adam", config={"learning_rate": 1e-2})
    steps = list(side_by_side(quick, net, twin, [five] * 100))
    assert max(steps[-1].losses) < 0.1 * min(steps[0].losses), steps[-1].losses
