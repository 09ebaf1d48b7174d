# SPDX-License-Identifier: Apache-2.0
"""JSON that was cut off, read as far as it goes.

SDKs cut long values (`OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`, `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`), in the middle of
whatever is there. What came before the cut is whole, so it is closed: the text that was open, then lists and objects.
"""

import itertools
import json
import re
from typing import Any, Final

_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}:,]|[^\s"\[\]{}:,]+', re.DOTALL)
_CLOSERS: Final = {"[": "]", "{": "}"}
_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?$")
# The first half of a character that JSON writes as two escapes.
_HALF: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}$")
# Deeper and longer than messages that anybody reads.
_DEEPEST: Final = 100
_MOST_TOKENS: Final = 200_000
_OF_ONE_PIECE: Final = '"[]{}:,'


def mended(text: str) -> Any:
    """What a JSON text says up to where it was cut off; None where it is no JSON."""
    place = _Place()
    # Up to where the text is whole, and what closes it there.
    whole, closers = 0, ""
    position = 0
    for token in itertools.islice(_TOKEN.finditer(text), _MOST_TOKENS):
        word = token.group()
        if text[position : token.start()].strip():
            break
        position = token.end()
        if word[0] not in _OF_ONE_PIECE and position == len(text):
            # A number or a word at the very end may have gone on.
            break
        if not place.accepts(word) or place.depth > _DEEPEST:
            return None
        place.pass_by(word)
        if place.can_close:
            whole, closers = position, place.closers
    rest = text[position:].lstrip()
    if rest.startswith('"') and place.accepts('""') and not place.expects.startswith("key"):
        start = len(text) - len(rest)
        inner = _without_half_character(text[start + 1 :])
        return _loaded(f'{text[: start + 1]}{inner}"{place.closers}')
    return _loaded(text[:whole] + closers)


def _without_half_character(text: str) -> str:
    for half in (_ESCAPE, _HALF):
        match = half.search(text[-6:])
        if match is not None:
            start = len(text) - len(match.group())
            before = len(text[:start]) - len(text[:start].rstrip("\\"))
            if before % 2 == 0:
                text = text[:start]
    return text


class _Place:
    """Where in a JSON text a reader is.

    Attributes:
        expects: What comes next: `value`, `value or end`, `key`, `key or end`, `colon`, `comma or end`, or `nothing`.
    """

    def __init__(self) -> None:
        self.expects = "value"
        self._open: list[str] = []

    @property
    def depth(self) -> int:
        """How many lists and objects are open."""
        return len(self._open)

    @property
    def can_close(self) -> bool:
        """Whether lists and objects can be closed here."""
        return self.expects.endswith(("end", "nothing"))

    @property
    def closers(self) -> str:
        """What closes them."""
        return "".join(_CLOSERS[one] for one in reversed(self._open))

    def accepts(self, word: str) -> bool:
        """Whether a token may come next."""
        if word in ("]", "}"):
            return self.expects.endswith("end") and self.closers[:1] == word
        if word in (",", ":"):
            return self.expects.startswith("comma" if word == "," else "colon")
        return self.expects.startswith("value") or (self.expects.startswith("key") and word[0] == '"')

    def pass_by(self, word: str) -> None:
        """Go on behind a token."""
        if word in _CLOSERS:
            self._open.append(word)
            self.expects = "value or end" if word == "[" else "key or end"
        elif word == ",":
            self.expects = "key" if self._open[-1] == "{" else "value"
        elif word == ":":
            self.expects = "value"
        elif self.expects.startswith("key") and word[0] == '"':
            self.expects = "colon"
        else:
            if word in ("]", "}"):
                self._open.pop()
            self.expects = "comma or end" if self._open else "nothing"


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
