# SPDX-License-Identifier: Apache-2.0
"""Imports files of OTLP, each from where an earlier import of the same content has come to.

A file is known again by its first request, wherever it was moved to, and by the bytes before the place where the
earlier import ended. So one that the Collector goes on writing is imported piece by piece, and one that was replaced is
imported anew.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from otel_loggedmodel.commands.carrying.framing import CutError, FormatError, Framing, Record, framing_of, records
from otel_loggedmodel.commands.carrying.kinds import UnknownKindError, kind_of
from otel_loggedmodel.commands.carrying.positions import Positions
from otel_loggedmodel.commands.carrying.sink import Sink
from otel_loggedmodel.commands.carrying.stream import Stream, opened

_HEAD_BYTES: Final = 64 * 1024
_HEAD_OF_FIELD: Final = 256
# Of so many requests at the beginning one has to be OTLP, or none is looked for any longer.
_MOST_UNKNOWN: Final = 100


@dataclass
class ImportedFile:
    """What became of one file.

    Attributes:
        path: Which.
        spans: That were stored now.
        log_records: That were stored now.
        before: How many spans and log records an earlier import has stored of it.
        others: Requests with metrics or profiles, which are not kept.
        not_kept: Log records with neither a version nor the name of an event that is read.
        refused: Spans and log records, or whole requests, that were not stored.
        reasons: The first reasons for that.
        cut: Where it ends in the midst of a request; empty where it does not.
        wrong: Why it cannot be read at all; empty where it can.
    """

    path: str
    spans: int = 0
    log_records: int = 0
    before: int = 0
    others: int = 0
    not_kept: int = 0
    refused: int = 0
    reasons: Sequence[str] = field(default_factory=list)
    cut: str = ""
    wrong: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether all of it is in the store."""
        return not (self.refused or self.cut or self.wrong)


class FileImport:
    """Imports one file after the other.

    Args:
        sink_of: Makes what takes the requests of a file.
        positions: What is known of earlier imports into the same store.
        again: Begin each at its beginning, whatever is known.
        advance: Called now and then with what there is of a file so far, and how much of it is read, as a fraction.
    """

    def __init__(
        self,
        sink_of: Callable[[], Sink],
        positions: Positions,
        advance: Callable[[ImportedFile, float], None],
        *,
        again: bool = False,
    ) -> None:
        self._sink_of = sink_of
        self._positions = positions
        self._again = again
        self._advance = advance

    def run(self, path: Path) -> ImportedFile:
        """Import a file. What can be read of one that is damaged is stored.

        Raises:
            StoreUnavailableError: The store takes nothing at the moment. What was stored until then is remembered.
        """
        result = ImportedFile(str(path))
        try:
            with opened(path) as file:
                self._read(file, max(path.stat().st_size, 1), result)
        except FormatError as error:
            result.wrong = str(error)
        except OSError as error:
            result.wrong = f"it cannot be read: {error.strerror or error}"
        return result

    def _read(self, file: BinaryIO, size: int, result: ImportedFile) -> None:
        stream = Stream(file)
        framing = framing_of(stream)
        if framing is None:
            return
        key = _key_of(stream, framing)
        stream, before = self._moved(file, stream, key)
        result.before = before
        sink = self._sink_of()
        reading = _Reading(sink, result, self._positions, key)
        reading.mark(stream)
        try:
            for record in records(stream, framing):
                reading.take(record)
                reading.mark(stream)
                if sink.is_due:
                    reading.keep()
                    self._advance(result, min(stream.bytes_read / size, 1.0))
        except CutError as error:
            result.cut = str(error)
        reading.keep()
        self._advance(result, 1.0)

    def _moved(self, file: BinaryIO, stream: Stream, key: str) -> tuple[Stream, int]:
        """The file where an earlier import has come to, and how much that has stored; else its beginning."""
        known = {} if self._again else self._positions.load(key)
        offset, tail = known.get("offset", 0), known.get("tail", 0)
        if not offset:
            return stream, 0
        stream.skip(offset - tail)
        if len(stream.take(tail)) == tail and _digest(stream.tail) == known.get("digest"):
            return stream, int(known.get("items", 0))
        file.seek(0)
        return Stream(file), 0


class _Reading:
    """What is done with the requests of one file."""

    def __init__(self, sink: Sink, result: ImportedFile, positions: Positions, key: str) -> None:
        self._sink = sink
        self._result = result
        self._positions = positions
        self._key = key
        self._known = self._unknown = 0
        self._end, self._tail = 0, b""

    def mark(self, stream: Stream) -> None:
        """Everything up to here was taken."""
        self._end, self._tail = stream.position, stream.tail

    def take(self, record: Record) -> None:
        """Give a request to the sink.

        Raises:
            FormatError: Of so many, none was one of OTLP.
        """
        place = f"byte {record.start:,}"
        if record.wrong:
            self._sink.result.refuse(1, f"{place}: {record.wrong}")
            return
        try:
            signal = kind_of(record.body, is_json=record.is_json)
        except UnknownKindError as error:
            self._unknown += 1
            if not self._known and self._unknown >= _MOST_UNKNOWN:
                raise FormatError(str(error)) from None
            self._sink.result.refuse(1, f"{place}: {error}")
            return
        self._known += 1
        if signal is None:
            self._result.others += 1
        else:
            self._sink.add(record.body, signal, is_json=record.is_json, place=place)

    def keep(self) -> None:
        """Store what waits, and remember how far that is."""
        self._sink.flush()
        done, result = self._sink.result, self._result
        result.spans, result.log_records, result.not_kept = done.spans, done.log_records, done.not_kept
        result.refused, result.reasons = done.refused, done.reasons
        if self._unknown and not self._known and not result.before:
            result.wrong = done.reasons[0]
            return
        self._positions.save(
            self._key,
            {
                "offset": self._end,
                "tail": len(self._tail),
                "digest": _digest(self._tail),
                "items": result.before + done.spans + done.log_records,
            },
        )


def _key_of(stream: Stream, framing: Framing) -> str:
    """What tells a file from others: how its requests follow one another, and how the first begins."""
    head = stream.peek(_HEAD_BYTES)
    if framing is Framing.LINES:
        head = head.partition(b"\n")[0]
    elif framing is Framing.LENGTHS:
        head = head[: 4 + int.from_bytes(head[:4], "big")]
    elif framing is Framing.FIELDS:
        head = head[:_HEAD_OF_FIELD]
    return f"{framing.name} {_digest(head)}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
