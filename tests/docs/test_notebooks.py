"""The notebooks are the tutorials: every statement of main() is in them, and they run top to bottom on the twins."""

import ast
import json
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the packages of make notebooks")
nbclient = pytest.importorskip("nbclient", reason="needs the packages of make notebooks")

from docs import notebooks, script  # noqa: E402

TARGETS = [program.target for program in notebooks.TUTORIALS]
QUICK = ("cifar10",)  # the others run by `make test-notebooks`
PARAMETERS = "DATA, RECIPE, SEED, ARGS, FOLDER = 'tiny', 'study', 3, '--epochs 1', {folder!r}"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks")
    assert notebooks.main(["--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("study", notebooks.TUTORIALS, ids=TARGETS)
def test_a_notebook_has_all_of_its_tutorial(written, study):
    cells = nbformat.read(written / f"{study.target}.ipynb", as_version=4).cells
    nbformat.validate(nbformat.v4.new_notebook(cells=cells))
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert all(name in code[0] for name in ("DATA", "RECIPE", "SEED", "ARGS"))
    whole = ast.unparse(ast.parse("\n".join(code)))
    source = script.read(script.module(study.module))
    definitions = [node for section in source.all_sections() for piece in section.pieces for node in piece.nodes]
    (frame,) = (node for node in source.main.body if isinstance(node, ast.With))
    assert len(definitions) > 5
    for node in [*definitions, *frame.body]:
        assert ast.unparse(node) in whole
    for section in source.sections:
        assert any(cell.source == f"## {section.title}" for cell in cells)


def run(written: Path, target: str, folder: Path) -> dict:
    """Execute a notebook with its own parameters; the outputs are looked at, and the run's summary is returned."""
    book = nbformat.read(written / f"{target}.ipynb", as_version=4)
    book.cells[1].source = PARAMETERS.format(folder=str(folder))
    root = str(notebooks.script.ROOT)
    nbclient.NotebookClient(book, timeout=900, kernel_name="python3", resources={"metadata": {"path": root}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    shown = sum("image/png" in output.get("data", {}) for output in outputs)
    said = "".join(output.get("text", "") for output in outputs)
    assert shown >= min(3, len(list((folder / "figures").glob("*.png")))) > 0
    assert "this run" in said and f"everything is in {folder}" in said
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize("target", QUICK)
def test_a_notebook_runs_top_to_bottom(written, target, tmp_path):
    summary = run(written, target, tmp_path / target)
    assert (summary["data"], summary["seed"], summary["epochs"]) == ("tiny", 3, 1)
    assert summary["metrics"]["test/accuracy"] > summary["chance"]["test/accuracy"]


@pytest.mark.notebooks
@pytest.mark.parametrize("target", [target for target in TARGETS if target not in QUICK])
def test_every_other_notebook_runs_top_to_bottom(written, target, tmp_path):
    assert run(written, target, tmp_path / target)["metrics"]
