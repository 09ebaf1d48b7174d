# SPDX-License-Identifier: Apache-2.0
"""The signals that are delivered durably: spans and log records.

Both go the same way. What differs is how they become bytes, which method takes them, and how an exporter of theirs
says that it failed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final, Protocol

from opentelemetry.sdk.trace.export import SpanExportResult

from otel_loggedmodel.delivery import log_payloads, otlp_payloads


class Codec(Protocol):
    """How the things of a signal become requests of OTLP, and requests become things again."""

    def encoded(self, things: Sequence[Any], /) -> bytes:
        """The request that exports them."""

    def encodable(self, things: Sequence[Any], /) -> list[Any]:
        """Those that can be encoded."""

    def decoded(self, payload: bytes, /) -> list[Any]:
        """What is in a request, for exporters of other protocols."""

    def halves(self, payload: bytes, /) -> list[tuple[bytes, int]]:
        """A request in two halves, each with the number of things in it."""

    def parsed(self, payload: bytes, /) -> Any:
        """A request as a message."""

    def is_record(self, thing: Any, /) -> bool:
        """Whether this is one of a model's records, which are delivered first."""


@dataclasses.dataclass(frozen=True)
class Signal:
    """What is delivered.

    Attributes:
        key: As spools note it.
        noun: One of its things, as metrics call it.
        plural: Several of them, as messages call them.
        unit: The unit of counts, as metrics have it.
        codec: How they become bytes.
        method: The method of gRPC that takes them.
        success: What an exporter returns when it has delivered.
        failure: What it returns when it has not.
    """

    key: str
    noun: str
    plural: str
    unit: str
    codec: Codec
    method: str
    success: Any
    failure: Any

    def is_failure(self, result: object) -> bool:
        """Whether an exporter says that it failed. Some return nothing, against the interface; they did not refuse."""
        return result is self.failure or getattr(result, "name", None) == "FAILURE"


_SERVICES: Final = "/opentelemetry.proto.collector"
SPANS: Final = Signal(
    key="traces",
    noun="span",
    plural="spans",
    unit="{span}",
    codec=otlp_payloads,
    method=f"{_SERVICES}.trace.v1.TraceService/Export",
    success=SpanExportResult.SUCCESS,
    failure=SpanExportResult.FAILURE,
)


def log_records() -> Signal:
    """The signal of log records. A function, as the SDK's module of logs is imported only where logs are exported."""
    from otel_loggedmodel.delivery.log_types import LogRecordExportResult

    return Signal(
        key="logs",
        noun="log",
        plural="log records",
        unit="{log_record}",
        codec=log_payloads,
        method=f"{_SERVICES}.logs.v1.LogsService/Export",
        success=LogRecordExportResult.SUCCESS,
        failure=LogRecordExportResult.FAILURE,
    )
