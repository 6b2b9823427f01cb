"""The texts of docs/lessons: what stands at their marked places is drawn and generated when the book is made."""

import re
from collections.abc import Callable
from itertools import count
from pathlib import Path

from docs import diagram
from docs.markdown import ROOT, figure

LESSONS = ROOT / "docs/lessons"
BLOCK = re.compile(r"^```\{(flow|curves)\} (.*?)\n(.*?)^```$", re.M | re.S)
MARK = re.compile(r"^\{\{([a-z ]+)(?:: (.*))?\}\}$", re.M)


def text(page: str) -> str:
    """The lesson of an idea's page."""
    return (LESSONS / f"{page}.md").read_text(encoding="utf-8")


def fill(lesson: str, parts: dict[str, Callable[[list[str]], list[str]]], page: str, folder: Path) -> str:
    """Put in for each mark what its part says, given the names behind the colon, and for each drawing its figure.

    Raises ValueError for a mark without a part.
    """

    numbers = count(1)

    def generated(mark: re.Match) -> str:
        if mark[1] not in parts:
            raise ValueError(f"docs/lessons/{page}.md: {mark[0]} is none of {', '.join(parts)}")
        return "\n\n".join(part for part in parts[mark[1]]((mark[2] or "").split()) if part)

    def drawn(block: re.Match) -> str:
        path = folder / "figures" / f"{page}-{next(numbers)}.svg"
        alt, caption = diagram.draw(block[1], block[2], block[3].splitlines(), path)
        return figure(path, folder, caption, alt)

    return BLOCK.sub(drawn, MARK.sub(generated, lesson))


def fold(summary: str, parts: list[str]) -> list[str]:
    """Parts that a reader opens; they may hold no headings."""
    return [f"<details>\n<summary>{summary}</summary>", *parts, "</details>"] if parts else []
