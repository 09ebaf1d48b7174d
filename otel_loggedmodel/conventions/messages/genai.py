# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's GenAI conventions: messages as attributes, of the span or of an event on it.

Also what a tool was called with and gave back, on the spans of tools. Written as structured values where the SDK can,
as JSON elsewhere.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.messages import conversation, exchanges, values
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_SPECIFICATION: Final = (
    "https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md"
)
_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
_RESULT: Final = "gen_ai.tool.call.result"


def _read(said: Said) -> Iterator[Message]:
    for attributes in (said.attributes, *(event.attributes or {} for event in said.events)):
        yield from _of(attributes)


def _of(attributes: Mapping[str, Any]) -> Iterator[Message]:
    for key, role, is_output in (
        ("gen_ai.system_instructions", "system", False),
        ("gen_ai.input.messages", "user", False),
        ("gen_ai.output.messages", "assistant", True),
    ):
        yield from conversation.read(attributes.get(key), role, is_output=is_output)


def _read_tool(said: Said) -> Iterator[Message]:
    yield from exchanges.said_by_step(values.first_of(said.attributes, _ARGUMENTS), "user", is_output=False)
    yield from exchanges.said_by_step(values.first_of(said.attributes, _RESULT), "tool", is_output=True)


MESSAGES: Final = Source(
    name="OpenTelemetry GenAI",
    specification=_SPECIFICATION,
    since="semantic conventions 1.37.0; structured values in semantic-conventions-genai 0.1.0",
    read=_read,
)
TOOLS: Final = Source(
    name="OpenTelemetry GenAI, tools",
    specification=f"{_SPECIFICATION}#execute-tool-span",
    since="semantic conventions 1.38.0",
    read=_read_tool,
    inputs=(_ARGUMENTS,),
    outputs=(_RESULT,),
)
