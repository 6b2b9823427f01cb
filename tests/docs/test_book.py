"""The study book, built from two small runs and the committed results: its text, its links, and in a real browser."""

import importlib
import json
import re
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from filelock import FileLock

pytest.importorskip("sphinx", reason="needs the packages of make book")

from comparisons import report
from comparisons.cases import NOTEBOOKS
from comparisons.nets import NET_CASES
from docs import book as generator
from docs import evidence, ideas, lesson, prose, script
from docs.chapter import Chapter
from tests.docs.pages import TARGETS, answered, code_in, words_of_the_code
from tutorials.tools.run_all import PROGRAMS

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
RUN = ("sentiment", "dropout")  # a tutorial and a study that are quick on their twins


@pytest.fixture(scope="session")
def book(tmp_path_factory, worker_id) -> Path:
    """The site; parallel test processes share one."""
    shared = tmp_path_factory.getbasetemp()
    shared = (shared if worker_id == "master" else shared.parent) / "book"
    shared.mkdir(exist_ok=True)
    with FileLock(shared / "lock"):
        if not (shared / "ready").exists():
            build(shared)
            (shared / "ready").touch()
    return shared / "site"


def build(folder: Path) -> None:
    for program in (program for program in PROGRAMS if program.target in RUN):
        with pytest.MonkeyPatch.context() as patch:
            arguments = ["--epochs", "1", "--run-dir", str(folder / "runs/study" / program.target)]
            patch.setattr(sys, "argv", [program.target, *arguments])
            importlib.import_module(program.module).main()
    nets = dict(list(NET_CASES.items())[:1])
    results = report.collect(steps=2, repeats=1, cases=NOTEBOOKS["FullyConnectedNets"][:3], nets=nets)
    report.write(results, folder / "runs/parity")
    arguments = ["--runs", str(folder / "runs"), "--out", str(folder / "site")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Sphinx's extensions about Sphinx; those about our pages are its own kind
        assert generator.main([*arguments, "-W", "--keep-going"]) == 0, "Sphinx has warnings"


class Page(HTMLParser):
    """What a page's links must find: its own anchors, the addresses that it names, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors, self.links, self.pictures, self.words = set(), [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        self.links += [given[name] for name in ("href", "src") if given.get(name)]
        self.pictures += [given] if tag == "img" else []

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="session")
def pages(book) -> dict[str, Page]:
    return {path.relative_to(book).as_posix(): Page(path) for path in sorted(book.rglob("*.html"))}


def test_there_is_a_page_for_everything(pages):
    chapters = {f"chapters/{program.target}.html" for program in PROGRAMS}
    assert chapters | {f"ideas/{idea.page}.html" for idea in ideas.IDEAS} <= pages.keys()
    assert {"index.html", "readme.html", "parity.html", "ideas/index.html", "search.html"} <= pages.keys()


def test_every_link_and_picture_is_there_and_none_is_fetched_from_elsewhere(book, pages):
    for name, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme in ("http", "https", "data"):
                continue
            assert not address.scheme and not address.netloc, f"{name}: {link}"
            target = (book / name).parent / unquote(address.path) if address.path else book / name
            assert target.exists(), f"{name}: {link}"
            if address.fragment and target.suffix == ".html":
                there = pages[target.resolve().relative_to(book.resolve()).as_posix()]
                assert unquote(address.fragment) in there.anchors, f"{name}: {link}"
        assert all(picture.get("alt") for picture in page.pictures), name
        html = (book / name).read_text(encoding="utf-8")
        assert not re.search(r"<(?:link|script|img)[^>]*(?:href|src)=\"(?:https?:)?//", html), name


def test_a_chapter_shows_its_script_its_figures_and_its_numbers(book, pages):
    for target in RUN:
        program = next(program for program in PROGRAMS if program.target == target)
        page, folder = pages[f"chapters/{target}.html"], book.parent / "runs/study" / target
        source = script.read(script.module(program.module))
        for section in source.sections:
            for name in re.findall(r"^(?:def|class) (\w+)", source.text(section), re.M):
                assert re.search(rf"(?:def|class)\s+{name}\b", page.text), f"{target}: {name}"
        shown = {Path(picture["src"]).stem for picture in page.pictures}
        found = evidence.gather(target, book.parent / "runs")
        assert len(shown) == len(found.figures) > 1
        summary = json.loads((folder / "summary.json").read_text())
        for metric, value in summary["metrics"].items():
            assert f"{metric} " in page.text and evidence.number(value) in page.text
        assert f"The figures are of {found.source()}" in page.text


CHAPTERS = [program.target for program in PROGRAMS if prose.of(program.target).opening.text]


def test_every_tutorial_has_its_prose():
    assert {program.target for program in PROGRAMS if program.module.startswith("tutorials.")} <= set(CHAPTERS)
    assert {path.stem for path in prose.CHAPTERS.glob("*.md")} <= {program.target for program in PROGRAMS}


@pytest.mark.parametrize("target", CHAPTERS)
def test_a_chapters_prose_ends_with_questions_and_names_only_what_there_is(target):
    text = (prose.CHAPTERS / f"{target}.md").read_text(encoding="utf-8")
    assert 200 < len(text.partition("\n## Questions")[0].split()) <= 1000
    assert re.findall(r"\]\(https?://", prose.of(target).opening.text)
    assert 3 <= answered(prose.of(target).questions) == text.count("<details>") <= 5
    words = words_of_the_code()
    for code in code_in(text):
        assert {name.replace("-", "_") for name in re.findall(r"--(?:no-)?([\w-]+)", code)} <= words, code
        assert not code.startswith("make ") or code.split()[1] in TARGETS, code
        assert not re.fullmatch(r"[A-Za-z]+_\w+", code) or code in words, code


def letters(text: str) -> str:
    """The words of Markdown or of a page, without links' addresses, signs and capitals."""
    return " ".join(re.findall("[a-z]+", re.sub(r"\]\([^)]*\)", "", text).lower()))


@pytest.mark.parametrize("target", CHAPTERS)
def test_prose_stands_under_its_title(pages, target):
    said = letters(pages[f"chapters/{target}.html"].text)
    for title, part in prose.of(target).sections.items():
        beginning = " ".join(part.text.partition("$")[0].split()[:8])
        assert letters(f"{title} {beginning}") in said, title
    assert letters(f"Questions {' '.join(prose.of(target).questions.split()[:6])}") in said


def test_captions_say_what_there_is_to_see(book, pages):
    seen, notes = letters(pages["chapters/sentiment.html"].text), prose.of("sentiment").notes()
    drawn = {path.stem for path in (book.parent / "runs/study/sentiment/figures").glob("*.png")}
    assert len(drawn & notes.keys()) > 2
    for name in drawn & notes.keys():
        assert letters(f"{name} {notes[name]}") in seen, name


@pytest.mark.parametrize("text, complaint", [
    ("Hello.\n\n## 9. Fly\n", "the script has no section '9. Fly', only "),
    ("### figure: no_such\n\nLook.\n", "makes the figure or table 'no_such'"),
    ("### table: no_such\n\nLook.\n", "makes the figure or table 'no_such'"),
    ("### figures: curves\n", "'### figures: curves' should be '### figure: <name>'"),
    ("## Questions\n\n1. Why?\n\n## 2. Training\n", "'## 2. Training' stands twice, or after the questions"),
])  # fmt: skip
def test_prose_about_what_is_no_longer_there_is_an_error(tmp_path, monkeypatch, text, complaint):
    (tmp_path / "names.md").write_text(text, encoding="utf-8")
    monkeypatch.setattr(prose, "CHAPTERS", tmp_path)
    program = next(program for program in PROGRAMS if program.target == "names")
    with pytest.raises(ValueError, match=r"names\.md: ") as caught:
        Chapter(program, script.read(script.module(program.module)), tmp_path, tmp_path)
    assert complaint in str(caught.value)


def test_the_prose_of_a_section_its_notes_and_the_questions(tmp_path):
    text = "It opens.\n\n## 3. Training\n\nWhy.\n\n### figure: curves\n\nThey\nfall.\n\n## Questions\n\n1. Why?\n"
    (tmp_path / "names.md").write_text(text, encoding="utf-8")
    found = prose.read(tmp_path / "names.md")
    found.check(["3. Training"])
    assert (found.opening.text, found.section("3. Training").text, found.questions) == ("It opens.", "Why.", "1. Why?")
    assert found.notes() == {"curves": "They fall."} and found.section("4. Test").text == ""
    assert prose.read(tmp_path / "nobody.md").opening.text == ""
    assert prose.outside_the_book("[one](#idea-one), [two](https://example.org)") == "one, [two](https://example.org)"


def test_a_figure_stands_behind_the_code_that_draws_it(book):
    html = (book / "chapters/dropout.html").read_text()
    text = re.sub(r"<span[^>]*>|</span>", "", html)
    for maker, figure in (("regularize", "regularization"), ("vary_width", "keep_ratios")):
        code, picture = text.index(f"def {maker}"), re.search(rf"{figure}\d*\.png", text).start()
        assert picture - code > 0 and "<h2" not in text[code:picture]


def test_what_a_helper_draws_stands_at_the_end_of_the_section_that_describes_it(book):
    html = (book / "chapters/sentiment.html").read_text(encoding="utf-8")
    section = html[html.index("<h2>6. Evaluate the model") : html.index("<h2>7. Test on any text")]
    notes = prose.of("sentiment").sections["6. Evaluate the model with the test dataset"].notes
    places = [re.search(rf"{name}\d*\.png", section).start() for name in notes]
    assert places == sorted(places) and len(places) > 2
    folded = re.sub(r"<[^>]*>", "", section[places[-1] :])
    assert "The code that draws them" in folded and "def show(" in folded and "def learning_curve(" in folded


def test_official_numbers_come_from_the_committed_results(pages):
    assert evidence.RESULTS.exists()
    for path in evidence.RESULTS.glob("*-official-study-seed0.json"):
        summary = json.loads(path.read_text())
        seeds = [json.loads(one.read_text()) for one in path.parent.glob(path.name.replace("seed0", "seed*"))]
        page = pages[f"chapters/{summary['name']}.html"].text
        for metric in summary["metrics"]:
            assert evidence.spread([one["metrics"][metric] for one in seeds if metric in one["metrics"]]) in page
        for table in summary.get("tables", {}).values():
            assert all(evidence.number(cell) in page for row in table["rows"] for cell in row if cell != "")


def test_a_chapter_without_a_run_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "FIGURES", tmp_path)
    program = next(one for one in PROGRAMS if one.target == "names")
    chapter = Chapter(program, script.read(script.module(program.module)), tmp_path, tmp_path)
    assert "`make names` makes one on generated data" in chapter.results()[-1]


