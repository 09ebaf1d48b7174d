# SPDX-License-Identifier: Apache-2.0
"""OTLP's messages as types that read more than protobuf does, for requests that protobuf refuses.

Protobuf refuses a whole request where one of its texts is not UTF-8, or where one of its spans is garbled. `Envelope`
reads the same bytes, but leaves the spans as they came, so that each can be read by itself. In the loose types texts
are bytes, which may be anything; `mend` makes texts of them.
"""

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from otel_loggedmodel.server.flat_request import flat_files, full_files

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "opentelemetry.proto."


class TooManyPartsError(Exception):
    """There are more parts than may be looked through."""


def _envelope() -> type[Any]:
    file = descriptor_pb2.FileDescriptorProto(name="envelope.proto", package="otel_loggedmodel", syntax="proto3")
    for name, fields in (
        ("Envelope", {"resource_spans": (1, "ResourceSpans")}),
        # If a field is there several times, it is one message in pieces.
        ("ResourceSpans", {"resource": (1, None), "scope_spans": (2, "ScopeSpans")}),
        ("ScopeSpans", {"scope": (1, None), "spans": (2, None)}),
    ):
        message = file.message_type.add(name=name)
        for field_name, (number, type_name) in fields.items():
            field = message.field.add(name=field_name, number=number, label=_Field.LABEL_REPEATED)
            if type_name is None:
                field.type = _Field.TYPE_BYTES
            else:
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".otel_loggedmodel.{type_name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("otel_loggedmodel.Envelope"))


class _LooseTypes:
    """Types in which texts are bytes.

    Args:
        files: What to make them of.
    """

    def __init__(self, files: Iterable[descriptor_pb2.FileDescriptorProto]) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        self._texts: dict[str, bool] = {}
        self._parts: dict[str, bool] = {}
        for file in files:
            for message in file.message_type:
                self._loosen(message, f"{file.package}.{message.name}")
            self._pool.Add(file)

    def type(self, name: str) -> type[Any]:
        """One of them, by its name below OTLP's package."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(_PACKAGE + name))

    def mend(self, message: Message, most: int) -> int:
        """Put U+FFFD where a text of a message, or of what is in it, is not UTF-8.

        Args:
            message: A message of one of these types.
            most: How many messages are looked through.

        Returns:
            How many were looked through.

        Raises:
            TooManyPartsError: There are more.
        """
        looked = 1
        for field, value in message.ListFields():
            name = field.full_name
            if (is_list := self._parts.get(name)) is not None:
                for part in value if is_list else (value,):
                    looked += self.mend(part, most - looked)
                    if looked > most:
                        raise TooManyPartsError
            elif (is_list := self._texts.get(name)) is not None:
                if not is_list:
                    setattr(message, field.name, _text(value))
                else:
                    value[:] = [_text(text) for text in value]
        return looked

    def _loosen(self, message: descriptor_pb2.DescriptorProto, name: str) -> None:
        for field in message.field:
            is_list = field.label == _Field.LABEL_REPEATED
            if field.type == _Field.TYPE_STRING:
                field.type = _Field.TYPE_BYTES
                self._texts[f"{name}.{field.name}"] = is_list
            elif field.type == _Field.TYPE_MESSAGE:
                self._parts[f"{name}.{field.name}"] = is_list
        for inner in message.nested_type:
            self._loosen(inner, f"{name}.{inner.name}")


def _text(value: bytes) -> bytes:
    return value if value.isascii() else value.decode(errors="replace").encode()


Envelope: Final = _envelope()
flat: Final = _LooseTypes(flat_files())
full: Final = _LooseTypes(full_files())
