# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs as people read them: what was asked and what was answered, in a line, without the JSON around."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.conventions.messages import Message, messages_of
from otel_loggedmodel.conventions.messages.message import Event
from otel_loggedmodel.conventions.table import places_of
from otel_loggedmodel.conventions.things import Thing

# Where frameworks keep what was said, the likeliest first.
_ASKED: Final = ("question", "input", "inputs", "query", "prompt", "message", "messages", "text", "content")
_ANSWERED: Final = ("answer", "output", "outputs", "response", "result", "message", "messages", "text", "content")
_SAID: Final = ("content", "text", "parts", "message", "value", "arguments", "response", "result")
_ROLES: Final = ("user", "human", "assistant", "ai", "system")
_MOST_DEPTH: Final = 8


def asked(text: str | None) -> str:
    """What somebody asked, from a span's input: its last message of a user, or its only text."""
    return _preview(text, _ASKED, "user")


def answered(text: str | None) -> str:
    """What was answered, from a span's output."""
    return _preview(text, _ANSWERED, "assistant")


def asked_in(attributes: Mapping[str, str], events: Sequence[Event] = ()) -> str:
    """What a span says that somebody asked: in its input, else in its messages."""
    return _plain(_first(attributes, Thing.INPUT, asked), attributes, events, is_output=False)


def answered_in(attributes: Mapping[str, str], events: Sequence[Event] = ()) -> str:
    """What a span says that was answered: in its output, else in its messages."""
    return _plain(_first(attributes, Thing.OUTPUT, answered), attributes, events, is_output=True)


def _plain(found: str, attributes: Mapping[str, str], events: Sequence[Event], *, is_output: bool) -> str:
    """What was found, if it is plain text. JSON that is left may be a framework's own, of which messages are known."""
    if _is_plain(found):
        return found
    said = _said_by(messages_of(attributes, events), is_output=is_output)
    return said if _is_plain(said) else found or said


def _is_plain(text: str) -> bool:
    return bool(text) and text[0] not in "{["


def _first(attributes: Mapping[str, str], thing: Thing, read: Callable[[str | None], str]) -> str:
    values = (attributes.get(place.attribute) for place in places_of(thing) if not place.path)
    return next(filter(None, map(read, values)), "")


def _said_by(messages: Sequence[Message], *, is_output: bool) -> str:
    """The text of the last message of the user, or of the last answer; a call of a tool where it has no text."""
    for message in reversed(messages):
        if message.is_output == is_output and (is_output or message.role == "user"):
            texts = [part.text for part in message.parts if part.kind == "text" and part.text]
            said = "\n".join(texts) or next((f"{part.name} {part.text}" for part in message.parts if part.name), "")
            if said.strip():
                return said.strip()
    return ""


def _preview(text: str | None, keys: Sequence[str], role: str) -> str:
    if not text:
        return ""
    stripped = text.strip()
    if stripped[:1] not in ("{", "[", '"'):
        return stripped
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        # It may have been cut off.
        return stripped
    return _said(value, keys, role, 0).strip() or stripped


def _said(value: Any, keys: Sequence[str], role: str, depth: int) -> str:
    if isinstance(value, str):
        return value
    if value is None or depth > _MOST_DEPTH:
        return ""
    if isinstance(value, Mapping):
        return _said_in(value, keys, role, depth)
    if isinstance(value, Sequence):
        return _said_last(value, keys, role, depth)
    return json.dumps(value)


def _said_in(value: Mapping[str, Any], keys: Sequence[str], role: str, depth: int) -> str:
    for key in (*keys, *_SAID):
        said = _said(value[key], keys, role, depth + 1) if value.get(key) else ""
        if said:
            return said
    if len(value) == 1:
        return _said(next(iter(value.values())), keys, role, depth + 1)
    return json.dumps(value, ensure_ascii=False)


def _said_last(values: Sequence[Any], keys: Sequence[str], role: str, depth: int) -> str:
    """The last message of that role; all of the values if they are parts and no messages."""
    if any(isinstance(one, Mapping) and "role" in one for one in values):
        by_role = [one for one in values if isinstance(one, Mapping) and one.get("role") == role]
        for one in reversed(by_role or [one for one in values if isinstance(one, Mapping)]):
            said = _said(one, _SAID, role, depth + 1)
            if said:
                return said
        return ""
    if len(values) == 2 and values[0] in _ROLES and isinstance(values[1], str):
        # LangChain's short form of a message.
        return values[1]
    if values and all(isinstance(one, Mapping) and isinstance(one.get("type"), str) for one in values):
        values = [one for one in values if one["type"] in ("text", "input_text", "output_text")] or values
    return "\n".join(filter(None, (_said(one, keys, role, depth + 1) for one in values)))
