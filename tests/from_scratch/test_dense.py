"""The dense half of from_scratch: layers, losses, rules, nets and the solver."""

import copy
import warnings

import numpy as np
import pytest

from from_scratch import fast_layers, initialization, layers, optim, vis_utils
from from_scratch.activations import sigmoid
from from_scratch.classifiers import fc_net
from from_scratch.classifiers.fc_net import FullyConnectedNet, TwoLayerNet
from from_scratch.gradient_check import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    eval_numerical_gradient_blobs,
    grad_check_sparse,
    rel_error,
)
from from_scratch.solver import Solver

CONV, POOL = {"stride": 1, "pad": 1}, {"pool_height": 2, "pool_width": 2, "stride": 2}


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape) * 7 + len(shape)).normal(0.3, 1.1, shape)


def train() -> dict:
    return {"mode": "train"}


ROWS, IMAGES = (normal(5, 11), normal(11), normal(1, 11)[0]), normal(2, 6, 5, 7)


def test_losses_by_hand_and_in_the_extreme():
    np.random.seed(231)
    x, y = 0.001 * np.random.randn(50, 10), np.random.randint(10, size=50)
    assert layers.softmax_loss(x, y)[0] == pytest.approx(np.log(10), abs=1e-3)
    assert layers.svm_loss(x, y)[0] == pytest.approx(9, abs=1e-2)
    loss, dx = layers.softmax_loss(np.array([[1e4, -1e4], [0.0, 0.0]]), np.array([1, 0]))
    assert loss == pytest.approx((2e4 + np.log(2)) / 2) and np.allclose(dx, [[0.5, -0.5], [-0.25, 0.25]])
    assert layers.svm_loss(np.array([[3.0, 1.0, 2.5]]), np.array([0]))[0] == 0.5


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (np.zeros((2, 3)), [0, 3], "y must lie in 0..2, but has 0..3"),
        (np.zeros((2, 3)), [-1, 0], "y must lie in 0..2"),
        (np.zeros((2, 3)), [0], r"y must have the shape \(2,\), not \(1,\)"),
        (np.zeros((2, 3)), [0.0, 1.0], "whole numbers"),
        (np.zeros(3), [0], "x must have 2 axes"),
        (np.zeros((0, 3)), np.zeros(0, int), "at least one example"),
    ],
)
def test_losses_refuse(x, y, error):
    for loss in (layers.softmax_loss, layers.svm_loss):
        with pytest.raises((ValueError, TypeError), match=error):
            loss(x, np.asarray(y))


def test_sigmoid_keeps_its_precision_in_both_tails():
    x = np.array([-745.0, -40, 0, 40, 745])
    with np.errstate(all="raise", under="ignore"):
        out = sigmoid(x)
        slope = layers.sigmoid_backward(np.ones(5), x)
        assert layers.tanh_backward(np.ones(1), np.array([30.0])) == pytest.approx(4 * np.exp(-60))
    np.testing.assert_allclose(out[[0, 1, 2, 4]], [np.exp(-745), np.exp(-40), 0.5, 1])
    np.testing.assert_allclose(slope[[1, 3]], np.exp(-40))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: layers.affine_forward(normal(2, 3), normal(4, 5), normal(5)), r"x \(2, 3\) .* w \(4, 5\)"),
        (lambda: layers.affine_forward(normal(2, 4), normal(4, 5), normal(4)), r"b must have the shape \(5,\)"),
        (lambda: layers.batchnorm_forward(*ROWS, {"mode": "eval"}), "mode.*'train', 'test', not 'eval'"),
        (lambda: layers.batchnorm_forward(*ROWS, {}), "mode.*not None"),
        (lambda: layers.batchnorm_forward(ROWS[0], normal(3), ROWS[2], train()), r"gamma must have the shape \(11,\)"),
        (lambda: layers.batchnorm_backward(ROWS[0], None), "test mode"),
        (lambda: layers.layernorm_forward(ROWS[0], ROWS[1], normal(3), {}), "beta must have the shape"),
        (lambda: layers.spatial_batchnorm_forward(*ROWS, train()), "x must have 4 axes"),
        (
            lambda: layers.spatial_groupnorm_forward(IMAGES, normal(1, 6, 1, 1), normal(1, 6, 1, 1), 4, {}),
            "G must divide",
        ),
        (lambda: layers.dropout_forward(IMAGES, {"p": 0, "mode": "train"}), "probability of keeping"),
        (lambda: layers.dropout_forward(IMAGES, {"p": 0.5, "mode": "eval"}), "mode"),
        (lambda: layers.dropout_forward(IMAGES, {"p": 0.5}), "dropout_param lacks mode"),
        (lambda: optim.sgd(np.zeros(3), np.zeros(2)), r"dw must have the shape \(3,\)"),
        (lambda: optim.adam(np.zeros(3), np.zeros(3), {"m": np.zeros(2)}), r"config\['m'\] must have the shape"),
        (lambda: FullyConnectedNet([5], normalization="instancenorm"), "normalization must be one of"),
        (lambda: FullyConnectedNet([5], dropout_keep_ratio=0), "dropout_keep_ratio must lie in"),
        (lambda: FullyConnectedNet([0]), "at least 1"),
        (lambda: FullyConnectedNet([5], drop=1), "no argument 'drop'"),
        (lambda: FullyConnectedNet([5]).loss(np.zeros((2, 3, 32, 32), np.uint8)), "X must be an array of floats"),
        (lambda: initialization.he((3,)), "shape must be"),
        (lambda: vis_utils.visualize_grid(np.zeros((2, 3))), "Xs must be pictures"),
    ],
)
def test_wrong_input_is_refused_by_name(call, error):
    with pytest.raises((ValueError, TypeError), match=error):
        call()


