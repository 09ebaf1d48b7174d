# SPDX-License-Identifier: Apache-2.0
"""Logfire: a list of events as one attribute, and what functions took and gave.

Each member of `events` has the fields of an event of the GenAI conventions' earlier releases, and its name as
`event.name`. The answer is a `gen_ai.choice`, or the last messages of the assistant's.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.messages import exchanges, genai_events, values
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_MARK: Final = "logfire.msg_template"


def _read(said: Said) -> Iterator[Message]:
    for key in ("events", "all_messages_events"):
        found = list(_of(said.attributes.get(key)))
        if found:
            yield from with_answer(found)
            return


def _of(value: Any) -> Iterator[Message]:
    events, _ = values.parsed_as_far(value)
    for event in events if isinstance(events, list) else []:
        one = values.parsed(event)
        if isinstance(one, Mapping) and isinstance(one.get("event.name"), str):
            fields = {key: inner for key, inner in one.items() if key != "event.name"}
            yield from genai_events.read_one(one["event.name"], fields)


def with_answer(messages: list[Message]) -> Iterator[Message]:
    """The same messages. The assistant's last ones become the answer, unless the answer is known already."""
    place = len(messages)
    if not any(message.is_output for message in messages):
        while place and messages[place - 1].role == "assistant":
            place -= 1
    yield from messages[:place]
    yield from (dataclasses.replace(message, is_output=True) for message in messages[place:])


def _read_values(said: Said) -> Iterator[Message]:
    if _MARK not in said.attributes:
        return
    request = values.parsed(said.attributes.get("request_data"))
    if isinstance(request, Mapping) and "input" not in said.attributes:
        yield from exchanges.asked(request)
    response = values.parsed(said.attributes.get("response_data"))
    if isinstance(response, Mapping) and "output" not in said.attributes:
        yield from exchanges.answered(response)
    yield from exchanges.said_by_step(said.attributes.get("input"), "user", is_output=False)
    yield from exchanges.said_by_step(
        said.attributes.get("output", said.attributes.get("return")), "assistant", is_output=True
    )


EVENTS: Final = Source(
    name="Logfire",
    specification="https://github.com/pydantic/logfire/tree/main/logfire/_internal/integrations/llm_providers",
    since="logfire 3.0; 5.4.0 is recorded",
    read=_read,
)
VALUES: Final = Source(
    name="Logfire, values",
    specification="https://github.com/pydantic/logfire/blob/main/logfire/_internal/integrations/openai_agents.py",
    since="logfire 3.8; 5.4.0 is recorded",
    read=_read_values,
)
