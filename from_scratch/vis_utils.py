"""Pictures (N, H, W, C) side by side, ready for imshow. Source: CS231n, vis_utils."""

import numpy as np


def visualize_grid(Xs: np.ndarray, ubound: float = 255.0, padding: int = 1) -> np.ndarray:
    """A square grid of pictures with black gaps, each stretched to [0, ubound] by itself.

    Xs (N, H, W, C) -> (A H + (A - 1) padding, A W + (A - 1) padding, C), A = ceil(sqrt N). A picture of one value is
    black. Raises ValueError for other shapes.
    """
    Xs = pictures(Xs)
    low, high = (reduce(Xs, axis=(1, 2, 3), keepdims=True) for reduce in (np.min, np.max))
    tiles = ubound * (Xs - low) / np.where(high > low, high - low, 1)
    return grid(tiles, *square(len(Xs)), padding, 0.0)


def vis_grid(Xs: np.ndarray) -> np.ndarray:
    """A square grid of pictures with gaps of one pixel, all stretched together to [0, 1].

    Xs (N, H, W, C) -> (A H + A - 1, A W + A - 1, C), A = ceil(sqrt N). Raises ValueError for other shapes.
    """
    Xs = pictures(Xs)
    return stretch(grid(Xs, *square(len(Xs)), 1, Xs.min()))


def vis_nn(rows: list) -> np.ndarray:
    """Rows of pictures below one another, as `vis_grid`: a list of equally long lists of (H, W, C), such as a picture
    and its nearest neighbors -> (A H + A - 1, B W + B - 1, C)."""
    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"rows must be equally long lists of pictures, and have {[len(row) for row in rows]}")
    Xs = pictures(np.stack([picture for row in rows for picture in row]))
    return stretch(grid(Xs, len(rows), len(rows[0]), 1, Xs.min()))


def pictures(Xs: np.ndarray) -> np.ndarray:
    """Xs as floats; raises ValueError unless there are pictures (N, H, W, C)."""
    Xs = np.asarray(Xs)
    if Xs.ndim != 4 or not Xs.size:
        raise ValueError(f"Xs must be pictures (N, H, W, C), not the shape {Xs.shape}")
    return Xs if np.issubdtype(Xs.dtype, np.floating) else Xs.astype(float)


def square(n: int) -> tuple[int, int]:
    """Rows and columns of the smallest square with n places."""
    return (int(np.ceil(np.sqrt(n))),) * 2


def grid(Xs: np.ndarray, down: int, across: int, padding: int, gap: float) -> np.ndarray:
    """Lay pictures out in reading order; gaps and places left over have the value `gap`."""
    N, H, W, C = Xs.shape
    tiles = np.full((down * across, H + padding, W + padding, C), gap, Xs.dtype)
    tiles[:N, :H, :W] = Xs
    whole = tiles.reshape(down, across, H + padding, W + padding, C).swapaxes(1, 2)
    whole = whole.reshape(down * (H + padding), across * (W + padding), C)
    return whole[: len(whole) - padding, : whole.shape[1] - padding]


def stretch(picture: np.ndarray) -> np.ndarray:
    """Values moved to [0, 1]; a picture of one value becomes black."""
    low, high = picture.min(), picture.max()
    return (picture - low) / (high - low if high > low else 1)
