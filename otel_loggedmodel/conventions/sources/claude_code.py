# SPDX-License-Identifier: Apache-2.0
"""Claude Code, the program that makes the calls of the Claude Agent SDK; its numbers have names without a prefix."""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.things import Kind, Thing

TYPE: Final = "span.type"
"""The attribute that says what a span is."""
INTERACTION: Final = "interaction"
"""Its value for what a user asked, from which all else follows."""
_TYPES: Final = {"llm_request": Kind.LLM, "tool": Kind.TOOL, INTERACTION: Kind.AGENT}

SOURCE: Final = Source(
    name="Claude Code",
    url="https://code.claude.com/docs/en/monitoring-usage",
    places=(
        Place(Thing.INPUT_TOKENS, "input_tokens"),
        Place(Thing.OUTPUT_TOKENS, "output_tokens"),
        Place(Thing.CACHE_READ_TOKENS, "cache_read_tokens"),
        Place(Thing.CACHE_WRITE_TOKENS, "cache_creation_tokens"),
        Place(Thing.KIND, TYPE, kinds=_TYPES),
        Place(Thing.FIRST_CHUNK, "ttft_ms", factor=0.001),
    ),
)
