# SPDX-License-Identifier: Apache-2.0
"""Strands Agents, in the form that it writes by default.

The events are those of the GenAI conventions' earlier releases, but an answer's `message` is a list of Bedrock's
content blocks, or plain text on the span of an agent. On the span of a tool they hold its arguments and its result.
"""

from collections.abc import Iterator
from typing import Any, Final

from otel_loggedmodel.conventions.messages import exchanges, genai_events, parts, values
from otel_loggedmodel.conventions.messages.message import Message, Part, Said, Source


def _read(said: Said) -> Iterator[Message]:
    if said.attributes.get("gen_ai.system") != "strands-agents":
        return
    is_tool = said.attributes.get("gen_ai.operation.name") == "execute_tool"
    for event in said.events:
        fields = event.attributes or {}
        if is_tool and event.name == "gen_ai.tool.message":
            yield from exchanges.said_by_step(fields.get("content"), "user", is_output=False)
        elif is_tool and event.name == "gen_ai.choice":
            yield Message("output", (_result(fields.get("message")),), is_output=True)
        else:
            yield from genai_events.read_one(event.name, fields)


def _result(value: Any) -> Part:
    """What a tool gave: Bedrock's blocks of text as one text."""
    found = parts.parts_of(value)
    if found and all(part.kind == "text" for part in found):
        return Part("text", "\n".join(part.text for part in found))
    return Part("text", values.pretty(values.parsed(value)))


SOURCE: Final = Source(
    name="Strands Agents",
    specification="https://github.com/strands-agents/sdk-python/blob/main/src/strands/telemetry/tracer.py",
    since="strands-agents 0.1; 1.62.0 is recorded",
    read=_read,
)
