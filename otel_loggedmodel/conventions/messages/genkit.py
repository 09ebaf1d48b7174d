# SPDX-License-Identifier: Apache-2.0
"""Genkit: `genkit:input` and `genkit:output`, which are messages of models, and what flows and tools took and gave."""

from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.conventions.messages import exchanges, values
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_INPUT: Final = "genkit:input"
_OUTPUT: Final = "genkit:output"


def _read(said: Said) -> Iterator[Message]:
    attributes = said.attributes
    is_call = attributes.get("genkit:metadata:subtype") == "model" or attributes.get("genkit:type") == "util"
    asked, answered = (values.whole_json(attributes.get(key)) for key in (_INPUT, _OUTPUT))
    return exchanges.step(asked, answered, of_model=is_call)


SOURCE: Final = Source(
    name="Genkit",
    specification="https://github.com/firebase/genkit/blob/main/js/core/src/tracing/instrumentation.ts",
    since="genkit 0.5; 1.42.0 is recorded",
    read=_read,
    inputs=(_INPUT,),
    outputs=(_OUTPUT,),
    is_json=True,
)
