"""`python -m docs.landing`: the README's picture, of figures of official runs below runs/, as docs/landing.png."""

import sys
from pathlib import Path

from matplotlib import image
from matplotlib.figure import Figure

ROOT = Path(__file__).parent.parent
# What the picture shows: the figure's run and name, the part of it (left, top, right, bottom), and a line below.
PARTS = (
    ("names-official-study-seed0", "letter_by_letter", (0, 0, 0.85, 0.25), "make names: a language, letter by letter"),
    ("cifar10-official-study-seed0", "mistakes", (0, 0, 0.626, 0.67), "make cifar10: the most confident mistakes"),
    ("seq2seq-official-study-seed0", "attention", (0, 0, 0.865, 0.46), "make seq2seq: where the translator looks"),
    ("diffusion-official-study-seed0", "guided", (0, 0, 1, 0.49), "make diffusion: digits out of noise, in NumPy"),
)


def main() -> int:
    figure = Figure((10, 5.4), layout="constrained")
    for axes, (run, name, (left, top, right, bottom), text) in zip(figure.subplots(2, 2).flat, PARTS, strict=True):
        path = ROOT / "runs" / run / "figures" / f"{name}.png"
        if not path.exists():
            print(f"{path} is missing: make {run.partition('-official')[0]} DATA=official", file=sys.stderr)
            return 1
        pixels = image.imread(path)
        height, width = pixels.shape[:2]
        axes.imshow(pixels[int(top * height) : int(bottom * height), int(left * width) : int(right * width)])
        axes.set_xlabel(text, fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    figure.savefig(ROOT / "docs/landing.png", dpi=120, pil_kwargs={"optimize": True})
    return 0


if __name__ == "__main__":
    sys.exit(main())
