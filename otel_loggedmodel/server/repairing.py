# SPDX-License-Identifier: Apache-2.0
"""Repairs spans that cannot be stored as they came, or removes them if no sense can be made of them.

So a store can rely on what `store.writing.SpanWriter` asks for, and a clock that runs wild does not make a partition
for every day.
"""

import copy
import functools
import re
from typing import Any, Final, Protocol

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from otel_loggedmodel.server.accounting import Account
from otel_loggedmodel.server.salvaging import read_value
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.server.value_text import text_of

NO_TRACE_ID: Final = bytes(16)
NO_SPAN_ID: Final = bytes(8)
_DAY_NS: Final = 24 * 3600 * 10**9
EARLIEST_NS: Final = 365 * _DAY_NS
# Clocks that are wrong, and time zones that were taken for UTC, are off by less.
LATEST_AHEAD_NS: Final = _DAY_NS
# Attributes of this library itself. Without them nobody would know the version, or what made a span.
_NEVER_DROPPED: Final = "logged_model."
_MAX_UINT32: Final = 2**32 - 1
# A request can hold tens of millions of empty attributes, events, links or elements of lists. Looking at each takes
# minutes, so beyond these numbers they are cut off unseen. A span's own SDK stops at 128 unless told otherwise.
MAX_EVENTS_OR_LINKS: Final = 10_000
_MAX_LOOKED_THROUGH: Final = 100_000
_TOO_LONG_TO_READ: Final = 4

# Where protobuf finds a list or a map in a part of a `FlatRequest`.
_PLACE: Final = re.compile(r"(?:(events|links)\[(\d+)\]\.)?attributes\[(\d+)\]\.value\.")
_BODY: Final = "body."
# Looking for them in all spans or log records at once is quicker than one by one, and takes some 150 bytes for each.
_MOST_PLACES_AT_ONCE: Final = 100_000
# The same short lists come again and again: reasons to finish, names of tools, tags.
_MOST_KNOWN_TEXTS: Final = 1_000
_LONGEST_KNOWN: Final = 200


class _HasAttributes(Protocol):
    @property
    def attributes(self) -> "RepeatedCompositeFieldContainer[KeyValue]": ...

    dropped_attributes_count: int


@functools.lru_cache(1024)
def _steps(place: str) -> tuple[str | None, int, int]:
    """Which of the events or links, if any, and which attribute of it."""
    match = _PLACE.match(place)
    assert match is not None, place
    part, part_number, number = match.groups()
    return part, int(part_number or 0), int(number)


def _value_at(owner: Any, place: str) -> AnyValue:
    """The value where protobuf has found a list or a map."""
    if place.startswith(_BODY):
        body: AnyValue = owner.body
        return body
    part, part_number, number = _steps(place)
    holder = owner if part is None else getattr(owner, part)[part_number]
    value: AnyValue = holder.attributes[number].value
    return value


