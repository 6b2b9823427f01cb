"""`make scorecard`: keep the summaries of official runs under docs/results, and write the README's table from them."""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from tutorials.common.checkpoint import write_atomic
from tutorials.common.study import STUDIES

RESULTS, README, RUNS = Path("docs/results"), Path("README.md"), Path("runs")
BEGIN, END = "<!-- results: written by make scorecard -->", "<!-- end of results -->"


def main() -> int:
    keep_summaries(RUNS, RESULTS)
    summaries = read_summaries(RESULTS)
    text = README.read_text()
    write_atomic(README, replace_table(text, table(summaries)).encode())
    print(table(summaries))
    return 0


def keep_summaries(runs: Path, results: Path) -> None:
    """Copy the summary of every finished run of an unchanged recipe on official data, under its name and seed."""
    for path in sorted(runs.glob("*-official-*/summary.json")):
        summary = json.loads(path.read_text())
        # A folder such as cifar10-official-study-seed0.1 is an earlier run that was moved aside.
        name = f"{summary['name']}-{summary['data']}-{summary['recipe']}-seed{summary['seed']}"
        if path.parent.name == name and not summary["changed"] and summary["processes"] == 1:
            write_atomic(results / f"{name}.json", json.dumps(summary, indent=2).encode() + b"\n")


def read_summaries(results: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(results.glob("*.json"))]


def table(summaries: list[dict[str, Any]]) -> str:
    """Markdown: one row for each tutorial, recipe and metric that counts; mean ± sd over the seeds."""
    groups = defaultdict(list)
    for summary in summaries:
        groups[summary["name"], summary["recipe"], summary["device"], summary["threads"]].append(summary)
    lines = ["| target | recipe | seeds | metric | ours, mean ± sd | the original's | training, of all | on |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for (name, recipe, device, threads), runs in sorted(groups.items()):
        train, total = (statistics.mean(run["seconds"][part] for run in runs) for part in ("train", "total"))
        for metric in headlines(runs[0]):
            published = runs[0]["published"].get(metric)
            original = "-" if published is None else f"{published:.3f}"
            ours = spread([run["metrics"][metric] for run in runs])
            lines.append(
                f"| `make {name} DATA=official RECIPE={recipe}` | {recipe} | {len(runs)} | {metric} | {ours} "
                f"| {original} | {train:.0f} s of {total:.0f} s | {device}, {threads} threads |"
            )
    return "\n".join(lines)


def headlines(run: dict[str, Any]) -> list[str]:
    """The metrics that the table shows: published ones of test data, and the one by which `make study` judges."""
    published = [metric for metric in run["published"] if metric.startswith("test/") or "/test_" in metric]
    judged = [study.headline for study in STUDIES if study.target == run["name"]]
    return list(dict.fromkeys(published + judged))


def spread(values: list[float]) -> str:
    """Mean ± sample standard deviation; one value stands alone."""
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def replace_table(text: str, table: str) -> str:
    """The README with the table between its two markers."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"{README}: the markers {BEGIN!r} and {END!r} must both be there. Put them back.")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


if __name__ == "__main__":
    sys.exit(main())
