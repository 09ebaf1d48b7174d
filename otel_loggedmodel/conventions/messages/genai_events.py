# SPDX-License-Identifier: Apache-2.0
"""Events of the GenAI conventions' earlier releases, one for each message, on the span.

A message's text is in `content`, an answer in `message`, with `tool_calls` beside or in it. Azure's AI inference has
all of it in `gen_ai.event.content`; OpenLLMetry, before it had messages, in `gen_ai.prompt` and `gen_ai.completion`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.messages import conversation, parts, values
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_ROLES: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}
_TEXTS: Final = {
    "gen_ai.content.prompt": ("gen_ai.prompt", "user"),
    "gen_ai.content.completion": ("gen_ai.completion", "assistant"),
}


def read_one(name: str, fields: Mapping[str, Any]) -> list[Message]:
    """The message of an event; none where it is another kind of event.

    Args:
        name: The event's name.
        fields: Its attributes.
    """
    if name in _TEXTS:
        key, role = _TEXTS[name]
        return conversation.read(fields.get(key), role, is_output=role == "assistant")
    role = _ROLES.get(name, "")
    if not role:
        return []
    is_output = name == "gen_ai.choice"
    body = _body(fields)
    calls = values.parsed(fields.get("tool_calls"))
    message = {"role": fields.get("role") or role, "tool_calls": calls if isinstance(calls, list) else None, **body}
    found = conversation.read(message, role, is_output=is_output)
    result = values.first_of(fields, "tool.result")
    if result is not None:
        # Strands says beside a call what came of it.
        found.append(Message("tool", tuple(parts.parts_of(values.parsed(result))), is_output))
    return found


def _body(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in ("message", "gen_ai.event.content", "content"):
        value = values.first_of(fields, key)
        if value is None:
            continue
        inner = values.parsed(value)
        if isinstance(inner, Mapping) and isinstance(inner.get("message"), Mapping):
            inner = inner["message"]
        if isinstance(inner, Mapping) and ({"role", "content", "parts", "tool_calls"} & inner.keys()):
            return inner
        return {"content": inner if isinstance(inner, list) else value}
    return {}


def _read(said: Said) -> Iterator[Message]:
    for event in said.events:
        yield from read_one(event.name, event.attributes or {})


SOURCE: Final = Source(
    name="OpenTelemetry GenAI, events",
    specification="https://github.com/open-telemetry/semantic-conventions/blob/v1.36.0/docs/gen-ai/gen-ai-events.md",
    since="semantic conventions 1.28.0; deprecated in 1.37.0, and still the default of several instrumentations",
    read=_read,
)
