"""`make scorecard`: keep the summaries of official runs under docs/results, and compare them with the originals.

The README gets a plain table; docs/scorecard.md says more: every metric, where a figure was published, times and
machines of both sides, versions. The figures of each target's study run with seed 0 are kept small under docs/figures,
for the book and from_scratch/ANSWERS.md. `--seeds 5 cifar10` prints the mean over the newest runs.
"""

import argparse
import io
import json
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from data import StudyError
from tutorials.common import summary
from tutorials.common.checkpoint import write_atomic
from tutorials.common.interrupts import one_line_errors
from tutorials.common.published import ORIGINALS, Figure, Original
from tutorials.tools import scorecard_page as page
from tutorials.tools.run_all import PROGRAMS

RESULTS, RUNS, WHOLE = Path("docs/results"), Path("runs"), Path("docs/scorecard.md")
FIGURES, ANSWERS = Path("docs/figures"), Path("from_scratch/ANSWERS.md")
READMES = (Path("README.md"), Path("README.ko.md"))
BEGIN, END = "<!-- results: written by make scorecard -->", "<!-- end of results -->"
BY_HAND = {program.target for program in PROGRAMS if program.module.startswith("from_scratch.")}
# How a kept figure may be made smaller, in this order, until it has no more bytes: its width and its colors.
SIZES, MOST_BYTES = ((1000, 256), (1000, 64), (700, 64), (500, 64)), 60_000
SOURCE = ("title", "name", "data", "recipe", "seed", "changed", "seconds", "versions")  # what source.json says of a run
# Figures of photographs, which are not ours to publish; they stay in the run's folder.
PHOTOGRAPHS = {"families_differ", "gallery", "grad_cam", "hardest", "overfit_samples", "predictions", "test_captions",
               "training_batch", "training_captions"}  # fmt: skip
# In ANSWERS.md: <!-- figure target/name: what it shows -->, and behind it the picture once there is one.
PLACE = re.compile(r"(<!-- figure ([\w-]+/\w+): (.+?) -->\n)(?:!\[[^\n]*\n)?", re.S)
Summaries = Sequence[Mapping[str, Any]]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, help="print the mean over the newest runs of so many seeds, and no more")
    parser.add_argument("--replace", action="store_true", help="replace the kept summary of a seed by the run's")
    parser.add_argument("--keep", type=Path, metavar="RUN", help="keep this run of other weights, data or options, too")
    parser.add_argument("--title", help="with --keep: what it is a run of; its row in the scorecard is called so")
    parser.add_argument("name", nargs="?", help="of the runs: cifar10, names, …")
    options = parser.parse_args(argv)
    if (options.seeds is None) != (options.name is None) or (options.seeds is not None and options.seeds < 1):
        parser.error("--seeds N, of 1 or more, and the name of the runs go together")
    if (options.keep is None) != (options.title is None):
        parser.error("--keep and --title go together")
    if options.seeds:
        print(over_seeds(RUNS, options.name, options.seeds))
        return 0
    with one_line_errors():
        if options.keep:
            keep_other(options.keep, options.title, RESULTS)
        for line in keep_summaries(RUNS, RESULTS, options.replace):
            print(line)
        for path in keep_figures(RUNS, RESULTS, FIGURES):
            print(f"kept the figures of {path}")
        summaries = read_summaries(RESULTS)
        for path, content in written(summaries).items():
            if not path.exists() or path.read_bytes() != content.encode():
                write_atomic(path, content.encode())
        print(table(summaries))
    return 0


def written(summaries: Summaries) -> dict[Path, str]:
    """All that the scorecard writes, by path."""
    found, others = rows(summaries), read_summaries(RESULTS / "others")
    plain = page.plain(found, ORIGINALS, {program.target: program.module for program in PROGRAMS}, others)
    readmes = {path: replace_table(path.read_text(encoding="utf-8"), plain) for path in READMES}
    answers = {ANSWERS: show_figures(ANSWERS.read_text(encoding="utf-8"), FIGURES)}
    return readmes | answers | {WHOLE: page.whole(found, others)}


# Summaries


