# SPDX-License-Identifier: Apache-2.0
"""Makes OTLP of the JSON that Jaeger's pages get.

Jaeger writes as tags what its own model has no place for: kind, status, state of the trace, scope. They go back to
where OTLP has them, as the Collector's translator does it:
https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/pkg/translator/jaeger
Times have microseconds, and links have lost their attributes.
"""

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from otel_loggedmodel.attributes import ID

_KINDS: Final = {
    "internal": Span.SPAN_KIND_INTERNAL,
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
}
_STATUSES: Final = {"OK": Status.STATUS_CODE_OK, "ERROR": Status.STATUS_CODE_ERROR}
_SCOPE_NAMES: Final = ("otel.scope.name", "otel.library.name")
_SCOPE_VERSIONS: Final = ("otel.scope.version", "otel.library.version")
_STATE: Final = "w3c.tracestate"
# What Jaeger tells itself: how it got a span.
_FORMAT: Final = "internal.span.format"
_LINK_KINDS: Final = {"CHILD_OF": "child_of", "FOLLOWS_FROM": "follows_from"}
_NS: Final = 1000
_MAX_NS: Final = 2**63
_MAX_INT: Final = 2**63

Tag = Mapping[str, Any]


def request_of(traces: Iterable[Mapping[str, Any]], known: Collection[tuple[str, str]] = ()) -> bytes:
    """Traces as a request of OTLP.

    Args:
        traces: As Jaeger has them.
        known: Spans that are left out, by the ids of trace and span.
    """
    request = ExportTraceServiceRequest()
    scopes: dict[tuple[bytes, str, str], ScopeSpans] = {}
    resources: dict[bytes, Any] = {}
    for trace in traces:
        processes = _mapping(trace.get("processes"))
        for span in _list(trace.get("spans")):
            ids = trace_id_of(span.get("traceID")), _id(span.get("spanID"), 8)
            if (ids[0].hex(), ids[1].hex()) in known:
                continue
            process = _mapping(processes.get(str(span.get("processID"))) or span.get("process"))
            tags = _tags(span.get("tags"))
            name, version = _taken(tags, _SCOPE_NAMES), _taken(tags, _SCOPE_VERSIONS)
            whose = msgspec.json.encode(process)
            scope = scopes.get((whose, name, version))
            if scope is None:
                resource = resources.get(whose)
                if resource is None:
                    resource = resources[whose] = request.resource_spans.add()
                    _write_process(resource.resource.attributes, process)
                scope = scopes[whose, name, version] = resource.scope_spans.add()
                scope.scope.name, scope.scope.version = name, version
            _write(scope.spans.add(), span, ids, tags)
    return request.SerializeToString()


def trace_id_of(text: object) -> bytes:
    """The 16 bytes of a trace id; Jaeger leaves zeros at the beginning out. Empty where it is none."""
    return _id(text, 16)


def _write(into: Span, span: Mapping[str, Any], ids: tuple[bytes, bytes], tags: dict[str, Tag]) -> None:
    into.trace_id, into.span_id = ids
    into.name = _text(span.get("operationName"))
    into.trace_state = _taken(tags, (_STATE,))
    into.flags = _whole(span.get("flags")) & 0xFF
    start = _whole(span.get("startTime")) * _NS
    if 0 <= start < _MAX_NS:
        into.start_time_unix_nano = start
        into.end_time_unix_nano = min(start + max(0, _whole(span.get("duration"))) * _NS, _MAX_NS)
    tags.pop(_FORMAT, None)
    kind = _KINDS.get(_text(tags.get("span.kind", {}).get("value")).lower())
    if kind is not None:
        into.kind = kind
        del tags["span.kind"]
    _write_status(into.status, tags)
    model_id = _text(tags.get(ID, {}).get("value"))
    _write_references(into, span, model_id)
    _write_tags(into.attributes, tags)
    for log in _list(span.get("logs")):
        fields = _tags(log.get("fields"))
        event = into.events.add(name=_taken(fields, ("event",)) or "log")
        time = _whole(log.get("timestamp")) * _NS
        if 0 <= time < _MAX_NS:
            event.time_unix_nano = time
        _write_tags(event.attributes, fields)


