# SPDX-License-Identifier: Apache-2.0
"""What a step took and gave, where that is a provider's request and response, or a conversation.

- https://platform.openai.com/docs/api-reference/chat, /completions and /responses
- https://docs.anthropic.com/en/api/messages
- https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
- https://ai.google.dev/api/generate-content
- https://reference.langchain.com/python/langchain_core/outputs/ (a model's generations)
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.messages import conversation, parts, values
from otel_loggedmodel.conventions.messages.message import Message, Part

# Keys of a request that hold messages: of OpenAI, Anthropic, Bedrock and others; of Gemini; of OpenAI's Responses and
# completions.
_REQUEST_KEYS: Final = ("messages", "contents", "input", "prompt", "prompts")
_INSTRUCTION_KEYS: Final = ("system", "instructions", "system_instruction", "systemInstruction")
# Maps that hold the same once more: of LangChain's callbacks.
_WRAPPERS: Final = ("inputs", "outputs", "output")


def asked(value: Any) -> list[Message]:
    """The messages of a request to a model; none where it is no such request."""
    request = values.parsed(value)
    if not isinstance(request, Mapping):
        return conversation.read(value, "user")
    config: Mapping[str, Any] = next(
        (request[key] for key in ("config", "generationConfig") if isinstance(request.get(key), Mapping)), {}
    )
    told = [*(request.get(key) for key in _INSTRUCTION_KEYS), config.get("system_instruction")]
    found = [message for one in told if one for message in _instructions(one)]
    for key in _REQUEST_KEYS:
        if request.get(key):
            found += conversation.read(request[key], "user")
    return found


def answered(value: Any) -> list[Message]:
    """The messages of a model's response; none where it is no such response."""
    response = values.parsed(value)
    if isinstance(response, list):
        # Several: some instrumentations keep a list of responses.
        if response and all(isinstance(one, Mapping) and ("choices" in one or "output" in one) for one in response):
            return [message for one in response for message in answered(one)]
        return conversation.read(value, "assistant", is_output=True)
    if not isinstance(response, Mapping):
        return conversation.read(value, "assistant", is_output=True)
    found: list[Any] = []
    for one in values.listed(response.get("choices")):
        if isinstance(one, Mapping):
            found.append(one.get("message") or one.get("delta") or {"role": "assistant", "content": one.get("text")})
    found += [one.get("content") for one in values.listed(response.get("candidates")) if isinstance(one, Mapping)]
    found += [one for batch in values.listed(response.get("generations")) for one in _generations(batch)]
    output = response.get("output")
    found += values.listed(output)
    if isinstance(output, Mapping):
        found.append(output.get("message"))
    if isinstance(response.get("message"), Mapping):
        found.append(response["message"])
    if isinstance(response.get("content"), Mapping) and _has_parts(response["content"]):
        found.append(response["content"])
    if not found and any(key in response for key in ("content", "tool_calls", "parts")):
        found.append(response)
    if not found:
        found += _plain_answer(response)
    said = [message for one in found if one for message in conversation.read(one, "assistant", is_output=True)]
    return said if any(message.says_something for message in said) else []


def conversation_in(value: Any, role: str, *, is_output: bool) -> list[Message]:
    """The messages of a step that took or gave only messages; none if there was more, or something else."""
    found = values.parsed(value)
    if isinstance(found, Mapping) and found.get("lc") == 1 and isinstance(found.get("kwargs"), Mapping):
        found = found["kwargs"].get("messages", found)  # a prompt of LangChain
    if conversation.is_message(found):
        return conversation.read([found], role, is_output=is_output)
    if isinstance(found, Mapping) and len(found) == 1:
        ((key, inner),) = found.items()
        inner = values.parsed(inner)
        if key == "messages" or (key in _WRAPPERS and isinstance(inner, Mapping | list)):
            if key in _WRAPPERS and isinstance(inner, Mapping):
                return [] if not _is_wrapped(inner) else _single(inner, role, is_output)
            found = inner
    if conversation.is_conversation(found):
        return conversation.read(found, role, is_output=is_output)
    return []


def said_by_step(value: Any, role: str, *, is_output: bool) -> list[Message]:
    """What a step took or gave: the messages that it is, or else its text."""
    found = values.parsed(value)
    if found in (None, "", [], {}):
        return []
    messages = conversation_in(found, role, is_output=is_output)
    return messages or [Message("output" if is_output else "input", (Part("text", values.pretty(found)),), is_output)]


def step(taken: Any, given: Any, *, of_model: bool) -> Iterator[Message]:
    """The messages of a step.

    Args:
        taken: What it took.
        given: What it gave.
        of_model: Whether it called a model, so that these are a request and a response.
    """
    yield from (asked(taken) if of_model else []) or said_by_step(taken, "user", is_output=False)
    yield from (answered(given) if of_model else []) or said_by_step(given, "assistant", is_output=True)


def _is_wrapped(inner: Mapping[str, Any]) -> bool:
    return conversation.is_message(inner) or (
        inner.keys() == {"messages"} and conversation.is_conversation(values.parsed(inner["messages"]))
    )


def _single(inner: Mapping[str, Any], role: str, is_output: bool) -> list[Message]:
    return conversation.read(inner.get("messages", [inner]), role, is_output=is_output)


def _instructions(value: Any) -> list[Message]:
    return [Message("system", tuple(parts.parts_of(value["parts"] if _has_parts(value) else value)))]


def _has_parts(value: Any) -> bool:
    return isinstance(value, Mapping) and "parts" in value


def _generations(batch: Any) -> list[Any]:
    """LangChain's: each with a message, or with a text alone."""
    ones = batch if isinstance(batch, list) else [batch]
    return [one.get("message") or one.get("text") for one in ones if isinstance(one, Mapping)]


def _plain_answer(response: Mapping[str, Any]) -> list[Any]:
    """The text, tool calls and files of a result that is no message, as the frameworks for JavaScript have it."""
    calls = response.get("toolCalls")
    text = response.get("text")
    if not isinstance(text, str) and not isinstance(calls, list):
        return []
    message: dict[str, Any] = {
        "role": "assistant",
        "content": [{"type": "text", "text": text}, *values.listed(response.get("files"))]
        if text
        else response.get("files"),
        "tool_calls": calls,
    }
    reasoning = response.get("reasoning") or response.get("reasoningText")
    if isinstance(reasoning, list):
        reasoning = "\n".join(part.text for part in parts.parts_of(reasoning))
    message["reasoning"] = reasoning
    return [message]
