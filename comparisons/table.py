"""The results as a table: one row for each tensor of each case, both number formats side by side."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from tabulate import tabulate

HEADER = ("case", "function", "tensor", "max abs", "max rel", "allowed", "float32 rel", "allowed", "by hand", "torch")
NETS = ("net", "dtype", "steps", "loss", "first Δgrad", "max Δgrad", "max Δloss", "by hand", "torch")


def rows(differences: Iterable[dict]) -> list[tuple[str, ...]]:
    """Rows of HEADER; times are in microseconds, forward and backward together, in float64."""
    found = {}
    for d in differences:
        found.setdefault((d["case"], d["function"], d["tensor"]), {})[d["dtype"]] = d
    return [(*key, *cells(both)) for key, both in found.items()]


def cells(both: dict[str, dict]) -> list[str]:
    numbers = [both.get("float64", {}).get(key) for key in ("absolute", "relative", "tolerance")]
    numbers += [both.get("float32", {}).get(key) for key in ("relative", "tolerance")]
    seconds = (both.get("float64") or both["float32"])["seconds"]
    return ["" if n is None else f"{n:.1e}" if n else "0" for n in numbers] + [f"{1e6 * s:.0f} µs" for s in seconds]


def worst(differences: list[dict], count: int) -> list[dict]:
    """The differences of float64 that come nearest to what is allowed, each with the same tensor's in float32."""
    wide, narrow = ([d for d in differences if d["dtype"] == dtype] for dtype in ("float64", "float32"))
    wide.sort(key=lambda d: d["relative"] / (d["tolerance"] or 1), reverse=True)
    others = {(d["case"], d["tensor"]): [d] for d in narrow}
    return [both for d in wide[:count] for both in (d, *others.get((d["case"], d["tensor"]), []))]


def conclusion(differences: list[dict]) -> str:
    """One sentence."""
    wrong = len({(d["function"], d["tensor"]) for d in differences if d["problem"]})
    functions, tensors = len({d["function"] for d in differences}), len(rows(differences))
    verdict = f"{wrong} tensors differ from" if wrong else "all agree with"
    versions = f"torch {torch.__version__}, NumPy {np.__version__}"
    return f"{functions} functions, {tensors} tensors in float64 and in float32: {verdict} torch ({versions})"


def net_rows(summaries: Iterable[dict]) -> list[tuple[str, ...]]:
    """Rows of NETS; times are medians of one step."""
    found = []
    for net in sorted(summaries, key=lambda net: (net["net"], net["dtype"])):
        apart = [f"{net[key]:.1e}" for key in ("first gradient", "gradient", "loss")]
        times = [f"{ms:.1f} ms" for ms in net["milliseconds"]]
        losses = "{:.2f} → {:.2f}".format(*net["losses"])
        found.append((net["net"], net["dtype"], str(net["steps"]), losses, *apart, *times))
    return found


def layout(
    header: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = (0, 1, 2), kind: str = "plain"
) -> str:
    """The columns of `words` to the left, numbers to the right; in one of tabulate's formats, such as "pipe"."""
    sides = ["left" if column in words else "right" for column in range(len(header))]
    return tabulate(rows, header, kind, colalign=sides, disable_numparse=True)
