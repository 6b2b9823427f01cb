"""Labeled texts: of AG_NEWS, its twin, or the user's csv files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data import StudyError
from data.ag_news import AgNews, Layout, Table, find_layout, label_order
from data.tokens import Corpus, tokenized
from tutorials.common.options import TextFileOptions
from tutorials.common.run import Run
from tutorials.text import tokenizer


@dataclass
class RowsOptions(TextFileOptions):
    """Options of the data set: AG_NEWS or any csv file, its split, and the features of its texts."""

    csv: tuple[str, ...] = ()
    """Train on these csv files instead of AG_NEWS: one column of labels, all others text; with or without a header."""
    test_csv: Path | None = None
    """Test on this csv file. Default: a tenth of the rows of --csv."""
    classes: tuple[str, ...] = ()
    """Class names in the order of the labels, for each csv file. Default: the labels themselves."""
    columns: tuple[str, ...] = ()
    """Column of the label, then columns of the text, by name or number (1 is the first). Default: detected."""
    distinct: bool = False
    """Remove duplicate texts: a copy of a training text in the validation set would bias its accuracy."""
    val_share: float = 0.05
    """Fraction of the training texts held out for validation."""
    val_words: bool = False
    """Build the vocabulary from the validation texts too, as the original does."""
    ngrams: int = 1
    """Maximum length of word n-grams."""
    prefixes: tuple[int, ...] = ()
    """Prefix lengths: prefixes of longer words are features too; with 4, banks and banking share one."""
    buckets: int = 0
    """Number of hash buckets for n-grams and prefixes; 0: 128 per text, up to a million."""
    text: str | None = None
    """Do not train: classify this text, with the saved model of --run-dir or else the newest one."""

    own = ("csv",)
    keeping = TextFileOptions.keeping | {"text"}
    limits = TextFileOptions.limits | {"val_share": (0.0001, 0.9), "ngrams": (1, 3), "buckets": (0, 2**22)}

    def check(self) -> None:
        """Raise ValueError for prefixes out of range and for what goes with --csv only."""
        super().check()
        if not all(1 <= length <= 20 for length in self.prefixes):
            raise ValueError(f"--prefixes must be in 1..20, not {self.prefixes}")
        for name in ("test_csv", "columns", "classes"):
            if getattr(self, name) and not self.csv and self.text is None:
                raise ValueError(f"--{name.replace('_', '-')} goes with --csv only")


def read_table(path: Path, options: RowsOptions) -> tuple[Table, Layout]:
    """A csv file of the user's own, and its columns."""
    table = Table(path)
    return table, find_layout(table, options.columns, options.encoding)


def load_texts(run: Run) -> tuple[Corpus, list[str], int]:
    """The tokenized texts with their classes as labels, the names of the classes, and how many of the corpus's tables
    are to train on: all of them, or all but the last."""
    options = run.options
    tokenize = tokenizer.tokenizer()
    if options.csv:
        paths = [Path(path) for path in (*options.csv, *([options.test_csv] if options.test_csv else []))]
        tables = run.load_data("ag_news", lambda: [read_table(path, options) for path in paths])
        tested = bool(options.test_csv)
    else:
        news: AgNews = run.load_data("ag_news")
        tables, tested = [(news.train, news.layout), (news.test, news.layout)], True
    corpus = run.place.main_first(lambda: tokenized(tables, tokenize, tokenizer.RULES, options.data_root))
    names = list(options.classes) if options.csv else list(news.classes)
    corpus, classes = name_classes(corpus, tables, names, len(tables) - tested)
    describe(run, corpus, tables)
    return corpus, classes, len(tables) - tested


def name_classes(
    corpus: Corpus, tables: Sequence[tuple[Table, Layout]], names: list[str], trained: int
) -> tuple[Corpus, list[str]]:
    """The corpus with class indices as labels, and the classes: `names` in the order of each file's labels,
    or without any the labels that the first `trained` files have. Raises StudyError with file and line for another one.
    """
    found = sorted({label for table in corpus.tables[:trained] for label in table["labels"]}, key=label_order)
    labels = np.empty_like(corpus.labels)
    for number, (table, layout) in enumerate(tables):
        own = corpus.tables[number]["labels"]
        known = list(layout.labels) or (own if names else found)
        if names and len(known) != len(names):
            raise StudyError(
                f"{table.path}: has {len(own)} labels ({', '.join(own[:10])}), and --classes names {len(names)}."
            )
        part = slice(corpus.bounds[number], corpus.bounds[number + 1])
        for place, label in enumerate(own):
            if label not in known:
                line = corpus.lines[part][corpus.labels[part] == place][0]
                raise StudyError(
                    f"{table.path}, line {line:,}: the label {label!r} is in no training row, which have "
                    f"{', '.join(known[:10])}. Correct the row, or name the classes of both files with --classes."
                )
        labels[part] = np.array([known.index(label) for label in own])[corpus.labels[part]]
    classes = names or found
    if len(classes) < 2:
        raise StudyError(
            f"{tables[0][0].path}: all rows have the label {classes[0]!r}. Two classes at least are needed."
        )
    return replace(corpus, labels=labels), classes


def describe(run: Run, corpus: Corpus, tables: Sequence[tuple[Table, Layout]]) -> None:
    """Print what was read, how, and what was left out."""
    for number, (table, layout) in enumerate(tables):
        parts = [f"{table.path}: {corpus.bounds[number + 1] - corpus.bounds[number]:,} texts"]
        if run.options.csv:
            texts = ", ".join(str(column + 1) for column in layout.texts)
            parts.append(
                f"label in column {layout.label + 1}, text in {texts}, {'a' if layout.header else 'no'} header"
            )
        if layout.encoding != "utf-8":
            parts.append(f"read as {layout.encoding}")
        if corpus.tables[number]["skipped"]:
            parts.append(f"left out {corpus.tables[number]['skipped']}")
        run.say("; ".join(parts))
    run.say(f"{len(corpus.words):,} words, {len(corpus.lexicon):,} different")
