"""One thread, no GPU; and after the tests, the table of what they compared."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import pytest

from comparisons import table
from comparisons.cases import CASES


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", choices=("worst", "all"), default="worst", help="parity: rows to show at the end")


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Collect what the tests recorded (in other processes too, under xdist) and show it."""
    recorded = {"differences": [], "nets": [], "planted": [], "mutations": []}
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for name, value in getattr(report, "user_properties", []) if report.when == "call" else []:
            if name in recorded:
                recorded[name].append(value)
    differences = [difference for found in recorded["differences"] for difference in found]
    if differences:
        order = {case.name: place for place, case in enumerate(CASES)}
        differences.sort(key=lambda d: order[d["case"]])
        everything = config.getoption("--table") == "all"
        shown = differences if everything else table.worst(differences, 12)
        terminalreporter.section("parity with torch" + ": the rows nearest to the limit" * (not everything))
        terminalreporter.write_line(table.layout(table.HEADER, table.rows(shown)))
        terminalreporter.write_line(f"\n{table.conclusion(differences)}")
    if recorded["nets"]:
        terminalreporter.section("whole nets beside their references in torch")
        terminalreporter.write_line(table.layout(table.NETS, table.net_rows(recorded["nets"]), (0, 1)))
    if recorded["mutations"]:
        planted, made = len(recorded["planted"]), sum(recorded["mutations"])
        terminalreporter.write_line(f"planted mistakes caught: {planted}; mutations of outputs caught: {made}")
