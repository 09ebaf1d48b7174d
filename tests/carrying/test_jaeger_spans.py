# SPDX-License-Identifier: Apache-2.0
"""OTLP made of the JSON that Jaeger's pages get."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_loggedmodel.commands.carrying.jaeger_spans import request_of

VERSION = "m-0af7651916cd43dd8448eb211c80319c"


def tag(key: str, kind: str, value: object) -> dict[str, object]:
    return {"key": key, "type": kind, "value": value}


def trace(**span: Any) -> dict[str, Any]:
    made = {
        "traceID": "5b8efff798038103d269b633813fc60c",
        "spanID": "eee19b7ec3c1b174",
        "operationName": "answer",
        "startTime": 1_700_000_000_000_001,
        "duration": 5,
        "processID": "p1",
        **span,
    }
    processes = {"p1": {"serviceName": "shop", "tags": [tag("host.name", "string", "a"), tag("n", "int64", 3)]}}
    return {"traceID": made["traceID"], "spans": [made], "processes": processes}


def read(*traces: dict[str, Any]) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(request_of(traces))


def span_of(**span: Any) -> Span:
    return read(trace(**span)).resource_spans[0].scope_spans[0].spans[0]


def values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def test_tags_become_attributes_of_their_types() -> None:
    tags = [
        tag("text", "string", "a"),
        tag("flag", "bool", False),
        tag("number", "int64", -3),
        tag("beyond what JavaScript counts", "int64", "9223372036854775807"),
        tag("fraction", "float64", 1),
        tag("bytes", "binary", "AP8="),
        tag("of VictoriaTraces", "string", "12"),
        tag("a list", "string", '["a","b"]'),
        tag("not what it says", "int64", "many"),
        tag("text", "string", "a second one"),
    ]
    assert values(span_of(tags=tags).attributes) == {
        "text": "a",
        "flag": False,
        "number": -3,
        "beyond what JavaScript counts": 2**63 - 1,
        "fraction": 1.0,
        "bytes": b"\x00\xff",
        "of VictoriaTraces": "12",
        "a list": '["a","b"]',
        "not what it says": "many",
    }


def test_what_jaeger_writes_as_tags_goes_back_to_where_it_was() -> None:
    tags = [
        tag("span.kind", "string", "consumer"),
        tag("error", "bool", True),
        tag("otel.status_code", "string", "ERROR"),
        tag("otel.status_description", "string", "why"),
        tag("w3c.tracestate", "string", "ot=rv:ff"),
        tag("otel.scope.name", "string", "tests"),
        tag("otel.scope.version", "string", "1.2"),
        tag("internal.span.format", "string", "otlp"),
    ]
    scope = read(trace(tags=tags, flags=1)).resource_spans[0].scope_spans[0]
    (span,) = scope.spans
    assert (scope.scope.name, scope.scope.version) == ("tests", "1.2")
    assert (span.kind, span.trace_state, span.flags) == (Span.SPAN_KIND_CONSUMER, "ot=rv:ff", 1)
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "why")
    assert not span.attributes
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (
        1_700_000_000_000_001_000,
        1_700_000_000_000_006_000,
    )


def test_an_error_that_an_application_describes_stays_an_attribute() -> None:
    span = span_of(tags=[tag("error", "string", "it is full"), tag("otel.status_code", "string", "OK")])
    assert (values(span.attributes), span.status.code) == ({"error": "it is full"}, Status.STATUS_CODE_OK)
    assert span_of(tags=[tag("error", "bool", True)]).status.code == Status.STATUS_CODE_ERROR


def test_the_process_becomes_the_resource_once() -> None:
    request = read(trace(), trace(spanID="2"))
    (resource,) = request.resource_spans
    assert values(resource.resource.attributes) == {"host.name": "a", "n": 3, "service.name": "shop"}
    assert [span.span_id.hex() for span in resource.scope_spans[0].spans] == ["eee19b7ec3c1b174", f"{2:016x}"]


def test_references_become_the_parent_and_links() -> None:
    own = "5b8efff798038103d269b633813fc60c"
    references = [
        {"refType": "CHILD_OF", "traceID": own, "spanID": "a1"},
        {"refType": "CHILD_OF", "traceID": own, "spanID": "a2"},
        {"refType": "FOLLOWS_FROM", "traceID": VERSION[2:], "spanID": "b1"},
    ]
    span = span_of(references=references, tags=[tag("logged_model.id", "string", VERSION)])
    assert span.parent_span_id.hex() == f"{0xA1:016x}"
    assert [(link.trace_id.hex(), link.span_id.hex(), values(link.attributes)) for link in span.links] == [
        (own, f"{0xA2:016x}", {"opentracing.ref_type": "child_of"}),
        (VERSION[2:], f"{0xB1:016x}", {"opentracing.ref_type": "follows_from", "logged_model.id": VERSION}),
    ]
    assert span_of(parentSpanID="c1").parent_span_id.hex() == f"{0xC1:016x}"


def test_logs_become_events() -> None:
    fields = [tag("event", "string", "exception"), tag("exception.type", "string", "ValueError")]
    logs = [{"timestamp": 1_700_000_000_000_002, "fields": fields}, {"timestamp": 5, "fields": [tag("n", "int64", 1)]}]
    first, second = span_of(logs=logs).events
    assert (first.name, first.time_unix_nano) == ("exception", 1_700_000_000_000_002_000)
    assert values(first.attributes) == {"exception.type": "ValueError"}
    assert (second.name, values(second.attributes)) == ("log", {"n": 1})


def test_zeros_that_jaeger_leaves_out_of_ids_come_back() -> None:
    span = span_of(traceID="1f", spanID="2e")
    assert (span.trace_id.hex(), span.span_id.hex()) == (f"{0x1F:032x}", f"{0x2E:016x}")


def test_spans_that_are_known_are_left_out() -> None:
    known = {("5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174")}
    assert request_of([trace()], known) == b""


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
odd_tag = st.fixed_dictionaries({"key": anything, "type": anything, "value": anything}) | anything
odd_span = st.dictionaries(
    st.sampled_from(
        [
            "traceID",
            "spanID",
            "operationName",
            "references",
            "startTime",
            "duration",
            "tags",
            "logs",
            "processID",
            "flags",
        ]
    ),
    anything | st.lists(odd_tag, max_size=3),
)


@given(odd_span)
def test_nothing_that_is_odd_keeps_the_rest_from_being_read(span: dict[str, Any]) -> None:
    request = read(json.loads(json.dumps({"spans": [span], "processes": {}})), trace())
    assert [one.name for resource in request.resource_spans for scope in resource.scope_spans for one in scope.spans][
        -1
    ] == "answer"