def test_batchnorm_in_test_mode_starts_averages_and_keeps_no_cache():
    fresh = {"mode": "test"}
    _, cache = layers.batchnorm_forward(*(a.astype(np.float32) for a in ROWS), fresh)
    assert cache is None
    assert fresh["running_mean"].dtype == fresh["running_var"].dtype == np.float32


def test_dropout_draws_as_the_course_does():
    x = np.full((50, 60), 10.0)
    out, (_, mask) = layers.dropout_forward(x, {"mode": "train", "p": 0.4, "seed": 123})
    np.random.seed(123)
    np.testing.assert_array_equal(mask, (np.random.rand(50, 60) < 0.4) / 0.4)
    assert out.mean() == pytest.approx(10, abs=0.5) and (out == 0).mean() == pytest.approx(0.6, abs=0.03)
    mine = {"mode": "train", "p": 0.4, "rng": np.random.default_rng(1)}
    np.testing.assert_array_equal(
        layers.dropout_forward(x, mine)[1][1] > 0, np.random.default_rng(1).random((50, 60)) < 0.4
    )


RULES = ("sgd", "sgd_momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")


@pytest.mark.parametrize("rule", RULES)
def test_rules_keep_float32_and_their_arguments(rule):
    w, config = np.ones((2, 3), np.float32), {"learning_rate": np.float64(0.1)}
    same = config
    for _ in range(2):
        before, dw = w.copy(), np.full((2, 3), 0.5, np.float32)
        w_next, config = getattr(optim, rule)(w, dw, config)
        assert np.array_equal(w, before) and (dw == 0.5).all()
        w = w_next
    assert w.dtype == np.float32 and config is same
    assert all(value.dtype == np.float32 for value in config.values() if np.ndim(value))


def test_momentum_and_adam_take_the_notebooks_state():
    w = np.linspace(-0.4, 0.6, num=20).reshape(4, 5)
    dw, v = np.linspace(-0.6, 0.4, num=20).reshape(4, 5), np.linspace(0.6, 0.9, num=20).reshape(4, 5)
    next_w, config = optim.sgd_momentum(w, dw, {"learning_rate": 1e-3, "velocity": v})
    assert rel_error(next_w.ravel()[[0, 1, 19]], np.array([0.1406, 0.20738947, 1.4096])) < 1e-7
    assert rel_error(config["velocity"].ravel()[[0, 19]], np.array([0.5406, 0.8096])) < 1e-8
    m, v = np.linspace(0.6, 0.9, num=20).reshape(4, 5), np.linspace(0.7, 0.5, num=20).reshape(4, 5)
    next_w, config = optim.adam(w, dw, {"learning_rate": 1e-2, "m": m, "v": v, "t": 5})
    assert config["t"] == 6 and rel_error(next_w[0, 0], -0.40094747) < 1e-7


def test_the_legacy_generator_draws_weights_as_the_course_does():
    np.random.seed(231)
    drawn = initialization.gaussian((3, 4), 0.5)
    np.random.seed(231)
    np.testing.assert_array_equal(drawn, 0.5 * np.random.randn(3, 4))


