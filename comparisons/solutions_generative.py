"""Diffusion, the U-Net and contrastive learning: plain solutions."""

import numpy as np

from from_scratch import fast_layers as fast
from from_scratch import layers as L
from from_scratch import transformer_layers as T
from from_scratch import unet_layers as U

# Diffusion


def linear_beta_schedule(timesteps):
    first, last = 1000 / timesteps * 0.0001, 1000 / timesteps * 0.02
    return np.array([first + (last - first) * step / (timesteps - 1) for step in range(timesteps)])


def cosine_beta_schedule(timesteps, s=0.008):
    def left(step):
        return np.cos((step / timesteps + s) / (1 + s) * np.pi * 0.5) ** 2

    return np.clip([1 - left(step + 1) / left(step) for step in range(timesteps)], 0, 0.999)


def coefficients(x, t, betas):
    """sqrt(a) and sqrt(1 - a) at each example's step."""
    left = np.array([np.prod(1 - betas[: step + 1]) for step in t]).reshape(-1, 1, 1, 1)
    return np.sqrt(left).astype(x.dtype), np.sqrt(1 - left).astype(x.dtype)


def q_sample(x_start, t, noise, betas):
    signal, sigma = coefficients(x_start, t, betas)
    return signal * x_start + sigma * noise


def predict_start_from_noise(x_t, t, noise, betas):
    signal, sigma = coefficients(x_t, t, betas)
    return x_t / signal - sigma / signal * noise


def predict_noise_from_start(x_t, t, x_start, betas):
    signal, sigma = coefficients(x_t, t, betas)
    return (x_t - signal * x_start) / sigma


def q_posterior(x_start, x_t, t, betas):
    alphas_cumprod = np.cumprod(1 - betas)
    mean, std = np.zeros_like(x_t), np.zeros((len(t), 1, 1, 1), x_t.dtype)
    for n, step in enumerate(t):
        now, before = alphas_cumprod[step], alphas_cumprod[step - 1] if step else 1.0
        mean[n] = betas[step] * np.sqrt(before) / (1 - now) * x_start[n]
        mean[n] += (1 - before) * np.sqrt(1 - betas[step]) / (1 - now) * x_t[n]
        std[n] = np.sqrt(betas[step] * (1 - before) / (1 - now))
    return mean, std


def silu_forward(x):
    return x / (1 + np.exp(-x)), None


def upsample_forward(x, factor=2):
    return np.kron(x, np.ones((1, 1, factor, factor), x.dtype)), None


def upsample_backward(dout, cache):
    _, factor = cache
    return sum(dout[:, :, i::factor, j::factor] for i in range(factor) for j in range(factor))


def modulate_forward(x, scale_shift):
    scale, shift = np.split(scale_shift[:, :, None, None], 2, axis=1)
    return x * (scale + 1) + shift, None


def resnet_block_forward(x, emb, params, G):
    h = silu_forward(L.spatial_groupnorm_forward(x, params["gamma1"], params["beta1"], G, {})[0])[0]
    h = L.conv_forward_naive(h, params["W1"], params["b1"], {"stride": 1, "pad": 1})[0]
    h = L.spatial_groupnorm_forward(h, params["gamma2"], params["beta2"], G, {})[0]
    h = silu_forward(modulate_forward(h, emb.dot(params["We"]) + params["be"])[0])[0]
    h = L.conv_forward_naive(h, params["W2"], params["b2"], {"stride": 1, "pad": 1})[0]
    if "Ws" in params:
        x = L.conv_forward_naive(x, params["Ws"], params["bs"], {"stride": 1, "pad": 0})[0]
    return x + h, None


def embed_forward(time, classes, params):
    h = silu_forward(time.dot(params["W1"]) + params["b1"])[0]
    return silu_forward(h.dot(params["W2"]) + params["b2"] + params["classes.W"][classes])[0], None


def unet_forward(x, time, classes, params, G):
    def conv(h, name, stride=1):
        return fast.conv_forward_strides(h, params[f"{name}.W"], params[f"{name}.b"], {"stride": stride, "pad": 1})[0]

    def block(h, name):
        return U.resnet_block_forward(h, emb, T.part(params, f"{name}."), G)[0]

    emb = embed_forward(time, classes, T.part(params, "embed."))[0]
    fine = block(conv(x, "first"), "down0")
    kept = [fine]
    for level in range(1, 10):
        if f"half{level}.W" in params:
            kept.append(block(conv(kept[-1], f"half{level - 1}", 2), f"down{level}"))
    h = block(conv(kept[-1], f"half{len(kept) - 1}", 2), "middle")
    while kept:
        h = block(np.concatenate([upsample_forward(h)[0], kept.pop()], axis=1), f"up{len(kept)}")
    h = L.spatial_groupnorm_forward(h, params["last.gamma"], params["last.beta"], G, {})[0]
    return conv(silu_forward(h)[0], "last"), None


# Contrastive learning


def sim(z_i, z_j):
    return np.dot(z_i, z_j) / (np.linalg.norm(z_i) * np.linalg.norm(z_j))


def simclr_loss_naive(out_left, out_right, tau):
    N, out = len(out_left), np.concatenate([out_left, out_right])
    total, dout = 0.0, np.zeros_like(out)
    lengths = np.linalg.norm(out, axis=1)
    for i in range(2 * N):
        positive = i + N if i < N else i - N
        exps = {k: np.exp(sim(out[i], out[k]) / tau) for k in range(2 * N) if k != i}
        total -= np.log(exps[positive] / sum(exps.values()))
        for k, one in exps.items():
            slope = (one / sum(exps.values()) - (k == positive)) / tau / (2 * N)
            cosine = sim(out[i], out[k])
            dout[i] += slope * (out[k] / (lengths[i] * lengths[k]) - cosine * out[i] / lengths[i] ** 2)
            dout[k] += slope * (out[i] / (lengths[i] * lengths[k]) - cosine * out[k] / lengths[k] ** 2)
    return np.asarray(total / (2 * N), out.dtype), dout[:N], dout[N:]


def sim_positive_pairs(out_left, out_right):
    return np.array([[sim(left, right)] for left, right in zip(out_left, out_right, strict=True)])


def compute_sim_matrix(out):
    units = out / np.linalg.norm(out, axis=1, keepdims=True)
    return units.dot(units.T)


def simclr_loss_vectorized(out_left, out_right, tau):
    N, out = len(out_left), np.concatenate([out_left, out_right])
    lengths = np.linalg.norm(out, axis=1, keepdims=True)
    units = out / lengths
    exponential = np.exp(compute_sim_matrix(out) / tau) * (1 - np.eye(2 * N))
    p = exponential / exponential.sum(axis=1, keepdims=True)
    positives = np.roll(np.eye(2 * N), N, axis=0)
    loss = -np.mean(np.log(np.sum(p * positives, axis=1)))
    dsim = (p - positives) / (2 * N) / tau
    dunits = dsim.dot(units) + dsim.T.dot(units)
    dout = (dunits - units * np.sum(units * dunits, axis=1, keepdims=True)) / lengths
    return loss, dout[:N], dout[N:]
