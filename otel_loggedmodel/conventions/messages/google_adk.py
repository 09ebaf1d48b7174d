# SPDX-License-Identifier: Apache-2.0
"""Google's Agent Development Kit, in the form that it writes by default: requests and responses of Gemini as JSON.

It writes `{}` for what is not there. With `OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental` it writes the
GenAI conventions' messages.
"""

from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.conventions.messages import exchanges
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_ARGUMENTS: Final = "gcp.vertex.agent.tool_call_args"
_RESULT: Final = "gcp.vertex.agent.tool_response"


def _read(said: Said) -> Iterator[Message]:
    attributes = said.attributes
    yield from exchanges.asked(attributes.get("gcp.vertex.agent.llm_request"))
    yield from exchanges.answered(attributes.get("gcp.vertex.agent.llm_response"))
    yield from exchanges.step(attributes.get(_ARGUMENTS), attributes.get(_RESULT), of_model=False)


SOURCE: Final = Source(
    name="Google ADK",
    specification="https://github.com/google/adk-python/blob/main/src/google/adk/telemetry/tracing.py",
    since="google-adk 0.1; read in the source of 2.13.0",
    read=_read,
    inputs=(_ARGUMENTS,),
    outputs=(_RESULT,),
)
