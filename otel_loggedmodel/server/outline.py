# SPDX-License-Identifier: Apache-2.0
"""Counts the spans of a request before it is parsed.

An empty span takes two bytes of a request and two hundred of memory once it is parsed, so a small request could fill
any machine. This looks at lengths alone, makes nothing, and stops at the limit.
"""

import itertools
from collections.abc import Iterator
from typing import Final

# Numbers of the fields that lead from a request to its spans: resource_spans, scope_spans, spans.
_RESOURCE_SPANS: Final = 1
_SCOPE_SPANS: Final = 2
_SPANS: Final = 2
_BYTES_OF_A_SPAN: Final = 2
_MAX_VARINT_BITS: Final = 70


def has_more_spans(body: bytes, limit: int) -> bool:
    """Whether a serialized request has more spans, and messages that hold spans, than a limit.

    What is no request at all may be either.
    """
    if len(body) <= limit * _BYTES_OF_A_SPAN:
        return False
    return any(True for _ in itertools.islice(_outline(body), limit, None))


def _outline(body: bytes) -> Iterator[None]:
    for resource_start, resource_end in _messages(body, 0, len(body), _RESOURCE_SPANS):
        yield
        for scope_start, scope_end in _messages(body, resource_start, resource_end, _SCOPE_SPANS):
            yield
            for _ in _messages(body, scope_start, scope_end, _SPANS):
                yield


def _messages(body: bytes, position: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Where the messages in one field of a message begin and end: https://protobuf.dev/programming-guides/encoding/."""
    try:
        while position < end:
            tag, position = _varint(body, position)
            wire_type = tag & 7
            if wire_type == 2:
                length, position = _varint(body, position)
                if tag >> 3 == wanted:
                    yield position, min(position + length, end)
                position += length
            elif wire_type == 0:
                _, position = _varint(body, position)
            elif wire_type in (1, 5):
                position += 8 if wire_type == 1 else 4
            else:
                return
    except (IndexError, OverflowError):
        return  # as the parser will say


def _varint(body: bytes, position: int) -> tuple[int, int]:
    byte = body[position]
    if byte < 128:
        return byte, position + 1
    number = byte & 127
    shift = 7
    while shift < _MAX_VARINT_BITS:
        position += 1
        byte = body[position]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position + 1
        shift += 7
    raise OverflowError
