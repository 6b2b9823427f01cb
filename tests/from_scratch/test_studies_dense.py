"""The studies of fully connected nets, initialization, batch norm and dropout: runs on the twin, and their parts."""

from pathlib import Path

import numpy as np
import pytest

from from_scratch.activations import relu_backward, relu_forward, tanh_backward, tanh_forward
from from_scratch.classifiers.fc_net import FullyConnectedNet
from from_scratch.gradient_check import eval_numerical_gradient_array
from from_scratch.initialization import gaussian, he, xavier
from from_scratch.studies import batchnorm, fully_connected, initialization, shared
from tests.processes import summary as read
from tests.programs import STUDIES

FIGURES = {
    "linear": "distances k losses templates_svm templates_softmax two_layers mistakes",
    "fully_connected": "two_layers overfit sensitivity rules step_sizes best best_filters best_confusion",
    "initialization": "histograms_tanh histograms_sigmoid histograms_ReLU depth training_10_layers training_30_layers",
    "batchnorm": "deep weight_scale batch_size",
    "dropout": "regularization keep_ratios",
    "vision_transformer": "overfit two_epochs few_pictures against_seconds attention",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """One epoch of every training of every study on the twin."""
    return {name: STUDIES[name].shared_study(tmp_path_factory)[0] for name in FIGURES}


def rows(folder: Path, table: str) -> dict[object, list]:
    """A table's rows by their first cell."""
    return {row[0]: row[1:] for row in read(folder)["tables"][table]["rows"]}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.slow
def test_a_study_leaves_figures_curves_and_a_summary(runs, name):
    folder = runs[name]
    assert {path.stem for path in folder.glob("figures/*.png")} == set(FIGURES[name].split())
    summary = read(folder)
    assert summary["published"] == {} and summary["data"] == "tiny"
    assert summary["metrics"] and all(np.isfinite(value) and value >= 0 for value in summary["metrics"].values())
    assert set(summary["chance"]) == {key for key in summary["metrics"] if key.endswith("accuracy")}
    assert all(len(row) == len(table["head"]) for table in summary["tables"].values() for row in table["rows"])
    assert not list(folder.rglob("checkpoint.npz")), "a finished study keeps no checkpoints"
    trained = [path.parent for path in folder.rglob("metrics.jsonl") if path.parent != folder]
    assert len(trained) >= (1 if name == "linear" else 2)  # linear classifiers have no curves
    for training in trained:
        assert "accuracy/val" in (training / "metrics.jsonl").read_text(), training


@pytest.mark.parametrize("name", ["fully_connected", "batchnorm", "dropout"])
@pytest.mark.slow
def test_the_gradient_checks_start_at_the_notebooks_losses(runs, name):
    table = rows(runs[name], "gradient_check")
    ours, theirs = table.pop("initial loss"), table.pop("initial loss, notebook")
    compared = [(mine, other) for mine, other in zip(ours, theirs, strict=True) if other != ""]
    assert len(compared) >= 2
    assert all(abs(mine - other) < 1e-3 for mine, other in compared)
    # Two examples leave next to nothing of W1's gradient before batch norm, and the difference's h² shows: 2e-4.
    assert len(table) >= 6 and max(error for errors in table.values() for error in errors) < 1e-3
    assert max(error for parameter, errors in table.items() if parameter != "error of W1" for error in errors) < 1e-5


@pytest.mark.slow
def test_fully_connected_tables(runs):
    slopes = rows(runs["fully_connected"], "slopes")
    assert slopes["sigmoid"][0] == slopes["ReLU"][0] == 0 and slopes["leaky ReLU"][0] == pytest.approx(0.01)
    assert slopes["ReLU"][-1] == 1
    assert set(rows(runs["fully_connected"], "rules")) == set(fully_connected.RULES)
    sizes = rows(runs["fully_connected"], "step_sizes")
    assert sizes[1] == pytest.approx([1, 10, 1], rel=0.02), "RMSProp's average starts at zero and is not corrected"
    assert sizes[10][0] < 0.5
    sensitivity = rows(runs["fully_connected"], "sensitivity")
    assert set(sensitivity) == {3, 5} and all(0 <= row[0] <= 1 for row in sensitivity.values())


@pytest.mark.slow
def test_initialization_tables(runs):
    signals = {tuple(row[:2]): row[2:] for row in read(runs["initialization"])["tables"]["signals"]["rows"]}
    assert len(signals) == 12
    for activation in ("tanh", "sigmoid", "ReLU"):
        first, last, spread, _, gradient = signals[activation, "zeros"]
        assert spread == gradient == 0 and first == last
    metrics = read(runs["initialization"])["metrics"]
    assert metrics["xavier_relu/rms_ratio"] == pytest.approx(2**-4.5, rel=0.2)
    assert metrics["he_relu/rms_ratio"] == pytest.approx(1, rel=0.2)


@pytest.mark.slow
def test_batchnorm_tables(runs):
    folder = runs["batchnorm"]
    shifted = rows(folder, "batchnorm_statistics")["batch norm, gamma 1 2 3, beta 11 12 13"]
    assert shifted == pytest.approx([11, 12, 13, 1, 2, 3], rel=1e-6)
    warm = np.array(rows(folder, "batchnorm_statistics")["batch norm, testing after 50 batches"])
    assert np.abs(warm[:3]).max() < 0.11 and np.abs(warm[3:] - 1).max() < 0.03
    assert rows(folder, "layernorm_statistics")["layer norm, gamma 3, beta 5"] == pytest.approx([5] * 4 + [3] * 4)
    assert rows(folder, "backward")["largest difference of dx"][1] < 1e-12
    equal = {name: [value < 1e-9 for value in row] for name, row in rows(folder, "preprocessing").items()}
    assert equal == {
        "pictures": [False, False, False],
        "1: every row of pixels sums to 1": [False, True, True],
        "2: every picture sums to 1": [False, True, False],
        "3: less the mean picture": [True, False, False],
        "4: 0 or 1 by a threshold": [False, False, False],
        "batch norm": [True, False, False],
        "layer norm": [False, True, False],
    }
    noise = rows(folder, "noise")
    assert noise[5][0] == pytest.approx(5**-0.5, rel=0.2) and noise[5][0] > noise[10][0] > noise[50][0]


@pytest.mark.slow
def test_dropout_tables(runs):
    for keep, (mean, train, test, zero, undivided, ratio) in rows(runs["dropout"], "statistics").items():
        assert test == mean and train == pytest.approx(mean, rel=0.01) and zero == pytest.approx(1 - keep, abs=0.01)
        assert undivided == pytest.approx(keep * mean, rel=0.01) and ratio == pytest.approx(1 / keep, rel=0.01)
    division = {tuple(row[:2]): row[2:] for row in read(runs["dropout"])["tables"]["division"]["rows"]}
    for layers in (1, 3):
        assert division[layers, "not divided"][0] > 3 * division[layers, "divided"][0]


def test_zca_makes_numbers_independent():
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((500, 6)) @ rng.standard_normal((6, 6))).reshape(500, 2, 3)
    X -= X.mean(axis=0)
    matrix = fully_connected.zca(X, 0.0)
    white = X.reshape(500, 6) @ matrix
    np.testing.assert_allclose(white.T @ white / 500, np.eye(6), atol=1e-9)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)


