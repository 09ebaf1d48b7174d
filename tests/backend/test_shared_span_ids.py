# SPDX-License-Identifier: Apache-2.0
"""Zipkin's client and server have one span id for one call; to readers they are two spans of two versions."""

import html
import json
import re
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from asking import ask
from effort import only_in_full

from .serving import Serving, command

TRACE = bytes(range(1, 17))
CALL = b"one call"
CLIENT, SERVER, INTERNAL = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER, Span.SPAN_KIND_INTERNAL


def add(request: ExportTraceServiceRequest, version: str, name: str, kind: "Span.SpanKind", **ids: bytes) -> None:
    now = time.time_ns()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.add(key="service.name").value.string_value = f"service of {version}"
    span = resource_spans.scope_spans.add().spans.add(
        trace_id=TRACE, name=name, kind=kind, start_time_unix_nano=now, end_time_unix_nano=now + 10**6, **ids
    )
    span.attributes.add(key="logged_model.id").value.string_value = version
    if kind != INTERNAL:
        span.attributes.add(key="logged_model.name").value.string_value = version


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("shared")
    request = ExportTraceServiceRequest()
    add(request, "caller", "GET /answer", CLIENT, span_id=CALL)
    add(request, "callee", "/answer", SERVER, span_id=CALL)
    add(request, "callee", "look up", INTERNAL, span_id=b"looks up", parent_span_id=CALL)
    add(request, "caller", "connect", INTERNAL, span_id=b"connects", parent_span_id=CALL)
    with Serving(directory / "log", "--data", directory / "data") as started:
        for _ in range(2):  # and sent again, with something beside it
            assert started.post(request.SerializeToString()).body == b""
            add(request, "other", "other", INTERNAL, span_id=b"another ")
        yield started


def test_a_trace_has_both(serving: Serving) -> None:
    spans = serving.get(f"/api/v1/traces/{TRACE.hex()}")["spans"]
    assert sorted((span["name"], span["kind"], span["model_id"]) for span in spans) == [
        ("/answer", "Server", "callee"),
        ("GET /answer", "Client", "caller"),
        ("connect", "Internal", "caller"),
        ("look up", "Internal", "callee"),
        ("other", "Internal", "other"),
    ]


def test_both_versions_have_a_trace(serving: Serving) -> None:
    assert serving.trace_ids("caller") == serving.trace_ids("callee") == [TRACE.hex()]
    listed = json.loads(command("traces", "--json", store=serving.http).stdout)["traces"]
    names = {trace["model_id"]: trace["span_name"] for trace in listed}
    assert (names["caller"], names["callee"]) == ("GET /answer", "/answer")


def test_the_server_is_below_its_client_with_what_it_did(serving: Serving) -> None:
    shown = command("traces", TRACE.hex(), store=serving.http).stdout
    tree = re.findall(r"^ *(\S*[├└│─ ]*(?:GET /answer|/answer|look up|connect)) ", shown, re.MULTILINE)
    assert tree == ["GET /answer", "├─ /answer", "│  └─ look up", "└─ connect"]


@only_in_full
def test_the_page_shows_each_of_both(serving: Serving) -> None:
    page = page_of(serving, f"/trace?id={TRACE.hex()}")
    addresses = re.findall(r'<a href="([^"#]*)#span">(GET /answer|/answer)</a>', page)
    assert [name for _, name in addresses] == ["GET /answer", "/answer"]
    for address, name in addresses:
        opened = page_of(serving, address)
        assert f'<h2 id="span-heading">{name}</h2>' in opened
        assert opened.count("aria-current") == 1


def page_of(serving: Serving, path: str) -> str:
    answer = ask(serving.http, "GET", path, headers={"accept": "text/html"})
    assert answer.status == 200
    return html.unescape(answer.body.decode())
