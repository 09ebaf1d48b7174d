# SPDX-License-Identifier: Apache-2.0
"""Takes a file of OTLP apart into the requests that are in it, one at a time.

The Collector's `file` exporter writes one request a line as JSON; where the format is `proto`, or each request is
compressed, a length of four bytes before each, most significant first. A file that is compressed as a whole has either
within. Besides, one request alone may be in a file: as JSON over several lines, or as protobuf, of which each of the
outermost fields is a request of its own.

Source: https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/fileexporter
"""

import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.commands.carrying.stream import ZSTD_MAGIC, Stream
from otel_loggedmodel.server.compression import decompress
from otel_loggedmodel.server.refusing import RefusalError

MAX_RECORD: Final = 64 * 1024 * 1024
# JSON takes fifty times its size in memory while it is read.
MAX_JSON: Final = 16 * 1024 * 1024
_MIB: Final = 1024 * 1024
_LENGTH: Final = 4
_BLANK: Final = b" \t\r\n"
_UTF8_MARK: Final = b"\xef\xbb\xbf"
# The tag of the only field of a request of OTLP, whatever is in it: number 1, with a length.
_FIELD: Final = 0x0A
_MAX_VARINT: Final = 5
_LOOKED_AT: Final = 4096
# By the first bytes, what else people name by mistake.
_OTHERS: Final = {
    b"PAR1": "Parquet",
    b"SQLite format 3": "an SQLite database",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"<": "HTML or XML",
    b"BZh": "bzip2: decompress it first",
    b"\xfd7zXZ": "xz: decompress it first",
}
_EXPECTED: Final = (
    "expected OTLP as the Collector's `file` exporter writes it (JSON lines, or protobuf with a length before each"
    " request), or one request as JSON or protobuf; gzip or zstd around any of these"
)


class FormatError(Exception):
    """A file is no OTLP; the text says what it looks like."""


class CutError(Exception):
    """A file ends in the midst of a request; the text says where. What was before is sound."""


class Framing(enum.Enum):
    """How requests follow one another."""

    LINES = "JSON lines"
    DOCUMENT = "one JSON document"
    LENGTHS = "requests with their lengths"
    FIELDS = "one request of protobuf"


@dataclass(frozen=True)
class Record:
    """A request of a file.

    Attributes:
        body: JSON or protobuf; empty where it is wrong.
        start: Where it begins in the file, decompressed.
        end: Where the next one begins.
        is_json: Whether it is JSON.
        wrong: Why it cannot be read; empty where it can.
    """

    body: bytes
    start: int
    end: int
    is_json: bool = False
    wrong: str = ""


def framing_of(stream: Stream) -> Framing | None:
    """How requests follow one another in a file, told by its beginning; None for an empty one.

    Raises:
        FormatError: It is no file of OTLP.
    """
    head = stream.peek(_LOOKED_AT)
    if not head:
        if stream.cut:
            raise FormatError(stream.cut)
        return None
    for beginning, name in _OTHERS.items():
        if head.lstrip(_BLANK).startswith(beginning):
            raise FormatError(f"it is {name}; {_EXPECTED}")
    text = head.removeprefix(_UTF8_MARK).lstrip(_BLANK)
    if not text and len(head) < _LOOKED_AT:
        return None
    if text.startswith(b"["):
        raise FormatError(f"it is a JSON list; {_EXPECTED}")
    if text.startswith(b"{"):
        return _framing_of_json(stream)
    length = int.from_bytes(head[:_LENGTH], "big")
    body = head[_LENGTH:]
    if length > 0 and (body[:1] in (b"{", bytes([_FIELD])) or body.startswith(ZSTD_MAGIC)):
        return Framing.LENGTHS
    if head[0] == _FIELD and len(head) > 2:
        return Framing.FIELDS
    raise FormatError(f"it begins with the bytes {head[:8].hex(' ')}; {_EXPECTED}")


def records(stream: Stream, framing: Framing) -> Iterator[Record]:
    """The requests that are left in a file.

    Raises:
        CutError: The last one is not there to its end.
    """
    read = {
        Framing.LINES: _lines,
        Framing.DOCUMENT: _document,
        Framing.LENGTHS: _with_lengths,
        Framing.FIELDS: _fields,
    }[framing]
    yield from read(stream)
    if stream.cut:
        raise CutError(f"the file ends at byte {stream.position:,} of what is in it: {stream.cut}")


def _framing_of_json(stream: Stream) -> Framing:
    length = stream.line_length(MAX_JSON)
    if length is None:
        return Framing.LINES  # it is all one line, or as good as that
    first = stream.peek(length)
    if _is_json(first):
        return Framing.LINES
    behind = stream.peek(length + _LOOKED_AT)[length:].lstrip(_BLANK)
    return Framing.LINES if behind.startswith(b"{") and first.rstrip().endswith(b"}") else Framing.DOCUMENT


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        # A line that ends as an object does is one, whatever is wrong within.
        return False
    return True


