"""Run all comparisons and write them down: `python -m comparisons.report` -> runs/parity/parity.md and parity.html."""

import argparse
import base64
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import numpy as np
from markdown import markdown
from matplotlib.figure import Figure

from comparisons import plots, table
from comparisons.batches import here
from comparisons.cases import CASES, NOTEBOOKS
from comparisons.mistakes import MISTAKES, NET_MISTAKES, Effect, effect_in_layers, effect_in_nets
from comparisons.mutations import mutations_caught
from comparisons.nets import NET_CASES, NetCase, Step, side_by_side, summary
from comparisons.parity import TOLERANCES, check
from comparisons.public import NETS
from tutorials.common.plots import save

PICTURES = {"official": "CIFAR-10", "tiny": "the generated twin of CIFAR-10"}
MISTAKES_HEADER = ("function", "mistake", "right", "planted", "tensor", "relative", "likely cause, as the message says")
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d8dee4; --quiet: #59636e; --bar: #f6f8fa }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16191d; --line: #363c44; --quiet: #9aa4af; --bar: #20252b }
  img { background: #fff; padding: 8px; border-radius: 6px }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 78rem; padding: 0 1rem }
h1 { font-size: 1.7rem; line-height: 1.2 } h2 { font-size: 1.25rem; margin-top: 2.4rem }
p { max-width: 46rem } figure { margin: 1rem 0 } img { max-width: 100%; height: auto }
figcaption { color: var(--quiet); font-size: .9rem }
.table { overflow: auto; max-height: 32rem; border: 1px solid var(--line); border-radius: 6px }
table { border-collapse: collapse; font-size: .78rem; width: 100% }
th { position: sticky; top: 0; background: var(--bar); text-align: left }
th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; min-width: 4rem }
td[style*=right] { white-space: nowrap; font-variant-numeric: tabular-nums }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
td:first-child { white-space: nowrap }
"""


@dataclass
class Results:
    """All that the report shows."""

    differences: list[dict]
    trainings: dict[str, dict[str, list[Step]]]  # by number format, then by net
    planted: list[Effect]
    mutations: tuple[int, int]  # made, caught

    def problems(self) -> list[str]:
        found = [d["problem"] for d in self.differences if d["problem"]]
        found += [f"not caught: {effect.mistake}" for effect in self.planted if not effect.tensor]
        made, caught = self.mutations
        return found + [f"{made - caught} mutations are not caught"] * (made > caught)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/parity"))
    parser.add_argument("--steps", type=int, default=200, help="of each net's training")
    parser.add_argument("--repeats", type=int, default=10, help="runs of each case; the shortest time counts")
    options = parser.parse_args(argv)
    results = collect(options.steps, options.repeats)
    for path in write(results, options.folder):
        print(f"wrote {path}")
    print(table.conclusion(results.differences))
    for problem in results.problems():
        print(problem, file=sys.stderr)
    return 1 if results.problems() else 0


def collect(steps: int, repeats: int, cases: list = CASES, nets: dict[str, NetCase] = NET_CASES) -> Results:
    """Run everything."""
    differences = [asdict(d) for dtype in TOLERANCES for case in cases for d in check(case, dtype, repeats=repeats)]
    trainings = {
        np.dtype(dtype).name: {
            name: list(side_by_side(net, *net.start(dtype), net.batches(steps))) for name, net in nets.items()
        }
        for dtype in TOLERANCES
    }
    planted = [effect_in_layers(mistake, cases) for mistake in MISTAKES if any(map(mistake.concerns, cases))]
    chosen = [net.net for net in nets.values()]
    planted += [effect_in_nets(mistake) for mistake in NET_MISTAKES if NETS[mistake.function] in chosen]
    caught = [caught for case in cases for caught in mutations_caught(case).values()]
    return Results(differences, trainings, planted, (len(caught), sum(caught)))


def figures(results: Results) -> dict[str, Figure]:
    """The report's figures by name."""
    notebooks = {
        notebook: [d for d in results.differences if d["case"] in {case.name for case in cases}]
        for notebook, cases in NOTEBOOKS.items()
    }
    limits = {np.dtype(dtype).name: limit for dtype, limit in TOLERANCES.items()}
    seconds = {d["case"]: d["seconds"] for d in results.differences if d["dtype"] == "float64"}
    return {
        "agreement": plots.agreement(notebooks, limits),
        "curves": plots.curves(results.trainings["float64"]),
        "drift": plots.drift(results.trainings["float64"], results.trainings["float32"]),
        "mistakes": plots.mistakes(results.planted, limits["float64"]),
        "times": plots.times(seconds),
    }