def test_two_layer_net_gives_the_notebooks_values():
    model = TwoLayerNet(input_dim=5, hidden_dim=50, num_classes=7, weight_scale=1e-3)
    assert abs(model.params["W1"].std() - 1e-3) < 3e-4 and not model.params["b1"].any()
    model.params["W1"] = np.linspace(-0.7, 0.3, num=5 * 50).reshape(5, 50)
    model.params["b1"] = np.linspace(-0.1, 0.9, num=50)
    model.params["W2"] = np.linspace(-0.3, 0.4, num=50 * 7).reshape(50, 7)
    model.params["b2"] = np.linspace(-0.9, 0.1, num=7)
    X = np.linspace(-5.5, 4.5, num=3 * 5).reshape(5, 3).T
    assert rel_error(model.loss(X)[0, :2], np.array([11.53165108, 12.2917344])) < 1e-7
    y = np.asarray([0, 5, 1])
    assert model.loss(X, y)[0] == pytest.approx(3.4702243556, abs=1e-10)
    model.reg = 1.0
    assert model.loss(X, y)[0] == pytest.approx(26.5948426952, abs=1e-10)


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ([{"reg": 0}], 2.3004790897684924),
        ([{"reg": 0}, {"reg": 3.14}], 7.052114776533016),
        ([{"dropout_keep_ratio": 1, "seed": 123}, {"dropout_keep_ratio": 0.75, "seed": 123}], 2.302371489704412),
    ],
)
def test_initial_losses_are_the_notebooks(options, loss):
    np.random.seed(231)
    X, y = np.random.randn(2, 15), np.random.randint(10, size=(2,))
    for more in options:  # the notebook builds its nets one after the other without seeding again
        net = FullyConnectedNet([20, 30], input_dim=15, num_classes=10, weight_scale=5e-2, dtype=np.float64, **more)
        found, _ = net.loss(X, y)
    assert found == pytest.approx(loss, abs=1e-12)


def test_fully_connected_net_starts_at_log_c_and_stays_float32():
    model = FullyConnectedNet([20, 20], dropout_keep_ratio=0.5, normalization="batchnorm", weight_scale=1e-3)
    assert (model.num_layers, model.use_dropout, model.normalization) == (3, True, "batchnorm")
    X, y = normal(30, 3, 32, 32), np.arange(30) % 10
    loss, grads = model.loss(X, y)
    assert loss == pytest.approx(np.log(10), abs=0.05) and loss.dtype == np.float32
    assert all(grads[name].dtype == w.dtype == np.float32 for name, w in model.params.items())
    assert model.loss(X).dtype == np.float32 and model.loss(X).shape == (30, 10)
    assert model.dropout_param["mode"] == model.bn_params[0]["mode"] == "test" and len(model.bn_params) == 2
    assert FullyConnectedNet([5], normalization="layernorm").bn_params == [{}]
    model.reg = np.float64(0.1)
    loss, grads = model.loss(X, y)
    assert loss.dtype == grads["W1"].dtype == np.float32


def test_older_names_say_the_new_one():
    with pytest.warns(DeprecationWarning, match="dropout is now dropout_keep_ratio"):
        assert FullyConnectedNet([5], dropout=0.5).dropout_param == {"mode": "train", "p": 0.5}
    with pytest.warns(DeprecationWarning, match="dropout is now"):
        assert not FullyConnectedNet([5], dropout=0).use_dropout
    with pytest.warns(DeprecationWarning, match="use_batchnorm is now normalization='batchnorm'"):
        assert FullyConnectedNet([5], use_batchnorm=True).normalization == "batchnorm"


def test_nets_save_load_and_take_an_initialization(tmp_path):
    model = FullyConnectedNet([5], 7, 3, init=initialization.orthogonal, rng=np.random.default_rng(0), dtype=np.float64)
    w = model.params["W1"]
    np.testing.assert_allclose(w.T @ w, np.eye(5), atol=1e-12)
    model.save(tmp_path / "net.npy")
    other = FullyConnectedNet([5], 7, 3, dtype=np.float64)
    other.load(tmp_path / "net.npy")
    np.testing.assert_array_equal(other.params["W1"], w)
    with pytest.raises(ValueError, match="holds the parameters"):
        FullyConnectedNet([6], 7, 3).load(tmp_path / "net.npy")
    names = [name for name in vars(layers) if not name.startswith("_")]
    assert all(hasattr(fc_net, name) for name in [*names, "affine_relu_forward", "conv_relu_pool_backward"])