def _lines(stream: Stream) -> Iterator[Record]:
    while True:
        start = stream.position
        length = stream.line_length(MAX_JSON)
        if length is not None:
            line = stream.take(length).removeprefix(_UTF8_MARK).strip(_BLANK + b"\0")
            if line:
                yield Record(line, start, stream.position, is_json=True)
            continue
        if len(stream.peek(MAX_JSON + 1)) > MAX_JSON:
            stream.skip_line()
            yield Record(b"", start, stream.position, wrong=_too_large("a line", MAX_JSON))
            continue
        rest = stream.peek(MAX_JSON).removeprefix(_UTF8_MARK).strip(_BLANK + b"\0")
        if not rest:
            return
        if not _is_json(rest):
            raise CutError(f"the last line, from byte {start:,} on, is cut off after {len(rest):,} bytes")
        stream.skip(MAX_JSON)
        yield Record(rest, start, stream.position, is_json=True)


def _document(stream: Stream) -> Iterator[Record]:
    start = stream.position
    document = stream.take(MAX_JSON + 1).removeprefix(_UTF8_MARK).strip(_BLANK)
    if len(document) > MAX_JSON:
        raise FormatError(_too_large("a JSON document over several lines", MAX_JSON))
    if not document:
        return
    if not _is_json(document):
        raise CutError("it is no JSON: it is cut off, or has other text in it")
    yield Record(document, start, stream.position, is_json=True)


def _with_lengths(stream: Stream) -> Iterator[Record]:
    while head := stream.peek(_LENGTH):
        start = stream.position
        length = int.from_bytes(head, "big")
        if len(head) < _LENGTH:
            raise _cut(start, len(head), _LENGTH)
        if length > MAX_RECORD:
            stream.skip(_LENGTH)
            skipped = stream.skip(length)
            if skipped < length:
                raise _cut(start, skipped, length)
            yield Record(b"", start, stream.position, wrong=_too_large("a request", MAX_RECORD))
            continue
        there = len(stream.peek(_LENGTH + length)) - _LENGTH
        if there < length:
            raise _cut(start, there, length)
        stream.skip(_LENGTH)
        body = stream.take(length)
        if not body:
            continue
        yield _decompressed(body, start, stream.position)


def _decompressed(body: bytes, start: int, end: int) -> Record:
    if body.startswith(ZSTD_MAGIC):
        try:
            body = decompress(body, "zstd", MAX_RECORD)
        except RefusalError as error:
            return Record(b"", start, end, wrong=str(error))
    is_json = body.lstrip(_BLANK).startswith(b"{")
    if is_json and len(body) > MAX_JSON:
        return Record(b"", start, end, wrong=_too_large("a request", MAX_JSON))
    return Record(body, start, end, is_json=is_json)


def _fields(stream: Stream) -> Iterator[Record]:
    """Each of the outermost fields: one resource with all that is in it."""
    while head := stream.peek(1 + _MAX_VARINT):
        start = stream.position
        length, size = _varint(head[1:])
        if head[0] != _FIELD or (size == 0 and len(head) > _MAX_VARINT):
            raise CutError(f"from byte {start:,} on it is no protobuf of OTLP")
        if size == 0:
            raise _cut(start, len(head), len(head) + 1)
        if length > MAX_RECORD:
            skipped = stream.skip(1 + size + length) - 1 - size
            if skipped < length:
                raise _cut(start, skipped, length)
            yield Record(b"", start, stream.position, wrong=_too_large("a resource with its spans", MAX_RECORD))
            continue
        there = len(stream.peek(1 + size + length)) - 1 - size
        if there < length:
            raise _cut(start, there, length)
        body = stream.take(1 + size + length)
        yield Record(body, start, stream.position)


def _varint(data: bytes) -> tuple[int, int]:
    """A number and how many bytes it takes, 0 where it does not end: https://protobuf.dev/programming-guides/encoding/."""
    number = 0
    for place, byte in enumerate(data):
        number |= (byte & 127) << (7 * place)
        if byte < 128:
            return number, place + 1
    return 0, 0


def _cut(start: int, there: int, length: int) -> CutError:
    return CutError(
        f"the last request, at byte {start:,}, is cut off: {max(there, 0):,} of its {length:,} bytes are there"
    )


def _too_large(what: str, limit: int) -> str:
    return (
        f"{what} has more than {limit // _MIB} MiB, and no more is read at once: have the Collector write smaller ones"
        " (`send_batch_max_size` of its batch processor)"
    )
