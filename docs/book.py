"""`make book`: write the study book's pages from the scripts and their runs, and let Sphinx make a site of them.

The code is included from the scripts, the numbers come from `summary.json` and docs/results, the figures from
docs/figures and the run folders; what has not been run yet is said so, with the command that runs it.
"""

import argparse
import inspect
import re
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from docs import ideas, lesson, script
from docs.chapter import Chapter
from docs.evidence import many
from docs.ideas import IDEAS, Idea
from docs.markdown import ROOT, include, readme, relative, table, toctree
from tutorials.tools.run_all import PROGRAMS

TUTORIALS = [program.target for program in PROGRAMS if program.module.startswith("tutorials.")]
BY_HAND = [program.target for program in PROGRAMS if program.target not in TUTORIALS]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the folder of run folders")
    parser.add_argument("--out", type=Path, default=Path("runs/book"), help="where the site goes")
    options, more = parser.parse_known_args(argv)
    pages = options.out.resolve() / ".pages"
    Book(pages, options.runs.resolve()).write()
    doctrees = str(options.out / ".doctrees")
    code = build_main(["-q", "-c", str(ROOT / "docs"), "-d", doctrees, *more, str(pages), str(options.out)])
    if code == 0:
        print(f"the study book is in {options.out / 'index.html'}")
    return code


