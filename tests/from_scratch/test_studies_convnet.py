"""The study of convolutional nets: a run on the twin, and its parts."""

import json

import numpy as np
import pytest

from from_scratch.layers import spatial_batchnorm_backward, spatial_batchnorm_forward
from from_scratch.studies import convnet, convnet_layers
from from_scratch.studies.shared import mirror_and_shift
from tests.programs import STUDIES

FIGURES = {"image_processing", "overfit", "one_epoch", "filters"}
FIGURES |= {f"deep{name}" for name in ("", "_confusion", "_classes", "_mistakes")}
TRAININGS = {"overfit": 2, "one_epoch/as_written": 70, "one_epoch/better": 70, "deep": 70}  # steps of one epoch


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return STUDIES["convnet"].shared_study(tmp_path_factory)[0]


@pytest.fixture(scope="module")
def summary(run):
    return json.loads((run / "summary.json").read_text())


def column(summary: dict, table: str, name: str) -> list:
    head, rows = summary["tables"][table]["head"], summary["tables"][table]["rows"]
    return [row[head.index(name)] for row in rows]


@pytest.mark.slow
def test_a_run_leaves_figures_curves_and_a_summary(run, summary):
    assert {path.stem for path in run.glob("figures/*.png")} == FIGURES
    metrics = summary["metrics"]
    assert (
        set(metrics)
        == set(summary["chance"])
        == {
            "overfit/train_accuracy",
            *(
                f"{recipe}/{split}_accuracy"
                for recipe in ("one_epoch", "one_epoch_better")
                for split in ("train", "val")
            ),
            "deep/val_accuracy",
            "deep/one_view_test_accuracy",
            "deep/test_accuracy",
        }
    )
    assert summary["published"] == {} and metrics["deep/test_accuracy"] > 0.2
    assert metrics["one_epoch_better/val_accuracy"] >= metrics["one_epoch/val_accuracy"] > 0.3
    for name, steps in TRAININGS.items():
        last = json.loads((run / name / "metrics.jsonl").read_text().splitlines()[-1])
        assert last["step"] == steps and {"accuracy/val", "loss/train", "lr"} <= last.keys()


@pytest.mark.slow
def test_the_tables_agree_with_the_notebook(summary):
    ours, notebook = (column(summary, "initial_loss", name) for name in ("loss", "notebook"))
    assert np.allclose(ours, notebook, atol=1e-3)
    errors = dict(three=[], deep=[])
    for net, error in zip(
        column(summary, "gradient_check", "net"),
        column(summary, "gradient_check", "error, as a share of the largest"),
        strict=True,
    ):
        errors[net[: net.index(" ")].strip(",")].append(error)
    # The notebook's net has weights of 1e-3 and biases of 0: a step of h = 1e-6 takes some units over ReLU's kink.
    assert len(errors["three"]) == 6 and max(errors["three"]) < 1e-2
    # The deep net's are larger; what is left is rounding, some eps |loss| / h = 1e-9, of gradients about 1.
    assert len(errors["deep"]) == 11 and max(errors["deep"]) < 1e-7
    assert max(column(summary, "naive_and_fast", "largest difference")) < 1e-10
    assert min(column(summary, "naive_and_fast", "times faster")) > 5
    for name in ("dx", "dgamma", "dbeta"):
        assert max(column(summary, "norm_gradients", name)) < 1e-7


@pytest.mark.slow
def test_the_norms_statistics_are_gamma_and_beta(summary):
    rows = {row[0]: row[1:] for row in summary["tables"]["norm_statistics"]["rows"]}
    assert np.allclose(rows["channels: batch norm, gamma 1, beta 0"], [0, 0, 1, 1], atol=1e-5)
    assert np.allclose(rows["channels: batch norm, gamma 3 4 5, beta 6 7 8"], [6, 8, 3, 5], atol=1e-5)
    assert np.allclose(rows["channels: batch norm, testing after 50 batches"], [0, 0, 1, 1], atol=0.15)
    assert np.allclose(rows["groups of 3 channels: group norm"], [0, 0, 1, 1], atol=1e-5)


@pytest.mark.slow
def test_the_memory_of_a_step_is_more_than_its_gradients(summary):
    parameters, step, scores = (
        column(summary, "memory", name) for name in ("parameters, MiB", "loss and gradients, MiB", "scores, MiB")
    )
    assert all(size < most and less < most for size, most, less in zip(parameters, step, scores, strict=True))
    assert parameters[0] == pytest.approx(4 * 4_106_214 / 2**20, rel=1e-3)


