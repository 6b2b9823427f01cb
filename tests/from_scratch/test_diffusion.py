"""Diffusion: what sampling must give with a net that knows the answer, the U-Net's options, training, and the study."""

import json

import numpy as np
import pytest

from from_scratch.diffusion_solver import DiffusionSolver
from from_scratch.gaussian_diffusion import GaussianDiffusion, cosine_beta_schedule, linear_beta_schedule
from from_scratch.simclr import simclr_loss_naive, simclr_loss_vectorized
from from_scratch.studies import diffusion as study
from from_scratch.unet import Unet
from tests.programs import STUDIES

T = 25


class Oracle:
    """A net that sees one picture, in -1..1, behind all noise; told a class, it sees the picture's negative."""

    channels, num_classes = 1, 10

    def __init__(self, picture, objective="pred_noise"):
        self.picture, self.objective, self.params = picture, objective, {"w": picture}
        self.betas = cosine_beta_schedule(T)

    def forward(self, x_t, t, classes=None):
        picture = np.broadcast_to(self.picture if classes is None else -self.picture, x_t.shape)
        if self.objective == "pred_x_start":
            return picture, None
        left = np.cumprod(1 - self.betas)[t][:, None, None, None].astype(x_t.dtype)
        return (x_t - np.sqrt(left) * picture) / np.sqrt(1 - left), None


def oracle(objective="pred_noise", **options):
    rng = np.random.default_rng(0)
    picture = rng.uniform(-0.4, 0.4, (1, 4, 4)).astype(np.float32)
    return picture, GaussianDiffusion(Oracle(picture, objective), 4, T, objective, rng=rng, **options)


@pytest.mark.parametrize("objective", ["pred_noise", "pred_x_start"])
def test_who_knows_the_picture_draws_it(objective):
    picture, diffusion = oracle(objective)
    X = diffusion.sample(3, return_all_timesteps=True)
    assert X.shape == (3, T + 1, 1, 4, 4) and X.dtype == np.float32
    np.testing.assert_allclose(2 * X[:, -1] - 1, np.broadcast_to(picture, (3, 1, 4, 4)), atol=1e-4)
    assert abs((2 * X[:, 0] - 1).std() - 1) < 0.3, "it begins with noise"


def test_guidance_goes_past_the_class_and_away_from_none():
    picture, diffusion = oracle("pred_x_start")
    for scale, wanted in ((0.0, -picture), (1.0, -3 * picture)):
        X = diffusion.sample(2, classes=np.array([1, 2]), cfg_scale=scale)
        np.testing.assert_allclose(2 * X - 1, np.broadcast_to(np.clip(wanted, -1, 1), X.shape), atol=1e-5)


def test_the_course_names_are_methods_of_the_same_functions():
    _, diffusion = oracle()
    rng = np.random.default_rng(1)
    x, noise = (rng.standard_normal((5, 1, 4, 4)) for _ in range(2))
    t = np.array([0, 5, 10, 20, T - 1])
    x_t = diffusion.q_sample(x, t, noise)
    np.testing.assert_allclose(diffusion.predict_start_from_noise(x_t, t, noise), x, atol=1e-4)
    np.testing.assert_allclose(diffusion.predict_noise_from_start(x_t, t, x), noise, rtol=1e-9, atol=1e-9)
    mean, deviation = diffusion.q_posterior(x, x_t, t)
    np.testing.assert_allclose(mean[0], x[0])
    assert deviation[0] == 0 and (deviation[1:] > 0).all()


def test_a_schedule_ends_in_noise_and_needs_steps():
    for schedule in (linear_beta_schedule, cosine_beta_schedule):
        betas = schedule(200)
        assert ((betas > 0) & (betas < 1)).all() and np.prod(1 - betas) < 1e-3
        with pytest.raises(ValueError, match="timesteps must be at least"):
            schedule(0)
    with pytest.raises(ValueError, match="beta_schedule must be one of 'linear', 'cosine', not 'sigmoid'"):
        oracle(beta_schedule="sigmoid")
    with pytest.raises(ValueError, match="objective must be one of"):
        GaussianDiffusion(None, 8, T, "pred_v")


