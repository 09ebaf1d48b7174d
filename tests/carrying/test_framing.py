# SPDX-License-Identifier: Apache-2.0
"""Files of requests taken apart: whatever form they have, wherever they are cut, and what is no file of OTLP."""

import gzip
import io
import json
import struct
import sys
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_loggedmodel.commands.carrying import framing
from otel_loggedmodel.commands.carrying.framing import CutError, FormatError, Record, framing_of, records
from otel_loggedmodel.commands.carrying.kinds import UnknownKindError, kind_of
from otel_loggedmodel.commands.carrying.stream import Stream
from otel_loggedmodel.commands.otlp_lines import line_of
from otel_loggedmodel.server.decoding import LOG_RECORDS, SPANS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def spans(*names: str) -> bytes:
    request = ExportTraceServiceRequest()
    for name in names:
        scope = request.resource_spans.add().scope_spans.add()
        scope.spans.add(name=name, trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=1, end_time_unix_nano=2)
    return request.SerializeToString()


def lengths(requests: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(request)) + request for request in requests)


FORMS: dict[str, Callable[[Sequence[bytes]], bytes]] = {
    "lines": lambda requests: b"".join(line_of(request).encode() + b"\n" for request in requests),
    "lines of Windows": lambda requests: (
        b"\xef\xbb\xbf" + b"".join(line_of(one).encode() + b"\r\n" for one in requests)
    ),
    "lengths": lengths,
    "lengths, each compressed": lambda requests: lengths([zstd.compress(request) for request in requests]),
    "lengths of JSON": lambda requests: lengths([zstd.compress(line_of(request).encode()) for request in requests]),
    "protobuf": b"".join,
    "lines in gzip": lambda requests: gzip.compress(FORMS["lines"](requests)),
    "a member of gzip each": lambda requests: b"".join(
        gzip.compress(line_of(one).encode() + b"\n") for one in requests
    ),
    "lengths in zstd": lambda requests: zstd.compress(lengths(requests)),
    "a frame of zstd each": lambda requests: b"".join(zstd.compress(line_of(one).encode() + b"\n") for one in requests),
}


def read(content: bytes, skip: int = 0) -> list[Record]:
    stream = Stream(io.BytesIO(content))
    found = framing_of(stream)
    assert found is not None
    stream.skip(skip)
    return list(records(stream, found))


def names_in(found: Sequence[Record]) -> list[str]:
    names = []
    for record in found:
        assert not record.wrong
        assert kind_of(record.body, is_json=record.is_json) is SPANS
        if record.is_json:
            parts = json.loads(record.body)["resourceSpans"]
            names += [span["name"] for one in parts for span in one["scopeSpans"][0]["spans"]]
        else:
            parsed = ExportTraceServiceRequest.FromString(record.body)
            names += [span.name for one in parsed.resource_spans for span in one.scope_spans[0].spans]
    return names


@pytest.mark.parametrize("form", FORMS)
def test_requests_of_every_form_are_found_and_can_be_gone_on_from(form: str) -> None:
    content = FORMS[form]([spans("a", "b"), spans("c"), spans("d")])
    found = read(content)
    assert names_in(found) == ["a", "b", "c", "d"]
    for place, record in enumerate(found):
        rest = read(content, skip=record.end)
        assert [one.body for one in rest] == [one.body for one in found[place + 1 :]]


@given(form=st.sampled_from(sorted(FORMS)), data=st.data())
def test_a_file_that_is_cut_gives_what_is_whole_and_says_where_it_ends(form: str, data: st.DataObject) -> None:
    content = FORMS[form]([spans("a" * 50), spans("b" * 50), spans("c" * 50)])
    end = data.draw(st.integers(1, len(content) - 1))
    stream = Stream(io.BytesIO(content[:end]))
    found: list[Record] = []
    told = ""
    try:
        framing = framing_of(stream)
        if framing is not None:
            for record in records(stream, framing):
                found.append(record)
    except (CutError, FormatError) as error:
        told = str(error)
    names = names_in(found)
    assert names == ["a" * 50, "b" * 50, "c" * 50][: len(names)]
    # What is missing is told, but where the cut is between two requests or behind the last. The first byte of protobuf
    # is a line feed, and alone it is an empty file of lines.
    if not told and content[:end].strip():
        assert len(names) == 3 or stream.position == end or stream.compression
    # The rest is found from the end of the last whole one on.
    if found:
        assert names + names_in(read(content, skip=found[-1].end)) == ["a" * 50, "b" * 50, "c" * 50]


def test_one_request_over_several_lines_is_one(tmp_path: object) -> None:
    document = json.dumps(json.loads(line_of(spans("a", "b"))), indent=2).encode()
    assert names_in(read(document)) == ["a", "b"]
    with pytest.raises(CutError, match="cut off"):
        read(document[:-20])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PAR1\x15\x04", "Parquet"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"SQLite format 3\x00", "SQLite"),
        (b"[{}]", "a JSON list"),
        (b"time,level\n1,2\n", "begins with the bytes 74 69 6d 65"),
        (gzip.compress(b"plain words", mtime=0), "begins with the bytes"),
        (b"\x1f\x8b\x08", "the gzip ends before it is complete"),
        (b"\x1f\x8bnonsense", "no gzip"),
    ],
)
def test_what_is_no_file_of_otlp_is_named(content: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read(content)


@pytest.mark.parametrize("content", [b"", b"\n \n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_has_nothing_in_it(content: bytes) -> None:
    assert framing_of(Stream(io.BytesIO(content))) is None


def test_what_is_too_large_is_left_out_and_what_follows_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_JSON", 1000)
    monkeypatch.setattr(framing, "MAX_RECORD", 1000)
    for form in ("lines", "lengths", "protobuf"):
        small, large, last = read(FORMS[form]([spans("a"), spans("x" * 5000), spans("b")]))
        assert names_in([small, last]) == ["a", "b"]
        assert "no more is read at once" in large.wrong


def test_little_that_was_compressed_from_much_is_read_in_bounded_memory() -> None:
    stream = Stream(io.BytesIO(zstd.compress(b"{" + b" " * 200_000_000)))
    assert stream.skip(150_000_000) == 150_000_000
    assert len(stream._buffer) <= 2 * 1024 * 1024


def test_kinds_are_told_apart() -> None:
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(observed_time_unix_nano=5).body.string_value = "x"
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="n" * 16, description="d" * 9)
    metric.gauge.data_points.add(time_unix_nano=5, as_int=3)
    assert kind_of(spans("a"), is_json=False) is SPANS
    assert kind_of(logs.SerializeToString(), is_json=False) is LOG_RECORDS
    assert kind_of(metrics.SerializeToString(), is_json=False) is None
    assert kind_of(line_of(logs.SerializeToString(), "logs").encode(), is_json=True) is LOG_RECORDS
    assert kind_of(b'{"resourceMetrics": []}', is_json=True) is None
    assert kind_of(b"{}", is_json=True) is None
    assert kind_of(b'{"schemaUrl": "", "resource_spans": []}', is_json=True) is SPANS
    for body, words in ((b'{"hello": 1}', "but hello"), (b'{"data": []}', "import jaeger"), (b"{,}", "no JSON")):
        with pytest.raises(UnknownKindError, match=words):
            kind_of(body, is_json=True)
    with pytest.raises(UnknownKindError, match="no request"):
        kind_of(b"\x12\x02hi", is_json=False)
