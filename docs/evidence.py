"""What runs left behind, for the book: official summaries in docs/results, their figures in docs/figures, others below
runs."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docs.markdown import ROOT, table
from tutorials.common import summary

RESULTS, FIGURES = ROOT / "docs/results", ROOT / "docs/figures"
NAMES = {"official": "the real data", "tiny": "the generated twin"}


@dataclass
class Evidence:
    """All that is known of one tutorial or study."""

    recipes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # official summaries, one for each seed
    twin: dict[str, Any] | None = None
    drawn: dict[str, Any] | None = None  # of the run whose figures are shown: its summary, or what is kept of it
    figures: dict[str, Path] = field(default_factory=dict)  # by name

    def tables(self) -> tuple[dict[str, dict], str]:
        """A study's tables by name, and from which data they come: the real ones where there are any."""
        official = next((runs[0] for runs in self.recipes.values() if runs[0].get("tables")), None)
        chosen = official or self.twin or {}
        return chosen.get("tables", {}), NAMES.get(chosen.get("data", ""), "")

    def source(self) -> str:
        """The data, recipe and seed of the figures, what of the recipe was changed, and what the twin is for."""
        if "title" in self.drawn:  # a run of other weights, data or options
            return f"{self.drawn['title']}, seed {self.drawn['seed']}"
        changed = [f"{name} {value}" for name, value in self.drawn["changed"].items()]
        recipe = [f"recipe {self.drawn['recipe']}", *changed, f"seed {self.drawn['seed']}"]
        where = NAMES.get(self.drawn["data"], self.drawn["data"])
        where += " (it only checks that everything runs)" if self.drawn["data"] == "tiny" else ""
        return ", ".join([where, *recipe])

    def metrics_table(self) -> str:
        """Every metric by recipe, mean ± standard deviation over seeds, beside the published one and chance."""
        groups = [(f"{recipe}, {many(len(runs), 'seed')}", runs) for recipe, runs in sorted(self.recipes.items())]
        groups += [("generated twin", [self.twin])] if self.twin else []
        if not groups:
            return ""
        summaries = [one for _, runs in groups for one in runs]
        rows = []
        for metric in dict.fromkeys(name for one in summaries for name in one["metrics"]):
            cells = [spread([one["metrics"][metric] for one in runs if metric in one["metrics"]]) for _, runs in groups]
            said = [next((one[what][metric] for one in summaries if metric in one[what]), None)
                    for what in ("published", "chance")]  # fmt: skip
            rows.append([f"`{metric}`", *cells, *(number(value) for value in said)])
        return table(["metric", *(name for name, _ in groups), "published", "chance"], rows)

    def facts(self) -> list[str]:
        """One sentence for each group of runs: device, time, versions."""
        groups = [(f"{NAMES['official']}, recipe {recipe}", runs) for recipe, runs in sorted(self.recipes.items())]
        groups += [(NAMES["tiny"], [self.twin])] if self.twin else []
        lines = []
        for name, runs in groups:
            train, total = (statistics.mean(one["seconds"][part] for one in runs) for part in ("train", "total"))
            versions = ", ".join(f"{package} {version}" for package, version in runs[0]["versions"].items())
            where = f"{runs[0]['device']}, {many(runs[0]['threads'], 'thread')}"
            lines.append(
                f"{name[0].upper()}{name[1:]}: {train:.0f} s of training, {total:.0f} s in all, on {where}; {versions}."
            )
        return lines


def gather(target: str, runs: Path) -> Evidence:
    """The evidence of a target. Its figures are those that are kept of an official run, else those of an official run
    below `runs`, else the twin's."""
    found = Evidence(twin=summary.read(runs / "study" / target / "summary.json"))
    for kept in filter(None, map(summary.read, sorted(RESULTS.glob(f"{target}-official-*-seed*.json")))):
        found.recipes.setdefault(kept["recipe"], []).append(kept)
    for kept in filter(None, map(summary.read, sorted((RESULTS / "others").glob("*.json")))):
        if kept["name"] == target:
            found.recipes[f"{kept['recipe']}, {kept['title']}"] = [kept]
    kept = summary.read_json(FIGURES / target / "source.json")
    if kept:
        found.drawn, found.figures = kept, pictures(FIGURES / target)
        return found
    names = [f"{target}-{data}-{recipe}-seed0" for data in NAMES for recipe in ("study", "original")]
    for folder in (runs / name for name in (*names[:2], f"study/{target}", *names[2:])):
        found.drawn = summary.read(folder / "summary.json")
        if found.drawn:
            found.figures = pictures(folder / "figures")
            break
    found.twin = found.twin or (found.drawn if found.drawn and found.drawn["data"] == "tiny" else None)
    return found


def pictures(folder: Path) -> dict[str, Path]:
    """Its figures by name."""
    return {path.stem: path for path in sorted(folder.glob("*.png"))}


def many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def spread(values: list[float]) -> str:
    """Mean ± sample standard deviation."""
    if not values:
        return ""
    mean = number(statistics.mean(values))
    return f"{mean} ± {statistics.stdev(values):.2g}" if len(values) > 1 else mean


def number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
