# SPDX-License-Identifier: Apache-2.0
"""OpenInference: messages by number, and what any step took and gave.

`input.value` and `output.value` are on nearly every span. On the span of a model's call they are the request and the
response. These say what the numbered messages leave out: if the content of a message is a list, OpenInference for
LangChain.js has only its role.
"""

from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.conventions.messages import exchanges, numbered
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_SPECIFICATION: Final = "https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md"
_INPUT: Final = "input.value"
_OUTPUT: Final = "output.value"
_KIND: Final = "openinference.span.kind"
_FORM: Final = numbered.Form("llm.input_messages.", "llm.output_messages.", "message.")


def _read(said: Said) -> Iterator[Message]:
    return numbered.read(said.attributes, _FORM)


def _read_values(said: Said) -> Iterator[Message]:
    is_call = said.attributes.get(_KIND) == "LLM"
    asked, answered = said.attributes.get(_INPUT), said.attributes.get(_OUTPUT)
    return exchanges.step(asked, answered, of_model=is_call)


MESSAGES: Final = Source(name="OpenInference", specification=_SPECIFICATION, since="0.1", read=_read)
VALUES: Final = Source(
    name="OpenInference, values",
    specification=_SPECIFICATION,
    since="0.1",
    read=_read_values,
    inputs=(_INPUT,),
    outputs=(_OUTPUT,),
)
