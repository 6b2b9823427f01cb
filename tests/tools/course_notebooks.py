"""The NumPy notebooks of CS231n as this repository's tests know them, written from what each year's contracts ask for.

`python -m tests.tools.course_notebooks FOLDER` writes those of all years, for `make course NOTEBOOK=`.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

SOURCES = Path(__file__).parent / "course"
SETUP = (SOURCES / "setup.ipy").read_text()
NAMES = sorted(path.stem for path in SOURCES.glob("*.ipy") if path.stem != "setup")
YEARS = range(2018, 2027)


# A cell begins with `# %%` and the years in which the course has it: 2018, 2018-2020, 2021-, or nothing for all.
CELL = re.compile(r"^# %%(?: (\d{4})(-(\d{4})?)?)?\n(.*?)(?=^# %%|\Z)", re.M | re.S)


def cells(name: str, year: int) -> list[str]:
    """A notebook's code cells of one year; none where the course did not have it."""
    found = [
        [body.strip() for first, several, last, body in CELL.findall(text)
         if not first or int(first) <= year <= int(last or (9999 if several else first))]
        for text in (SETUP, (SOURCES / f"{name}.ipy").read_text())
    ]  # fmt: skip
    return found[0] + found[1] if found[1] else []


def write(name: str, year: int, folder: Path) -> Path | None:
    """Write a notebook of one year, or nothing where the course did not have it."""
    sources = cells(name, year)
    if not sources:
        return None
    path = folder / f"{year}_{name}.ipynb"
    book = new_notebook(cells=[new_code_cell(source) for source in sources])
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
    nbformat.write(book, path)
    return path


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for written in (write(name, year, target) for name in NAMES for year in YEARS):
        if written:
            print(written)
