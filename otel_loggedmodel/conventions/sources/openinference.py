# SPDX-License-Identifier: Apache-2.0
"""OpenInference, Arize's conventions: what Phoenix reads and what its instrumentations write."""

from typing import Final

from otel_loggedmodel.conventions.shape import Form, Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_KINDS: Final = {
    "LLM": Kind.LLM,
    "EMBEDDING": Kind.EMBEDDING,
    "AGENT": Kind.AGENT,
    "CHAIN": Kind.CHAIN,
    "TOOL": Kind.TOOL,
    "RETRIEVER": Kind.RETRIEVER,
    "RERANKER": Kind.RERANKER,
    "GUARDRAIL": Kind.GUARDRAIL,
    "EVALUATOR": Kind.EVALUATOR,
}

SOURCE: Final = Source(
    name="OpenInference",
    url="https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md",
    places=(
        Place(Thing.INPUT_TOKENS, "llm.token_count.prompt"),
        Place(Thing.OUTPUT_TOKENS, "llm.token_count.completion"),
        Place(Thing.TOTAL_TOKENS, "llm.token_count.total"),
        Place(Thing.CACHE_READ_TOKENS, "llm.token_count.prompt_details.cache_read"),
        Place(Thing.CACHE_WRITE_TOKENS, "llm.token_count.prompt_details.cache_write"),
        Place(Thing.REASONING_TOKENS, "llm.token_count.completion_details.reasoning"),
        Place(Thing.INPUT_AUDIO_TOKENS, "llm.token_count.prompt_details.audio"),
        Place(Thing.OUTPUT_AUDIO_TOKENS, "llm.token_count.completion_details.audio"),
        Place(Thing.COST, "llm.cost.total"),
        Place(Thing.PROVIDER, "llm.provider"),
        Place(Thing.PROVIDER, "llm.system"),
        Place(Thing.RESPONSE_MODEL, "llm.response.model_name"),
        Place(Thing.REQUEST_MODEL, "llm.request.model_name"),
        Place(Thing.REQUEST_MODEL, "llm.model_name"),
        Place(Thing.REQUEST_MODEL, "embedding.model_name"),
        Place(Thing.ADDRESS, "llm.invocation_parameters", ("base_url",)),
        Place(Thing.ADDRESS, "llm.invocation_parameters", ("api_base",)),
        Place(Thing.KIND, "openinference.span.kind", kinds=_KINDS),
        Place(Thing.AGENT, "agent.name"),
        Place(Thing.TOOL, "tool.name"),
        Place(Thing.FIRST_CHUNK, "First Token Stream Event", form=Form.EVENT),
        Place(Thing.INPUT, "input.value"),
        Place(Thing.OUTPUT, "output.value"),
    ),
)
