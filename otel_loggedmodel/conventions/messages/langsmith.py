# SPDX-License-Identifier: Apache-2.0
"""LangSmith's OpenTelemetry mode: `gen_ai.prompt` and `gen_ai.completion` are a run's inputs and outputs as JSON.

OpenTelemetry's conventions had attributes of the same names until 1.27; then they hold the text of a prompt.
"""

from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.conventions.messages import exchanges
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_INPUT: Final = "gen_ai.prompt"
_OUTPUT: Final = "gen_ai.completion"


def _read(said: Said) -> Iterator[Message]:
    is_call = said.attributes.get("langsmith.span.kind") == "llm"
    asked, answered = said.attributes.get(_INPUT), said.attributes.get(_OUTPUT)
    return exchanges.step(asked, answered, of_model=is_call)


SOURCE: Final = Source(
    name="LangSmith",
    specification="https://docs.langchain.com/langsmith/trace-with-opentelemetry",
    since="langsmith 0.4.1 with LANGSMITH_OTEL_ENABLED",
    read=_read,
    inputs=(_INPUT,),
    outputs=(_OUTPUT,),
)
