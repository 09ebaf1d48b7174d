# SPDX-License-Identifier: Apache-2.0
"""The Collector's `clickhouse` exporter, as it is, writes into ClickHouse's own engine.

The engine is embedded and behind HTTP (see `clickhouse_server`): the exporter makes its tables, compresses and inserts
as it would on a cluster. Authentication, TLS, the native TCP protocol and replication are not tested.
"""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otel_loggedmodel as mlflow
from clickhouse_server import ClickHouseServer
from effort import only_in_full, some
from odd_spans import ROWS, expected_rows, odd_request, stored_rows
from otel_loggedmodel import store
from otel_loggedmodel.versions import records
from truth import Traffic, make_traffic
from waiting import wait_until

from .conftest import RunCollector
from .otlp import Span
from .running import Collector

WRITE_ROWS = "OTEL_LOGGEDMODEL_WRITE_ROWS"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse")) as running:
        yield running


@pytest.fixture
def database(server: ClickHouseServer) -> Iterator[str]:
    with server.new_database() as name:
        yield name


def to_clickhouse(server: ClickHouseServer, database: str, parameters: str = "", **settings: str) -> dict[str, str]:
    return {
        "FILE": "nop",
        "CLICKHOUSE": "clickhouse",
        "CLICKHOUSE_ENDPOINT": server.url + parameters,
        "CLICKHOUSE_DATABASE": database,
        **settings,
    }


