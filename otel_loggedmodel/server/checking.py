# SPDX-License-Identifier: Apache-2.0
"""Whether the spans of a request may be stored as they are; `repairing` is for those that may not.

This looks at every span there is. With 12 attributes a span costs 4 to 7 us on one core, most of it in protobuf, and 3
more where one of the attributes is a list.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from otel_loggedmodel.server.accounting import Account
from otel_loggedmodel.server.refusing import too_much_memory
from otel_loggedmodel.server.repairing import (
    EARLIEST_NS,
    LATEST_AHEAD_NS,
    MAX_EVENTS_OR_LINKS,
    NO_SPAN_ID,
    NO_TRACE_ID,
    Repairs,
)
from otel_loggedmodel.server.salvaging import salvage
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.server.shapes import SPANS, Shape
from otel_loggedmodel.server.weighing import Weight, parts_of

_PARENT_ID_SIZES: Final = (0, 8)


@dataclass(frozen=True)
class Checked:
    """A request that may be stored.

    Attributes:
        payload: Its serialization.
        spans: How many are in it.
        account: What was removed from it, and what was changed in what is left.
        memory: The bytes of memory that storing it takes, as `weighing` has it.
    """

    payload: bytes
    spans: int
    account: Account = field(default_factory=Account)
    memory: int = field(default=0, compare=False)


def check(body: bytes, settings: Settings, now_ns: int, account: Account | None = None) -> Checked:
    """See what of a request can be stored, and make it so.

    Args:
        body: A serialized `ExportTraceServiceRequest`.
        settings: The limits.
        now_ns: The time, since the epoch.
        account: What was removed and changed before, if anything.

    Raises:
        RefusalError: It is no such request, or storing it takes too much memory.
    """
    account = Account() if account is None else account
    return checked(body, settings, account, SPANS, partial(_SpanCheck, settings, now_ns, account))


def checked(
    body: bytes, settings: Settings, account: Account, shape: Shape, check_of: Callable[[Any, bool], "Check"]
) -> Checked:
    """See what of a request of any shape can be stored, and make it so.

    Args:
        body: The request, serialized.
        settings: The limits.
        account: What was removed and changed.
        shape: What kind of request it is.
        check_of: Makes the `Check`, from the request as a message and whether a value in it may be too large.

    Raises:
        RefusalError: It is no such request, or storing it takes too much memory.
    """
    size = len(body)
    try:
        request = shape.flat_request.FromString(body)
    except DecodeError:
        request = salvage(body, account, shape)
        # A single byte may have become U+FFFD, which takes three.
        size *= 3
    check = check_of(request, size > settings.max_value_bytes)
    check.run()
    # What was checked is stored, not the bytes that came, as protobuf and ClickHouse differ. Where a field is there
    # twice, protobuf reads the last and ClickHouse reads nothing. A field of a known number and another type is unknown
    # to protobuf, while ClickHouse refuses all that it was given. So unknown fields are left out, for 1 us a span.
    request.DiscardUnknownFields()
    payload = request.SerializeToString()
    weight = check.weight
    weight.size = len(payload)
    if weight.memory > settings.max_memory_bytes:
        raise too_much_memory(weight.complaint(settings.max_memory_bytes))
    return Checked(payload, weight.spans, account, weight.memory)


class Check(ABC):
    """Looks at all of a request, changes it so that it may be stored, and weighs it.

    Args:
        settings: The limits.
        now_ns: The time, since the epoch.
        request: The request, as a message of the flat type.
        may_be_large: Whether a value in it may be larger than the limit for one.
        plural: What messages call its items.

    Attributes:
        weight: What it consists of.
    """

    def __init__(self, settings: Settings, now_ns: int, request: Any, may_be_large: bool, plural: str) -> None:
        self._request = request
        self._latest_ns = now_ns + LATEST_AHEAD_NS
        self._may_be_large = may_be_large
        self._max_attributes = settings.max_attributes
        self._max_bytes = settings.max_value_bytes
        self.weight = Weight(plural=plural)

    @abstractmethod
    def run(self) -> None:
        """Do it."""

    def _has_sound_attributes(self, owner: Resource | InstrumentationScope) -> bool:
        # `ByteSize` would tell the size, but refuses messages with lists or maps in them.
        return len(owner.attributes) <= self._max_attributes and (
            not self._may_be_large or len(owner.SerializePartialToString()) <= self._max_bytes
        )


class _SpanCheck(Check):
    def __init__(
        self, settings: Settings, now_ns: int, account: Account, request: ExportTraceServiceRequest, may_be_large: bool
    ) -> None:
        super().__init__(settings, now_ns, request, may_be_large, SPANS.plural)
        self.repairs = Repairs(settings, self._latest_ns, account, may_be_large=may_be_large)

    def run(self) -> None:
        """Make the request one that may be stored, and weigh it."""
        weight = self.weight
        for resource_spans in self._request.resource_spans:
            resource = resource_spans.resource
            if not self._has_sound_attributes(resource):
                self.repairs.repair_attributes(resource)
            self.repairs.make_texts(resource)
            resource_size = len(resource.SerializePartialToString())
            for scope_spans in resource_spans.scope_spans:
                scope = scope_spans.scope
                if not self._has_sound_attributes(scope):
                    self.repairs.repair_scope(scope)
                self.repairs.make_texts(scope)
                self._check_spans(scope_spans)
                spans = len(scope_spans.spans)
                weight.spans += spans
                # The attributes of a resource are stored, those of a scope are not.
                scope_size = len(scope.name.encode()) + len(scope.version.encode())
                weight.repeated += spans * (resource_size + scope_size)

    def _check_spans(self, scope_spans: ScopeSpans) -> None:
        are_rejected = False
        weight = self.weight
        before = weight.parts
        for span in scope_spans.spans:
            parts = weight.parts
            if not self._is_sound(span):
                if not self.repairs.repair_span(span):
                    are_rejected = True
                    continue
                weight.parts = parts + parts_of(span)
        if are_rejected:
            self.repairs.remove_rejected(scope_spans)
        self.repairs.make_texts_of_all(scope_spans, "spans", weight.parts - before)

    def _is_sound(self, span: Span) -> bool:
        # What is read of a message is made anew each time, so nothing is read twice.
        trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
        all_events, all_links = span.events, span.links
        attributes, events, links = len(span.attributes), len(all_events), len(all_links)
        self.weight.parts += attributes + events + links
        if (
            len(trace_id) != 16
            or trace_id == NO_TRACE_ID
            or len(span_id) != 8
            or span_id == NO_SPAN_ID
            or len(parent_id) not in _PARENT_ID_SIZES
            or parent_id == NO_SPAN_ID
            or not EARLIEST_NS <= span.start_time_unix_nano <= span.end_time_unix_nano <= self._latest_ns
            or attributes > self._max_attributes
            or events > MAX_EVENTS_OR_LINKS
            or links > MAX_EVENTS_OR_LINKS
            or (self._may_be_large and len(span.SerializePartialToString()) > self._max_bytes)
        ):
            return False
        # Looking for what is mostly not there takes as long as counting it.
        for event in all_events if events else ():
            attributes = len(event.attributes)
            self.weight.parts += attributes
            if attributes > self._max_attributes:
                return False
        for link in all_links if links else ():
            attributes = len(link.attributes)
            self.weight.parts += attributes
            if (
                len(link.trace_id) != 16
                or link.trace_id == NO_TRACE_ID
                or len(link.span_id) != 8
                or link.span_id == NO_SPAN_ID
                or attributes > self._max_attributes
            ):
                return False
        return True
