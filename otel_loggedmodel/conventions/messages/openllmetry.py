# SPDX-License-Identifier: Apache-2.0
"""OpenLLMetry: messages by number, and what workflows, tasks and tools took and gave.

Its newer releases write the GenAI conventions' messages.
"""

from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.conventions.messages import exchanges, numbered, values
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_SPECIFICATION: Final = (
    "https://github.com/traceloop/openllmetry/tree/main/packages/opentelemetry-semantic-conventions-ai"
)
_INPUTS: Final = ("traceloop.entity.input", "gen_ai.task.input")
_OUTPUTS: Final = ("traceloop.entity.output", "gen_ai.task.output")
_FORM: Final = numbered.Form("gen_ai.prompt.", "gen_ai.completion.", "")


def _read(said: Said) -> Iterator[Message]:
    return numbered.read(said.attributes, _FORM)


def _read_values(said: Said) -> Iterator[Message]:
    yield from exchanges.said_by_step(values.first_of(said.attributes, *_INPUTS), "user", is_output=False)
    yield from exchanges.said_by_step(values.first_of(said.attributes, *_OUTPUTS), "assistant", is_output=True)


MESSAGES: Final = Source(
    name="OpenLLMetry",
    specification=_SPECIFICATION,
    since="0.5; the GenAI conventions' messages since 0.50",
    read=_read,
)
VALUES: Final = Source(
    name="OpenLLMetry, values",
    specification=_SPECIFICATION,
    since="0.10",
    read=_read_values,
    inputs=_INPUTS,
    outputs=_OUTPUTS,
)