def test_a_unet_begins_at_zero_and_says_what_does_not_fit():
    unet = Unet(8, num_classes=3, dim_mults=(1, 2, 2), groups=4, timesteps=T, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((2, 1, 8, 4)).astype(np.float32)
    out, cache = unet.forward(x, np.array([0, T - 1]), np.array([0, 3]))
    assert out.shape == x.shape and out.dtype == np.float32 and not out.any()
    assert unet.backward(out, cache).keys() == unet.params.keys()
    for arguments, message in (
        ((x[:, :, :6], np.zeros(2, int)), "can be halved 2 times"),
        ((x, np.array([0, T])), "t must lie in 0..24"),
        ((x, np.zeros(3, int)), r"t must have the shape \(2,\)"),
        ((x, np.zeros(2, int), np.array([0, 4])), "classes must lie in 0..3"),
    ):
        with pytest.raises(ValueError, match=message):
            unet.forward(*arguments)
    with pytest.raises(ValueError, match="dim must be even and a multiple of groups 8, but is 12"):
        Unet(12)


def solver(**options):
    rng = np.random.default_rng(0)
    unet = Unet(8, 10, groups=4, timesteps=T, rng=rng)
    X = np.tile(np.eye(8, dtype=np.float32)[None, None], (32, 1, 1, 1))
    data = {f"{kind}_{split}": {"X": X, "y": np.arange(32) % 10}[kind] for kind in "Xy" for split in ("train", "val")}
    return DiffusionSolver(GaussianDiffusion(unet, 8, T, rng=rng), data, update_rule="adam", num_epochs=6,
                           batch_size=16, optim_config={"learning_rate": 1e-2}, num_val_samples=16, rng=rng,
                           verbose=False, **options)  # fmt: skip


def test_training_learns_keeps_the_best_and_resumes_to_the_same_bits(tmp_path):
    whole = solver()
    whole.train()
    assert whole.val_loss_history[-1] < 0.5 * whole.val_loss_history[0]
    assert whole.check_loss("val", 16) == min(whole.val_loss_history)

    def stop(step, loss, **measured):
        if step == 4:
            stopped.save(tmp_path / "checkpoint.npz")
            raise KeyboardInterrupt

    stopped = solver(record=stop)
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    resumed = solver()
    resumed.resume(tmp_path / "checkpoint.npz")
    resumed.train()
    assert resumed.loss_history == whole.loss_history
    assert all(np.array_equal(w, whole.model.params[name]) for name, w in resumed.model.params.items())


def test_simclrs_losses_begin_at_the_number_of_others_and_refuse_what_does_not_fit():
    same = np.ones((4, 3))
    for loss in (simclr_loss_naive, simclr_loss_vectorized):
        value, *gradients = loss(same, same, 0.5)
        assert np.isclose(value, np.log(7)) and np.allclose(gradients, 0)
        for arguments in ((same, same[:3], 0.5), (same, same, 0.0), (same[:0], same[:0], 0.5)):
            with pytest.raises(ValueError, match=r"out_right must have the shape|must be positive"):
                loss(*arguments)


FIGURES = "schedules noising losses samples copies distances sampling errors"


@pytest.mark.slow
def test_the_study_leaves_figures_tables_and_a_summary(tmp_path_factory):
    folder, _ = STUDIES["diffusion"].shared_study(tmp_path_factory)
    assert {path.stem for path in folder.glob("figures/*.png")} == set(FIGURES.split())
    summary = json.loads((folder / "summary.json").read_text())
    assert all(np.isfinite(value) and value >= 0 for value in summary["metrics"].values())
    assert summary["chance"].keys() == {"val/loss", "no_class/recognized", "test/accuracy"}
    tables = {name: {row[0]: row[1:] for row in table["rows"]} for name, table in summary["tables"].items()}
    assert tables.keys() == {"schedules", "samples", "compared", "temperature"}
    assert tables["compared"].keys() == study.COMPARED.keys()
    pushed = [tables["temperature"][tau][0] for tau in study.TEMPERATURES]
    assert pushed == sorted(pushed, reverse=True) and pushed[-1] > 0.05, "a low temperature picks the most similar"
    assert not list(folder.rglob("checkpoint.npz"))


def test_the_frechet_distance_is_that_of_gaussians():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20000, 3))
    assert study.frechet(a, a) < 1e-9
    wanted = 3 * 2.0**2 + 3 * (3 - 1) ** 2  # a shift by 2 and three times the deviation, in each of three directions
    assert abs(study.frechet(a, 3 * a + 2) / wanted - 1) < 0.05


def test_the_distance_to_known_pictures_finds_a_copy():
    X = np.random.default_rng(0).random((5, 1, 8, 8)).astype(np.float32)
    distances, places = study.nearest(X[3:4], X)
    assert distances[0] < 1e-6 and places[0] == 3
