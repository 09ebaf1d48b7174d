# SPDX-License-Identifier: Apache-2.0
"""Checks requests as a backend does that receives them, and stores them in batches.

A request that takes more memory than one insert may is stored in halves of halves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import Message

from otel_loggedmodel.commands.exchange.filling import Filled
from otel_loggedmodel.delivery.otlp_requests import Layers
from otel_loggedmodel.server.decoding import JSON, LOG_RECORDS, PROTOBUF, SPANS, Signal, decode
from otel_loggedmodel.server.refusing import RefusalError
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store.writing import RefusedError, Writer

_MIB: Final = 1024 * 1024
_BATCH_SPANS: Final = 20_000
# A backend takes sixteen at once.
_BATCH_BYTES: Final = 14 * _MIB
_BATCH_MEMORY: Final = 256 * _MIB
_MOST_REASONS: Final = 10


@dataclass
class Carried:
    """What became of what was found.

    Attributes:
        spans: That were stored.
        log_records: That were stored.
        not_kept: Log records that have neither a version nor the name of an event that is read.
        repaired: Changes that were made so that something could be stored, by kind.
        refused: Spans and log records, or whole requests that cannot be read, that were not stored.
        reasons: The first reasons for that, in words.
    """

    spans: int = 0
    log_records: int = 0
    not_kept: int = 0
    repaired: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    reasons: list[str] = field(default_factory=list)

    def refuse(self, number: int, why: str) -> None:
        """Count what is not stored."""
        self.refused += number
        if len(self.reasons) < _MOST_REASONS and why not in self.reasons:
            self.reasons.append(why)


class _Batch:
    """What waits for being stored, of one kind."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.requests: list[bytes] = []
        self.items = 0
        self.bytes = 0
        self.memory = 0

    def has_room(self, items: int, size: int, memory: int) -> bool:
        return (
            self.items + items <= _BATCH_SPANS
            and self.bytes + size <= _BATCH_BYTES
            and self.memory + memory <= _BATCH_MEMORY
        )

    @property
    def is_half_full(self) -> bool:
        return not self.has_room(_BATCH_SPANS // 2, _BATCH_BYTES // 2, _BATCH_MEMORY // 2)

    def add(self, request: bytes, items: int, memory: int) -> None:
        self.requests.append(request)
        self.items += items
        self.bytes += len(request)
        self.memory += memory

    def clear(self) -> None:
        self.requests, self.items, self.bytes, self.memory = [], 0, 0, 0


class Sink:
    """Takes requests; what it was given is stored after `flush`.

    Args:
        filled: The store.
        all_logs: Keep log records, too, that carry no version and are no event that is read.
        most_bytes: Of one request, decompressed.

    Attributes:
        result: What became of them so far.
    """

    def __init__(self, filled: Filled, *, all_logs: bool = False, most_bytes: int = 64 * _MIB) -> None:
        assert filled.writer is not None
        assert filled.log_writer is not None
        self.result = Carried()
        self._batches = {SPANS.shape: _Batch(filled.writer), LOG_RECORDS.shape: _Batch(filled.log_writer)}
        # Memory is bounded by how much is stored at once, below.
        self._settings = Settings(
            keep_all_logs=all_logs,
            max_json_bytes=most_bytes,
            max_decompressed_bytes=most_bytes,
            max_spans=10_000_000,
            max_messages=20_000_000,
            max_memory_bytes=1 << 60,
        )

    @property
    def is_due(self) -> bool:
        """Whether so much waits that it is time for `flush`."""
        return any(batch.is_half_full for batch in self._batches.values())

    def add(self, body: bytes, signal: Signal, *, is_json: bool, place: str) -> None:
        """Take a request. Where much waits already, that is stored first.

        Args:
            body: JSON or protobuf.
            signal: What is in it.
            is_json: Whether it is JSON.
            place: Where it was found, for what is said of it.

        Raises:
            StoreUnavailableError: The store takes nothing at the moment.
        """
        try:
            checked = decode(body, JSON if is_json else PROTOBUF, "identity", self._settings, signal).checked
        except RefusalError as error:
            self.result.refuse(1, f"{place}: {error}")
            return
        self._account(checked.account, place)
        if checked.spans:
            self._put(checked.payload, checked.spans, checked.memory, signal, place)

    def flush(self) -> None:
        """Store what waits.

        Raises:
            StoreUnavailableError: The store takes nothing at the moment.
        """
        for signal in (SPANS, LOG_RECORDS):
            self._store(signal)

    def _account(self, account: Any, place: str) -> None:
        for kind, number in account.repaired.items():
            self.result.repaired[kind] = self.result.repaired.get(kind, 0) + number
        self.result.not_kept += account.rejected.pop("not_kept", 0)
        if account.rejected:
            self.result.refuse(account.rejected.total(), f"{place}: {account.reasons()}")

    def _put(self, request: bytes, items: int, memory: int, signal: Signal, place: str) -> None:
        batch = self._batches[signal.shape]
        if not batch.has_room(items, len(request), memory):
            self._store(signal)
        if items > 1 and not batch.has_room(items, len(request), memory):
            message: Message = signal.shape.request.FromString(request)
            shape = signal.shape
            halves = Layers(shape.resources, shape.scopes, shape.items).halves(request, message)
            for half, number in halves:
                self._put(half, number, memory * number // items, signal, place)
            return
        batch.add(request, items, memory)

    def _store(self, signal: Signal) -> None:
        batch = self._batches[signal.shape]
        if not batch.requests:
            return
        requests, items = batch.requests, batch.items
        batch.clear()
        stored = self._insert(batch.writer, requests, items)
        if signal is SPANS:
            self.result.spans += stored
        else:
            self.result.log_records += stored

    def _insert(self, writer: Writer, requests: Sequence[bytes], items: int) -> int:
        """Store requests, and if they are refused together, each by itself. Returns how many items were stored."""
        try:
            writer.insert(requests)
        except RefusedError as error:
            if len(requests) == 1:
                self.result.refuse(items, f"the store refuses a request: {error}")
                return 0
            middle = len(requests) // 2
            # How many are in which half is known again once they are counted.
            halves = (requests[:middle], requests[middle:])
            return sum(self._insert(writer, half, _count(half)) for half in halves)
        return items


def _count(requests: Sequence[bytes]) -> int:
    from otel_loggedmodel.server.loose_types import Envelope

    return sum(
        len(scope.spans)
        for request in requests
        for resource in Envelope.FromString(request).resource_spans
        for scope in resource.scope_spans
    )
