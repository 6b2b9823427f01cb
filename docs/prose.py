"""The prose of a chapter, docs/chapters/<target>.md, for the study book and for the notebooks.

What stands before the first heading opens the chapter. Under `## <title>` stands what is read before the code of that
section of the script; under `### figure: <name>` and `### table: <name>` what there is to see; `## Questions` is last.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from docs.markdown import ROOT

CHAPTERS = ROOT / "docs/chapters"
NOTE = re.compile(r"### (?:figure|table): (\S.*)")


@dataclass
class Part:
    """The text of a section, and by name what to see in the figures and tables that are described below it."""

    text: str
    notes: dict[str, str] = field(default_factory=dict)


@dataclass
class Prose:
    """A chapter's text: its opening, its sections by title, and its questions."""

    path: Path
    opening: Part
    sections: dict[str, Part] = field(default_factory=dict)
    questions: str = ""

    def section(self, title: str) -> Part:
        return self.sections.get(title, Part(""))

    def notes(self) -> dict[str, str]:
        return {name: note for part in (self.opening, *self.sections.values()) for name, note in part.notes.items()}

    def check(self, titles: list[str], makes: Callable[[str], object] = bool) -> None:
        """Raise ValueError for a section that the script lacks, and for a figure or table that nothing makes."""
        if lost := [title for title in self.sections if title not in titles]:
            raise ValueError(f"{self.path}: the script has no section '{lost[0]}', only {', '.join(titles)}")
        if lost := [name for name in self.notes() if not makes(name)]:
            raise ValueError(f"{self.path}: neither the code nor a run makes the figure or table '{lost[0]}'")


def read(path: Path) -> Prose:
    """The prose of a file; empty where nobody has written one yet. Raises ValueError for a heading of another form."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    opening, *rest = re.split(r"^(##+ .*)$", text, flags=re.M)
    found = Prose(path, Part(opening.strip()))
    part = found.opening
    for heading, body in zip(rest[::2], map(str.strip, rest[1::2]), strict=True):
        title = heading.removeprefix("## ")
        if found.questions or title in found.sections:
            raise ValueError(f"{path}: '{heading}' stands twice, or after the questions")
        if note := NOTE.fullmatch(heading):
            part.notes[note[1]] = " ".join(body.split())
        elif heading.startswith("###"):
            raise ValueError(f"{path}: '{heading}' should be '### figure: <name>' or '### table: <name>'")
        elif title == "Questions":
            found.questions = body
        else:
            part = found.sections[title] = Part(body)
    return found


def of(target: str) -> Prose:
    return read(CHAPTERS / f"{target}.md")


def outside_the_book(text: str) -> str:
    """The text without the links to other pages of the book."""
    return re.sub(r"\[([^\]]*)\]\(#[^)]*\)", r"\1", text)
