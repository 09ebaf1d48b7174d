# SPDX-License-Identifier: Apache-2.0
"""Claude Code, the program that makes the calls of the Claude Agent SDK.

A call of a model has what is new in its request as one text, whose parts each begin with a line such as `[USER]` or
`[TOOL RESULT: toolu_1]`. Unless told to, the program writes `<REDACTED>` for what somebody asked.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.messages import exchanges, parts, values
from otel_loggedmodel.conventions.messages.message import Message, Part, Said, Source

_TYPE: Final = "span.type"
_NEW: Final = "new_context"
_HIDDEN: Final = "<REDACTED>"
_HEAD: Final = re.compile(r"(?:\A|\n)\[(USER|ASSISTANT|USER PROMPT|TOOL RESULT: [^\]\n]{1,200})\]\n")
_TOOL_INPUT: Final = re.compile(r"\A\[TOOL INPUT: [^\]\n]{1,200}\]\n")
_OUTPUT: Final = "tool.output"  # an event
_RESULT: Final = "TOOL RESULT: "


def _read(said: Said) -> Iterator[Message]:
    attributes = said.attributes
    kind = attributes.get(_TYPE)
    if kind == "interaction":
        asked = values.first_text(attributes, "user_prompt")
        if asked and asked != _HIDDEN:
            yield Message("user", (Part("text", asked),))
    elif kind == "llm_request":
        yield from _request(attributes)
    elif kind == "tool":
        yield from _tool(said)


def _request(attributes: Mapping[str, Any]) -> Iterator[Message]:
    instructions = values.first_text(attributes, "user_system_prompt")
    if instructions:
        yield Message("system", (Part("text", instructions),))
    for head, text in _pieces(values.first_text(attributes, _NEW)):
        if head.startswith(_RESULT):
            yield Message("tool", (_result(text, head.removeprefix(_RESULT)),))
        else:
            yield Message("assistant" if head == "ASSISTANT" else "user", (Part("text", text),))
    answer = values.first_text(attributes, "response.model_output")
    if answer:
        yield Message("assistant", (Part("text", answer),), is_output=True)


def _tool(said: Said) -> Iterator[Message]:
    arguments = _TOOL_INPUT.sub("", values.first_text(said.attributes, "tool_input"), count=1)
    yield from exchanges.said_by_step(values.parsed(arguments) or None, "user", is_output=False)
    found = next((values.first_text(one.attributes or {}, "output") for one in said.events if one.name == _OUTPUT), "")
    if not found:
        found = next((text for head, text in _pieces(values.first_text(said.attributes, _NEW))), "")
    if found:
        yield Message("tool", (_result(found, ""),), is_output=True)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Each part of what is new, by what its first line says; a text without such lines is the user's."""
    heads = list(_HEAD.finditer(text))
    if text and not heads:
        yield "USER", text
    for number, head in enumerate(heads):
        end = heads[number + 1].start() if number + 1 < len(heads) else len(text)
        yield head[1], text[head.end() : end].strip()


def _result(text: str, of_call: str) -> Part:
    """What a tool gave; blocks of text as one text."""
    (found,) = parts.parts_of({"type": "tool_result", "id": of_call, "content": text})[:1] or [Part("tool result", "")]
    return found


SOURCE: Final = Source(
    name="Claude Code",
    specification="https://code.claude.com/docs/en/monitoring-usage",
    since="2.1; 2.1.327 is recorded",
    read=_read,
)
