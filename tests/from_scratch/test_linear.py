"""Assignment 1: nearest neighbors, linear classifiers and the features of pictures."""

import numpy as np
import pytest

from from_scratch.classifiers import KNearestNeighbor, LinearSVM, Softmax
from from_scratch.classifiers.linear_classifier import LinearClassifier
from from_scratch.classifiers.neural_net import TwoLayerNet
from from_scratch.features import color_histogram_hsv, extract_features, hog_feature, rgb2gray
from from_scratch.gradient_check import grad_check_sparse


@pytest.fixture
def blobs(rng) -> tuple[np.ndarray, np.ndarray]:
    """60 points of three classes that lines part, with a 1 for the bias."""
    y = np.arange(60) % 3
    centers = np.array([[3, 0], [-3, 2], [0, -4]])
    return np.hstack([centers[y] + rng.standard_normal((60, 2)), np.ones((60, 1))]), y


def test_distances_by_loops_and_at_once_are_the_same(rng):
    knn = KNearestNeighbor()
    X = rng.standard_normal((7, 5))
    knn.train(rng.standard_normal((11, 5)), rng.integers(3, size=11))
    wanted = np.linalg.norm(X[:, None] - knn.X_train, axis=2)
    for compute in (knn.compute_distances_two_loops, knn.compute_distances_one_loop, knn.compute_distances_no_loops):
        np.testing.assert_allclose(compute(X), wanted, rtol=1e-12)
    assert np.isfinite(knn.compute_distances_no_loops(knn.X_train)).all()  # of equal examples, too
    assert {tuple(knn.predict(X, 3, loops)) for loops in (0, 1, 2)} == {tuple(knn.predict_labels(wanted, 3))}


def test_the_nearest_vote_and_the_smallest_label_wins_a_tie():
    knn = KNearestNeighbor()
    knn.train(np.zeros((5, 1)), np.array([2, 1, 1, 2, 0]))
    distances = np.array([[0.1, 0.2, 0.3, 0.4, 0.5]])
    assert [int(knn.predict_labels(distances, k)[0]) for k in (1, 2, 3, 4, 5)] == [2, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="k must be at least 1"):
        knn.predict_labels(distances, 0)
    with pytest.raises(ValueError, match="num_loops must be one of"):
        knn.predict(np.zeros((1, 1)), num_loops=3)


@pytest.mark.parametrize("kind", [LinearSVM, Softmax])
def test_a_linear_classifier_learns_what_lines_part(kind, blobs, tmp_path, rng):
    X, y = blobs
    net = kind()
    losses = net.train(X, y, learning_rate=0.1, num_iters=200, batch_size=20, rng=rng)
    assert losses[-1] < 0.3 * losses[0] and np.mean(net.predict(X) == y) > 0.95
    assert losses[0] == pytest.approx(2 if kind is LinearSVM else np.log(3), abs=0.05)  # scores of nearly zero
    net.save(tmp_path / "weights")
    again = kind()
    again.load(tmp_path / "weights")
    assert (again.predict(X) == net.predict(X)).all()
    grad_check_sparse(lambda W: net.loss(X, y, 0.1)[0], net.W, net.loss(X, y, 0.1)[1], 3)


def test_weights_and_batches_are_drawn_as_the_course_draws_them(blobs):
    X, y = blobs
    np.random.seed(0)
    net = Softmax()
    net.train(X, y, num_iters=1, batch_size=10)
    np.random.seed(0)
    W, batch = 0.001 * np.random.randn(3, 3), np.random.choice(60, 10)
    again = Softmax()
    again.W = W
    np.testing.assert_array_equal(net.W, W - 1e-3 * again.loss(X[batch], y[batch], 1e-5)[1])
    with pytest.raises(NotImplementedError, match="LinearSVM or Softmax"):
        LinearClassifier().train(X, y)


def test_edges_have_a_direction_and_colors_a_hue(rng):
    upright = np.zeros((32, 32, 3))
    upright[:, 12:] = 200.0  # one edge, within the second column of cells
    hog = hog_feature(upright).reshape(4, 4, 9)
    assert hog_feature(upright).shape == (144,) and (hog[:, 1, 0] > 0).all() and np.count_nonzero(hog) == 4
    across = hog_feature(upright.transpose(1, 0, 2)).reshape(4, 4, 9)
    assert (across[1, :, 4] == hog[:, 1, 0]).all() and np.count_nonzero(across) == 4
    np.testing.assert_allclose(hog_feature(200 - upright), hog_feature(upright))  # a direction and its opposite
    with pytest.raises(ValueError, match="at least 8 pixels"):
        hog_feature(np.zeros((7, 32)))
    colors = np.array([[[255, 0, 0], [255, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [255, 0, 255]]], float)
    assert color_histogram_hsv(colors, nbin=6).tolist() == pytest.approx([1 / 6] * 6)
    assert color_histogram_hsv(np.full((2, 2, 3), 90.0), nbin=4, normalized=False).tolist() == [4, 0, 0, 0]
    pictures = rng.uniform(0, 255, (3, 32, 32, 3))
    features = extract_features(pictures, [hog_feature, color_histogram_hsv])
    assert features.shape == (3, 154)
    np.testing.assert_array_equal(features[1], [*hog_feature(pictures[1]), *color_histogram_hsv(pictures[1])])
    assert rgb2gray(np.array([[1.0, 2.0, 4.0]]))[0] == pytest.approx(0.299 + 1.174 + 0.456)


def test_the_old_two_layer_net_trains_itself(blobs, rng):
    X, y = blobs
    np.random.seed(0)
    net = TwoLayerNet(3, 20, 3, std=0.1)
    np.random.seed(0)
    W1, W2, batch = 0.1 * np.random.randn(3, 20), 0.1 * np.random.randn(20, 3), np.random.choice(60, 20)
    np.testing.assert_array_equal(net.params["W1"], W1)
    np.testing.assert_array_equal(net.params["W2"], W2)
    first = net.loss(X[batch], y[batch], reg=0.5)[0]
    assert first == pytest.approx(net.loss(X[batch], y[batch])[0] + 0.5 * (np.sum(W1**2) + np.sum(W2**2)))
    np.random.seed(0)
    net = TwoLayerNet(3, 20, 3, std=0.1)
    history = net.train(X, y, X, y, learning_rate=0.5, learning_rate_decay=0.9, reg=0.5, num_iters=7, batch_size=20)
    assert {name: len(values) for name, values in history.items()} == {
        "loss_history": 7, "train_acc_history": 3, "val_acc_history": 3,
    } and history["loss_history"][0] == first  # fmt: skip
    net.train(X, y, X, y, learning_rate=0.5, num_iters=100, batch_size=20, rng=rng)
    assert np.mean(net.predict(X) == y) > 0.95 and net.loss(X).shape == (60, 3)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        net.train(X, y, X, y, batch_size=0)
    with pytest.raises(ValueError, match="hidden_dims must be at least 1"):
        TwoLayerNet(3, 0, 3)
