"""from_scratch's recurrent, temporal and transformer layers and its captioners.

The printed reference arrays are those of CS231n's RNN and LSTM captioning notebooks.
"""

import numpy as np
import pytest

from from_scratch import coco_utils, image_utils, recurrent
from from_scratch import transformer_layers as tl
from from_scratch.captioning_solver import CaptioningSolver
from from_scratch.classifiers.rnn import CaptioningRNN
from from_scratch.classifiers.transformer import CaptioningTransformer
from from_scratch.rnn_layers import (
    lstm_forward,
    lstm_step_forward,
    rnn_forward,
    rnn_step_forward,
    temporal_softmax_loss,
    word_embedding_backward,
    word_embedding_forward,
)

N, T, D, H, V = 3, 5, 7, 2, 11
WORDS = {"<NULL>": 0, "<START>": 1, "<END>": 2, **{f"w{i}": i for i in range(3, V)}}


def ramp(low, high, *shape):
    return np.linspace(low, high, num=int(np.prod(shape))).reshape(shape)


def test_the_course_s_rnn_values():
    arrays = ramp(-0.4, 0.7, 3, 10), ramp(-0.2, 0.5, 3, 4), ramp(-0.1, 0.9, 10, 4), ramp(-0.3, 0.7, 4, 4)
    wanted = [
        [-0.58172089, -0.50182032, -0.41232771, -0.31410098],
        [0.66854692, 0.79562378, 0.87755553, 0.92795967],
        [0.97934501, 0.99144213, 0.99646691, 0.99854353],
    ]
    np.testing.assert_allclose(rnn_step_forward(*arrays, ramp(-0.2, 0.4, 4))[0], wanted, atol=1e-8)
    arrays = ramp(-0.1, 0.3, 2, 3, 4), ramp(-0.3, 0.1, 2, 5), ramp(-0.2, 0.4, 4, 5), ramp(-0.4, 0.1, 5, 5)
    wanted = [-0.51014825, -0.30524429, -0.06755202, 0.17806392, 0.40333043]
    np.testing.assert_allclose(rnn_forward(*arrays, ramp(-0.7, 0.1, 5))[0][1, 2], wanted, atol=1e-8)


def test_the_course_s_lstm_values():
    arrays = ramp(-0.4, 1.2, 3, 4), ramp(-0.3, 0.7, 3, 5), ramp(-0.4, 0.9, 3, 5), ramp(-2.1, 1.3, 4, 20)
    next_h, next_c, _ = lstm_step_forward(*arrays, ramp(-0.7, 2.2, 5, 20), ramp(0.3, 0.7, 20))
    np.testing.assert_allclose(next_h[0], [0.24635157, 0.28610883, 0.32240467, 0.35525807, 0.38474904], atol=1e-8)
    np.testing.assert_allclose(next_c[2], [0.74192008, 0.90592151, 1.07717006, 1.25120233, 1.42395676], atol=1e-8)
    arrays = ramp(-0.4, 0.6, 2, 3, 5), ramp(-0.4, 0.8, 2, 4), ramp(-0.2, 0.9, 5, 16), ramp(-0.3, 0.6, 4, 16)
    h, _ = lstm_forward(*arrays, ramp(0.2, 0.7, 16))
    np.testing.assert_allclose(h[0, 0], [0.01764008, 0.01823233, 0.01882671, 0.0194232], atol=1e-8)
    np.testing.assert_allclose(h[1, 2], [0.81733511, 0.83677871, 0.85403753, 0.86935314], atol=1e-8)


def test_temporal_softmax_loss_shifts_its_scores_and_names_bad_input(rng):
    x, y, mask = rng.standard_normal((N, T, V)), rng.integers(V, size=(N, T)), rng.random((N, T)) < 0.5
    assert np.isclose(*(temporal_softmax_loss(x + shift, y, mask)[0] for shift in (0, 1e4)))
    for arguments, name in (((x, y + V, mask), "y"), ((x, y[:1], mask), "y"), ((x, y, mask[:, 1:]), "mask")):
        with pytest.raises(ValueError, match=f"{name} must"):
            temporal_softmax_loss(*arguments)


