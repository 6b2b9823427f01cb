"""The notebooks are the tutorials: every statement of main() is in them, and they run top to bottom on the twins."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the packages of make notebooks")
nbclient = pytest.importorskip("nbclient", reason="needs the packages of make notebooks")

from docs import evidence, notebooks, prose, script  # noqa: E402

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
    text, said = prose.of(study.target), [cell.source for cell in cells if cell.cell_type == "markdown"]
    for section in source.sections:
        words = prose.outside_the_book(text.section(section.title).text)
        assert f"## {section.title}\n\n{words}".strip() in said
    assert prose.outside_the_book(text.opening.text) in said[0]
    assert not text.questions or (said[-1].startswith("## Questions\n\n1. ") and cells[-1].source == said[-1])
    assert all(prose.outside_the_book(note) in "\n".join(said) for note in text.notes().values())
    assert "](#" not in "\n".join(said)
    kept = {cell.attachments.popitem()[0] for cell in cells if "attachments" in cell}
    assert kept == {path.name for name, path in evidence.pictures(evidence.FIGURES / study.target).items()
                    if name in text.notes()}  # fmt: skip


def set_up(folder: Path, repository: str) -> subprocess.CompletedProcess:
    """Run the first cells in a folder, with a pip that only notes what it is asked to install."""
    pip = folder.parent / "path/pip"
    pip.mkdir(parents=True, exist_ok=True)
    (pip / "__init__.py").touch()
    (pip / "__main__.py").write_text("import pathlib, sys\npathlib.Path('asked').write_text(' '.join(sys.argv[1:]))\n")
    cells = [notebooks.PARAMETERS.format(target="cifar10", repository=repository), notebooks.SETUP, "import tutorials",
             "print(os.getcwd(), tutorials.__file__)"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(pip.parent)}
    return subprocess.run([sys.executable, "-c", "\n".join(cells)], cwd=folder, env=environment, capture_output=True,
                          text=True, timeout=300)  # fmt: skip


def test_a_notebook_on_its_own_gets_the_repository_and_the_packages(tmp_path):
    origin, folder = tmp_path / "origin", tmp_path / "handed out"
    (origin / "tutorials").mkdir(parents=True)
    folder.mkdir()
    for name in ("tutorials/__init__.py", "tutorials/cifar10.py", "pyproject.toml"):
        (origin / name).write_bytes((notebooks.script.ROOT / name).read_bytes())
    git = ["git", "-C", str(origin), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    done = set_up(folder, "")
    assert done.returncode == 1 and done.stderr.startswith("There is no checkout around this notebook. Fill in REPOSI")
    for _ in range(2):  # the second time the clone is there
        done = set_up(folder, origin.as_uri())
        clone = folder / "pytorch-study"
        assert done.stdout.split("\n")[0] == f"{clone} {clone / 'tutorials/__init__.py'}", done.stderr
        asked = (folder / "asked").read_text()
        assert asked.startswith("install --quiet torch>=") and "pooch>=" in asked and "sphinx" not in asked
    (folder / "asked").unlink()
    assert str(clone) in set_up(clone / "tutorials", "").stdout  # in a checkout nothing is cloned and installed
    assert not list(folder.rglob("asked"))


def test_a_teacher_gives_the_address_once(tmp_path):
    address = "https://example.org/it's a study.git"
    assert notebooks.main(["--out", str(tmp_path), "--repository", address]) == 0
    cells = nbformat.read(tmp_path / "names.ipynb", as_version=4).cells
    given = {}
    exec(cells[1].source, given)
    assert given["REPOSITORY"] == address and given["FOLDER"] == "runs/notebooks/names"


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
