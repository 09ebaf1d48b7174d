# SPDX-License-Identifier: Apache-2.0
"""The messages between an application and a language model, in whichever convention a span has them.

One module for each convention, all of one shape: a `Source` that says where it is described, since when, and how it is
read. `SOURCES` is their order of precedence. What cannot be read as messages is given as the text that it is; nothing
that a span says makes this raise.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.conventions.messages import (
    claude_code,
    genai,
    genai_events,
    genkit,
    google_adk,
    langfuse,
    langsmith,
    litellm,
    logfire,
    mastra,
    mlflow,
    openinference,
    openllmetry,
    pydantic_ai,
    strands,
    values,
    vercel,
)
from otel_loggedmodel.conventions.messages.message import Event, Media, Message, Part, Said, Source

__all__ = ["SOURCES", "Event", "Media", "Message", "Part", "Said", "Source", "inputs_of", "messages_of", "outputs_of"]

# The first that says something counts, for what went in and for what came out. Messages come before values, which can
# be anything. A convention that several frameworks share comes before those of one.
SOURCES: Final[tuple[Source, ...]] = (
    genai.MESSAGES,
    strands.SOURCE,
    genai_events.SOURCE,
    logfire.EVENTS,
    openinference.MESSAGES,
    openllmetry.MESSAGES,
    pydantic_ai.SOURCE,
    vercel.SOURCE,
    mastra.SOURCE,
    genkit.SOURCE,
    google_adk.SOURCE,
    claude_code.SOURCE,
    genai.TOOLS,
    openinference.VALUES,
    openllmetry.VALUES,
    langfuse.SOURCE,
    langsmith.SOURCE,
    litellm.SOURCE,
    logfire.VALUES,
    mlflow.SOURCE,
)
_MOST: Final = 1000
_ABSENT: Final = object()


def messages_of(attributes: Mapping[str, Any], events: Sequence[Event] = ()) -> list[Message]:
    """The messages of a span, in order: what went in, then what came out; at most a thousand.

    Args:
        attributes: The span's attributes, as the SDK has them or as texts.
        events: The span's events.
    """
    said = Said(attributes, events)
    inputs: list[Message] = []
    outputs: list[Message] = []
    for source in SOURCES:
        found = list(source.read(said))
        inputs = _better(inputs, [message for message in found if not message.is_output])
        outputs = _better(outputs, [message for message in found if message.is_output])
        if _are_whole(inputs) and _are_whole(outputs):
            break
    return [*inputs, *outputs][:_MOST]


def inputs_of(attributes: Mapping[str, Any], events: Sequence[Event] = ()) -> Any:
    """What a step took: a value where the span says one, else its messages as `role` and `content`; or None.

    Args:
        attributes: The span's attributes, as the SDK has them or as texts.
        events: The span's events.
    """
    value = _first_value(attributes, [(source, key) for source in SOURCES for key in source.inputs])
    if value is not _ABSENT:
        return value
    return [_as_dict(one) for one in messages_of(attributes, events) if not one.is_output] or None


def outputs_of(attributes: Mapping[str, Any], events: Sequence[Event] = ()) -> Any:
    """What a step gave: a value where the span says one, else the text of the answer, else its messages; or None.

    Args:
        attributes: The span's attributes, as the SDK has them or as texts.
        events: The span's events.
    """
    value = _first_value(attributes, [(source, key) for source in SOURCES for key in source.outputs])
    if value is not _ABSENT:
        return value
    found = [one for one in messages_of(attributes, events) if one.is_output]
    texts = [part.text for part in found[-1].parts if part.kind == "text"] if found else []
    if texts:
        return "\n".join(texts)
    return [_as_dict(one) for one in found] or None


def _are_whole(messages: Sequence[Message]) -> bool:
    return _say_more_than_instructions(messages) and all(message.says_something for message in messages)


def _say_more_than_instructions(messages: Sequence[Message]) -> bool:
    return any(message.says_something and message.role != "system" for message in messages)


def _better(messages: list[Message], others: list[Message]) -> list[Message]:
    """The messages that are known so far; those of another convention where these say nothing.

    Some state instructions in one convention and the rest in another, or only the role of a message whose text is in
    another one.
    """
    if _say_more_than_instructions(messages):
        if len(messages) != len(others):
            return messages
        return [mine if mine.says_something else other for mine, other in zip(messages, others, strict=True)]
    if not any(message.says_something for message in others):
        return messages
    told = [message for message in messages if message.says_something]
    return others if any(message.role == "system" for message in others) else [*told, *others]


def _first_value(attributes: Mapping[str, Any], keys: Sequence[tuple[Source, str]]) -> Any:
    for source, key in keys:
        if key in attributes:
            is_json = source.is_json or attributes.get(key.replace(".value", ".mime_type")) == "application/json"
            return (values.whole_json if is_json else values.parsed)(attributes[key])
    return _ABSENT


def _as_dict(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": "\n".join(part.text for part in message.parts if part.text)}