def _write_status(into: Status, tags: dict[str, Tag]) -> None:
    code = _STATUSES.get(_text(tags.get("otel.status_code", {}).get("value")).upper())
    failed = tags.get("error", {})
    if failed.get("type") in ("bool", None, "string") and str(failed.get("value")).lower() in ("true", "false"):
        # It is how Jaeger says the status, not what an application said.
        del tags["error"]
        if code is None and str(failed["value"]).lower() == "true":
            code = Status.STATUS_CODE_ERROR
    if code is not None:
        into.code = code
    tags.pop("otel.status_code", None)
    into.message = _taken(tags, ("otel.status_description",))


def _write_references(into: Span, span: Mapping[str, Any], model_id: str) -> None:
    parent = _id(span.get("parentSpanID"), 8) if span.get("parentSpanID") else b""
    for reference in _list(span.get("references")):
        kind = _text(reference.get("refType"))
        trace_id, span_id = trace_id_of(reference.get("traceID")), _id(reference.get("spanID"), 8)
        if kind == "CHILD_OF" and trace_id == into.trace_id and parent in (b"", span_id):
            parent = span_id
            continue
        link = into.links.add(trace_id=trace_id, span_id=span_id)
        if kind in _LINK_KINDS:
            link.attributes.add(key="opentracing.ref_type").value.string_value = _LINK_KINDS[kind]
        if model_id and trace_id.hex() == model_id.removeprefix("m-"):
            # The link to the span's own version, whose trace id is in its id.
            link.attributes.add(key=ID).value.string_value = model_id
    if any(parent):
        into.parent_span_id = parent


def _write_process(into: Any, process: Mapping[str, Any]) -> None:
    tags = _tags(process.get("tags"))
    name = _text(process.get("serviceName"))
    if name:
        tags["service.name"] = {"type": "string", "value": name}
    _write_tags(into, tags)


def _write_tags(into: Any, tags: Mapping[str, Tag]) -> None:
    for key, tag in tags.items():
        _write_value(into.add(key=key).value, tag.get("type"), tag.get("value"))


def _write_value(into: AnyValue, kind: object, value: object) -> None:
    """A value of the type that the tag says; as a text where it is none of that type."""
    match kind, value:
        case "bool", bool() | "true" | "false":
            into.bool_value = value in (True, "true")
        case "int64", int() | str() if not isinstance(value, bool) and _is_whole(value):
            into.int_value = int(value)
        case "float64", int() | float() if not isinstance(value, bool):
            into.double_value = float(value)
        case "binary", str() if (decoded := _bytes(value)) is not None:
            into.bytes_value = decoded
        case _, None:
            into.string_value = ""
        case _, str():
            into.string_value = _text(value)
        case _:
            into.string_value = msgspec.json.encode(value).decode()


def _is_whole(value: int | str) -> bool:
    try:
        return -_MAX_INT <= int(value) < _MAX_INT
    except ValueError:
        return False


def _bytes(value: str) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _tags(tags: object) -> dict[str, Tag]:
    """Tags by their keys; of several of one key the first, as of OTLP's attributes."""
    found: dict[str, Tag] = {}
    for tag in _list(tags):
        found.setdefault(_text(tag.get("key")), tag)
    return found


def _taken(tags: dict[str, Tag], keys: Iterable[str]) -> str:
    """Take the tags of these keys out, and return the text of the first that has one."""
    texts = [_text(tags.pop(key).get("value")) for key in keys if key in tags]
    return next(filter(None, texts), "")


def _list(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _whole(value: object) -> int:
    try:
        return int(value) if isinstance(value, int | float | str) else 0
    except (ValueError, OverflowError):
        return 0


def _id(text: object, size: int) -> bytes:
    try:
        return bytes.fromhex(_text(text).zfill(2 * size))
    except ValueError:
        return b""
