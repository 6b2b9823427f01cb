"""A document of few parts, as Markdown and as one HTML page that needs no other file."""

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path

from comparisons.table import as_markdown as markdown_table


@dataclass(frozen=True)
class Title:
    text: str


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Picture:
    name: str
    caption: str


@dataclass(frozen=True)
class Table:
    """`words`: so many columns, from the left, hold words; the next ones numbers; `code`: which columns are code."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    words: int
    code: tuple[int, ...] = ()
    last: bool = False  # the last column holds words again


Block = Title | Text | Picture | Table

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d8dee4; --quiet: #59636e; --bar: #f6f8fa }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16191d; --line: #363c44; --quiet: #9aa4af; --bar: #20252b }
  img { background: #fff; padding: 8px; border-radius: 6px }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 78rem; padding: 0 1rem }
h1 { font-size: 1.7rem; line-height: 1.2 } h2 { font-size: 1.25rem; margin-top: 2.4rem }
p { max-width: 46rem } figure { margin: 1rem 0 } img { max-width: 100%; height: auto }
figcaption { color: var(--quiet); font-size: .9rem }
.table { overflow: auto; max-height: 32rem; border: 1px solid var(--line); border-radius: 6px }
table { border-collapse: collapse; font-size: .78rem; width: 100% }
th { position: sticky; top: 0; background: var(--bar); text-align: left }
th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
td.code, td.name { font-family: ui-monospace, monospace }
td.code { overflow-wrap: anywhere; min-width: 8rem } td.name { white-space: nowrap }
td.long { min-width: 11rem }
"""


def as_markdown(blocks: list[Block]) -> str:
    """The figures are expected in figures/ beside the file."""
    return "\n\n".join(map(block_as_markdown, number_titles(blocks))) + "\n"


def block_as_markdown(numbered: tuple[int, Block]) -> str:
    level, block = numbered
    match block:
        case Title(text):
            return f"{'#' * level} {text}"
        case Text(text):
            return text
        case Picture(name, caption):
            return f"![{caption}](figures/{name}.png)\n\n*{caption}*"
        case Table(header, rows, words, code):
            lines = [tuple(f"`{c}`" if k in code and c else c for k, c in enumerate(row)) for row in rows]
            return markdown_table(lines, header, words)


def as_page(blocks: list[Block], pictures: dict[str, Path]) -> str:
    """The pictures are put into the page itself."""
    body = "\n".join(block_as_html(numbered, pictures) for numbered in number_titles(blocks))
    title = escape(next(block.text for block in blocks if isinstance(block, Title)))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    head = f"<head>{head}<style>{STYLE}</style></head>"
    return f'<!doctype html>\n<html lang="en">\n{head}\n<body>\n{body}\n</body>\n</html>\n'


def block_as_html(numbered: tuple[int, Block], pictures: dict[str, Path]) -> str:
    level, block = numbered
    match block:
        case Title(text):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Picture(name, caption):
            source = base64.b64encode(pictures[name].read_bytes()).decode()
            image = f'<img alt="{escape(caption)}" src="data:image/png;base64,{source}">'
            return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"
        case Table():
            return table_as_html(block)


def table_as_html(table: Table) -> str:
    def row(cells: tuple[str, ...], tag: str) -> str:
        return "".join(f"<{tag}{style(table, k)}>{escape(cell)}</{tag}>" for k, cell in enumerate(cells))

    lines = [f"<tr>{row(cells, 'td')}</tr>" for cells in table.rows]
    head = f"<thead><tr>{row(table.header, 'th')}</tr></thead>"
    return f'<div class="table"><table>{head}<tbody>\n' + "\n".join(lines) + "\n</tbody></table></div>"


def style(table: Table, column: int) -> str:
    if table.words <= column < len(table.header) - table.last:
        return ' class="number"'
    if table.last and column in (1, len(table.header) - 1):
        return ' class="long"'
    if table.header[column] == "function":
        return ' class="name"'
    return ' class="code"' if column in table.code else ""


def number_titles(blocks: list[Block]) -> list[tuple[int, Block]]:
    """The first title is the document's, all others its sections'."""
    first = next(block for block in blocks if isinstance(block, Title))
    return [(1 if block is first else 2, block) for block in blocks]
