# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent, there is an answer, it is never the backend's own failure, and it goes on."""

import contextlib
import gzip
import json
import socket
from typing import Any
from urllib.parse import urlencode

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asking import JSON, PROTOBUF

from .backends import Backend, body_of, spans_of
from .odd_requests import requests

EXPECTED = {200, 400, 413, 415}
on_one_backend = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

WHOLE = body_of(3)
texts = st.text(max_size=20)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.just("5b8efff798038103d269b633813fc60c")
)
NAMES = """
    resourceSpans scopeSpans spans resource scope attributes key value stringValue intValue doubleValue boolValue
    bytesValue arrayValue kvlistValue values traceId spanId parentSpanId name kind startTimeUnixNano endTimeUnixNano
    events links status code message flags traceState droppedAttributesCount timeUnixNano schemaUrl entityRefs idKeys
"""
names = st.sampled_from(NAMES.split())
documents = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(names, texts), inner, max_size=4)),
    max_leaves=25,
)


def nested_in(keys: list[str], value: Any) -> Any:
    for key in reversed(keys):
        value = {key: [value]}
    return value


@given(st.binary(max_size=500))
@on_one_backend
def test_random_bytes(shared: Backend, body: bytes) -> None:
    for content_type in (PROTOBUF, JSON):
        for encoding in ("identity", "gzip", "zstd", "deflate"):
            assert shared.post(body, content_type, content_encoding=encoding).status in EXPECTED


@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3))
@on_one_backend
def test_cut_and_changed_messages(shared: Backend, length: int, position: int, change: bytes) -> None:
    assert shared.post(WHOLE[:length]).status in EXPECTED
    changed = WHOLE[:position] + change + WHOLE[position + len(change) :]
    assert shared.post(changed).status in EXPECTED
    assert shared.post(gzip.compress(changed)[:length], content_encoding="gzip").status in EXPECTED


@given(documents, st.integers(0, 4))
@on_one_backend
def test_random_json(shared: Backend, document: Any, depth: int) -> None:
    keys = ["resourceSpans", "scopeSpans", "spans", "attributes"][:depth]
    assert shared.post(json.dumps(nested_in(keys, document)).encode(), JSON).status in EXPECTED


@given(requests())
@on_one_backend
def test_odd_requests_over_both_transports(shared: Backend, request: ExportTraceServiceRequest) -> None:
    body = request.SerializeToString()
    answer = shared.post(body)
    assert answer.status in (200, 413)
    assert shared.call(body) == answer.body
    assert answer.response.partial_success.rejected_spans <= len(spans_of(request))


@given(st.binary(max_size=500))
@on_one_backend
def test_random_messages_over_grpc(shared: Backend, body: bytes) -> None:
    assert code_of(shared, body) in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)


def code_of(backend: Backend, body: bytes) -> grpc.StatusCode:
    try:
        backend.call(body)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@given(
    st.sampled_from(
        [
            "/",
            "/api/v1/versions",
            "/api/v1/versions/x",
            "/api/v1/compare",
            "/api/v1/traces",
            "/api/v1/traces/x",
            "/v1/traces",
            "/metrics",
        ]
    ),
    st.dictionaries(
        st.sampled_from(["version", "name", "tag", "since", "until", "limit", "offset", "order", "attribute", "zzz"]),
        texts,
        max_size=4,
    ),
)
@on_one_backend
def test_random_questions(shared: Backend, path: str, query: dict[str, str]) -> None:
    assert shared.get(f"{path}?{urlencode(query)}").status in (200, 400, 404, 405)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=50).map(
            lambda rest: b"GET /api/v1/versions/" + rest + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ),
    )
)
@on_one_backend
def test_what_is_no_http(shared: Backend, data: bytes) -> None:
    with (
        socket.create_connection(("127.0.0.1", shared.port), timeout=20) as client,
        contextlib.suppress(ConnectionError),
    ):
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(10_000)
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert not answer.startswith(b"HTTP/1.1 5")


def test_it_is_still_alive(shared: Backend) -> None:
    assert shared.post(body_of(1, seed=999)).status == 200
    assert shared.call(body_of(1, seed=998)) == b""
    assert shared.get("/readyz").status == 200
    assert shared.metric("otel_loggedmodel_insert_failures_total") == 0
