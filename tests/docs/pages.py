"""What the book's chapters and lessons are held against."""

import re
from functools import cache

from docs.markdown import ROOT

TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


@cache
def words_of_the_code() -> set[str]:
    """Every name that the code says."""
    files = [path for folder in ("from_scratch", "tutorials", "data") for path in (ROOT / folder).rglob("*.py")]
    return set(re.findall(r"\w+", " ".join(path.read_text(encoding="utf-8") for path in files)))


def code_in(text: str) -> list[str]:
    return re.findall(r"(?<!`)`([^`]+)`(?!`)", text)


def answered(questions: str) -> int:
    """How many numbered questions there are, each with an answer to open."""
    answer = r"^(\d)\. .*?^   <details>\n   <summary>Answer</summary>\n\n   \S.*?\n\n   </details>$"
    numbers = re.findall(answer, questions, re.M | re.S)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    return len(numbers)
