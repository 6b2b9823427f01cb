"""Mistakes planted in our own basic_english tokenizer and in its vocabulary."""

import inspect
import re
from types import ModuleType

from comparisons.mistakes import Mistake
from tutorials.text import tokenizer


class TextMistake(Mistake):
    """A mistake in `tutorials/text/tokenizer.py`."""

    def home(self) -> ModuleType:
        return tokenizer


ROWS = re.findall(r"^        (\(.+?\),)", inspect.getsource(tokenizer.basic_english), re.M)
FIRST, QUOTES, STOP, BREAK = ROWS[:4]

LEFT_OUT = [TextMistake("basic_english", row, "", f"the rule {row[:-1]} left out") for row in ROWS]

TOKENIZER = [
    *LEFT_OUT,
    TextMistake("basic_english", "line.lower()", "line", "capitals kept"),
    TextMistake("basic_english", "line.lower()", "line.casefold()", "casefold for lower: ß becomes ss"),
    TextMistake(
        "basic_english", f"{QUOTES}\n        {STOP}\n        {BREAK}", f"{STOP} {BREAK} {QUOTES}",
        "<br /> before the quotes that stand in it",
    ),
    TextMistake("basic_english", FIRST, f'(":", " "), {FIRST}', "the colon before <br />"),
    TextMistake("basic_english", FIRST, f'(";", " "), {FIRST}', "the semicolon before <br />"),
    TextMistake("basic_english", QUOTES, """('"', " "),""", "a blank for a double quote"),
    TextMistake("basic_english", QUOTES, """('"', ' " '),""", "double quotes set off, not removed"),
    TextMistake("basic_english", '("<br />", " ")', '("<br />", "")', "<br /> joins its neighbours"),
    TextMistake("basic_english", '("<br />", " ")', '("<br/>", " ")', "<br/> for <br />"),
    TextMistake("basic_english", FIRST, """("'", " '"),""", "an apostrophe stays with what follows"),
    TextMistake("basic_english", '(",", " , ")', '(",", " ")', "commas dropped"),
    TextMistake("basic_english", "replace(pattern, replacement)", "replace(pattern, replacement, 1)", "only the first"),
    TextMistake("basic_english", "line.split()", 'line.split(" ")', "empty words between two blanks"),
    TextMistake(
        "basic_english", "line.split()", "[word.decode() for word in line.encode().split()]", "ASCII's white space only"
    ),
]  # fmt: skip

INDEX = [
    TextMistake("WordIndex", ".get(token, 0)", ".get(token, 1)", "the default index off by one"),
    TextMistake("WordIndex", ".get(token, 0)", ".get(token, len(self))", "a number of its own for unknown words"),
    TextMistake("WordIndex", "enumerate(dict.fromkeys(words))", "enumerate(words)", "a word counted twice"),
    TextMistake("WordIndex", "enumerate(dict.fromkeys(words))", "enumerate(dict.fromkeys(words), 1)", "from 1"),
    TextMistake("WordIndex", "enumerate(dict.fromkeys(words))", "enumerate(sorted(set(words)))", "by the alphabet"),
    TextMistake("WordIndex", "for token in tokens]", "for token in dict.fromkeys(tokens)]", "tokens but once"),
    TextMistake(
        "WordIndex", "for token in tokens]", "for token in tokens if token in self.numbers]", "unknown words left out"
    ),
    TextMistake("WordIndex", "self.numbers.get(token, 0)", "self.numbers[token]", "unknown words refused"),
    TextMistake("WordIndex", "return len(self.numbers)", "return len(self.numbers) + 1", "a word for the unknown"),
]  # fmt: skip
