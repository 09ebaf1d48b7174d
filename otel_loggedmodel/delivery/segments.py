# SPDX-License-Identifier: Apache-2.0
"""The format of a spool's files, and how one is read and written.

Its records outlive kills, torn writes and flipped bits.

A segment is called `<kind>_<creation>_<marker>.v1`: what is in it, when its first record was stored (ms since the
epoch), and eight random bytes in hex. Each record begins with these bytes, so a reader that has lost its way looks for
them. Whoever chooses the content of a record cannot know them. All that matters is in the name, as the name survives a
damaged header. A format that cannot be read as this one has another suffix. All integers are little-endian. Each crc is
CRC-32 (zlib) of the bytes before it, from the beginning of its part.

    header   magic "otlpspol", version (1 byte: 1), 7 zero bytes
    read     up to where everything is done with (8), spans before that (4), crc (4)
    written  where the last record ends (8), spans in all records (4), crc (4)
    record   marker (8), length of the payload (4), spans (4), length of the note (2), 2 zero bytes,
             stored at, in ms since the epoch (8), CRC-32 of note and payload (4), crc of all this (4), note, payload
    ...

`read` and `written` are overwritten in place. If one is damaged, the records themselves say what it said; at worst,
some are delivered again. A payload is an ExportTraceServiceRequest in protobuf, and a note is UTF-8.
"""

import contextlib
import errno
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

MODELS: Final = "models"
SPANS: Final = "spans"
SET_ASIDE: Final = "refused"

_VERSION: Final = 1
_HEADER: Final = struct.pack("<8sB7x", b"otlpspol", _VERSION)
_PROGRESS: Final = struct.Struct("<QI")
_PROGRESS_BYTES: Final = _PROGRESS.size + 4
_READ_AT: Final = len(_HEADER)
_WRITTEN_AT: Final = _READ_AT + _PROGRESS_BYTES
_FIRST_RECORD: Final = _WRITTEN_AT + _PROGRESS_BYTES
_RECORD: Final = struct.Struct("<8sIIH2xQI")
RECORD_BYTES: Final = _RECORD.size + 4
_NAME: Final = re.compile(rf"({MODELS}|{SPANS}|{SET_ASIDE})_(\d{{1,16}})_([0-9a-f]{{16}})\.v(\d{{1,4}})")
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True)
class Record:
    """One request in a segment.

    Attributes:
        payload: Its bytes.
        count: How many spans are in it.
        checksum: CRC-32 of note and payload.
        stored_ms: When it was stored, in ms since the epoch.
        note: Why it was set aside.
        start: Where it is in the file.
        end: Where the next one begins.
    """

    payload: bytes
    count: int
    checksum: int
    stored_ms: int
    note: str
    start: int
    end: int


@dataclass(frozen=True)
class Name:
    """What the name of a segment says; see the module's documentation."""

    kind: str
    created_ms: int
    marker: bytes
    version: int

    @classmethod
    def of(cls, text: str) -> "Name | None":
        """Read a file's name; None if it is no segment's."""
        found = _NAME.fullmatch(text)
        return cls(found[1], int(found[2]), bytes.fromhex(found[3]), int(found[4])) if found else None

    @property
    def is_readable(self) -> bool:
        """Whether this version of the library can read such a file."""
        return self.version == _VERSION

    def __str__(self) -> str:
        return f"{self.kind}_{self.created_ms:015d}_{self.marker.hex()}.v{self.version}"