def test_every_idea_has_its_rungs(pages):
    proved = [name for idea in ideas.IDEAS for name in idea.things()]
    assert sorted(proved) == sorted(ideas.PROVED)  # each function and net under one idea
    for idea in ideas.IDEAS:
        text = pages[f"ideas/{idea.page}.html"].text
        assert "In torch" in text
        if not idea.things():  # only the tutorials have it
            assert "{{by hand" not in lesson.text(idea.page) and "No tutorial uses it" not in text
            continue
        assert all(rung in text for rung in ("By hand, in NumPy", "Checked against PyTorch"))
        assert all(re.search(rf"(?:def|class)\s+{name.split('.')[-1]}\b", text) for name in idea.things())
        assert ideas.cases(idea) and all(case in text for case in ideas.cases(idea))
        if idea.name in ("Captioning", "Vision transformer", "Diffusion"):  # whole nets that no tutorial has
            assert ideas.references(idea) and all(f"def {net.__name__}" in text for net in ideas.references(idea))
        else:
            assert "No tutorial uses it" not in text, idea.name
    with pytest.raises(ValueError, match="no idea has"):
        ideas.home("a_new_layer")


def test_every_formula_is_mathml(book):
    for idea in ideas.IDEAS:
        html = (book / f"ideas/{idea.page}.html").read_text(encoding="utf-8")
        formulas = re.findall(r"<math .*?</math>", html, re.S)
        assert len(formulas) > 4, idea.name
        for formula in formulas:  # what the converter does not know it leaves as text
            assert "\\" not in formula and "<mi>&</mi>" not in formula and "merror" not in formula, formula
        assert "$" not in re.sub(r"<[^>]*>", "", html.partition("<article")[2].partition("</article")[0]), idea.name


