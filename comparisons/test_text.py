"""Our basic_english tokenizer and vocabulary against what is recorded here, and against torchtext where it loads."""

import inspect
import os
import re
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from comparisons.mistakes import Mistake
from data.ag_news import Layout, Table, rows
from tutorials.text import tokenizer

# What torchtext 0.18.0 makes of these lines, so that each rule is held where torchtext does not load, too.
TOKENS = {
    "": [],
    " \t\n": [],
    "You can now install TorchText using pip!": ["you", "can", "now", "install", "torchtext", "using", "pip", "!"],
    "don't": ["don", "'", "t"],
    "don't.": ["don", "'", "t", "."],
    "''": ["'", "'"],
    'he said "yes"': ["he", "said", "yes"],
    'a"b': ["ab"],
    "1,000.5": ["1", ",", "000", ".", "5"],
    "a...b": ["a", ".", ".", ".", "b"],
    "f(x)": ["f", "(", "x", ")"],
    "what?!": ["what", "?", "!"],
    "a;b:c;;d": ["a", "b", "c", "d"],
    ";:": [],
    "one<br />two<BR />three": ["one", "two", "three"],
    "<br/>": ["<br/>"],
    "<br  />": ["<br", "/>"],
    "<br\t/>": ["<br", "/>"],
    "<br <br />/>": ["<br", "/>"],
    '<b"r /">': [],  # the quotes go first
    "<br;/>": ["<br", "/>"],  # the signs go last: what is left is no <br />
    "<br:/>": ["<br", "/>"],
    "<br,/>": ["<br", ",", "/>"],
    "a\x0bb\x1cc\x85d\u2028e\u00a0f\u3000g": ["a", "b", "c", "d", "e", "f", "g"],
    "a\u200bb": ["a\u200bb"],  # no white space, though of no width
    "İ ß ſ Σ ΣΑΣ": ["i\u0307", "ß", "ſ", "σ", "σας"],
    "E\u0301 é": ["e\u0301", "é"],
    "a\0b": ["a\0b"],
    "#39;s &lt;b&gt; – “so”": ["#39", "s", "&lt", "b&gt", "–", "“so”"],
}
# Words, tokens, and their numbers.
NUMBERS = [
    ((), [], []),
    ((), ["a"], [0]),
    (("<unk>", "the", "cat"), [], []),
    (("<unk>", "the", "cat"), ["the", "dog", "the", "cat", "<unk>", ""], [1, 0, 1, 2, 0, 0]),
    (("b", "a", "b", "c"), ["a", "b", "c", "d"], [1, 0, 2, 0]),
    (("a", "<unk>"), ["<unk>", "b"], [1, 0]),
    (("é", "e\u0301", "日本", "a\0b", ""), ["e\u0301", "日本", "a\0b", "a", "", "É"], [1, 2, 3, 0, 4, 0]),
]
PIECES = [*"'\".,()!?;: \t\n\0aAß", "<br />", "<br", "<b", "r />", " />", "/>", "\x0b", "\x1c", "\x85", "\u2028", "İ",
          "ſ", "\u0301", "Σ"]  # fmt: skip
dense = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
drawn = settings(max_examples=500, deadline=None, derandomize=True, database=None)


