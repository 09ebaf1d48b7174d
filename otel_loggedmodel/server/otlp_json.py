# SPDX-License-Identifier: Apache-2.0
"""OTLP in JSON, as protobuf messages.

It is protobuf's own JSON except for ids, which are hex digits instead of base64:
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. If protobuf's own parser is told to ignore unknown
fields, it also ignores texts where objects should be, and loses what a client meant to send. This one does not. It
leaves out only the span that is wrong, and repairs what JavaScript and others are known to send.
"""

import base64
import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto
from google.protobuf.message import Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_loggedmodel.server.accounting import Account
from otel_loggedmodel.server.refusing import malformed, too_many_messages, too_many_spans

_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})*")
_WHOLE: Final = re.compile(r"-?[0-9]{1,20}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?")
_NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_URL_SAFE: Final = str.maketrans("-_", "+/")
_ID_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_COUNTED: Final = frozenset(
    message.DESCRIPTOR.full_name
    for message in (ResourceSpans, ScopeSpans, Span, Span.Event, Span.Link, ResourceLogs, ScopeLogs, LogRecord)
)
# Of these, one that is wrong is left out, with the spans in it.
_ISOLATED: Final = {
    "resource_spans": ResourceSpans.DESCRIPTOR.full_name,
    "scope_spans": ScopeSpans.DESCRIPTOR.full_name,
    "spans": Span.DESCRIPTOR.full_name,
    "resource_logs": ResourceLogs.DESCRIPTOR.full_name,
    "scope_logs": ScopeLogs.DESCRIPTOR.full_name,
    "log_records": LogRecord.DESCRIPTOR.full_name,
}
_ITEMS: Final = frozenset({"spans", "log_records"})
_INNER: Final = {
    "resource_spans": "scope_spans",
    "scope_spans": "spans",
    "resource_logs": "scope_logs",
    "scope_logs": "log_records",
}
# Nothing reads these, so a value that is no such number is left out.
_UNREAD: Final = frozenset({"flags", "dropped_attributes_count", "dropped_events_count", "dropped_links_count"})
# Protobuf reads messages up to a hundred deep; a list in a list is two messages deeper.
_MAX_DEPTH: Final = 90
# A list in a list is three levels of JSON and two messages deeper, so that this is beyond what is read.
_MAX_JSON_DEPTH: Final = 300
# Brackets, and texts, as these may hold brackets. A text without an end goes up to the end, so that none is read twice.
_NESTING: Final = re.compile(r'[\[\]{}]|"(?:[^"\\]+|\\.)*"?', re.DOTALL)
# Python refuses to read a whole number of more than a few thousand digits, and stops there.
_MOST_DIGITS: Final = 400


def from_json(
    body: bytes,
    max_spans: int,
    account: Account,
    max_messages: int = 2_000_000,
    request_type: type[Message] = ExportTraceServiceRequest,
) -> Any:
    """A request from its JSON.

    Args:
        body: The JSON.
        max_spans: How many are taken, with their events, their links, and what they are in.
        account: Counts what is left out, and what is repaired.
        max_messages: As `max_spans`, with all attributes and their values.
        request_type: What it is a request of.

    Raises:
        RefusalError: Nothing in it is OTLP, and the text names the first place; or it has too many spans.
    """
    document = _parse(body, account)
    request = request_type()
    reader = _Reader(max_spans, account, max_messages)
    try:
        reader.read(request, document, 0)
    except _WrongError as error:
        raise malformed(f"the body is no OTLP in JSON: {error}") from error
    if account.rejected and reader.spans == 0:
        raise malformed(f"the body is no OTLP in JSON: {account.example}")
    return request


def _parse(body: bytes, account: Account) -> object:
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
    except UnicodeDecodeError:
        text = body.decode(errors="replace")
        account.repaired["texts"] += 1
    try:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError):
            # A number of too many digits, or a value that is too deep. It takes longer to look at each.
            return json.loads(_shallow(text), parse_int=_bounded_int)
    except (ValueError, RecursionError) as error:
        raise malformed(f"the body is no JSON: {error}") from error


def _shallow(text: str) -> str:
    """The same JSON with `null` in place of what is nested too deep for Python's parser. Nothing is read from there."""
    kept: list[str] = []
    start = depth = 0
    for token in _NESTING.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == _MAX_JSON_DEPTH:
                kept.append(text[start : token.start()])
        elif token[0] in "]}":
            if depth == _MAX_JSON_DEPTH:
                kept.append("null")
                start = token.end()
            depth -= 1
    return "".join([*kept, text[start:]]) if depth < _MAX_JSON_DEPTH else text


