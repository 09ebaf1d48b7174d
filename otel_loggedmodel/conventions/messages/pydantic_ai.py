# SPDX-License-Identifier: Apache-2.0
"""Pydantic AI: all messages of an agent's run, in the parts of the GenAI conventions, and its result."""

from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.conventions.messages import conversation, exchanges
from otel_loggedmodel.conventions.messages.logfire import with_answer
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_ALL: Final = "pydantic_ai.all_messages"
_RESULT: Final = "final_result"


def _read(said: Said) -> Iterator[Message]:
    if _ALL not in said.attributes:
        return
    messages = [
        *conversation.read(said.attributes.get("gen_ai.system_instructions"), "system"),
        *conversation.read(said.attributes[_ALL], "user"),
    ]
    found = list(with_answer(messages))
    yield from found
    if not any(message.is_output for message in found):
        yield from exchanges.said_by_step(said.attributes.get(_RESULT), "assistant", is_output=True)


SOURCE: Final = Source(
    name="Pydantic AI",
    specification="https://github.com/pydantic/pydantic-ai/blob/main/pydantic_ai_slim/pydantic_ai/models/instrumented.py",
    since="pydantic-ai 1.0; 2.62.0 is recorded",
    read=_read,
    outputs=(_RESULT,),
)
