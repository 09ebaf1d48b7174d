# SPDX-License-Identifier: Apache-2.0
"""Whole values, of which a page shows only the beginning, and files that messages carry.

They come from whoever sends spans. So a browser gets them as plain text, as a picture, or as a file to keep, and always
in a sandbox, in case it takes one for anything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from otel_loggedmodel.pages import conversation
from otel_loggedmodel.pages.trace import MOST_SPANS
from otel_loggedmodel.server.parameters import BadParameterError
from otel_loggedmodel.store.reading import Reader

_PARAMETERS: Final = {"id", "span", "message", "part", "of", "key"}
# A browser shows a picture of this size without trouble.
MOST_BYTES_OF_A_PICTURE: Final = 16_000_000

_SANDBOX: Final = {"Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'"}
_AS_FILE: Final = {"Content-Disposition": 'attachment; filename="part-of-message"'}


class NotThereError(Exception):
    """There is no such value; the text says what is missing."""


@dataclass(frozen=True)
class Content:
    """What a browser gets.

    Attributes:
        body: The value or the file.
        media_type: What it is.
        headers: How it is to be taken.
    """

    body: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What an address asks for: a part of a message, by their numbers, or a value of a span, by its place and its key.

    Attributes:
        trace_id: The trace.
        span_id: Which of its spans.
        message: The number of a message, from 0 on, or None.
        part: The number of its part.
        of: `attributes`, `resource`, or an event by its number.
        key: The key of the value.
    """

    trace_id: str
    span_id: str
    message: int | None
    part: int
    of: str
    key: str

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> "Wanted":
        """What the parameters of an address say.

        Raises:
            BadParameterError: They do not name a value.
        """
        if query.keys() - _PARAMETERS:
            raise BadParameterError("The address has a parameter that is unknown here.")

        def one(name: str) -> str:
            return query.get(name, "")

        if not one("id") or not one("span") or not (one("message") or one("of")):
            raise BadParameterError("The address names no value of a span.")
        message = _number("message", one("message")) if one("message") else None
        return cls(one("id"), one("span"), message, _number("part", one("part") or "0"), one("of"), one("key"))

    def found_in(self, reader: Reader) -> Content:
        """The value.

        Raises:
            NotThereError: There is no such value.
            ReadingError: The trace cannot be read.
        """
        span = next(
            (span for span in reader.trace(self.trace_id, MOST_SPANS).spans if span.span_id == self.span_id), None
        )
        if span is None:
            raise NotThereError("The trace has no such span.")
        if self.message is None:
            value = conversation.value_in(span, self.of, self.key)
            if value is None:
                raise NotThereError("The span has no such value.")
            return _as_text(value)
        part = conversation.part_in(span, self.message, self.part)
        if part is None:
            raise NotThereError("The span has no such message.")
        if part.media is None or not part.media.data:
            return _as_text(part.text)
        body = conversation.bytes_of(part.media)
        if body is None:
            raise NotThereError("What the message carries is not written in base64.")
        mime_type = part.media.mime_type.lower()
        if mime_type in conversation.PICTURES and len(body) <= MOST_BYTES_OF_A_PICTURE:
            return Content(body, mime_type, _SANDBOX)
        return Content(body, "application/octet-stream", {**_SANDBOX, **_AS_FILE})


def _as_text(text: str) -> Content:
    return Content(text.encode("utf-8", "replace"), "text/plain; charset=utf-8", _SANDBOX)


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 6:
        raise BadParameterError(f"{name} is {text[:40]!r}: expected a number.")
    return int(text)