def _bounded_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else math.inf


class _WrongError(Exception):
    """A value is wrong.

    Args:
        text: What it is, and what it should be.
        place: Where it is, as far as that is known yet.
    """

    def __init__(self, text: str, place: str = "") -> None:
        super().__init__(f"{place or 'all of it'} {text}")
        self._text = text
        self._place = place

    def inside(self, place: str) -> "_WrongError":
        """The same, seen from one level further out."""
        dot = "" if self._place.startswith("[") or not self._place else "."
        return _WrongError(self._text, place + dot + self._place)


class _Reader:
    """Reads JSON into messages, up to a number of parts.

    Attributes:
        spans: How many spans were read.
    """

    def __init__(self, max_parts: int, account: Account, max_messages: int) -> None:
        self._max_parts = max_parts
        self._account = account
        self._parts = 0
        self._place: list[str] = []
        self.spans = 0
        self._max_messages = max_messages
        self._messages = 0

    def read(self, message: Message, document: object, depth: int) -> None:
        """Set the fields of a message that a document has and that are known."""
        if not isinstance(document, dict):
            raise _WrongError(f"is {_kind(document)}, not an object")
        if depth > _MAX_DEPTH:
            raise _WrongError("is nested too deep")
        self._messages += 1
        if self._messages > self._max_messages:
            raise too_many_messages(self._max_messages)
        fields = _fields_of(message.DESCRIPTOR)
        for key, value in document.items():
            field = fields.get(key)
            if field is None or value is None:
                continue
            try:
                self._read_field(message, field, value, depth)
            except _WrongError as error:
                raise error.inside(key) from None
            except (ValueError, OverflowError) as error:
                # Protobuf itself checks ranges.
                raise _WrongError(f"is {_kind(value)}: {error}", key) from None

    def _read_field(self, message: Message, field: "_Field", value: object, depth: int) -> None:
        if field.oneof is not None and message.WhichOneof(field.oneof) is not None:
            raise _WrongError("is one value too many: there is another beside it")
        if field.is_list:
            self._read_list(getattr(message, field.name), field, value, depth)
        elif field.convert is None:
            part = getattr(message, field.name)
            part.SetInParent()
            self.read(part, value, depth + 1)
        else:
            try:
                setattr(message, field.name, field.convert(value))
            except (_WrongError, ValueError, OverflowError):
                if not self._repair(message, field, value):
                    raise

    def _repair(self, message: Message, field: "_Field", value: object) -> bool:
        """Whether sense could be made of a value that the field itself does not take."""
        if isinstance(value, str) and field.is_text:
            setattr(message, field.name, _without_lone_surrogates(value))
            self._account.repaired["texts"] += 1
        elif isinstance(message, AnyValue) and field.name == "int_value":
            # JavaScript takes 1e19 for a whole number.
            number = _double(value)
            if not math.isfinite(number):
                return False
            message.double_value = number
            self._account.repaired["numbers"] += 1
        elif field.name in _UNREAD:
            self._account.repaired["numbers"] += 1
        else:
            return False
        return True

    def _read_list(self, parts: Any, field: "_Field", value: object, depth: int) -> None:
        if not isinstance(value, list):
            raise _WrongError(f"is {_kind(value)}, not a list")
        for number, item in enumerate(value):
            if field.is_counted:
                self._parts += 1
                if self._parts > self._max_parts:
                    raise too_many_spans(self._max_parts)
            try:
                if field.is_isolated:
                    self._read_isolated(parts, field, item, number, depth)
                elif item is None:
                    self._read_null(parts, field)
                elif field.convert is None:
                    self.read(parts.add(), item, depth + 1)
                else:
                    parts.append(_without_lone_surrogates(item) if isinstance(item, str) else field.convert(item))
            except _WrongError as error:
                raise error.inside(f"[{number}]") from None

    def _read_null(self, parts: Any, field: "_Field") -> None:
        """JavaScript has `null` in lists where there is nothing. Among values that keeps its place."""
        if field.is_value:
            parts.add()
        self._account.repaired["nulls"] += 1

    def _read_isolated(self, parts: Any, field: "_Field", item: object, number: int, depth: int) -> None:
        before = self.spans, self._account.rejected["malformed"]
        self._place.append(f"{field.json_name}[{number}]")
        try:
            self.read(parts.add(), item, depth + 1)
            self.spans += field.name in _ITEMS
        except _WrongError as error:
            del parts[-1]
            self.spans, self._account.rejected["malformed"] = before
            self._account.reject_malformed(
                max(1, _count_spans(item, field.name)), str(error.inside(".".join(self._place)))
            )
        finally:
            self._place.pop()