class Book:
    """The pages of one book, as MyST Markdown in a folder of their own."""

    def __init__(self, pages: Path, runs: Path) -> None:
        self.pages, self.runs, self.written = pages, runs, set()
        self.scripts = {program.target: script.read(script.module(program.module)) for program in PROGRAMS}
        self.ideas = {target: ideas.used_by_hand(self.scripts[target].path) for target in BY_HAND}
        self.ideas |= {target: [idea for idea in IDEAS if ideas.uses(idea, self.scripts[target])]
                       for target in TUTORIALS}  # fmt: skip

    def write(self) -> None:
        for program in PROGRAMS:
            chapter = Chapter(program, self.scripts[program.target], self.pages / "chapters", self.runs)
            self.page(f"chapters/{program.target}", chapter.parts(self.ideas_of(program.target)))
        for idea in IDEAS:
            self.page(f"ideas/{idea.page}", self.idea(idea))
        self.page("ideas/index", self.index_of_ideas())
        self.page("parity", self.parity())
        self.page("several-hosts", [(ROOT / "docs/several-hosts.md").read_text(encoding="utf-8")])
        self.page("dashboards", [(ROOT / "docs/dashboards.md").read_text(encoding="utf-8")])
        self.page("readme", [readme(ROOT / "docs/how-to-run.md", self.pages)])
        self.page("readme.ko", [readme(ROOT / "docs/how-to-run.ko.md", self.pages)])
        self.page("index.ko", [readme(ROOT / "README.ko.md", self.pages)])
        self.page("index", self.front())
        for path in set(self.pages.rglob("*.md")) - self.written:
            path.unlink()

    def page(self, name: str, parts: list[str]) -> None:
        """Write a page unless it says the same already: Sphinx reads only what is new."""
        path, text = self.pages / f"{name}.md", "\n\n".join(part for part in parts if part) + "\n"
        self.written.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")

    def front(self) -> list[str]:
        """The README's beginning and its results, and the contents between them."""
        text = readme(ROOT / "README.md", self.pages)
        results = re.search(r"^## Results\n.*?(?=^## )", text, re.M | re.S)
        return [
            text.partition("\n## ")[0],
            "## Contents",
            toctree(
                "Start here",
                [
                    "ideas/index",
                    "How to run it <readme>",
                    "dashboards",
                    "several-hosts",
                    "한국어 <index.ko>",
                    "실행 방법 <readme.ko>",
                ],
            ),
            toctree("Tutorials, in torch", [f"chapters/{target}" for target in TUTORIALS]),
            toctree("Checked against PyTorch", ["parity"]),
            toctree("By hand, in NumPy", [f"chapters/{target}" for target in BY_HAND]),
            results.group() if results else "",
        ]

    def parity(self) -> list[str]:
        """The parity report, as it was written."""
        report = self.runs / "parity/parity.md"
        if not report.exists():
            notice = "There is no report here yet: `make parity-report` checks every hand-written function against"
            return ["(parity)=", "# Checked against PyTorch", f"{notice} PyTorch and writes it; then `make book`."]
        figures = relative(report.parent / "figures", self.pages)
        text = report.read_text(encoding="utf-8").replace("](figures/", f"]({figures}/")
        return ["(parity)=", text, "The same by idea: [index of ideas](#ideas)."]

    # Ideas, each in three places

    def ideas_of(self, target: str) -> str:
        links = ", ".join(f"[{idea.name}](#{idea.label})" for idea in self.ideas[target])
        return f"[Ideas](#ideas) used here: {links}." if links else ""

    def chapters(self, idea: Idea, targets: list[str]) -> list[str]:
        return [f"[{target}](#chapter-{target})" for target in targets if idea in self.ideas[target]]

    def index_of_ideas(self) -> list[str]:
        rows = []
        for idea in IDEAS:
            hand = ", ".join(f"`{file}`" for file in idea.files())
            proved = len(ideas.cases(idea))
            cases = f"[{many(proved, 'case')}](#{idea.label}-parity)" if proved else ""
            links = [", ".join(self.chapters(idea, targets)) for targets in (BY_HAND, TUTORIALS)]
            rows.append([f"[{idea.name}](#{idea.label})", hand, links[0], cases, links[1]])
        return [
            "(ideas)=",
            "# Index of ideas",
            "Each page has a question, a picture, the formula, its gradient step by step, what goes wrong, and three "
            "exercises. The idea itself stands in three places: by hand in NumPy, checked against torch number by "
            "number, and used in torch on real data. A few, such as beam search, only the tutorials have.",
            table(["idea", "by hand in", "experiments", "parity", "in torch"], rows),
            toctree("Ideas", [idea.page for idea in IDEAS], ":hidden:"),
        ]

    def idea(self, idea: Idea) -> list[str]:
        """The idea's lesson, and what the scripts and the runs say of it at the marked places."""
        parts = {
            "by hand": lambda names: self.by_hand(idea, names),
            "parity": lambda _: self.checked(idea),
            "in torch": lambda _: self.in_torch(idea),
            "used": lambda _: self.used(idea),
            "code": self.code,
        }
        text = lesson.fill(lesson.text(idea.page), parts, idea.page, self.pages / "ideas")
        return [f"({idea.label})=", f"# {idea.name}", text]

    def by_hand(self, idea: Idea, names: list[str]) -> list[str]:
        """The functions of those names, helpers of theirs among them, and the idea's others folded; without names all
        of them, file by file."""
        places, folder = ideas.places(idea), self.pages / "ideas"
        if not names:
            parts = []
            for path, name, new in places:
                parts += [f"### {path.name}"] if new else []
                parts.append(include(path, folder, f":pyobject: {name}"))
            return parts
        mine = {(path, name): name.rpartition(".")[2] for path, name, _ in places}
        helpers = {(places[0][0], name): name for name in names if name not in idea.things()}
        shown = [next(one for one, short in (mine | helpers).items() if short == name) for name in names]
        code = {(path, name): include(path, folder, f":pyobject: {name}", f":caption: {path.name}")
                for path, name in mine | helpers}  # fmt: skip
        folded = lesson.fold("The rest of the code", [text for one, text in code.items() if one not in shown])
        return [code[one] for one in shown] + folded

    def code(self, names: list[str]) -> list[str]:
        """Functions or classes of a tutorial's module: its path, and their names."""
        path = ROOT / names[0]
        return [include(path, self.pages / "ideas", f":pyobject: {name}", f":caption: {path.name}")
                for name in names[1:]]  # fmt: skip

    def used(self, idea: Idea) -> list[str]:
        places = {"In torch": self.chapters(idea, TUTORIALS), "Experiments": self.chapters(idea, BY_HAND)}
        return [f"{place}: {', '.join(chapters)}." for place, chapters in places.items() if chapters]

    def checked(self, idea: Idea) -> list[str]:
        report = self.runs / "parity/parity.md"
        measured = ideas.parity_rows(idea, report) if report.exists() else "Their figures: `make parity-report`."
        return [
            f"({idea.label}-parity)=",
            f"Cases: {', '.join(f'`{name}`' for name in ideas.cases(idea))}.",
            measured,
            "More about them: [the parity report](#parity).",
        ]

    def in_torch(self, idea: Idea) -> list[str]:
        torch = [f"[{source.title}: {section.title}](#chapter-{target}-{source.sections.index(section) + 1}):\n\n"
                 f"```python\n{line}\n```"
                 for target in TUTORIALS for source in [self.scripts[target]]
                 for section, line in ideas.uses(idea, source)]  # fmt: skip
        return torch or ["No tutorial uses it. In torch it stands among the references of its cases:", *(
            include(Path(inspect.getsourcefile(net)), self.pages / "ideas", f":pyobject: {net.__name__}")
            for net in ideas.references(idea))]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
