# SPDX-License-Identifier: Apache-2.0
"""How spans and traces ended, as texts that also have the names of MLflow's entities."""

import enum


class SpanStatusCode(str, enum.Enum):
    """How a span ended. Equal to its text."""

    UNSET = "UNSET"
    OK = "OK"
    ERROR = "ERROR"

    def __str__(self) -> str:
        return self.value


class TraceState(str, enum.Enum):
    """How a trace ended. Equal to its text."""

    OK = "OK"
    ERROR = "ERROR"
    IN_PROGRESS = "IN_PROGRESS"
    STATE_UNSPECIFIED = "STATE_UNSPECIFIED"

    def __str__(self) -> str:
        return self.value


class SpanStatus(str):
    """How a span ended: a text, `OK`, `ERROR` or `UNSET`, which has MLflow's `status_code` as well.

    Args:
        status_code: The text, or a `SpanStatusCode`.
        description: What is said of it besides.
    """

    description: str

    def __new__(cls, status_code: "str | SpanStatusCode", description: str = "") -> "SpanStatus":
        """Make the text."""
        made = super().__new__(cls, str(status_code))
        made.description = description
        return made

    @property
    def status_code(self) -> SpanStatusCode:
        """The same as a member of the enumeration."""
        return SpanStatusCode(str(self))
