# SPDX-License-Identifier: Apache-2.0
"""Vercel's AI SDK, up to its release 6, and 7 with the legacy integration."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

_OPERATIONS: Final = {
    "ai.generateText.doGenerate": Kind.LLM,
    "ai.streamText.doStream": Kind.LLM,
    "ai.generateObject.doGenerate": Kind.LLM,
    "ai.streamObject.doStream": Kind.LLM,
    "ai.embed.doEmbed": Kind.EMBEDDING,
    "ai.embedMany.doEmbed": Kind.EMBEDDING,
    # What a caller calls; it sums up the calls of models within.
    "ai.generateText": Kind.CHAIN,
    "ai.streamText": Kind.CHAIN,
    "ai.generateObject": Kind.CHAIN,
    "ai.streamObject": Kind.CHAIN,
    "ai.embed": Kind.CHAIN,
    "ai.embedMany": Kind.CHAIN,
    "ai.toolCall": Kind.TOOL,
}

SOURCE: Final = Source(
    name="Vercel AI SDK",
    url="https://github.com/vercel/ai/blob/main/packages/ai/src/telemetry/README.md",
    places=(
        Place(Thing.INPUT_TOKENS, "ai.usage.inputTokens", since="5"),
        Place(Thing.INPUT_TOKENS, "ai.usage.promptTokens", since="until 4"),
        Place(Thing.INPUT_TOKENS, "ai.usage.tokens"),
        Place(Thing.OUTPUT_TOKENS, "ai.usage.outputTokens", since="5"),
        Place(Thing.OUTPUT_TOKENS, "ai.usage.completionTokens", since="until 4"),
        Place(Thing.TOTAL_TOKENS, "ai.usage.totalTokens"),
        Place(Thing.CACHE_READ_TOKENS, "ai.usage.inputTokenDetails.cacheReadTokens", since="6"),
        Place(Thing.CACHE_READ_TOKENS, "ai.usage.cachedInputTokens", since="5"),
        Place(Thing.CACHE_WRITE_TOKENS, "ai.usage.inputTokenDetails.cacheWriteTokens", since="6"),
        Place(Thing.REASONING_TOKENS, "ai.usage.outputTokenDetails.reasoningTokens", since="6"),
        Place(Thing.REASONING_TOKENS, "ai.usage.reasoningTokens", since="5"),
        Place(Thing.PROVIDER, "ai.model.provider"),
        Place(Thing.RESPONSE_MODEL, "ai.response.model"),
        Place(Thing.REQUEST_MODEL, "ai.model.id"),
        Place(Thing.RESPONSE_ID, "ai.response.id"),
        Place(Thing.KIND, "ai.operationId", kinds=_OPERATIONS),
        Place(Thing.CONVERSATION, "ai.telemetry.metadata.sessionId"),
        Place(Thing.USER, "ai.telemetry.metadata.userId"),
        Place(Thing.TOOL, "ai.toolCall.name"),
        Place(Thing.FIRST_CHUNK, "ai.response.msToFirstChunk", factor=0.001),
        Place(Thing.INPUT, "ai.prompt"),
        Place(Thing.OUTPUT, "ai.response.text"),
    ),
)
