# SPDX-License-Identifier: Apache-2.0
"""Genkit, of Google; all that a span says stands in two attributes of JSON."""

from typing import Final

from otel_loggedmodel.conventions.shape import Form, Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_OUTPUT: Final = "genkit:output"
_KINDS: Final = {
    "model": Kind.LLM,
    "embedder": Kind.EMBEDDING,
    "flow": Kind.CHAIN,
    "prompt": Kind.CHAIN,
    "executable-prompt": Kind.CHAIN,
    "util": Kind.CHAIN,
    "tool": Kind.TOOL,
    "retriever": Kind.RETRIEVER,
    "reranker": Kind.RERANKER,
    "evaluator": Kind.EVALUATOR,
}

SOURCE: Final = Source(
    name="Genkit",
    url="https://github.com/firebase/genkit/blob/main/js/core/src/tracing/instrumentation.ts",
    places=(
        Place(Thing.INPUT_TOKENS, _OUTPUT, ("usage", "inputTokens")),
        Place(Thing.OUTPUT_TOKENS, _OUTPUT, ("usage", "outputTokens")),
        Place(Thing.TOTAL_TOKENS, _OUTPUT, ("usage", "totalTokens")),
        Place(Thing.CACHE_READ_TOKENS, _OUTPUT, ("usage", "cachedContentTokens")),
        Place(Thing.CACHE_READ_TOKENS, _OUTPUT, ("raw", "usage", "prompt_tokens_details", "cached_tokens")),
        Place(Thing.CACHE_READ_TOKENS, _OUTPUT, ("raw", "usage", "input_tokens_details", "cached_tokens")),
        Place(Thing.CACHE_READ_TOKENS, _OUTPUT, ("raw", "usage", "cache_read_input_tokens")),
        Place(Thing.CACHE_WRITE_TOKENS, _OUTPUT, ("raw", "usage", "cache_creation_input_tokens")),
        Place(Thing.REASONING_TOKENS, _OUTPUT, ("usage", "thoughtsTokens")),
        Place(Thing.REASONING_TOKENS, _OUTPUT, ("raw", "usage", "completion_tokens_details", "reasoning_tokens")),
        Place(Thing.RESPONSE_MODEL, _OUTPUT, ("raw", "model")),
        Place(Thing.REQUEST_MODEL, "genkit:name"),
        Place(Thing.RESPONSE_ID, _OUTPUT, ("raw", "id")),
        Place(Thing.KIND, "genkit:metadata:subtype", kinds=_KINDS),
        Place(Thing.KIND, "genkit:type", kinds={"util": Kind.CHAIN, "flow": Kind.CHAIN, "flowStep": Kind.CHAIN}),
        Place(Thing.INPUT, "genkit:input", form=Form.JSON),
        Place(Thing.OUTPUT, _OUTPUT, form=Form.JSON),
    ),
)
