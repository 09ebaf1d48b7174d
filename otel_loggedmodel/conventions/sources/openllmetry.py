# SPDX-License-Identifier: Apache-2.0
"""OpenLLMetry, Traceloop's instrumentations; their tokens and models have the names of OpenTelemetry's conventions."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_KINDS: Final = {"workflow": Kind.CHAIN, "task": Kind.CHAIN, "agent": Kind.AGENT, "tool": Kind.TOOL}

SOURCE: Final = Source(
    name="OpenLLMetry",
    url="https://github.com/traceloop/openllmetry/tree/main/packages/opentelemetry-semantic-conventions-ai",
    places=(Place(Thing.KIND, "traceloop.span.kind", kinds=_KINDS),),
)
