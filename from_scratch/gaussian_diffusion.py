"""Denoising diffusion: noise is added to pictures step by step, and a net learns the way back.

N batch, C channels, H W image, T time steps. With a = the product of all 1 - beta up to step t: a picture x_0 becomes
x_t = sqrt(a) x_0 + sqrt(1 - a) noise. Coefficients are computed in float64 and used in the pictures' own type.
"""

import numpy as np

from from_scratch import checks
from from_scratch.transformer_layers import Params


def linear_beta_schedule(timesteps: int) -> np.ndarray:
    """The share of noise of each step, rising in a straight line: (T,) float64.

    From 1e-4 to 0.02 for 1000 steps, and for fewer scaled up, so that the sum stays. Raises TypeError or ValueError
    for fewer than 21 steps, for which the last beta would be 1 or more. Source: Ho et al., DDPM (2020), section 4.
    """
    scale = 1000 / checks.size("timesteps", timesteps, 21)
    return np.linspace(1e-4 * scale, 0.02 * scale, timesteps)


def cosine_beta_schedule(timesteps: int, s: float = 0.008) -> np.ndarray:
    """The share of noise of each step, such that what is left of the picture falls as a squared cosine: (T,) float64.

    a(t) = cos²((t/T + s) / (1 + s) π/2); beta_t = min(1 - a(t+1) / a(t), 0.999)

    Raises TypeError or ValueError for less than one step. Source: Nichol and Dhariwal (2021), section 3.2.
    """
    times = np.arange(checks.size("timesteps", timesteps) + 1) / timesteps
    left = np.cos((times + s) / (1 + s) * np.pi / 2) ** 2
    return np.minimum(1 - left[1:] / left[:-1], 0.999)


SCHEDULES = {"linear": linear_beta_schedule, "cosine": cosine_beta_schedule}


