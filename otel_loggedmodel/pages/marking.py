# SPDX-License-Identifier: Apache-2.0
"""Markdown of messages as HTML that can do no harm: models answer in it, and anybody may have made them say something.

HTML in a text stays text. A link leads where it says, to the web or to mail alone, and tells the other side nothing. A
picture is a link: nothing is loaded from elsewhere. Texts without any sign of Markdown are left as they are, with their
lines and blanks.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

from otel_loggedmodel.presenting.texts import clean

# The time for the worst of texts grows with the square of its length, and with that of its brackets.
MOST_CHARACTERS: Final = 10_000
_MOST_BRACKETS: Final = 500
# What is nested deeper than this would be left out.
_MOST_LEVELS: Final = 60
_SIGNS: Final = re.compile(
    r"(?m)^ {0,3}(?:#{1,6} |[-*+] |\d{1,9}[.)] |> |```|~~~|\|.*\|)|\*\*\S|`[^`\n]+`|\[[^\]\n]+\]\(\S+\)|~~\S"
)
_ALLOWED: Final = re.compile(r"(?i)(?:https?://|mailto:)")


def marked_up(text: str) -> Markup | None:
    """The text as HTML; None where it is no Markdown, too long, or nested too deeply.

    Args:
        text: What was said.
    """
    if len(text) > MOST_CHARACTERS or text.count("[") > _MOST_BRACKETS or not _SIGNS.search(text):
        return None
    lines = "\n".join(clean(line.replace("\t", "    ")) for line in text.split("\n"))
    parser = _parser()
    environment: dict[str, Any] = {}
    tokens = parser.parse(lines, environment)
    if any(token.level >= _MOST_LEVELS - 1 for token in tokens):
        return None
    for token in tokens:
        # The only attribute of the kind: how a column is aligned. The pages allow no styles in attributes.
        token.attrs.pop("style", None)
    html = parser.renderer.render(tokens, parser.options, environment)
    # The parser was told to escape HTML, and links are checked.
    return Markup(html)  # noqa: S704


@functools.cache
def _parser() -> MarkdownIt:
    options = {"html": False, "breaks": True, "linkify": False, "maxNesting": _MOST_LEVELS}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    # Indented text is more often an address or a poem than a program.
    parser.disable("code")
    parser.validateLink = lambda url: _ALLOWED.match(url) is not None  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _link)
    parser.add_render_rule("image", _picture)
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("heading_close", _heading)
    return parser


def _link(self: Any, tokens: Sequence[Token], place: int, options: OptionsDict, environment: EnvType) -> str:
    return _opened(str(tokens[place].attrGet("href") or ""))


def _picture(self: Any, tokens: Sequence[Token], place: int, options: OptionsDict, environment: EnvType) -> str:
    token = tokens[place]
    said = token.content or "without a description"
    address = str(token.attrGet("src") or "")
    return f'{_opened(address)}picture: {escape(said)}</a> <span class="muted">(outside; not loaded)</span>'


def _opened(address: str) -> str:
    return f'<a href="{escape(address)}" rel="noreferrer noopener external nofollow" target="_blank">'


def _heading(self: Any, tokens: Sequence[Token], place: int, options: OptionsDict, environment: EnvType) -> str:
    """A heading of a message is none of the page."""
    return "<p><strong>" if tokens[place].nesting == 1 else "</strong></p>\n"
