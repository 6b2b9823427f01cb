"""AG_NEWS's twin: headlines of four invented newspapers' pages."""

import csv
import io
from pathlib import Path

import numpy as np

from data.ag_news import AgNews, Table

# Of each topic: who, what they do, and of what the report says more. "court" and "record" are at home in several
# topics: only their neighbors tell which, so pairs of words are worth learning.
TOPICS = (
    (("minister", "rebels", "parliament", "the president", "border troops", "election officials"),
     ("sign peace treaty", "reject vote", "open talks", "declare ceasefire", "close embassy"),
     ("the capital", "the refugee camps", "supreme court judges", "the ruling party", "record turnout")),
    (("striker", "the champions", "rookie pitcher", "coach", "the sprinters", "goalkeeper"),
     ("win cup final", "lose in overtime", "miss penalty", "take gold medal", "sign transfer"),
     ("the stadium", "the league table", "tennis court crowds", "the playoffs", "world record pace")),
    (("shares", "the central bank", "oil producer", "retailer", "investors", "the airline"),
     ("raise profit forecast", "cut jobs", "file for bankruptcy", "buy rival", "lower interest rate"),
     ("the stock market", "quarterly earnings", "bankruptcy court lenders", "the merger", "record revenue")),
    (("astronomers", "chip maker", "search engine", "researchers", "software firm", "the probe"),
     ("release browser", "map genome", "patch security hole", "launch satellite", "test new processor"),
     ("the internet", "lunar orbit", "patent court engineers", "the laboratory", "record data rates")),
)  # fmt: skip
COMMON = ("on Monday", "in a surprise move", "after long delays", "sources said", "for the first time", "this week")
OFFICES = ("AP", "Reuters", "AFP")


def ag_news(train: int = 2000, test: int = 500, seed: int = 0) -> AgNews:
    """AG_NEWS's twin: csv files of the official layout, with labels 1..4, headlines and descriptions.

    One headline in eight stands over a report of another topic, and some words belong to several: no net is always
    right.
    """
    rng = np.random.default_rng(seed)
    tables = []
    for name, count in (("train", train), ("test", test)):
        labels = rng.permutation(np.arange(count) % len(TOPICS))
        content = io.StringIO()
        writer = csv.writer(content, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([str(label + 1), *write_news(int(label), rng)] for label in labels)
        tables.append(Table(Path(f"tiny-ag-news-{name}.csv"), content.getvalue().encode()))
    return AgNews(*tables)


def write_news(topic: int, rng: np.random.Generator) -> tuple[str, str]:
    """Title and description of one report."""

    def pick(choices: tuple[str, ...]) -> str:
        return choices[rng.integers(len(choices))]

    about = TOPICS[topic] if rng.random() > 0.125 else TOPICS[rng.integers(len(TOPICS))]
    who, does, _ = map(pick, about)
    office = pick(OFFICES)
    more = pick(TOPICS[topic][2]) if rng.random() > 0.1 else pick(COMMON)
    title = f"{who.capitalize()} {does} ({office})"
    return (
        title,
        f"{office} - {pick(COMMON).capitalize()}, {pick(about[0])} met {more}, {pick(COMMON)}. #{rng.integers(1000)}",
    )
