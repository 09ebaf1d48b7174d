# SPDX-License-Identifier: Apache-2.0
"""What a receiver needs of a store: to put spans away, and to let old ones go."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from otel_loggedmodel.store.reading import StoreUnavailableError


class StoreFullError(StoreUnavailableError):
    """There is no room on the disk."""


class RefusedError(Exception):
    """The store cannot take these spans, now or later; the text says why. Others may pass."""


class TooMuchMemoryError(RefusedError):
    """Storing these spans takes more memory than the store has or may take; fewer of them may pass."""


class Writer(Protocol):
    """Takes requests of OTLP. Safe to use from several threads; calls may wait for one another."""

    def insert(self, requests: Sequence[bytes]) -> None:
        """Store what is in them, as `SpanWriter.insert` says of spans."""
        ...


class SpanWriter(Writer, Protocol):
    """Takes spans. Safe to use from several threads; calls may wait for one another."""

    def insert(self, requests: Sequence[bytes]) -> None:
        """Store spans; they are durable against the death of this process when it returns. All or nothing.

        Args:
            requests: Serialized `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest` messages. Every span
                in them has a trace id of 16 bytes and a span id of 8, neither all zeros. No attribute value is a list
                or a map: those come as JSON texts, as the Collector's `clickhouse` exporter writes them.

        Raises:
            StoreUnavailableError: Not now; `StoreFullError` where the disk is full.
            RefusedError: One of the requests can never be stored; `TooMuchMemoryError` where they are too much at once.
        """
        ...

    def delete_before(self, time: datetime) -> int:
        """Delete spans that began before; the records of versions stay. Returns how many there were."""
        ...

    def close(self) -> None:
        """Let go of the store, after the calls that are running."""
        ...


class LogRecordWriter(Writer, Protocol):
    """Takes log records; the same for `ExportLogsServiceRequest` messages."""

    def delete_before(self, time: datetime) -> int:
        """Delete log records from before. Returns how many there were."""
        ...
