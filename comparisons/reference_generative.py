"""torch's counterpart of diffusion, the U-Net and contrastive learning."""

import torch
from torch import Tensor
from torch.nn import functional as F

from comparisons.reference import spatial_groupnorm, without_prefix


def linear_beta_schedule(timesteps: int) -> Tensor:
    return torch.linspace(0.1 / timesteps, 20 / timesteps, timesteps, dtype=torch.float64)


def cosine_beta_schedule(timesteps: int) -> Tensor:
    times = torch.linspace(0, 1, timesteps + 1, dtype=torch.float64)
    left = torch.cos((times + 0.008) / 1.008 * torch.pi / 2).square()
    return (-torch.expm1(left.log().diff())).clamp(max=0.999)


def noise_of(t: Tensor, betas: Tensor) -> list[Tensor]:
    """What the steps up to t leave of a picture, and how much noise they bring, one step after the other."""
    kept, variance = torch.ones(len(t), dtype=betas.dtype), torch.zeros(len(t), dtype=betas.dtype)
    for step, beta in enumerate(betas):
        kept = torch.where(step <= t, kept * (1 - beta).sqrt(), kept)
        variance = torch.where(step <= t, variance * (1 - beta) + beta, variance)
    return [value[:, None, None, None] for value in (kept, variance.sqrt())]


def q_sample(x_start: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    kept, deviation = noise_of(t, betas)
    return (kept * x_start + deviation * noise).to(x_start)


def predict_start_from_noise(x_t: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    kept, deviation = noise_of(t, betas)
    return ((x_t - deviation * noise) / kept).to(x_t)


def predict_noise_from_start(x_t: Tensor, t: Tensor, x_start: Tensor, betas: Tensor) -> Tensor:
    kept, deviation = noise_of(t, betas)
    return ((x_t - kept * x_start) / deviation).to(x_t)


def q_posterior(x_start: Tensor, x_t: Tensor, t: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
    """By Bayes: x_t-1 has a prior, the steps before, and an observation, x_t; precisions add up."""
    kept, deviation = noise_of(t - 1, betas)
    beta = betas[t][:, None, None, None]
    precision = deviation.pow(-2) + (1 - beta) / beta  # infinite at the first step, before which there is no noise
    pull = (1 - beta).sqrt() / beta * x_t
    mean = torch.where(deviation == 0, x_start, (kept * x_start / deviation.square() + pull) / precision)
    return mean.to(x_t), precision.rsqrt().to(x_t)


def upsample(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="nearest")


def modulate(x: Tensor, scale_shift: Tensor) -> Tensor:
    scale, shift = scale_shift[:, :, None, None].chunk(2, dim=1)
    return torch.addcmul(x + shift, x, scale)


def resnet_block(x: Tensor, emb: Tensor, params: dict[str, Tensor], G: int) -> Tensor:
    h = F.silu(spatial_groupnorm(x, params["gamma1"], params["beta1"], G, {}))
    h = spatial_groupnorm(F.conv2d(h, params["W1"], params["b1"], padding=1), params["gamma2"], params["beta2"], G, {})
    h = F.silu(modulate(h, F.linear(emb, params["We"].T, params["be"])))
    around = F.conv2d(x, params["Ws"], params["bs"]) if "Ws" in params else x
    return around + F.conv2d(h, params["W2"], params["b2"], padding=1)


def embed(time: Tensor, classes: Tensor, params: dict[str, Tensor]) -> Tensor:
    h = F.linear(F.silu(F.linear(time, params["W1"].T, params["b1"])), params["W2"].T, params["b2"])
    return F.silu(h + F.embedding(classes, params["classes.W"]))


def unet(x: Tensor, time: Tensor, classes: Tensor, params: dict[str, Tensor], G: int) -> Tensor:
    def conv2d(h: Tensor, name: str, stride: int = 1) -> Tensor:
        return F.conv2d(h, params[f"{name}.W"], params[f"{name}.b"], stride, padding=1)

    levels, skips = len({name.partition(".")[0] for name in params if name.startswith("half")}), []
    emb, h = embed(time, classes, without_prefix(params, "embed.")), conv2d(x, "first")
    for i in range(levels):
        skips.append(resnet_block(h, emb, without_prefix(params, f"down{i}."), G))
        h = conv2d(skips[-1], f"half{i}", stride=2)
    h = resnet_block(h, emb, without_prefix(params, "middle."), G)
    for i in reversed(range(levels)):
        h = resnet_block(torch.cat([upsample(h, 2), skips.pop()], dim=1), emb, without_prefix(params, f"up{i}."), G)
    return conv2d(F.silu(spatial_groupnorm(h, params["last.gamma"], params["last.beta"], G, {})), "last")


def sim(z_i: Tensor, z_j: Tensor) -> Tensor:
    return F.cosine_similarity(z_i, z_j, dim=0)


def sim_positive_pairs(out_left: Tensor, out_right: Tensor) -> Tensor:
    return F.cosine_similarity(out_left, out_right, dim=1)[:, None]


def sim_matrix(out: Tensor) -> Tensor:
    return F.cosine_similarity(out[:, None], out[None], dim=2)


def simclr_loss(out_left: Tensor, out_right: Tensor, tau: float) -> tuple[Tensor, ...]:
    """Cross-entropy over the other views, the diagonal left out, with both gradients."""
    N, out = len(out_left), torch.cat([out_left, out_right]).requires_grad_()
    scores = (sim_matrix(out) / tau)[~torch.eye(2 * N, dtype=torch.bool)].reshape(2 * N, 2 * N - 1)
    partners = torch.cat([torch.arange(N) + N - 1, torch.arange(N)])  # one place less, behind the diagonal
    loss = F.cross_entropy(scores, partners)
    return loss, *torch.autograd.grad(loss, [out])[0].split(N)