def test_the_parity_report_is_a_chapter(book, pages):
    written = (book.parent / "runs/parity/parity.md").read_text()
    assert written.splitlines()[0].strip("# ") in pages["parity.html"].text
    assert len(pages["parity.html"].pictures) == len(list((book.parent / "runs/parity/figures").glob("*.png")))
    assert (
        "affine_forward" in pages["ideas/affine-layers.html"].text
        and "1.0e-09" in pages["ideas/affine-layers.html"].text
    )


def test_each_question_is_answered_in_its_chapter(pages):
    answers = (evidence.ROOT / "from_scratch/ANSWERS.md").read_text()
    chapters = " ".join(pages[f"chapters/{program.target}.html"].text for program in PROGRAMS)
    for question in re.findall(r"^### (.*)", answers, re.M):
        assert question.translate({ord("'"): "’"}).split("(")[0] in chapters, question


def test_the_front_page_is_there_in_both_languages(book, pages):
    korean = pages["index.ko.html"]
    assert "명령 두 개" in korean.text and 'lang="ko"' in (book / "index.ko.html").read_text(encoding="utf-8")
    assert "index.ko.html" in pages["index.html"].links and "index.html" in korean.links


# In a browser


@pytest.fixture
def look(chromium, book):
    """Open pages of the book: look("index.html", size, scheme); what the browser complains of is collected."""
    contexts, said = [], []

    def complain(what: str, is_so: bool = True) -> None:
        said.extend([what] * is_so)

    def open_page(name: str, size: dict = DESK, scheme: str = "light"):
        contexts.append(chromium.new_context(viewport=size, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complain(f"{name}: {message.text}", message.type in ("error", "warning")))
        page.on("pageerror", lambda error: complain(f"{name}: {error}"))
        page.on("requestfailed", lambda request: complain(f"{name}: {request.url} failed"))
        page.on("request", lambda request: complain(f"{name}: asks for {request.url}", request.url.startswith("http")))
        page.goto(f"{book.as_uri()}/{name}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not said, said


@pytest.mark.browser
def test_every_page_loads_without_errors_at_every_width(look, book, pages):
    page = look("index.html")
    for name in sorted(pages):
        page.goto(f"{book.as_uri()}/{name}")
        broken = page.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)")
        assert not broken, f"{name}: {broken}"
        for size in (DESK, {"width": 1600, "height": 900}, PHONE):
            page.set_viewport_size(size)
            beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert beyond <= 0, f"{name} is wider than {size['width']} pixels"


@pytest.mark.browser
def test_search_finds_a_word(look):
    page = look("index.html")
    page.get_by_placeholder("Search").fill("dropout")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").all_inner_texts()
    assert "Dropout" in found
    page.locator("#search-results li a", has_text="Dropout").first.click()
    page.wait_for_url("**/*ropout.html*")
    assert "dropout" in page.locator("h1").inner_text().lower()


@pytest.mark.browser
def test_the_dark_switch_works_and_is_remembered(look, book):
    def brightness() -> int:
        return sum(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]))

    page = look("index.html")
    assert brightness() > 600
    for _ in range(3):  # automatic, light, dark
        if page.locator("body").get_attribute("data-theme") != "dark":
            page.locator(".theme-toggle:visible").first.click()
    assert brightness() < 200
    page.goto(f"{book.as_uri()}/ideas/index.html")
    assert brightness() < 200


@pytest.mark.browser
def test_the_keyboard_reaches_contents_search_and_wide_code(look):
    page = look("chapters/dropout.html", PHONE)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to content"
    wide = page.locator("article .highlight pre[tabindex='0']").first
    wide.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    page = look("ideas/convolution.html", PHONE)
    formula = page.locator("article .formula[tabindex='0']").first
    formula.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    answer = page.locator("article summary", has_text="Answer").first
    answer.focus()
    page.keyboard.press("Enter")
    assert page.locator("article details[open]").count() == 1
    page = look("chapters/dropout.html")
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.name || document.activeElement.innerText"))
    assert {"q", "Index of ideas"} <= reached


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(look, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    sample = ["index.html", "chapters/dropout.html", "ideas/index.html", "ideas/dropout.html"]
    sample += ["ideas/batch-normalization.html", "search.html?q=dropout"]
    sizes = {"light": DESK, "dark": PHONE}
    for name in sample:
        # Without preload: over file:// axe may not fetch the style sheets a second time.
        found = axe.run(look(name, sizes[scheme], scheme), options={"preload": False}).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert not serious, f"{name}, {scheme}: {serious}"