class Segment:
    """One file of records. Its owner appends at the end and finishes with records from the beginning on.

    Every method may raise OSError. A segment takes half a kilobyte of memory. Its file is opened when it is needed.

    Attributes:
        path: Where it is.
        name: What its name says.
        size: Where the last whole record ends that was written or found.
        read: The position up to which everything is done with.
        spans: How many are in all its records.
        spans_read: How many of these are done with.
        born: Seconds, by the owner's monotonic clock, at which it was begun.
        spared_until: By the same clock; before that time it is not given up for its age.
        retry_at: By the same clock. A segment that could not be read is not tried again before that time.
        rank: A lower rank goes before others of its kind, a higher one behind them.
    """

    __slots__ = (
        *("_file", "born", "name", "path", "rank", "read", "retry_at", "size", "spans", "spans_read", "spared_until"),
    )

    def __init__(self, path: str, name: Name) -> None:
        self.path = path
        self.name = name
        self.size = self.read = _FIRST_RECORD
        self.spans = self.spans_read = self.rank = 0
        self.born = self.spared_until = self.retry_at = 0.0
        self._file: FileIO | None = None

    @classmethod
    def create(cls, directory: Path, kind: str, created_ms: int) -> "Segment":
        """Begin a segment."""
        name = Name(kind, max(0, min(created_ms, 10**15 - 1)), os.urandom(8), _VERSION)
        segment = cls(str(directory / str(name)), name)
        segment._file = _opened(segment.path, "x+b")
        try:
            _write(segment._file, 0, _HEADER + _packed(_FIRST_RECORD, 0) * 2)
        except OSError:
            segment.discard()
            raise
        return segment

    @classmethod
    def found(cls, path: str, name: Name) -> "Segment":
        """Look at a segment that is there. This costs one short read, unless it is damaged."""
        segment = cls(path, name)
        with _opened(path, "rb") as file:
            segment.size = max(_FIRST_RECORD, os.fstat(file.fileno()).st_size)
            head = file.read(_FIRST_RECORD) or b""
        segment.read, segment.spans_read = _unpacked(head, _READ_AT) or (_FIRST_RECORD, 0)
        if not _FIRST_RECORD <= segment.read <= segment.size:
            segment.read, segment.spans_read = _FIRST_RECORD, 0
        written = _unpacked(head, _WRITTEN_AT)
        if written is not None:
            segment.spans = written[1]
        else:
            with segment:
                segment.spans = segment.spans_read + sum(record.count for record in segment.records())
        return segment

    @property
    def unread(self) -> int:
        """How many bytes are not done with."""
        return self.size - self.read

    @property
    def spans_unread(self) -> int:
        """How many spans are not done with. If the segment is damaged, fewer of them may be readable."""
        return max(0, self.spans - self.spans_read)

    def append(self, payload: bytes, count: int, stored_ms: int, note: str = "") -> None:
        """Add a record. If that fails, the segment stays as it was."""
        file = self._opened()
        remark = note.encode("utf-8", "replace")[:1024]
        checksum = zlib.crc32(payload, zlib.crc32(remark))
        head = _RECORD.pack(self.name.marker, len(payload), count, len(remark), max(0, stored_ms), checksum)
        parts = (head, zlib.crc32(head).to_bytes(4, "little"), remark, payload)
        try:
            _write(file, self.size, b"".join(parts))
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(self.size)
            raise
        self.size += sum(map(len, parts))
        self.spans += count
        with contextlib.suppress(OSError):  # the record is stored, and its own header tells of it
            _write(file, _WRITTEN_AT, _packed(self.size, self.spans))

    def next(self) -> Record | None:
        """The first record that is not done with. If there is none, the rest of the file holds no record."""
        return next(self.records(), None)

    def records(self) -> Iterator[Record]:
        """All records that are not done with, as far as they can be read."""
        file = self._opened()
        position: int | None = self.read
        while position is not None and position < self.size:
            record = self._record_at(file, position)
            if record is None:
                position = self._found_after(file, position)
            else:
                yield record
                position = record.end

    def done(self, record: Record) -> None:
        """Be done with a record, and with whatever is before it."""
        self.read = max(self.read, record.end)
        self.spans_read += record.count
        _write(self._opened(), _READ_AT, _packed(self.read, self.spans_read))

    def sync(self) -> None:
        """Have the system write it to the disk itself."""
        getattr(os, "fdatasync", os.fsync)(self._opened().fileno())

    @property
    def is_deleted(self) -> bool:
        """Whether somebody has deleted the file that is open. It can still be read."""
        return self._file is not None and os.fstat(self._file.fileno()).st_nlink == 0

    def restore(self, directory: Path) -> None:
        """Write the file again, after somebody has deleted it while it was open."""
        content = _read(self._opened(), 0, self.size)
        path = str(directory / str(self.name))
        file = _opened(path, "x+b")
        try:
            _write(file, 0, content)
        except OSError:
            file.close()
            Path(path).unlink(missing_ok=True)
            raise
        self.close()
        self._file, self.path = file, path

    def discard(self) -> None:
        """Delete it."""
        self.close()
        Path(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file. It is opened again when it is needed."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> "Segment":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _opened(self) -> FileIO:
        if self._file is None:
            try:
                self._file = _opened(self.path, "r+b")
            except PermissionError:
                raise
            except OSError:
                # What is on a read-only disk can still be delivered.
                self._file = _opened(self.path, "rb")
        return self._file

    def _record_at(self, file: FileIO, position: int) -> Record | None:
        head = _read(file, position, RECORD_BYTES)
        if len(head) < RECORD_BYTES or not self._is_head(head):
            return None
        _, length, count, note_length, stored_ms, checksum = _RECORD.unpack_from(head)
        body = _read(file, position + RECORD_BYTES, note_length + length)
        if len(body) < note_length + length or zlib.crc32(body) != checksum:
            return None
        note = body[:note_length].decode("utf-8", "replace")
        end = position + RECORD_BYTES + note_length + length
        return Record(body[note_length:], count, checksum, stored_ms, note, position, end)

    def _is_head(self, head: bytes) -> bool:
        checksum = int.from_bytes(head[_RECORD.size : RECORD_BYTES], "little")
        return head.startswith(self.name.marker) and zlib.crc32(head[: _RECORD.size]) == checksum

    def _found_after(self, file: FileIO, position: int) -> int | None:
        """Where the next record begins behind something that cannot be read."""
        position += 1
        while position < self.size:
            chunk = _read(file, position, _CHUNK)
            at = chunk.find(self.name.marker)
            while at >= 0:
                if self._is_head(_read(file, position + at, RECORD_BYTES)):
                    return position + at
                at = chunk.find(self.name.marker, at + 1)
            if len(chunk) < _CHUNK:
                break
            position += len(chunk) - len(self.name.marker) + 1
        return None


def _packed(position: int, spans: int) -> bytes:
    packed = _PROGRESS.pack(position, min(spans, 0xFFFFFFFF))
    return packed + zlib.crc32(packed).to_bytes(4, "little")


def _unpacked(head: bytes, at: int) -> tuple[int, int] | None:
    packed = head[at : at + _PROGRESS_BYTES]
    if len(packed) < _PROGRESS_BYTES or zlib.crc32(packed[:-4]) != int.from_bytes(packed[-4:], "little"):
        return None
    position, spans = _PROGRESS.unpack_from(packed)
    return position, spans


def _opened(path: str, mode: str) -> FileIO:
    def private(name: str, flags: int) -> int:
        # Without waiting for whoever writes into a pipe that somebody has put there.
        for flag in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK"):
            flags |= getattr(os, flag, 0)
        descriptor = os.open(name, flags, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is no regular file", name)
        return descriptor

    return FileIO(path, mode, opener=private)


def _write(file: FileIO, position: int, content: bytes) -> None:
    file.seek(position)
    written = file.write(content)
    # A disk that is filling up takes a part of it, and says why at the next try.
    while written is not None and written < len(content):
        content = content[written:]
        written = file.write(content)


def _read(file: FileIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length) or b""
