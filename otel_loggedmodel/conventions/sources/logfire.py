# SPDX-License-Identifier: Apache-2.0
"""Logfire and Pydantic AI."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Thing

# The usage of the answer, as the provider wrote it.
_RAW: Final = "gen_ai.usage.raw"

SOURCE: Final = Source(
    name="Logfire and Pydantic AI",
    url="https://github.com/pydantic/pydantic-ai/blob/main/pydantic_ai_slim/pydantic_ai/models/instrumented.py",
    places=(
        Place(Thing.COST, "operation.cost"),
        Place(Thing.CACHE_READ_TOKENS, "gen_ai.usage.details.cache_read_tokens"),
        Place(Thing.CACHE_READ_TOKENS, "gen_ai.usage.details.cached_tokens"),
        Place(Thing.CACHE_READ_TOKENS, _RAW, ("cache_read_input_tokens",)),
        Place(Thing.CACHE_READ_TOKENS, _RAW, ("prompt_tokens_details", "cached_tokens")),
        Place(Thing.CACHE_READ_TOKENS, _RAW, ("input_tokens_details", "cached_tokens")),
        Place(Thing.CACHE_READ_TOKENS, "usage", ("input_tokens_details", "cached_tokens")),
        Place(Thing.CACHE_WRITE_TOKENS, "gen_ai.usage.details.cache_write_tokens"),
        Place(Thing.CACHE_WRITE_TOKENS, _RAW, ("cache_creation_input_tokens",)),
        Place(Thing.REASONING_TOKENS, "gen_ai.usage.details.reasoning_tokens"),
        Place(Thing.REASONING_TOKENS, _RAW, ("completion_tokens_details", "reasoning_tokens")),
        Place(Thing.REASONING_TOKENS, _RAW, ("output_tokens_details", "reasoning_tokens")),
        Place(Thing.REASONING_TOKENS, "usage", ("output_tokens_details", "reasoning_tokens")),
        Place(Thing.INPUT_AUDIO_TOKENS, "gen_ai.usage.details.input_audio_tokens"),
        Place(Thing.OUTPUT_AUDIO_TOKENS, "gen_ai.usage.details.output_audio_tokens"),
        Place(Thing.CACHE_READ_AUDIO_TOKENS, "gen_ai.usage.details.cache_audio_read_tokens"),
        Place(Thing.AGENT, "agent_name"),
    ),
)
