# SPDX-License-Identifier: Apache-2.0
"""Mastra: `mastra.<type of span>.input` and `.output`, beside the GenAI conventions' messages on calls of models."""

import re
from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.conventions.messages import exchanges, values
from otel_loggedmodel.conventions.messages.message import Message, Said, Source

_TYPE: Final = "mastra.span.type"
_SHAPE: Final = re.compile(r"[a-z_]{1,40}")
# Spans of these types have a model's messages; those of others, what a step took and gave.
_OF_MODELS: Final = frozenset(
    {"agent_run", "model_generation", "model_step", "model_inference", "model_chunk", "llm_generation"}
)
_TYPES: Final = (*sorted(_OF_MODELS), "workflow_run", "workflow_step", "tool_call", "mcp_tool_call", "generic")


def _read(said: Said) -> Iterator[Message]:
    kind = said.attributes.get(_TYPE)
    if not isinstance(kind, str) or not _SHAPE.fullmatch(kind):
        return
    asked, answered = (said.attributes.get(f"mastra.{kind}.{side}") for side in ("input", "output"))
    found = values.parsed(answered)
    if isinstance(found, dict) and "toolName" in found:
        # A piece of a stream that is a call by itself.
        answered = {"role": "assistant", "tool_calls": [found]}
    yield from exchanges.step(asked, answered, of_model=kind in _OF_MODELS)


SOURCE: Final = Source(
    name="Mastra",
    specification="https://github.com/mastra-ai/mastra/tree/main/observability",
    since="@mastra/otel-exporter 1.0; 1.4.0 is recorded",
    read=_read,
    inputs=tuple(f"mastra.{kind}.input" for kind in _TYPES),
    outputs=tuple(f"mastra.{kind}.output" for kind in _TYPES if kind not in _OF_MODELS),
)