def test_huge_inputs_do_not_overflow():
    wide = np.full((1, 4), 1e4)
    with np.errstate(all="raise", under="ignore"):
        for sign in (1, -1):
            h, c, _ = lstm_step_forward(sign * wide[:, :1], wide[:, :1], wide[:, :1], wide, wide, wide[0])
            assert np.isfinite([h, c]).all()


def test_word_embedding_names_bad_input(rng):
    words, table = np.array([[3, 1, 3], [3, 10, 0]]), rng.standard_normal((V, D))
    out, cache = word_embedding_forward(words, table)
    assert word_embedding_backward(out.astype(np.float32), cache).dtype == np.float32
    for bad, error in (([[V]], ValueError), ([[-1]], ValueError), ([[1.0]], TypeError)):
        with pytest.raises(error, match="x must"):
            word_embedding_forward(np.array(bad), table)
    with pytest.raises(ValueError, match="dout must"):
        word_embedding_backward(out[:1], cache)


def test_attention_masks_and_bad_input(rng):
    q, k, v = rng.standard_normal((3, N, 2, T, 3))
    out, _ = tl.attention_forward(q, k, v, np.eye(T))
    np.testing.assert_allclose(out, v)
    with pytest.raises(ValueError, match="at least one key"):
        tl.attention_forward(q, k, v, np.zeros((T, T)))
    with pytest.raises(ValueError, match="mask must have the shape"):
        tl.attention_forward(q, k, v, np.ones((T, 1)))
    x = rng.standard_normal((N, T, 6))
    params = {f"{kind}{n}": rng.standard_normal((6,) * axes) for n in "qkvo" for kind, axes in (("W", 2), ("b", 1))}
    with pytest.raises(ValueError, match="num_heads must divide"):
        tl.multi_head_attention_forward(x, x, x, params, 4)
    with pytest.raises(ValueError, match="key must have the shape"):
        tl.multi_head_attention_forward(x, x[:1], x[:1], params, 3)
    with pytest.raises(ValueError, match="dim must be even"):
        tl.positional_encoding(7, 5)


@pytest.mark.parametrize(
    ("cell", "low", "high", "wanted"), [("rnn", -1.5, 0.3, 9.83235591003), ("lstm", -0.5, 1.7, 9.82445935443)]
)
def test_the_course_s_captioning_losses(cell, low, high, wanted):
    net = CaptioningRNN({"<NULL>": 0, "cat": 2, "dog": 3}, 20, 30, 40, cell_type=cell, dtype=np.float64)
    for name, value in net.params.items():
        net.params[name] = ramp(-1.4, 1.3, *value.shape)
    captions = (np.arange(10 * 13) % 3).reshape(10, 13)
    assert abs(net.loss(ramp(low, high, 10, 20), captions)[0] - wanted) < 1e-10


def captioner(kind, dtype=np.float64):
    rng = np.random.default_rng(1)
    if kind == "transformer":
        return CaptioningTransformer(WORDS, D, 6, 3, 2, 8, dim_feedforward=5, dtype=dtype, rng=rng)
    return CaptioningRNN(WORDS, D, 6, 5, cell_type=kind, dtype=dtype, rng=rng)


def caption_set(rng, count=N):
    captions = rng.integers(3, V, size=(count, 6))
    captions[:, 0], captions[:, -1] = 1, 2
    captions[0, -2:] = 2, 0
    return rng.standard_normal((count, D)), captions


KINDS = ("rnn", "lstm", "transformer")


