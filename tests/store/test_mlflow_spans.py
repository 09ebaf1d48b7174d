# SPDX-License-Identifier: Apache-2.0
"""What MLflow's tracing SDK exports counts like anything else: versions, tokens, cost, errors.

The spans were recorded from the real one by tests/integrations/record_mlflow.py; its application says what they are.
"""

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import genai_prices
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clickhouse_server import ClickHouseServer
from effort import only_in_full
from mlflow_recorded import REQUEST, VERSION
from otel_loggedmodel import store as stores
from otel_loggedmodel.store import schema
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import Selection
from otel_loggedmodel.store.results import VersionMetrics

from .conftest import empty_store

HERE = Path(__file__).parent


def url_of(server: ClickHouseServer, database: str) -> str:
    return f"clickhouse://127.0.0.1:{server.port}/{database}"


@pytest.fixture
def store(clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    with empty_store(clickhouse_server) as opened:
        opened.writer.insert([REQUEST.SerializeToString()])
        yield opened


def numbers(reader: StoreReader) -> VersionMetrics:
    (metrics,) = reader.compare([VERSION], Selection()).versions
    return metrics


def listed(model: str, **usage: int) -> float:
    price = genai_prices.calc_price(
        genai_prices.Usage(**usage), model, genai_request_timestamp=datetime.now(timezone.utc)
    )
    return float(price.total_price)


def expected_cost() -> float:
    usage = {"input_tokens": 17, "cache_read_tokens": 11, "output_tokens": 5}
    # What the last call states is not its list price.
    return 2 * listed("gpt-4o", **usage) + listed("gpt-4o-mini", **usage) + 0.25


def test_tokens_cost_and_errors_count_once(store: Store) -> None:
    comparison = store.reader.compare([VERSION])
    (metrics,) = comparison.versions
    assert not any("price" in note for note in comparison.notes), comparison.notes
    assert (metrics.name, metrics.traces, metrics.errors) == (VERSION, 5, 1)
    # An embedding says no tokens, so there is no total of input tokens. The other four traces have two calls of the
    # agent, which says their sum itself, the streamed call, and the call that states its cost.
    assert (metrics.tokens.input, metrics.tokens.output, metrics.cost_usd) == (None, 3 * 5 + 4, None)
    assert metrics.tokens.input_per_trace == pytest.approx((3 * 17 + 3) / 4)
    assert metrics.tokens.output_per_trace == pytest.approx((3 * 5 + 4) / 4)
    assert metrics.cost_usd_per_trace == pytest.approx(expected_cost() / 4)


def test_the_models_called_are_known_by_name(store: Store, clickhouse_server: ClickHouseServer) -> None:
    client = clickhouse_server.client(store.writer.database.client.database)
    rows = client.query(
        "SELECT LoggedModelCall.llm, LoggedModelCall.input, LoggedModelCall.output,"
        " LoggedModelCall.cache_read, LoggedModelCall.cost, LoggedModelCall.kind FROM otel_traces_counted"
        " WHERE bitAnd(LoggedModelCall.usage, 3) != 0 ORDER BY Timestamp"
    ).result_rows
    assert rows == [
        ("/", 34, 10, 0, 0.0, "AGENT"),
        ("/gpt-4o", 17, 5, 11, 0.0, "LLM"),
        ("/gpt-4o", 17, 5, 11, 0.0, "LLM"),
        ("/gpt-4o-mini", 17, 5, 11, 0.0, "LLM"),
        ("/gpt-4o", 3, 4, 0, 0.25, "LLM"),
    ]


def test_a_table_without_our_columns_gives_the_same_numbers(store: Store, clickhouse_server: ClickHouseServer) -> None:
    with clickhouse_server.new_database() as name:
        client = clickhouse_server.client(name)
        prepared = store.writer.database.client.database
        client.command(f"CREATE TABLE otel_traces AS {prepared}.otel_traces")
        client.command(
            "ALTER TABLE otel_traces " + ", ".join(f"DROP COLUMN {column}" for column in reversed(schema.COLUMNS))
        )
        client.command(f"INSERT INTO otel_traces SELECT * FROM {prepared}.otel_traces")
        bare = stores.open_reader(url_of(clickhouse_server, name))
        slow, quick = numbers(bare), numbers(store.reader)
        bare.close()
        assert slow.cost_usd_per_trace == pytest.approx(quick.cost_usd_per_trace)
        assert (slow.traces, slow.errors, slow.tokens) == (quick.traces, quick.errors, quick.tokens)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"mlflow.chat.tokenUsage": '{"input_tokens": 7, "output_tokens": 2}'}, (7, 2)),
        # The conventions come first, as where both are written.
        ({"mlflow.chat.tokenUsage": '{"input_tokens": 7}', "gen_ai.usage.input_tokens": "8"}, (8, 0)),
        ({"mlflow.chat.tokenUsage": '{"output_tokens": 3, "input_tokens": null}'}, (0, 3)),
        ({"mlflow.chat.tokenUsage": '{"input_tokens": -1, "output_tokens": "x"}'}, (0, 0)),
        ({"mlflow.chat.tokenUsage": "null"}, (0, 0)),
        ({"mlflow.chat.tokenUsage": '{"input_tokens": '}, (0, 0)),
        ({"mlflow.chat.tokenUsage": "[1, 2]", "mlflow.llm.model": "gpt-4o"}, (0, 0)),
    ],
)
def test_whatever_stands_there_is_read_as_far_as_it_is_tokens(
    clickhouse_server: ClickHouseServer,
    attributes: dict[str, str],
    expected: tuple[int, int],
) -> None:
    with empty_store(clickhouse_server) as opened:
        client = opened.writer.database.client
        client.command(
            "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanAttributes) VALUES (now64(9), 't', 's',"
            " mapFromArrays({keys:Array(String)}, {values:Array(String)}))",
            parameters={"keys": ["logged_model.id", *attributes], "values": ["v1", *attributes.values()]},
        )
        rows = client.query("SELECT LoggedModelCall.input, LoggedModelCall.output FROM otel_traces_counted").result_rows
        assert rows == [expected]


