# SPDX-License-Identifier: Apache-2.0
"""The messages between an application and a language model, in whichever of the conventions a span has them.

- OpenTelemetry GenAI (https://github.com/open-telemetry/semantic-conventions-genai): `gen_ai.input.messages`,
  `gen_ai.output.messages` and `gen_ai.system_instructions`, on the span or on an event; and the events of its earlier
  releases, one for each message.
- OpenInference (https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md):
  `llm.input_messages.N.message.*`, and `input.value` where there are no messages.
- OpenLLMetry (https://github.com/traceloop/openllmetry): `gen_ai.prompt.N.*`, `gen_ai.completion.N.*`.
- MLflow's tracing SDK (https://github.com/mlflow/mlflow/tree/master/mlflow/tracing): `mlflow.spanInputs` and
  `mlflow.spanOutputs`, which are what a function took and gave, or a provider's request and response.

What cannot be read as messages is shown as the text that it is.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_loggedmodel.conventions import mlflow_spans
from otel_loggedmodel.store.trace_results import Span

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
    (("input.value", "traceloop.entity.input", "gen_ai.prompt", "gen_ai.tool.call.arguments"), "input", False),
    (("output.value", "traceloop.entity.output", "gen_ai.completion", "gen_ai.tool.call.result"), "output", True),
)
# Parts that say by a key what they are: of Bedrock's Converse and of Gemini.
_KINDS_BY_KEY: Final = {
    "toolUse": "tool_use",
    "toolResult": "tool_result",
    "function_call": "function_call",
    "function_response": "tool_result",
}
# Keys of a request that hold messages: of OpenAI, Anthropic, Bedrock and others; of Gemini; of OpenAI's Responses.
_REQUEST_KEYS: Final = ("messages", "contents", "input")
_INSTRUCTION_KEYS: Final = ("system", "instructions")
# Which call or tool a result is of, by provider.
_RESULT_OF_KEYS: Final = ("id", "tool_use_id", "toolUseId", "call_id", "name")
_ITEM_ROLES: Final = {"function_call": "assistant", "function_call_output": "tool"}


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
        list(_of_mlflow(span.attributes)),
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


def _of_mlflow(attributes: Mapping[str, str]) -> Iterator[Message]:
    is_call = mlflow_spans.text_of(attributes, mlflow_spans.SPAN_TYPE) in ("CHAT_MODEL", "LLM")
    for key, role, said, plain_role in (
        (mlflow_spans.INPUTS, "user", _asked, "input"),
        (mlflow_spans.OUTPUTS, "assistant", _answered, "output"),
    ):
        value = mlflow_spans.value_of(attributes, key)
        if value is None:
            continue
        is_output = plain_role == "output"
        items = said(value) if is_call else []
        if not items:
            yield Message(plain_role, (Part("text", _pretty(value)),), is_output)
        for item_role, item in items:
            yield from _messages(item, item_role or role, is_output)


def _asked(request: Any) -> list[tuple[str, Any]]:
    """The messages of a request to a model, each with a role that it has by its place."""
    if not isinstance(request, dict):
        return [("", one) for one in (request if isinstance(request, list) else [request])]
    config = request["config"] if isinstance(request.get("config"), dict) else {}
    told = [*(request.get(key) for key in _INSTRUCTION_KEYS), config.get("system_instruction")]
    found = [("system", one if isinstance(one, dict) and "parts" in one else {"content": one}) for one in told if one]
    for key in _REQUEST_KEYS:
        value = request.get(key)
        found += [("", _as_message(one)) for one in (value if isinstance(value, list) else [value]) if one]
    return found


def _answered(response: Any) -> list[tuple[str, Any]]:
    """The messages of a model's response, likewise."""
    if not isinstance(response, dict):
        return [("", response)]
    if "content" in response:
        return [("", response)]
    choices = [one.get("message") for one in _list(response.get("choices")) if isinstance(one, dict)]
    candidates = [one.get("content") for one in _list(response.get("candidates")) if isinstance(one, dict)]
    output = response.get("output")
    of_bedrock = [output.get("message")] if isinstance(output, dict) else []
    return [("", _as_message(one)) for one in (*choices, *candidates, *_list(output), *of_bedrock) if one]


def _as_message(item: Any) -> Any:
    """An item of a request or response as a message: those of OpenAI's Responses can be a part by themselves."""
    if not isinstance(item, dict) or {"role", "content", "parts", "tool_calls"} & item.keys():
        return item
    return {"role": _ITEM_ROLES.get(str(item.get("type"))), "content": [item]}


def _parts(value: Any) -> Iterator[Part]:
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            if one not in (None, ""):
                yield Part("text", _pretty(one))
            continue
        if "type" not in one:
            key = next((key for key in _KINDS_BY_KEY if isinstance(one.get(key), dict)), None)
            one = one if key is None else {"type": _KINDS_BY_KEY[key], **one[key]}  # noqa: PLW2901
        kind = str(one.get("type", "text"))
        if kind in ("tool_call", "tool_use", "function_call", "function"):
            yield _tool_call(one)
        elif kind in ("tool_call_response", "tool_result", "function_call_output"):
            said = next((one[key] for key in ("response", "result", "content", "output") if key in one), "")
            of_call = next((one[key] for key in _RESULT_OF_KEYS if one.get(key)), "")
            yield Part("tool result", _said_by_tool(said), str(of_call))
        else:
            text = next((one[key] for key in ("content", "text", "thinking", "reasoning") if key in one), None)
            known = kind.replace("output_text", "text").replace("input_text", "text").replace("_", " ")
            yield Part(known, _pretty(one if text is None else text))


def _said_by_tool(value: Any) -> str:
    """What a tool gave back: a text, several, or anything."""
    blocks = [one.get("text") for one in _list(value) if isinstance(one, dict)]
    texts = [text for text in blocks if isinstance(text, str)]
    return "\n".join(texts) if texts and len(texts) == len(value) else _pretty(value)


def _tool_call(value: Any) -> Part:
    if not isinstance(value, dict):
        return Part("tool call", _pretty(value))
    function = value["function"] if isinstance(value.get("function"), dict) else value
    arguments = next((function[key] for key in ("arguments", "input", "args") if key in function), "")
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
