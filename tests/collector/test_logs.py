# SPDX-License-Identifier: Apache-2.0
"""Log records through the real Collector: linked to versions, and the rows that the backend makes of them itself."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

import otel_loggedmodel
from clickhouse_server import ClickHouseServer
from log_requests import odd_requests, record, records_of, request, score
from otel_loggedmodel.delivery.spool_survey import survey
from otel_loggedmodel.server.log_checking import check_logs
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store import open_database
from waiting import wait_until

from .conftest import RunCollector
from .running import Collector
from .test_clickhouse import to_clickhouse

_COLUMNS = (
    "toUnixTimestamp64Nano(Timestamp) AS at, TraceId, SpanId, TraceFlags, SeverityText, SeverityNumber, ServiceName,"
    " Body, ResourceSchemaUrl, ResourceAttributes, ScopeSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes,"
    " LogAttributes, EventName"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse")) as running:
        yield running


def send(collector: Collector, body: bytes) -> None:
    sent = urllib.request.Request(f"{collector.url}/v1/logs", body, {"content-type": "application/x-protobuf"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sent, timeout=30) as response:
        response.read()


def rows_in(server: ClickHouseServer, database: str) -> list[dict[str, Any]]:
    with server.client(database) as client:
        # The Collector's maps have no order.
        return list(client.query(f"SELECT {_COLUMNS} FROM otel_logs ORDER BY at").named_results())


def test_the_backend_makes_the_rows_that_the_collector_makes(
    server: ClickHouseServer, run_collector: RunCollector
) -> None:
    sent = odd_requests()[0]
    sent.MergeFrom(odd_requests()[1])
    count = len(records_of([sent.SerializeToString()]))
    with server.new_database() as theirs, server.new_database() as ours:
        with run_collector(to_clickhouse(server, theirs)) as collector:
            send(collector, sent.SerializeToString())
            with server.client(theirs) as client:
                wait_until(lambda: client.command("EXISTS TABLE otel_logs"), "the table")
                wait_until(lambda: client.command("SELECT count() FROM otel_logs") >= count, f"{count} rows")
        store = open_database(f"clickhouse://127.0.0.1:{server.port}/{ours}")
        try:
            checked = check_logs(sent.SerializeToString(), Settings(keep_all_logs=True), time.time_ns())
            store.log_writer.insert([checked.payload])
        finally:
            store.close()
        assert rows_in(server, ours) == rows_in(server, theirs)
        assert len(rows_in(server, ours)) == count
        assert _shape(server, ours) == _shape(server, theirs)


def _shape(server: ClickHouseServer, database: str) -> list[tuple[str, ...]]:
    """The columns of the table, and what it is sorted and partitioned by."""
    with server.client(database) as client:
        of_table = f"database = '{database}' AND table = 'otel_logs'"
        columns = client.query(
            "SELECT name, type, default_kind, default_expression FROM system.columns"
            f" WHERE {of_table} ORDER BY position"
        ).result_rows
        keys = client.query(
            f"SELECT sorting_key, partition_key FROM system.tables WHERE {of_table.replace('table', 'name')}"
        ).result_rows
    return [*columns, *keys]


def test_records_are_linked_by_their_resource_and_results_are_left_as_they_are(run_collector: RunCollector) -> None:
    sent = request(
        record("plain"),
        record("own", attributes={"logged_model.id": "m-own"}),
        score("good", 1.0),
        record(None, attributes={"event.name": "gen_ai.evaluation.result"}),
        logged_model__id="m-resource",
    )
    with run_collector({"LOGS_FILE": "file/logs", "LOGS_FILE_PATH": "logs.jsonl"}) as collector:
        send(collector, sent.SerializeToString())
        file = collector.directory / "logs.jsonl"
        wait_until(lambda: file.exists() and file.read_text(), "the file")
        (line,) = file.read_text().splitlines()
    records = json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    found = [
        {pair["key"]: pair["value"].get("stringValue") for pair in one.get("attributes", ())}.get("logged_model.id")
        for one in records
    ]
    assert found == ["m-resource", "m-own", None, None]


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_an_outage_of_the_collector_loses_no_log_record(
    run_collector: RunCollector, tmp_path: Path, transport: str
) -> None:
    """It is stopped and killed; an application keeps what it cannot deliver, and a later process delivers it."""
    said = 0

    def running(collector: Collector) -> tuple[LoggerProvider, otel_loggedmodel.LoggedModelLogRecordExporter]:
        if transport == "http":
            inner: Any = HttpLogExporter(f"{collector.url}/v1/logs", timeout=5)
        else:
            inner = GrpcLogExporter(endpoint=collector.grpc_address, insecure=True, timeout=5)
        exporter = otel_loggedmodel.LoggedModelLogRecordExporter(inner, spool_dir=tmp_path)
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(otel_loggedmodel.LoggedModelLogRecordProcessor())
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=20))
        return provider, exporter

    def say(provider: LoggerProvider, count: int) -> None:
        nonlocal said
        for _ in range(count):
            record = LogRecord(body=f"record {said}", event_name="app.said", timestamp=time.time_ns())
            provider.get_logger("app").emit(record)
            said += 1

    settings = {"LOGS_FILE": "file/logs", "LOGS_FILE_PATH": "logs.jsonl"}
    with run_collector(settings) as collector, otel_loggedmodel.use_model(model_id="m-1"):
        provider, exporter = running(collector)
        say(provider, 100)
        provider.force_flush()
        collector.stop()
        say(provider, 1000)
        wait_until(lambda: exporter.pending.spans, "records to be kept")
        collector.start()
        say(provider, 100)
        wait_until(lambda: provider.force_flush(5000) and not exporter.pending, "what was kept to be delivered")
        collector.kill()
        say(provider, 500)
        provider.shutdown()
        assert [waiting.signal for waiting in survey(tmp_path)] == ["logs"]

        collector.start()
        later, _ = running(collector)
        say(later, 1)
        file = collector.directory / "logs.jsonl"
        # A record whose acknowledgement was lost with the Collector comes twice.
        expected = {f"record {number}" for number in range(said)}
        wait_until(lambda: later.force_flush(5000) and set(bodies_in(file)) >= expected, "all of them")
        later.shutdown()
        assert set(bodies_in(file)) == expected
        assert set(bodies_in(file).values()) == {"m-1"}


def bodies_in(file: Path) -> dict[str, str | None]:
    """The version of each record in a file of the Collector's, by its body."""
    found: dict[str, str | None] = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        for resource_logs in json.loads(line)["resourceLogs"]:
            for scope_logs in resource_logs["scopeLogs"]:
                for one in scope_logs["logRecords"]:
                    attributes = {pair["key"]: pair["value"].get("stringValue") for pair in one["attributes"]}
                    found[one["body"]["stringValue"]] = attributes.get("logged_model.id")
    return found
