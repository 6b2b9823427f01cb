"""`python -m docs.landing`: the README's picture, of figures of official runs in docs/figures, as docs/landing.png."""

from pathlib import Path

from matplotlib import image
from matplotlib.figure import Figure

ROOT = Path(__file__).parent.parent
# What the picture shows: the figure's target and name, the part of it (left, top, right, bottom), and a line below.
PARTS = (
    ("names", "letter_by_letter", (0, 0, 0.85, 0.25), "make names: a language, letter by letter"),
    ("cifar10", "mistakes", (0, 0, 0.626, 0.67), "make cifar10: the most confident mistakes"),
    ("seq2seq", "attention", (0, 0, 0.865, 0.46), "make seq2seq: where the translator looks"),
    ("diffusion", "guided", (0, 0, 1, 0.49), "make diffusion: digits out of noise, in NumPy"),
)


def main() -> None:
    figure = Figure((10, 5.4), layout="constrained")
    for axes, (target, name, (left, top, right, bottom), text) in zip(figure.subplots(2, 2).flat, PARTS, strict=True):
        pixels = image.imread(ROOT / "docs/figures" / target / f"{name}.png")
        height, width = pixels.shape[:2]
        axes.imshow(pixels[int(top * height) : int(bottom * height), int(left * width) : int(right * width)])
        axes.set_xlabel(text, fontsize=9)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    figure.savefig(ROOT / "docs/landing.png", dpi=120, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
