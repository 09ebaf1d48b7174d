# SPDX-License-Identifier: Apache-2.0
"""How Sphinx makes a site of these pages: `make docs-site`. Nothing on it is loaded from elsewhere."""

import os
import re
from pathlib import Path

from pygments.lexer import inherit
from pygments.lexers.sql import SqlLexer
from pygments.token import Name
from sphinx.application import Sphinx

from otel_loggedmodel import __version__

_DOCS = Path(__file__).resolve().parent
_SOURCE = "https://github.com/otel-loggedmodel/otel-loggedmodel/blob/main/"

project = "otel-loggedmodel"
release = version = __version__
project_copyright = "The otel-loggedmodel authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
exclude_patterns = ["README.md"]  # index.md includes it
myst_heading_anchors = 3
html_theme = "sphinx_book_theme"
html_title = f"otel-loggedmodel {release}"
html_favicon = "../otel_loggedmodel/pages/static/icon.svg"
html_show_sourcelink = html_copy_source = False
html_theme_options = {
    "repository_url": _SOURCE.removesuffix("/blob/main/"),
    "use_repository_button": True,
    "use_download_button": False,
    "show_navbar_depth": 1,
    "navbar_persistent": [],  # the search stands in the sidebar already
    "show_prev_next": False,
    "navigation_with_keys": False,
}
default_role = "code"  # in docstrings, as in Markdown
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
pygments_style = "default"


class _ClickHouse(SqlLexer):
    """SQL with parameters such as `{id:String}`."""

    tokens = {"root": [(r"\{\w+:\w+\}", Name.Variable), inherit]}  # noqa: RUF012


def setup(app: Sphinx) -> None:
    """Links that lead out of this folder on a disk lead to the repository on the site."""
    app.add_lexer("sql", _ClickHouse)
    # Before Google's form is made of it.
    app.connect("autodoc-process-docstring", _mark_examples, priority=400)
    app.connect("source-read", lambda app, name, source: _lead_outward(name, source))
    app.connect("include-read", lambda app, path, name, source: _lead_outward(str(path), source))
    app.add_lexer("sql", _ClickHouse)
    # Before Google's form is made of it.
    app.connect("autodoc-process-docstring", _mark_examples, priority=400)
    app.connect("source-read", lambda app, name, source: _lead_outward(name, source))
    app.connect("include-read", lambda app, path, name, source: _lead_outward(str(path), source))


def _mark_examples(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
    """What stands apart and indented in a docstring is code, as in Markdown."""
    for place in range(len(lines) - 1, 1, -1):
        before = [line for line in lines[:place] if line.strip()]
        begins = lines[place].startswith("    ") and not lines[place - 1].strip() and before
        if begins and not before[-1].startswith(" ") and not before[-1].endswith("::"):
            lines[place:place] = ["::", ""]


def _lead_outward(name: str, source: list[str]) -> None:
    """Change the links of a page.

    Args:
        name: Of the page, below this folder.
        source: Its text, in a list that is changed.
    """
    folder = (_DOCS / name).parent

    def link(found: "re.Match[str]") -> str:
        path = os.path.normpath(folder / found[1].partition("#")[0])
        if not Path(path).exists():
            raise ValueError(f"{name}: {found[1]} leads nowhere")
        if path == str(_DOCS / "README.md"):
            return f"]({os.path.relpath(_DOCS / 'index.md', folder)})"
        if Path(path).is_relative_to(_DOCS):
            return found[0]
        return f"]({_SOURCE}{os.path.relpath(path, _DOCS.parent)})"

    source[0] = re.sub(r"\]\(((?:\.\./)[^)\s]+|README\.md)\)", link, source[0])
