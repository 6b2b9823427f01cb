"""Pictures as sequences: patches side by side, each mapped to a vector.

N pictures, C channels, H W their size, S side of a patch, P = HW/S^2 patches in rows, D = C S^2, E embedding.
"""

import numpy as np

from from_scratch.checks import floats, size
from from_scratch.temporal import temporal_affine_backward, temporal_affine_forward


def split_patches(x: np.ndarray, side: int) -> np.ndarray:
    """(N, C, H, W) -> (N, P, D): patches row by row, each flattened in the order channel, row, column.

    Raises TypeError or ValueError for what is not pictures, ValueError unless the side divides H and W.
    """
    floats("x", x, 4)
    N, C, H, W = x.shape
    if H % size("side", side) or W % side:
        raise ValueError(f"a patch's side must divide the pictures' {H} x {W}, but is {side}")
    grid = x.reshape(N, C, H // side, side, W // side, side)
    return grid.transpose(0, 2, 4, 1, 3, 5).reshape(N, -1, C * side * side)


def join_patches(patches: np.ndarray, picture: tuple[int, ...], side: int) -> np.ndarray:
    """(N, P, D) -> (N, C, H, W) for a `picture` of (C, H, W): undoes `split_patches`."""
    C, H, W = picture
    grid = patches.reshape(-1, H // side, W // side, C, side, side)
    return grid.transpose(0, 3, 1, 4, 2, 5).reshape(-1, C, H, W)


def patch_embedding_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, side: int) -> tuple[np.ndarray, tuple]:
    """Map each patch linearly: a convolution whose stride is the size of its filters.

    out[n, p] = patch p of x[n] w + b; x (N, C, H, W), w (D, E), b (E,) -> out (N, P, E). Raises as `split_patches` and
    `temporal_affine_forward`. Source: Dosovitskiy et al., "An Image is Worth 16x16 Words" (2020), 3.1.
    """
    out, cache = temporal_affine_forward(split_patches(x, side), w, b)
    return out, (cache, x.shape[1:], side)


def patch_embedding_backward(dout: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of `patch_embedding_forward`: dx, dw, db.

    Patches do not overlap, so each pixel has the gradient of the one patch that it is in. Raises TypeError or
    ValueError unless dout is (N, P, E).
    """
    cache, picture, side = cache
    dpatches, dw, db = temporal_affine_backward(dout, cache)
    return join_patches(dpatches, picture, side), dw, db