def write(results: Results, folder: Path) -> list[Path]:
    """The Markdown with its figures beside it, and the page that holds everything by itself."""
    for name, figure in figures(results).items():
        save(figure, folder / "figures" / f"{name}.png")
    text = as_markdown(results)
    (folder / "parity.md").write_text(text, encoding="utf-8")
    (folder / "parity.html").write_text(as_page(text, folder), encoding="utf-8")
    return [folder / "parity.md", folder / "parity.html"]


def as_markdown(results: Results) -> str:
    """The report; its figures are expected in figures/ beside it."""
    made, caught = results.mutations
    noticed = sum(bool(effect.tensor) for effect in results.planted)
    nets = [summary(n, np.dtype(d), steps) for d, nets in results.trainings.items() for n, steps in nets.items()]
    return f"""# Every hand-written gradient, compared with torch.autograd

{table.conclusion(results.differences)}.

Both sides get the same random numbers: prime sizes, gains other than one, biases other than zero, random upstream
gradients. A difference is relative to torch's number, or to a tenth of the tensor's largest where that is
larger; {TOLERANCES[np.float64]:.0e} is allowed in float64, {TOLERANCES[np.float32]:.0e} in float32. A gradient that is
zero by the mathematics is compared with zero.

{picture("agreement", "Each dot is a tensor: an output, a gradient, a running average, an optimizer's state.")}

## The tests are tested

Planted mistakes, of the kind that students make: {len(results.planted)}, caught: {noticed}. Outputs, gradients and
states scaled by 1.001, zeroed or turned around, one at a time: {made}, caught: {caught}.

{picture("mistakes", "By how much each misses; those at the top spoil a shape, or write into an argument.")}

## Whole nets beside torch, step by step

The same weights, batches ({PICTURES[here()]}) and update rule. In float64 both curves are one. In float32 they drift
apart where a ReLU or a max pool falls the other way: two trainings from then on.

{picture("curves", "Loss of the NumPy nets (wide) and of torch (narrow), float64.")}

{picture("drift", "How far the two losses are apart, step by step.")}

{cells(table.NETS, table.net_rows(nets), (0, 1))}

## Time

{picture("times", "Forward and backward of each case. At these sizes most of it is the overhead of a call.")}

## All tensors

Times are of float64, forward and backward together, the best of several runs; those of torch hold the copying of the
arguments into tensors.

{cells(table.HEADER, table.rows(results.differences), (0, 1, 2))}

## All planted mistakes

{cells(MISTAKES_HEADER, map(planted_row, results.planted), (0, 1, 2, 3, 4, 6))}
"""


def picture(name: str, caption: str) -> str:
    return f"![{caption}](figures/{name}.png)\n\n*{caption}*"


def planted_row(effect: Effect) -> tuple[str, ...]:
    """A row of MISTAKES_HEADER."""
    mistake = effect.mistake
    edit = [f"`{' '.join(text.split()) or '(nothing)'}`" for text in (mistake.right, mistake.wrong)]
    found = effect.tensor, f"{effect.relative:.1e}", effect.cause
    return mistake.function, escape(mistake.why, quote=False), *edit, *found


def cells(header: tuple[str, ...], rows: Iterable[tuple[str, ...]], words: tuple[int, ...]) -> str:
    """A Markdown table; a bar in a cell would end it."""
    safe = [[cell.replace("|", "∣") for cell in row] for row in (header, *rows)]
    return table.layout(safe[0], safe[1:], words, "pipe")


def as_page(text: str, folder: Path) -> str:
    """The Markdown as one HTML page that needs no other file: the pictures are put into the page itself."""

    def embedded(match: re.Match) -> str:
        source = base64.b64encode((folder / match["file"]).read_bytes()).decode()
        image = f'<img alt="{match["caption"]}" src="data:image/png;base64,{source}">'
        return f"<figure>{image}<figcaption>{match['caption']}</figcaption></figure>"

    body = markdown(text, extensions=["tables"])
    body = body.replace("<table>", '<div class="table"><table>').replace("</table>", "</table></div>")
    image = r'<p><img alt="(?P<caption>[^"]*)" src="(?P<file>[^"]*)" /></p>\s*<p><em>[^<]*</em></p>'
    body, title = re.sub(image, embedded, body), text.partition("\n")[0].strip("# ")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    head = f"<head>{head}<style>{STYLE}</style></head>"
    return f'<!doctype html>\n<html lang="en">\n{head}\n<body>\n{body}\n</body>\n</html>\n'


if __name__ == "__main__":
    sys.exit(main())
