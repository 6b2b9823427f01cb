"""The vision transformer: what parity with torch does not show, and the parts of its study."""

import math

import numpy as np
import pytest

from from_scratch.activations import erf
from from_scratch.classifiers.transformer import VisionTransformer  # where the course has it
from from_scratch.patches import join_patches, split_patches
from from_scratch.solver import Solver
from from_scratch.studies import vision_transformer as study

SMALL = dict(img_size=8, patch_size=4, embed_dim=8, num_layers=2, num_heads=2, dim_feedforward=12, num_classes=3)


def examples(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.standard_normal((count, 3, 8, 8)).astype(np.float32), rng.integers(3, size=count)


@pytest.mark.parametrize(("dtype", "most"), [(np.float64, 1e-14), (np.float32, 3e-7)])
def test_erf_is_maths_own_everywhere(dtype, most):
    x = np.concatenate([np.linspace(-9, 9, 20001), [0.0, -0.0, 1e-30, np.inf, -np.inf, 1e30]]).astype(dtype)
    found = erf(x)
    assert found.dtype == dtype and np.isnan(erf(np.array([np.nan], dtype)))[0]
    np.testing.assert_allclose(found, [math.erf(value) for value in x], rtol=0, atol=most)
    assert np.abs(found).max() <= 1


def test_patches_come_row_by_row_and_each_by_channel_row_and_column():
    x = np.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    patches = split_patches(x, 2)
    assert patches.shape == (2, 6, 12)
    np.testing.assert_array_equal(patches[1, 4], x[1, :, 2:4, 2:4].ravel())
    np.testing.assert_array_equal(join_patches(patches, (3, 4, 6), 2), x)


@pytest.mark.parametrize("side", [3, 4, 0])
def test_a_side_that_does_not_divide_the_pictures_is_refused(side):
    with pytest.raises(ValueError, match="side must"):
        split_patches(np.zeros((2, 3, 4, 6)), side)


def test_the_courses_net():
    net = VisionTransformer()
    assert net.dtype == np.float32 and all(w.dtype == np.float32 for w in net.params.values())
    assert sum(w.size for w in net.params.values()) == 24_704 + 6 * 132_480 + 1_290  # as torch counts the course's own
    assert net.dropout_param["p"] == 0.9 and "positions" not in net.params


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"patch_size": 3}, "patch_size must divide img_size 8"),
        ({"num_heads": 3}, "num_heads must divide embed_dim 8"),
        ({"dropout": 1.0}, "dropout is the probability"),
        ({"embed_dim": 0}, "embed_dim must be at least 1"),
        ({"num_layers": -1}, "num_layers must be at least 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        VisionTransformer(**SMALL | options)


def test_pictures_that_do_not_fit_are_refused():
    net, (X, y) = VisionTransformer(**SMALL), examples()
    with pytest.raises(ValueError, match="X must have the shape"):
        net.loss(X[:, :, :4], y)
    with pytest.raises(TypeError, match="X must be an array of floats"):
        net.loss(X.astype(int), y)


def test_dropout_is_drawn_in_training_alone():
    X, y = examples()
    net = VisionTransformer(**SMALL, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(net.loss(X), net.loss(X))
    assert net.loss(X, y)[0] != net.loss(X, y)[0]
    assert net.loss(X).dtype == np.float32 and {grad.dtype for grad in net.loss(X, y)[1].values()} == {np.dtype("f4")}


def test_attention_is_shared_out_over_all_patches():
    X, _ = examples()
    weights = VisionTransformer(**SMALL).attention(X)
    assert weights.shape == (2, 6, 2, 4, 4)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)


def test_pace_leaves_the_net_as_it_was():
    X, y = examples(24)
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    net = study.DeepConvNet((3, 8, 8), blocks=((2,),), num_classes=3, rng=np.random.default_rng(0))
    solver = Solver(net, data, batch_size=4, optim_config={"learning_rate": 0.1}, num_epochs=1, verbose=False)
    solver.train()
    before, scores = dict(net.bn_params[0]), net.loss(X)
    assert study.pace(solver, data, steps=4)["step"] >= 0
    np.testing.assert_array_equal(net.loss(X), scores)
    np.testing.assert_array_equal(net.bn_params[0]["running_mean"], before["running_mean"])


def test_positions_are_compared_without_what_all_have():
    table = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]]) + 100
    np.testing.assert_allclose(study.alike(table)[0], [1, 0, -1, 0], atol=1e-12)
