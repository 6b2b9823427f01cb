"""A script in pieces: what the book shows, and what the notebooks run."""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from docs.markdown import ROOT


@dataclass
class Piece:
    """One definition of a script with the comment above it, or a row of plain statements."""

    first: int  # line numbers, from 1
    last: int
    nodes: list[ast.stmt]

    @cached_property
    def calls(self) -> re.Pattern:
        """A pattern of the names that the piece gives to figures and tables: run.figure("curves", …)."""
        nodes = [node for part in self.nodes for node in ast.walk(part) if isinstance(node, ast.Call)]
        named = [node.args[0] for node in nodes if getattr(node.func, "attr", "") in ("figure", "table") and node.args]
        return pattern(named)

    @cached_property
    def mentions(self) -> re.Pattern:
        """A pattern of every text in the piece."""
        return pattern(self.nodes)


@dataclass
class Section:
    """Pieces under one title, which is a comment that stands alone, with a blank line before and after it."""

    title: str
    pieces: list[Piece] = field(default_factory=list)


@dataclass
class Script:
    """A module in its order: docstring, what stands before main(), main() itself, and the sections after it."""

    path: Path
    title: str
    before: Section
    main: ast.FunctionDef | None
    sections: list[Section]

    def lines(self, first: int, last: int) -> str:
        return "\n".join(self.path.read_text(encoding="utf-8").splitlines()[first - 1 : last])

    def all_sections(self) -> list[Section]:
        return [self.before, *self.sections]

    def text(self, section: Section) -> str:
        return "\n\n".join(self.lines(piece.first, piece.last) for piece in section.pieces)


@cache
def read(path: Path) -> Script:
    """Read a tutorial, a study or a module of theirs."""
    text = path.read_text(encoding="utf-8")
    lines, tree = ["", *text.splitlines(), ""], ast.parse(text)
    summary = (ast.get_docstring(tree) or path.stem).partition("\n\n")[0]
    sections, main = [Section("")], None
    for node in tree.body[1:]:
        if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            main = node
            sections.append(Section(""))
            continue
        first = above(lines, min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))]))
        title = lone_comment(lines, first) if main else ""
        if title:
            sections.append(Section(title))
        pieces = sections[-1].pieces
        if pieces and not title and plain(node) and plain(pieces[-1].nodes[-1]):
            pieces[-1].nodes.append(node)
            pieces[-1].last = node.end_lineno
        else:
            pieces.append(Piece(first, node.end_lineno, [node]))
    title = " ".join(summary.split()).partition(": ")[0].rstrip(".")
    return Script(path, title, sections[0], main, [one for one in sections[1:] if one.pieces])


def plain(node: ast.stmt) -> bool:
    return not isinstance(node, ast.FunctionDef | ast.ClassDef)


def above(lines: list[str], line: int) -> int:
    """The first line of the comment directly above a line."""
    while lines[line - 1].startswith("#"):
        line -= 1
    return line


def lone_comment(lines: list[str], line: int) -> str:
    """The title between this piece and the one before it, if there is one."""
    line -= 1
    while line and not lines[line].strip():
        line -= 1
    alone = lines[line].startswith("# ") and not lines[line - 1].strip() and not lines[line + 1].strip()
    return lines[line][2:] if alone else ""


def pattern(nodes: Iterable[ast.AST]) -> re.Pattern:
    """A pattern that matches each text below the nodes; what an f-string puts in may be anything."""
    found = set()
    for node in (one for part in nodes for one in ast.walk(part)):
        if isinstance(node, ast.JoinedStr):
            parts = [re.escape(one.value) if isinstance(one, ast.Constant) else ".+" for one in node.values]
            found.add("".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(re.escape(node.value))
    return re.compile("|".join(one for one in sorted(found) if len(one.replace(".+", "")) > 2) or "(?!)")


def module(name: str) -> Path:
    return ROOT / f"{name.replace('.', '/')}.py"


@cache
def imported(path: Path) -> list[Path]:
    """The modules of tutorials and studies that a script imports."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith(("tutorials.", "from_scratch.studies")):
            found += [module(node.module), *(module(f"{node.module}.{alias.name}") for alias in node.names)]
    return [one for one in dict.fromkeys(found) if one.is_file()]
