# SPDX-License-Identifier: Apache-2.0
"""The table of what counts says what the table of spans says, and is filled in where it lacks something."""

import contextlib
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse_server import READ_ONLY_USER, ClickHouseServer
from effort import only_in_full, times
from otel_loggedmodel import store as stores
from otel_loggedmodel.store import counted, schema, seen_table
from otel_loggedmodel.store import database as databases
from otel_loggedmodel.store.filling import Filler
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import Selection, StoreUnavailableError, VersionFilter
from truth import make_traffic
from waiting import wait_until

from .ways import answer_from

OLD = ("20260301", "20260302", "20260303")
SPANS_OF_THREE_DAYS = """
    INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, ServiceName, SpanAttributes, Duration)
    SELECT toDateTime64('2026-03-01 10:00:00', 9, 'UTC') + toIntervalDay(intDiv(number, 20)), hex(intDiv(number, 2)),
        hex(number), if(number % 2 = 0, '', hex(number - 1)), 'POST /ask', 'assistant',
        if(number % 2 = 0, map('logged_model.id', 'v1', 'http.route', '/ask'), map('logged_model.id', 'v1',
            'gen_ai.operation.name', 'chat', 'gen_ai.request.model', 'gpt-4o', 'gen_ai.usage.input_tokens', '7',
            'gen_ai.usage.output_tokens', '3')), 1000000 * (number % 7)
    FROM numbers(60)"""


@pytest.fixture
def url(clickhouse_server: ClickHouseServer, clickhouse_database: str) -> str:
    return f"clickhouse://127.0.0.1:{clickhouse_server.port}/{clickhouse_database}"


@pytest.fixture
def client(clickhouse_server: ClickHouseServer, clickhouse_database: str) -> Client:
    """A database as a Collector leaves it, with spans of three days."""
    client = clickhouse_server.client(clickhouse_database)
    for statement in schema._exporter_tables("", "MergeTree()"):
        client.command(statement)
    client.command(SPANS_OF_THREE_DAYS)
    return client


def shown(found: object) -> str:
    """With numbers as precise as sums in any order are."""
    return re.sub(r"\d+\.\d{6,}(e-?\d+)?", lambda one: f"{float(one[0]):.9g}", repr(found))


def answers(url: str) -> tuple[bool, object]:
    """Whether the quick way was taken, and what came out."""
    reader = stores.open_reader(url)
    assert isinstance(reader, StoreReader)
    try:
        (version,) = reader.compare(["v1"], Selection(attributes={"http.route": "/ask"})).versions
        found = (version, reader.versions())
        return reader._scopes.columns.is_prepared, shown(found)
    finally:
        reader.close()


def rows_by_day(client: Client) -> dict[str, int]:
    rows = client.query(f"SELECT _partition_id, count() FROM {counted.TABLE} GROUP BY _partition_id").result_rows
    return {str(day): int(number) for day, number in rows}


@only_in_full
def test_a_table_that_is_not_prepared_gives_the_same_answers(url: str, client: Client) -> None:
    is_quick, before = answers(url)
    assert not is_quick
    days: list[tuple[str, int, int]] = []
    stores.prepare(url, on_day=lambda *day: days.append(day))
    assert days == [(day, place, 3) for place, day in enumerate(OLD, 1)]
    assert answers(url) == (True, before)
    assert rows_by_day(client) == dict.fromkeys(OLD, 20)
    assert stores.prepare(url) == []


def test_without_the_table_nothing_is_worked_out_of_the_spans_of_other_versions(url: str, client: Client) -> None:
    stores.prepare(url)
    with contextlib.closing(databases.open_database(url)) as database:
        source = counted.as_read(counted.SPANS)
        plan = database.query(f"EXPLAIN SELECT LoggedModelCall.span FROM ({source}) WHERE LoggedModelId = 'a'")
    # With two filters, one would come after what is worked out.
    assert sum("Filter (" in step for row in plan for step in row.values()) <= 1


@only_in_full
def test_a_filling_that_was_stopped_goes_on_where_it_was(url: str, client: Client) -> None:
    class StoppedError(Exception):
        pass

    def stop(day: str, place: int, days: int) -> None:
        if place == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        stores.prepare(url, on_day=stop)
    is_quick, before = answers(url)
    assert not is_quick
    # Killed in the middle of a day, it leaves a part of that day.
    client.command(counted.filling(schema.AS_READ.of_day(OLD[1], 10)))
    assert rows_by_day(client) == {OLD[0]: 20, OLD[1]: 20}
    days: list[str] = []
    stores.prepare(url, on_day=lambda day, place, number: days.append(day))
    assert days == [*OLD[1:]]
    assert rows_by_day(client) == dict.fromkeys(OLD, 20)
    assert answers(url) == (True, before)


@only_in_full
def test_spans_that_arrive_while_days_are_filled_in_count_once(url: str, client: Client) -> None:
    def arrive(day: str, place: int, days: int) -> None:
        if place == 2:
            client.command(SPANS_OF_THREE_DAYS)  # once more, as a sender does that got no answer

    _, before = answers(url)
    stores.prepare(url, on_day=arrive)
    assert sum(rows_by_day(client).values()) > 60
    assert answers(url) == (True, before)


def test_a_backend_fills_in_what_its_own_store_lacks_while_it_answers(url: str, client: Client) -> None:
    stores.prepare(url, on_day=lambda *_: None)
    client.command(counted.remembering(OLD[1:]))  # as after an upgrade, of which a day is done
    database = stores.open_database(url).writer.database
    filler = Filler(database)
    wait_until(lambda: not schema.missing_days(database), "the days to be filled in")
    filler.stop()
    assert rows_by_day(client) == dict.fromkeys(OLD, 20)
    database.close()