def keep_summaries(runs: Path, results: Path, replace: bool = False) -> list[str]:
    """Copy the summary of every finished run of an unchanged recipe on official data, under its name and seed.

    What is kept of a seed stays, unless it is to be replaced; returns a line for each that has other figures.
    """
    lines = []
    for path in sorted(runs.glob("*-official-*/summary.json")):
        new = summary.read(path)
        if not new or new["data"] != "official" or new["changed"] or new["processes"] > 1:
            continue
        # A folder such as cifar10-official-study-seed0.1 is an earlier run that was moved aside.
        name = f"{new['name']}-{new['data']}-{new['recipe']}-seed{new['seed']}"
        if path.parent.name != name:
            continue
        place = results / f"{name}.json"
        old = summary.read(place)
        if old and old["metrics"] == new["metrics"]:
            continue
        if old and not replace:
            lines.append(f"{place} is kept; {path} has other figures. To take these: make scorecard REPLACE=1")
        else:
            write_atomic(place, json.dumps(new, indent=2).encode() + b"\n")
    return lines


def keep_other(run: Path, title: str, results: Path) -> None:
    """Keep the summary of a finished run that is none of a recipe on official data, with a title that says what it is
    of. Raises StudyError where no run has finished."""
    kept = summary.read(run / "summary.json")
    if not kept:
        raise StudyError(f"scorecard: {run} has no summary.json of a finished run. Name the folder of one.")
    # Of a path only the file's name means something elsewhere.
    kept |= {
        part: {name: without_folders(value) for name, value in kept[part].items()} for part in ("options", "changed")
    }
    content = json.dumps({"title": title} | kept, indent=2).encode() + b"\n"
    write_atomic(results / "others" / f"{run.name}.json", content)


def without_folders(value: Any) -> Any:
    """An option's value, or several, without the folders of paths: squeezenet=/a/b.pth becomes squeezenet=b.pth."""
    if isinstance(value, list):
        return [without_folders(one) for one in value]
    return re.sub(r"[^=]*/", "", value) if isinstance(value, str) else value


def read_summaries(results: Path) -> list[dict[str, Any]]:
    return [found for path in sorted(results.glob("*.json")) if (found := summary.read(path))]


# Figures


def keep_figures(runs: Path, results: Path, figures: Path) -> list[Path]:
    """Keep small copies of the figures of each run whose summary is kept, of the study recipe with seed 0; of a target
    whose figures are not of one, those of its run of other weights, data or options.

    Another machine rounds otherwise, so the run need not have the kept figures, only the same metrics. `source.json`
    beside them says which run that was; returns the folders of runs whose figures are new.
    """
    taken, others = [], {}
    for place in sorted((results / "others").glob("*.json")):
        kept = summary.read(place)
        if kept and kept["recipe"] == "study" and not shows_study(figures / kept["name"]):
            others.setdefault(kept["name"], place)
    for place in [*others.values(), *sorted(results.glob("*-official-study-seed0.json"))]:
        run, kept = runs / place.stem, summary.read(place)
        new = summary.read(run / "summary.json")
        drawn = [path for path in sorted((run / "figures").glob("*.png")) if path.stem not in PHOTOGRAPHS]
        alike = kept and new and all(new[part].keys() == kept[part].keys() for part in ("metrics", "changed"))
        if not alike or not drawn:
            continue
        folder = figures / new["name"]
        about = new | {name: kept[name] for name in ("title", "changed") if name in kept}
        source = json.dumps({name: about[name] for name in SOURCE if name in about}, indent=1).encode() + b"\n"
        if (folder / "source.json").exists() and (folder / "source.json").read_bytes() == source:
            continue
        for path in folder.glob("*.png"):
            path.unlink()
        for path in drawn:
            write_atomic(folder / path.name, small(path))
        write_atomic(folder / "source.json", source)  # last: what was interrupted is done again
        taken.append(run)
    return taken


def shows_study(folder: Path) -> bool:
    """Whether the kept figures of a target are those of an unchanged study recipe, which has no title."""
    source = folder / "source.json"
    return source.exists() and "title" not in json.loads(source.read_text(encoding="utf-8"))


def small(path: Path) -> bytes:
    """A figure as PNG of few colors, and not too wide."""
    with Image.open(path) as picture:
        whole = picture.convert("RGB")
    for width, colors in SIZES:
        height = round(whole.height * width / whole.width)
        shrunk = whole.resize((width, height), Image.Resampling.LANCZOS) if width < whole.width else whole
        content = io.BytesIO()
        shrunk.quantize(colors, dither=Image.Dither.NONE).save(content, "png", optimize=True)
        if content.tell() <= MOST_BYTES:
            break
    return content.getvalue()


def show_figures(text: str, figures: Path) -> str:
    """ANSWERS.md with each kept figure at the place that names it."""

    def shown(place: re.Match) -> str:
        path = figures / f"{place[2]}.png"
        alt = " ".join(place[3].split())
        return place[1] + (f"![{alt}](../{path.as_posix()})\n" if path.exists() else "")

    return PLACE.sub(shown, text)


