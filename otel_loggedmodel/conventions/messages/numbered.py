# SPDX-License-Identifier: Apache-2.0
"""Messages whose fields are attributes by themselves, each with the number of its message in its name."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from otel_loggedmodel.conventions.messages import parts, values
from otel_loggedmodel.conventions.messages.message import Media, Message, Part

_NUMBER: Final = re.compile(r"(\d{1,6})\.(.+)", re.DOTALL)
_TOOL_CALL: Final = re.compile(r"tool_calls\.(\d{1,6})\.(?:tool_call\.)?(?:function\.)?(name|arguments|id)")
# OpenInference for the Claude Agent SDK numbers the texts of an answer.
_TEXT: Final = re.compile(r"content\.(\d{1,6})")
_RESULT: Final = re.compile(r"function\.(\d{1,6})")
_CONTENT: Final = re.compile(
    r"contents\.(\d{1,6})\.message_content\.(type|text|id|data|signature|(?:image|audio|video)\.(?:image|audio|video)?\.?(?:url|mime_type))"
)


@dataclass(frozen=True)
class Form:
    """How the attributes of such messages are called.

    Attributes:
        inputs: Stands before the number of a message that went in.
        outputs: Stands before the number of one that came out.
        infix: Stands after the number.
    """

    inputs: str
    outputs: str
    infix: str


def read(attributes: Mapping[str, Any], form: Form) -> Iterator[Message]:
    """The messages in the order of their numbers, those that went in first."""
    for prefix, role, is_output in ((form.inputs, "user", False), (form.outputs, "assistant", True)):
        found: dict[int, dict[str, Any]] = defaultdict(dict)
        for key, value in attributes.items():
            match = _NUMBER.fullmatch(key[len(prefix) :]) if key.startswith(prefix) else None
            if match is not None and match[2].startswith((form.infix, "function.")):
                found[int(match[1])][match[2].removeprefix(form.infix)] = value
        for _, fields in sorted(found.items()):
            said_role = fields.get("role")
            yield Message(
                said_role if isinstance(said_role, str) and said_role else role, tuple(_parts(fields)), is_output
            )


def _parts(fields: Mapping[str, Any]) -> Iterator[Part]:
    contents: dict[int, dict[str, Any]] = defaultdict(dict)
    calls: dict[int, dict[str, Any]] = defaultdict(dict)
    for key, value in fields.items():
        if match := _CONTENT.fullmatch(key):
            contents[int(match[1])][match[2]] = value
        elif match := _TOOL_CALL.fullmatch(key):
            calls[int(match[1])][match[2]] = value
    if isinstance(fields.get("reasoning_content"), str):
        yield from parts.parts_of({"type": "reasoning", "content": fields["reasoning_content"]})
    yield from parts.parts_of(fields.get("content"))
    texts = sorted((int(match[1]), value) for key, value in fields.items() if (match := _TEXT.fullmatch(key)))
    for _, text in texts:
        yield from parts.parts_of(text)
    for _, content in sorted(contents.items()):
        yield from _content(content)
    if fields.get("function_call_name"):
        yield parts.tool_call(
            {"name": fields["function_call_name"], "arguments": fields.get("function_call_arguments_json", "")}
        )
    for _, call in sorted(calls.items()):
        yield parts.tool_call(call)
    # What tools gave to AutoGen's agents, each as JSON.
    results = sorted((int(match[1]), value) for key, value in fields.items() if (match := _RESULT.fullmatch(key)))
    for _, result in results:
        one = values.parsed(result)
        yield from parts.parts_of({"type": "tool_result", **one} if isinstance(one, dict) else one)


def _content(content: Mapping[str, Any]) -> Iterator[Part]:
    for kind in ("image", "audio", "video"):
        address = next((value for key, value in content.items() if key.startswith(kind) and key.endswith("url")), None)
        if isinstance(address, str) and address:
            found = parts.parts_of({"type": kind, kind: address, "mime_type": content.get(f"{kind}.mime_type")})
            yield from found or [Part(kind, "", media=Media(uri=address))]
            return
    yield from parts.parts_of({"type": content.get("type", "text"), "text": values.pretty(content.get("text", ""))})