def test_a_view_that_was_dropped_is_noticed(url: str, client: Client) -> None:
    stores.prepare(url)
    client.command(f"DROP TABLE {counted.VIEW}")
    client.command(SPANS_OF_THREE_DAYS.replace("2026-03-01", "2026-03-02").replace("hex(", "hex(1000 + "))
    is_quick, before = answers(url)
    assert not is_quick
    stores.prepare(url)
    assert answers(url) == (True, before)
    assert rows_by_day(client) == {OLD[0]: 20, OLD[1]: 40, OLD[2]: 40, "20260304": 20}


def test_a_backend_notices_a_view_that_is_dropped_while_it_runs(
    url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_loggedmodel.store.scopes._INSPECT_SECONDS", 0.0)
    stores.prepare(url)
    reader = stores.open_reader(url)
    assert isinstance(reader, StoreReader)
    assert not any("not prepared" in note for note in reader.compare(["v1"]).notes)
    client.command(f"DROP TABLE {counted.VIEW}")
    comparison = reader.compare(["v1"])
    reader.close()
    assert any("not prepared" in note for note in comparison.notes)
    assert comparison.versions[0].traces == 30


@only_in_full
def test_a_table_of_another_release_is_made_anew(url: str, client: Client) -> None:
    stores.prepare(url)
    _, before = answers(url)
    client.command(f"ALTER TABLE {counted.TABLE} MODIFY COMMENT 'otel-loggedmodel of another release'")
    assert answers(url) == (False, before)
    assert sum(statement.startswith("DROP TABLE") for statement in stores.prepare(url)) == 4
    assert answers(url) == (True, before)


def test_rows_expire_as_spans_do(url: str, client: Client) -> None:
    client.command("ALTER TABLE otel_traces MODIFY TTL toDateTime(Timestamp) + toIntervalHour(72)")
    counts, seen = [statement for statement in stores.prepare(url) if "CREATE TABLE" in statement]
    assert "\nTTL toDateTime(Timestamp) + toIntervalHour(72)\n" in counts
    assert "\nTTL toDateTime(Day) + toIntervalDay(1) + toIntervalHour(72)\n" in seen


@only_in_full
def test_who_may_not_make_tables_is_told_so_and_answered(
    url: str, client: Client, clickhouse_server: ClickHouseServer, clickhouse_database: str
) -> None:
    only_reading = url.replace("//", f"//{READ_ONLY_USER}@")
    with pytest.raises(StoreUnavailableError, match="READONLY"):
        stores.prepare(only_reading)
    is_quick, _ = answers(only_reading)
    assert not is_quick


def test_a_version_on_spans_that_do_not_count_is_known(url: str, client: Client) -> None:
    stores.prepare(url)
    client.command(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanAttributes)"
        " VALUES (now64(9), 't', 's', '', map('logged_model.id', 'no-entry', 'gen_ai.operation.name', 'create_agent'))"
    )
    reader = stores.open_reader(url)
    (version,) = reader.compare(["no-entry"]).versions
    reader.close()
    assert (version.model_id, version.traces) == ("no-entry", 0)


def test_deleted_days_are_deleted_in_both_tables(url: str, client: Client) -> None:
    store = stores.open_database(url)
    stores.prepare(url)
    assert store.writer.delete_before(datetime(2026, 3, 3, tzinfo=timezone.utc)) == 40
    assert rows_by_day(client) == {OLD[2]: 20}
    assert store.reader.compare(["v1"]).versions[0].traces == 10
    store.close()


@pytest.fixture(scope="module")
def twin(clickhouse_server: ClickHouseServer) -> Iterator[Callable[[list[bytes]], tuple[str, str]]]:
    """Answers of a store that got requests, in the quick way and in the slow one."""
    with clickhouse_server.new_database() as name:
        store = stores.open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        database = store.writer.database

        def asked(requests: list[bytes]) -> tuple[str, str]:
            for table in (schema.SPANS, counted.TABLE, seen_table.TABLE):
                database.command(f"TRUNCATE TABLE {table}")
            for request in requests:
                store.writer.insert([request])
            return tuple(of_store(store, is_counted=is_counted) for is_counted in (True, False))  # type: ignore[return-value]

        yield asked
        store.close()


def of_store(store: Store, *, is_counted: bool) -> str:
    reader = store.reader
    answer_from(reader, counted=is_counted, seen=is_counted)
    versions = reader.versions()
    lists = [
        reader.versions(VersionFilter(limit=limit, counted=counted, deleted=deleted))
        for limit, counted, deleted in ((1, True, False), (4, False, True), (1000, False, False))
    ]
    return shown((reader.compare([version.model_id for version in versions[:6]]).versions, versions, lists))


# The answers for earlier orders.
_earlier: list[str] = []
# All kinds of traces, in parts that cut through them.
_SENT = make_traffic(seed=3, traces=60).requests
PARTS = [b"".join(_SENT[first::9]) for first in range(9)]


@settings(max_examples=times(full=3, quick=1))
@given(order=st.permutations(range(len(PARTS))), copies=st.lists(st.integers(0, len(PARTS) - 1), max_size=3))
def test_orders_splits_and_repeats_of_the_same_spans_give_the_same_answers(
    twin: Callable[[list[bytes]], tuple[str, str]], order: list[int], copies: list[int]
) -> None:
    quick, slow = twin([PARTS[place] for place in (*order, *copies)])
    assert quick == slow
    _earlier.append(quick)
    assert _earlier[0] == quick
