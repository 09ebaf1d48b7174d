# SPDX-License-Identifier: Apache-2.0
"""Vercel's AI SDK: release 6, and 7 with its legacy integration. Without that, 7 writes the GenAI conventions.

`ai.generateText` and `ai.streamText` have what the application asked in `ai.prompt`; the calls below them have
`ai.prompt.messages`. Objects and embeddings have attributes of their own.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.messages import conversation, exchanges, values
from otel_loggedmodel.conventions.messages.message import Message, Part, Said, Source

_ARGUMENTS: Final = ("ai.toolCall.args", "ai.toolCall.input")
_RESULTS: Final = ("ai.toolCall.result", "ai.toolCall.output")


def _read(said: Said) -> Iterator[Message]:
    attributes = said.attributes
    if not any(key.startswith("ai.") for key in attributes):
        return
    messages = conversation.read(attributes.get("ai.prompt.messages"), "user")
    yield from messages or _asked(attributes.get("ai.prompt"))
    for key in ("ai.value", "ai.values"):
        # What was embedded: each is JSON by itself.
        value = attributes.get(key)
        texts = values.parsed(value)
        for text in texts if isinstance(texts, list) else [value]:
            if isinstance(text, str) and text:
                yield Message("user", (Part("text", values.pretty(values.whole_json(text))),))
    yield from exchanges.said_by_step(values.first_of(attributes, *_ARGUMENTS), "user", is_output=False)
    answer = {
        "role": "assistant",
        "reasoning": values.first_text(attributes, "ai.response.reasoning"),
        "content": values.first_of(attributes, "ai.response.text", "ai.response.object"),
        "tool_calls": attributes.get("ai.response.toolCalls"),
    }
    found = [one for one in conversation.read(answer, "assistant", is_output=True) if one.says_something]
    found += conversation.read(_files(attributes.get("ai.response.files")), "assistant", is_output=True)
    yield from found
    yield from exchanges.said_by_step(values.first_of(attributes, *_RESULTS), "tool", is_output=True)


def _asked(value: Any) -> list[Message]:
    request = values.parsed(value)
    if not isinstance(request, Mapping):
        return conversation.read(value, "user")
    return exchanges.asked(request)


def _files(value: Any) -> list[Any]:
    return [
        {"role": "assistant", "content": [{"type": "file", **one}]}
        for one in values.listed(values.parsed(value))
        if isinstance(one, Mapping)
    ]


SOURCE: Final = Source(
    name="Vercel AI SDK",
    specification="https://ai-sdk.dev/docs/ai-sdk-core/telemetry#collected-data",
    since="ai 3.3; 6.0.326 is recorded",
    read=_read,
    inputs=_ARGUMENTS,
    outputs=_RESULTS,
)
