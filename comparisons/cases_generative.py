"""Cases of the notebooks DDPM and SimCLR: schedules and steps of diffusion, the U-Net, the contrastive loss."""

from torch.nn import functional as F

from comparisons import reference_generative as reference
from comparisons.case import Case
from comparisons.cases_dense import images
from from_scratch import activations, gaussian_diffusion, simclr, unet_layers


def norm_params(draw, C, number=""):
    return {f"gamma{number}": draw(1, C, 1, 1), f"beta{number}": draw(1, C, 1, 1)}


def conv_params(draw, F, C, name, size=3):
    """Weights of a scale at which the gate of no SiLU is shut."""
    return {name.format("W"): draw(F, C, size, size) * (C * size * size) ** -0.5, name.format("b"): draw(F)}


def block_params(draw, C, F, E):
    params = norm_params(draw, C, 1) | conv_params(draw, F, C, "{}1") | {"We": draw(E, 2 * F) * E**-0.5}
    params |= {"be": draw(2 * F)} | norm_params(draw, F, 2) | conv_params(draw, F, F, "{}2")
    return params | (conv_params(draw, F, C, "{}s", 1) if C != F else {})


def embed_params(draw, D, E, classes):
    weights = {"W1": draw(D, E) * D**-0.5, "b1": draw(E), "W2": draw(E, E) * E**-0.5, "b2": draw(E)}
    return weights | {"classes.W": draw(classes, E)}


def block(draw, N, G, K, H, W, D):
    draw.needs(H * W > 2)  # a group of two numbers is normalized to plus and minus one, whatever it was
    return dict(x=draw(N, G * K, H, W), emb=draw(N, D), params=block_params(draw, G * K, G * K, D), G=G)


def wider_block(draw, N, G, K, H, W, D):
    return block(draw, N, G, K, H, W, D) | dict(params=block_params(draw, G * K, G * (K + 1), D))


def unet(draw, N, C, G, K, D, V):
    """Two levels of halving, on images of 4 x 8."""
    size, E = G * K, D + 1
    params = {f"embed.{name}": value for name, value in embed_params(draw, D, E, V).items()}
    params |= conv_params(draw, size, C, "first.{}")
    for i, (fine, coarse) in enumerate(((size, size), (size, 2 * size))):
        params |= {f"down{i}.{name}": value for name, value in block_params(draw, size, fine, E).items()}
        params |= conv_params(draw, coarse, fine, f"half{i}.{{}}")
    params |= {f"middle.{name}": value for name, value in block_params(draw, 2 * size, 2 * size, E).items()}
    for i, before in ((1, 3 * size), (0, 2 * size)):
        params |= {f"up{i}.{name}": value for name, value in block_params(draw, before, size, E).items()}
    params |= {f"last.{name}": value for name, value in norm_params(draw, size).items()}
    params |= conv_params(draw, C, size, "last.{}")
    return dict(x=draw(N, C, 4, 8), time=draw(N, D), classes=draw.whole(V, N), params=params, G=G)


def noisy(draw, N, C, H, W, T, first, second):
    """Two pictures, steps and a schedule of T steps that leaves something of both picture and noise."""
    betas = draw.rng.uniform(0.05, 0.4, T)
    return {first: draw(N, C, H, W), "t": draw.whole(T, N), second: draw(N, C, H, W), "betas": betas}


def posterior(draw, N, C, H, W, T):
    inputs = noisy(draw, N, C, H, W, T, "x_start", "x_t")
    return {name: inputs[name] for name in ("x_start", "x_t", "t", "betas")}


def starts_from(first, second):
    return lambda draw, N, C, H, W, T: noisy(draw, N, C, H, W, T, first, second)


def pairs(draw, N, D):
    draw.needs(D > 2)  # cosines of two numbers are nearly all plus or minus one, and have hardly a gradient
    return dict(out_left=draw(N, D), out_right=draw(N, D), tau=0.4)


DIFFUSION = [
    Case("linear_beta_schedule", gaussian_diffusion.linear_beta_schedule, None, reference.linear_beta_schedule,
         lambda draw, V: dict(timesteps=20 * V + 1)),
    Case("cosine_beta_schedule", gaussian_diffusion.cosine_beta_schedule, None, reference.cosine_beta_schedule,
         lambda draw, V: dict(timesteps=V)),
    Case("q_sample", gaussian_diffusion.q_sample, None, reference.q_sample, starts_from("x_start", "noise")),
    Case("predict_start_from_noise", gaussian_diffusion.predict_start_from_noise, None,
         reference.predict_start_from_noise, starts_from("x_t", "noise")),
    Case("predict_noise_from_start", gaussian_diffusion.predict_noise_from_start, None,
         reference.predict_noise_from_start, starts_from("x_t", "x_start")),
    Case("q_posterior", gaussian_diffusion.q_posterior, None, reference.q_posterior, posterior, sizes={"N": 11},
         outputs=("mean", "deviation")),
    Case("silu", activations.silu_forward, activations.silu_backward, F.silu, images),
    Case("upsample", unet_layers.upsample_forward, unet_layers.upsample_backward, reference.upsample,
         lambda draw, N, C, H, W, stride: images(draw, N, C, H, W) | dict(factor=stride), sizes={"stride": 3}),
    Case("modulate", unet_layers.modulate_forward, unet_layers.modulate_backward, reference.modulate,
         lambda draw, N, C, H, W: images(draw, N, C, H, W) | dict(scale_shift=draw(N, 2 * C))),
    Case("resnet_block", unet_layers.resnet_block_forward, unet_layers.resnet_block_backward, reference.resnet_block,
         block),
    Case("resnet_block, wider", unet_layers.resnet_block_forward, unet_layers.resnet_block_backward,
         reference.resnet_block, wider_block),
    Case("embed", unet_layers.embed_forward, unet_layers.embed_backward, reference.embed,
         lambda draw, N, D, M, V: dict(
             time=draw(N, D), classes=draw.whole(V, N), params=embed_params(draw, D, M, V))),
    Case("unet", unet_layers.unet_forward, unet_layers.unet_backward, reference.unet, unet, sizes={"V": 3, "D": 5}),
]  # fmt: skip
LOSS = dict(sizes={"N": 7}, outputs=("loss", "dout_left", "dout_right"))
CONTRASTIVE = [
    Case("sim", simclr.sim, None, reference.sim, lambda draw, D: dict(z_i=draw(D), z_j=draw(D))),
    Case(
        "sim_positive_pairs",
        simclr.sim_positive_pairs,
        None,
        reference.sim_positive_pairs,
        lambda draw, N, D: dict(out_left=draw(N, D), out_right=draw(N, D)),
    ),
    Case(
        "compute_sim_matrix",
        simclr.compute_sim_matrix,
        None,
        reference.sim_matrix,
        lambda draw, N, D: dict(out=draw(2 * N, D)),
    ),
    Case("simclr_loss_naive", simclr.simclr_loss_naive, None, reference.simclr_loss, pairs, **LOSS),
    Case("simclr_loss_vectorized", simclr.simclr_loss_vectorized, None, reference.simclr_loss, pairs, **LOSS),
]
