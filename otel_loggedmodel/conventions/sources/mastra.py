# SPDX-License-Identifier: Apache-2.0
"""Mastra; its tokens and models have the names of OpenTelemetry's conventions."""

from typing import Final

from otel_loggedmodel.conventions.shape import Form, Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_KINDS: Final = {
    "agent_run": Kind.AGENT,
    "workflow_run": Kind.CHAIN,
    "workflow_step": Kind.CHAIN,
    "tool_call": Kind.TOOL,
    "mcp_tool_call": Kind.TOOL,
}

SOURCE: Final = Source(
    name="Mastra",
    url="https://github.com/mastra-ai/mastra/tree/main/observability/otel-exporter",
    places=(
        Place(Thing.KIND, "mastra.span.type", kinds=_KINDS),
        Place(Thing.FIRST_CHUNK, "mastra.completion_start_time", form=Form.TIME),
        Place(Thing.INPUT, "mastra.agent_run.input"),
        Place(Thing.OUTPUT, "mastra.agent_run.output"),
    ),
)
