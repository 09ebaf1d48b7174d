# SPDX-License-Identifier: Apache-2.0
"""OTLP written and read by hand, so that these tests hold for whatever speaks OTLP, in any language."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

AttributeValue = str | bool | int | float

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(1, 6)
ERROR = 2

# Bits 8 and 9 of a span's flags: "is_remote is known", "is_remote".
LOCAL_PARENT = 0x100
REMOTE_PARENT = 0x300
UNTOLD = 0

# What model records carry against samplers: see design, "A model is a trace".
ALWAYS_SAMPLED_STATE = "ot=rv:ffffffffffffff"
ALWAYS_SAMPLED_PRIORITY: Mapping[str, AttributeValue] = {"sampling.priority": 1}


def random_trace_id() -> str:
    return secrets.token_hex(16)


def random_span_id() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True)
class Span:
    """A span to send, or one that came out, which tells its ``resource`` too; ``seconds`` is its duration."""

    name: str
    trace_id: str = field(default_factory=random_trace_id)
    span_id: str = field(default_factory=random_span_id)
    parent_id: str = ""
    kind: int = INTERNAL
    seconds: float = 0.1
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    error: bool = False
    trace_state: str = ""
    flags: int = LOCAL_PARENT
    resource: Mapping[str, AttributeValue] = field(default_factory=dict)

    def child(self, name: str, **fields: Any) -> Span:
        return Span(name, trace_id=self.trace_id, parent_id=self.span_id, **fields)


def model_record(
    model_id: str,
    *,
    event: str = "created",
    attributes: Mapping[str, AttributeValue] = ALWAYS_SAMPLED_PRIORITY,
    trace_state: str = ALWAYS_SAMPLED_STATE,
) -> Span:
    """Return a record of a model, whose trace id is in its id ``m-<32 hex digits>``."""
    root = hashlib.sha256(f"span:{model_id}".encode()).hexdigest()[:16]
    created = event == "created"
    return Span(
        name="logged_model",
        trace_id=model_id.removeprefix("m-"),
        span_id=root if created else random_span_id(),
        parent_id="" if created else root,
        seconds=0.0,
        attributes={"logged_model.id": model_id, "logged_model.event": event, **attributes},
        trace_state=trace_state,
    )


def evaluation_result(of: Span, model_id: str) -> Span:
    return of.child(
        "gen_ai.evaluation.result",
        seconds=0.0,
        attributes={
            "logged_model.id": model_id,
            "gen_ai.evaluation.name": "helpful",
            "gen_ai.evaluation.score.value": 0.5,
        },
    )


def new_model_id() -> str:
    return f"m-{random_trace_id()}"


def request(spans: Iterable[Span], resource: Mapping[str, AttributeValue] | None = None) -> dict[str, Any]:
    """Return an export request in the OTLP JSON encoding, whose ids are hexadecimal."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource or {})},
                "scopeSpans": [{"scope": {"name": "by-hand"}, "spans": [_span(span) for span in spans]}],
            }
        ]
    }


def send_json(base_url: str, spans: Iterable[Span], resource: Mapping[str, AttributeValue] | None = None) -> None:
    post(f"{base_url}/v1/traces", json.dumps(request(spans, resource)).encode(), "application/json")


def in_protobuf(spans: Iterable[Span], resource: Mapping[str, AttributeValue] | None = None) -> bytes:
    return _message(request(spans, resource)).SerializeToString()


def send_protobuf(base_url: str, spans: Iterable[Span], resource: Mapping[str, AttributeValue] | None = None) -> None:
    body = in_protobuf(spans, resource)
    post(f"{base_url}/v1/traces", body, "application/x-protobuf")


def send_grpc(address: str, spans: Iterable[Span], resource: Mapping[str, AttributeValue] | None = None) -> None:
    with grpc.insecure_channel(address) as channel:
        stub = TraceServiceStub(channel)  # type: ignore[no-untyped-call]
        stub.Export(_message(request(spans, resource)), timeout=10)


def fetch(url: str, seconds: float = 10) -> str:
    with _without_proxy.open(url, timeout=seconds) as response:
        return str(response.read().decode())


def read_file(path: Path) -> list[Span]:
    """Return the spans of a file of the Collector's, one request in OTLP JSON a line."""
    if not path.exists():
        return []
    # Its last line may be in the making.
    complete = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [span for line in complete.splitlines() for span in read_request(json.loads(line))]


def read_protobuf(body: bytes) -> list[Span]:
    """Return the spans of an export request as OTLP/HTTP carries it."""
    decoded = MessageToDict(ExportTraceServiceRequest.FromString(body))
    for span in _spans_of(decoded):
        for key in _IDS & span.keys():
            span[key] = base64.b64decode(span[key]).hex()
        span["kind"] = ["SPAN_KIND_UNSPECIFIED", *_KINDS].index(span.get("kind", "SPAN_KIND_UNSPECIFIED"))
        span["status"] = {"code": ERROR if span.get("status", {}).get("code") == "STATUS_CODE_ERROR" else 0}
    return read_request(decoded)


def read_request(decoded: dict[str, Any]) -> list[Span]:
    return [
        Span(
            name=span["name"],
            trace_id=span["traceId"],
            span_id=span["spanId"],
            parent_id=span.get("parentSpanId", ""),
            kind=span.get("kind", 0),
            seconds=(int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e9,
            attributes=_mapping(span.get("attributes", [])),
            error=span.get("status", {}).get("code") == ERROR,
            trace_state=span.get("traceState", ""),
            flags=span.get("flags", 0),
            resource=_mapping(resource_spans.get("resource", {}).get("attributes", [])),
        )
        for resource_spans in decoded.get("resourceSpans", [])
        for scope_spans in resource_spans.get("scopeSpans", [])
        for span in scope_spans.get("spans", [])
    ]


_IDS = {"traceId", "spanId", "parentSpanId"}
_KINDS = [f"SPAN_KIND_{kind}" for kind in ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")]
_VALUES: dict[type, str] = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}

# Whoever has a proxy in the environment does not mean it for loopback.
_without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(url: str, body: bytes, content_type: str) -> None:
    posted = urllib.request.Request(url, body, {"content-type": content_type})
    with _without_proxy.open(posted, timeout=30) as response:
        response.read()


def _span(span: Span) -> dict[str, Any]:
    end = time.time_ns()
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(end - round(span.seconds * 1e9)),
        "endTimeUnixNano": str(end),
        "attributes": _attributes(span.attributes),
        "status": {"code": ERROR} if span.error else {},
        "traceState": span.trace_state,
        "flags": span.flags,
    }


def _attributes(values: Mapping[str, AttributeValue]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {_VALUES[type(value)]: str(value) if type(value) is int else value}}
        for key, value in values.items()
    ]


def _mapping(attributes: list[dict[str, Any]]) -> dict[str, AttributeValue]:
    values = {}
    for attribute in attributes:
        ((kind, value),) = attribute["value"].items()
        values[attribute["key"]] = int(value) if kind == "intValue" else value
    return values


def _message(decoded: dict[str, Any]) -> ExportTraceServiceRequest:
    # Protobuf's own JSON has base64 where OTLP's has hexadecimal.
    for span in _spans_of(decoded):
        for key in _IDS:
            span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    return ParseDict(decoded, ExportTraceServiceRequest())


def _spans_of(decoded: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        span
        for resource_spans in decoded.get("resourceSpans", [])
        for scope_spans in resource_spans["scopeSpans"]
        for span in scope_spans["spans"]
    ]
