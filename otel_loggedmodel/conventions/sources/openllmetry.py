# SPDX-License-Identifier: Apache-2.0
"""OpenLLMetry, Traceloop's instrumentations; most of their attributes are those of OpenTelemetry's conventions."""

from typing import Final

from otel_loggedmodel.conventions.shape import Form, Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_KINDS: Final = {"workflow": Kind.CHAIN, "task": Kind.CHAIN, "agent": Kind.AGENT, "tool": Kind.TOOL}
# LiteLLM writes these, too.
_REQUESTS: Final = {
    "chat": Kind.LLM,
    "completion": Kind.LLM,
    "acompletion": Kind.LLM,
    "embedding": Kind.EMBEDDING,
    "aembedding": Kind.EMBEDDING,
    "rerank": Kind.RERANKER,
    "responses": Kind.LLM,
    "aresponses": Kind.LLM,
}

SOURCE: Final = Source(
    name="OpenLLMetry",
    url="https://github.com/traceloop/openllmetry/tree/main/packages/opentelemetry-semantic-conventions-ai",
    places=(
        Place(Thing.TOTAL_TOKENS, "gen_ai.usage.total_tokens"),
        Place(Thing.TOTAL_TOKENS, "llm.usage.total_tokens", since="until 0.4.13"),
        # Strands and OpenLIT write these, too.
        Place(Thing.CACHE_READ_TOKENS, "gen_ai.usage.cache_read_input_tokens", since="0.4.3"),
        Place(Thing.CACHE_WRITE_TOKENS, "gen_ai.usage.cache_creation_input_tokens", since="0.4.3"),
        Place(Thing.REASONING_TOKENS, "gen_ai.usage.reasoning_tokens"),
        Place(Thing.KIND, "traceloop.span.kind", kinds=_KINDS),
        Place(Thing.KIND, "llm.request.type", kinds=_REQUESTS),
        Place(Thing.ADDRESS, "gen_ai.openai.api_base"),
        Place(Thing.CONVERSATION, "traceloop.association.properties.session_id"),
        Place(Thing.CONVERSATION, "traceloop.association.properties.thread_id"),
        Place(Thing.USER, "traceloop.association.properties.user_id"),
        Place(Thing.PROMPT_NAME, "traceloop.prompt.key"),
        Place(Thing.PROMPT_VERSION, "traceloop.prompt.version"),
        Place(Thing.IS_STREAMED, "gen_ai.is_streaming"),
        Place(Thing.IS_STREAMED, "llm.is_streaming"),
        Place(Thing.FIRST_CHUNK, "gen_ai.content.completion.chunk", form=Form.EVENT),
        Place(Thing.INPUT, "traceloop.entity.input"),
        Place(Thing.OUTPUT, "traceloop.entity.output"),
    ),
)
