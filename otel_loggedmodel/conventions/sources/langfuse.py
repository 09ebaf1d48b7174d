# SPDX-License-Identifier: Apache-2.0
"""Langfuse's SDKs, which write spans of OpenTelemetry since their third release."""

from typing import Final

from otel_loggedmodel.conventions.shape import Form, Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_USAGE: Final = "langfuse.observation.usage_details"
_KINDS: Final = {
    "generation": Kind.LLM,
    "embedding": Kind.EMBEDDING,
    "agent": Kind.AGENT,
    "chain": Kind.CHAIN,
    "tool": Kind.TOOL,
    "retriever": Kind.RETRIEVER,
    "guardrail": Kind.GUARDRAIL,
    "evaluator": Kind.EVALUATOR,
}

SOURCE: Final = Source(
    name="Langfuse",
    url="https://github.com/langfuse/langfuse-python/blob/main/langfuse/_client/attributes.py",
    places=(
        Place(Thing.INPUT_TOKENS, _USAGE, ("input",)),
        Place(Thing.INPUT_TOKENS, _USAGE, ("prompt_tokens",)),
        Place(Thing.INPUT_TOKENS, _USAGE, ("input_tokens",)),
        Place(Thing.OUTPUT_TOKENS, _USAGE, ("output",)),
        Place(Thing.OUTPUT_TOKENS, _USAGE, ("completion_tokens",)),
        Place(Thing.OUTPUT_TOKENS, _USAGE, ("output_tokens",)),
        Place(Thing.TOTAL_TOKENS, _USAGE, ("total",)),
        Place(Thing.CACHE_READ_TOKENS, _USAGE, ("input_cached_tokens",)),
        Place(Thing.CACHE_READ_TOKENS, _USAGE, ("input_cache_read",)),
        Place(Thing.CACHE_READ_TOKENS, _USAGE, ("cache_read_input_tokens",)),
        Place(Thing.CACHE_WRITE_TOKENS, _USAGE, ("input_cache_creation",)),
        Place(Thing.CACHE_WRITE_TOKENS, _USAGE, ("cache_creation_input_tokens",)),
        Place(Thing.REASONING_TOKENS, _USAGE, ("output_reasoning_tokens",)),
        Place(Thing.REASONING_TOKENS, _USAGE, ("output_reasoning",)),
        Place(Thing.COST, "langfuse.observation.cost_details", ("total",)),
        Place(Thing.REQUEST_MODEL, "langfuse.observation.model.name"),
        Place(Thing.KIND, "langfuse.observation.type", kinds=_KINDS),
        Place(Thing.CONVERSATION, "langfuse.session.id"),
        Place(Thing.USER, "langfuse.user.id"),
        Place(Thing.PROMPT_NAME, "langfuse.observation.prompt.name"),
        Place(Thing.PROMPT_VERSION, "langfuse.observation.prompt.version"),
        Place(Thing.FIRST_CHUNK, "langfuse.observation.completion_start_time", form=Form.TIME),
        Place(Thing.INPUT, "langfuse.observation.input"),
        Place(Thing.OUTPUT, "langfuse.observation.output"),
    ),
)
