# SPDX-License-Identifier: Apache-2.0
"""What prices are: per kind of token, by the size of a request, by time; and who was called, as a span says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

KINDS: Final = (
    "input",
    "cache_read",
    "cache_write",
    "input_audio",
    "input_image",
    "cache_read_audio",
    "output",
    "output_audio",
    "output_image",
)
"""Kinds of tokens that have prices of their own."""


@dataclass(frozen=True)
class Prices:
    """US dollars per token of one model, for requests with at least so many input tokens.

    Attributes:
        from_tokens: The least input tokens of a request at these prices.
        input: Per input token of no other kind.
        cache_read: Per input token that was read from a cache.
        cache_write: Per input token that was written to a cache.
        input_audio: Per input token of audio.
        input_image: Per input token of an image.
        cache_read_audio: Per input token of audio that was read from a cache.
        output: Per output token of no other kind.
        output_audio: Per output token of audio.
        output_image: Per output token of an image.
        reasoning: Per output token of reasoning; None where these cost what others do.
        request: For the request itself.
    """

    from_tokens: int
    input: float
    output: float
    cache_read: float
    cache_write: float
    input_audio: float
    input_image: float
    cache_read_audio: float
    output_audio: float
    output_image: float
    reasoning: float | None
    request: float


@dataclass(frozen=True)
class Called:
    """Whom a span called.

    Attributes:
        provider: As the span says it, or empty.
        model: The one that answered, or else that was asked for.
        asked: The one that was asked for where it is another, or empty.
        is_local: Whether its server is in a private network.
    """

    provider: str
    model: str
    asked: str = ""
    is_local: bool = False

    @classmethod
    def of(cls, llm: str) -> "Called":
        """From the text in the column `LoggedModelCall.llm`."""
        first, *others = llm.split("\n")
        provider, _, model = first.partition("/")
        asked = next((line.removeprefix("asked ") for line in others if line.startswith("asked ")), "")
        return cls(provider, model, asked, "local" in others)

    def __str__(self) -> str:
        """As notes name it."""
        name = self.model or self.asked or "a model without a name"
        return f"{self.provider}/{name}" if self.provider and not name.startswith(f"{self.provider}/") else name


class Schedule(Protocol):
    """The prices of one model by time."""

    def at(self, when: datetime) -> tuple[Prices, ...]:
        """The prices at a time, by the number of input tokens from which on they apply."""
        ...

    def dates(self) -> frozenset[datetime]:
        """When they change."""
        ...

    def times(self) -> frozenset[int]:
        """At which second of the day, in UTC, they change each day."""
        ...
