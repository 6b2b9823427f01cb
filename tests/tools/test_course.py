"""make course: what it changes in a notebook, what it says of each cell, and the course's notebooks from end to end."""

import os

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the packages of make notebooks")
pytest.importorskip("nbclient", reason="needs the packages of make notebooks")

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook  # noqa: E402

from tests.tools import course_notebooks  # noqa: E402
from tutorials.tools import course  # noqa: E402


def write(path, *sources):
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), path)
    return path


def test_imports_are_replaced_and_addresses_are_not():
    source = "from cs231n.layers import *\n  import cs231n.optim\n!bash x.sh\n%autoreload 2\nurl = 'https://cs231n.github.io'"
    assert course.adapted(source, True) == (
        "from from_scratch.layers import *\n  import from_scratch.optim\n%autoreload 2\nurl = 'https://cs231n.github.io'"
    )
    assert course.adapted(source, False).startswith("from cs231n.layers import *")
    assert course.adapted("from google.colab import drive\ndrive.mount('/content/drive')", True) == ""


def test_every_cell_is_said(tmp_path, capsys):
    folder = tmp_path / "own" / "cs231n"
    (folder / "classifiers").mkdir(parents=True)
    (folder / "layers.py").write_text("def affine_forward(x):\n    return 2 * x\n")
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    book = write(
        tmp_path / "mine.ipynb",
        "from cs231n.layers import affine_forward\nimport cs231n, numpy as np, scipy.misc\nimport past.builtins",
        "# about e-8\nprint('dx error: ', affine_forward(1e-3))\nprint('dw error:', 1e-11)\nprint('speedup: 3x')",
        "import cs231n.gradient_check\nopen('written.txt', 'w').write(str(np.int(2.5))); 1 / 0",
        "!touch shell",
        "import time\ntime.sleep(60)",
        "print('still here')",
        "import os\nos._exit(3)",
        "print('never')",
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[
        new_markdown_cell("The error should be around e-8."), *nbformat.read(book, 4).cells]), book)  # fmt: skip
    work = tmp_path / "work"
    argv = ["--notebook", str(book), "--folder", str(folder.parent), "--run-dir", str(work), "--timeout", "2"]
    assert course.main(argv) == 1
    lines = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines() if line[:4].strip().isdigit()]
    assert [line[:9].strip() for line in lines] == ["ran", "ran", "raised", "left out", "timed out", "ran", "raised"]
    assert lines[1].endswith("dx error 2.0e-03, the largest of 2  <-- the notebook asks for 1e-08")
    assert lines[2].endswith("ZeroDivisionError: division by zero") and lines[6].endswith("Python itself ended here")
    assert (work / "written.txt").read_text() == "2" and not (work / "shell").exists()
    written = nbformat.read(work / "mine.ipynb", 4)
    assert written.cells[2].outputs[0].text.startswith("dx error:") and "course_kernel" not in str(written)
    assert before == {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is not a notebook"),
        (b"\xff\xfe\x00", "is not a notebook"),
        (b"[1]", "is not a notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": {}}', "is not a notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"language": "R"}}, "cells": []}', "of r;"),
        (None, "there is no notebook"),
    ],
)  # fmt: skip
def test_what_is_no_notebook_is_refused_in_one_line(tmp_path, capsys, content, message):
    path = tmp_path / "a.ipynb"
    if content is not None:
        path.write_bytes(content)
    assert course.main(["--notebook", str(path), "--run-dir", str(tmp_path / "work")]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error


def test_a_folder_without_the_package_is_refused(tmp_path, capsys):
    book = write(tmp_path / "a.ipynb", "1")
    argv = ["--notebook", str(book), "--folder", str(tmp_path), "--run-dir", str(tmp_path / "work")]
    assert course.main(argv) == 1 and "holds no cs231n package" in capsys.readouterr().err


def test_captions_run_on_the_twin(tmp_path, monkeypatch, capsys):
    """Without the course's COCO files, and without a network, a notebook still runs to its last cell."""
    monkeypatch.setenv("STUDY_DATA", str(tmp_path / "data"))
    path = course_notebooks.write("LSTM_Captioning", 2018, tmp_path)
    rows = course.run_notebook(path, tmp_path / "work", quick=True)
    assert [row.state for row in rows] == ["ran"] * 9
    assert "Using generated data" in str(nbformat.read(tmp_path / "work" / path.name, 4))


@pytest.mark.notebooks
@pytest.mark.skipif("STUDY_DATA" not in os.environ, reason="needs CIFAR-10")
@pytest.mark.parametrize("year", [2018, 2024, 2026])
@pytest.mark.parametrize("name", course_notebooks.NAMES)
def test_the_courses_notebooks_run_to_their_last_cell(name, year, tmp_path):
    if path := course_notebooks.write(name, year, tmp_path):
        rows = course.run_notebook(path, tmp_path / "work", quick=True)
        assert {row.state for row in rows} <= {"ran", "left out"}, rows
        assert "<--" not in "\n".join(row.note for row in rows), rows