def over_seeds(runs: Path, name: str, seeds: int) -> str:
    """One line: the metrics that count, mean ± sd over the newest run of each of the seeds 0, 1, …"""
    found = []
    for seed in range(seeds):
        paths = sorted(runs.glob(f"{name}-*-seed{seed}/summary.json"), key=lambda path: path.stat().st_mtime)
        if not paths:
            raise SystemExit(f"{name}: no finished run of seed {seed} in {runs}. make {name} SEEDS={seeds} makes them.")
        found.append(summary.read(paths[-1]) or sys.exit(1))
    first = found[0]
    kinds = {json.dumps([run[part] for part in ("data", "recipe", "changed")]) for run in found}
    if len(kinds) > 1:
        raise SystemExit(f"{name}: the newest runs differ: {'; '.join(sorted(kinds))}. Run all seeds with one recipe.")
    wanted = [one.metric for one in ORIGINALS[name].figures] if name in ORIGINALS else []
    wanted += [program.headline for program in PROGRAMS if program.target == name]
    metrics = [metric for metric in dict.fromkeys(wanted or first["metrics"]) if metric in first["metrics"]]
    figures = {metric: middle([run["metrics"][metric] for run in found]) for metric in metrics}
    means = ", ".join(f"{metric} {page.spread(*figure)}" for metric, figure in figures.items())
    places = list(dict.fromkeys(f"{page.where(run)}, torch {run['versions'].get('torch')}" for run in found))
    mixed = f" (mixed: {'; '.join(places)})" if len(places) > 1 else ""
    return f"{name}, {first['data']} data, recipe {first['recipe']}, {seeds} seeds: {means}{mixed}"


def middle(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; one value has none."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


# The comparison


def rows(summaries: Summaries, originals: Mapping[str, Original] = ORIGINALS) -> list[dict[str, Any]]:
    """One row for each metric that counts, with one entry in `ours` for each recipe, machine and set of versions."""
    groups = defaultdict(list)
    for run in summaries:
        where = run["device"], run.get("device_name", ""), run["threads"], json.dumps(run["versions"])
        groups[run["name"], run["recipe"], *where].append(run)
    found = []
    for target, original in originals.items():
        own = {key: runs for key, runs in groups.items() if key[0] == target}
        missing = {"study"} if target in BY_HAND else {"original", "study"}
        missing -= {key[1] for key in own}
        for figure in original.figures:
            published = {name: value for name, value in vars(figure).items() if name != "metric" and value is not None}
            about = {"source": original.source, "minutes": original.minutes, "machine": original.machine}
            ours = [compare(figure, runs) for _, runs in sorted(own.items()) if figure.metric in runs[0]["metrics"]]
            found.append({"target": target, "metric": figure.metric, "published": published | about, "ours": ours,
                          "ran": bool(own), "not_run": dict.fromkeys(sorted(missing), original.needs)})  # fmt: skip
    return found


def compare(figure: Figure, runs: Summaries) -> dict[str, Any]:
    """Our figure over the seeds of one recipe, and how far it is from the original's."""
    mean, deviation = middle([run["metrics"][figure.metric] for run in runs])
    train, total = (statistics.mean(run["seconds"][part] for run in runs) / 60 for part in ("train", "total"))
    first = runs[0]
    result = {"recipe": first["recipe"], "seeds": sorted(run["seed"] for run in runs), "mean": mean,
              "deviation": deviation, "minutes": {"train": round(train, 2), "total": round(total, 2)},
              "device": first["device"], "device_name": first.get("device_name", ""), "threads": first["threads"],
              "versions": first["versions"]}  # fmt: skip
    unit = figure.deviation or deviation
    if figure.low is not None:
        result["place"] = "below" if mean < figure.low else "above" if mean > figure.high else "within"
    elif figure.mean is not None and unit:
        by = "the original's" if figure.deviation else "ours"
        result["difference"] = {"deviations": round((mean - figure.mean) / unit, 2), "of": by}
    return result


def table(summaries: Summaries, originals: Mapping[str, Original] = ORIGINALS) -> str:
    """A line for each metric that counts."""
    return page.short(rows(summaries, originals))


def replace_table(text: str, table: str) -> str:
    """The README with the table between its two markers."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"README: the markers {BEGIN!r} and {END!r} must both be there. Put them back.")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


if __name__ == "__main__":
    sys.exit(main())
