# SPDX-License-Identifier: Apache-2.0
"""OpenLIT's instrumentations."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Thing

SOURCE: Final = Source(
    name="OpenLIT",
    url="https://github.com/openlit/openlit/blob/main/sdk/python/src/openlit/semcov/__init__.py",
    places=(
        Place(Thing.COST, "gen_ai.usage.cost"),
        Place(Thing.REASONING_TOKENS, "gen_ai.usage.completion_tokens_details.reasoning"),
        Place(Thing.CACHE_READ_TOKENS, "gen_ai.usage.prompt_tokens_details.cache_read"),
        Place(Thing.CACHE_WRITE_TOKENS, "gen_ai.usage.prompt_tokens_details.cache_write"),
        Place(Thing.FIRST_CHUNK, "gen_ai.server.time_to_first_token"),
        Place(Thing.IS_STREAMED, "gen_ai.request.is_stream"),
    ),
)
