# SPDX-License-Identifier: Apache-2.0
"""Hostile traffic among good: the backend answers it, takes no harm, and stores every good span beside it."""

import gzip
import json
import random
import re
import time
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import one_odd_span
from asking import JSON, PROTOBUF
from cli.terminal import run_in_terminal, without_colours
from effort import only_in_full, some, times
from one_odd_span import field

from .sending import Load, Traces, as_json, call
from .serving import Serving, command

MIB = 1024 * 1024
DAY_NS = 86_400 * 10**9
# How much more memory it may take than with nothing to do. The largest request that is decompressed has 64 MiB. It is
# in memory as it was sent, decompressed, parsed and written again.
MORE_MIB = 500

HOSTILE_NAMES = [
    "<script>alert('x')</script>",
    "[bold red]markup[/bold red] [link=https://evil.example]link[/link] :bomb:",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J\x9b1m",
    "line\nbreak\r\ttab | 9999 | 0 %",
    "'; DROP TABLE otel_traces; -- \\' \" ` {x:String} \\N %s",
    "\u202egnp.exe\u2066 \u200f\u2028",
    "../../etc/passwd?limit=1&x=y#z",
    "--help",
    "$(touch /tmp/owned) `id` ${HOME}",
    "nul\0byte",
    "x" * 5000,
    "🚀 ünïcödé 漢字",
]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("hostile")
    with Serving(directory / "log", "--data", directory / "data") as started:
        yield started
        # Nothing of this is the backend's own failure.
        assert "Traceback" not in started.log


def one_span(**fields: Any) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    now = time.time_ns()
    ids = random.randbytes(24)
    span = Span(
        trace_id=ids[:16], span_id=ids[16:], name="odd", start_time_unix_nano=now, end_time_unix_nano=now + 1000
    )
    for name, value in fields.items():
        setattr(span, name, value)
    request.resource_spans.add().scope_spans.add().spans.append(span)
    return request


def malformed_protobuf() -> Iterator[bytes]:
    rng = random.Random(1)
    _, good = Traces("unseen", 1).request(3)
    for size in (1, 10, 1000, 100_000):
        yield rng.randbytes(size)
    for cut in rng.sample(range(1, len(good)), 20):
        yield good[:cut]
    yield b"\x0a" + b"\xff" * 9 + b"\x01"  # a length beyond everything
    yield b"\x0a\x80" * 5000


def malformed_json() -> Iterator[bytes]:
    for resource_spans in (7, "text", {"scopeSpans": []}, [7], [{"scopeSpans": 7}], [{"scopeSpans": [{"spans": {}}]}]):
        yield json.dumps({"resourceSpans": resource_spans}).encode()
    for name, value in (
        ("traceId", 7),
        ("traceId", "no hexadecimal"),
        ("name", {}),
        ("kind", "SPAN_KIND_NONSENSE"),
        ("startTimeUnixNano", "yesterday"),
        ("startTimeUnixNano", -1),
        ("attributes", {"key": "value"}),
        ("attributes", [{"key": "k", "value": {"intValue": "1e400"}}]),
        ("status", []),
    ):
        yield json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{name: value}]}]}]}).encode()
    yield b"["
    yield b'{"resourceSpans": [' * 2000
    yield b"\xff\xfe{}"
    yield b""


@only_in_full
def test_what_is_no_otlp(serving: Serving) -> None:
    for body in malformed_protobuf():
        assert serving.post(body).status in {200, 400}, body[:50]
        assert code_of(serving, body) in {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}, body[:50]
    for body in malformed_json():
        assert serving.post(body, JSON).status == 400, body[:50]
    assert serving.post(b"<xml/>", "text/xml").status == 415
    assert serving.post(b"x", PROTOBUF, content_encoding="br").status == 415
    assert serving.post(b"no gzip", PROTOBUF, content_encoding="gzip").status == 400


def code_of(serving: Serving, body: bytes) -> grpc.StatusCode:
    """What gRPC answers."""
    try:
        call(serving.grpc, body)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def bomb() -> bytes:
    """Half a gigabyte of zeros, compressed a thousandfold."""
    compressor = zlib.compressobj(1, wbits=31)
    zeros = bytes(MIB)
    return b"".join(compressor.compress(zeros) for _ in range(512)) + compressor.flush()


def crowd(tag: int) -> bytes:
    """A span in which a field that may be repeated comes twenty million times, empty."""
    [span] = one_span().resource_spans[0].scope_spans[0].spans
    crowded = span.SerializeToString() + bytes([tag << 3 | 2, 0]) * 20_000_000
    return gzip.compress(field(1, field(2, field(2, crowded))), 1)


