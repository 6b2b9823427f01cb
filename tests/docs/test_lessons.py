"""The lessons: short, complete, and true, as far as a machine can say: each one's code compares NumPy with torch."""

import json
import re
from functools import cache, reduce

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch

pytest.importorskip("sphinx", reason="needs the packages of make book")

from docs import book, diagram, ideas, lesson
from docs.evidence import RESULTS
from tests.docs.pages import TARGETS, answered, code_in, words_of_the_code

PAGES = sorted(path.stem for path in lesson.LESSONS.glob("*.md"))
HEADINGS = ["The picture", "The formula", "By hand, in NumPy", "In torch", "Checked against PyTorch", "What goes wrong",
            "Exercises", "Where it is used", "Sources"]  # fmt: skip
BY_HAND = ("By hand, in NumPy", "Checked against PyTorch")  # what an idea lacks that only the tutorials have
KNOWN = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "np": np}


@cache
def tables() -> set[str]:
    results = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*-official-study-seed0.json")]
    return {name for one in results for name in one.get("tables", {})}


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def test_every_idea_has_a_lesson():
    assert sorted(idea.page for idea in ideas.IDEAS) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_a_lesson_is_short_and_has_all_its_parts(page):
    text = lesson.text(page)
    assert len(prose(text).split()) <= 1200
    by_hand = bool(next(idea for idea in ideas.IDEAS if idea.page == page).things())
    headings = [title for title in HEADINGS if by_hand or title not in BY_HAND]
    assert [title for title in re.findall(r"^## (.*)", text, re.M) if title in HEADINGS] == headings
    assert len(re.findall(r"^## ", text, re.M)) == len(headings) + 1  # the derivation has a title of its own
    marks = {"by hand", "parity"} if by_hand else {"code"}
    assert {mark[0] for mark in lesson.MARK.findall(text)} == marks | {"in torch", "used"}
    assert text.count("\n$$\n") >= 4 and lesson.BLOCK.search(text)
    exercises = text.partition("## Exercises")[2].partition("## Where")[0]
    assert answered(exercises) == 3
    assert len(re.findall(r"^- .*\]\(https?://", text.partition("## Sources")[2], re.M)) >= 3


@pytest.mark.parametrize("page", PAGES)
def test_a_lesson_names_only_what_there_is(page):
    text = prose(lesson.text(page))
    for name in code_in(text):
        if re.fullmatch(r"(torch|nn|F|np)(\.\w+)+", name):
            first, *rest = name.split(".")
            assert reduce(getattr, rest, KNOWN[first]), name
        elif re.fullmatch(r"[A-Za-z_]+_\w+", name):
            assert name in words_of_the_code() | tables() | set(dir(torch.nn.utils)) | set(dir(torch.nn.Module)), name
        elif name.startswith("make "):
            assert name.split()[1] in TARGETS, name
    assert set(re.findall(r"\btable\s`([^`]+)`", text)) <= tables()


@pytest.mark.parametrize("page", PAGES)
def test_a_lessons_code_holds(page):
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", lesson.text(page), re.M | re.S))
    assert "assert" in code
    torch.manual_seed(0)
    np.random.seed(0)
    exec(compile(code, f"docs/lessons/{page}.md", "exec"), {})


def test_the_parts_of_a_lesson_are_put_in(tmp_path):
    parts = {name: lambda names, name=name: [f"{name} {names}"] for name in ("used", "by hand")}
    assert lesson.fill("{{used}}\n\n{{by hand: f g}}\n", parts, "page", tmp_path) == "used []\n\nby hand ['f', 'g']\n"
    code = "\n".join(book.Book(tmp_path, tmp_path).by_hand(ideas.IDEAS[0], []))
    assert all(f":pyobject: {name}\n" in code for name in ideas.IDEAS[0].things()) and "### convolution.py" in code
    with pytest.raises(ValueError, match=r"page\.md: \{\{by foot: f g\}\} is none of used, by hand"):
        lesson.fill("{{by foot: f g}}", parts, "page", tmp_path)


def test_a_flow_is_drawn_and_described(tmp_path):
    lines = ["x: (N, E)", "> f <- w: (E, E)", "y: (N, E)", "> add <- x", "out: (N, E)"]
    alt, caption = diagram.draw("flow", "A bypass", lines, tmp_path / "flow.svg")
    assert alt == "A bypass: x: (N, E) → f, with w: (E, E) → y: (N, E) → add, with x → out: (N, E)"
    first = (tmp_path / "flow.svg").read_bytes()
    assert caption == "A bypass" and b"<svg" in first
    diagram.draw("flow", "A bypass", lines, tmp_path / "flow.svg")
    assert (tmp_path / "flow.svg").read_bytes() == first  # Sphinx reads only what is new
    with pytest.raises(KeyError, match="z"):
        diagram.draw("flow", "", ["x: (N,)", "> add <- z"], tmp_path / "flow.svg")


@pytest.mark.parametrize("page", PAGES)
def test_what_is_written_in_a_box_fits_into_it(page):
    flows = [block for block in lesson.BLOCK.finditer(lesson.text(page)) if block[1] == "flow"]
    assert flows
    for block in flows:
        figure, _, _ = diagram.flow(block[2], block[3].splitlines())
        axes, renderer = figure.axes[0], FigureCanvasAgg(figure).get_renderer()
        boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
        for text, box in zip(axes.texts, boxes, strict=True):
            inner, outer = text.get_window_extent(renderer), box.get_window_extent(renderer)
            assert inner.width < outer.width - 2 and inner.height < outer.height, f"{page}: {text.get_text()}"


def test_curves_show_what_was_measured():
    figure, alt, caption = diagram.curves(
        "fully-connected/step_sizes", ["x: step", "y: adagrad; adam", "axis: size", "scale: x y", "Steps."]
    )
    rows = json.loads((RESULTS / "fully-connected-official-study-seed0.json").read_text())["tables"]["step_sizes"][
        "rows"
    ]
    axes = figure.axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == [[row[1] for row in rows], [row[3] for row in rows]]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert alt == "Steps. Curves: adagrad, adam." and caption == "Steps. (`make fully-connected DATA=official`)"
    figure, _, _ = diagram.curves("dropout/widths", ["across: keep", "axis: accuracy", "Widths."])
    assert [list(line.get_xdata()) for line in figure.axes[0].lines] == [[0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0]] * 4
    with pytest.raises(ValueError, match="steps"):
        diagram.curves("fully-connected/step_sizes", ["x: steps", "y: adam", "axis: size", "Steps."])
