# SPDX-License-Identifier: Apache-2.0
"""LangSmith's SDK in its mode for OpenTelemetry."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_USAGE: Final = "langsmith.metadata.usage_metadata"
_KINDS: Final = {
    "llm": Kind.LLM,
    "embedding": Kind.EMBEDDING,
    "chain": Kind.CHAIN,
    "prompt": Kind.CHAIN,
    "parser": Kind.CHAIN,
    "tool": Kind.TOOL,
    "retriever": Kind.RETRIEVER,
}

SOURCE: Final = Source(
    name="LangSmith",
    url="https://github.com/langchain-ai/langsmith-sdk/blob/main/python/langsmith/_internal/otel/_otel_exporter.py",
    places=(
        Place(Thing.INPUT_TOKENS, _USAGE, ("input_tokens",)),
        Place(Thing.OUTPUT_TOKENS, _USAGE, ("output_tokens",)),
        Place(Thing.CACHE_READ_TOKENS, _USAGE, ("input_token_details", "cache_read")),
        Place(Thing.CACHE_WRITE_TOKENS, _USAGE, ("input_token_details", "cache_creation")),
        Place(Thing.CACHE_WRITE_TOKENS, _USAGE, ("input_token_details", "ephemeral_5m_input_tokens")),
        Place(Thing.CACHE_WRITE_TOKENS, _USAGE, ("input_token_details", "ephemeral_1h_input_tokens")),
        Place(Thing.INPUT_AUDIO_TOKENS, _USAGE, ("input_token_details", "audio")),
        Place(Thing.OUTPUT_AUDIO_TOKENS, _USAGE, ("output_token_details", "audio")),
        Place(Thing.REASONING_TOKENS, _USAGE, ("output_token_details", "reasoning")),
        Place(Thing.PROVIDER, "langsmith.metadata.ls_provider"),
        Place(Thing.REQUEST_MODEL, "langsmith.metadata.ls_model_name"),
        Place(Thing.KIND, "langsmith.span.kind", kinds=_KINDS),
        Place(Thing.CONVERSATION, "langsmith.metadata.session_id"),
        Place(Thing.CONVERSATION, "langsmith.metadata.thread_id"),
        Place(Thing.AGENT, "langsmith.metadata.lc_agent_name"),
    ),
)