# Planted mistakes: what stands in the source, what takes its place, and why it is wrong.
ROWS = re.findall(r"^        (\(.+?\),)", inspect.getsource(tokenizer.basic_english), re.M)
FIRST, QUOTES, STOP, BREAK = ROWS[:4]
IN_TOKENIZER = [
    *((row, "", f"the rule {row[:-1]} left out") for row in ROWS),
    ("line.lower()", "line", "capitals kept"),
    ("line.lower()", "line.casefold()", "casefold for lower: ß becomes ss"),
    (f"{QUOTES}\n        {STOP}\n        {BREAK}", f"{STOP} {BREAK} {QUOTES}",
     "<br /> before the quotes that stand in it"),
    (FIRST, f'(":", " "), {FIRST}', "the colon before <br />"),
    (FIRST, f'(";", " "), {FIRST}', "the semicolon before <br />"),
    (QUOTES, """('"', " "),""", "a blank for a double quote"),
    (QUOTES, """('"', ' " '),""", "double quotes set off, not removed"),
    ('("<br />", " ")', '("<br />", "")', "<br /> joins its neighbors"),
    ('("<br />", " ")', '("<br/>", " ")', "<br/> for <br />"),
    (FIRST, """("'", " '"),""", "an apostrophe stays with what follows"),
    ('(",", " , ")', '(",", " ")', "commas dropped"),
    ("replace(pattern, replacement)", "replace(pattern, replacement, 1)", "only the first"),
    ("line.split()", 'line.split(" ")', "empty words between two blanks"),
    ("line.split()", "[word.decode() for word in line.encode().split()]", "ASCII's white space only"),
]  # fmt: skip
IN_INDEX = [
    (".get(token, 0)", ".get(token, 1)", "the default index off by one"),
    (".get(token, 0)", ".get(token, len(self))", "a number of its own for unknown words"),
    ("enumerate(dict.fromkeys(words))", "enumerate(words)", "a word counted twice"),
    ("enumerate(dict.fromkeys(words))", "enumerate(dict.fromkeys(words), 1)", "from 1"),
    ("enumerate(dict.fromkeys(words))", "enumerate(sorted(set(words)))", "by the alphabet"),
    ("for token in tokens]", "for token in dict.fromkeys(tokens)]", "tokens but once"),
    ("for token in tokens]", "for token in tokens if token in self.numbers]", "unknown words left out"),
    ("self.numbers.get(token, 0)", "self.numbers[token]", "unknown words refused"),
    ("return len(self.numbers)", "return len(self.numbers) + 1", "a word for the unknown"),
]
TOKENIZER = [Mistake("basic_english", *row, home=tokenizer) for row in IN_TOKENIZER]
INDEX = [Mistake("WordIndex", *row, home=tokenizer) for row in IN_INDEX]


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    reason = "torchtext is not installed, or not with torch 2.3, the only one with which it loads"
    pytest.importorskip("torchtext", reason=reason, exc_type=tokenizer.FAILURES)
    library = tokenizer.torchtext()
    assert library and tokenizer.tokenizer() is not tokenizer.basic_english, "it loads, and is not used"
    return library


@pytest.fixture(scope="module")
def tokenize(theirs) -> Callable[[str], list[str]]:
    """torchtext's tokenizer."""
    return theirs.data.get_tokenizer("basic_english")


def wrong_tokens(module: ModuleType, expected: dict[str, list[str]]) -> list[str]:
    """What a module's tokenizer makes of the lines, where something else is expected."""
    found = {line: module.basic_english(line) for line in expected}
    return [f"{line!r}: {found[line]}, not {expected[line]}" for line in expected if found[line] != expected[line]]


def wrong_numbers(module: ModuleType, expected: list[tuple]) -> list[str]:
    """The same of its vocabulary: of its size, too."""
    wrong = []
    for words, tokens, numbers in expected:
        index = module.WordIndex(words)
        try:
            found = len(index), index(tokens)
        except KeyError as error:
            found = error
        if found != (size := (len(set(words)), numbers)):
            wrong.append(f"{tokens} of {words}: {found}, not {size}")
    return wrong


def by_torchtext(words: tuple[str, ...], tokens: list[str]) -> tuple[int, list[int]]:
    vocabulary = tokenizer.vocabulary(words)
    assert not isinstance(vocabulary, tokenizer.WordIndex)
    return len(vocabulary), vocabulary(tokens)


# 1. Everywhere: what is recorded, and that ours is used wherever torchtext fails


def test_the_recorded_lines():
    assert not wrong_tokens(tokenizer, TOKENS)


def test_the_recorded_numbers():
    assert not wrong_numbers(tokenizer, NUMBERS)


