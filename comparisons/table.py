"""The results as a table: one row for each tensor of each case, both number formats side by side."""

from collections.abc import Iterable

import numpy as np
import torch

HEADER = ("case", "function", "tensor", "max abs", "max rel", "allowed", "float32 rel", "allowed", "by hand", "torch")
NETS = ("net", "dtype", "steps", "loss", "first Δgrad", "max Δgrad", "max Δloss", "by hand", "torch")


def rows(differences: Iterable[dict]) -> list[tuple[str, ...]]:
    """Rows of HEADER; times are in microseconds, forward and backward together, in float64."""
    found = {}
    for d in differences:
        found.setdefault((d["case"], d["function"], d["tensor"]), {})[d["dtype"]] = d
    return [(*key, *cells(both)) for key, both in found.items()]


def cells(both: dict[str, dict]) -> list[str]:
    wide, narrow = both.get("float64"), both.get("float32")
    numbers = [wide["absolute"], wide["relative"], wide["tolerance"]] if wide else [None] * 3
    numbers += [narrow["relative"], narrow["tolerance"]] if narrow else [None] * 2
    seconds = (wide or narrow)["seconds"]
    return ["" if n is None else f"{n:.1e}" if n else "0" for n in numbers] + [f"{1e6 * s:.0f} µs" for s in seconds]


def worst(differences: Iterable[dict], count: int) -> list[dict]:
    """The differences of float64 that come nearest to what is allowed, with their float32 twins."""
    differences = list(differences)
    wide = [d for d in differences if d["dtype"] == "float64"]
    wide.sort(key=lambda d: d["relative"] / (d["tolerance"] or 1), reverse=True)
    chosen = [(d["case"], d["tensor"]) for d in wide[:count]]
    ranked = sorted(differences, key=lambda d: d["dtype"], reverse=True)
    return [d for key in chosen for d in ranked if (d["case"], d["tensor"]) == key]


def conclusion(differences: Iterable[dict]) -> str:
    """One sentence."""
    differences = list(differences)
    wrong = len({(d["function"], d["tensor"]) for d in differences if d["problem"]})
    functions, tensors = len({d["function"] for d in differences}), len(rows(differences))
    verdict = f"{wrong} tensors differ from" if wrong else "all agree with"
    versions = f"torch {torch.__version__}, NumPy {np.__version__}"
    return f"{functions} functions, {tensors} tensors in float64 and in float32: {verdict} torch ({versions})"


def drifts(found: list[dict]) -> list[tuple[str, ...]]:
    """Rows of NETS; times are medians of one step."""
    return [drift(d) for d in sorted(found, key=lambda d: (d["net"], d["dtype"]))]


def drift(d: dict) -> tuple[str, ...]:
    apart = [f"{d[key]:.1e}" for key in ("first gradient", "gradient", "loss")]
    times = [f"{ms:.1f} ms" for ms in d["milliseconds"]]
    return d["net"], d["dtype"], str(d["steps"]), "{:.2f} → {:.2f}".format(*d["losses"]), *apart, *times


def as_text(rows: list[tuple[str, ...]], header: tuple[str, ...] = HEADER, text_columns: int = 3) -> str:
    """Columns of equal width, numbers to the right."""
    lines = [header, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if k < text_columns else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def as_markdown(rows: list[tuple[str, ...]], header: tuple[str, ...] = HEADER, text_columns: int = 3) -> str:
    """A Markdown table; the columns after the first few hold numbers."""
    ruler = ["---"] * text_columns + ["---:"] * (len(header) - text_columns)
    return "\n".join(f"| {' | '.join(cell.replace('|', '∣') for cell in line)} |" for line in (header, ruler, *rows))
