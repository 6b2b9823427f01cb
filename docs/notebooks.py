"""`make notebooks`: every tutorial as a notebook, whose cells are the script's own definitions.

`main()` is taken apart: each of its statements stands after the section that defines what it calls, so that a reader
sees results between. The prose between is that of the study book's chapters. No notebook goes into git; they are
written anew from the scripts. One that is handed out alone gets the repository by itself: see REPOSITORY.
"""

import argparse
import ast
import sys
import textwrap
from base64 import b64encode
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from docs import evidence, prose, script
from docs.script import Script, Section
from tutorials.tools.run_all import PROGRAMS, Program

TUTORIALS = [program for program in PROGRAMS if program.module.startswith("tutorials.")]
PARAMETERS = """\
DATA = "tiny"  # the generated twin; "official": the real data
RECIPE = "study"  # the improved recipe; "original": the published one
SEED = 0
ARGS = ""  # any option of the tutorial, such as "--epochs 2"
FOLDER = "runs/notebooks/{target}"  # where the run is written
REPOSITORY = {repository!r}  # the address to clone, for a notebook on its own, such as on Colab
"""
SETUP = '''\
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from IPython.display import Image as Picture
from IPython.display import display


def find_repository():
    """The folder of the repository: around this notebook or beside it, or else a clone, with the packages it needs."""
    clone = Path.cwd() / "pytorch-study"
    for folder in (Path.cwd(), *Path.cwd().parents, clone):
        if (folder / "tutorials/cifar10.py").exists():
            return folder
    if not REPOSITORY:
        raise SystemExit("There is no checkout around this notebook. Fill in REPOSITORY in the cell above: "
                         "the address to clone the repository from. Then run both cells again.")
    subprocess.run(["git", "clone", "--depth", "1", REPOSITORY, str(clone)], check=True)
    project = tomllib.loads((clone / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *project["dependencies"]], check=True)
    return clone


os.chdir(find_repository())
sys.path.insert(0, os.getcwd())
argv = ["--data", DATA, "--recipe", RECIPE, "--seed", str(SEED), "--run-dir", FOLDER, *shlex.split(ARGS)]
'''
# Run anew, the cell ends the run that it began before.
OPEN = """\
if "run" in globals():
    run.__exit__(None, None, None)
run = {frame}
run.__enter__()
save_figure = run.figure


def show_figure(name, figure):
    \"\"\"Save a figure, as everywhere, and show it here.\"\"\"
    save_figure(name, figure)
    display(Picture(run.folder / "figures" / f"{{name}}.png"))


run.figure = show_figure
"""
CLOSE = "run.__exit__(None, None, None)\ndel run"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/notebooks"), help="where the notebooks go")
    parser.add_argument("--repository", default="", help="the address that a notebook on its own clones")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    for program in TUTORIALS:
        path = options.out / f"{program.target}.ipynb"
        nbformat.write(notebook(program, options.repository), path)
        print(f"wrote {path}")
    return 0


def notebook(program: Program, repository: str = "") -> nbformat.NotebookNode:
    """A tutorial as a notebook."""
    source, text = script.read(script.module(program.module)), prose.of(program.target)
    official = evidence.pictures(evidence.FIGURES / program.target)  # of a run on the real data
    text.check([section.title for section in source.sections])
    steps = Steps(source)
    cells = [
        *markdown(f"# {source.title}", text.opening.text),
        new_code_cell(PARAMETERS.format(target=program.target, repository=repository).strip()),
        new_code_cell(SETUP.strip()),
        *definitions(source, source.before, jupyter={"source_hidden": True}),  # options, not the lesson
        *steps.after(source.before),
    ]
    for section in source.sections:
        part = text.section(section.title)
        cells += [*markdown(f"## {section.title}", part.text), *definitions(source, section), *steps.after(section)]
        cells += [cell for name, note in part.notes.items() for cell in remark(name, note, official.get(name))]
    if steps.left:
        raise ValueError(f"{source.path}: nothing defines what main() needs: {sorted(steps.missing)}")
    cells += [new_code_cell(CLOSE), *(markdown("## Questions", text.questions) if text.questions else [])]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same every time
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


def markdown(*paragraphs: str) -> list[nbformat.NotebookNode]:
    """A cell of prose, if there is any."""
    text = "\n\n".join(filter(None, paragraphs))
    return [new_markdown_cell(prose.outside_the_book(text))] if text else []


def remark(name: str, note: str, picture: Path | None) -> list[nbformat.NotebookNode]:
    """What there is to see in a figure, with the figure of the official run, if one is kept, in the cell itself."""
    title = f"**{name.replace('_', ' ')}**"
    if not picture:
        return markdown(f"{title}: {note}")
    (cell,) = markdown(f"{title}: {note}", f"On the real data:\n\n![{name}](attachment:{picture.name})")
    cell.attachments = {picture.name: {"image/png": b64encode(picture.read_bytes()).decode()}}
    return [cell]


def definitions(source: Script, section: Section, **metadata: object) -> list[nbformat.NotebookNode]:
    return [new_code_cell(source.lines(piece.first, piece.last), metadata=metadata) for piece in section.pieces]


class Steps:
    """The statements of a tutorial's main(), to be dealt out in order."""

    def __init__(self, source: Script) -> None:
        self.left = [step for node in source.main.body for step in taken_apart(node, source)]
        self.missing = {name for section in source.sections for name in defined(section)}
        self.uses = {name: used for section in source.all_sections() for name, used in defined(section).items()}

    def after(self, section: Section) -> list[nbformat.NotebookNode]:
        """The next statements, as far as all that they call is defined by the end of this section."""
        self.missing -= defined(section).keys()
        cells = []
        while self.left and not self.missing & self.reach(self.left[0][1]):
            cells.append(new_code_cell(self.left.pop(0)[0]))
        return cells

    def reach(self, used: set[str]) -> set[str]:
        """Names, and all that their definitions use in turn."""
        more = set().union(*(self.uses.get(name, set()) for name in used)) - used
        return self.reach(used | more) if more else used


def taken_apart(node: ast.stmt, source: Script) -> list[tuple[str, set[str]]]:
    """A statement of main() as cells, each with the names that it uses; a `with` opens its run and goes on."""
    if isinstance(node, ast.If) and any(isinstance(part, ast.Return) for part in ast.walk(node)):
        return []  # another way of using the script, such as --image
    if isinstance(node, ast.With):
        opened = OPEN.format(frame=ast.unparse(node.items[0].context_expr)).strip()
        return [(opened, names(node.items[0])), *(step for part in node.body for step in taken_apart(part, source))]
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "parse":
        return [(f"{ast.unparse(node)[:-1]}, argv)", names(node))]
    return [(textwrap.dedent(source.lines(node.lineno, node.end_lineno)), names(node))]


def names(node: ast.AST) -> set[str]:
    """The names that a piece of code reads and does not set itself."""
    parts = list(ast.walk(node))
    read = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
    set_here = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    return read - set_here - {part.arg for part in parts if isinstance(part, ast.arg)}


def defined(section: Section) -> dict[str, set[str]]:
    """The names that a section defines, each with those that its definition uses."""
    found = {}
    for node in (node for piece in section.pieces for node in piece.nodes):
        targets = node.targets if isinstance(node, ast.Assign) else [node]
        for target in targets:
            name = getattr(target, "name", getattr(target, "id", None))
            found |= {name: names(node)} if name else {}
    return found


if __name__ == "__main__":
    sys.exit(main())
