# SPDX-License-Identifier: Apache-2.0
"""OTLP's request as a type that tells which attribute values are lists or maps, without looking at each of them.

Stores take neither (`store.writing.SpanWriter`), and few attributes are one. Looking at every value in Python costs
more than all other checks of a span together, so protobuf does it: in `FlatRequest`, which reads and writes the same
bytes, a list and a map are messages with a required field that nobody sends. So `IsInitialized()`, which is native
code, is false of all that has a list or a map somewhere, and `FindInitializationErrors()` says where.
"""

from typing import Final, Protocol

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

_PACKAGE: Final = "otel_loggedmodel"
_NAME: Final = "ListOrMap"
_LARGEST_FIELD_NUMBER: Final = 2**29 - 1


class _HasFile(Protocol):
    def CopyToProto(self, proto: descriptor_pb2.FileDescriptorProto, /) -> None: ...


def _flat_request() -> type[trace_service_pb2.ExportTraceServiceRequest]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_list_or_map())
    pool.Add(_common())
    for module in (resource_pb2, trace_pb2, trace_service_pb2):
        pool.Add(_file_of(module.DESCRIPTOR))
    name = trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR.full_name
    # Its fields are the same, but for those of lists and maps.
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))  # type: ignore[return-value]


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


FlatRequest: Final = _flat_request()
