# SPDX-License-Identifier: Apache-2.0
"""Counts the spans of a request, and all messages in it, before it is parsed.

An empty span takes two bytes of a request and two hundred of memory once it is parsed, and an empty attribute, event or
link up to eighty, so a small request could fill any machine. This looks at lengths alone, makes nothing, and stops at
the limit.
"""

import itertools
from collections.abc import Iterator
from typing import Any, Final

# Numbers of the fields that lead from a request to its spans: resource_spans, scope_spans, spans.
_RESOURCE_SPANS: Final = 1
_SCOPE_SPANS: Final = 2
_SPANS: Final = 2
# The least, for one that is empty.
_BYTES_OF_A_MESSAGE: Final = 2
_MAX_VARINT_BITS: Final = 70

# What has messages in it, by the number of the field, down to the values of attributes.
_VALUE: Final[dict[int, Any]] = {}
_ATTRIBUTE: Final = {2: _VALUE}
_VALUE.update({5: {1: _VALUE}, 6: {1: _ATTRIBUTE}})
_SPAN: Final = {9: _ATTRIBUTE, 11: {3: _ATTRIBUTE}, 13: {4: _ATTRIBUTE}, 15: {}}
_LOG_RECORD: Final = {5: _VALUE, 6: _ATTRIBUTE}


def _request_of(item: dict[int, Any]) -> dict[int, Any]:
    return {1: {1: {1: _ATTRIBUTE}, 2: {1: {3: _ATTRIBUTE}, 2: item}}}


OF_SPANS: Final = _request_of(_SPAN)
OF_LOG_RECORDS: Final = _request_of(_LOG_RECORD)
# The first byte of the tags of all these; it is another where a tag takes more bytes than it needs.
_TAGS: Final = bytes(tag | more for tag in (10, 18, 26, 34, 42, 50, 74, 90, 106, 122) for more in (0, 128))
# The parser goes half as deep.
_MAX_DEPTH: Final = 200


def has_more_spans(body: bytes, limit: int) -> bool:
    """Whether a serialized request has more spans, or log records, and messages that hold spans, than a limit.

    For bytes that are no request, the answer means nothing.
    """
    if len(body) <= limit * _BYTES_OF_A_MESSAGE:
        return False
    return any(True for _ in itertools.islice(_outline(body), limit, None))


def has_more_messages(body: bytes, limit: int, fields: dict[int, Any] = OF_SPANS) -> bool:
    """Whether a serialized request has more messages than a limit: spans, events, links, attributes and values.

    For bytes that are no request, the answer means nothing.

    Args:
        body: The request.
        limit: How many it may have.
        fields: What has messages in it: `OF_SPANS` or `OF_LOG_RECORDS`.
    """
    if len(body) <= limit * _BYTES_OF_A_MESSAGE:
        return False
    # Each begins with one of a few bytes. Native code counts those, and there are fewer in nearly all requests.
    if len(body) - len(body.translate(None, _TAGS)) <= limit:
        return False
    try:
        return any(True for _ in itertools.islice(_everything(body, fields), limit, None))
    except (IndexError, OverflowError):
        return False  # as the parser will say


def _everything(body: bytes, fields: dict[int, Any]) -> Iterator[None]:
    position, end = 0, len(body)
    outer: list[tuple[int, int, dict[int, Any]]] = []
    while True:
        while position >= end:
            if not outer:
                return
            position, end, fields = outer.pop()
        tag, position = varint(body, position)
        wire_type = tag & 7
        if wire_type == 2:
            length, position = varint(body, position)
            inner = fields.get(tag >> 3)
            if inner is not None:
                yield
            if inner and len(outer) < _MAX_DEPTH:
                outer.append((position + length, end, fields))
                end, fields = min(position + length, end), inner
            else:
                position += length
        elif wire_type == 0:
            _, position = varint(body, position)
        elif wire_type in (1, 5):
            position += 8 if wire_type == 1 else 4
        elif wire_type not in (3, 4):  # the ends of a group, in which nothing is known to the parser
            return  # as the parser will say


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
            tag, position = varint(body, position)
            wire_type = tag & 7
            if wire_type == 2:
                length, position = varint(body, position)
                if tag >> 3 == wanted:
                    yield position, min(position + length, end)
                position += length
            elif wire_type == 0:
                _, position = varint(body, position)
            elif wire_type in (1, 5):
                position += 8 if wire_type == 1 else 4
            else:
                return
    except (IndexError, OverflowError):
        return  # as the parser will say


def varint(body: bytes, position: int) -> tuple[int, int]:
    """A number of protobuf, and where it ends: https://protobuf.dev/programming-guides/encoding/.

    Raises:
        IndexError: There is no more of it.
        OverflowError: It is longer than a number may be.
    """
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
