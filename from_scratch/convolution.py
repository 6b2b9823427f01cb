"""Convolution and max pooling as plain loops, to be read; `fast_layers.py` computes the same at speed.

Windows that do not fit exactly: the rest at the right and at the bottom is left out, as in torch.
"""

import operator

import numpy as np

from from_scratch import checks

# N batch, C channels, H W image, F filters, HH WW filter or pool window, OH OW output


def pair(name: str, value: object, least: int) -> tuple[int, int]:
    """The option for (height, width), given as one whole number for both or as a pair of them.

    Raises TypeError for what is not whole, ValueError for more than two or for less than `least`.
    """
    both = value if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2:
        raise ValueError(f"{name} must be one whole number or a pair (height, width), not {value!r}")
    try:
        height, width = (operator.index(v) for v in both)
    except TypeError:
        raise TypeError(f"{name} must be one whole number or a pair (height, width), not {value!r}") from None
    if min(height, width) < least:
        raise ValueError(f"{name} must be at least {least}, not {value!r}")
    return height, width


def output_size(image: tuple[int, int], window: tuple[int, int], stride: tuple, pad: tuple = (0, 0)) -> tuple[int, int]:
    """How many windows fit, down and across: 1 + (H + 2 pad - HH) // stride; raises ValueError if none does."""
    sizes = tuple(1 + (h + 2 * p - k) // s for h, k, s, p in zip(image, window, stride, pad, strict=True))
    if min(sizes) < 1:
        raise ValueError(f"a window of {window} does not fit into an image of {image} padded by {pad}")
    return sizes


def read_conv(x: np.ndarray, w: np.ndarray, b: np.ndarray, conv_param: dict) -> tuple[tuple, tuple, tuple]:
    """Check a convolution's arguments and return stride, pad and output size as pairs."""
    checks.floats("x", x, 4)
    checks.floats("w", w, 4)
    if 0 in w.shape:
        raise ValueError(f"w must hold at least one filter of at least one place, but has the shape {w.shape}")
    if w.shape[1] != x.shape[1]:
        raise ValueError(f"w must have x's number of channels: w {w.shape} is (F, C, HH, WW), x {x.shape} (N, C, H, W)")
    checks.shape("b", b, w.shape[:1], f"(one per filter of w {w.shape})")
    read_keys("conv_param", conv_param, ("stride", "pad"))
    stride, pad = pair("stride", conv_param["stride"], 1), pair("pad", conv_param["pad"], 0)
    return stride, pad, output_size(x.shape[2:], w.shape[2:], stride, pad)


def read_pool(x: np.ndarray, pool_param: dict) -> tuple[tuple, tuple, tuple]:
    """Check a pooling's arguments and return window, stride and output size as pairs."""
    checks.floats("x", x, 4)
    read_keys("pool_param", pool_param, ("pool_height", "pool_width", "stride"))
    window = tuple(pair(key, pool_param[key], 1)[0] for key in ("pool_height", "pool_width"))
    stride = pair("stride", pool_param["stride"], 1)
    return window, stride, output_size(x.shape[2:], window, stride)


def read_keys(name: str, options: dict, wanted: tuple[str, ...]) -> None:
    """Raise unless the options are a dict of just these keys."""
    if not isinstance(options, dict):
        raise TypeError(f"{name} must be a dict of {', '.join(wanted)}, not a {type(options).__name__}")
    if set(options) != set(wanted):
        raise ValueError(f"{name} must have the keys {', '.join(wanted)}, not {', '.join(map(str, options)) or 'none'}")


def pad_image(x: np.ndarray, pad: tuple[int, int]) -> np.ndarray:
    """A copy of x (N, C, H, W) with zeros around it: (N, C, H + 2 pad, W + 2 pad)."""
    return np.pad(x, ((0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2))


def conv_forward_naive(x: np.ndarray, w: np.ndarray, b: np.ndarray, conv_param: dict) -> tuple[np.ndarray, tuple]:
    """Slide every filter over every padded image (cross-correlation: the filter is not flipped).

    out[n, f, i, j] = b[f] + sum over c, k, l of w[f, c, k, l] * padded x[n, c, i stride + k, j stride + l]

    x (N, C, H, W), w (F, C, HH, WW), b (F,) -> out (N, F, OH, OW), OH = 1 + (H + 2 pad - HH) // stride: what is left
    at the right and the bottom when the last window does not fit takes no part. `conv_param` has `stride` and `pad`,
    each a whole number or a pair (height, width). Raises ValueError or TypeError for what does not fit. Source:
    CS231n assignment 2, ConvolutionalNetworks.
    """
    b = checks.floating(b, w.dtype)
    (sy, sx), pad, (OH, OW) = read_conv(x, w, b, conv_param)
    padded = pad_image(x, pad)
    F, _, HH, WW = w.shape
    out = np.empty((len(x), F, OH, OW), np.result_type(x, w, b))
    for n, f, i, j in np.ndindex(out.shape):
        window = padded[n, :, i * sy : i * sy + HH, j * sx : j * sx + WW]  # (C, HH, WW)
        out[n, f, i, j] = np.sum(window * w[f]) + b[f]
    return out, (x, w, b, conv_param)


def conv_backward_naive(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Send each output's gradient back to the window and to the filter that made it.

    dw[f] += dout[n, f, i, j] * window(n, i, j), dx[window(n, i, j)] += dout[n, f, i, j] * w[f], db = sum of dout

    dout (N, F, OH, OW) -> dx (N, C, H, W), dw (F, C, HH, WW), db (F,). Raises ValueError unless dout has the shape of
    the output. Source: CS231n assignment 2, ConvolutionalNetworks.
    """
    x, w, b, conv_param = cache
    (sy, sx), pad, (OH, OW) = read_conv(x, w, b, conv_param)
    F, _, HH, WW = w.shape
    checks.shape("dout", dout, (len(x), F, OH, OW), "of the convolution's output")
    padded = pad_image(x, pad)
    dpadded, dw = np.zeros(padded.shape, dout.dtype), np.zeros(w.shape, dout.dtype)
    for n, f, i, j in np.ndindex(dout.shape):
        window = np.s_[n, :, i * sy : i * sy + HH, j * sx : j * sx + WW]
        dw[f] += dout[n, f, i, j] * padded[window]
        dpadded[window] += dout[n, f, i, j] * w[f]
    H, W = x.shape[2:]
    return dpadded[:, :, pad[0] : pad[0] + H, pad[1] : pad[1] + W], dw, dout.sum(axis=(0, 2, 3))


def max_pool_forward_naive(x: np.ndarray, pool_param: dict) -> tuple[np.ndarray, tuple]:
    """Take the largest value of every window, channel by channel.

    out[n, c, i, j] = max of x[n, c, i stride : i stride + pool_height, j stride : j stride + pool_width]

    x (N, C, H, W) -> out (N, C, OH, OW), OH = 1 + (H - pool_height) // stride; a rest that holds no whole window is
    left out, and windows overlap where stride < size. `pool_param` has `pool_height`, `pool_width` and `stride` (a
    whole number or a pair). Raises ValueError or TypeError for what does not fit. Source: CS231n assignment 2.
    """
    (ph, pw), (sy, sx), size = read_pool(x, pool_param)
    out = np.empty((*x.shape[:2], *size), x.dtype)
    for n, c, i, j in np.ndindex(out.shape):
        out[n, c, i, j] = x[n, c, i * sy : i * sy + ph, j * sx : j * sx + pw].max()
    return out, (x, pool_param)


def max_pool_backward_naive(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Give each window's gradient to its largest element: the first of them in reading order on a tie, as torch does.

    dx[argmax of window (n, c, i, j)] += dout[n, c, i, j]

    dout (N, C, OH, OW) -> dx (N, C, H, W). Windows that overlap add up. Raises ValueError unless dout has the shape of
    the output. Source: CS231n assignment 2.
    """
    x, pool_param = cache
    (ph, pw), (sy, sx), size = read_pool(x, pool_param)
    checks.shape("dout", dout, (*x.shape[:2], *size), "of the pooling's output")
    dx = np.zeros(x.shape, dout.dtype)
    for n, c, i, j in np.ndindex(dout.shape):
        window = np.s_[n, c, i * sy : i * sy + ph, j * sx : j * sx + pw]
        k, m = np.unravel_index(x[window].argmax(), (ph, pw))
        dx[window][k, m] += dout[n, c, i, j]
    return dx
