# SPDX-License-Identifier: Apache-2.0
"""OTLP's requests as types that tell which attribute values are lists or maps, without looking at each of them.

Stores take neither (`store.writing.SpanWriter`), and few attributes are one. Looking at every value in Python costs
more than all other checks of a span together, so protobuf does it. `FlatRequest` reads and writes the same bytes, but
its lists and maps are messages with a required field that nobody sends. So `IsInitialized()`, which is native code, is
false if there is a list or a map anywhere, and `FindInitializationErrors()` says where.
"""

from typing import Final, Protocol, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

_PACKAGE: Final = "otel_loggedmodel"
_NAME: Final = "ListOrMap"
_LARGEST_FIELD_NUMBER: Final = 2**29 - 1


_M = TypeVar("_M", bound=Message)


class _HasFile(Protocol):
    def CopyToProto(self, proto: descriptor_pb2.FileDescriptorProto, /) -> None: ...


def full_files() -> list[descriptor_pb2.FileDescriptorProto]:
    """OTLP's own types, each file after those that it needs; a copy."""
    modules = (common_pb2, resource_pb2, trace_pb2, trace_service_pb2, logs_pb2, logs_service_pb2)
    return [_file_of(module.DESCRIPTOR) for module in modules]


def flat_files() -> list[descriptor_pb2.FileDescriptorProto]:
    """The same with another type for lists and maps."""
    return [_list_or_map(), _common(), *full_files()[1:]]


def _flat_type(message: type[_M]) -> type[_M]:
    # Its fields are the same, except those of lists and maps.
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(message.DESCRIPTOR.full_name))  # type: ignore[return-value]


def _list_or_map() -> descriptor_pb2.FileDescriptorProto:
    # Required fields exist in proto2 alone; a file of proto3 may use its messages.
    file = descriptor_pb2.FileDescriptorProto(name="list_or_map.proto", package=_PACKAGE, syntax="proto2")
    file.message_type.add(name=_NAME).field.add(
        name="never_sent",
        number=_LARGEST_FIELD_NUMBER,
        type=descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
        label=descriptor_pb2.FieldDescriptorProto.LABEL_REQUIRED,
    )
    return file


def _common() -> descriptor_pb2.FileDescriptorProto:
    file = _file_of(common_pb2.DESCRIPTOR)
    file.dependency.append("list_or_map.proto")
    [any_value] = [message for message in file.message_type if message.name == "AnyValue"]
    for field in any_value.field:
        if field.name in ("array_value", "kvlist_value"):
            field.type_name = f".{_PACKAGE}.{_NAME}"
    return file


def _file_of(descriptor: _HasFile) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto()
    descriptor.CopyToProto(file)
    return file


_pool: Final = descriptor_pool.DescriptorPool()
for _file in flat_files():
    _pool.Add(_file)
FlatRequest: Final = _flat_type(trace_service_pb2.ExportTraceServiceRequest)
FlatLogsRequest: Final = _flat_type(logs_service_pb2.ExportLogsServiceRequest)
FlatLogRecord: Final = _flat_type(logs_pb2.LogRecord)
FlatSpan: Final = _flat_type(trace_pb2.Span)
FlatResource: Final = _flat_type(resource_pb2.Resource)
FlatScope: Final = _flat_type(common_pb2.InstrumentationScope)
