"""Convolution and max pooling in whole-array NumPy, three ways; `conv_*_fast` and `max_pool_*_fast` are the quickest.

The columns of windows are as large as HH WW images. No cache keeps them: the backward builds them again, a block of
images at a time, in a buffer that stays in the processor's cache.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from from_scratch import checks
from from_scratch.convolution import pad_image, read_conv, read_pool
from from_scratch.im2col import Unfolding, blocks, col2im_indices, im2col_indices

# N batch, C channels, H W image, F filters, HH WW filter or pool window, OH OW output, K = C HH WW


def conv_forward_fast(x: np.ndarray, w: np.ndarray, b: np.ndarray, conv_param: dict) -> tuple[np.ndarray, tuple]:
    """Convolve as one matrix product per image: filters (F, K + 1), the bias last, by columns (K + 1, OH OW).

    out[n] = [w | b] @ [columns(x[n]); 1]

    Shapes, options, errors and the source are those of `conv_forward_naive`.
    """
    b = checks.floating(b, w.dtype)
    unfolding = Unfolding(x, w, b, conv_param)
    weights = np.concatenate([w.reshape(len(w), -1), b[:, None]], axis=1)
    out = np.empty((len(x), len(w), unfolding.columns.shape[2]), unfolding.columns.dtype)
    for block in blocks(len(x), unfolding.block):
        np.matmul(weights, unfolding.unfold(x[block]), out=out[block])
    return out.reshape(*out.shape[:2], *unfolding.size), (x, w, b, conv_param)


def conv_backward_fast(dout: np.ndarray, cache: tuple, with_dx: bool = True) -> tuple:
    """The gradients of `conv_forward_fast`, from columns built anew.

    [dw | db] = sum over n of dout[n] @ [columns(x[n]); 1]^T, dx[n] = fold(w^T @ dout[n])

    Shapes, errors and the source are those of `conv_backward_naive`. Without `with_dx`, dx is None: a net's first layer
    needs no gradient of the images, and it is half of the work.
    """
    x, w, b, conv_param = cache
    unfolding = Unfolding(x, w, b, conv_param)
    checks.shape("dout", dout, (len(x), len(w), *unfolding.size), "of the convolution's output")
    dout = dout.reshape(len(x), len(w), unfolding.columns.shape[2])
    weights = np.ascontiguousarray(w.reshape(len(w), -1).T)  # (K, F)
    dx = np.zeros(x.shape, dout.dtype) if with_dx else None
    dweights = np.zeros((len(weights) + 1, len(w)), dout.dtype)
    for block in blocks(len(x), unfolding.block):
        columns = unfolding.unfold(x[block])
        dweights += np.matmul(columns, dout[block].transpose(0, 2, 1)).sum(axis=0)
        if with_dx:
            np.matmul(weights, dout[block], out=columns[:, :-1])
            unfolding.fold(dx[block])
    return dx, np.ascontiguousarray(dweights[:-1].T).reshape(w.shape), dweights[-1]


def conv_forward_im2col(x: np.ndarray, w: np.ndarray, b: np.ndarray, conv_param: dict) -> tuple[np.ndarray, tuple]:
    """Convolve as one matrix product over the columns of the whole batch, gathered by index.

    Shapes, options, errors and the source are those of `conv_forward_naive`.
    """
    b = checks.floating(b, w.dtype)
    *_, size = read_conv(x, w, b, conv_param)
    cols = im2col_indices(x, *w.shape[2:], conv_param["pad"], conv_param["stride"])  # (K, OH OW N)
    out = (w.reshape(len(w), -1) @ cols + b[:, None]).reshape(len(w), *size, len(x))
    return np.ascontiguousarray(out.transpose(3, 0, 1, 2)), (x, w, b, conv_param)


def conv_backward_im2col(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of `conv_forward_im2col`; dx is scattered by index.

    Shapes, errors and the source are those of `conv_backward_naive`.
    """
    x, w, b, conv_param = cache
    *_, size = read_conv(x, w, b, conv_param)
    checks.shape("dout", dout, (len(x), len(w), *size), "of the convolution's output")
    window, pad, stride = w.shape[2:], conv_param["pad"], conv_param["stride"]
    cols = im2col_indices(x, *window, pad, stride)
    dflat = dout.transpose(1, 2, 3, 0).reshape(len(w), -1)  # (F, OH OW N)
    dx = col2im_indices(w.reshape(len(w), -1).T @ dflat, x.shape, *window, pad, stride)
    return dx, (dflat @ cols.T).reshape(w.shape), dout.sum(axis=(0, 2, 3))


def strided_columns(x: np.ndarray, window: tuple[int, int], stride: tuple, pad: tuple) -> np.ndarray:
    """Every window as a column, copied from a view of shifting windows: (N, C, H, W) -> (K, N OH OW)."""
    view = sliding_window_view(pad_image(x, pad), window, axis=(2, 3))[:, :, :: stride[0], :: stride[1]]
    return view.transpose(1, 4, 5, 0, 2, 3).reshape(x.shape[1] * window[0] * window[1], -1)


def conv_forward_strides(x: np.ndarray, w: np.ndarray, b: np.ndarray, conv_param: dict) -> tuple[np.ndarray, tuple]:
    """Convolve as one matrix product over the columns of the whole batch, copied from a strided view.

    Shapes, options, errors and the source are those of `conv_forward_naive`.
    """
    b = checks.floating(b, w.dtype)
    stride, pad, size = read_conv(x, w, b, conv_param)
    out = w.reshape(len(w), -1) @ strided_columns(x, w.shape[2:], stride, pad) + b[:, None]
    out = out.reshape(len(w), len(x), *size).transpose(1, 0, 2, 3)
    return np.ascontiguousarray(out), (x, w, b, conv_param)


