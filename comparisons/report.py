"""Run all comparisons and write them down: `python -m comparisons.report` -> runs/parity/parity.md and parity.html."""

import argparse
import copy
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from comparisons import plots, table
from comparisons.case import Case
from comparisons.cases import CASES, NOTEBOOKS
from comparisons.feeds import batches, here
from comparisons.mistakes import Mistake, mutations
from comparisons.nets import RACES, Step, side_by_side, summary, worst_difference
from comparisons.page import Block, Picture, Table, Text, Title, as_markdown, as_page
from comparisons.parity import TOLERANCES, TRAINING, check
from comparisons.planted import MISTAKES, WHOLE_NETS
from tutorials.common.plots import save


@dataclass
class Results:
    """All that the report shows."""

    differences: list[dict]
    trainings: dict[str, dict[str, list[Step]]]  # by number format, then by net
    planted: list[dict]
    mutations: tuple[int, int]  # made, caught

    def problems(self) -> list[str]:
        found = [d["problem"] for d in self.differences if d["problem"]]
        found += [f"not caught: {mistake['mistake']}" for mistake in self.planted if not mistake["tensor"]]
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


def collect(steps: int, repeats: int, cases: list = CASES, nets: dict = RACES) -> Results:
    """Run everything."""
    differences = [asdict(d) for dtype in TOLERANCES for case in cases for d in check(case, dtype, repeats=repeats)]
    trainings = {np.dtype(dtype).name: {name: train(name, dtype, steps) for name in nets} for dtype in TOLERANCES}
    with np.errstate(all="ignore"):
        planted = [planted_in_layer(mistake, cases) for mistake in MISTAKES if covered(mistake, cases)]
        chosen = {race.net.__name__ for race in nets.values()}
        planted += [planted_in_net(mistake) for mistake in WHOLE_NETS if mistake.function in chosen]
        outcomes = [caught for case in cases for caught in mutated(case)]
    return Results(differences, trainings, planted, (len(outcomes), sum(outcomes)))


def train(name: str, dtype: type, steps: int) -> list[Step]:
    race = RACES[name]
    return list(side_by_side(race, *race.start(dtype), batches(race.captions, steps)))


def covered(mistake: Mistake, cases: list) -> bool:
    return any(mistake.function in case.functions for case in cases)


def planted_in_layer(mistake: Mistake, cases: list) -> dict:
    """The tensor that a mistake spoils most, by how much, and the cause that the message names."""
    found = unnoticed(mistake)
    for case in (case for case in cases if mistake.function in case.functions):
        for d in check(case, functions=mistake.replacing(case)):
            if d.problem and d.relative > found["relative"]:
                cause = d.problem.partition("Likely cause: ")[2]
                found |= {"tensor": d.tensor, "relative": d.relative, "cause": cause}
    return found


def planted_in_net(mistake: Mistake) -> dict:
    """The same for a mistake in a net: the loss or the gradient that is furthest from torch's in the first steps."""
    wrong, found = getattr(mistake.module(), mistake.function), unnoticed(mistake)
    for race in (race for race in RACES.values() if race.net.__name__ == mistake.function):
        tensor, difference = worst_difference(replace(race, net=wrong))
        if difference > max(TRAINING, found["relative"]):
            found |= {"tensor": tensor, "relative": difference}
    return found


def unnoticed(mistake: Mistake) -> dict:
    """A mistake of which no tensor tells yet."""
    edit = " ".join(mistake.right.split()), " ".join(mistake.wrong.split()) or "(nothing)"
    found = {"mistake": str(mistake), "function": mistake.function, "why": mistake.why, "edit": edit}
    return found | {"tensor": "", "relative": 0.0, "cause": ""}


def mutated(case: Case) -> list[bool]:
    """Of every mutation of the case's functions, whether it is caught."""
    given = case.draw(case.all_sizes(), np.float64, np.random.default_rng(0))
    _, upstream = case.by_torch(copy.deepcopy(given), np.random.default_rng(1))
    made = mutations(case, given, upstream)
    return [any(d.problem for d in check(case, functions=functions)) for _, functions in made]


