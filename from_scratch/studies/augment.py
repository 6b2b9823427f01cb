"""New pictures out of old ones, for the training of any net."""

import numpy as np

# N pictures, C channels, H W pixels


def mirror_and_shift(X: np.ndarray, rng: np.random.Generator, pixels: int) -> np.ndarray:
    """Mirror each picture of a batch with probability 1/2, and shift it by up to so many pixels either way.

    X (N, C, H, W) -> the same shape, a new array; what a shift uncovers is filled with the picture's own reflection.
    Raises ValueError for other shapes, and for shifts that are negative or not smaller than the picture.
    """
    if X.ndim != 4 or not 0 <= pixels < min(X.shape[2:]):
        raise ValueError(f"X must be pictures (N, C, H, W) larger than the shift, not {X.shape} shifted by {pixels}")
    N, _, H, W = X.shape
    X = np.where(rng.random((N, 1, 1, 1)) < 0.5, X[..., ::-1], X)
    padded = np.pad(X, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (H, W), axis=(2, 3))
    row, column = rng.integers(2 * pixels + 1, size=(2, N))
    return windows[np.arange(N), :, row, column]
