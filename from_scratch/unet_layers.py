"""What a U-Net has beside convolutions and norms: a way up, residual blocks that know the time, and the net itself.

N batch, C channels, F filters, H W image, G groups, D numbers of a time, E embedding. Parameters are dicts, so that
blocks nest by name; a gradient has the name of its parameter.
"""

import numpy as np

from from_scratch import checks
from from_scratch.activations import silu_backward, silu_forward
from from_scratch.affine import affine_backward, affine_forward
from from_scratch.embedding import word_embedding_backward, word_embedding_forward
from from_scratch.fast_layers import conv_backward_fast, conv_forward_fast
from from_scratch.normalization import spatial_groupnorm_backward, spatial_groupnorm_forward
from from_scratch.transformer_layers import Params, part, prefixed

SAME, HALF, POINT = {"stride": 1, "pad": 1}, {"stride": 2, "pad": 1}, {"stride": 1, "pad": 0}


def upsample_forward(x: np.ndarray, factor: int = 2) -> tuple[np.ndarray, tuple]:
    """Write each pixel into a square of its own: the nearest neighbor of every new pixel.

    out[n, c, i, j] = x[n, c, i // factor, j // factor]; x (N, C, H, W) -> out (N, C, factor H, factor W), cache
    (x's shape, factor). Raises TypeError or ValueError for what does not fit. Source: CS231n assignment 3 (2025), unet.
    """
    checks.floats("x", x, 4)
    checks.size("factor", factor)
    return x.repeat(factor, axis=2).repeat(factor, axis=3), (x.shape, factor)


def upsample_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """The gradients of a pixel's copies add up: dout (N, C, factor H, factor W) -> dx (N, C, H, W)."""
    (N, C, H, W), factor = cache
    checks.shape("dout", dout, (N, C, factor * H, factor * W), "of out")
    return dout.reshape(N, C, H, factor, W, factor).sum(axis=(3, 5))


def modulate_forward(x: np.ndarray, scale_shift: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Scale and shift each channel of each example, as an embedding says.

    out = x (1 + scale) + shift; x (N, C, H, W), scale_shift (N, 2 C), the scales first -> out (N, C, H, W), cache.
    Raises TypeError or ValueError for what does not fit. Source: Perez et al., FiLM (2017); Dhariwal and Nichol (2021).
    """
    checks.floats("x", x, 4)
    N, C, _, _ = x.shape
    checks.shape("scale_shift", scale_shift, (N, 2 * C), f"(N, 2 C) for x {x.shape}")
    factor, shift = 1 + scale_shift[:, :C, None, None], scale_shift[:, C:, None, None]
    return x * factor + shift, (x, factor)


def modulate_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """dout (N, C, H, W) -> dx (N, C, H, W), dscale_shift (N, 2 C); each scale has the sum over its channel's image."""
    x, factor = cache
    checks.shape("dout", dout, x.shape, "of out")
    return dout * factor, np.concatenate([(dout * x).sum(axis=(2, 3)), dout.sum(axis=(2, 3))], axis=1)


def resnet_block_forward(x: np.ndarray, emb: np.ndarray, params: Params, G: int) -> tuple[np.ndarray, tuple]:
    """Two convolutions with a shortcut around them; between the two, the embedding modulates the norm's output.

    h = conv1(silu(norm1(x))); h = conv2(silu(modulate(norm2(h), emb·We + be))); out = h + x, or h + (x through the
    1 x 1 convolution Ws, bs) where the number of channels changes.

    x (N, C, H, W), emb (N, E); params: gamma1, beta1 (1, C, 1, 1), W1 (F, C, 3, 3), b1 (F,), We (E, 2 F), be (2 F,),
    gamma2, beta2 (1, F, 1, 1), W2 (F, F, 3, 3), b2 (F,) and, perhaps, Ws (F, C, 1, 1), bs (F,); G groups of both norms
    -> out (N, F, H, W), cache. Raises as its parts do. Source: Ho et al., DDPM (2020); CS231n assignment 3 (2025).
    """
    h, norm1 = spatial_groupnorm_forward(x, params["gamma1"], params["beta1"], G, {})
    h, silu1 = silu_forward(h)
    h, conv1 = conv_forward_fast(h, params["W1"], params["b1"], SAME)
    scale_shift, affine = affine_forward(emb, params["We"], params["be"])
    h, norm2 = spatial_groupnorm_forward(h, params["gamma2"], params["beta2"], G, {})
    h, modulate = modulate_forward(h, scale_shift)
    h, silu2 = silu_forward(h)
    h, conv2 = conv_forward_fast(h, params["W2"], params["b2"], SAME)
    around, shortcut = conv_forward_fast(x, params["Ws"], params["bs"], POINT) if "Ws" in params else (x, None)
    return around + h, (norm1, silu1, conv1, affine, norm2, modulate, silu2, conv2, shortcut)


def resnet_block_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, Params]:
    """Gradients of `resnet_block_forward`: dx, demb and a dict for the parameters."""
    norm1, silu1, conv1, affine, norm2, modulate, silu2, conv2, shortcut = cache
    grads = {}
    dh, grads["W2"], grads["b2"] = conv_backward_fast(dout, conv2)
    dh, dscale_shift = modulate_backward(silu_backward(dh, silu2), modulate)
    dh, grads["gamma2"], grads["beta2"] = spatial_groupnorm_backward(dh, norm2)
    demb, grads["We"], grads["be"] = affine_backward(dscale_shift, affine)
    dh, grads["W1"], grads["b1"] = conv_backward_fast(dh, conv1)
    dx, grads["gamma1"], grads["beta1"] = spatial_groupnorm_backward(silu_backward(dh, silu1), norm1)
    daround = dout
    if shortcut:
        daround, grads["Ws"], grads["bs"] = conv_backward_fast(dout, shortcut)
    return dx + daround, demb, grads


