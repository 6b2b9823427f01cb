"""Plots as pure functions from data to a matplotlib Figure; the logger saves and shows them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tutorials.common.fonts import draw_as_written

if TYPE_CHECKING:  # matplotlib is imported when the first figure is drawn: a prediction draws none
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VAL, NEUTRAL = "#0072B2", "#D55E00", "#666666"  # from Okabe and Ito's color-blind safe palette
PALETTE = (TRAIN, VAL, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MOST_INCHES = 30  # of a side: more would be gigabytes of pixels
MOST_NAMES = 40  # along an axis
MOST_LISTS = 24
MOST_CELLS = 4000


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of so many inches, laid out so that no label is cut."""
    from matplotlib.figure import Figure

    return Figure(figsize=(min(width, MOST_INCHES), min(height, MOST_INCHES)), dpi=120, layout="constrained")


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG at `path` and as SVG, its text as text, beside it; the same figure makes the same bytes."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    draw_as_written(figure)
    figure.savefig(path)
    with rc_context({"svg.hashsalt": "study", "svg.fonttype": "none"}):
        figure.set_layout_engine("none")  # it has been laid out
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def tidy(axes: "Axes", xlabel: str, ylabel: str) -> None:
    """Name the axes and take the ink away that says nothing."""
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)


@dataclass
class Panel:
    """One set of axes: lines by their label, each `(x, y)` or `y` alone; `line` is a level to compare with."""

    ylabel: str
    lines: Mapping[str, Any]
    xlabel: str = "epoch"
    marker: str = "o"
    line: float | None = None
    axes: Mapping[str, Any] = field(default_factory=dict)  # what Axes.set takes: scales, limits, title
    line_name: str = ""  # in the legend