def at(values: np.ndarray, t: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The values (T,) at the steps t (N,), in x's type and for all numbers of an example: (N, 1, 1, 1)."""
    checks.floats("x", x, 4)
    checks.labels("t", t, (len(x),), len(values))
    return values[t].astype(x.dtype)[:, None, None, None]


def q_sample(x_start: np.ndarray, t: np.ndarray, noise: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """Many steps of noise at once: pictures x_0 (N, C, H, W) as they are after the steps t (N,), 0 being the first.

    x_t = sqrt(a) x_0 + sqrt(1 - a) noise. Raises TypeError or ValueError for what does not fit. Source: Ho et al., DDPM
    (2020), equation 4.
    """
    left = np.cumprod(1 - betas)
    return at(np.sqrt(left), t, x_start) * x_start + at(np.sqrt(1 - left), t, x_start) * noise


def predict_start_from_noise(x_t: np.ndarray, t: np.ndarray, noise: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """The picture that the noise was added to: x_0 = (x_t - sqrt(1 - a) noise) / sqrt(a).

    Shapes and errors as `q_sample`. Source: Ho et al., DDPM (2020), equation 15.
    """
    left = np.cumprod(1 - betas)
    return (x_t - at(np.sqrt(1 - left), t, x_t) * noise) / at(np.sqrt(left), t, x_t)


def predict_noise_from_start(x_t: np.ndarray, t: np.ndarray, x_start: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """The noise that was added to the picture: (x_t - sqrt(a) x_0) / sqrt(1 - a). Shapes and errors as `q_sample`."""
    left = np.cumprod(1 - betas)
    return (x_t - at(np.sqrt(left), t, x_t) * x_start) / at(np.sqrt(1 - left), t, x_t)


def q_posterior(
    x_start: np.ndarray, x_t: np.ndarray, t: np.ndarray, betas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (N, C, H, W) and standard deviation (N, 1, 1, 1) of x_{t-1}, where both x_0 and x_t are known.

    With a' = a of the step before: mean = (beta sqrt(a') x_0 + (1 - a') sqrt(1 - beta) x_t) / (1 - a),
    deviation² = beta (1 - a') / (1 - a): zero at the first step, which x_0 comes out of. Shapes and errors as
    `q_sample`. Source: Ho et al., DDPM (2020), equation 7.
    """
    left = np.cumprod(1 - betas)
    before = np.append(1.0, left[:-1])
    of_start, of_t = betas * np.sqrt(before) / (1 - left), (1 - before) * np.sqrt(1 - betas) / (1 - left)
    deviation = np.sqrt(betas * (1 - before) / (1 - left))
    return at(of_start, t, x_t) * x_start + at(of_t, t, x_t) * x_t, at(deviation, t, x_t)


class GaussianDiffusion:
    """Trains a net to take noise away, and samples pictures by it, from noise alone.

    `model` has `params`, `forward(x_t, t, classes)` -> output, cache and `backward`, as `Unet`. Pictures (N, C, H, W)
    are in 0..1, and the net sees them in -1..1. `objective` is what the net gives: "pred_noise", or "pred_x_start", the
    picture; its squared error is weighted by a / (1 - a) as in the course (`loss_weight`), which makes it the noise's.
    `beta_schedule` is "linear" or "cosine". In training a class is withheld with probability `uncond_prob`, so that
    the net can also do without. Whatever is random comes from `rng`. Raises ValueError for other options.
    Source: Ho et al., Denoising Diffusion Probabilistic Models (2020); CS231n assignment 3 (2025), gaussian_diffusion.
    """

    def __init__(
        self,
        model: object,
        image_size: int,
        timesteps: int = 1000,
        objective: str = "pred_noise",
        beta_schedule: str = "cosine",
        uncond_prob: float = 0.2,
        rng: object = np.random,
    ) -> None:
        checks.choice("objective", objective, ("pred_noise", "pred_x_start"))
        checks.choice("beta_schedule", beta_schedule, tuple(SCHEDULES))
        self.model, self.image_size, self.num_timesteps = model, checks.size("image_size", image_size), timesteps
        self.objective, self.uncond_prob, self.rng = objective, float(uncond_prob), rng
        self.beta_schedule, self.betas = beta_schedule, SCHEDULES[beta_schedule](timesteps)
        left = np.cumprod(1 - self.betas)
        self.loss_weight = np.ones(timesteps) if objective == "pred_noise" else left / (1 - left)

    @property
    def params(self) -> Params:
        return self.model.params

    @params.setter
    def params(self, params: Params) -> None:
        self.model.params = params

    def q_sample(self, x_start: np.ndarray, t: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return q_sample(x_start, t, noise, self.betas)

    def predict_start_from_noise(self, x_t: np.ndarray, t: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return predict_start_from_noise(x_t, t, noise, self.betas)

    def predict_noise_from_start(self, x_t: np.ndarray, t: np.ndarray, x_start: np.ndarray) -> np.ndarray:
        return predict_noise_from_start(x_t, t, x_start, self.betas)

    def q_posterior(self, x_start: np.ndarray, x_t: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return q_posterior(x_start, x_t, t, self.betas)

    def draw(self, x_start: np.ndarray, classes: np.ndarray | None) -> tuple:
        """A step, noise and, unless it is withheld, the class for each picture of a batch."""
        N = len(x_start)
        t, noise = self.rng.choice(self.num_timesteps, N), self.rng.standard_normal(x_start.shape)
        if classes is not None:
            classes = np.where(self.rng.random(N) < self.uncond_prob, self.model.num_classes, classes)
        return t, noise.astype(x_start.dtype), classes

    def errors(self, x_start: np.ndarray, t: np.ndarray, noise: np.ndarray, classes: np.ndarray | None) -> tuple:
        """The net's output minus what it should be, (N, C, H, W), and the cache."""
        x_start = 2 * x_start - 1
        out, cache = self.model.forward(self.q_sample(x_start, t, noise), t, classes)
        return out - (noise if self.objective == "pred_noise" else x_start), cache

    def p_losses(self, x_start: np.ndarray, classes: np.ndarray | None = None) -> tuple[float, Params]:
        """The weighted mean squared error at steps and with noise that are drawn anew, and the gradients.

        x_start (N, C, H, W) in 0..1; classes (N,), or None for a net that is told none. Source: Ho et al., DDPM (2020),
        equation 14 and algorithm 1.
        """
        t, noise, classes = self.draw(x_start, classes)
        error, cache = self.errors(x_start, t, noise, classes)
        weighted = at(self.loss_weight, t, error) * error
        return np.mean(weighted * error), self.model.backward(weighted * error.dtype.type(2 / error.size), cache)

    loss = p_losses  # the Solver's name for it

    def p_sample(
        self, x_t: np.ndarray, t: int, classes: np.ndarray | None = None, cfg_scale: float = 0.0
    ) -> np.ndarray:
        """One step back: x_{t-1}, drawn from what is known of it if the net's picture, cut to -1..1, were x_0.

        `cfg_scale` s > 0 is classifier-free guidance: (1 + s) times the output with the class, minus s times that
        without. Source: Ho et al., DDPM (2020), algorithm 2; Ho and Salimans, Classifier-Free Guidance (2022).
        """
        steps = np.full(len(x_t), t)
        out, _ = self.model.forward(x_t, steps, classes)
        if cfg_scale:
            without, _ = self.model.forward(x_t, steps)
            out = out + x_t.dtype.type(cfg_scale) * (out - without)
        x_start = self.predict_start_from_noise(x_t, steps, out) if self.objective == "pred_noise" else out
        mean, deviation = self.q_posterior(np.clip(x_start, -1, 1), x_t, steps)
        return mean + deviation * self.rng.standard_normal(x_t.shape).astype(x_t.dtype)

    def sample(
        self,
        batch_size: int = 16,
        return_all_timesteps: bool = False,
        classes: np.ndarray | None = None,
        cfg_scale: float = 0.0,
    ) -> np.ndarray:
        """Pictures in 0..1 from noise: (N, C, H, W), or with all their steps (N, T + 1, C, H, W), noise first."""
        shape = (checks.size("batch_size", batch_size), self.model.channels, self.image_size, self.image_size)
        x = self.rng.standard_normal(shape).astype(next(iter(self.params.values())).dtype)
        steps = [x]
        for t in reversed(range(self.num_timesteps)):
            x = self.p_sample(x, t, classes, cfg_scale)
            steps = [*steps, x] if return_all_timesteps else []
        return (np.stack(steps, axis=1) if return_all_timesteps else x) / 2 + 0.5
