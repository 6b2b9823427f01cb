"""`make course`: runs a notebook of CS231n from its first cell to its last, against `from_scratch` or your own package.

Imports of `cs231n` become imports of `from_scratch`; with FOLDER= they are those of a copy of your package. What only
Google Colab or a shell can do is left out, CIFAR-10 is where the course's paths say, and a copy of the notebook with
its results stays below runs/course. Your own files are never changed.
"""

import argparse
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from data import StudyError, default_root
from data.cifar10 import FOLDER as CIFAR10
from data.course_package import find_package
from data.fetch import fetch
from tutorials.common.console import say

if TYPE_CHECKING:
    from nbclient import NotebookClient
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
COLAB = re.compile(r"google\.colab|/content/drive|FOLDERNAME")
SHELL = re.compile(r"^\s*(!|%cd\b|%%(bash|sh)\b|%pip\b|%conda\b)")  # would change what lies beside the notebook
IMPORT = re.compile(r"^(\s*(?:from|import)\s+)cs231n\b", re.M)
# What notebooks print of a comparison, as `dx error:  5.4e-09`, and what their text asks for, as `about e-8`.
DIFFERENCE = re.compile(
    r"^(.*?(?:error|difference)\b)[^\n:=]*?(?:[:=]|\bis)\s*(\d[\d.]*(?:e[-+]?\d+)?|nan|inf)", re.I | re.M
)
WANTED = re.compile(r"error|difference|should|less|order|around|about|between", re.I)
# What the course itself wrote: where a reader's package lacks it, ours takes its place.
GIVEN = ("captioning_solver", "coco_utils", "data_utils", "gradient_check", "image_utils", "solver", "vis_utils")
SLACK = 100  # a difference is marked when it is so many times what the notebook asks for: it says "around"
PREPARE = """\
from tutorials.tools import course_kernel
course_kernel.prepare({package!r}, quick={quick})
import {package} as cs231n
del course_kernel"""


@dataclass(frozen=True)
class Row:
    """What became of a code cell: `ran`, `raised`, `timed out`, or `left out`, with what is to be said of it."""

    number: int
    title: str
    state: str
    seconds: float = 0.0
    note: str = ""

    def __str__(self) -> str:
        return f"{self.number:4d}  {self.state:9s} {self.seconds:7.1f} s  {self.title:48.48s}  {self.note}".rstrip()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="course", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--notebook", type=Path, required=True, help="The notebook, of any year.")
    parser.add_argument(
        "--folder", type=Path, help="Your own package cs231n, or the assignment's folder that holds it."
    )
    parser.add_argument("--run-dir", type=Path, help="Where it runs and its results stay; default: below runs/course.")
    parser.add_argument("--quick", action="store_true", help="Shorten every training to a few iterations.")
    parser.add_argument("--timeout", type=int, default=3600, help="Seconds that a cell may take.")
    options = parser.parse_args(argv)
    if options.timeout < 1:
        parser.error("--timeout must be at least 1")
    try:
        work = options.run_dir or ROOT / "runs" / "course" / options.notebook.stem
        rows = run_notebook(options.notebook, work, options.folder, options.quick, options.timeout)
    except StudyError as error:
        say(f"course: {error}", error=True)
        return 1
    cells = [row for row in rows if row.state != "left out"]
    ran = sum(row.state == "ran" for row in cells)
    say(f"\n{ran} of {len(cells)} cells ran, {len(rows) - len(cells)} left out; with its results: "
        f"{work / options.notebook.name}")  # fmt: skip
    return 0 if ran == len(cells) else 1


def run_notebook(
    path: Path, work: Path, folder: str | None = None, quick: bool = False, timeout: int = 3600
) -> list[Row]:
    """Run a notebook in the folder `work`, and write it there with its results; says a row for each cell.

    Raises StudyError for what is no notebook, or no package.
    """
    import nbformat
    from nbclient import NotebookClient

    book = read_notebook(path)
    prepare_folder(path, work, folder)
    package = "cs231n" if folder else "from_scratch"
    first = nbformat.v4.new_code_cell(PREPARE.format(package=package, quick=quick))
    book.cells.insert(0, first)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(work.absolute()), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "STUDY_DATA": str(default_root().absolute()),
    }
    client = NotebookClient(
        book, timeout=timeout, interrupt_on_timeout=True, allow_errors=True, kernel_name="python3",
        resources={"metadata": {"path": str(work)}}, extra_arguments=["--IPKernelApp.log_level=40"],
        log=logging.getLogger("course.silent"),
    )  # fmt: skip
    client.log.setLevel(logging.CRITICAL + 1)  # what it has to say stands in the rows
    rows = []
    try:
        with client.setup_kernel(env=environment):
            for row in execute(client, book, folder is None):
                say(str(row))
                rows.append(row)
    finally:  # after Ctrl-C, too
        book.cells.remove(first)
        nbformat.write(book, work / path.name)
    return rows