@pytest.mark.parametrize("mistake", [*TOKENIZER, *INDEX], ids=str)
def test_what_is_recorded_catches_a_planted_mistake(mistake, record_property):
    module = mistake.module()
    assert wrong_tokens(module, TOKENS) or wrong_numbers(module, NUMBERS), f"nothing notices: {mistake}"
    record_property("planted", 1)


def test_every_rule_can_be_left_out():
    """A rule that the search for rows does not see would have no mistake."""
    assert len(set(ROWS)) == inspect.getsource(tokenizer.basic_english).count('"),') == 11


@pytest.mark.parametrize("failure", tokenizer.FAILURES)
def test_ours_is_used_without_a_word_wherever_torchtext_fails(failure, monkeypatch, capfd):
    class Broken(MetaPathFinder):
        def find_spec(self, name, path, target=None):
            if name.startswith("torchtext"):
                raise failure("undefined symbol")

    for name in [name for name in sys.modules if name.startswith("torchtext")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    tokenizer.torchtext.cache_clear()
    try:
        assert tokenizer.tokenizer() is tokenizer.basic_english and isinstance(
            tokenizer.vocabulary(["a"]), tokenizer.WordIndex
        )
    finally:
        tokenizer.torchtext.cache_clear()
    assert "".join(capfd.readouterr()) == ""


# 2. Where torchtext loads: token by token, number by number


def test_torchtext_makes_what_is_recorded(tokenize):
    assert {line: tokenize(line) for line in TOKENS} == TOKENS
    for words, tokens, numbers in NUMBERS:
        assert by_torchtext(words, tokens) == (len(set(words)), numbers)


@pytest.mark.parametrize("mistake", TOKENIZER, ids=str)
def test_torchtext_catches_a_planted_mistake(tokenize, mistake):
    lines = [first + second for first in PIECES for second in ("", *PIECES)] + [f"<br{piece}/>" for piece in PIECES]
    lines += [f"<b{piece}r />" for piece in PIECES] + ["'a' 'b'"]
    expected = {line: tokenize(line) for line in lines}
    assert not wrong_tokens(tokenizer, expected)
    assert wrong_tokens(mistake.module(), expected), f"nothing notices: {mistake}"


@drawn
@given(line=st.text() | dense)
def test_torchtext_agrees_on_any_text(tokenize, line):
    assert tokenizer.basic_english(line) == tokenize(line)


@drawn
@given(words=st.lists(st.text(max_size=3)), tokens=st.lists(st.text(max_size=3)), more=st.data())
def test_torchtext_agrees_on_any_words(theirs, words, tokens, more):
    known = st.sampled_from([*words, tokenizer.UNKNOWN])
    words = more.draw(st.permutations([*words, *more.draw(st.lists(known, max_size=3))]))
    tokens = more.draw(st.permutations([*tokens, *more.draw(st.lists(known, max_size=5))]))
    index = tokenizer.WordIndex(words)
    assert (len(index), index(tokens)) == by_torchtext(words, tokens)


def compare_news(tokenize: Callable[[str], list[str]], tables: list[Table]) -> int:
    """Hold all texts' tokens and numbers against torchtext's; give how many texts there are."""
    lines = [line for table in tables for _, _, line in rows(table, Layout())]
    ours = [tokenizer.basic_english(line) for line in lines]
    assert ours == [tokenize(line) for line in lines]
    tokens = [token for line in ours for token in line]
    words = (tokenizer.UNKNOWN, *sorted(set(tokens))[::2])  # every other word is unknown
    index = tokenizer.WordIndex(words)
    assert (len(index), index(tokens)) == by_torchtext(words, tokens)
    return len(lines)


def test_torchtext_agrees_on_the_twins_news(tokenize):
    news = data.load("ag_news", "tiny")
    assert compare_news(tokenize, [news.train, news.test]) == 2500


@pytest.mark.skipif(not os.environ.get("STUDY_DATA"), reason="needs the real data: set STUDY_DATA to their folder")
def test_torchtext_agrees_on_the_real_news(tokenize):
    assert compare_news(tokenize, [Table(Path(os.environ["STUDY_DATA"]) / "ag_news_csv/test.csv")]) == 7600
