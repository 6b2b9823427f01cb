"""The log of experiments towards the records: what was tried, what it gave, and what it cost, the misses among them.

    python -m docs.experiments "CIFAR-10, 62,006 parameters" runs/experiments/smoothing-0.1 "label smoothing 0.1"

adds a row, whose figures come from the run's summary and record, to docs/experiments.json, and writes the table anew.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from docs.markdown import ROOT, table
from tutorials.common import plots, summary
from tutorials.common.checkpoint import write_atomic

LOG = ROOT / "docs/experiments.json"
HEAD = """\
# Experiments

What was tried on the way to the [results](scorecard.md), for each of them the best first. Recipes were chosen on
validation data alone; test figures stand here only for runs that were final. Minutes are of training, on so many
threads of all processes together, beside other work unless the row says *alone*. Each heading ends with the goal that
was set.
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("goal", nargs="?", help="the result that it was meant for")
    parser.add_argument("run", nargs="?", type=Path, help="the folder of the finished run")
    parser.add_argument("what", nargs="?", help="what was tried")
    parser.add_argument("--val", help="validation metric (default: the best of the record's */val)")
    parser.add_argument("--test", help="also the run's test metric of this name: a final run")
    parser.add_argument("--alone", action="store_true", help="nothing else ran on the machine")
    options = parser.parse_args(argv)
    rows = json.loads(LOG.read_text(encoding="utf-8")) if LOG.exists() else []
    if options.goal:
        row = measured(options)
        rows = [
            one for one in rows if (one["goal"], one["what"], one["seed"]) != (row["goal"], row["what"], row["seed"])
        ]
        rows.append(row)
        write_atomic(LOG, json.dumps(rows, indent=1, ensure_ascii=False).encode() + b"\n")
    write_atomic(LOG.with_suffix(".md"), page(rows).encode())
    return 0


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """A row, of a run's summary; raises SystemExit where there is none."""
    about = summary.read(options.run / "summary.json") or sys.exit(f"{options.run} has no finished run")
    return {
        "goal": options.goal, "what": options.what, "seed": about["seed"], "changed": about["changed"],
        "val": about["metrics"][options.val] if options.val else best_val(options.run),
        "test": about["metrics"][options.test] if options.test else None, "parameters": about.get("parameters"),
        "minutes": about["seconds"]["train"] / 60, "threads": about["processes"] * about["threads"],
        "machine": about["device_name"], "alone": options.alone,
    }  # fmt: skip


def best_val(run: Path) -> float | None:
    """The best validation accuracy or BLEU of a run's record, or else its lowest perplexity or loss."""
    values = {name: curve[1] for name, curve in plots.read_curves(run / "metrics.jsonl").items()}
    for name, best in (("accuracy/val", max), ("bleu/val", max), ("perplexity/val", min), ("loss/val", min)):
        if name in values:
            return best(values[name])
    return None


def page(rows: list[dict[str, Any]]) -> str:
    """The log as Markdown, a table for each goal."""
    parts = [HEAD]
    for goal in dict.fromkeys(row["goal"] for row in rows):
        lower = "perplexity" in goal  # is better
        own = sorted(
            (row for row in rows if row["goal"] == goal),
            key=lambda row: (row["val"] or row["test"] or 0) * (1 if lower else -1),
        )
        cells = [[row["what"], str(row["seed"]), *(f"{row[name]:.4g}" if row[name] else "" for name in ("val", "test")),
                  f"{row['minutes']:.1f}{', alone' if row['alone'] else ''}", str(row["threads"])]
                 for row in own]  # fmt: skip
        parts += [f"## {goal}\n", table(["what", "seed", "validation", "test", "minutes", "threads"], cells) + "\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