@only_in_full
def test_a_store_of_the_schema_before_goes_on_and_counts_what_comes(
    clickhouse_server: ClickHouseServer, clickhouse_database: str
) -> None:
    client = clickhouse_server.client(clickhouse_database)
    for statement in (HERE / "schema_1.sql").read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            client.command(statement)
    url = url_of(clickhouse_server, clickhouse_database)

    # Someone who only reads has the numbers of now: what a column lacks is worked out as it is read.
    columns = ", ".join(
        row[0]
        for row in client.query(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'otel_traces'"
            " AND default_kind = ''"
        ).result_rows
    )
    with clickhouse_server.new_database() as name:
        other = stores.open_database(url_of(clickhouse_server, name))
        other.writer.insert([REQUEST.SerializeToString()])
        client.command(f"INSERT INTO otel_traces ({columns}) SELECT {columns} FROM {name}.otel_traces")
        other.close()
    reader = stores.open_reader(url)
    before = numbers(reader)
    reader.close()
    assert (before.traces, before.errors, before.tokens.input_per_trace) == (5, 1, 54 / 4)
    assert before.cost_usd_per_trace == pytest.approx(expected_cost() / 4)

    # A backend brings it up to date when it opens it.
    opened = stores.open_database(url)
    comments = client.query(
        "SELECT DISTINCT comment FROM system.columns WHERE database = currentDatabase() AND table = 'otel_traces'"
        " AND name LIKE 'LoggedModel%'"
    ).result_rows
    assert comments == [(f"otel-loggedmodel schema {schema.SCHEMA_VERSION}",)]
    assert numbers(opened.reader) == before
    opened.writer.insert([_as_new_traces().SerializeToString()])
    after = numbers(opened.reader)
    assert (after.traces, after.tokens.input_per_trace, after.tokens.output_per_trace) == (10, 54 / 4, 19 / 4)
    opened.close()

    # What was there is filled in when it is prepared, and with --backfill no column is worked out each time.
    assert "INSERT INTO otel_traces_counted" in "".join(stores.prepare(url))
    (statement,) = stores.prepare(url, backfill=True)
    assert statement.count("MATERIALIZE COLUMN") == len(schema.COLUMNS)
    reader = stores.open_reader(url)
    whole = numbers(reader)
    reader.close()
    assert (whole.traces, whole.tokens.input_per_trace, whole.tokens.output_per_trace) == (10, 54 / 4, 19 / 4)
    assert whole.cost_usd_per_trace == pytest.approx(expected_cost() / 4)


def _as_new_traces() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest.FromString(REQUEST.SerializeToString())
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                span.trace_id = bytes([span.trace_id[0] ^ 0xFF]) + span.trace_id[1:]
    return request
