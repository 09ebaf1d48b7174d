# SPDX-License-Identifier: Apache-2.0
"""OTLP log records over HTTP and gRPC: what is kept, what is repaired, what is answered."""

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from asking import JSON, PROTOBUF, Answer
from log_requests import SPAN, TRACE, record, records_of, request, score
from memory_reader import MemoryReader
from otel_loggedmodel.server.declining import DeclinedMetrics
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store.reading import StoreUnavailableError

from .backends import Backend, MemoryWriter, body_of
from .conftest import FAST

EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
EXPORT_METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    backend = Backend(Settings(**FAST), MemoryWriter(), MemoryReader(), MemoryWriter())
    yield backend
    assert backend.stop() == 0


@pytest.fixture(scope="module")
def keeping_all() -> Iterator[Backend]:
    settings = Settings(**FAST, keep_all_logs=True, max_value_bytes=1000, max_attributes=5, max_spans=1000)
    backend = Backend(settings, MemoryWriter(), MemoryReader(), MemoryWriter())
    yield backend
    assert backend.stop() == 0


def send(backend: Backend, body: bytes, content_type: str = PROTOBUF, **headers: str) -> Answer:
    return backend.ask("POST", "/v1/logs", body, {"content-type": content_type, **headers})


def said(answer: Answer) -> tuple[int, str]:
    assert answer.status == 200, answer.body
    partial = ExportLogsServiceResponse.FromString(answer.body).partial_success
    return partial.rejected_log_records, partial.error_message


def stored(backend: Backend) -> list[Any]:
    return records_of(backend.log_writer.inserts[-1])


VERSIONED = {"logged_model.id": "m-1"}


def test_protobuf_over_http_and_grpc_gzipped_and_not(backend: Backend) -> None:
    for number, compress in enumerate((bytes, gzip.compress)):
        body = request(record(f"http {number}", attributes=VERSIONED)).SerializeToString()
        headers = {"content-encoding": "gzip"} if number else {}
        answer = send(backend, compress(body), **headers)
        assert (said(answer), answer.body) == ((0, ""), b"")
        assert stored(backend)[0].body.string_value == f"http {number}"
        body = request(record(f"grpc {number}", attributes=VERSIONED)).SerializeToString()
        assert backend.call(compress(body), method=EXPORT) == b""
        assert stored(backend)[0].body.string_value == f"grpc {number}"
    assert backend.writer.inserts == []


def test_json(backend: Backend) -> None:
    one = {
        "timeUnixNano": str(time.time_ns()),
        "traceId": TRACE.upper(),
        "spanId": SPAN,
        "eventName": "gen_ai.choice",
        "body": {"kvlistValue": {"values": [{"key": "index", "value": {"intValue": "0"}}]}},
        "severityNumber": "SEVERITY_NUMBER_INFO",
    }
    wrong = {**one, "traceId": 7}
    content = {"resourceLogs": [{"scopeLogs": [{"logRecords": [one, wrong]}]}]}
    answer = send(backend, json.dumps(content).encode(), JSON)
    assert json.loads(answer.body)["partialSuccess"] == {
        "rejectedLogRecords": "1",
        "errorMessage": "1 of 2 log records were rejected: 1 with content that is no OTLP (resourceLogs[0]."
        "scopeLogs[0].logRecords[1].traceId is 7, not hex digits)",
    }
    (kept,) = stored(backend)
    assert (kept.trace_id.hex(), kept.span_id.hex(), kept.severity_number) == (TRACE, SPAN, 9)
    assert kept.body.string_value == '{"index":0}'


def test_what_has_neither_version_nor_an_event_that_is_read_is_left_out_and_said(backend: Backend) -> None:
    sent = request(
        record("plain"),
        record("versioned", attributes={"k": 1, **VERSIONED}),
        record("a choice", event="gen_ai.choice"),
        record("another event", event="app.clicked"),
        record("named the old way", attributes={"event.name": "gen_ai.user.message"}),
        record("named like nothing here", attributes={"event.name": "app.clicked"}),
        score("good", 1.0),
    )
    assert said(send(backend, sent.SerializeToString())) == (
        3,
        "3 of 7 log records were rejected: 3 with neither a version nor the name of an event that is read here"
        " (`serve --logs all` keeps these, too)",
    )
    assert [one.body.string_value for one in stored(backend)] == ["versioned", "a choice", "named the old way", ""]
    assert backend.metric("otel_loggedmodel_log_rejected_records_total", reason="not_kept") >= 3


def test_a_version_on_the_resource_keeps_all_records_of_it(backend: Backend) -> None:
    sent = request(record("a"), record("b"), logged_model__id="m-2").SerializeToString()
    assert said(send(backend, sent)) == (0, "")
    assert len(stored(backend)) == 2


def test_of_a_request_of_which_nothing_is_kept_nothing_is_stored(backend: Backend) -> None:
    before = len(backend.log_writer.inserts)
    assert said(send(backend, request(record("plain")).SerializeToString()))[0] == 1
    assert len(backend.log_writer.inserts) == before


def test_all_are_kept_where_somebody_asked_for_that(keeping_all: Backend) -> None:
    assert said(send(keeping_all, request(record("plain"), record("too")).SerializeToString())) == (0, "")
    assert [one.body.string_value for one in stored(keeping_all)] == ["plain", "too"]


