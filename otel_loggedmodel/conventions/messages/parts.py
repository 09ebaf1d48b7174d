# SPDX-License-Identifier: Apache-2.0
"""The parts of a message, as the conventions' schema and the providers' interfaces write them.

- https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-input-messages.json
- https://platform.openai.com/docs/api-reference/chat, and /responses
- https://docs.anthropic.com/en/api/messages
- https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
- https://ai.google.dev/api/caching#Part
- https://ai-sdk.dev/docs/reference/ai-sdk-core/model-message
- https://genkit.dev/docs/models
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.messages import media, values
from otel_loggedmodel.conventions.messages.message import Part

MOST: Final = 1000

_CALLS: Final = frozenset(
    {
        *("tool_call", "tool-call", "tool_use", "toolUse", "function_call", "functionCall", "function", "toolRequest"),
        *("server_tool_call", "server_tool_use", "custom_tool_call", "mcp_call", "mcp_tool_use"),
    }
)
_RESULTS: Final = frozenset(
    {
        *("tool_call_response", "tool_result", "tool-result", "toolResult", "tool-return", "toolResponse"),
        *("function_call_output", "function_call_result", "function_response", "functionResponse"),
        *("server_tool_call_response", "custom_tool_call_output", "mcp_tool_result"),
    }
)
# Parts without a type say by a key what they are.
_KINDS_BY_KEY: Final = (*sorted(_CALLS - {"function"}), *sorted(_RESULTS), "reasoningContent", "reasoning_content")
_ARGUMENT_KEYS: Final = ("arguments", "input", "args", "toolInput", "tool_args", "server_tool_call")
_RESULT_KEYS: Final = ("response", "result", "content", "output", "server_tool_call_response")
# Which call or tool a result is of, by provider.
_RESULT_OF_KEYS: Final = (
    "id",
    "tool_use_id",
    "toolUseId",
    "call_id",
    "callId",
    "toolCallId",
    "tool_call_id",
    "ref",
    "name",
)
_TEXTS: Final = frozenset({"text", "input_text", "output_text", "summary_text", "reasoning_text"})
_REASONING: Final = frozenset({"reasoning", "thinking", "reasoning_text", "reasoningContent", "reasoning_content"})
# The fields that an empty part of text may have.
_EMPTY_TEXT: Final = ("text", "content", "annotations")
_TEXT_KEYS: Final = ("content", "text", "thinking", "reasoning", "reasoningText", "refusal", "summary")


def parts_of(value: Any) -> list[Part]:
    """The parts of a message's content: a text, a part, a list of either, or JSON of any of these."""
    return [part for part in _parts(value) if part.says_something][:MOST]


def has_shape_of_part(value: Any) -> bool:
    """Whether a value looks like a part and not like anything else."""
    return isinstance(value, Mapping) and (
        isinstance(value.get("type"), str) or "text" in value or media.is_media(value) or _key_kind(value) is not None
    )


def tool_call(value: Any) -> Part:
    """A call of a tool, in any provider's form."""
    if not isinstance(value, Mapping):
        return Part("tool call", values.pretty(value))
    function = value["function"] if isinstance(value.get("function"), Mapping) else value
    arguments = next((function[key] for key in _ARGUMENT_KEYS if key in function), "")
    name = values.first_text(function, "name", "toolName", "tool_name")
    return Part("tool call", "" if arguments is None else values.pretty(values.parsed(arguments)), name)


def _parts(value: Any) -> Iterator[Part]:
    if isinstance(value, str) and (inner := _parts_in(value)):
        yield from inner
        return
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, Mapping):
            yield from _part(one)
        elif one not in (None, "", [], ()):
            yield Part("text", values.pretty(one))


def _parts_in(text: str) -> list[Part]:
    """The parts that a text of JSON holds; none if it is no list, or if anything in it does not look like a part."""
    inner = values.parsed(text)
    if not isinstance(inner, list) or not all(map(has_shape_of_part, inner)):
        return []
    return [part for one in inner for part in _part(one)]


def _part(one: Mapping[str, Any]) -> Iterator[Part]:
    key = _key_kind(one)
    if key is not None and "type" not in one:
        inner = one[key]
        one = {"type": key, **inner} if isinstance(inner, Mapping) else {"type": key, "content": inner}
    kind = str(one.get("type") or "text")
    if kind in _CALLS:
        yield tool_call(one)
    elif kind in _RESULTS:
        yield from _tool_result(one)
    elif (found := media.media_of(one)) is not None:
        yield Part(media.kind_of(one, found), values.first_text(one, "text", "transcript"), media=found)
    elif kind in _REASONING or kind == "redacted_thinking":
        yield Part("reasoning", _reasoning(one))
    else:
        text = next((one[key] for key in _TEXT_KEYS if one.get(key) is not None), None)
        if isinstance(text, str) and text[:2] == "[{" and (inner := _parts_in(text)):
            # OpenLLMetry for LangChain.js writes a content that is a list as the text of one part.
            yield from inner
            return
        if text is None and not one.keys() <= ({"type", *_EMPTY_TEXT} if kind in _TEXTS else {"type"}):
            text = one
        yield Part("text" if kind in _TEXTS else kind.replace("_", " "), "" if text is None else values.pretty(text))


def _reasoning(one: Mapping[str, Any]) -> str:
    text = next((one[key] for key in _TEXT_KEYS if one.get(key)), None)
    if isinstance(text, Mapping):
        text = text.get("text", text)
    if isinstance(text, list):
        # OpenAI's Responses sum reasoning up in parts.
        return "\n".join(part.text for part in parts_of(text))
    if text is None:
        is_hidden = any(one.get(key) for key in ("data", "encrypted_content", "signature", "redactedContent"))
        return "(encrypted)" if is_hidden else ""
    return values.pretty(text)


def _tool_result(one: Mapping[str, Any]) -> Iterator[Part]:
    said = next((one[key] for key in _RESULT_KEYS if key in one), "")
    of_call = next((one[key] for key in _RESULT_OF_KEYS if one.get(key)), "")
    said = values.parsed(said)
    if isinstance(said, Mapping) and said.keys() == {"type", "value"}:
        said = said["value"]  # as Vercel's AI SDK has it
    blocks = said if isinstance(said, list) else []
    inner = parts_of(blocks) if blocks and all(map(_is_block, blocks)) else None
    if inner is None:
        yield Part("tool result", "" if said is None else values.pretty(said), str(of_call))
        return
    yield Part("tool result", "\n".join(part.text for part in inner if part.text), str(of_call))
    yield from (Part(part.kind, "", media=part.media) for part in inner if part.media is not None)


def _is_block(value: Any) -> bool:
    """Whether what a tool gave is a block of text or a picture, not data of its own that happens to have a type."""
    if not isinstance(value, Mapping):
        return False
    return isinstance(value.get("text"), str) or media.media_of(value) is not None


def _key_kind(one: Mapping[str, Any]) -> str | None:
    return next((key for key in _KINDS_BY_KEY if isinstance(one.get(key), Mapping)), None)
