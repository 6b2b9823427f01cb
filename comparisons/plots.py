"""The figures of the report and of the race, from data to Figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comparisons.mistakes import Effect
from comparisons.nets import Step, relative
from tutorials.common.plots import NEUTRAL, TRAIN, VAL, new_figure, tidy

HAND, TORCH = TRAIN, VAL
SIDES = ("NumPy, by hand", "torch")
EQUAL = 1e-18  # where a logarithmic axis shows a difference of zero


def agreement(groups: dict[str, list[dict]], tolerances: dict[str, float]) -> Figure:
    """The relative difference of every tensor, one row of dots for each notebook, beside what is allowed."""
    figure = new_figure(9, 0.55 * len(groups) + 1.3)
    axes, rng = figure.subplots(), np.random.default_rng(0)
    for (dtype, limit), color, shift in zip(tolerances.items(), (HAND, TORCH), (0.16, -0.16), strict=True):
        for row, differences in enumerate(reversed(groups.values())):
            x = [max(d["relative"], EQUAL) for d in differences if d["dtype"] == dtype]
            y = row + shift + rng.uniform(-0.1, 0.1, len(x))
            axes.scatter(x, y, s=9, color=color, alpha=0.6, linewidths=0)
        axes.axvline(limit, color=color, linestyle="--", linewidth=1)
        axes.text(limit, len(groups) - 0.42, f"{dtype} allowed ", color=color, ha="right", fontsize=8)
    axes.set(xscale="log", xlim=(EQUAL / 3, 1e-3), ylim=(-0.6, len(groups) - 0.2))
    axes.set_yticks(range(len(groups)), list(reversed(groups)))
    axes.set_xticks([EQUAL, 1e-16, 1e-13, 1e-10, 1e-7, 1e-4], ["0", "1e-16", "1e-13", "1e-10", "1e-7", "1e-4"])
    tidy(axes, "largest relative difference of a tensor", "")
    return figure


def mistakes(found: Sequence[Effect], tolerance: float) -> Figure:
    """By how much each planted mistake misses, sorted."""
    figure = new_figure(9, 3)
    axes = figure.subplots()
    # A missing or misshapen tensor has no size: it stands at the top.
    sizes = sorted(min(effect.relative, 1e3) for effect in found)
    axes.plot(range(1, len(sizes) + 1), sizes, "o", ms=3, color=HAND)
    axes.axhline(tolerance, color=TORCH, linestyle="--", linewidth=1)
    axes.text(len(sizes), tolerance * 1.5, "allowed", color=TORCH, ha="right", fontsize=8)
    axes.set_yscale("log")
    tidy(axes, "planted mistakes, sorted", "relative difference")
    return figure


def times(seconds: dict[str, tuple[float, float]]) -> Figure:
    """Time by hand against time by torch, one dot for each case."""
    figure = new_figure(5, 4.4)
    axes = figure.subplots()
    hand, theirs = 1e6 * np.array(list(seconds.values())).T
    ends = [min(hand.min(), theirs.min()) / 1.5, max(hand.max(), theirs.max()) * 1.5]
    axes.plot(ends, ends, color=NEUTRAL, linewidth=1)
    axes.scatter(theirs, hand, s=14, color=HAND, alpha=0.7, linewidths=0)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    tidy(axes, "torch, µs", "by hand, µs")
    return figure


def curves(trainings: dict[str, list[Step]]) -> Figure:
    """Loss by hand under loss by torch, one panel for each net."""
    figure, panels = grid(trainings, "step", "loss (nats)")
    for axes, steps in zip(panels, trainings.values(), strict=True):
        losses(axes, steps)
    panels[-1].legend(frameon=False, fontsize=8, loc="upper right")
    return figure


def drift(wide: dict[str, list[Step]], narrow: dict[str, list[Step]]) -> Figure:
    """Relative difference of the two losses at every step, in both number formats."""
    figure, panels = grid(wide, "step", "|loss by hand − loss by torch| / loss")
    for axes, name in zip(panels, wide, strict=True):
        differences(axes, narrow[name], TORCH, "float32")
        differences(axes, wide[name], HAND, "float64")
    panels[0].legend(frameon=False, fontsize=8, loc="upper left")
    return figure


def grid(named: dict, xlabel: str, ylabel: str) -> tuple[Figure, list[Axes]]:
    """Panels with titles, three in a row."""
    rows = -(-len(named) // 3)
    figure = new_figure(9.5, 2 * rows + 0.3)
    panels = list(figure.subplots(rows, 3, sharex=True, squeeze=False).flat)
    for axes in panels[len(named) :]:
        axes.set_visible(False)
        panels[panels.index(axes) - 3].tick_params(labelbottom=True)
    for axes, name in zip(panels, named, strict=False):
        axes.set_title(name, fontsize=8)
        tidy(axes, "", "")
    figure.supxlabel(xlabel, fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    return figure, panels[: len(named)]


def losses(axes: Axes, steps: list[Step]) -> None:
    """The loss by hand, wide, under that by torch."""
    ours, theirs = np.array([step.losses for step in steps]).T
    axes.plot(ours, color=HAND, linewidth=4, alpha=0.35, label=SIDES[0])
    axes.plot(theirs, color=TORCH, linewidth=1, label=SIDES[1])


def differences(axes: Axes, steps: list[Step], color: str, label: str = "") -> None:
    """Relative differences of the losses, on a logarithmic axis that also has a place for zero."""
    axes.plot([max(relative(step), EQUAL) for step in steps], ".", ms=2, color=color, label=label)
    powers = [EQUAL, 1e-16, 1e-12, 1e-8, 1e-4, 1]
    names = ["0", *(f"{power:.0e}" for power in powers[1:-1]), "1"]
    axes.set(yscale="log", ylim=(EQUAL / 4, 10), yticks=powers, yticklabels=names)
    axes.minorticks_off()


def race(name: str, steps: list[Step], dtype: str) -> Figure:
    """Both losses, how far they are apart, how far each layer's gradient is, and the time of a step."""
    figure = new_figure(9.5, 5.8)
    (loss, apart), (gradient, time) = figure.subplots(2, 2)
    figure.suptitle(f"{name} in {dtype}: the same weights, the same batches", fontsize=11)
    losses(loss, steps)
    loss.legend(frameon=False)
    tidy(loss, "step", "loss (nats)")
    differences(apart, steps, NEUTRAL)
    tidy(apart, "step", "|Δloss| / loss")
    gradients(gradient, steps)
    milliseconds = 1e3 * np.array([step.seconds for step in steps]).T
    for who, color, values in zip(SIDES, (HAND, TORCH), milliseconds, strict=True):
        time.plot(values, ".", ms=3, color=color, label=f"{who}: median {np.median(values):.1f} ms")
    time.set_ylim(0, 3 * np.median(milliseconds))
    time.legend(frameon=False)
    tidy(time, "step", "milliseconds per step")
    return figure


def gradients(axes: Axes, steps: list[Step]) -> None:
    """One line for each parameter, from the first layer (dark) to the last (bright)."""
    names = list(steps[0].gradients)
    for name, color in zip(names, colormaps["plasma"](np.linspace(0.1, 0.9, len(names))), strict=True):
        axes.plot([max(step.gradients[name], EQUAL) for step in steps], color=color, linewidth=0.9, label=name)
    axes.set_yscale("log")
    tidy(axes, "step", "max |Δgrad| / max |grad|")
    if len(names) <= 16:
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
