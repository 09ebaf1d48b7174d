# SPDX-License-Identifier: Apache-2.0
"""What is stored is what was sent, in the rows that the Collector's exporter would have written."""

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource

from odd_spans import HOSTILE, START_NS, expected_rows, odd_request, stored_rows
from otel_loggedmodel.server.checking import check
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store import schema
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.writing import RefusedError
from otel_loggedmodel.versions import records
from otel_loggedmodel.versions.model import ModelEvent


@pytest.fixture
def client(store: Store) -> Client:
    return store.writer.database.client


def normal(row: dict[str, Any]) -> dict[str, Any]:
    """The Collector sorts attributes by key; the order says nothing."""
    return {
        key: sorted(value)
        if key in {"SpanAttributes", "ResourceAttributes"}
        else [sorted(attributes) for attributes in value]
        if key in {"Events.Attributes", "Links.Attributes"}
        else value
        for key, value in row.items()
    }


def test_rows_are_those_of_the_collectors_exporter(store: Store, client: Client) -> None:
    # What the Collector passes on and we repair or reject is the receiver's business, and tested there.
    checked = check(odd_request().SerializeToString(), Settings(), now_ns=START_NS + 31 * 86_400 * 10**9)
    store.writer.insert([checked.payload])
    stored = {row["SpanName"]: normal(row) for row in stored_rows(client, schema.SPANS)}
    expected = {row["SpanName"]: normal(row) for row in expected_rows()}
    del expected[""]  # began at the epoch
    expected["ends before it begins"]["Duration"] = "0"
    for column in ("Links.TraceId", "Links.SpanId", "Links.TraceState", "Links.Attributes"):
        expected["every value"][column] = expected["every value"][column][:1]  # a link to nothing
    assert stored == expected


def span(number: int, at: datetime, **attributes: str) -> Span:
    start_ns = int(at.timestamp() * 1e9)
    made = Span(
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        name="answer",
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + 10**6,
    )
    for key, value in {"logged_model.id": "v1", **attributes}.items():
        made.attributes.add(key=key).value.string_value = value
    return made


def request(*spans: Span) -> bytes:
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.extend(spans)
    return message.SerializeToString()


def test_requests_are_stored_together_or_not_at_all(store: Store, client: Client) -> None:
    at = datetime(2026, 11, 1, tzinfo=timezone.utc)
    with pytest.raises(RefusedError):
        store.writer.insert([request(span(1, at)), b"\xff\xff garbage", request(span(2, at))])
    assert client.query("SELECT count() FROM otel_traces").result_rows == [(0,)]
    store.writer.insert([request(span(1, at)), request(span(2, at), span(3, at))])
    assert client.query("SELECT count() FROM otel_traces").result_rows == [(3,)]


def test_no_text_is_executed_or_changed(store: Store, client: Client) -> None:
    at = datetime(2026, 11, 1, tzinfo=timezone.utc)
    store.writer.insert([request(span(1, at, **{HOSTILE: HOSTILE, "logged_model.id": HOSTILE}))])
    ((attributes, model_id),) = client.query("SELECT SpanAttributes, LoggedModelId FROM otel_traces").result_rows
    assert attributes == {"logged_model.id": HOSTILE, HOSTILE: HOSTILE}
    assert model_id == HOSTILE
    assert store.reader.compare([HOSTILE]).versions[0].traces == 1
    assert [trace.model_id for trace in store.reader.traces(HOSTILE)] == [HOSTILE]


def test_old_days_are_deleted_and_records_of_versions_stay(store: Store, client: Client) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
    days = [now - timedelta(days=age) for age in range(6)]
    created = ModelEvent("created", "v1", int(days[4].timestamp() * 1e9), name="agent")
    record = encode_spans([records.span_of(created, Resource({}))]).SerializeToString()
    store.writer.insert([record, *(request(span(number + 1, day)) for number, day in enumerate(days))])
    assert store.writer.delete_before(now - timedelta(days=3)) == 2
    left = client.query("SELECT SpanName, toString(Timestamp) FROM otel_traces ORDER BY Timestamp").result_rows
    assert [name for name, _ in left] == ["logged_model.created", "answer", "answer", "answer", "answer"]
    assert store.writer.delete_before(now - timedelta(days=3)) == 0
    assert client.query("SELECT count() FROM otel_traces_trace_id_ts").result_rows == [(4,)]
    assert store.reader.version("agent").metrics.traces == 4


def test_a_span_that_was_sent_twice_counts_once(store: Store) -> None:
    at = datetime(2026, 11, 1, tzinfo=timezone.utc)
    usage = {"gen_ai.usage.input_tokens": "10", "gen_ai.usage.cost": "0.5"}
    once = request(span(1, at, **usage), span(2, at))
    store.writer.insert([once])
    store.writer.insert([once, once])
    (metrics,) = store.reader.compare(["v1"]).versions
    assert (metrics.traces, metrics.tokens.input, metrics.cost_usd) == (2, 10, 0.5)
    assert len(store.reader.traces("v1")) == 2
    assert len(store.reader.trace(f"{1:032x}").spans) == 1


def test_an_embedded_store_makes_parts_of_few_files_and_indexes_attributes_when_they_are_merged(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "store.embedded_inserts", str(tmp_path / "data")]
    tests = Path(__file__).resolve().parents[1]
    said = json.loads(subprocess.run(program, cwd=tests, capture_output=True, text=True, check=True).stdout)
    assert [(part["type"], part["rows"]) for part in said["inserted"]] == [("Compact", 1000), ("Compact", 500)]
    [merged] = said["merged"]
    assert merged["rows"] == 1500
    # Until then there is only that of trace ids, which finds a trace.
    assert 0 < sum(part["indexes"] for part in said["inserted"]) < merged["indexes"] / 4
    assert said["changed"] == []
    assert said["found"] == [{"said": "value 1042 7"}]
