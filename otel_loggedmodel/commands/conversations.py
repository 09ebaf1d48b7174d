# SPDX-License-Identifier: Apache-2.0
"""The messages of a trace on a terminal, and as JSON."""

from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from otel_loggedmodel.conventions.messages import Media, Message, Part, messages_of
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.spans import in_tree_order
from otel_loggedmodel.presenting.texts import clean, clean_lines
from otel_loggedmodel.store.trace_results import Span, Trace

# What scrolls by without an end is not read; `--json` has all of it.
_MOST_CHARACTERS: Final = 4_000
_MOST_LOOKED_AT: Final = 200


def conversations(trace: Trace) -> list[RenderableType]:
    """The messages of each span that has some, in the order of the tree."""
    found: list[RenderableType] = []
    for span, _ in in_tree_order(trace.spans, None, lambda _, __: None):
        messages = messages_of(span.attributes, span.events)
        if messages:
            found.append(Text.assemble("\n", (clean(span.name), "bold"), f"  {clean(span.span_id)}"))
            found += [_message(message) for message in messages]
    return found or [Text("No span of this trace has messages.", "dim")]


def have_messages(trace: Trace) -> bool:
    """Whether one of the first spans of a trace has messages."""
    return any(messages_of(span.attributes, span.events) for span in trace.spans[:_MOST_LOOKED_AT])


def as_json(span: Span) -> list[dict[str, Any]]:
    """The messages of a span. What is no text comes without its content, which the attributes have."""
    return [
        {
            "role": message.role,
            "is_output": message.is_output,
            "is_cut": message.is_cut,
            "parts": [_part_as_json(part) for part in message.parts],
        }
        for message in messages_of(span.attributes, span.events)
    ]


def _message(message: Message) -> Text:
    text = Text.assemble("  ", (clean(message.role), "cyan"), (" answered" if message.is_output else "", "dim"))
    for part in message.parts:
        if part.kind != "text":
            text.append(f"\n    {clean(' '.join(filter(None, (part.kind, part.name))))}", "dim")
        if part.text:
            shown = clean_lines(part.text[:_MOST_CHARACTERS])
            text.append("\n    " + shown.replace("\n", "\n    "))
            if len(part.text) > _MOST_CHARACTERS:
                more = formatting.count(len(part.text) - _MOST_CHARACTERS)
                text.append(f"\n    ... {more} more characters: --json has them", "dim")
        if part.media is not None:
            text.append(f"\n    {clean(_told(part.media))}")
    if message.is_cut:
        text.append("\n    (cut off here: the span has no more of it)", "dim")
    return text


def _told(media: Media) -> str:
    facts = [media.mime_type or "of unknown type", media.name, media.uri[:_MOST_CHARACTERS], media.file_id]
    if media.size is not None:
        facts.insert(1, formatting.size(media.size))
    return ", ".join(filter(None, facts))


def _part_as_json(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": part.kind, "text": part.text, "name": part.name}
    if part.media is not None:
        media = part.media
        found["media"] = {
            "mime_type": media.mime_type,
            "size": media.size,
            "uri": media.uri,
            "file_id": media.file_id,
            "name": media.name,
        }
    return found