def problem(n: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 11)), rng.integers(0, 3, n)
    X[np.arange(n), y] += 2
    return {"X_train": X, "y_train": y, "X_val": X[: n // 2] + 0.5, "y_val": y[: n // 2]}


def net(**options) -> FullyConnectedNet:
    np.random.seed(231)
    return FullyConnectedNet([7, 7], 11, 3, weight_scale=0.3, dtype=np.float64, **options)


def test_solver_draws_prints_and_counts_as_the_course_does(capsys):
    data, records = problem(), []
    solver = Solver(
        net(),
        data,
        batch_size=15,
        num_epochs=3,
        num_train_samples=10,
        num_val_samples=8,
        lr_decay=0.5,
        print_every=2,
        record=lambda step, loss, **more: records.append((step, loss, more)),
    )
    solver.train()
    printed = capsys.readouterr().out.splitlines()
    # The course's loop, written out: 40 // 15 = 2 steps an epoch.
    model = net()
    losses, accuracies = [], []
    for t in range(6):
        batch = np.random.choice(40, 15)
        loss, grads = model.loss(data["X_train"][batch], data["y_train"][batch])
        losses.append(loss)
        for name, dw in grads.items():
            model.params[name] = model.params[name] - 0.01 * 0.5 ** (t // 2) * dw
        if t == 0 or t % 2:
            for split, n, k in (("train", 40, 10), ("val", 20, 8)):
                sample = np.random.choice(n, k)
                scores = model.loss(data[f"X_{split}"][sample])
                accuracies.append(np.mean(scores.argmax(axis=1) == data[f"y_{split}"][sample]))
    # lr_decay changes a learning rate that the config holds after its first step only.
    np.testing.assert_array_equal(solver.loss_history, losses)
    assert solver.train_acc_history == accuracies[::2] and solver.val_acc_history == accuracies[1::2]
    assert len(solver.val_acc_history) == 4 and solver.epoch == 3 and solver.best_val_acc == max(accuracies[1::2])
    assert printed[0] == f"(Iteration 1 / 6) loss: {losses[0]:f}" and len(printed) == 3 + 4
    assert printed[1] == f"(Epoch 0 / 3) train acc: {accuracies[0]:f}; val_acc: {accuracies[1]:f}"
    assert [r[:2] for r in records] == list(enumerate(losses))
    assert records[3][2] == {"train_acc": accuracies[4], "val_acc": accuracies[5]} and records[2][2] == {}
    Solver(net(), data, num_epochs=2, print_every=-1).train()
    assert [line[:6] for line in capsys.readouterr().out.splitlines()] == 2 * ["(Epoch"]


def test_the_model_at_the_end_is_the_best_one_measured():
    data = problem()
    solver = Solver(net(normalization="batchnorm"), data, batch_size=10, num_epochs=6, verbose=False)
    solver.optim_config["learning_rate"] = 1.0
    solver._reset()
    solver.train()
    assert solver.check_accuracy(data["X_val"], data["y_val"]) == solver.best_val_acc


@pytest.mark.parametrize("rng", [None, np.random.default_rng(5), np.random.RandomState(5)])
def test_a_resumed_training_has_the_same_bits(tmp_path, rng):
    options = dict(update_rule="adam", batch_size=10, num_epochs=4, lr_decay=0.9, num_train_samples=20, verbose=False)

    def solver(rng):
        model = net(normalization="batchnorm", dropout_keep_ratio=0.7, rng=copy.deepcopy(rng))
        return Solver(model, problem(), checkpoint_name=tmp_path / "run", rng=copy.deepcopy(rng), **options)

    whole = solver(rng)
    whole.train()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"run_epoch_{i}.npz" for i in range(5)]
    np.load(tmp_path / "run_epoch_2.npz", allow_pickle=False)["state"]
    np.random.rand(3)
    again = solver(rng)
    again.resume(tmp_path / "run_epoch_2.npz")
    assert again.epoch == 2 and len(again.loss_history) == 8 and again.optim_configs["W1"]["t"] == 8
    again.train()
    for name in ("loss_history", "train_acc_history", "val_acc_history", "best_val_acc", "epoch"):
        assert getattr(again, name) == getattr(whole, name), name
    for name, w in whole.model.params.items():
        np.testing.assert_array_equal(again.model.params[name], w)
    for mine, other in zip(again.model.bn_params, whole.model.bn_params, strict=True):
        np.testing.assert_array_equal(mine["running_var"], other["running_var"])
    with pytest.raises(ValueError, match=r"of another training: \['adam', 10, 4"):
        Solver(net(), problem()).resume(tmp_path / "run_epoch_2.npz")
    (tmp_path / "torn.npz").write_bytes((tmp_path / "run_epoch_2.npz").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"torn.npz is not a checkpoint"):
        again.resume(tmp_path / "torn.npz")


def test_schedule_and_augmentation():
    rates, seen = [], []

    def rule_of(share):
        rates.append(share)
        return 1 - share

    def augment(X, rng):
        seen.append((X.shape, rng.random()))
        return 0 * X

    options = dict(optim_config={"learning_rate": 0.5}, batch_size=10, num_epochs=2, lr_decay=0.9, verbose=False)
    solver = Solver(net(), problem(), schedule=rule_of, augment=augment, rng=3, **options)
    solver.train()
    total = len(solver.loss_history)
    np.testing.assert_allclose(rates, np.arange(total) / total)
    assert {shape for shape, _ in seen} == {(10, *problem()["X_train"].shape[1:])} and len(seen) == total
    assert solver.loss_history[0] == pytest.approx(np.log(net().loss(problem()["X_train"]).shape[1]), abs=1e-6)
    rate = 0.5 * 0.9 * (1 - (total - 1) / total) * 0.9  # of the last step, then decayed as the epoch ends
    assert solver.optim_configs["W1"]["learning_rate"] == pytest.approx(rate)
    with pytest.raises(ValueError, match="a schedule needs optim_config"):
        Solver(net(), problem(), schedule=rule_of)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"learning_rate": 1}, "Unrecognized arguments 'learning_rate'"),
        ({"update_rule": "sdg"}, "update_rule must be one of .*'sgd_momentum'.*not 'sdg'"),
        ({"update_rule": "checks"}, "update_rule"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
    ],
)
def test_solver_refuses(options, error):
    with pytest.raises((ValueError, TypeError), match=error):
        Solver(net(), problem(), **options)
    data = problem()
    with pytest.raises(ValueError, match="data must have X_val"):
        Solver(net(), {k: v for k, v in data.items() if k != "X_val"})
    with pytest.raises(ValueError, match="X_train and y_train must be equally many"):
        Solver(net(), data | {"y_train": data["y_train"][1:]})