def conv_backward_strides(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of `conv_forward_strides`; dx adds up one shifted image per place in the window.

    Shapes, errors and the source are those of `conv_backward_naive`.
    """
    x, w, b, conv_param = cache
    (sy, sx), (py, px), (OH, OW) = read_conv(x, w, b, conv_param)
    (N, C, H, W), (F, _, HH, WW) = x.shape, w.shape
    checks.shape("dout", dout, (N, F, OH, OW), "of the convolution's output")
    dflat = dout.transpose(1, 0, 2, 3).reshape(F, -1)  # (F, N OH OW)
    dw = (dflat @ strided_columns(x, (HH, WW), (sy, sx), (py, px)).T).reshape(w.shape)
    dcols = (w.reshape(F, -1).T @ dflat).reshape(C, HH, WW, N, OH, OW)
    padded = np.zeros((C, N, H + 2 * py, W + 2 * px), dcols.dtype)
    for i, j in np.ndindex(HH, WW):
        padded[:, :, i : i + sy * OH : sy, j : j + sx * OW : sx] += dcols[:, i, j]
    dx = padded[:, :, py : py + H, px : px + W].transpose(1, 0, 2, 3)
    return np.ascontiguousarray(dx), dw, dout.sum(axis=(0, 2, 3))


def shifted(x: np.ndarray, window: tuple[int, int], stride: tuple, size: tuple) -> list[np.ndarray]:
    """For each place in the pooling window, in reading order, the view (N, C, OH, OW) of x that it sees."""
    (sy, sx), (OH, OW) = stride, size
    return [x[:, :, i : i + sy * (OH - 1) + 1 : sy, j : j + sx * (OW - 1) + 1 : sx] for i, j in np.ndindex(*window)]


def maximum(views: list[np.ndarray]) -> np.ndarray:
    """The largest of the views, element by element."""
    out = views[0].copy()
    for view in views[1:]:
        np.maximum(out, view, out=out)
    return out


def max_pool_forward_fast(x: np.ndarray, pool_param: dict) -> tuple[np.ndarray, tuple]:
    """Pool by `max_pool_forward_reshape` where square windows tile the image, else by `max_pool_forward_im2col`.

    Shapes, options, errors and the source are those of `max_pool_forward_naive`.
    """
    window, stride, _ = read_pool(x, pool_param)
    kind = "reshape" if tiles(x, window, stride) else "im2col"
    out, inner = (max_pool_forward_reshape if kind == "reshape" else max_pool_forward_im2col)(x, pool_param)
    return out, (kind, inner)


def max_pool_backward_fast(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """The gradient of `max_pool_forward_fast`; raises ValueError for a cache of another making."""
    kind, inner = cache
    checks.choice("the cache's method", kind, ("reshape", "im2col"))
    return (max_pool_backward_reshape if kind == "reshape" else max_pool_backward_im2col)(dout, inner)


def tiles(x: np.ndarray, window: tuple[int, int], stride: tuple[int, int]) -> bool:
    """Whether the windows are square, do not overlap and leave nothing of the image out."""
    return window[0] == window[1] and window == stride and x.shape[2] % window[0] == x.shape[3] % window[1] == 0


def max_pool_forward_reshape(x: np.ndarray, pool_param: dict) -> tuple[np.ndarray, tuple]:
    """The largest value of every square tile; raises ValueError if the windows do not tile the image.

    Shapes, options and the source are those of `max_pool_forward_naive`.
    """
    window, stride, size = read_pool(x, pool_param)
    if not tiles(x, window, stride):
        raise ValueError(f"x {x.shape} must be tiled by square windows, not by windows of {window} at stride {stride}")
    # Slices, since reducing the two short axes of a view (N, C, OH, p, OW, p) takes many times longer.
    out = maximum(shifted(x, window, stride, size))
    return out, (x, out.copy(), pool_param)  # a copy: the caller may write into the output


def max_pool_backward_reshape(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Give each tile's gradient to its largest elements, in equal shares on a tie (as the course's own layer does).

    dx = dout * [x = max] / number of such x in the tile. Raises ValueError unless dout has the shape of the output.
    """
    x, out, pool_param = cache
    checks.shape("dout", dout, out.shape, "of the pooling's output")
    places = read_pool(x, pool_param)
    hits = [view == out for view in shifted(x, *places)]
    share = dout / np.sum(hits, axis=0, dtype=dout.dtype)
    dx = np.empty(x.shape, dout.dtype)
    for target, hit in zip(shifted(dx, *places), hits, strict=True):
        np.multiply(share, hit, out=target)
    return dx


def max_pool_forward_im2col(x: np.ndarray, pool_param: dict) -> tuple[np.ndarray, tuple]:
    """The largest value of any windows, overlapping or not, over one shifted view per place in the window.

    Shapes, options, errors and the source are those of `max_pool_forward_naive`; unlike the course's layer of this name
    it copies no column.
    """
    out = maximum(shifted(x, *read_pool(x, pool_param)))
    return out, (x, out.copy(), pool_param)  # a copy: the caller may write into the output


def max_pool_backward_im2col(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Give each window's gradient to its first largest element, adding up where windows overlap.

    Shapes, errors and the source are those of `max_pool_backward_naive`.
    """
    x, out, pool_param = cache
    checks.shape("dout", dout, out.shape, "of the pooling's output")
    places = read_pool(x, pool_param)
    dx, waiting = np.zeros(x.shape, dout.dtype), np.ones(out.shape, bool)
    for view, target in zip(shifted(x, *places), shifted(dx, *places), strict=True):
        hit = (view == out) & waiting
        target += dout * hit
        waiting ^= hit
    return dx