@pytest.mark.parametrize("kind", KINDS)
def test_captioner_starts_at_log_v_and_keeps_float32_and_its_arguments(kind, rng):
    net = captioner(kind, np.float32)
    for name in ("W_vocab", "b_vocab"):
        net.params[name] *= 0
    features, captions = caption_set(rng)
    before = features.copy(), captions.copy()
    loss, grads = net.loss(features, captions)
    np.testing.assert_array_equal(features, before[0])
    np.testing.assert_array_equal(captions, before[1])
    words = (captions[:, 1:] != 0).sum()
    places = captions[:, 1:].size if kind == "transformer" else N
    assert np.isclose(loss, words * np.log(V) / places, rtol=1e-5)
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("kind", KINDS)
def test_captions_are_sampled_word_by_word_as_training_goes_over_the_whole_prefix(kind, rng):
    features, net = 3 * rng.standard_normal((9, D)), captioner(kind)
    net.params = {name: w + rng.standard_normal(w.shape) for name, w in net.params.items()}  # far from even
    sampled = net.sample(features, max_length=5)
    assert sampled.dtype == np.int32 and len(np.unique(sampled)) > 3
    fed = np.c_[np.full(9, 1), sampled[:, :-1]]
    if kind == "transformer":
        scores, _ = net.forward(features, fed)
    else:
        p, forward = net.params, {"rnn": rnn_forward, "lstm": lstm_forward}[kind]
        h, _ = forward(p["W_embed"][fed], features @ p["W_proj"] + p["b_proj"], p["Wx"], p["Wh"], p["b"])
        scores = h @ p["W_vocab"] + p["b_vocab"]
    np.testing.assert_array_equal(scores.argmax(axis=-1), sampled)


def test_captioner_bad_input(rng):
    features, captions = caption_set(rng)
    with pytest.raises(ValueError, match="cell_type"):
        CaptioningRNN(WORDS, cell_type="gru")
    for make in (CaptioningRNN, lambda words: CaptioningTransformer(words, D, 6, 3)):
        with pytest.raises(ValueError, match="<NULL>"):
            make({"a": 0})
    with pytest.raises(ValueError, match="num_heads"):
        CaptioningTransformer(WORDS, D, 6, 4)
    for kind in KINDS:
        net = captioner(kind)
        for bad in (captions + V, captions[:1], captions[0]):
            with pytest.raises(ValueError, match="captions"):
                net.loss(features, bad)
        with pytest.raises(TypeError, match="captions"):
            net.loss(features, captions.astype(float))
        with pytest.raises(ValueError, match="features must have the shape"):
            net.sample(features[:, 1:])
        with pytest.raises(TypeError, match="features must be"):
            net.loss(features.astype(int), captions)
        net._start = None
        with pytest.raises(ValueError, match="<START>"):
            net.sample(features)
    with pytest.raises(ValueError, match="max_length must be at most"):
        captioner("transformer").sample(features, max_length=9)


def test_the_legacy_generator_draws_in_the_course_s_order():
    np.random.seed(231)
    net = CaptioningRNN(WORDS, D, 6, 5, cell_type="lstm")
    np.random.seed(231)
    for name, shape, scale in (("W_embed", (V, 6), 100), ("W_proj", (D, 5), D**0.5), ("Wx", (6, 20), 6**0.5)):
        np.testing.assert_array_equal(net.params[name], (np.random.randn(*shape) / scale).astype(np.float32))


def coco(rng, count=N):
    features, captions = caption_set(rng, count)
    split = {"captions": captions, "image_idxs": np.arange(count), "features": features, "urls": np.arange(count)}
    return {f"{name}_{key}": value for name in ("train", "val") for key, value in split.items()}


def test_captioning_solver(rng, capsys, kind="rnn"):
    steps = []
    data = coco(rng, 5)
    options = dict(update_rule="adam", optim_config={"learning_rate": 1e-2}, lr_decay=0.9, batch_size=2, num_epochs=4)
    solver = CaptioningSolver(
        captioner(kind), data, **options, print_every=4, record=lambda *step: steps.append(step), rng=rng
    )
    solver.train()
    assert len(solver.loss_history) == len(steps) == 8 and solver.epoch == 4
    assert np.mean(solver.loss_history[-4:]) < np.mean(solver.loss_history[:4])
    assert capsys.readouterr().out.splitlines()[1].startswith("(Iteration 5 / 8) loss: ")
    assert np.isclose(solver.optim_configs["W_vocab"]["learning_rate"], 1e-2 * 0.9**4)
    assert solver.optim_config == {"learning_rate": 1e-2}
    with pytest.raises(ValueError, match="epochs"):
        CaptioningSolver(captioner(kind), data, epochs=3)
    for rule in ("nothing", "__doc__"):
        with pytest.raises(ValueError, match="update_rule"):
            CaptioningSolver(captioner(kind), data, update_rule=rule)


