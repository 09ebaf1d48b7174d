# SPDX-License-Identifier: Apache-2.0
"""What is in a request of OTLP that does not say it itself, as in a file: spans, log records, or neither.

In JSON the only key says it. In protobuf the fields of all requests have the same numbers down to the items, which
differ: a span's time is in field 7, a log record's in field 1 or 11, and a metric has no number of eight bytes at all.
Source: https://github.com/open-telemetry/opentelemetry-proto
"""

import json
import re
from typing import Final

from google.protobuf.message import DecodeError

from otel_loggedmodel.server import loose_types
from otel_loggedmodel.server.decoding import LOG_RECORDS, SPANS, Signal
from otel_loggedmodel.server.outline import varint

_FIRST_KEY: Final = re.compile(rb'\s*\{\s*"(\w+)"')
_BY_KEY: Final = {
    "resourceSpans": SPANS,
    "resource_spans": SPANS,
    "resourceLogs": LOG_RECORDS,
    "resource_logs": LOG_RECORDS,
    "resourceMetrics": None,
    "resource_metrics": None,
    "resourceProfiles": None,
    "resource_profiles": None,
}
# Tags of protobuf: the number of the field times eight, and 1 for a number of eight bytes, or 2 for what has a length.
_START_OF_SPAN: Final = 7 << 3 | 1
_END_OF_SPAN: Final = 8 << 3 | 1
_ID_OF_TRACE: Final = 1 << 3 | 2
_ID_OF_SPAN: Final = 2 << 3 | 2
_TIME_OF_RECORD: Final = 1 << 3 | 1
_OBSERVED: Final = 11 << 3 | 1
_ID_BYTES: Final = {_ID_OF_TRACE: 16, _ID_OF_SPAN: 8}
_MOST_LOOKED_AT: Final = 20


class UnknownKindError(ValueError):
    """It is no request of OTLP; the text says what it looks like."""


def kind_of(body: bytes, *, is_json: bool) -> Signal | None:
    """What a request has; None for metrics, for profiles, and where there is nothing in it.

    Raises:
        UnknownKindError: It is no request.
    """
    return _of_json(body) if is_json else _of_protobuf(body)


def _of_json(body: bytes) -> Signal | None:
    found = _FIRST_KEY.match(body)
    key = found[1].decode() if found else ""
    if key in _BY_KEY:
        return _BY_KEY[key]
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnknownKindError(f"it is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise UnknownKindError("it is no JSON object")
    for key in document:
        if key in _BY_KEY:
            return _BY_KEY[key]
    if not document:
        return None
    if "data" in document or "traceID" in document:
        raise UnknownKindError("it is JSON of Jaeger's query API: `otel-loggedmodel import jaeger` reads that")
    shown = ", ".join(sorted(map(str, document))[:5])
    raise UnknownKindError(f"it has neither resourceSpans nor resourceLogs, but {shown[:200]}")


def _of_protobuf(body: bytes) -> Signal | None:
    try:
        envelope = loose_types.Envelope.FromString(body)
    except DecodeError as error:
        raise UnknownKindError(f"it is no request of OTLP: {error}") from None
    looked_at = 0
    for resource in envelope.resource_spans:
        for scope in resource.scope_spans:
            for item in scope.spans:
                signal = _of_item(item)
                looked_at += 1
                if signal is not None or looked_at >= _MOST_LOOKED_AT:
                    return signal
    if not envelope.resource_spans and body:
        raise UnknownKindError("it is no request of OTLP: it has none of its fields")
    return None


def _of_item(item: bytes) -> Signal | None:
    tags = dict(_fields_of(item))
    if _START_OF_SPAN in tags or _END_OF_SPAN in tags or _ID_BYTES.items() <= tags.items():
        return SPANS
    if _TIME_OF_RECORD in tags or _OBSERVED in tags:
        return LOG_RECORDS
    return None


def _fields_of(message: bytes) -> list[tuple[int, int]]:
    """The tags of a message's own fields with their lengths, as far as it can be read."""
    found = []
    position = 0
    try:
        while position < len(message):
            tag, position = varint(message, position)
            length = 0
            match tag & 7:
                case 0:
                    _, position = varint(message, position)
                case 1:
                    position += 8
                case 2:
                    length, position = varint(message, position)
                    position += length
                case 5:
                    position += 4
                case _:
                    break
            found.append((tag, length))
    except (IndexError, OverflowError):
        pass
    return found
