# SPDX-License-Identifier: Apache-2.0
"""How the messages of a span are shown: each text up to a bound, pictures and files by their kind and size.

Nothing is loaded from where a message points to. A picture that a span carries is shown when somebody asks for it, and
comes from this server.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from otel_loggedmodel.conventions.messages import Media, Message, Part, messages_of
from otel_loggedmodel.pages.addresses import content_of_span
from otel_loggedmodel.pages.marking import marked_up
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.store.trace_results import Span

# Several screens full of one text, and as much on a page as a browser lays out at once.
MOST_CHARACTERS: Final = 20_000
MOST_CHARACTERS_A_PAGE: Final = 200_000
MOST_MARKED_UP_A_PAGE: Final = 50_000
MOST_MESSAGES: Final = 300
MOST_VALUE_CHARACTERS: Final = 2_000

# A text of these is at most as high as the place that it has in a narrow window.
_LONG_CHARACTERS: Final = 600
_LONG_LINES: Final = 12

# Every browser shows these as pictures, and none of them can hold a program.
PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
# What people and models write, unlike calls of tools and their results.
_WRITTEN: Final = frozenset({"text", "reasoning"})
_OUTSIDE: Final = re.compile(r"https?://[^\s\x00-\x1f]+", re.IGNORECASE)


@dataclass(frozen=True)
class Text:
    """A text as it is shown.

    Attributes:
        shown: Its beginning, or all of it.
        left_out: How many characters are not shown.
        address: Where all of it is.
    """

    shown: str
    left_out: int = 0
    address: str = ""

    @property
    def is_long(self) -> bool:
        """Whether it may be higher than the place that it has on a phone, so that it scrolls."""
        return len(self.shown) > _LONG_CHARACTERS or self.shown.count("\n") > _LONG_LINES


@dataclass(frozen=True)
class File:
    """A picture or a file as it is shown.

    Attributes:
        label: What it is, how large, and what it is called: `image/png, 1.6 MB`.
        address: Where this server has it; empty where the span only points to it.
        is_picture: Whether a browser can show it.
        outside: Where it is, if that is an address of the web.
        points_to: Where it is, if it is anything else.
    """

    label: str
    address: str = ""
    is_picture: bool = False
    outside: str = ""
    points_to: str = ""


@dataclass(frozen=True)
class ShownPart:
    """A part of a message as it is shown.

    Attributes:
        kind: What it is.
        name: Of a tool, or which call a result is of.
        text: What to read.
        file: What it carries or points to.
        html: What to read where it is Markdown; else None.
    """

    kind: str
    name: str
    text: Text
    file: File | None
    html: Markup | None = None


@dataclass(frozen=True)
class ShownMessage:
    """A message as it is shown.

    Attributes:
        role: Who says it.
        is_output: Whether the model said it in this call.
        is_cut: Whether the span has no more of it.
        parts: What is said.
    """

    role: str
    is_output: bool
    is_cut: bool
    parts: Sequence[ShownPart]


@dataclass(frozen=True)
class Conversation:
    """The messages of a span as they are shown.

    Attributes:
        messages: In order.
        left_out: How many are not shown.
    """

    messages: Sequence[ShownMessage] = ()
    left_out: int = 0


def conversation_of(span: Span) -> Conversation:
    """What the page shows of a span's messages."""
    found = messages_of(span.attributes, span.events)
    # A long conversation is shown by its beginning and its end.
    places = list(range(len(found)))
    if len(places) > MOST_MESSAGES:
        places = [*places[: MOST_MESSAGES // 2], *places[-MOST_MESSAGES // 2 :]]
    room, room_marked = MOST_CHARACTERS_A_PAGE, MOST_MARKED_UP_A_PAGE
    shown = []
    for place in places:
        message = found[place]
        parts = []
        for number, part in enumerate(message.parts):
            address = content_of_span(span.trace_id, span.span_id, ("message", place), ("part", number))
            text = text_of(part.text, address, min(room, MOST_CHARACTERS))
            room -= len(text.shown)
            html = marked_up(text.shown) if part.kind in _WRITTEN and len(text.shown) <= room_marked else None
            room_marked -= len(text.shown) if html is not None else 0
            parts.append(ShownPart(part.kind, part.name, text, _file(part.media, address), html))
        shown.append(ShownMessage(message.role, message.is_output, message.is_cut, parts))
    return Conversation(shown, len(found) - len(places))


def text_of(text: str, address: str, most: int = MOST_VALUE_CHARACTERS) -> Text:
    """A text up to a bound.

    Args:
        text: All of it.
        address: Where all of it is.
        most: The bound.
    """
    # A few characters more are not worth a cut.
    if len(text) <= most + most // 10:
        return Text(text)
    return Text(text[:most], len(text) - most, address)


def table_of(values: Mapping[str, str], span: Span, place: str) -> list[tuple[str, Text]]:
    """Attributes, by their names.

    Args:
        values: The attributes.
        span: Whose they are.
        place: What they are of: `attributes`, `resource`, or an event by its number.
    """
    return [
        (key, text_of(value, content_of_span(span.trace_id, span.span_id, ("of", place), ("key", key))))
        for key, value in sorted(values.items())
    ]


def value_in(span: Span, place: str, key: str) -> str | None:
    """The value that such a row of a table stands for, or None."""
    if place == "attributes":
        return span.attributes.get(key)
    if place == "resource":
        return span.resource.get(key)
    if place.isdecimal() and len(place) < 6 and int(place) < len(span.events):
        return span.events[int(place)].attributes.get(key)
    return None


def part_in(span: Span, message: int, part: int) -> Part | None:
    """The part that is shown under these numbers, or None."""
    found: list[Message] = messages_of(span.attributes, span.events)
    if message < len(found) and part < len(found[message].parts):
        return found[message].parts[part]
    return None


def bytes_of(media: Media) -> bytes | None:
    """What a part carries, or None where that is no base64."""
    text = media.data.translate(_URL_SAFE)
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except (binascii.Error, ValueError):
        return None


_URL_SAFE: Final = str.maketrans("-_", "+/")


def _file(media: Media | None, address: str) -> File | None:
    if media is None:
        return None
    is_outside = _OUTSIDE.fullmatch(media.uri) is not None
    return File(
        label=", ".join(_facts(media)),
        address=address if media.data else "",
        is_picture=bool(media.data) and media.mime_type.lower() in PICTURES,
        outside=media.uri if is_outside else "",
        points_to=(media.uri if not is_outside else "")[:MOST_VALUE_CHARACTERS]
        or media.file_id[:MOST_VALUE_CHARACTERS],
    )


def _facts(media: Media) -> Iterator[str]:
    yield media.mime_type or "of unknown type"
    if media.size is not None:
        yield formatting.size(media.size)
    if media.name:
        yield media.name