def figures(results: Results) -> dict[str, Figure]:
    """The report's figures by name."""
    notebooks = {
        notebook: [d for d in results.differences if d["case"] in {case.name for case in cases}]
        for notebook, cases in NOTEBOOKS.items()
    }
    limits = {np.dtype(dtype).name: limit for dtype, limit in TOLERANCES.items()}
    seconds = {d["case"]: d["seconds"] for d in results.differences if d["dtype"] == "float64"}
    wide, narrow = results.trainings["float64"], results.trainings["float32"]
    return {
        "agreement": plots.agreement(notebooks, limits),
        "curves": plots.curves(wide),
        "drift": plots.drift(wide, narrow),
        "mistakes": plots.mistakes(results.planted, limits["float64"]),
        "times": plots.times(seconds),
    }


def write(results: Results, folder: Path) -> list[Path]:
    """The Markdown with its figures beside it, and the page that holds everything by itself."""
    pictures = {}
    for name, figure in figures(results).items():
        pictures[name] = folder / "figures" / f"{name}.png"
        save(figure, pictures[name])
    content = blocks(results)
    (folder / "parity.md").write_text(as_markdown(content), encoding="utf-8")
    (folder / "parity.html").write_text(as_page(content, pictures), encoding="utf-8")
    return [folder / "parity.md", folder / "parity.html"]


def blocks(results: Results) -> list[Block]:
    """The report, part by part."""
    return [*about_layers(results), *about_mistakes(results), *about_nets(results), *all_rows(results)]


def about_layers(results: Results) -> list[Block]:
    allowed = {np.dtype(dtype).name: limit for dtype, limit in TOLERANCES.items()}
    return [
        Title("Every hand-written gradient, held against torch.autograd"),
        Text(f"{table.conclusion(results.differences)}."),
        Text(
            "Both sides get the same random numbers: prime sizes, gains other than one, biases other than zero, random "
            "upstream gradients. A number is compared with torch's as a share of it, or of a tenth of the tensor's "
            f"largest where it is smaller; {allowed['float64']:.0e} is allowed in float64, {allowed['float32']:.0e} in "
            "float32. A gradient that is zero by the mathematics is compared with zero."
        ),
        Picture("agreement", "Each dot is a tensor: an output, a gradient, a running average, an optimiser's state."),
    ]


def about_mistakes(results: Results) -> list[Block]:
    made, caught = results.mutations
    noticed = sum(bool(mistake["tensor"]) for mistake in results.planted)
    return [
        Title("The tests are tested"),
        Text(
            f"Planted mistakes, of the kind that students make: {len(results.planted)}, caught: {noticed}. Outputs, "
            f"gradients and states scaled by 1.001, zeroed or turned around, one at a time: {made}, caught: {caught}."
        ),
        Picture("mistakes", "By how much each misses; those at the top spoil a shape, or write into an argument."),
    ]


def about_nets(results: Results) -> list[Block]:
    drifts = [summary(n, np.dtype(d), s) for d, nets in results.trainings.items() for n, s in nets.items()]
    return [
        Title("Whole nets beside torch, step by step"),
        Text(
            f"The same weights, batches ({PICTURES[here()]}) and update rule. In float64 both curves are one. In "
            "float32 they drift apart where a ReLU or a max pool falls the other way: two trainings from then on."
        ),
        Picture("curves", "Loss of the NumPy nets (wide) and of torch (narrow), float64."),
        Picture("drift", "How far the two losses are apart, step by step."),
        Table(table.NETS, table.drifts(drifts), 2),
    ]


def all_rows(results: Results) -> list[Block]:
    planted = [
        (m["function"], m["why"], *m["edit"], m["tensor"], f"{m['relative']:.1e}", m["cause"]) for m in results.planted
    ]
    return [
        Title("Time"),
        Picture("times", "Forward and backward of each case. At these sizes most of it is the price of a call."),
        Title("All tensors"),
        Text(
            "Times are of float64, forward and backward together, the best of several runs; those of torch hold the "
            "copying of the arguments into tensors."
        ),
        Table(table.HEADER, table.rows(results.differences), 3),
        Title("All planted mistakes"),
        Table(MISTAKES_HEADER, planted, 5, code=(2, 3), last=True),
    ]


MISTAKES_HEADER = ("function", "mistake", "right", "planted", "tensor", "relative", "likely cause, as the message says")
PICTURES = {"official": "CIFAR-10", "tiny": "the generated twin of CIFAR-10"}


if __name__ == "__main__":
    sys.exit(main())
