"""`python -m docs.landing`: the README's picture, of figures of official runs and of parity, as docs/landing.png."""

import numpy as np
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from comparisons.cases import CASES
from comparisons.parity import TOLERANCES, check
from comparisons.plots import EQUAL, HAND, TORCH
from docs.markdown import ROOT

# Figures of docs/figures: the target and the name, the part of it (left, top, right, bottom), and a line below.
PARTS = (
    ("names", "letter_by_letter", (0, 0, 0.85, 0.229), "make names: a language, letter by letter"),
    ("cifar10", "mistakes", (0, 0, 0.626, 0.67), "make cifar10: its most confident mistakes"),
    ("seq2seq", "attention", (0.045, 0, 0.44, 0.423), "make seq2seq: attention"),
)


def main() -> None:
    figure = Figure((11, 2.1), layout="constrained")
    *shown, last = figure.subplots(1, 4, width_ratios=(2.8, 3.2, 1.9, 2.6))
    for axes, (target, name, (left, top, right, bottom), text) in zip(shown, PARTS, strict=True):
        pixels = image.imread(ROOT / "docs/figures" / target / f"{name}.png")
        height, width = pixels.shape[:2]
        axes.imshow(pixels[int(top * height) : int(bottom * height), int(left * width) : int(right * width)])
        axes.set_anchor("S")
        axes.set_xlabel(text, fontsize=8)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    parity(last)
    figure.savefig(ROOT / "docs/landing.png", dpi=180, pil_kwargs={"optimize": True})


def parity(axes: Axes) -> None:
    """How far each tensor computed by hand is from torch's, beside what is allowed, in both number formats."""
    rng = np.random.default_rng(0)
    for row, ((dtype, limit), color) in enumerate(zip(TOLERANCES.items(), (HAND, TORCH), strict=True)):
        apart = [max(d.relative, EQUAL) for case in CASES for d in check(case, dtype)]
        axes.scatter(apart, row + rng.uniform(-0.3, 0.3, len(apart)), s=4, color=color, alpha=0.5, linewidths=0)
        axes.plot([limit, limit], [row - 0.4, row + 0.4], color=color, linestyle="--", linewidth=1)
    axes.set(xscale="log", xlim=(EQUAL / 3, 1e-3), ylim=(-0.5, 1.5))
    axes.set_xticks([EQUAL, 1e-12, 1e-6], ["equal", "1e-12", "1e-6"], fontsize=7)
    axes.minorticks_off()
    axes.set_yticks(range(2), [np.dtype(dtype).name for dtype in TOLERANCES], fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("make parity: relative differences from torch", fontsize=8)


if __name__ == "__main__":
    main()
