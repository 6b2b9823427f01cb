"""Features of pictures: histograms of oriented gradients (texture, no color) and of hues (color, no texture)."""

from collections.abc import Callable, Sequence

import numpy as np

# N pictures, H W C a picture, F features


def extract_features(
    imgs: np.ndarray, feature_fns: Sequence[Callable[[np.ndarray], np.ndarray]], verbose: bool = False
) -> np.ndarray:
    """All features of every picture side by side: imgs (N, H, W, C) -> (N, F); each function gives a row of numbers.

    Source: CS231n assignment 1, features.
    """
    rows = []
    for number, img in enumerate(imgs, 1):
        rows.append(np.concatenate([np.ravel(function(img)) for function in feature_fns]))
        if verbose and number % 1000 == 0:
            print(f"Done extracting features for {number} / {len(imgs)} images")
    return np.array(rows)


def rgb2gray(rgb: np.ndarray) -> np.ndarray:
    """(..., 3) -> (...), weighted as the eye sees the three colors: 0.299 red + 0.587 green + 0.114 blue."""
    return rgb[..., :3] @ np.array([0.299, 0.587, 0.114])


def hog_feature(im: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients: in each cell of 8 x 8 pixels, how much slope there is in each of 9 directions.

    im (H, W) or (H, W, 3), sides of at least 8 -> ((H // 8) (W // 8) 9,), mean gradient magnitudes. A direction and its
    opposite are one: bright on dark is as dark on bright. Raises ValueError for smaller pictures.
    Source: N. Dalal and B. Triggs, "Histograms of Oriented Gradients for Human Detection", 2005.
    """
    image = rgb2gray(im) if im.ndim == 3 else np.asarray(im, float)
    cells, orientations = (image.shape[0] // 8, image.shape[1] // 8), 9
    if 0 in cells:
        raise ValueError(f"im must be at least 8 pixels high and wide, not {image.shape}")
    gx, gy = np.zeros_like(image), np.zeros_like(image)
    gx[:, :-1], gy[:-1] = np.diff(image, axis=1), np.diff(image, axis=0)
    slope, angle = np.hypot(gx, gy), np.degrees(np.arctan2(gy, gx)) % 180  # (H, W)
    bins = np.minimum(angle // (180 / orientations), orientations - 1)
    by_direction = np.where(bins[..., None] == np.arange(orientations), slope[..., None], 0)  # (H, W, 9)
    whole = by_direction[: 8 * cells[0], : 8 * cells[1]]
    return whole.reshape(cells[0], 8, cells[1], 8, orientations).mean(axis=(1, 3)).ravel()


def color_histogram_hsv(
    im: np.ndarray, nbin: int = 10, xmin: float = 0, xmax: float = 255, normalized: bool = True
) -> np.ndarray:
    """How many pixels have a hue in each of `nbin` equal parts of the color circle.

    im (H, W, 3) in xmin..xmax -> (nbin,); `normalized`: as shares, which sum to 1. Gray has the hue of red, 0. Source:
    CS231n assignment 1, features.
    """
    r, g, b = np.moveaxis((np.asarray(im, float) - xmin) / (xmax - xmin), -1, 0)
    most, least = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
    spread = np.where(most > least, most - least, 1)
    # Red is 0, green 2, blue 4 of 6; between them the second strongest color says how far.
    hue = np.where(most == r, (g - b) / spread % 6, np.where(most == g, (b - r) / spread + 2, (r - g) / spread + 4)) / 6
    counts, _ = np.histogram(np.where(most > least, hue, 0), bins=nbin, range=(0, 1))
    return counts / hue.size if normalized else counts
