"""Figures that the lessons describe in a few lines: arrays that flow through a layer, and curves of measured tables."""

import json
import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from docs.evidence import RESULTS

INK, ARRAY, STEP, SIDE = "#24313f", "#ffffff", "#cfe3f7", "#fbe7c6"
LEFT, WIDE, NARROW, GAP, LINE = 0.55, 2.55, 1.55, 0.3, 0.19  # inches
FIXED = {"svg.hashsalt": "study", "font.size": 10, "text.color": INK, "axes.edgecolor": INK, "lines.markersize": 4}


def draw(kind: str, title: str, lines: list[str], path: Path) -> tuple[str, str]:
    """Draw a lesson's block as SVG; return its description for those who cannot see it, and its caption."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(FIXED):
        figure, alt, caption = flow(title, lines) if kind == "flow" else curves(title, lines)
        figure.savefig(path, transparent=True, metadata={"Date": None})
    return alt, caption


def flow(title: str, lines: list[str]) -> tuple[Figure, str, str]:
    """Boxes from top to bottom: "name: shape" is an array, "> what is done <- a; w: shape" a step.

    Behind "<-" stands what else goes into the step: an earlier array by its name, which is drawn as a bypass, or with
    its shape one that comes from the side. " | " begins a new line.
    """
    rows = []
    for line in lines:
        main, _, inputs = line.removeprefix("> ").partition(" <- ")
        main = main if line.startswith(">") else main.replace(": ", "  ", 1)
        wrapped = [part for one in main.split(" | ") for part in textwrap.wrap(one, 32)]
        rows.append((line.startswith(">"), wrapped, [one for one in inputs.split("; ") if one]))
    heights = [LINE * max(len(wrapped), sum(":" in one for one in more) * 1.5) + 0.16 for _, wrapped, more in rows]
    total, width = sum(heights) + GAP * (len(rows) - 1) + 0.1, LEFT + WIDE + LEFT
    if any(":" in one for _, _, more in rows for one in more):
        width = LEFT + WIDE + GAP + NARROW + 0.05
    figure = Figure(figsize=(width, total))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, total))
    axes.set_axis_off()
    top, places = total - 0.05, {}
    for (is_step, wrapped, more), height in zip(rows, heights, strict=True):
        middle = top - height / 2
        box(axes, LEFT, middle, WIDE, height, "\n".join(wrapped), STEP if is_step else ARRAY)
        places[wrapped[0].partition("  ")[0]] = middle
        if top < total - 0.1:
            arrow(axes, (LEFT + WIDE / 2, top + GAP), (LEFT + WIDE / 2, top))
        sides = [one for one in more if ":" in one]
        for count, side in enumerate(sides):
            y = middle + 1.5 * LINE * ((len(sides) - 1) / 2 - count)
            box(axes, LEFT + WIDE + GAP, y, NARROW, LINE + 0.06, side.replace(": ", "  "), SIDE)
            arrow(axes, (LEFT + WIDE + GAP, y), (LEFT + WIDE, y))
        for name in (one for one in more if ":" not in one):
            bypass(axes, places[name], middle)
        top -= height + GAP
    steps = [line.removeprefix("> ").replace(" <- ", ", with ").replace(" | ", ", ") for line in lines]
    return figure, f"{title}: {' → '.join(steps)}", title


def box(axes: Axes, left: float, middle: float, width: float, height: float, text: str, color: str) -> None:
    """A rounded box that begins at `left`, with its text in it."""
    style = "round,pad=0,rounding_size=0.06"
    corner = (left, middle - height / 2)
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=color, edgecolor=INK, linewidth=0.9))
    axes.text(left + width / 2, middle, text, ha="center", va="center", linespacing=1.3)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=INK, shrinkA=0, shrinkB=0))


def bypass(axes: Axes, start: float, end: float) -> None:
    """An arrow around the boxes at their left, from one height down to another."""
    axes.plot([LEFT, LEFT / 3, LEFT / 3], [start, start, end], color=INK, linewidth=1)
    arrow(axes, (LEFT / 3, end), (LEFT, end))


def curves(title: str, lines: list[str]) -> tuple[Figure, str, str]:
    """Columns of a table in docs/results, "study/table": "x: column", "y: columns"; or "across: keep", one curve for
    each row over the columns "keep 0.1", "keep 0.5". "scale: x y" makes axes logarithmic; the last line is the caption.
    """
    study, _, name = title.partition("/")
    table = json.loads((RESULTS / f"{study}-official-study-seed0.json").read_text(encoding="utf-8"))["tables"][name]
    options, caption = dict(line.split(": ", 1) for line in lines[:-1]), lines[-1]
    head, rows = table["head"], table["rows"]
    if "across" in options:
        picked = [n for n, column in enumerate(head) if column.startswith(f"{options['across']} ")]
        xs = [float(head[n].split()[-1]) for n in picked]
        drawn = {f"{row[0]} {head[0]}": [row[n] for n in picked] for row in rows}
    else:
        xs = [float(row[head.index(options["x"])]) for row in rows]
        drawn = {column: [row[head.index(column)] for row in rows] for column in options["y"].split("; ")}
    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for (label, ys), marker in zip(drawn.items(), "os^Dv", strict=False):
        axes.plot(xs, ys, marker=marker, label=label)
    axes.set(xlabel=options.get("x", options.get("across")), ylabel=options["axis"])
    for axis in options.get("scale", "").split():
        axes.set(**{f"{axis}scale": "log"})
        getattr(axes, f"{axis}axis").set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return figure, f"{caption} Curves: {', '.join(drawn)}.", f"{caption} (`make {study} DATA=official`)"
