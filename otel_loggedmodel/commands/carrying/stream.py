# SPDX-License-Identifier: Apache-2.0
"""The bytes of a file from some place on, decompressed where it is compressed as a whole, a piece at a time."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from otel_loggedmodel.server.compression import decompressor, zstd

GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
TAIL_BYTES: Final = 4096
_PIECE: Final = 256 * 1024
_MOST_OF_A_PIECE: Final = 1024 * 1024
# What a file may want kept of its past, in bytes: the most that a decompressor here takes.
_WINDOW: Final = 128 * 1024 * 1024


class Stream:
    """A file that is read from its beginning to its end, and looked at before it is taken.

    Args:
        file: Open for reading, at its beginning.

    Attributes:
        position: How many bytes were taken, of the decompressed ones.
        compression: `gzip`, `zstd`, or empty for none.
        cut: What is wrong with the end of a compressed file that was not written to its end; empty where nothing is.
        tail: The last bytes before the position.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = bytearray()
        self._has_ended = False
        self.position = 0
        self.cut = ""
        self.tail = b""
        head = file.read(len(ZSTD_MAGIC))
        file.seek(0)
        self.compression = "gzip" if head[:2] == GZIP_MAGIC else "zstd" if head == ZSTD_MAGIC else ""
        self._pieces = self._decompressed() if self.compression else self._read()

    @property
    def bytes_read(self) -> int:
        """How many bytes of the file were read, compressed or not."""
        return self._file.tell()

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        while len(self._buffer) < size and self._more():
            pass
        return bytes(self._buffer[:size])

    def take(self, size: int) -> bytes:
        """The next bytes, fewer only at the end."""
        taken = self.peek(size)
        self._drop(len(taken))
        return taken

    def skip(self, size: int) -> int:
        """Go on without keeping anything. Returns how many bytes there were."""
        if not self.compression and size > len(self._buffer):
            return self._seek(size)
        left = size
        while left and (self._buffer or self._more()):
            step = min(left, len(self._buffer))
            self._drop(step)
            left -= step
        return size - left

    def line_length(self, limit: int) -> int | None:
        """How long the next line is with its end; None where it is longer than a limit, or has no end."""
        start = 0
        while (found := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > limit or not self._more():
                return None
        return found + 1 if found < limit else None

    def skip_line(self) -> None:
        """Go on behind the end of the line, however far that is."""
        while (found := self._buffer.find(b"\n")) < 0:
            self._drop(len(self._buffer))
            if not self._more():
                return
        self._drop(found + 1)

    def _seek(self, size: int) -> int:
        ahead = size - len(self._buffer)
        here = self._file.tell()
        end = self._file.seek(0, 2)
        there = min(here + ahead, end)
        self._file.seek(there)
        skipped = len(self._buffer) + there - here
        self._buffer.clear()
        self.tail = b""
        self.position += skipped
        return skipped

    def _drop(self, size: int) -> None:
        gone = bytes(self._buffer[max(0, size - TAIL_BYTES) : size])
        self.tail = (self.tail + gone)[-TAIL_BYTES:]
        del self._buffer[:size]
        self.position += size

    def _more(self) -> bool:
        if self._has_ended:
            return False
        piece = next(self._pieces, b"")
        self._has_ended = not piece
        self._buffer += piece
        return bool(piece)

    def _read(self) -> Iterator[bytes]:
        while piece := self._file.read(_PIECE):
            yield piece

    def _decompressed(self) -> Iterator[bytes]:
        """What is in all frames or members of the file, one after the other."""
        part = None
        while piece := self._file.read(_PIECE):
            while piece:
                if part is None:
                    piece = piece.lstrip(b"\0") if self.compression == "gzip" else piece
                    if not piece:
                        break
                    part = decompressor(self.compression, _WINDOW)
                try:
                    yield from _decompressed(part, piece)
                except (zlib.error, zstd.ZstdError) as error:
                    self.cut = f"from there on it is no {self.compression}: {error}"
                    return
                piece = part.unused_data if part.eof else b""
                part = None if part.eof else part
        if part is not None:
            self.cut = f"the {self.compression} ends before it is complete"


def _decompressed(part: Any, piece: bytes) -> Iterator[bytes]:
    """All that a piece gives, in pieces of bounded size, however much was compressed to it."""
    while True:
        plain = part.decompress(piece, _MOST_OF_A_PIECE)
        if plain:
            yield plain
        # What zlib has not looked at it gives back, and zstd keeps it.
        piece = getattr(part, "unconsumed_tail", b"")
        if part.eof or not (piece or not getattr(part, "needs_input", True)):
            return


def opened(path: Path) -> BinaryIO:
    """A file, open for reading."""
    return path.open("rb", buffering=0)