def embed_forward(time: np.ndarray, classes: np.ndarray, params: Params) -> tuple[np.ndarray, tuple]:
    """What all blocks are told: the time through two layers, plus a vector of the class.

    emb = silu(silu(time·W1 + b1)·W2 + b2 + classes.W[class]); time (N, D), whole classes (N,), W1 (D, E), W2 (E, E),
    classes.W (classes, E) -> emb (N, E), cache. Raises as its parts do. Source: Ho et al., DDPM (2020), appendix B.
    """
    h, first = affine_forward(time, params["W1"], params["b1"])
    h, silu1 = silu_forward(h)
    h, second = affine_forward(h, params["W2"], params["b2"])
    of_class, lookup = word_embedding_forward(classes, params["classes.W"])
    out, silu2 = silu_forward(h + of_class)
    return out, (first, silu1, second, lookup, silu2)


def embed_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, Params]:
    """Gradients of `embed_forward`: dtime and a dict for the parameters."""
    first, silu1, second, lookup, silu2 = cache
    dsum, grads = silu_backward(dout, silu2), {}
    grads["classes.W"] = word_embedding_backward(dsum, lookup)
    dh, grads["W2"], grads["b2"] = affine_backward(dsum, second)
    dtime, grads["W1"], grads["b1"] = affine_backward(silu_backward(dh, silu1), first)
    return dtime, grads


def unet_forward(
    x: np.ndarray, time: np.ndarray, classes: np.ndarray, params: Params, G: int
) -> tuple[np.ndarray, tuple]:
    """Down to coarser images and up again; on the way up each level also sees what it was on the way down.

    h = first(x); on each level down: h = down_i(h), kept as skip_i; h = half_i(h), of half the size; h = middle(h); on
    each level up: h = up_i([upsample(h), skip_i]); out = last(silu(norm(h))). All blocks are told embed(time, classes).

    x (N, C, H, W), H and W divisible by 2 for each `half`; time (N, D), classes (N,); parameters as `Unet` draws them,
    a block's under its prefix ("down0.", …) -> out (N, C, H, W), cache. Raises as its parts do, and ValueError for a
    size that cannot be halved. Source: Ronneberger et al., U-Net (2015); Ho et al., DDPM (2020), appendix B.
    """
    levels = sum(name.startswith("half") for name in params) // 2
    if any(size % 2**levels for size in x.shape[2:]):
        raise ValueError(f"x {x.shape} must have a height and a width that can be halved {levels} times")
    emb, embed = embed_forward(time, classes, part(params, "embed."))
    h, first = conv_forward_fast(x, params["first.W"], params["first.b"], SAME)
    down, skips, up = [], [], []
    for i in range(levels):
        h, block = resnet_block_forward(h, emb, part(params, f"down{i}."), G)
        skips.append(h)
        h, half = conv_forward_fast(h, params[f"half{i}.W"], params[f"half{i}.b"], HALF)
        down.append((block, half))
    h, middle = resnet_block_forward(h, emb, part(params, "middle."), G)
    for i in reversed(range(levels)):
        h, upsample = upsample_forward(h)
        h, block = resnet_block_forward(np.concatenate([h, skips[i]], axis=1), emb, part(params, f"up{i}."), G)
        up.append((upsample, block, skips[i].shape[1]))
    h, norm = spatial_groupnorm_forward(h, params["last.gamma"], params["last.beta"], G, {})
    h, silu = silu_forward(h)
    out, last = conv_forward_fast(h, params["last.W"], params["last.b"], SAME)
    return out, (embed, first, down, middle, up, norm, silu, last)


def unet_backward(dout: np.ndarray, cache: tuple, with_dx: bool = True) -> tuple[np.ndarray, np.ndarray, Params]:
    """Gradients of `unet_forward`: dx (without `with_dx`, None), dtime and a dict for the parameters.

    What a level was on the way down has two gradients: from the way up, and from the coarser level.
    """
    embed, first, down, middle, up, norm, silu, last = cache
    grads, demb, dskips = {}, 0, []

    def through(block: tuple, prefix: str, dout: np.ndarray) -> np.ndarray:
        nonlocal demb
        dx, demb_of_block, block_grads = resnet_block_backward(dout, block)
        demb = demb + demb_of_block
        grads.update(prefixed(prefix, block_grads))
        return dx

    dh, grads["last.W"], grads["last.b"] = conv_backward_fast(dout, last)
    dh, grads["last.gamma"], grads["last.beta"] = spatial_groupnorm_backward(silu_backward(dh, silu), norm)
    for i, (upsample, block, channels) in enumerate(reversed(up)):
        dboth = through(block, f"up{i}.", dh)
        dskips.append(dboth[:, -channels:])
        dh = upsample_backward(dboth[:, :-channels], upsample)
    dh = through(middle, "middle.", dh)
    for i, (block, half) in reversed(list(enumerate(down))):
        dh, grads[f"half{i}.W"], grads[f"half{i}.b"] = conv_backward_fast(dh, half)
        dh = through(block, f"down{i}.", dh + dskips[i])
    dx, grads["first.W"], grads["first.b"] = conv_backward_fast(dh, first, with_dx)
    dtime, embed_grads = embed_backward(demb, embed)
    return dx, dtime, grads | prefixed("embed.", embed_grads)
