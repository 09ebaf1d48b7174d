# SPDX-License-Identifier: Apache-2.0
"""Spans that are made anew, from another span or from its bytes."""

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan


class RebuiltSpan(ReadableSpan):
    """An ended span with the counts of what the original dropped.

    The SDK keeps these counts in the containers that it drops from. A span that is built from what is left has new
    ones.

    Args:
        dropped_attributes: How many the original dropped.
        dropped_events: The same.
        dropped_links: The same.
        **parts: As `ReadableSpan` takes them.
    """

    def __init__(self, *, dropped_attributes: int, dropped_events: int, dropped_links: int, **parts: Any) -> None:
        super().__init__(**parts)
        self._dropped = (dropped_attributes, dropped_events, dropped_links)

    @property
    def dropped_attributes(self) -> int:
        """How many attributes the original dropped."""
        return self._dropped[0]

    @property
    def dropped_events(self) -> int:
        """How many events it dropped."""
        return self._dropped[1]

    @property
    def dropped_links(self) -> int:
        """How many links it dropped."""
        return self._dropped[2]