def test_what_is_odd_is_repaired_and_nothing_is_lost_by_it(keeping_all: Backend) -> None:
    before = time.time_ns()
    odd = [
        record("no time", at=0),
        record("observed", at=0, observed_time_unix_nano=before - 5),
        record("long ago", at=7, observed_time_unix_nano=before - 5),
        record("in a year", at=before + 365 * 24 * 3600 * 10**9),
        record("short ids", trace=TRACE[:10], span=SPAN),
        record("short span", trace=TRACE, span=SPAN[:4]),
        record("span alone", span=SPAN),
        record("zero ids", trace="0" * 32, span="0" * 16),
        record("sound", trace=TRACE, span=SPAN),
        record("x" * 5000),
        record(b"y" * 5000),
        record("many attributes", attributes={**{f"k{number}": "v" for number in range(20)}, **VERSIONED}),
        record(["a", {"b": 1}, None]),
        record({"deep": {"er": [1.5, True]}}),
        record(None),
    ]
    assert said(send(keeping_all, request(*odd).SerializeToString())) == (0, "")
    found = stored(keeping_all)
    assert len(found) == len(odd)
    by_body = {one.body.string_value[:15]: one for one in found}
    for body in ("no time", "in a year"):
        assert before <= by_body[body].time_unix_nano <= time.time_ns()
    assert by_body["observed"].time_unix_nano == 0
    assert by_body["long ago"].time_unix_nano == before - 5
    ids = {body: (one.trace_id.hex(), one.span_id.hex()) for body, one in by_body.items()}
    assert [ids[body] for body in ("short ids", "span alone", "zero ids")] == [("", "")] * 3
    assert ids["short span"] == (TRACE, "")
    assert ids["sound"] == (TRACE, SPAN)
    assert len(by_body["x" * 15].body.string_value) == 1000
    assert any(len(one.body.bytes_value) == 1000 for one in found)
    assert [pair.key for pair in by_body["many attributes"].attributes][-1] == "logged_model.id"
    assert {'["a",{"b":1},nu', '{"deep":{"er":['} < by_body.keys()


def test_texts_that_are_not_utf8_and_records_that_are_garbled_cost_no_other(keeping_all: Backend) -> None:
    body = request(record("caf_"), record("whole"), record("garbled")).SerializeToString()
    body = body.replace(b"caf_", b"caf\xff").replace(b"\x09garbled".replace(b"\x09", b"\x07"), b"\x7fgarbled")
    rejected, words = said(send(keeping_all, body))
    assert (rejected, "cannot be read" in words) == (1, True)
    assert [one.body.string_value for one in stored(keeping_all)] == ["caf\ufffd", "whole"]


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_what_is_no_otlp_is_refused(backend: Backend, content_type: str) -> None:
    assert send(backend, b"\x0a\xffnonsense", content_type).status == 400


def test_too_many_records_are_refused(keeping_all: Backend) -> None:
    answer = send(keeping_all, request(*[record("x")] * 1500).SerializeToString())
    assert answer.status == 413


def test_the_same_request_twice_is_stored_once(backend: Backend) -> None:
    body = request(record("once", attributes=VERSIONED)).SerializeToString()
    assert said(send(backend, body)) == said(send(backend, body)) == (0, "")
    assert sum(body in insert for insert in backend.log_writer.inserts) == 1


def test_what_cannot_be_stored_is_left_to_its_sender_and_spans_go_on() -> None:
    logs = MemoryWriter()

    def fail(_: object) -> None:
        raise StoreUnavailableError("no disk")

    logs.script = fail
    backend = Backend(Settings(**FAST), MemoryWriter(), MemoryReader(), logs)
    try:
        answer = send(backend, request(record("x", attributes=VERSIONED)).SerializeToString())
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert backend.post(body_of(1)).status == 200
    finally:
        backend.stop()


def test_a_backend_without_a_place_for_them_says_so(shared: Backend) -> None:
    assert send(shared, request(record("x")).SerializeToString()).status == 404


# Metrics


def metrics_request() -> bytes:
    made = ExportMetricsServiceRequest()
    metrics = made.resource_metrics.add().scope_metrics.add().metrics
    metrics.add(name="a").gauge.data_points.add(as_int=1)
    points = metrics.add(name="b").sum.data_points
    points.add(as_int=1)
    points.add(as_int=2)
    return made.SerializeToString()


def test_metrics_are_told_once_that_they_are_not_stored_and_never_refused(backend: Backend) -> None:
    headers = {"content-type": PROTOBUF}
    answers = [backend.ask("POST", "/v1/metrics", metrics_request(), headers) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    first = ExportMetricsServiceResponse.FromString(answers[0].body).partial_success
    assert first.rejected_data_points == 3
    assert "OTEL_METRICS_EXPORTER=none" in first.error_message
    assert [answer.body for answer in answers[1:]] == [b"", b""]
    assert backend.call(metrics_request(), method=EXPORT_METRICS) == b""
    content = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "a", "gauge": {"dataPoints": [{}, {}]}}]}]}]}
    assert backend.ask("POST", "/v1/metrics", json.dumps(content).encode(), {"content-type": JSON}).body == b"{}"


def test_a_sender_of_metrics_is_told_again_after_an_hour() -> None:
    now = 0.0
    declined = DeclinedMetrics(lambda: now)
    assert declined.answer("a", lambda: 5).partial_success.rejected_data_points == 5
    assert not declined.answer("a", lambda: 5).HasField("partial_success")
    assert declined.answer("b", lambda: 1).partial_success.rejected_data_points == 1
    now = 3601.0
    assert declined.answer("a", lambda: 5).partial_success.rejected_data_points == 5