def send_request(collector: Collector, body: bytes) -> None:
    request = urllib.request.Request(f"{collector.url}/v1/traces", body, {"content-type": "application/x-protobuf"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
        response.read()


def arrived(server: ClickHouseServer, database: str, count: int) -> list[dict[str, Any]]:
    """The rows, once there are so many."""
    with server.client(database) as client:
        wait_until(lambda: client.command("SELECT count() FROM otel_traces") >= count, f"{count} rows")
        rows = stored_rows(client, "otel_traces")
    assert len(rows) == count
    return rows


def test_every_value_arrives_as_the_text_that_is_written_down(
    server: ClickHouseServer, database: str, run_collector: RunCollector
) -> None:
    request = odd_request()
    count = sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
    with run_collector(to_clickhouse(server, database)) as collector:
        send_request(collector, request.SerializeToString())
        rows = arrived(server, database, count)
    if os.environ.get(WRITE_ROWS) == "1":
        ROWS.write_text(json.dumps(rows, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
    assert rows == expected_rows()


@pytest.mark.parametrize("compress", some(["zstd", "none", "gzip", "deflate"]))
def test_spans_arrive_however_they_are_compressed(
    server: ClickHouseServer, database: str, run_collector: RunCollector, compress: str
) -> None:
    sent = [Span("work", attributes={"number": number, "text": "x" * 1000}) for number in range(100)]
    with run_collector(to_clickhouse(server, database, f"?compress={compress}")) as collector:
        collector.send(sent, {"service.name": "application"})
        rows = arrived(server, database, len(sent))
    assert {row["SpanId"]: dict(row["SpanAttributes"])["number"] for row in rows} == {
        span.span_id: str(span.attributes["number"]) for span in sent
    }


def test_the_same_model_comes_out_of_the_table_that_went_in(
    server: ClickHouseServer, database: str, run_collector: RunCollector
) -> None:
    with run_collector(to_clickhouse(server, database)) as collector:
        provider = TracerProvider(resource=Resource({"service.name": "application"}), shutdown_on_exit=False)
        exporter = mlflow.LoggedModelExporter(OTLPSpanExporter(f"{collector.url}/v1/traces"))
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
        provider.add_span_processor(BatchSpanProcessor(exporter))
        tracer = provider.get_tracer("application", "2.0")
        model = mlflow.create_external_model(
            "my-agent-v1.0", params={"prompt": 'Say "ü"\n🚀 <b>', "llm": "acme"}, tags={"team": "a", "gone": "soon"}
        )
        with mlflow.set_active_model(model_id=model.model_id), tracer.start_as_current_span("request") as request:
            request.add_event("event", {"number": 1.0})
            tracer.start_span("step").end()
        mlflow.delete_logged_model_tag(model.model_id, "gone")
        now = mlflow.get_logged_model(model.model_id)
        provider.shutdown()
        by_name = {row["SpanName"]: row for row in arrived(server, database, 5)}

    assert folded(by_name)[model.model_id].model == now
    created, request, step = by_name["logged_model.created"], by_name["request"], by_name["step"]
    assert created["TraceState"] == "ot=rv:ffffffffffffff"
    assert (request["ServiceName"], request["ScopeName"], request["ScopeVersion"]) == (
        "application",
        "application",
        "2.0",
    )
    assert dict(request["SpanAttributes"]) == {
        "logged_model.id": model.model_id,
        "logged_model.name": "my-agent-v1.0",
    }
    assert (request["Links.TraceId"], request["Links.SpanId"]) == ([created["TraceId"]], [created["SpanId"]])
    assert request["Links.Attributes"] == [[["logged_model.id", model.model_id]]]
    assert (request["Events.Name"], request["Events.Attributes"]) == (["event"], [[["number", "1"]]])
    assert (step["TraceId"], step["ParentSpanId"]) == (request["TraceId"], request["SpanId"])


def folded(by_name: Mapping[str, Mapping[str, Any]]) -> dict[str, records.FoldedModel]:
    events = (
        records.event_of(dict(row["SpanAttributes"]), nanoseconds(row["Timestamp"]), int(row["SpanId"], 16))
        for row in by_name.values()
    )
    return records.fold(event for event in events if event is not None)


def nanoseconds(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp()) * 10**9 + int(fraction)


@only_in_full
def test_what_it_stored_is_read_with_and_without_columns_of_ours(
    server: ClickHouseServer, database: str, run_collector: RunCollector
) -> None:
    url = f"clickhouse://{server.host}:{server.port}/{database}"
    traffic = make_traffic(traces=300)
    later = Span("later", attributes={"logged_model.id": "later"})
    with run_collector(to_clickhouse(server, database)) as collector:
        # Requests that are joined are one request.
        for start in range(0, len(traffic.requests), 10):
            send_request(collector, b"".join(traffic.requests[start : start + 10]))
        arrived(server, database, traffic.sent_count)
        assert_truth(url, traffic)
        store.prepare(url)
        assert_truth(url, traffic)
        collector.send([later])
        arrived(server, database, traffic.sent_count + 1)
    with contextlib.closing(store.open_reader(url)) as reader:
        assert reader.version("later").metrics.traces == 1


def assert_truth(url: str, traffic: Traffic) -> None:
    asked = [traffic.versions[role].model_id for role in ("base", "slower", "failing", "plain", "unregistered")]
    with contextlib.closing(store.open_reader(url)) as reader:
        for found in reader.compare(asked).versions:
            truth = traffic.truth(found.model_id)
            assert (found.name, found.traces, found.errors) == (truth.name, truth.traces, truth.errors)
            for part in ("latency_ms", "tokens"):
                assert asdict(getattr(found, part)) == pytest.approx(asdict(getattr(truth, part)))
            assert found.cost_usd == pytest.approx(truth.cost_usd)
            assert {name: (score.mean, score.count) for name, score in found.scores.items()} == {
                name: (pytest.approx(score.mean), score.count) for name, score in truth.scores.items()
            }


def test_accepted_spans_survive_an_outage_of_the_store_and_a_kill_of_the_collector(
    tmp_path: Path, run_collector: RunCollector
) -> None:
    with ClickHouseServer(tmp_path / "server") as server:
        with run_collector(to_clickhouse(server, "otel")):
            pass  # it makes the tables when it starts
        server.kill()
        sent = [Span(f"span {number}") for number in range(500)]
        with run_collector(to_clickhouse(server, "otel", CLICKHOUSE_CREATE_SCHEMA="false")) as collector:
            for start in range(0, len(sent), 50):
                collector.send(sent[start : start + 50])
            wait_until(lambda: "connection refused" in collector.log, "it to try in vain")
            collector.kill()
            collector.start()
            server.start()
            rows = arrived(server, "otel", len(sent))
        assert {row["SpanId"] for row in rows} == {span.span_id for span in sent}


@only_in_full
def test_what_the_store_refuses_is_tried_again(
    server: ClickHouseServer, database: str, run_collector: RunCollector
) -> None:
    settings = to_clickhouse(server, database, CLICKHOUSE_CREATE_SCHEMA="false")
    with run_collector(to_clickhouse(server, database)), server.client(database) as client:
        client.command("RENAME TABLE otel_traces TO elsewhere")
    with run_collector(settings) as collector, server.client(database) as client:
        collector.send([Span("work")])
        wait_until(lambda: "UNKNOWN_TABLE" in collector.log, "the refusal")
        client.command("RENAME TABLE elsewhere TO otel_traces")
        (row,) = arrived(server, database, 1)
    assert row["SpanName"] == "work"
