"""The few forms of MyST Markdown that the book's pages are made of."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PICTURE = re.compile(r"!\[([^\]]*)\]\((?!https?:)([^)]+)\)")  # of the repository: its text, its path


def directive(name: str, argument: str, lines: list[str]) -> str:
    body = "".join(f"{line}\n" for line in lines)
    return f"```{{{name}}} {argument}\n{body}```"


def relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def include(path: Path, folder: Path, which: str, *options: str) -> str:
    """Code of a file, for a page in `folder`: ":lines: 3-9" or ":pyobject: relu_forward"."""
    return directive("literalinclude", relative(path, folder), [":language: python", which, *options])


def figure(path: Path, folder: Path, caption: str, alt: str) -> str:
    return directive("figure", relative(path, folder), [f":alt: {alt}", "", caption])


def toctree(caption: str, names: list[str], *options: str) -> str:
    return directive("toctree", "", [f":caption: {caption}", ":maxdepth: 1", *options, "", *names])


def moved(path: Path, folder: Path) -> str:
    """A file of Markdown for a page in `folder`, where its pictures are found as well."""
    text = path.read_text(encoding="utf-8")
    return PICTURE.sub(lambda found: f"![{found[1]}]({relative(path.parent / found[2], folder)})", text)


def readme(path: Path, folder: Path) -> str:
    """A README for a page in `folder`: pictures are found, the READMEs' links to one another become links between the
    book's front pages, and those to other files of the repository plain text."""
    text = moved(path, folder)
    pages = {"README": "index", "docs/how-to-run": "readme", "docs/several-hosts": "several-hosts"}
    for file, page in pages.items():
        text = re.sub(rf"\]\((?:\.\./)?{file}(\.ko)?\.md\)", rf"]({page}\1.md)", text)
    return re.sub(r"(?<!!)\[([^\]]*)\]\((?!https?:|#|index|readme|several|dashboards)[^)]*\)", r"\1", text)


def table(head: list[str], rows: list[list[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