class Repairs:
    """Repairs parts of a `FlatRequest`, and counts what was done.

    Args:
        settings: The limits.
        latest_ns: The last time that is believed, in ns since the epoch.
        account: Counts what was done.
        may_be_large: Whether there can be a text that is too long.
    """

    def __init__(self, settings: Settings, latest_ns: int, account: Account, *, may_be_large: bool) -> None:
        self._max_attributes = settings.max_attributes
        self._max_bytes = settings.max_value_bytes
        self._latest_ns = latest_ns
        self._may_be_large = may_be_large
        self._left_to_look_through = _MAX_LOOKED_THROUGH
        self._account = account
        self._rejected = account.rejected
        self._repaired = account.repaired
        self._known_texts: dict[bytes, str] = {}

    def repair_span(self, span: Span) -> bool:
        """Change a span so that it can be stored, except for its lists and maps. Returns False if it cannot be."""
        reason = self._reason_to_reject(span)
        if reason is not None:
            self._rejected[reason] += 1
            return False
        if span.parent_span_id == NO_SPAN_ID:
            span.parent_span_id = b""
            self._repaired["parent_span_id"] += 1
        if not span.start_time_unix_nano <= span.end_time_unix_nano <= self._latest_ns:
            span.end_time_unix_nano = span.start_time_unix_nano
            self._repaired["end_time"] += 1
        self._drop_events_and_links(span)
        self._drop_broken_links(span)
        self.repair_attributes(span)
        for event in span.events:
            self.repair_attributes(event)
        for link in span.links:
            self.repair_attributes(link)
        if self._may_be_large:
            self._cut(span, "name")
            self._cut(span, "trace_state")
            self._cut(span.status, "message")
            for event in span.events:
                self._cut(event, "name")
        return True

    def make_texts(self, owner: Any) -> None:
        """Make texts of the lists and maps in a resource, a scope, a span or a log record."""
        for place in owner.FindInitializationErrors():
            self._make_text(_value_at(owner, place))

    def make_texts_of_all(self, scope: Any, items: str, parts: int) -> None:
        """Make texts of the lists and maps in all spans or log records of a scope.

        Args:
            scope: What they are in.
            items: The name of the field.
            parts: How many attributes, events and links they have, at least.
        """
        owners = getattr(scope, items)
        if parts > _MOST_PLACES_AT_ONCE:
            for owner in owners:
                self.make_texts(owner)
            return
        beginning = f"{items}["
        for place in scope.FindInitializationErrors():
            if place.startswith(beginning):
                number, _, rest = place[len(beginning) :].partition("].")
                self._make_text(_value_at(owners[int(number)], rest))

    def remove_rejected(self, scope_spans: ScopeSpans) -> None:
        """Remove the spans that cannot be stored."""
        # They are removed all at once: deleting one moves all that follow.
        kept = type(scope_spans)(spans=[span for span in scope_spans.spans if self._reason_to_reject(span) is None])
        del scope_spans.spans[:]
        scope_spans.spans.MergeFrom(kept.spans)

    def repair_scope(self, scope: InstrumentationScope) -> None:
        """Change a scope so that it can be stored, except for its lists and maps."""
        self.repair_attributes(scope)
        if self._may_be_large:
            self._cut(scope, "name")
            self._cut(scope, "version")

    def repair_attributes(self, owner: _HasAttributes) -> None:
        """Change the attributes of something so that they can be stored, except for lists and maps."""
        if len(owner.attributes) > self._max_attributes:
            self._drop_attributes(owner)
        if self._may_be_large:
            for attribute in owner.attributes:
                self._cut(attribute, "key")
                self._cut(attribute.value, "string_value")
                self._cut_bytes(attribute.value)

    def _make_text(self, value: AnyValue) -> None:
        serialized = value.SerializePartialToString()
        if (known := self._known_texts.get(serialized)) is not None:
            value.string_value = known
            self._repaired["lists_and_maps"] += 1
            return
        # The same bytes, read as a type that has lists and maps.
        read = None
        if len(serialized) <= self._max_bytes * _TOO_LONG_TO_READ:
            read = read_value(serialized, self._account)
        if read is None:
            value.string_value = f"<{len(serialized)} bytes of a list or a map were left out>"
            self._repaired["values"] += 1
            return
        text = text_of(read)
        value.string_value = text
        # Escapes can make it longer than the whole request was.
        self._cut(value, "string_value")
        self._repaired["lists_and_maps"] += 1
        if (
            len(serialized) <= _LONGEST_KNOWN
            and len(text) * 4 <= self._max_bytes
            and len(self._known_texts) < _MOST_KNOWN_TEXTS
            # One that had to be repaired is counted each time.
            and read.SerializeToString() == serialized
        ):
            self._known_texts[serialized] = text

    def _reason_to_reject(self, span: Span) -> str | None:
        if len(span.trace_id) != 16 or span.trace_id == NO_TRACE_ID:
            return "trace_id"
        if len(span.span_id) != 8 or span.span_id == NO_SPAN_ID:
            return "span_id"
        if len(span.parent_span_id) not in (0, 8):
            return "parent_span_id"
        if not EARLIEST_NS <= span.start_time_unix_nano <= self._latest_ns:
            return "start_time"
        return None

    def _drop_events_and_links(self, span: Span) -> None:
        events, links = len(span.events) - MAX_EVENTS_OR_LINKS, len(span.links) - MAX_EVENTS_OR_LINKS
        if events > 0:
            del span.events[MAX_EVENTS_OR_LINKS:]
            span.dropped_events_count = min(span.dropped_events_count + events, _MAX_UINT32)
            self._repaired["events"] += events
        if links > 0:
            del span.links[MAX_EVENTS_OR_LINKS:]
            span.dropped_links_count = min(span.dropped_links_count + links, _MAX_UINT32)
            self._repaired["links"] += links

    def _drop_broken_links(self, span: Span) -> None:
        sound = [
            link
            for link in span.links
            if len(link.trace_id) == 16
            and link.trace_id != NO_TRACE_ID
            and len(link.span_id) == 8
            and link.span_id != NO_SPAN_ID
        ]
        dropped = len(span.links) - len(sound)
        if dropped:
            kept = type(span)(links=sound)
            del span.links[:]
            span.links.MergeFrom(kept.links)
            span.dropped_links_count = min(span.dropped_links_count + dropped, _MAX_UINT32)
            self._repaired["links"] += dropped

    def _drop_attributes(self, owner: _HasAttributes) -> None:
        size = len(owner.attributes)
        looked_through = min(size - self._max_attributes, self._left_to_look_through)
        self._left_to_look_through -= looked_through
        kept = [
            copy.copy(attribute)
            for attribute in owner.attributes[self._max_attributes : self._max_attributes + looked_through]
            if attribute.key.startswith(_NEVER_DROPPED)
        ]
        dropped = size - self._max_attributes - len(kept)
        if dropped:
            del owner.attributes[self._max_attributes :]
            owner.attributes.extend(kept)
            owner.dropped_attributes_count = min(owner.dropped_attributes_count + dropped, _MAX_UINT32)
            self._repaired["attributes"] += dropped

    def _cut(self, owner: Message, field: str) -> None:
        """Cut a text that is too long, between two characters."""
        text = getattr(owner, field)
        # No character has more than four bytes, and most texts are far from the limit.
        if len(text) * 4 <= self._max_bytes:
            return
        encoded = text.encode()
        if len(encoded) > self._max_bytes:
            setattr(owner, field, encoded[: self._max_bytes].decode(errors="ignore"))
            self._repaired["values"] += 1

    def _cut_bytes(self, value: AnyValue) -> None:
        if len(value.bytes_value) > self._max_bytes:
            value.bytes_value = value.bytes_value[: self._max_bytes]
            self._repaired["values"] += 1
