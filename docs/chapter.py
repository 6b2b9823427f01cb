"""A chapter: a script in its sections, each with its prose, its figures and tables, and the run's numbers."""

import re
from pathlib import Path

from docs import evidence, prose, script
from docs.evidence import Evidence, number
from docs.lesson import fold
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
        self.prose = prose.of(program.target)
        self.prose.check([section.title for section in source.sections], self.makes)
        self.drawn, self.described = self.assign()

    def parts(self, links: str) -> list[str]:
        """The page, part by part; `links` lead to the ideas."""
        source, target = self.source, self.program.target
        opening = self.prose.opening.text
        glance = [
            "## The script at a glance",
            "`main()` is its table of contents:",
            self.code(source, source.main.lineno, source.main.end_lineno),
            *fold("Its imports, options, recipes and published figures", self.pieces(source, source.before)),
        ]
        sections = []
        for count, section in enumerate(source.sections, 1):
            title = section.title or "Functions"
            sections += [
                f"(chapter-{target}-{count})=",
                f"## {title[0].upper()}{title[1:]}",
                self.prose.section(section.title).text,
                *self.pieces(source, section),
                *self.below(section.title),
            ]
        questions = ["## Questions", self.prose.questions] if self.prose.questions else []
        begin = [f"(chapter-{target})=", f"# {source.title}", opening, links, *self.results()]
        return [*begin, *glance, *sections, *self.elsewhere(), *self.answers(), *questions]

    def results(self) -> list[str]:
        target, found = self.program.target, self.found
        facts = found.facts() + ([f"The figures are of {found.source()}."] if found.figures else [])
        missing = ""
        if found.drawn is None:
            missing = (f"There is no run with figures here yet: `make {target}` makes one on generated data, "
                       f"`make {target} DATA=official` one on the real data; then `make book` again.")  # fmt: skip
        elif found.drawn["data"] == "tiny":
            missing = f"On the real data: `make {target} DATA=official`, then `make book` again."
        listed = ["\n".join(f"- {line}" for line in facts)] if facts else []
        return ["## Results", found.metrics_table(), *fold("Device, time and versions", listed), missing]

    # Which piece of code draws what

    def assign(self) -> tuple[dict[int, list[str]], set[str]]:
        """The names of figures and tables by the piece that makes them; and those that are shown at the end of a
        section, because its prose describes them and a helper, or main() itself, makes them."""
        own = [id(piece) for section in self.source.sections for piece in section.pieces]
        drawn: dict[int, list[str]] = {}
        described: set[str] = set()
        for name in dict.fromkeys([*self.found.figures, *self.tables]):
            maker = self.maker(name)
            place = id(maker[1]) if maker else own[-1]
            if any(name in part.notes for part in self.prose.sections.values()) and not (maker and place in own):
                described.add(name)
            else:
                drawn.setdefault(place, []).append(name)
        return drawn, described

    def maker(self, name: str) -> tuple[Script, Piece] | None:
        """The piece that hands a name to `run.figure` or `study.table`, or else one that has the name among its texts;
        the script's own pieces before its helpers'."""
        own = [(self.source, piece) for section in self.source.sections for piece in section.pieces]
        others = [(helper, piece) for helper in self.helpers for one in helper.all_sections() for piece in one.pieces]
        ways = ((place, getattr(place[1], way)) for way in ("calls", "mentions") for place in (*own, *others))
        return next((place for place, names in ways if names.fullmatch(name)), None)

    def makes(self, name: str) -> bool:
        """Whether a run has a figure or table of that name, or the code may draw one."""
        main = self.source.main
        in_main = Piece(main.lineno, main.end_lineno, [main]).calls.fullmatch(name)
        return bool(name in self.found.figures or name in self.tables or self.maker(name) or in_main)

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
        text = source.lines(piece.first, piece.last)
        names = sorted(self.drawn.get(id(piece), []), key=lambda name: text.find(f'"{name}"') % len(text))
        return [part for name in names for part in self.shown(name)]

    def shown(self, name: str) -> list[str]:
        forms = ((self.found.figures, self.figure), (self.tables, self.table))
        return [form(name) for names, form in forms if name in names]

    def below(self, title: str) -> list[str]:
        """What a section describes and a helper draws, with the functions that do folded away."""
        names = [name for name in self.prose.section(title).notes if name in self.described]
        makers = filter(None, map(self.maker, names))
        code = dict.fromkeys(self.code(one, piece.first, piece.last) for one, piece in makers)
        return [part for name in names for part in self.shown(name)] + fold("The code that draws them", list(code))

    def elsewhere(self) -> list[str]:
        """What the script's helpers draw, with the functions that do folded away."""
        parts = []
        for helper in self.helpers:
            pieces = [piece for one in helper.all_sections() for piece in one.pieces if id(piece) in self.drawn]
            if pieces:
                parts += [f"## Drawn by {helper.path.name}"]
                for piece in pieces:
                    code = self.code(helper, piece.first, piece.last)
                    parts += [*self.show(helper, piece), *fold("The code that draws it", [code])]
        return parts

    # The forms

    def code(self, source: Script, first: int, last: int) -> str:
        return include(source.path, self.folder, f":lines: {first}-{last}")

    def caption(self, name: str, source: str) -> str:
        """The name, what there is to see, and from which run it is."""
        title, note = f"{name[0].upper()}{name[1:]}".replace("_", " "), self.prose.notes().get(name, "")
        return f"{title}: {note} ({source})" if note else f"{title} ({source})"

    def figure(self, name: str) -> str:
        source = self.found.source()
        alt = f"{name.replace('_', ' ')}, {source}"
        return figure(self.found.figures[name], self.folder, self.caption(name, source), alt[0].upper() + alt[1:])

    def table(self, name: str) -> str:
        content = self.tables[name]
        rows = [[number(cell) for cell in row] for row in content["rows"]]
        return directive("table", self.caption(name, self.tables_of), ["", table(content["head"], rows), ""])

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
