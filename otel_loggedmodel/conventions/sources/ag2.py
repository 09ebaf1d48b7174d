# SPDX-License-Identifier: Apache-2.0
"""AG2's instrumentation; beside a call it writes a span that says again what the call used."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_KINDS: Final = {"usage": Kind.REPEAT}

SOURCE: Final = Source(
    name="AG2",
    url="https://github.com/ag2ai/ag2/tree/main/autogen/opentelemetry",
    places=(
        Place(Thing.REASONING_TOKENS, "gen_ai.usage.thinking_tokens"),
        Place(Thing.KIND, "ag2.span.type", kinds=_KINDS),
    ),
)
