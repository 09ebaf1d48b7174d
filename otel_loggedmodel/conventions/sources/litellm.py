# SPDX-License-Identifier: Apache-2.0
"""LiteLLM's callback `otel`."""

from typing import Final

from otel_loggedmodel.conventions.shape import Form, Place, Source
from otel_loggedmodel.conventions.things import Thing

# The usage of the answer, as Python prints a dictionary.
_USAGE: Final = "metadata.usage_object"

SOURCE: Final = Source(
    name="LiteLLM",
    url="https://github.com/BerriAI/litellm/blob/main/litellm/integrations/opentelemetry.py",
    places=(
        Place(Thing.COST, "gen_ai.cost.total_cost"),
        Place(Thing.CACHE_COST, "gen_ai.cost.cache_read_cost"),
        Place(Thing.CACHE_COST, "gen_ai.cost.cache_creation_cost"),
        Place(Thing.CACHE_READ_TOKENS, _USAGE, ("prompt_tokens_details", "cached_tokens"), form=Form.PYTHON),
        Place(Thing.CACHE_READ_TOKENS, _USAGE, ("cache_read_input_tokens",), form=Form.PYTHON),
        Place(Thing.CACHE_WRITE_TOKENS, _USAGE, ("cache_creation_input_tokens",), form=Form.PYTHON),
        Place(Thing.REASONING_TOKENS, _USAGE, ("completion_tokens_details", "reasoning_tokens"), form=Form.PYTHON),
        Place(Thing.ADDRESS, "hidden_params", ("api_base",)),
        Place(Thing.REQUEST_MODEL, "litellm.provider.model"),
    ),
)
