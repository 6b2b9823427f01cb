"""Pictures side by side as a figure, with what to write above them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tutorials.common.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_grid(images: np.ndarray, titles: Sequence[str], columns: int = 8, size: float = 1.3) -> "Figure":
    """Pictures (N, H, W, 3), uint8 or 0..1, `size` inches wide, with a title above each."""
    if not len(images):
        figure = new_figure(4, 1)
        figure.text(0.5, 0.5, "none", ha="center")
        return figure
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    lines = max(title.count("\n") + 1 for title in titles)
    figure = new_figure(columns * size, rows * (size + 0.16 * lines))
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in places:
        axes.axis("off")
    for axes, image, title in zip(places, images, titles, strict=False):
        axes.imshow(image, interpolation="nearest")
        axes.set_title(title, fontsize=8, pad=3)
    return figure


def shorten(name: str, most: int = 20) -> str:
    """A name as it fits above a picture."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def filters(weights: np.ndarray, names: Sequence[str] = ()) -> "Figure":
    """First-layer filters (F, 3, H, W) as color pictures, each stretched to the full range, under their names."""
    low, high = (extreme(weights, axis=(1, 2, 3), keepdims=True) for extreme in (np.min, np.max))
    stretched = (weights - low) / np.maximum(high - low, 1e-12)
    return image_grid(stretched.transpose(0, 2, 3, 1), names or [f"filter {number}" for number in range(len(weights))])


def overlay(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Heat maps (N, H, W) in 0..1 over pictures (N, H, W, 3) uint8, which turn gray beneath them."""
    from matplotlib import colormaps

    gray = (images / 255).mean(3, keepdims=True)
    return 0.55 * gray + 0.45 * colormaps["inferno"](maps)[..., :3]
