# SPDX-License-Identifier: Apache-2.0
"""The table: for each thing that is read, the places that may hold it, the first to be asked first.

A new framework is one more module of `sources`, its line here, and a recorded example in `tests/conventions`.
"""

from typing import Final

from otel_loggedmodel.conventions.shape import Place, Source
from otel_loggedmodel.conventions.sources import (
    ag2,
    claude_code,
    genai,
    genkit,
    langchain4j,
    langfuse,
    langsmith,
    litellm,
    logfire,
    mastra,
    mlflow,
    openinference,
    openlit,
    openllmetry,
    strands,
    vercel,
)
from otel_loggedmodel.conventions.things import Thing

SOURCES: Final[tuple[Source, ...]] = (
    # For a prompt that is filled in, it writes `chat` under the conventions' name, and the true kind under its own.
    langsmith.SOURCE,
    genai.SOURCE,
    openllmetry.SOURCE,
    strands.SOURCE,
    openlit.SOURCE,
    litellm.SOURCE,
    openinference.SOURCE,
    logfire.SOURCE,
    vercel.SOURCE,
    genkit.SOURCE,
    mastra.SOURCE,
    langfuse.SOURCE,
    ag2.SOURCE,
    claude_code.SOURCE,
    langchain4j.SOURCE,
    mlflow.SOURCE,
)

_PLACES: Final[dict[Thing, tuple[Place, ...]]] = {
    thing: tuple(place for source in SOURCES for place in source.places if place.thing is thing) for thing in Thing
}


def places_of(*things: Thing) -> tuple[Place, ...]:
    """The places of things, in the order in which they are asked; the first thing's before the next one's."""
    return tuple(place for thing in things for place in _PLACES[thing])
