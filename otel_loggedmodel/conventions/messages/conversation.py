# SPDX-License-Identifier: Apache-2.0
"""Values that are messages: one or several, as JSON or as maps, in the forms that conventions and libraries have.

Most have a role, with `parts` or `content`, and `tool_calls` beside them. LangChain writes its own objects
(https://github.com/langchain-ai/langchain/blob/master/libs/core/langchain_core/messages/base.py), OpenAI's Responses
have items that are parts by themselves (https://platform.openai.com/docs/api-reference/responses).
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.messages import parts, values
from otel_loggedmodel.conventions.messages.message import Message, Part

MOST: Final = 1000
_DEEPEST: Final = 6

_ITEM_ROLES: Final = {
    **dict.fromkeys(("function_call", "custom_tool_call", "mcp_call", "reasoning"), "assistant"),
    **dict.fromkeys(("function_call_output", "function_call_result", "custom_tool_call_output"), "tool"),
}
_LANGCHAIN_ROLES: Final = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
    "developer": "developer",
    "AIMessageChunk": "assistant",
    "HumanMessageChunk": "user",
}
_LANGCHAIN_CLASSES: Final = {
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "tool",
}
_PAIR_ROLES: Final = frozenset({"user", "human", "assistant", "ai", "system", "developer", "placeholder"})
_BODY: Final = ("parts", "content", "contents", "tool_calls", "toolCalls", "function_call")
_REASONING: Final = ("reasoning_content", "reasoning", "thinking", "reasoningText")


def read(value: Any, role: str, *, is_output: bool = False) -> list[Message]:
    """The messages that a value is.

    Args:
        value: The value of an attribute or a field.
        role: The role of messages that say none.
        is_output: Whether the model said them in this call.
    """
    if value is None or value == "":
        return []
    found, is_cut = values.parsed_as_far(value)
    messages = list(itertools.islice(_messages(found, role, is_output, 0), MOST))
    if not is_cut:
        return messages
    if not isinstance(_first(found), Mapping) or not any(message.says_something for message in messages):
        # A text that only begins like JSON.
        return [Message(role, (Part("text", str(value)),), is_output)]
    return [*messages[:-1], dataclasses.replace(messages[-1], is_cut=True)]


def _first(value: Any) -> Any:
    while isinstance(value, list) and value:
        value = value[0]
    return value


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of messages and cannot be anything else."""
    if not isinstance(value, list) or not value:
        return False
    if all(map(_is_pair, value)):
        return True
    if len(value) == 1 and isinstance(value[0], list):
        return is_conversation(value[0])
    return all(map(is_message, value))


def is_message(value: Any) -> bool:
    """Whether a value is a message: a role or an object of LangChain, with a body."""
    if not isinstance(value, Mapping):
        return False
    one, role = _unwrapped(value)
    if role is not None:
        return True
    if isinstance(one.get("role"), str) and any(key in one for key in _BODY):
        return True
    return str(one.get("type")) in _ITEM_ROLES and ("call_id" in one or "callId" in one)


def _messages(value: Any, role: str, is_output: bool, depth: int) -> Iterator[Message]:
    if isinstance(value, list):
        if value and all(map(_is_bare_part, value)):
            yield Message(role, tuple(parts.parts_of(value)), is_output)
            return
        for one in value:
            # Several in a list of lists: LangChain's batches, and arrays whose items are JSON.
            inner = values.parsed(one)
            is_more = (isinstance(one, list) and not _is_pair(one)) or (
                isinstance(one, str) and (is_message(inner) or is_conversation(inner))
            )
            if is_more and depth < _DEEPEST:
                yield from _messages(inner, role, is_output, depth + 1)
            else:
                yield _message(one, role, is_output)
    elif value not in (None, ""):
        yield _message(value, role, is_output)


def _is_pair(value: Any) -> bool:
    """Whether a value is a role and a text: LangChain's short form."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(one, str) for one in value)
        and value[0] in _PAIR_ROLES
    )


def _message(value: Any, role: str, is_output: bool) -> Message:
    if _is_pair(value):
        return Message(_LANGCHAIN_ROLES.get(value[0], value[0]), tuple(parts.parts_of(value[1])), is_output)
    if not isinstance(value, Mapping):
        return Message(role, tuple(parts.parts_of(value)), is_output)
    one, of_class = _unwrapped(value)
    item_role = _ITEM_ROLES.get(str(one.get("type")))
    if item_role is not None and "role" not in one:
        return Message(item_role, tuple(parts.parts_of(one)), is_output)
    said_role = one.get("role")
    role = of_class or (said_role if isinstance(said_role, str) and said_role else role)
    return Message(role, tuple(_said(one)), is_output)


def _said(one: Mapping[str, Any]) -> list[Part]:
    if not any(key in one for key in ("role", *_BODY)):
        return parts.parts_of(dict(one))
    found = [Part("reasoning", text) for key in _REASONING if isinstance(text := one.get(key), str) and text][:1]
    found += next((some for key in ("parts", "content", "contents") if (some := parts.parts_of(one.get(key)))), [])
    if not found:
        # Some have the text by other names: a sound's transcript, a refusal.
        sound = one["audio"].get("transcript") if isinstance(one.get("audio"), Mapping) else None
        found = [Part("text", text) for text in (one.get("text"), sound) if isinstance(text, str) and text]
    if isinstance(one.get("refusal"), str) and one["refusal"]:
        found.append(Part("refusal", one["refusal"]))
    more = one["additional_kwargs"] if isinstance(one.get("additional_kwargs"), Mapping) else {}
    calls = next((some for key in ("tool_calls", "toolCalls") if (some := _calls(one.get(key)))), None)
    calls = calls or _calls(more.get("tool_calls"))
    if isinstance(one.get("function_call"), Mapping):
        calls = [*calls, one["function_call"]]
    # Some name a call twice: as a part, and beside the parts.
    known = {(part.name, part.text) for part in found if part.kind == "tool call"}
    for call in map(parts.tool_call, calls):
        if (call.name, call.text) not in known:
            found.append(call)
    return found


def _calls(value: Any) -> list[Any]:
    found = values.parsed(value)
    return [values.parsed(one) for one in (found if isinstance(found, list) else [])]


def _unwrapped(value: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """A message of LangChain without what it is wrapped in, and its role; any other as it is, and None."""
    if value.get("lc") == 1 and isinstance(value.get("kwargs"), Mapping):
        name = next(iter(reversed(values.listed(value.get("id")))), "")
        role = _LANGCHAIN_CLASSES.get(str(name).removesuffix("Chunk"))
        return value["kwargs"], role or _LANGCHAIN_ROLES.get(str(value["kwargs"].get("type")))
    role = _LANGCHAIN_ROLES.get(str(value.get("type"))) if "role" not in value else None
    if role is not None and isinstance(value.get("data"), Mapping):
        return value["data"], role
    if role is not None and "content" in value:
        return value, role
    return value, None


def _is_bare_part(value: Any) -> bool:
    """Whether an item of a list is a part of one message, not a message."""
    if not isinstance(value, Mapping) or "role" in value or is_message(value) or str(value.get("type")) in _ITEM_ROLES:
        return False
    return parts.has_shape_of_part(value) and not ({"parts", "tool_calls"} & value.keys())
