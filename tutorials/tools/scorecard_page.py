"""The scorecard as Markdown: a plain table for the README, one that fits a page, and one with every fact."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tutorials.common.console import markdown_table
from tutorials.common.published import Original

Row = Mapping[str, Any]  # of scorecard.rows()
LEGEND = (
    "n: seeds that a mean is over; runs with other threads, machines or packages stand apart. "
    "sd: standard deviation, of the original where it is known, else of ours (¹). ↓: lower is better. "
    "A range such as 0.505-0.555 is what seven students' notebooks show, or the assignment; ours is below, within or "
    "above it. "
    "Minutes: theirs of training, but for `cifar10`, ours of whole runs, tests and figures among them."
)


# Metrics in the README's words; shares are shown in percent, and all others behind their names.
SHARES = {"accuracy": "right", "fold_mean": "right", "top1": "right", "recognized": "recognized"}
PARTS = {"train": " in training", "val": " in validation"}
NAMES = {"bleu": "BLEU", "beam_bleu": "BLEU", "perplexity_by_chunks": "perplexity",
         "wikitext_perplexity": "perplexity (standard protocol)", "nll_padded": "training loss",
         "loss_epoch_25": "training loss", "loss_epoch_16": "validation loss"}  # fmt: skip


def plain(
    found: Sequence[Row], originals: Mapping[str, Original], modules: Mapping[str, str], others: Sequence[Row] = ()
) -> str:
    """The README's table: for each tutorial and study what is learned there, and one figure of both sides; where ours
    is missing, those of `others`, runs of other weights or data."""
    head = ["", "what you learn", "original", "its result", "ours", "minutes"]
    rows = {(row["target"], row["metric"]): row for row in found}
    lines = []
    for target, original in originals.items():
        first, shown = (rows.get((target, metric)) for metric in (original.figures[0].metric, original.shown))
        name = f"[`make {target}`]({modules[target].replace('.', '/')}.py)"
        page = f"[page]({original.page})" if original.page else "-"
        best = most_seeds(shown, "study") if shown else None
        if best:
            cells = [ours_in_words(first, shown, best), f"{best['minutes']['total']:.1f}"]
        else:
            own = [one for one in others if one["name"] == target and one["recipe"] == "study"]
            why = [f"not run on the official data: {original.needs}"] if original.needs or not own else []
            time = ", ".join(f"{one['seconds']['total'] / 60:.1f}" for one in own) or "-"
            cells = ["; ".join([f"{one['title']}: {headline(one, original)}" for one in own] + why), time]
        lines.append([name, original.learn, page, theirs_in_words(first, shown), *cells])
    return markdown_table(head, lines)


def headline(one: Row, original: Original) -> str:
    """The figure that a run of other weights or data is known by: the same as the README shows, perhaps of another
    model."""
    metrics, kind = one["metrics"], original.shown.rpartition("/")[2]
    alike = [name for name in metrics if kind and name.endswith(f"/{kind}")]
    metric = next(iter([name for name in alike if name == original.shown] or alike or metrics))
    return in_words({"metric": metric}, metrics[metric], None)


def most_seeds(row: Row, recipe: str) -> Mapping[str, Any] | None:
    """Our figure by a recipe over the most seeds."""
    return max((one for one in row["ours"] if one["recipe"] == recipe), key=lambda one: len(one["seeds"]), default=None)


def theirs_in_words(first: Row, shown: Row | None) -> str:
    """The published figure that ours is comparable with, else the first one."""
    row = shown if shown and theirs(shown) != "-" else first
    published = row["published"]
    if "low" in published:
        return f"{in_words(row, published['low'], None).partition(' %')[0]} to {in_words(row, published['high'], None)}"
    return in_words(row, published["mean"], published.get("deviation")) if "mean" in published else "-"


def ours_in_words(first: Row, shown: Row, best: Mapping[str, Any]) -> str:
    """Our figure; where the original printed another one, also what its recipe comes to here."""
    text = in_words(shown, best["mean"], best["deviation"])
    again = most_seeds(first, "original")
    if first is not shown and theirs(shown) == "-" and again:
        text += f"; by its recipe {in_words(first, again['mean'], again['deviation'])}"
    return text


def in_words(row: Row, mean: float, deviation: float | None) -> str:
    """A figure with its unit, or its name; of a share, whether it is of training or of validation pictures."""
    name = row["metric"].rpartition("/")[2]
    share = SHARES.get("accuracy" if name.endswith("accuracy") else name)
    if share:
        part = next((where for word, where in PARTS.items() if word in re.split("[/_]", row["metric"])), "")
        return f"{100 * mean:.1f}{'' if deviation is None else f' ± {100 * deviation:.1f}'} % {share}{part}"
    return f"{NAMES.get(name, name.replace('_', ' '))} {spread(mean, deviation)}"


def short(found: Sequence[Row]) -> str:
    """What fits a page: a line for each metric, then what was not run and why, and where ours were measured."""
    head = ["target", "metric", "the original's", "`RECIPE=original`", "`RECIPE=study`", "minutes, theirs → ours"]
    lines, unrun = [], {}
    for row in found:
        if row["not_run"]:
            only = "".join(f" `RECIPE={recipe}`" for recipe in row["not_run"]) if row["ran"] else ""
            unrun.setdefault(f"`{row['target']}`{only}", []).append(row)
        if not row["ran"]:
            continue
        by_seeds = sorted(row["ours"], key=lambda one: len(one["seeds"]))
        most = {one["recipe"]: one for one in by_seeds}
        cells = {}
        for recipe in ("original", "study"):
            others = [one for one in by_seeds[::-1] if one["recipe"] == recipe and one is not most[recipe]]
            apart = [f"{cell(one)} {unlike(one, most[recipe])}" for one in others]
            cells[recipe] = "; ".join([cell(most[recipe]), *apart]) if recipe in most else "-"
        cells |= dict.fromkeys(row["not_run"], "not run")
        lines.append([f"`{row['target']}`", metric(row), theirs(row), *cells.values(), minutes(row, most)])
    parts = [markdown_table(head, lines)]
    if unrun:
        said = [[name, "; ".join(f"{metric(row)} {theirs(row)}" for row in group if theirs(row) != "-") or "-",
                 next(iter(group[0]["not_run"].values())) or "with other options only: see below"]
                for name, group in unrun.items()]  # fmt: skip
        parts.append(markdown_table(["not run here", "the original's", "why"], said))
    return "\n\n".join([*parts, measured(found)])


def other_runs(others: Sequence[Row]) -> str:
    """Runs of other weights, data or options: every metric."""
    head = ["target", "what", "recipe", "seed", "figures", "minutes of training, of all", "on"]
    lines = []
    for one in others:
        figures = ", ".join(f"{name} {spread(value, None)}" for name, value in one["metrics"].items())
        time = ", ".join(f"{one['seconds'][part] / 60:.1f}" for part in ("train", "total"))
        lines.append([f"`{one['name']}`", one["title"], one["recipe"], str(one["seed"]), figures, time, where(one)])
    about = "Not the recipe on the official data, and so in no table above."
    return f"\n\n## Other weights, data and options\n\n{about}\n\n{markdown_table(head, lines)}" if lines else ""


def whole(found: Sequence[Row], others: Sequence[Row] = ()) -> str:
    """docs/scorecard.md: every fact of every row."""
    head = ["target", "metric", "published", "where", "their minutes", "recipe", "seeds", "ours", "difference",
            "minutes of training, of all", "on", "versions"]  # fmt: skip
    lines = []
    for row in found:
        published = row["published"]
        time = "-" if published["minutes"] is None else f"{published['minutes']:.1f}, {published['machine']}"
        begin = [
            f"`{row['target']}`",
            metric(row),
            theirs(row),
            published["source"] if theirs(row) != "-" else "-",
            time,
        ]
        for one in row["ours"]:
            versions = ", ".join(f"{package} {version}" for package, version in one["versions"].items())
            time = "{train:.1f}, {total:.1f}".format(**one["minutes"])
            lines.append([*begin, one["recipe"], ", ".join(map(str, one["seeds"])), value(one), difference(one) or "-",
                          time, where(one), versions])  # fmt: skip
        lines += [
            [*begin, recipe, "-", f"not run: {why}" if why else "not run", *["-"] * 4]
            for recipe, why in row["not_run"].items()
        ]
    title = "# Scorecard\n\nWritten by `make scorecard` from [results](results), the summaries that the runs wrote."
    return f"{title}\n\n{short(found)}{other_runs(others)}\n\n## Every fact\n\n{markdown_table(head, lines)}\n"


def measured(found: Sequence[Row]) -> str:
    """Where and with which packages our runs were made."""
    ours = [one for row in found for one in row["ours"]]
    places = ", ".join(dict.fromkeys(map(where, ours)))
    versions = ", ".join(dict.fromkeys(f"{name} {number}" for one in ours for name, number in one["versions"].items()))
    return f"{LEGEND} Ours: {places}; {versions}." if ours else LEGEND


def where(one: Mapping[str, Any]) -> str:
    threads = "1 thread" if one["threads"] == 1 else f"{one['threads']} threads"
    return f"{one['device']} {one.get('device_name', '')}".strip() + f" with {threads}"


def metric(row: Row) -> str:
    return row["metric"] + (" ↓" if row["published"]["lower_is_better"] else "")


def theirs(row: Row) -> str:
    """The published figure with its spread."""
    published = row["published"]
    if "low" in published:
        return f"{published['low']:g}-{published['high']:g}"
    if "mean" not in published:
        return "-"
    if "deviation" not in published:
        return f"{published['mean']:g}"
    return spread(published["mean"], published["deviation"])


def cell(one: Mapping[str, Any]) -> str:
    count = f"{value(one)} (n = {len(one['seeds'])})"
    return ", ".join(filter(None, [count, difference(one)]))


def unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """In what runs that are shown apart differ from those before them."""
    places = [f"on {where(one)}"] if where(one) != where(other) else []
    news = [f"{name} {number}" for name, number in one["versions"].items() if other["versions"].get(name) != number]
    return ", ".join(places + ([f"with {', '.join(news)}"] if news else []))


def value(one: Mapping[str, Any]) -> str:
    return spread(one["mean"], one["deviation"])


def difference(one: Mapping[str, Any]) -> str:
    if "place" in one:
        return one["place"]
    if "difference" not in one:
        return ""
    return f"{one['difference']['deviations']:+.1f} sd" + ("¹" if one["difference"]["of"] == "ours" else "")


def minutes(row: Row, most: Mapping[str, Any]) -> str:
    """Their minutes, and ours of whole runs by recipe."""
    published = row["published"]["minutes"]
    ours = ", ".join(f"{most[recipe]['minutes']['total']:.1f}" for recipe in sorted(most)) or "-"
    return f"{'-' if published is None else f'{published:.1f}'} → {ours}"


def spread(mean: float, deviation: float | None) -> str:
    """Mean ± standard deviation, with three digits or more of the mean and as many places of both."""
    places = 2 if abs(mean) >= 10 else 3 if abs(mean) >= 0.1 or not mean else 2 - math.floor(math.log10(abs(mean)))
    return f"{mean:.{places}f}" + ("" if deviation is None else f" ± {deviation:.{places}f}")