def test_mirror_and_shift_gives_windows_of_the_mirrored_or_the_same_picture():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3, 6, 7)).astype(np.float32)
    before = X.copy()
    out = mirror_and_shift(X, np.random.default_rng(1), 2)
    assert out.dtype == X.dtype and out.shape == X.shape and np.array_equal(X, before)
    found = set()
    for picture, new in zip(X, out, strict=True):
        for mirrored in (False, True):
            padded = np.pad(picture[..., ::-1] if mirrored else picture, ((0, 0), (2, 2), (2, 2)), mode="reflect")
            found |= {
                (mirrored, row, column)
                for row in range(5)
                for column in range(5)
                if np.array_equal(padded[:, row : row + 6, column : column + 7], new)
            }
    assert len(found) > 30, "sixty pictures take most of the fifty places"
    assert np.array_equal(out, mirror_and_shift(X, np.random.default_rng(1), 2))
    only_mirrored = mirror_and_shift(X, np.random.default_rng(1), 0)
    same = [np.array_equal(a, b) for a, b in zip(X, only_mirrored, strict=True)]
    assert 15 < sum(same) < 45
    assert np.array_equal(only_mirrored[~np.array(same)], X[~np.array(same)][..., ::-1])


@pytest.mark.parametrize(("shape", "pixels"), [((2, 3, 4), 1), ((2, 3, 4, 4), 4), ((2, 3, 4, 4), -1)])
def test_mirror_and_shift_refuses_what_does_not_fit(shape, pixels):
    with pytest.raises(ValueError, match="pictures"):
        mirror_and_shift(np.zeros(shape), np.random.default_rng(0), pixels)


def test_grey_and_edges():
    x = np.zeros((1, 3, 8, 8))
    x[0, 2, 4:] = 10.0  # blue begins in row 4
    x[0, 0, :, 3] = 50.0
    gray, edges = convnet_layers.gray_and_edges(x)[0]
    assert np.allclose(gray, 0.3 * x[0, 0] + 0.6 * x[0, 1] + 0.1 * x[0, 2])
    assert np.allclose(edges[3:5, 1:-1], 128 - 4 * 10) and np.allclose(edges[[1, 2, 5, 6], 1:-1], 128)


def test_a_wrong_backward_has_a_large_error():
    rng = np.random.default_rng(0)
    arrays = (rng.standard_normal((2, 3, 4, 5)), rng.standard_normal(3), rng.standard_normal(3))
    dout = rng.standard_normal((2, 3, 4, 5))

    def forward(x, gamma, beta):
        return spatial_batchnorm_forward(x, gamma, beta, {"mode": "train"})

    def wrong(dout, cache):
        dx, dgamma, dbeta = spatial_batchnorm_backward(dout, cache)
        return dx, 1.1 * dgamma, dbeta

    errors = convnet_layers.norm_errors(forward, wrong, arrays, dout)
    assert errors[1] == pytest.approx(0.1 / 1.1) and max(errors[0], errors[2]) < 1e-7


def test_peak_counts_what_a_call_holds_at_once():
    assert 8 * 2**20 < convnet_layers.peak(lambda n: np.ones(n).sum(), 2**20) < 9 * 2**20


def test_scale_makes_the_training_pictures_deviation_one():
    data = {"X_train": np.arange(24.0).reshape(2, 3, 2, 2), "X_val": np.ones((1, 3, 2, 2)), "y_train": np.array([0, 1])}
    scaled = convnet.scale(data)
    assert scaled["X_train"].std() == pytest.approx(1) and data["X_val"].max() == 1
    assert np.allclose(scaled["X_val"], 1 / data["X_train"].std()) and scaled["y_train"] is data["y_train"]


def test_the_surest_mistakes_come_first():
    scores = np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 2.0], [5.0, 0.0]])
    figure = convnet.surest_mistakes(np.zeros((4, 2, 2, 3)), scores, np.array([1, 0, 0, 0]), ("cat", "dog"))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["dog\nas cat 95%", "cat\nas dog 88%", "cat\nas dog 73%"]


def test_filter_grids_have_a_picture_for_each_net():
    figure = convnet.filter_grids({name: np.random.default_rng(0).random((5, 3, 7, 7)) for name in ("one", "two")})
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    assert all(axes.images[0].get_array().shape == (23, 23, 3) for axes in figure.axes)  # 3 x 3 tiles of 7, 2 gaps
