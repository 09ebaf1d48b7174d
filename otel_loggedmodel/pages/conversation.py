# SPDX-License-Identifier: Apache-2.0
"""The messages between an application and a language model, in whichever of the conventions a span has them.

- OpenTelemetry GenAI (https://github.com/open-telemetry/semantic-conventions-genai): `gen_ai.input.messages`,
  `gen_ai.output.messages` and `gen_ai.system_instructions`, on the span or on an event; and the events of its earlier
  releases, one for each message.
- OpenInference (https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md):
  `llm.input_messages.N.message.*`, and `input.value` where there are no messages.
- OpenLLMetry (https://github.com/traceloop/openllmetry): `gen_ai.prompt.N.*`, `gen_ai.completion.N.*`.

What cannot be read as messages is shown as the text that it is.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_loggedmodel.store.results import Span

_MOST_MESSAGES: Final = 1000
_EVENT_ROLES: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}
_TEXT_EVENTS: Final = {
    "gen_ai.content.prompt": ("gen_ai.prompt", False),
    "gen_ai.content.completion": ("gen_ai.completion", True),
}
_NUMBERED: Final = re.compile(
    r"(?:llm\.(?P<direction>input|output)_messages\.(?P<place>\d{1,6})\.message"
    r"|gen_ai\.(?P<kind>prompt|completion)\.(?P<number>\d{1,6}))\.(?P<rest>.+)",
    re.DOTALL,
)
_TOOL_CALL: Final = re.compile(r"tool_calls\.(\d{1,6})\.(?:tool_call\.)?(?:function\.)?(name|arguments|id)")
_CONTENT: Final = re.compile(r"contents\.(\d{1,6})\.message_content\.(type|text|image\.image\.url)")
_PLAIN: Final = (
    (("input.value", "traceloop.entity.input", "gen_ai.prompt"), "input", False),
    (("output.value", "traceloop.entity.output", "gen_ai.completion"), "output", True),
)


@dataclass(frozen=True)
class Part:
    """A part of a message.

    Attributes:
        kind: `text`, `reasoning`, `tool call`, `tool result`, or what else it says it is.
        text: What to read.
        name: Of the tool.
    """

    kind: str
    text: str
    name: str = ""


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes:
        role: Who says it.
        parts: What is said.
        is_output: Whether the model said it in this call.
    """

    role: str
    parts: tuple[Part, ...]
    is_output: bool = False


def messages_of(span: Span) -> list[Message]:
    """The messages of a span, in order; those of the first convention that it has."""
    sources = [span.attributes, *(event.attributes for event in span.events)]
    for found in (
        [message for attributes in sources for message in _of_genai(attributes)],
        list(_of_events(span)),
        list(_numbered(span.attributes)),
        list(_plain(span.attributes)),
    ):
        if found:
            return found[:_MOST_MESSAGES]
    return []


def _of_genai(attributes: Mapping[str, str]) -> Iterator[Message]:
    instructions = attributes.get("gen_ai.system_instructions")
    if instructions:
        yield Message("system", tuple(_parts(_parsed(instructions))))
    for key, role, is_output in (
        ("gen_ai.input.messages", "user", False),
        ("gen_ai.output.messages", "assistant", True),
    ):
        text = attributes.get(key)
        if text:
            yield from _messages(_parsed(text), role, is_output)


def _messages(value: Any, role: str, is_output: bool) -> Iterator[Message]:
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            yield Message(role, tuple(_parts(one)), is_output)
            continue
        parts = [*_parts(one["parts"] if "parts" in one else one.get("content"))]
        parts += [_tool_call(call) for call in _list(one.get("tool_calls"))]
        yield Message(str(one.get("role") or role), tuple(parts), is_output)


def _of_events(span: Span) -> Iterator[Message]:
    for event in span.events:
        role = _EVENT_ROLES.get(event.name)
        if role is not None:
            is_output = event.name == "gen_ai.choice"
            inner = _parsed(event.attributes.get("message", ""))
            content = event.attributes.get("content") or event.attributes.get("gen_ai.event.content")
            said = inner if isinstance(inner, dict) else {"content": _parsed(content or "")}
            calls = _list(_parsed(event.attributes.get("tool_calls", "")))
            yield from _messages({"role": role, "tool_calls": calls, **said}, role, is_output)
        elif event.name in _TEXT_EVENTS:
            key, is_output = _TEXT_EVENTS[event.name]
            text = event.attributes.get(key)
            if text:
                yield from _messages(_parsed(text), "assistant" if is_output else "user", is_output)


def _numbered(attributes: Mapping[str, str]) -> Iterator[Message]:
    found: dict[tuple[bool, int], dict[str, str]] = defaultdict(dict)
    for key, value in attributes.items():
        match = _NUMBERED.fullmatch(key)
        if match is not None:
            is_output = match["direction"] == "output" or match["kind"] == "completion"
            found[is_output, int(match["place"] or match["number"])][match["rest"]] = value
    for (is_output, _), fields in sorted(found.items()):
        parts = [*_parts(_parsed(fields.get("content", "")))] if fields.get("content") else []
        parts += _numbered_parts(fields)
        role = fields.get("role") or ("assistant" if is_output else "user")
        yield Message(role, tuple(parts), is_output)


def _numbered_parts(fields: Mapping[str, str]) -> Iterator[Part]:
    contents: dict[int, dict[str, str]] = defaultdict(dict)
    calls: dict[int, dict[str, str]] = defaultdict(dict)
    for key, value in fields.items():
        if match := _CONTENT.fullmatch(key):
            contents[int(match[1])][match[2]] = value
        elif match := _TOOL_CALL.fullmatch(key):
            calls[int(match[1])][match[2]] = value
    for _, content in sorted(contents.items()):
        yield Part(content.get("type", "text"), content.get("text") or content.get("image.image.url", ""))
    for _, call in sorted(calls.items()):
        yield _tool_call(call)


def _plain(attributes: Mapping[str, str]) -> Iterator[Message]:
    for keys, role, is_output in _PLAIN:
        text = next((attributes[key] for key in keys if attributes.get(key)), None)
        if text is not None:
            yield Message(role, (Part("text", _pretty(_parsed(text))),), is_output)


def _parts(value: Any) -> Iterator[Part]:
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            if one not in (None, ""):
                yield Part("text", _pretty(one))
            continue
        kind = str(one.get("type", "text"))
        if kind in ("tool_call", "tool_use", "function_call", "function"):
            yield _tool_call(one)
        elif kind in ("tool_call_response", "tool_result", "function_call_output"):
            said = next((one[key] for key in ("response", "result", "content", "output") if key in one), "")
            yield Part("tool result", _pretty(said), str(one.get("id") or one.get("tool_use_id") or ""))
        else:
            text = next((one[key] for key in ("content", "text", "thinking", "reasoning") if key in one), None)
            known = kind.replace("output_text", "text").replace("input_text", "text").replace("_", " ")
            yield Part(known, _pretty(one if text is None else text))


def _tool_call(value: Any) -> Part:
    if not isinstance(value, dict):
        return Part("tool call", _pretty(value))
    function = value["function"] if isinstance(value.get("function"), dict) else value
    arguments = next((function[key] for key in ("arguments", "input") if key in function), "")
    return Part("tool call", _pretty(_parsed(arguments)), str(function.get("name", "")))


def _parsed(text: Any) -> Any:
    """JSON that is a list or an object; any other text is itself."""
    if isinstance(text, str) and text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _pretty(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return str(value)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
