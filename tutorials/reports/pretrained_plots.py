"""Plots that compare models, as pure functions from data to a matplotlib Figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from tutorials.common.plots import NEUTRAL, PALETTE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """One model among others: its label and family, 1e9 multiply-adds, accuracy in 0..1 and millions of parameters."""

    label: str
    family: str
    gflops: float
    accuracy: float
    millions: float


def family_colors(families: Sequence[str]) -> dict[str, str]:
    """A color for each family, the same in every figure."""
    return {family: PALETTE[number % len(PALETTE)] for number, family in enumerate(dict.fromkeys(families))}


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other one beats in both accuracy and cost, the cheapest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.gflops, -point.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def accuracy_against_cost(points: Sequence[Point], ylabel: str) -> "Figure":
    """Accuracy against multiply-adds; the area of a bubble grows with the parameters; the Pareto front is dashed."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure = new_figure(8.5, 5.5)
    axes = figure.subplots()
    color = family_colors([point.family for point in points])
    for family in color:
        own = [point for point in points if point.family == family]
        axes.scatter(
            [point.gflops for point in own], [point.accuracy for point in own],
            s=[6 * point.millions + 15 for point in own], color=color[family], alpha=0.55, label=family, zorder=2,
        )  # fmt: skip
    front = pareto(points)
    axes.plot([p.gflops for p in front], [p.accuracy for p in front], "--", color=NEUTRAL, lw=1, label="Pareto front")
    axes.set_xscale("log")
    low, high = min(p.gflops for p in points), max(p.gflops for p in points)
    axes.set_xlim(low / 1.6, high * 2.2)
    least, most = min(p.accuracy for p in points), max(p.accuracy for p in points)
    room = max(0.15 * (most - least), 0.02)
    axes.set_ylim(least - room, most + room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    tidy(axes, "1e9 multiply-adds for one image (bubble: parameters)", ylabel)
    legend = figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    for handle in legend.legend_handles[: len(color)]:
        handle.set_sizes([60])
    name_points(figure, axes, points)
    return figure


def name_points(figure: "Figure", axes: "Axes", points: Sequence[Point]) -> None:
    """Write each point's label beside it, where no other label stands yet."""
    figure.draw_without_rendering()
    taken = []
    for point in sorted(points, key=lambda point: -point.accuracy):
        reach = sqrt(6 * point.millions + 15) / 2 + 2  # the bubble's radius, in points
        places = [(reach, 0, "left", "center"), (-reach, 0, "right", "center"), (0, reach, "center", "bottom"),
                  (0, -reach, "center", "top"), (reach, 8, "left", "center"), (reach, -8, "left", "center"),
                  (-reach, 8, "right", "center"), (-reach, -8, "right", "center")]  # fmt: skip
        for x, y, across, up in places:
            text = axes.annotate(point.label, (point.gflops, point.accuracy), (x, y), textcoords="offset points",
                                 fontsize=7, ha=across, va=up, zorder=3)  # fmt: skip
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                break
            if (x, y) != places[-1][:2]:
                text.remove()
        taken.append(box)


def latency_bars(labels: Sequence[str], families: Sequence[str], median: Sequence[float], p95: Sequence[float],
                 place: str) -> "Figure":  # fmt: skip
    """Latency of one image for each model: a bar to the median, a line on to the 95th percentile."""
    figure = new_figure(7.5, 0.28 * len(labels) + 1.4)
    axes = figure.subplots()
    color = family_colors(families)
    for row, family in enumerate(families):
        first = family not in families[:row]
        axes.barh(row, median[row], color=color[family], label=family if first else None)
        axes.plot([median[row], max(p95[row], median[row])], [row, row], color="black", lw=1.2, marker="|", ms=5)
        axes.text(max(p95[row], median[row]), row, f"  {median[row]:.1f} to {p95[row]:.1f}", va="center", fontsize=8)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.margins(x=0.2, y=0.01)
    tidy(axes, f"latency of one image (ms), bar: median, line: to the 95th percentile\n{place}", "")
    if len(color) > 1:
        figure.legend(loc="outside lower center", ncols=5, frameon=False)
    return figure


def reliability_curves(models: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float], float]]]) -> "Figure":
    """One panel for each family: accuracy against confidence of each model, with its expected calibration error."""
    columns = min(4, len(models))
    rows = -(-len(models) // columns)
    lines = max(len(members) for members in models.values())
    figure = new_figure(3.4 * columns, rows * (3.7 + 0.2 * lines))
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in places[len(models) :]:
        axes.axis("off")
    for axes, (family, members) in zip(places, models.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=NEUTRAL, linestyle=":", lw=1)
        for number, (label, (confidence, accuracy, error)) in enumerate(members.items()):
            style = "-" if number < len(PALETTE) else "--"
            axes.plot(confidence, accuracy, style, marker="o", ms=3, lw=1.2, color=PALETTE[number % len(PALETTE)],
                      label=f"{label}: {error:.3f}")  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1), title=family, aspect="equal")
        tidy(axes, "confidence", "accuracy")
        axes.legend(title="expected calibration error", fontsize=7, title_fontsize=7, frameon=False, loc="upper center",
                    bbox_to_anchor=(0.5, -0.18))  # fmt: skip
    return figure


def answer_gallery(images: Sequence[np.ndarray], truths: Sequence[str],
                   answers: Sequence[Sequence[tuple[str, bool]]], columns: int = 4) -> "Figure":  # fmt: skip
    """Images (H, W, 3), each with its true class above and every model's prediction below, green when correct."""
    lines = max((len(rows) for rows in answers), default=1)
    columns = min(columns, max(len(images), 1))
    rows = max(-(-len(images) // columns), 1)
    side, title, below = 2.3, 0.25, 0.12 + 0.165 * lines  # inches
    wide, high = side + 0.3, title + side + below
    figure = new_figure(wide * columns, high * rows)
    figure.set_layout_engine("none")  # it would not see the lines below the pictures
    for number, (image, truth, predictions) in enumerate(zip(images, truths, answers, strict=True)):
        row, column = divmod(number, columns)
        bottom = 1 - (row * high + title + side) / (high * rows)
        axes = figure.add_axes((column / columns + 0.15 / (wide * columns), bottom, side / (wide * columns),
                                side / (high * rows)))  # fmt: skip
        axes.axis("off")
        axes.imshow(image)
        axes.set_title(truth, fontsize=8, fontweight="bold", pad=3)
        for line, (text, right) in enumerate(predictions):
            mark, color = ("✓", "#00694d") if right else ("✗", "#a34000")
            axes.annotate(f"{mark} {text}", (0, 0), (0, -4 - 12 * line), xycoords="axes fraction",
                          textcoords="offset points", fontsize=7.5, va="top", color=color)  # fmt: skip
    return figure
