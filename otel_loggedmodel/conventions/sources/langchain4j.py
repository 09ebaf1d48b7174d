# SPDX-License-Identifier: Apache-2.0
"""LangChain4j's module for Micrometer; it has the conventions' names for all but tokens, whose names have no prefix."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Thing

SOURCE: Final = Source(
    name="LangChain4j",
    url="https://github.com/langchain4j/langchain4j/tree/main/langchain4j-observation",
    places=(
        Place(Thing.INPUT_TOKENS, "input_tokens"),
        Place(Thing.OUTPUT_TOKENS, "output_tokens"),
    ),
)