@pytest.mark.parametrize("whiten", [None, 0.1])
def test_pictures_are_prepared_by_training_pictures_alone(whiten):
    rng = np.random.default_rng(0)
    data = {f"X_{split}": rng.standard_normal((20, 3, 4, 4)).astype(np.float32) for split in ("train", "val", "test")}
    data |= {f"y_{split}": np.zeros(20, int) for split in ("train", "val", "test")}
    ready = fully_connected.prepare(data, whiten)
    assert ready["X_train"].std() == pytest.approx(1, rel=1e-4) and ready["X_test"].dtype == np.float32
    other = fully_connected.prepare(data | {"X_val": 5 * data["X_val"], "X_test": data["X_test"][:3]}, whiten)
    np.testing.assert_array_equal(other["X_train"], ready["X_train"])
    np.testing.assert_allclose(other["X_val"], 5 * ready["X_val"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(other["X_test"], ready["X_test"][:3], rtol=1e-3, atol=1e-5)


def test_the_learning_rate_rises_and_falls():
    factor = shared.rise_and_fall(0.2)
    assert [factor(share) for share in (0, 0.1, 0.2, 0.6, 1)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert [shared.rise_and_fall(0.0)(share) for share in (0, 0.25, 1)] == [1, 0.75, 0]


def test_sizes_of_steps_are_measured_in_learning_rates():
    rng = np.random.default_rng(0)
    data = {"X_train": rng.standard_normal((8, 5)), "y_train": np.arange(8) % 2}
    data |= {"X_val": data["X_train"], "y_val": data["y_train"]}
    net = FullyConnectedNet([4], 5, 2, dtype=np.float64, rng=rng)
    solver = fully_connected.StepSizes(
        net, data, batch_size=8, num_epochs=3, verbose=False, rng=1, update_rule="adagrad",
        optim_config={"learning_rate": 0.1},
    )  # fmt: skip
    solver.train()
    assert len(solver.sizes) == 3 and solver.sizes[0] == pytest.approx(1, abs=0.3) and solver.sizes[2] < solver.sizes[0]


def test_heat_maps_write_every_cell():
    maps = {"one": np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 1.0]]), "two": np.zeros((2, 3))}
    figure = fully_connected.heat_maps(maps, ("row", ["a", "b"]), ("column", ["x", "y", "z"]), "accuracy")
    one, two, _ = figure.axes
    assert [text.get_text() for text in one.texts] == ["10%", "20%", "30%", "40%", "50%", "100%"]
    assert (one.get_title(), one.get_ylabel(), two.get_xlabel()) == ("one", "row", "column")


@pytest.mark.parametrize("layer", [(tanh_forward, tanh_backward), (relu_forward, relu_backward)])
def test_signals_go_back_as_gradients_do(layer):
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((2, 4, 5))
    weights = rng.standard_normal((3, 5, 5))
    signal = initialization.propagate(x, weights, layer, dout)
    assert len(signal.forward) == len(signal.backward) == 4
    numerical = eval_numerical_gradient_array(
        lambda x: initialization.propagate(x, weights, layer, dout).forward[-1], x.copy(), dout
    )
    np.testing.assert_allclose(signal.backward[0], numerical, rtol=1e-5, atol=1e-7)


def test_with_relu_it_is_xavier_that_dies_out():
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((2, 300, 200))
    left = {}
    for init in (he, xavier, gaussian):
        weights = [init((200, 200), rng=rng) for _ in range(10)]
        signal = initialization.propagate(x, weights, (relu_forward, relu_backward), dout)
        left[init.__name__] = signal.rms()[-1], signal.gradient_rms()[0]
    assert left["he"] == pytest.approx((1, 1), rel=0.4)
    assert left["xavier"] == pytest.approx((2**-5, 2**-5), rel=0.4)
    assert max(left["gaussian"]) < 1e-8


def test_likeness_is_one_for_examples_that_differ_in_length_alone():
    h = np.outer([1e-30, 2.0, 3.0], [1.0, 2.0]).astype(np.float32)
    assert batchnorm.likeness(h) == pytest.approx(1)
    assert batchnorm.likeness(np.eye(3)) == pytest.approx(0)