def test_gradient_checks(capsys):
    x = normal(2, 3)
    before = x.copy()
    np.testing.assert_allclose(eval_numerical_gradient(lambda z: np.sum(z**3), x), 3 * x**2, rtol=1e-8)
    assert capsys.readouterr().out.count("\n") == 6
    state = np.random.get_state()[1].copy()
    grad_check_sparse(lambda z: np.sum(z**3), x, 3 * x**2, num_checks=4)
    assert capsys.readouterr().out.count("relative error") == 4
    assert np.array_equal(x, before) and np.array_equal(state, np.random.get_state()[1])
    with pytest.raises(TypeError, match="x must be an array of floats"):
        eval_numerical_gradient_array(lambda z: z, np.ones(3, int), np.ones(3))

    class Blob:
        def __init__(self, vals):
            self.vals, self.diffs = vals, np.ones_like(vals)

    def double(source, target):
        target.vals[...] = 2 * source.vals  # in place: one array for every answer

    (grad,) = eval_numerical_gradient_blobs(double, (Blob(x),), Blob(np.zeros_like(x)))
    np.testing.assert_allclose(grad, 2)


def test_grids():
    Xs = np.random.default_rng(0).integers(0, 255, (5, 4, 3, 3)).astype(np.uint8)
    Xs[4] = 9
    grid = vis_utils.visualize_grid(Xs)
    assert grid.shape == (3 * 4 + 2, 3 * 3 + 2, 3) and grid.max() == 255 and not grid[4].any()
    tile = Xs[1].astype(float)
    np.testing.assert_allclose(grid[:4, 4:7], 255 * (tile - tile.min()) / np.ptp(tile))
    assert not grid[5:9, 4:7].any()  # a picture of one value
    grid = vis_utils.vis_grid(Xs)
    assert grid.shape == (14, 11, 3) and (grid.min(), grid.max()) == (0, 1)
    rows = vis_utils.vis_nn([[Xs[0], Xs[1]], [Xs[2], Xs[3]], [Xs[4], Xs[0]]])
    assert rows.shape == (3 * 4 + 2, 2 * 3 + 1, 3)
    with pytest.raises(ValueError, match="equally long"):
        vis_utils.vis_nn([[Xs[0]], []])