def test_captioning_solver_keeps_the_best_and_resumes(rng, tmp_path, kind="transformer"):
    data = coco(rng, 6)
    data["val_captions"] = data["val_captions"][::-1]  # other captions than in training: the loss rises in the end
    options = dict(update_rule="adam", optim_config={"learning_rate": 3e-2}, batch_size=2, num_epochs=6, verbose=False)

    def solver(**more):
        model = captioner(kind)
        return CaptioningSolver(model, data, num_val_samples=5, rng=np.random.default_rng(3), **options | more)

    whole = solver(checkpoint_name=tmp_path / "run")
    first = {name: w.copy() for name, w in whole.model.params.items()}
    whole.train()
    assert len(whole.val_loss_history) == 7 and not whole.train_acc_history
    assert whole.check_loss("val", 5) == pytest.approx(min(whole.val_loss_history))
    again = solver()
    again.model.params = first
    again.resume(tmp_path / "run_epoch_2.npz")
    again.train()
    assert again.loss_history == whole.loss_history and again.val_loss_history == whole.val_loss_history
    for name, w in whole.model.params.items():
        np.testing.assert_array_equal(again.model.params[name], w)
    with pytest.raises(ValueError, match="data must have train_captions"):
        CaptioningSolver(captioner(kind), {})


@pytest.mark.parametrize("name", ["rnn", "lstm"])
@pytest.mark.parametrize("suffix", ["", "_naive"])
@pytest.mark.parametrize(("N", "T"), [(1, 4), (3, 1), (1, 1), (3, 0), (0, 3)])
def test_sequences_of_any_length_and_number_leave_their_cache_alone(name, suffix, N, T, rng):
    forward, backward = (getattr(recurrent, f"{name}_{way}{suffix}") for way in ("forward", "backward"))
    D, H, gates = 3, 4, 4 if name == "lstm" else 1
    x, h0 = rng.standard_normal((N, T, D)), rng.standard_normal((N, H))
    Wx, Wh, b = (rng.standard_normal(size) for size in ((D, gates * H), (H, gates * H), gates * H))
    h, cache = forward(x, h0, Wx, Wh, b)
    assert h.shape == (N, T, H)
    dh = rng.standard_normal(h.shape)
    wanted = backward(dh, cache)
    h *= 0
    if not suffix:  # the plain loop's cache holds x itself, as the naive convolution's does
        x *= 0
    for one, other in zip(backward(dh, cache), wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [gradient.shape for gradient in wanted] == [v.shape for v in (x, h0, Wx, Wh, b)]


def test_decode_captions():
    words = ["<NULL>", "<START>", "<END>", "a", "cat"]
    assert coco_utils.decode_captions(np.array([1, 3, 4, 2, 0, 3]), words) == "<START> a cat <END>"
    assert coco_utils.decode_captions(np.array([[1, 0, 3], [4, 2, 2]]), words) == ["<START> a", "cat <END>"]
    with pytest.raises(ValueError, match="captions"):
        coco_utils.decode_captions(np.zeros((1, 1, 1), int), words)
    with pytest.raises(ValueError, match="that idx_to_word does not know"):
        coco_utils.decode_captions(np.array([1, 9]), words)


def test_image_utils(rng):
    image = rng.integers(256, size=(5, 7, 3))
    back = image_utils.deprocess_image(image_utils.preprocess_image(image))
    assert np.abs(back.astype(int) - image).max() <= 1
    stretched = image_utils.deprocess_image(rng.standard_normal((5, 7, 3)), rescale=True)
    assert (stretched.min(), stretched.max()) == (0, 255)
    X = rng.standard_normal((2, 3, 5, 7))
    padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
    kernel = np.array([[1, 2, 1], [2, 188, 2], [1, 2, 1]]) / 200
    wanted = sum(kernel[i, j] * padded[:, :, i : i + 5, j : j + 7] for i in range(3) for j in range(3))
    np.testing.assert_allclose(image_utils.blur_image(X), wanted, rtol=1e-10)
