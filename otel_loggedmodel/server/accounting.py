# SPDX-License-Identifier: Apache-2.0
"""What was done about the spans of a request that could not be stored as they came."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

# Why spans are rejected, as the answer says it.
REJECTIONS: Final = {
    "malformed": "content that is no OTLP",
    "not_kept": "neither a version nor the name of an event that is read here (`serve --logs all` keeps these, too)",
    "parent_span_id": "a parent span id that is not 8 bytes",
    "span_id": "a span id that is not 8 bytes, or all zeros",
    "start_time": "a start that is missing, before 1971, or more than a day ahead",
    "trace_id": "a trace id that is not 16 bytes, or all zeros",
}
_MOST_OF_AN_EXAMPLE: Final = 300


@dataclass
class Account:
    """Counts, of one request. What is said of spans goes for log records, too.

    Attributes:
        rejected: Spans that are not stored, by the key of the reason in `REJECTIONS`.
        repaired: Changes that were made to others, by kind.
        example: Where the first content was that is no OTLP, and what is wrong with it.
    """

    rejected: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    example: str = ""

    def reject_malformed(self, spans: int, why: str) -> None:
        """Count spans that cannot be read."""
        self.rejected["malformed"] += spans
        self.example = self.example or why[:_MOST_OF_AN_EXAMPLE]

    def reasons(self) -> str:
        """How many were rejected for which reason, in words."""
        return "; ".join(
            f"{count} with {REJECTIONS[reason]}"
            + (f" ({self.example})" if reason == "malformed" and self.example else "")
            for reason, count in sorted(self.rejected.items())
        )
