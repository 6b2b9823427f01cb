"""Text of figures in fonts that have its characters, whatever its language, and never parsed as math text."""

import unicodedata
import warnings
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from tutorials.common.console import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_as_written(figure: "Figure") -> "Figure":
    """The figure with no text taken for mathematics, but the powers at logarithmic axes, and each in a font that has
    its signs."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.text import Text

    axes = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    labels = {axis: axis.get_ticklabels(which="both") for axis in axes}  # which writes them, too
    powers = {label for axis in axes if axis.get_scale() == "log" for label in labels[axis]}
    known = get_font(findfont(FontProperties())).get_charmap()
    for text in figure.findobj(lambda artist: isinstance(artist, Text) and artist not in powers):
        text.set_parse_math(False)
        lacking = {sign for sign in text.get_text() if ord(sign) not in known and unicodedata.category(sign) != "Cc"}
        if lacking:
            text.set_fontfamily(["sans-serif", *fonts_with(frozenset(lacking))])
            warnings.filterwarnings("ignore", "Glyph .* missing from")  # one line says it
    return figure


@cache
def fonts_with(signs: frozenset[str]) -> list[str]:
    """Fonts of this machine that have these signs; where there is none, says which to install."""
    from matplotlib.font_manager import fontManager, get_font

    add_new_fonts()
    found, lacking = [], signs
    fonts = {font.name: font.fname for font in fontManager.ttflist if not font.name.startswith("Last Resort")}
    for name, path in fonts.items():
        having = {sign for sign in lacking if ord(sign) in get_font(path).get_charmap()}
        found, lacking = found + [name] * bool(having), lacking - having
        if not lacking:
            return found
    east = any(unicodedata.east_asian_width(sign) == "W" for sign in lacking)
    name_package("cjk" if east else "core")
    return found


@cache
def add_new_fonts() -> None:
    """Tell matplotlib, which keeps a list of fonts, of those that were installed since."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    for path in {*findSystemFonts()} - {font.fname for font in fontManager.ttflist}:
        with suppress(Exception):  # a damaged file may raise anything
            fontManager.addfont(path)


@cache
def name_package(kind: str) -> None:
    """Say, once, what to install for signs of this kind."""
    signs = "Chinese, Japanese or Korean" if kind == "cjk" else "some of the"
    say(
        f"figures: boxes stand for {signs} characters, which no font of this machine has. Install one (Debian, Ubuntu: "
        f"fonts-noto-{kind}) and run again."
    )