def _count_spans(item: object, name: str) -> int:
    """How many spans are in what is wrong."""
    if name in _ITEMS:
        return 1
    inner = _INNER[name]
    items = item.get(inner, item.get(_camel(inner))) if isinstance(item, dict) else None
    return sum(_count_spans(each, inner) for each in items) if isinstance(items, list) else 0


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


def _without_lone_surrogates(text: str) -> str:
    """A text with U+FFFD for each half of a character; two halves that fit are one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@dataclass(frozen=True)
class _Field:
    """How a field of a message is read.

    Attributes:
        name: Its name in Python.
        json_name: Its name in JSON.
        is_list: Whether it is repeated.
        is_counted: Whether its messages count as parts of a request.
        is_isolated: Whether one of its messages that is wrong is left out.
        is_text: Whether it is a text.
        is_value: Whether its messages are values of attributes.
        oneof: The name of the group of which only one may be set.
        convert: What makes a scalar of JSON; None for a message.
    """

    name: str
    json_name: str
    is_list: bool
    is_counted: bool
    is_isolated: bool
    is_text: bool
    is_value: bool
    oneof: str | None
    convert: Callable[[Any], Any] | None


@functools.cache
def _fields_of(descriptor: Descriptor) -> Mapping[str, _Field]:
    """The fields of a message by their names in JSON, and by their names in protobuf, as parsers have to take both."""
    # Between its versions, protobuf has changed how a descriptor says what is repeated, but not how its message does.
    proto = DescriptorProto()
    descriptor.CopyToProto(proto)
    fields: dict[str, _Field] = {}
    for field_proto in proto.field:
        field = descriptor.fields_by_name[field_proto.name]
        message_name = None if field.message_type is None else field.message_type.full_name
        fields[field.name] = fields[field.camelcase_name] = _Field(
            name=field.name,
            json_name=field.camelcase_name,
            is_list=field_proto.label == FieldDescriptorProto.LABEL_REPEATED,
            is_counted=message_name in _COUNTED,
            is_isolated=message_name is not None and _ISOLATED.get(field.name) == message_name,
            is_text=field.type == FieldDescriptor.TYPE_STRING,
            is_value=message_name == AnyValue.DESCRIPTOR.full_name,
            oneof=None if field.containing_oneof is None else field.containing_oneof.name,
            convert=_converter(field),
        )
    return fields


def _converter(field: FieldDescriptor) -> Callable[[Any], Any] | None:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_MESSAGE:
            return None
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return _id if field.name in _ID_FIELDS else _bytes
        case FieldDescriptor.CPPTYPE_STRING:
            return _text
        case FieldDescriptor.CPPTYPE_BOOL:
            return _bool
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return _double
        case FieldDescriptor.CPPTYPE_ENUM:
            assert field.enum_type is not None
            return functools.partial(_enum, field.enum_type)
    return _whole


def _id(value: object) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise _WrongError(f"is {_kind(value)}, not hex digits")
    return bytes.fromhex(value)


def _bytes(value: object) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value.translate(_URL_SAFE) + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        pass
    raise _WrongError(f"is {_kind(value)}, not base64")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongError(f"is {_kind(value)}, not a text")
    return value


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise _WrongError(f"is {_kind(value)}, not true or false")
    return value


def _whole(value: object) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _WrongError(f"is {_kind(value)}, not a whole number")
    return value


def _double(value: object) -> float:
    if isinstance(value, str) and (value in _NOT_FINITE or _NUMBER.fullmatch(value)):
        return float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _WrongError(f"is {_kind(value)}, not a number")
    return float(value)


def _enum(enum: EnumDescriptor, value: object) -> int:
    # OTLP wants numbers; some clients send names, as protobuf's JSON has them.
    if isinstance(value, str) and value in enum.values_by_name:
        return int(enum.values_by_name[value].number)
    return _whole(value)


def _kind(value: object) -> str:
    match value:
        case str():
            return f"the text {value[:40]!r}"
        case dict():
            return "an object"
        case list():
            return "a list"
    return json.dumps(value)[:40]
