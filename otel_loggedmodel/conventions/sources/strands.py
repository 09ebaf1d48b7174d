# SPDX-License-Identifier: Apache-2.0
"""Strands Agents, of AWS; most of its attributes are those of OpenTelemetry's conventions and of OpenLLMetry."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Thing

SOURCE: Final = Source(
    name="Strands",
    url="https://github.com/strands-agents/sdk-python/blob/main/src/strands/telemetry/tracer.py",
    places=(Place(Thing.CACHE_WRITE_TOKENS, "gen_ai.usage.cache_write_input_tokens"),),
)
