"""Convolution, pooling and the convolutional nets in NumPy: against numbers, loops and each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from from_scratch import convolution, fast_layers, im2col
from from_scratch.classifiers import cnn

QUICK = ("fast", "im2col", "strides")


def pool_param(height, width, stride):
    return {"pool_height": height, "pool_width": width, "stride": stride}


def arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def layer(kind, name):
    home = convolution if name == "naive" else fast_layers
    return getattr(home, f"{kind}_forward_{name}"), getattr(home, f"{kind}_backward_{name}")


def close(ours, theirs, tolerance=1e-10):
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@st.composite
def convolutions(draw):
    """Shapes, stride and pad of a convolution of which at least one window fits."""
    sides = st.integers(1, 8)
    HH, WW, pad = draw(st.integers(1, 5)), draw(st.integers(1, 5)), (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    H, W = (max(draw(sides), k - 2 * p) for k, p in zip((HH, WW), pad, strict=True))
    N, C, F = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    return (N, C, H, W), (F, C, HH, WW), {"stride": stride, "pad": pad}


@settings(deadline=None, max_examples=80)
@given(convolutions(), st.sampled_from([1, 2, 5]))
def test_quick_convolutions_equal_the_loops(drawn, images):
    """The last block of images may be smaller than the others."""
    x_shape, w_shape, param = drawn
    x, w, b = arrays(x_shape, w_shape, w_shape[0])
    out, cache = convolution.conv_forward_naive(x, w, b, param)
    (dout,) = arrays(out.shape, seed=1)
    wanted = out, *convolution.conv_backward_naive(dout, cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(im2col, "BLOCK_BYTES", images * (w[0].size + 1) * out[0, 0].size * out.itemsize)
        for name in QUICK:
            forward, backward = layer("conv", name)
            out, cache = forward(x, w, b, param)
            for ours, theirs in zip((out, *backward(dout, cache)), wanted, strict=True):
                close(ours, theirs, 1e-9)


@pytest.mark.parametrize("name", ["naive", "im2col"])
def test_overlapping_windows_add_up_and_a_tie_goes_to_the_first(name):
    forward, backward = layer("max_pool", name)
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1
    out, cache = forward(x, pool_param(2, 2, 1))
    assert (out == 1).all()
    dx = backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), cache)
    assert dx[0, 0, 1, 1] == 10 and dx.sum() == 10
    _, cache = forward(np.zeros((1, 1, 2, 2)), pool_param(2, 2, 2))
    np.testing.assert_array_equal(backward(np.ones((1, 1, 1, 1)), cache), [[[[1, 0], [0, 0]]]])


def test_tiles_share_a_tie_as_the_courses_do():
    x = np.array([[[[3.0, 3.0], [1.0, 3.0]]]])
    _, cache = fast_layers.max_pool_forward_fast(x, pool_param(2, 2, 2))
    assert cache[0] == "reshape"
    close(fast_layers.max_pool_backward_fast(np.full((1, 1, 1, 1), 6.0), cache), [[[[2, 2], [0, 2]]]])


def test_no_cache_holds_columns():
    x, w, b = arrays((2, 3, 7, 5), (5, 3, 3, 3), 5)
    param = {"stride": 1, "pad": 1}
    for name in QUICK:
        _, cache = layer("conv", name)[0](x, w, b, param)
        assert all(kept is given for kept, given in zip(cache, (x, w, b, param), strict=True))


def test_the_gradient_of_the_images_can_be_left_out():
    x, w, b = arrays((2, 3, 7, 5), (5, 3, 3, 3), 5)
    out, cache = fast_layers.conv_forward_fast(x, w, b, {"stride": 1, "pad": 1})
    _, *wanted = fast_layers.conv_backward_fast(out, cache)
    dx, *grads = fast_layers.conv_backward_fast(out, cache, with_dx=False)
    assert dx is None
    for ours, theirs in zip(grads, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_no_images_give_no_outputs():
    x, w, b = arrays((0, 3, 7, 5), (5, 3, 3, 3), 5)
    out, cache = fast_layers.conv_forward_fast(x, w, b, {"stride": 1, "pad": 1})
    dx, dw, _ = fast_layers.conv_backward_fast(out, cache)
    assert out.shape == (0, 5, 7, 5) and dx.shape == x.shape and not dw.any()


X, W, B = arrays((2, 3, 7, 5), (5, 3, 3, 3), 5)
FIT = {"stride": 1, "pad": 1}


@pytest.mark.parametrize("name", ["naive", *QUICK])
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((X.astype(int), W, B, FIT), TypeError, "x must be an array of floats"),
        ((X[0], W, B, FIT), ValueError, r"x must have 4 axes.*\(3, 7, 5\)"),
        ((X, W[:, :2], B, FIT), ValueError, r"w must have x's number of channels.*\(5, 2, 3, 3\).*\(2, 3, 7, 5\)"),
        ((X, W, B[:4], FIT), ValueError, r"b must have the shape \(5,\).*\(4,\)"),
        ((X, W, B, {"stride": 1}), ValueError, "conv_param must have the keys stride, pad"),
        ((X, W, B, 1), TypeError, "conv_param must be a dict"),
        ((X, W, B, {"stride": 0, "pad": 1}), ValueError, "stride must be at least 1"),
        ((X, W, B, {"stride": 1, "pad": -1}), ValueError, "pad must be at least 0"),
        ((X, W, B, {"stride": 1.5, "pad": 1}), TypeError, "stride must be one whole number"),
        ((X, W, B, {"stride": (1, 2, 3), "pad": 1}), ValueError, "stride must be one whole number or a pair"),
        ((X[:, :, :2], W, B, {"stride": 1, "pad": 0}), ValueError, r"window of \(3, 3\) does not fit.*\(2, 5\)"),
    ],
)
def test_wrong_arguments_of_a_convolution_are_named(name, arguments, error, words):
    with pytest.raises(error, match=words):
        layer("conv", name)[0](*arguments)


@pytest.mark.parametrize("name", ["naive", "fast", "reshape", "im2col"])
def test_wrong_arguments_of_a_pooling_are_named(name):
    forward, _ = layer("max_pool", name)
    with pytest.raises(ValueError, match="pool_param must have the keys"):
        forward(X, {"stride": 2})
    with pytest.raises(ValueError, match="does not fit"):
        forward(X, pool_param(8, 2, 2))
    with pytest.raises(TypeError, match="x must be an array of floats"):
        forward(X.astype(int), pool_param(2, 2, 2))


def test_wrong_uses_of_the_quick_poolings_are_named():
    with pytest.raises(ValueError, match=r"x \(2, 3, 7, 5\) must be tiled"):
        fast_layers.max_pool_forward_reshape(X, pool_param(2, 2, 2))
    with pytest.raises(ValueError, match="the cache's method must be one of 'reshape', 'im2col', not 'naive'"):
        fast_layers.max_pool_backward_fast(X, ("naive", None))
    with pytest.raises(ValueError, match="cols must have the shape"):
        im2col.col2im_indices(X[0, 0], X.shape)


def small():
    np.random.seed(231)
    shape = {"input_dim": (3, 8, 6), "num_filters": 3, "filter_size": 3, "hidden_dim": 7, "num_classes": 5}
    return cnn.ThreeLayerConvNet(**shape, dtype=np.float64, weight_scale=0.1)


def deep(**options):
    shape = {"input_dim": (3, 8, 6), "blocks": ((3, 2), (5,)), "num_classes": 5, "dtype": np.float64}
    return cnn.DeepConvNet(**shape | {"rng": np.random.default_rng(0)} | options)


def test_the_convnets_sanity_loss_is_the_notebooks():
    np.random.seed(231)
    net = cnn.ThreeLayerConvNet()
    X, y = np.random.randn(50, 3, 32, 32), np.random.randint(10, size=50)
    loss, grads = net.loss(X, y)
    assert abs(loss - np.log(10)) < 1e-3
    assert {v.dtype for v in grads.values()} == {np.dtype(np.float32)} and net.loss(X).dtype == np.float32
    net.reg = 0.5
    assert abs(net.loss(X, y)[0] - 2.508) < 2e-3


def test_the_convnets_weights_are_the_courses_draws():
    net = small()
    np.random.seed(231)
    for name, shape in (("W1", (3, 3, 3, 3)), ("W2", (3 * 4 * 3, 7)), ("W3", (7, 5))):
        np.testing.assert_array_equal(net.params[name], 0.1 * np.random.randn(*shape))
    assert {name: net.params[name].shape for name in ("b1", "b2", "b3")} == {"b1": (3,), "b2": (7,), "b3": (5,)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"blocks": ()}, "blocks"),
        ({"blocks": ((3,), ())}, "blocks"),
        ({"filter_size": 2}, "filter_size must be odd"),
        ({"blocks": ((3,),) * 3}, "does not fit"),
    ],
)
def test_wrong_options_of_the_deep_net_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        deep(**options)


@pytest.mark.parametrize("build", [small, deep])
def test_the_nets_name_wrong_images_and_labels(build):
    net = build()
    with pytest.raises(ValueError, match=r"X must have the shape \(2, 3, 8, 6\).*not \(2, 3, 7, 5\)"):
        net.loss(X)
    with pytest.raises(TypeError, match="X must be an array of floats"):
        net.loss(np.ones((2, 3, 8, 6), int))
    with pytest.raises(ValueError, match=r"must lie in 0\.\.4"):
        net.loss(np.ones((2, 3, 8, 6)), np.array([0, 5]))


def test_the_bench_runs(monkeypatch):
    pytest.importorskip("torch")
    bench = pytest.importorskip("comparisons.bench")
    monkeypatch.setattr(bench, "CONVOLUTIONS", {"small": ((2, 3, 7, 7), (2, 3, 3, 3), 2, 1)})
    monkeypatch.setattr(bench, "POOLINGS", {"small": ((2, 3, 6, 6), 2, 2)})
    monkeypatch.setattr(bench, "SEQUENCES", {"small": (2, 3, 4, 5)})
    printed = bench.table(repeats=2)
    assert "peak" in bench.convnet_step(1)
    monkeypatch.setattr(bench, "COSTS", {"batch": (1, 2), "channels": (1, 2), "image": (3, 4)})
    monkeypatch.setattr(bench, "COMMON", {"batch": 1, "channels": 1, "image": 4})
    assert len(bench.cost_figure(1).axes) == 3
    assert printed.count("\nnaive") == printed.count("\nloop") == 4
    assert printed.count("\nfast") == printed.count("\ntorch") == 8