def too_large(serving: Serving, body: bytes, encoding: str = "identity") -> None:
    assert serving.post(body, PROTOBUF, content_encoding=encoding).status == 413
    assert code_of(serving, body) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_what_is_too_large_leaves_its_memory_alone(serving: Serving) -> None:
    with Load(serving, Traces("beside bombs", 2)) as load:
        serving.forget_peak()
        before = serving.rss_mib
        bombs = bomb()
        for _ in range(2):
            too_large(serving, bombs, "gzip")
            too_large(serving, bytes(64 * MIB))
        assert serving.peak_rss_mib < before + MORE_MIB
        load.finish()
    assert sorted(serving.trace_ids("beside bombs")) == sorted(load.sent)


@pytest.mark.parametrize("part", some(["attributes", "events", "links"]))
def test_a_crowd_in_one_span_leaves_its_memory_alone(serving: Serving, part: str) -> None:
    """Of 170 KB as they are sent, and 40 MB decompressed: below either limit."""
    tag = Span.DESCRIPTOR.fields_by_name[part].number
    with Load(serving, Traces(f"beside {part}", tag)) as load:
        serving.forget_peak()
        before = serving.rss_mib
        assert serving.post(crowd(tag), PROTOBUF, content_encoding="gzip").status in {200, 413}
        assert serving.peak_rss_mib < before + MORE_MIB
        load.finish()


@pytest.mark.parametrize("before", [b"", b"\x8b\x06\x8c\x06"], ids=["alone", "behind a group of fields"])
def test_a_crowd_of_spans_leaves_its_memory_alone(serving: Serving, before: bytes) -> None:
    """Ten million spans. A group is what protobuf had before nested messages; it is passed over."""
    traces = Traces("beside spans", len(before))
    body = gzip.compress(field(1, field(2, before + b"\x12\x00" * 10_000_000)), 1)
    with Load(serving, traces) as load:
        serving.forget_peak()
        rss = serving.rss_mib
        assert serving.post(body, PROTOBUF, content_encoding="gzip").status == 413
        assert serving.peak_rss_mib < rss + MORE_MIB
        load.finish()


def test_spans_that_cannot_be_right(serving: Serving) -> None:
    """They are repaired where sense can be made of them, else rejected, counted, and no others with them."""
    now = time.time_ns()
    rejected = [
        {"trace_id": b"short"},
        {"trace_id": bytes(16)},
        {"span_id": b"much too long"},
        {"span_id": bytes(8)},
        {"parent_span_id": b"odd"},
        {"start_time_unix_nano": 0},
        {"start_time_unix_nano": now + 3 * DAY_NS, "end_time_unix_nano": now + 3 * DAY_NS},
        {"start_time_unix_nano": 2**64 - 1, "end_time_unix_nano": 2**64 - 1},
    ]
    traces = Traces("beside odd ones", 3)
    ids, good = traces.request(10)
    together = ExportTraceServiceRequest.FromString(good)
    for fields in rejected:
        together.MergeFrom(one_span(**fields))
    for send in (serving.post, lambda body: serving.post(as_json(body), JSON)):
        answer = send(together.SerializeToString())
        assert answer.status == 200
        if answer.headers["content-type"] == PROTOBUF:
            count = ExportTraceServiceResponse.FromString(answer.body).partial_success.rejected_spans
        else:
            count = int(json.loads(answer.body)["partialSuccess"]["rejectedSpans"])
        assert count == len(rejected)
    assert sorted(serving.trace_ids("beside odd ones")) == sorted(ids)


