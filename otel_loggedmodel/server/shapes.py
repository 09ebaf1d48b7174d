# SPDX-License-Identifier: Apache-2.0
"""What requests with spans and requests with log records have in common, and what differs.

Both are lists of resources, with scopes in them, with items in those, in fields of the same numbers. So one piece of
code reads both; a `Shape` tells it the names.
"""

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_loggedmodel.server import loose_types
from otel_loggedmodel.server.flat_request import FlatLogRecord, FlatLogsRequest, FlatRequest, FlatSpan


@dataclass(frozen=True)
class Shape:
    """One kind of request.

    Attributes:
        request: Its type.
        flat_request: Its flat type, as `flat_request` has it.
        flat_item: The flat type of its items.
        loose_item: The type of its items in which texts are bytes.
        resources: The name of the field of resources.
        scopes: The name of the field of scopes in a resource.
        items: The name of the field of items in a scope.
        plural: What messages call the items.
    """

    request: type[Message]
    flat_request: type[Any]
    flat_item: type[Any]
    loose_item: type[Any]
    resources: str
    scopes: str
    items: str
    plural: str

    @property
    def name(self) -> str:
        """The name of its type."""
        return self.request.DESCRIPTOR.name


SPANS: Final = Shape(
    request=ExportTraceServiceRequest,
    flat_request=FlatRequest,
    flat_item=FlatSpan,
    loose_item=loose_types.flat.type("trace.v1.Span"),
    resources="resource_spans",
    scopes="scope_spans",
    items="spans",
    plural="spans",
)
LOG_RECORDS: Final = Shape(
    request=ExportLogsServiceRequest,
    flat_request=FlatLogsRequest,
    flat_item=FlatLogRecord,
    loose_item=loose_types.flat.type("logs.v1.LogRecord"),
    resources="resource_logs",
    scopes="scope_logs",
    items="log_records",
    plural="log records",
)
