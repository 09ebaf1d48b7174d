# SPDX-License-Identifier: Apache-2.0
"""How many rows a Parquet file has, by its footer, whoever has written it.

The footer is a struct in Thrift's compact protocol whose third field is the number; what is before it is skipped.
Sources: https://parquet.apache.org/docs/file-format/metadata/ and
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from pathlib import Path
from typing import Final

from otel_loggedmodel.store.reading import StoreUnavailableError

_MAGIC: Final = b"PAR1"
_TAIL: Final = 8
_NUM_ROWS: Final = 3
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


def rows_of(path: Path) -> int:
    """How many rows a file has.

    Raises:
        StoreUnavailableError: It is no Parquet file that was written to its end.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or length + _TAIL > size:
            raise StoreUnavailableError(f"{path} was not written to its end")
        file.seek(size - _TAIL - length)
        footer = file.read(length)
    try:
        return _num_rows(_Compact(footer))
    except (IndexError, ValueError):
        raise StoreUnavailableError(f"the footer of {path} cannot be read") from None


def _num_rows(footer: "_Compact") -> int:
    field = 0
    while True:
        number, kind = footer.field(field)
        if number is None:
            raise ValueError
        if number == _NUM_ROWS:
            return footer.number()
        footer.skip(kind)
        field = number


class _Compact:
    """Reads Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def field(self, before: int) -> tuple[int | None, int]:
        """The number and the type of the next field of a struct, by the number of the one before; None at the end."""
        head = self._byte()
        if head == 0:
            return None, 0
        delta, kind = head >> 4, head & 15
        return (before + delta if delta else self.number()), kind

    def number(self) -> int:
        """A whole number."""
        raw = self._varint()
        return raw >> 1 ^ -(raw & 1)

    def skip(self, kind: int) -> None:
        """Go on behind a value of a type."""
        if kind in (_TRUE, _FALSE):
            return
        if kind == _BYTE:
            self._at += 1
        elif kind == _DOUBLE:
            self._at += 8
        elif kind == _BINARY:
            length = self._varint()
            self._at += length
        elif kind in (_LIST, _SET):
            head = self._byte()
            for _ in range(head >> 4 if head >> 4 < 15 else self._varint()):
                self._skip_item(head & 15)
        elif kind == _MAP:
            size = self._varint()
            kinds = self._byte() if size else 0
            for _ in range(size):
                self._skip_item(kinds >> 4)
                self._skip_item(kinds & 15)
        elif kind == _STRUCT:
            number: int | None = 0
            while True:
                number, inner = self.field(number or 0)
                if number is None:
                    return
                self.skip(inner)
        else:
            self._varint()

    def _skip_item(self, kind: int) -> None:
        # Other than as a field, a truth value in a list takes a byte.
        self.skip(_BYTE if kind in (_TRUE, _FALSE) else kind)

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _varint(self) -> int:
        number = shift = 0
        while (byte := self._byte()) & 128:
            number |= (byte & 127) << shift
            shift += 7
        return number | byte << shift