@given(st.data())
@settings(max_examples=times(80, quick=15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_odd_span_costs_no_other(serving: Serving, data: st.DataObject) -> None:
    """Whatever is odd about it: what is checked before is all that the store's own reader could refuse."""
    send = data.draw(st.sampled_from(["JSON", "protobuf", "gRPC"]))
    sent = data.draw(one_odd_span.in_json() if send == "JSON" else one_odd_span.in_protobuf())
    if send == "gRPC":
        call(serving.grpc, sent.body)
    else:
        answer = serving.post(sent.body, JSON if send == "JSON" else PROTOBUF)
        assert answer.status == 200, answer.body
    stored = {span["span_id"] for span in serving.get(f"/api/v1/traces/{sent.trace_id.hex()}")["spans"]}
    assert {span_id.hex() for span_id in sent.sound} <= stored


def test_fields_of_another_type_cost_no_other_span(serving: Serving) -> None:
    """ClickHouse's reader refuses everything with a field of a known number and another type, or reads past its end."""
    ids, good = Traces("beside other types", 4).request(10)
    contents = {0: b"\x05", 1: bytes(8), 2: b"\x02ab", 3: b"", 5: bytes(4)}
    odd = []
    for number in range(1, 17):
        for kind, content in contents.items():
            end = varint(number << 3 | 4) if kind == 3 else b""
            [span] = one_span().resource_spans[0].scope_spans[0].spans
            odd.append(span.SerializeToString() + varint(number << 3 | kind) + content + end)
    request = good + field(1, field(2, b"".join(field(2, span) for span in odd)))
    assert serving.post(request).status == 200
    assert sorted(serving.trace_ids("beside other types")) == sorted(ids)


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def test_clocks_that_are_wrong(serving: Serving) -> None:
    now = time.time_ns()
    request = ExportTraceServiceRequest()
    trace_id = random.randbytes(16)
    times = {
        "parent": (now, now + 10**9),
        "ends before it begins": (now, now - 10**9),
        "of an hour ago": (now - 3600 * 10**9, now - 3599 * 10**9),
        "of an hour ahead": (now + 3600 * 10**9, now + 3601 * 10**9),
        "without an end": (now, 0),
        "of a year ago": (now - 365 * DAY_NS, now - 365 * DAY_NS + 10**9),
    }
    for name, (start, end) in times.items():
        request.MergeFrom(one_span(trace_id=trace_id, name=name, start_time_unix_nano=start, end_time_unix_nano=end))
    for _ in range(3):  # and sent again
        assert serving.post(request.SerializeToString()).body == b""
        assert serving.post(as_json(request.SerializeToString()), JSON).status == 200
    spans = serving.get(f"/api/v1/traces/{trace_id.hex()}")["spans"]
    assert {span["name"]: (span["start_ns"], span["duration_ns"]) for span in spans} == {
        name: (start, max(0, end - start)) for name, (start, end) in times.items()
    }
    assert len(spans) == len(times)


def test_ten_thousand_attributes(serving: Serving) -> None:
    request = one_span()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    for owner in (span, request.resource_spans[0].resource, span.events.add(name="event")):
        for number in range(10_000):
            owner.attributes.add(key=f"attribute {number}").value.string_value = "x" * 20
    span.attributes.add(key="logged_model.id").value.string_value = "crowded"
    assert serving.post(request.SerializeToString()).body == b""
    [stored] = serving.get(f"/api/v1/traces/{span.trace_id.hex()}")["spans"]
    first = [f"attribute {number}" for number in range(1024)]
    assert sorted(stored["attributes"]) == sorted([*first, "logged_model.id"])
    assert sorted(stored["resource"]) == sorted(first)
    assert sorted(stored["events"][0]["attributes"]) == sorted(first)
    assert serving.trace_ids("crowded") == [span.trace_id.hex()]


@only_in_full
def test_names_are_only_shown(serving: Serving) -> None:
    sent, requests = {}, []
    for number, name in enumerate(HOSTILE_NAMES):
        attributes = {"logged_model.name": f"{name}'s name", name: name}
        sent[name], request = Traces(name, 100 + number).request(2, attributes=attributes)
        requests.append(request)
    assert call(serving.grpc, b"".join(requests[::3])) == b""
    assert serving.post(b"".join(requests[1::3])).body == b""
    assert serving.post(as_json(b"".join(requests[2::3])), JSON).status == 200
    listed = json.loads(succeeds("models", "--limit", "1000", "--json", store=serving.http))["versions"]
    assert {version["model_id"]: (version["name"], version["traces"]) for version in listed}.items() >= {
        name: (f"{name}'s name", 2) for name in HOSTILE_NAMES
    }.items()
    for name in some(HOSTILE_NAMES, quick=6):
        assert sorted(serving.trace_ids(name)) == sorted(sent[name])
        [span] = serving.get(f"/api/v1/traces/{sent[name][0]}")["spans"]
        assert span["attributes"][name] == name
        shown = serving.get(f"/api/v1/versions/{quote(name, safe='')}")
        assert (shown["version"]["model_id"], shown["metrics"]["traces"]) == (name, 2)
    assert_harmless(succeeds("models", "--store", serving.http))
    assert_harmless(succeeds("traces", "--store", serving.http, "--", HOSTILE_NAMES[2]))
    assert_harmless(succeeds("show", "--store", serving.http, "--", "--help"))


def succeeds(*arguments: str, store: str = "") -> str:
    done = command(*arguments, store=store)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def assert_harmless(text: str) -> None:
    """That nothing in it moves a cursor, changes a colour, or turns the direction of text."""
    found = re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)
    assert found is None, (found, text)


def test_names_on_a_terminal(serving: Serving) -> None:
    names = [name for name in HOSTILE_NAMES if len(name) < 100]
    requests = [
        Traces(f"id of {name}", 200 + number).request(2, attributes={"logged_model.name": name})[1]
        for number, name in enumerate(names)
    ]
    assert serving.post(b"".join(requests)).status == 200
    # In a terminal, with the command's own reader. What shows the command's progress does move the cursor.
    set_up = """
from otel_loggedmodel.commands import printing
from otel_loggedmodel.store import open_reader
opening.reader_at = open_reader
printing.SECONDS_BEFORE_PROGRESS = 600.0
"""
    for arguments in (["models", "--limit", "1000"], ["compare", *(f"id of {name}" for name in names[:3])]):
        written = run_in_terminal(arguments, 200, set_up, OTEL_LOGGEDMODEL_STORE=serving.http)
        plain = without_colours(written)
        assert_harmless(plain)
        for shown in ("<script>", "[bold red]markup[/bold red]", r"\x1b[31mred\x1b[0m\x1b]0;title\x07"):
            assert shown in plain