def test_biases_and_gains_of_whole_numbers_are_taken_as_floats():
    """The notebooks write b = np.array([0, 128]) and gamma = np.asarray([3, 4, 5])."""
    x, w = normal(2, 3, 5, 5).astype(np.float32), normal(2, 3, 3, 3).astype(np.float32)
    whole, floating = np.array([0, 128]), np.array([0, 128], np.float32)
    for forward in (layers.conv_forward_naive, fast_layers.conv_forward_fast, fast_layers.conv_forward_strides,
                    fast_layers.conv_forward_im2col):  # fmt: skip
        out, cache = forward(x, w, whole, CONV)
        assert out.dtype == np.float32
        np.testing.assert_array_equal(out, forward(x, w, floating, CONV)[0])
        assert layers.conv_backward_naive(out, cache)[2].dtype == np.float32
    gamma, beta = np.asarray([3, 4, 5]), np.asarray([6, 7, 8])
    out, _ = layers.spatial_batchnorm_forward(x, gamma, beta, train())
    np.testing.assert_allclose(out.mean(axis=(0, 2, 3)), beta, rtol=1e-5)
    np.testing.assert_allclose(out.std(axis=(0, 2, 3)), gamma, rtol=1e-4)
    assert layers.affine_forward(x, normal(75, 2).astype(np.float32), whole)[0].dtype == np.float32


def test_dropout_takes_a_seed_beside_a_generator_and_a_ratio_of_numpy():
    model = FullyConnectedNet([9], 5, 3, np.linspace(0.25, 1, 2)[0], seed=1, rng=np.random.default_rng(0))
    X, y = normal(4, 5), np.arange(4) % 3
    assert model.loss(X, y)[0] == model.loss(X, y)[0]


@pytest.mark.parametrize("kind", ["reshape", "im2col"])
def test_writing_into_a_pooling_s_output_does_not_reach_its_backward(kind):
    x = normal(2, 3, 4, 4)
    out, cache = getattr(fast_layers, f"max_pool_forward_{kind}")(x, POOL)
    dout = normal(*out.shape)
    wanted = layers.max_pool_backward_naive(dout, layers.max_pool_forward_naive(x, POOL)[1])
    out *= 0
    np.testing.assert_array_equal(getattr(fast_layers, f"max_pool_backward_{kind}")(dout, cache), wanted)


def test_a_saved_net_takes_its_running_averages_along(tmp_path):
    options = dict(hidden_dims=[7, 7], input_dim=11, num_classes=3, normalization="batchnorm")
    saved = FullyConnectedNet(dtype=np.float64, rng=np.random.default_rng(0), **options)
    loaded = FullyConnectedNet(dtype=np.float32, rng=np.random.default_rng(1), **options)
    data = problem()
    for _ in range(3):
        saved.loss(data["X_train"], data["y_train"])
    saved.save(tmp_path / "net")
    loaded.load(tmp_path / "net")
    np.testing.assert_allclose(loaded.loss(data["X_val"]), saved.loss(data["X_val"]), rtol=1e-4, atol=1e-5)
    assert loaded.params["W1"].dtype == np.float32
    (tmp_path / "other").write_text("garbage")
    with pytest.raises(ValueError, match="other holds no parameters"):
        loaded.load(tmp_path / "other")


def test_an_unknown_option_of_a_rule_is_named():
    for rule in (optim.sgd, optim.sgd_momentum, optim.nesterov, optim.adagrad, optim.rmsprop, optim.adam, optim.adamw):
        with pytest.warns(match="unknown option 'learnin_rate'"):
            w, _ = rule(np.ones(2), np.ones(2), {"learnin_rate": 1})
        with warnings.catch_warnings(action="error"):
            again, config = rule(np.ones(2), np.ones(2), {"beta1": 0.9, "decay_rate": 0.99})
            assert (again == w).all()
            rule(np.ones(2), np.ones(2), config)