def execute(client: "NotebookClient", book: "NotebookNode", replace: bool) -> Iterator[Row]:
    """Run cell after cell; with `replace`, imports of cs231n become those of from_scratch."""
    from nbclient.exceptions import DeadKernelError

    client.execute_cell(book.cells[0], 0)
    if problem := raised(book.cells[0]):
        raise StudyError(f"the notebook's kernel could not be prepared: {problem}")
    number, text = 0, ""
    for index, cell in enumerate(book.cells[1:], start=1):
        if cell.cell_type == "markdown":
            text = cell.source
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        number += 1
        source, cell.outputs, cell.execution_count = cell.source, [], None
        cell.source = adapted(source, replace)
        title = next((line.strip("# ") for line in source.splitlines() if line.strip("#! %")), "")
        if not re.sub(r"^\s*#.*", "", cell.source, flags=re.M).strip():
            yield Row(number, title, "left out", note="Colab or shell only")
            continue
        begun = time.monotonic()
        try:
            client.execute_cell(cell, index)
            problem = raised(cell)
            state = "raised" if problem else "ran"
            if problem.startswith("KeyboardInterrupt"):  # by which nbclient ends a cell that takes too long
                state, problem = "timed out", f"more than {client.timeout} s (--timeout)"
        except DeadKernelError:
            yield Row(number, title, "raised", time.monotonic() - begun, "Python itself ended here")
            return
        yield Row(number, title, state, time.monotonic() - begun, problem or differences(cell, text))
        text = ""


def adapted(source: str, replace: bool) -> str:
    """A cell as it can run here: without Colab's and the shell's lines, with from_scratch's imports."""
    if COLAB.search(source):
        return ""
    source = "\n".join(line for line in source.splitlines() if not SHELL.match(line))
    return IMPORT.sub(r"\1from_scratch", source) if replace else source


def raised(cell: "NotebookNode") -> str:
    """The exception that ended a cell, in one line, or nothing."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    return f"{errors[-1].ename}: {errors[-1].evalue.splitlines()[0] if errors[-1].evalue else ''}" if errors else ""


def differences(cell: "NotebookNode", text: str) -> str:
    """The largest difference that a cell printed, and whether it is more than its comments, or the text before, say."""
    printed = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    found = [(abs(float(value)), label.strip()[-40:]) for label, value in DIFFERENCE.findall(printed)]
    if not found:
        return ""
    worst, label = max(found, key=lambda pair: (np.nan_to_num(pair[0], nan=np.inf), pair[1]))
    comments = [line for line in cell.source.splitlines() if line.lstrip().startswith("#")]
    asked = next((lines for lines in (comments, text.splitlines()) if any(map(asked_for, lines))), [])
    wanted = [value for line in asked for value in asked_for(line)]
    note = f"{label} {worst:.1e}" + (f", the largest of {len(found)}" if len(found) > 1 else "")
    return note + (
        f"  <-- the notebook asks for {max(wanted):.0e}" if wanted and not worst <= SLACK * max(wanted) else ""
    )


def asked_for(line: str) -> list[float]:
    """The limits that a line of text names, of several the loosest counts: "between e-13 and e-8"."""
    return [float(f"1{power}") for power in re.findall(r"(?<![\w.])\d*(e-\d+)\b", line)] if WANTED.search(line) else []


def read_notebook(path: Path) -> "NotebookNode":
    """A notebook of any version; raises StudyError for anything else, and for another language."""
    import nbformat

    try:
        book = nbformat.convert(nbformat.reader.reads(path.read_text(encoding="utf-8")), 4)
        if not isinstance(book.cells, list) or not all(isinstance(cell.source, str) for cell in book.cells):
            raise ValueError("its cells are no list of texts")
        language = book.metadata.get("kernelspec", {}).get("language", "python").lower()
    except FileNotFoundError:
        raise StudyError(f"there is no notebook {path}. Give a file: NOTEBOOK=knn.ipynb") from None
    except Exception as error:  # nbformat's readers raise about every kind there is
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(f"{path} is not a notebook ({reason}). Save it again in Jupyter or Colab.") from error
    if language != "python":
        raise StudyError(f"{path} is a notebook of {language}; only Python's can be run.")
    return book


def prepare_folder(path: Path, work: Path, folder: str | None) -> None:
    """What a notebook looks for beside itself: a copy of the reader's package, CIFAR-10, and two pictures."""
    package = work / "cs231n"
    shutil.rmtree(package, ignore_errors=True)
    if folder is None:
        package.mkdir(parents=True)
    else:
        ignore = shutil.ignore_patterns("datasets", "__pycache__", "build", ".*")
        shutil.copytree(find_package(folder), package, ignore=ignore)
        for name in GIVEN:
            if not (package / f"{name}.py").exists():
                (package / f"{name}.py").write_text(f"from from_scratch.{name} import *\n", encoding="utf-8")
    (package / "datasets").mkdir(exist_ok=True)
    text = path.read_text(encoding="utf-8")
    if "cifar" in text.lower():
        place_cifar10(package / "datasets" / CIFAR10)
    pictures, theirs = work / "notebook_images", path.parent / "notebook_images"
    if theirs.is_dir():
        shutil.copytree(theirs, pictures, dirs_exist_ok=True)
    elif "notebook_images" in text and not pictures.is_dir():
        from sklearn.datasets import load_sample_images

        pictures.mkdir()
        for name, image in zip(("kitten", "puppy"), load_sample_images().images, strict=True):
            Image.fromarray(image).save(pictures / f"{name}.jpg")
        say("notebook_images is not beside the notebook: a temple and a flower stand in for its kitten and puppy")


def place_cifar10(place: Path) -> None:
    """CIFAR-10's folder where the course's paths say, a link if the machine has them; without it, cells say so."""
    try:
        folder = fetch("cifar10").absolute() / CIFAR10
    except StudyError as error:
        say(f"course: cells that need CIFAR-10 will fail: {error}", error=True)
        return
    try:
        place.symlink_to(folder, target_is_directory=True)
    except OSError:  # Windows asks for a right to do so
        shutil.copytree(folder, place)


if __name__ == "__main__":
    sys.exit(main())
