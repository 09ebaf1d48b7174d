# SPDX-License-Identifier: Apache-2.0
"""A log record as the event of a span that it would be: its name, and its attributes with the fields of its body."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_loggedmodel.conventions.log_events import NAME_ATTRIBUTE

PLAIN: Final = "log record"
"""The name of a record that is no event."""
_EXCEPTION: Final = "exception"
SELECTED: Final = f"""\
toUnixTimestamp64Nano(Timestamp) AS time_ns, SpanId AS span_id, SeverityText AS severity, Body AS body,
    LogAttributes AS attributes, if(EventName = '', LogAttributes['{NAME_ATTRIBUTE}'], EventName) AS name"""
"""The columns that the functions here read."""


def name_of(row: Mapping[str, Any]) -> str:
    """The name of the event."""
    name: str = row["name"]
    # The handler of the standard library's `logging` puts an exception on a record without a name.
    return name or (_EXCEPTION if "exception.type" in row["attributes"] else PLAIN)


def attributes_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Its attributes. A body that is a map has its fields among them, any other body is the attribute `body`."""
    found: dict[str, str] = dict(row["attributes"])
    for key, text in _fields(row["body"]):
        found.setdefault(key, text)
    if row["severity"]:
        found.setdefault("severity_text", row["severity"])
    return found


def _fields(body: str) -> Iterator[tuple[str, str]]:
    if body.startswith("{"):
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict):
            for key, value in content.items():
                yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            return
    if body:
        yield "body", body
