"""Sphinx's settings for the study book; `make book` writes its pages (docs/book.py)."""

from collections.abc import Callable

from docutils import nodes
from latex2mathml.converter import convert

project = "PyTorch study"
extensions = ["myst_parser"]
myst_enable_extensions = ["attrs_block", "dollarmath"]
myst_dmath_allow_space = False
myst_dmath_allow_digits = False
suppress_warnings = ["myst.header"]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "PyTorch study"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


def mend(app, pagename, templatename, context, doctree):
    """Say the Korean page's language, and give the captions of the contents the level that a heading must have."""
    if pagename.endswith(".ko"):
        context["language"] = "ko"
    for part in {"body", "furo_navigation_tree"} & context.keys():
        context[part] = context[part].replace('role="heading"', 'role="heading" aria-level="2"')


def formula(display: str, wrapped: str) -> tuple[Callable, None]:
    """A renderer of LaTeX as MathML, which browsers show without fonts or scripts of ours."""

    def visit(translator, node):
        translator.body.append(wrapped.format(convert(node.astext(), display=display)))
        raise nodes.SkipNode

    return visit, None


def setup(app):
    app.add_html_math_renderer("mathml", formula("inline", "{}"), formula("block", '<div class="formula">{}</div>'))
    app.connect("html-page-context", mend, priority=900)  # after the theme
