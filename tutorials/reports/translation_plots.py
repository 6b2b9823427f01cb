"""Figures of tutorials that translate: attention, BLEU by length, positions, lengths."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tutorials.common.plots import NEUTRAL, TRAIN, Heat, heat_maps, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def word_maps(content: Sequence[Heat], columns: int = 2) -> "Figure":
    """Attention: where each word that was written (a row) looked in the source (columns)."""
    return heat_maps(content, "source", "attention weight", columns, rotation=60, ylabel="translation")


def columns(values: Sequence[float], names: Sequence[str], xlabel: str, ylabel: str) -> "Figure":
    """One upright bar for each name, with its value above it."""
    figure = new_figure(1.1 * len(names) + 1.5, 3.6)
    axes = figure.subplots()
    axes.bar_label(axes.bar(range(len(names)), values, color=TRAIN), fmt="%.1f")
    axes.set_xticks(range(len(names)), names)
    axes.margins(y=0.1)
    tidy(axes, xlabel, ylabel)
    return figure


def positions(table: np.ndarray) -> "Figure":
    """What stands for each position: sines and cosines (T, E)."""
    figure = new_figure(7, 3.6)
    axes = figure.subplots()
    picture = axes.imshow(table.T, cmap="RdBu", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    figure.colorbar(picture, ax=axes, label="value")
    axes.set(xlabel="position in the sentence", ylabel="dimension")
    return figure


def against(x: Sequence[float], y: Sequence[float], xlabel: str, ylabel: str) -> "Figure":
    """How often each pair of whole numbers comes, as the area of a dot, and the diagonal on which both are equal."""
    pairs, counts = np.unique(np.stack([x, y]), axis=1, return_counts=True)
    figure = new_figure(4.6, 4.4)
    axes = figure.subplots()
    highest = pairs.max() + 1
    axes.plot([0, highest], [0, highest], "--", color=NEUTRAL, linewidth=1)
    axes.scatter(*pairs, s=8 * counts**0.7, color=TRAIN, alpha=0.6, linewidths=0)
    axes.set(xlim=(0, highest), ylim=(0, highest), aspect="equal")
    tidy(axes, xlabel, ylabel)
    return figure
