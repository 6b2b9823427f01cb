"""A chapter: a script in its sections, each figure and table beside the code that draws it, and the run's numbers."""

import re
from pathlib import Path

from docs import evidence, script
from docs.evidence import Evidence, number
from docs.markdown import ROOT, directive, figure, include, moved, table
from docs.script import Piece, Script, Section
from tutorials.tools.run_all import Program

ANSWERS = {  # where each study's answers begin in ANSWERS.md
    "linear": "## Assignment 1",
    "fully-connected": "## FullyConnectedNets",
    "initialization": "### Initialization",
    "batchnorm": "## BatchNormalization",
    "dropout": "## Dropout",
    "captioning": "## Captioning",
    "vision-transformer": "## Vision transformer",
    "diffusion": "## Diffusion and SimCLR",
}


class Chapter:
    """One tutorial or study, for a page in `folder`."""

    def __init__(self, program: Program, source: Script, folder: Path, runs: Path) -> None:
        self.program, self.source, self.folder = program, source, folder
        self.found: Evidence = evidence.gather(program.target, runs)
        self.tables, self.tables_of = self.found.tables()
        self.helpers = [script.read(path) for path in script.imported(source.path)]
        self.drawn = self.assign()

    def parts(self, links: str) -> list[str]:
        """The page, part by part; `links` lead to the ideas."""
        source, target = self.source, self.program.target
        begin = [f"(chapter-{target})=", f"# {source.title}", source.about, links, *self.results()]
        contents = [
            "## The script at a glance",
            "It begins with what a user can choose, and with the published figures:",
        ]
        contents += self.pieces(source, source.before)
        contents += [
            "`main()` is its table of contents:",
            self.code(source, source.main.lineno, source.main.end_lineno),
        ]
        sections = []
        for count, section in enumerate(source.sections, 1):
            title = section.title or "Functions"
            sections += [
                f"(chapter-{target}-{count})=",
                f"## {title[0].upper()}{title[1:]}",
                *self.pieces(source, section),
            ]
        return [*begin, *contents, *sections, *self.elsewhere(), *self.answers()]

    def results(self) -> list[str]:
        target, found = self.program.target, self.found
        facts = found.facts() + ([f"The figures are of {found.source()}."] if found.figures else [])
        if found.drawn is None:
            facts.append(f"There is no run with figures here yet: `make {target}` makes one on generated data, "
                        f"`make {target} DATA=official` one on the real data; then `make book` again.")  # fmt: skip
        elif found.drawn["data"] == "tiny":
            facts.append(f"On the real data: `make {target} DATA=official`, then `make book` again.")
        return ["## Results", found.metrics_table(), "\n".join(f"- {line}" for line in facts)]

    # Which piece of code draws what

    def assign(self) -> dict[int, list[str]]:
        """The names of figures and tables by the piece that makes them: one that hands a name to `run.figure` or
        `study.table`, or else one that has the name among its texts; the script's own pieces before its helpers'."""
        own = [piece for section in self.source.sections for piece in section.pieces]
        others = [piece for helper in self.helpers for one in helper.all_sections() for piece in one.pieces]
        ways = [(piece, getattr(piece, way)) for way in ("calls", "mentions") for piece in (*own, *others)]
        drawn: dict[int, list[str]] = {}
        for name in [*self.found.figures, *self.tables]:
            maker = next((piece for piece, names in ways if names.fullmatch(name)), own[-1])
            drawn.setdefault(id(maker), [])
            drawn[id(maker)] += [name] * (name not in drawn[id(maker)])
        return drawn

    def pieces(self, source: Script, section: Section) -> list[str]:
        """A section's code, broken off after each piece that draws something, with what it draws."""
        parts, first = [], None
        for piece in section.pieces:
            first = first or piece.first
            if id(piece) in self.drawn or piece is section.pieces[-1]:
                parts += [self.code(source, first, piece.last), *self.show(source, piece)]
                first = None
        return parts

    def show(self, source: Script, piece: Piece) -> list[str]:
        """What a piece draws, in the order of its lines."""
        text, parts = source.lines(piece.first, piece.last), []
        for name in sorted(self.drawn.get(id(piece), []), key=lambda name: text.find(f'"{name}"') % len(text)):
            parts += [self.figure(name)] if name in self.found.figures else []
            parts += [self.table(name)] if name in self.tables else []
        return parts

    def elsewhere(self) -> list[str]:
        """What the script's helpers draw, with the functions that do."""
        parts = []
        for helper in self.helpers:
            pieces = [piece for one in helper.all_sections() for piece in one.pieces if id(piece) in self.drawn]
            if pieces:
                parts += [f"## Drawn by {helper.path.name}"]
                for piece in pieces:
                    parts += [self.code(helper, piece.first, piece.last), *self.show(helper, piece)]
        return parts

    # The forms

    def code(self, source: Script, first: int, last: int) -> str:
        return include(source.path, self.folder, f":lines: {first}-{last}")

    def figure(self, name: str) -> str:
        caption = f"{name.replace('_', ' ')}: {self.found.source()}"
        return figure(self.found.figures[name], self.folder, caption[0].upper() + caption[1:])

    def table(self, name: str) -> str:
        content = self.tables[name]
        rows = [[number(cell) for cell in row] for row in content["rows"]]
        caption = f"{name.replace('_', ' ')}: {self.tables_of}"
        return directive("table", caption[0].upper() + caption[1:], ["", table(content["head"], rows), ""])

    def answers(self) -> list[str]:
        """The chapter's part of ANSWERS.md."""
        if self.program.target not in ANSWERS:
            return []
        title = ANSWERS[self.program.target]
        text = moved(ROOT / "from_scratch/ANSWERS.md", self.folder)
        level = title.count("#")
        first, *lines = text[text.index(f"\n{title}") + 1 :].splitlines()
        end = next((n for n, line in enumerate(lines) if re.match(rf"#{{2,{level}}} ", line)), len(lines))
        return ["## Answers", first if level == 3 else "", "\n".join(lines[:end])]
