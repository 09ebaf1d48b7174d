# SPDX-License-Identifier: Apache-2.0
"""OpenInference, Arize's conventions: what Phoenix reads and what its instrumentations write."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
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
        Place(Thing.CACHE_READ_TOKENS, "llm.token_count.prompt_details.cache_read"),
        Place(Thing.CACHE_WRITE_TOKENS, "llm.token_count.prompt_details.cache_write"),
        Place(Thing.COST, "llm.cost.total"),
        Place(Thing.PROVIDER, "llm.provider"),
        Place(Thing.PROVIDER, "llm.system"),
        Place(Thing.REQUEST_MODEL, "llm.model_name"),
        Place(Thing.REQUEST_MODEL, "embedding.model_name"),
        Place(Thing.KIND, "openinference.span.kind", kinds=_KINDS),
        Place(Thing.TOOL, "tool.name"),
        Place(Thing.INPUT, "input.value"),
        Place(Thing.OUTPUT, "output.value"),
    ),
)
