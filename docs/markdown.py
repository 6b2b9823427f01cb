"""The few forms of MyST Markdown that the book's pages are made of."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def directive(name: str, argument: str, lines: list[str]) -> str:
    body = "".join(f"{line}\n" for line in lines)
    return f"```{{{name}}} {argument}\n{body}```"


def relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def include(path: Path, folder: Path, which: str, *options: str) -> str:
    """Code of a file, for a page in `folder`: ":lines: 3-9" or ":pyobject: relu_forward"."""
    return directive("literalinclude", relative(path, folder), [":language: python", which, *options])


def figure(path: Path, folder: Path, caption: str, alt: str = "") -> str:
    return directive("figure", relative(path, folder), [f":alt: {alt or caption}", "", caption])


def toctree(caption: str, names: list[str], *options: str) -> str:
    return directive("toctree", "", [f":caption: {caption}", ":maxdepth: 1", *options, "", *names])


def readme(path: Path, folder: Path) -> str:
    """A README for a page in `folder`: pictures are found, the READMEs' links to one another become links between the
    book's front pages, and those to other files of the repository plain text."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(
        r"!\[([^\]]*)\]\((?!https?:)([^)]+)\)", lambda m: f"![{m[1]}]({relative(path.parent / m[2], folder)})", text
    )
    pages = {"README": "index", "docs/how-to-run": "readme", "docs/several-hosts": "several-hosts"}
    for file, page in pages.items():
        text = re.sub(rf"\]\((?:\.\./)?{file}(\.ko)?\.md\)", rf"]({page}\1.md)", text)
    return re.sub(r"(?<!!)\[([^\]]*)\]\((?!https?:|#|index|readme|several)[^)]*\)", r"\1", text)


def table(head: list[str], rows: list[list[str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
