# SPDX-License-Identifier: Apache-2.0
"""Langfuse's SDK, which is built on OpenTelemetry's since release 3: an observation's input and output as JSON."""

from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.conventions.messages import exchanges, values
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_INPUTS: Final = ("langfuse.observation.input", "langfuse.trace.input")
_OUTPUTS: Final = ("langfuse.observation.output", "langfuse.trace.output")


def _read(said: Said) -> Iterator[Message]:
    is_call = said.attributes.get("langfuse.observation.type") == "generation"
    asked, answered = values.first_of(said.attributes, *_INPUTS), values.first_of(said.attributes, *_OUTPUTS)
    return exchanges.step(asked, answered, of_model=is_call)


SOURCE: Final = Source(
    name="Langfuse",
    specification="https://langfuse.com/integrations/native/opentelemetry#property-mapping",
    since="langfuse 3.0",
    read=_read,
    inputs=_INPUTS,
    outputs=_OUTPUTS,
)