def panels(*content: Panel, columns: int = 3, width: float = 3.3, height: float = 2.8) -> "Figure":
    """Panels side by side; a label has the same color in all of them, and one legend stands below."""
    from matplotlib.ticker import MaxNLocator

    columns = min(columns, len(content))
    rows = -(-len(content) // columns)
    labels = list(dict.fromkeys(label for panel in content for label in panel.lines))
    figure = new_figure(columns * width, rows * height + 0.25 * -(-len(labels) // (2 * columns)))
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in places[len(content) :]:
        axes.axis("off")
    handles = {}
    for axes, panel in zip(places, content, strict=False):
        for label, values in panel.lines.items():
            x, y = values if isinstance(values, tuple) else (range(len(values)), values)
            color = PALETTE[labels.index(label) % len(PALETTE)]
            style = "-" if labels.index(label) < len(PALETTE) else "--"
            handles[label] = axes.plot(x, y, style if len(y) > 1 else "", color=color, marker=panel.marker, ms=3)[0]
        if panel.line is not None:
            level = axes.axhline(panel.line, color=NEUTRAL, linestyle="--", linewidth=1)
            handles |= {panel.line_name: level} if panel.line_name else {}
        tidy(axes, panel.xlabel, panel.ylabel)
        if panel.xlabel in ("epoch", "layer"):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(**panel.axes)
    if len(labels) > 1:
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=2 * columns, frameon=False)
    return figure


def smooth(values: Sequence[float], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and means over windows of so many values, for a curve of many steps."""
    values = np.asarray(values, float)
    whole = len(values) // width * width if len(values) >= width else len(values)
    width = min(width, whole)
    return np.arange(width, whole + 1, width), values[:whole].reshape(-1, width).mean(1)


def read_point(line: bytes) -> dict[str, Any] | None:
    """A line of the record, or None where it is damaged or cut short."""
    try:
        point = json.loads(line)
        return {**point, "step": int(point["step"]), "seconds": float(point.get("seconds", 0))}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def read_curves(record: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every tag in a `metrics.jsonl`; lines that are damaged are left out."""
    tags: dict[str, tuple[list[int], list[float]]] = {}
    for line in filter(None, map(read_point, record.read_bytes().splitlines())):
        for tag in line.keys() - {"step", "epoch", "seconds"}:
            steps, values = tags.setdefault(tag, ([], []))
            steps.append(line["step"])
            values.append(line[tag])
    return tags


def curves(
    record: Path, metric: str = "accuracy", published: Mapping[str, Mapping[float, float]] | None = None
) -> "Figure":
    """Training and validation loss, the metric, and the learning rate, against the step; beside them, dotted, the
    losses that the original `published`, by split and step."""
    tags = read_curves(record)
    names = {"loss": "loss (nats)", metric: {"bleu": "BLEU"}.get(metric, metric)}
    names = {name: label for name, label in names.items() if tags.keys() & {f"{name}/train", f"{name}/val"}}
    figure = new_figure(3.2 * (len(names) + 1), 2.8)
    *places, rate = figure.subplots(1, len(names) + 1)
    for axes, (name, label) in zip(places, names.items(), strict=True):
        for split, color in (("train", TRAIN), ("val", VAL)):
            if f"{name}/{split}" in tags:
                steps, values = tags[f"{name}/{split}"]
                axes.plot(steps, values, color=color, label=split, marker="o" if len(steps) < 40 else "", ms=3)
            if name == "loss" and published and split in published:
                axes.plot(*zip(*published[split].items(), strict=True), ":", color=color, label=f"{split}, published")
        tidy(axes, "step", label)
        axes.legend(frameon=False)
    rate.plot(*tags.get("lr", ([], [])), color=NEUTRAL)
    rate.set_ylim(bottom=0)
    tidy(rate, "step", "learning rate")
    return figure


def confusion(matrix: np.ndarray, classes: Sequence[str]) -> "Figure":
    """A confusion matrix (C, C) of counts, true classes in rows; cells show the percentage of their row."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = min(max(len(classes), 6), MOST_NAMES)  # the color bar's label needs so much
    figure = new_figure(0.45 * side + 1.8, 0.42 * side + 1.2)
    axes = figure.subplots()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.005 and side >= len(classes):
            axes.text(
                column,
                row,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if value > 0.5 else "black",
            )
    places, names = some_names(classes)
    axes.set_xticks(places, names, rotation=45, ha="right")
    axes.set_yticks(places, names)
    axes.set(xlabel="predicted class", ylabel="true class")
    figure.colorbar(picture, label="share of the true class (cells: per cent)", shrink=0.8)
    return figure


def some_names(names: Sequence[Any]) -> tuple[range, Sequence[Any]]:
    """The places and names along an axis: of very many, every so many."""
    step = -(-len(names) // MOST_NAMES)
    return range(0, len(names), step), names[::step]


def bars(values: Sequence[float], names: Sequence[str], label: str, line: float, line_name: str) -> "Figure":
    """One horizontal bar in 0..1 for each name, and a line to compare them with (the mean, or chance)."""
    figure = new_figure(6.5, 0.32 * len(names) + 1)
    axes = figure.subplots()
    axes.barh(names, values, color=TRAIN)
    for place, value in enumerate(values):
        axes.text(0.01, place, f"{value:.2f}", va="center", color="white" if value > 0.1 else "black", fontsize=9)
    axes.axvline(line, color=VAL, linestyle="--")
    above = axes.get_xaxis_transform()
    axes.text(line, 1.01, f"{line_name}: {line:.2f}", color=VAL, ha="center", va="bottom", transform=above)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    tidy(axes, label, "")
    return figure


@dataclass
class Heat:
    """One labeled heat map: values (R, C) in 0..1, NaN where there is nothing; `cells` may say what stands in each."""

    values: np.ndarray
    rows: Sequence[str]
    columns: Sequence[Any]
    title: str = ""
    cells: Sequence[Sequence[str]] | None = None


def heat_maps(
    content: Sequence[Heat], xlabel: str, label: str, columns: int = 2, rotation: int = 0, ylabel: str = ""
) -> "Figure":
    """Heat maps side by side under one color scale from 0 to 1, which `label` names.

    Where all maps have the same rows and columns, these are named on the left and below alone.
    """
    columns, first = min(columns, len(content)), content[0]
    rows = -(-len(content) // columns)
    widest = max(heat.values.shape[1] for heat in content)
    heights = [
        max(heat.values.shape[0] for heat in content[at : at + columns]) for at in range(0, len(content), columns)
    ]
    same = len(content) > 1 and all((heat.rows, heat.columns) == (first.rows, first.columns) for heat in content)
    cell, beside = (0.18, 0.2) if same else (0.26, 1.7)  # inches
    height = max(cell * sum(heights) + 0.9 * rows, 2.6)  # the color bar's label needs so much
    figure = new_figure(columns * (cell * widest + beside) + 1 + same, height)
    places = list(figure.subplots(rows, columns, squeeze=False, height_ratios=heights).flat)
    for axes in places[len(content) :]:
        axes.axis("off")
    for axes, heat in zip(places, content, strict=False):
        picture = axes.imshow(heat.values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(heat.values):
            if heat.cells and np.isfinite(value) and heat.values.size <= MOST_CELLS:
                color = "white" if value > 0.5 else "black"
                axes.text(column, row, heat.cells[row][column], ha="center", va="center", fontsize=9, color=color)
        axes.set_xticks(*some_names(heat.columns), rotation=rotation, ha="right" if rotation else "center")
        axes.set_yticks(*some_names(heat.rows))
        axes.tick_params(length=0, labelsize=8 if same else 10)
        axes.spines[:].set_visible(False)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=heat.title)
        if same:
            axes.label_outer()
    figure.colorbar(picture, ax=places, label=label, shrink=min(1, 2.5 / (cell * sum(heights))), aspect=12)
    return figure


def paired(first: Sequence[float], second: Sequence[float], names: tuple[str, str], label: str) -> "Figure":
    """Two measurements of the same things, each pair a line from left to right, with the means beside them."""
    figure = new_figure(4.6, 3.6)
    axes = figure.subplots()
    jitter = np.linspace(-0.02, 0.02, len(first))  # so that equal pairs do not hide one another
    for shift, left, right in zip(jitter, first, second, strict=True):
        color = NEUTRAL if left == right else TRAIN if right > left else VAL
        axes.plot([shift, 1 + shift], [left, right], "o-", color=color, ms=4, linewidth=1, alpha=0.7)
    for place, values, align in ((-0.1, first, "right"), (1.1, second, "left")):
        axes.plot([place], [np.mean(values)], "D", color="black", ms=6)
        axes.text(place + (-0.05 if align == "right" else 0.05), np.mean(values), f"mean {np.mean(values):.3f}",
                  ha=align, va="center", fontsize=9)  # fmt: skip
    axes.set_xlim(-0.7, 1.7)
    axes.set_xticks([0, 1], names)
    tidy(axes, "", label)
    return figure


def spreads(lines: Mapping[str, Mapping[float, Sequence[float]]], xlabel: str, ylabel: str) -> "Figure":
    """Lines through the means of several measurements at each x (on a logarithmic axis), their ranges as bands."""
    figure = new_figure(6.5, 4)
    axes = figure.subplots()
    for (label, line), color, mark in zip(lines.items(), PALETTE, "osD^vPX", strict=False):
        x, values = list(line), list(line.values())
        axes.plot(x, [np.mean(row) for row in values], marker=mark, color=color, ms=5, label=label)
        axes.fill_between(x, [min(row) for row in values], [max(row) for row in values], color=color, alpha=0.15)
    ticks = sorted({one for line in lines.values() for one in line})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{one:g}" for one in ticks])
    axes.set_xticks([], minor=True)
    tidy(axes, xlabel, ylabel)
    axes.legend(frameon=False, fontsize=9)
    return figure


def ranked(content: Mapping[str, Mapping[str, float]], label: str, columns: int = 2) -> "Figure":
    """Under each title, of some at most, its names with their values as horizontal bars, the largest on top, on one
    scale."""
    content = dict(islice(content.items(), MOST_LISTS))
    columns = min(columns, len(content))
    rows, tallest = -(-len(content) // columns), max(len(values) for values in content.values())
    figure = new_figure(columns * 3.6, rows * (0.22 * tallest + 1))
    places = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    for axes in places[len(content) :]:
        axes.axis("off")
    for number, (axes, (title, values)) in enumerate(zip(places, content.items(), strict=False)):
        axes.barh(range(len(values)), list(values.values()), color=PALETTE[number % len(PALETTE)])
        axes.set_yticks(range(len(values)), list(values))
        axes.invert_yaxis()
        axes.set_title(title)
        tidy(axes, label, "")
    return figure
