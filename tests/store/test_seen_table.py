# SPDX-License-Identifier: Apache-2.0
"""Lists that are made from the table of what was seen say what the spans say, and the table is filled in."""

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse_server import ClickHouseServer
from otel_loggedmodel import store as stores
from otel_loggedmodel.store import counted, seen_table
from otel_loggedmodel.store.filling import Filler, is_needed
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import VersionFilter
from otel_loggedmodel.store.version_results import Version
from waiting import wait_until

from .ways import answer_from

IDS = 400
# Traces of three days. Every id has one trace, and every seventh of these lacks its root. Some ids are used on two days
# and by two services, and some have a name.
SPANS = f"""
    INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, ServiceName, SpanAttributes, Duration,
        TraceState)
    SELECT toDateTime64('2026-03-01 10:00:00', 9, 'UTC') + toIntervalHour(cityHash64(id, day) % 20)
            + toIntervalDay(id % 3 + day), hex(id + 1000 * day), hex(number + 1000 * day),
        if(place = 0, '', hex(intDiv(number, 2) * 2)), 'POST /ask', concat('service-', toString(id % 2 + day)),
        mapConcat(map('logged_model.id', concat('v', toString(id))), if(place = 0,
            if(id % 5 = 0, map('logged_model.name', concat('name-', toString(id % 3))), map()),
            map('gen_ai.operation.name', 'chat', 'gen_ai.request.model', 'gpt-4o', 'gen_ai.usage.input_tokens', '7'))),
        1000000 * (number % 7), if(id = 11, 'ot=th:8', '')
    FROM (SELECT number, intDiv(number, 2) AS id, number % 2 AS place, arrayJoin([0, 1]) AS day
        FROM numbers({2 * IDS}) WHERE number % 14 != 0)
    WHERE day = 0 OR id % 4 = 0"""


@pytest.fixture(scope="module")
def store(clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    with clickhouse_server.new_database() as name:
        store = stores.open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        store.writer.database.command(SPANS)
        yield store
        store.close()


@pytest.fixture
def url(clickhouse_server: ClickHouseServer, clickhouse_database: str) -> str:
    """The URL of a database as the build before this table left it."""
    url = f"clickhouse://127.0.0.1:{clickhouse_server.port}/{clickhouse_database}"
    stores.prepare(url)
    client = clickhouse_server.client(clickhouse_database)
    for statement in seen_table.unmaking():
        client.command(statement)
    client.command(SPANS)
    return url


@pytest.fixture
def client(clickhouse_server: ClickHouseServer, clickhouse_database: str) -> Client:
    return clickhouse_server.client(clickhouse_database)


def listed(reader: StoreReader, which: VersionFilter, *, is_seen: bool) -> list[Version]:
    answer_from(reader, counted=True, seen=is_seen)
    return reader.versions(which)


@pytest.mark.parametrize("name", [None, "name-1", "nobody"])
@pytest.mark.parametrize("limit", [1, 10, 120, 1000])
def test_lists_say_the_same_whatever_they_are_made_from(store: Store, limit: int, name: str | None) -> None:
    which = VersionFilter(limit=limit, name=name)
    quick = listed(store.reader, which, is_seen=True)
    assert quick == listed(store.reader, which, is_seen=False)
    if name is None:
        assert len(quick) == min(limit, IDS)
    if limit == 1000 and name is None:
        by_id = {version.model_id: version for version in quick}
        # Its root is lost, and it was used by two services.
        assert (by_id["v28"].traces, by_id["v28"].services) == (2, ("service-0", "service-1"))
        assert (by_id["v8"].traces, by_id["v5"].name) == (2, "name-2")


def whole(url: str) -> tuple[bool, list[Version]]:
    """Whether the table is read, and what comes out."""
    reader = stores.open_reader(url)
    assert isinstance(reader, StoreReader)
    try:
        return reader._scopes.columns.is_seen, reader.versions(VersionFilter(limit=1000))
    finally:
        reader.close()


def test_a_store_of_an_earlier_build_is_read_as_before_until_it_is_prepared(url: str) -> None:
    is_seen, before = whole(url)
    assert not is_seen
    assert len(before) == IDS
    assert any("CREATE MATERIALIZED VIEW" in statement for statement in stores.prepare(url))
    assert whole(url) == (True, before)
    assert stores.prepare(url) == []


def test_a_filling_that_was_stopped_goes_on(url: str, client: Client) -> None:
    _, before = whole(url)
    stores.prepare(url)
    client.command(seen_table.forgetting())
    client.command(f"ALTER TABLE {seen_table.TABLE} DROP PARTITION ID '20260302'")
    assert whole(url) == (False, before)
    # What is filled in twice changes nothing.
    stores.prepare(url)
    assert whole(url) == (True, before)


def test_a_backend_fills_in_the_table_while_it_answers(url: str, client: Client) -> None:
    _, before = whole(url)
    stores.prepare(url)
    client.command(seen_table.forgetting())
    database = stores.open_database(url).writer.database
    assert is_needed(database)
    filler = Filler(database)
    wait_until(lambda: not is_needed(database), "the table to be filled in")
    filler.stop()
    database.close()
    assert whole(url) == (True, before)


def test_of_traces_of_one_day_the_last_says_when_a_version_was_used(url: str, client: Client) -> None:
    later = SPANS.replace("(id, day) % 20", "(id, day, 'later') % 20").replace("hex(id +", "hex(id + 500 +")
    client.command(later.replace("hex(number +", "hex(number + 5000 +"))
    _, before = whole(url)
    stores.prepare(url)
    assert whole(url) == (True, before)
    assert {version.traces for version in before} == {2, 4}


def test_a_view_that_was_dropped_is_noticed(url: str, client: Client) -> None:
    stores.prepare(url)
    client.command(f"DROP TABLE {seen_table.VIEW}")
    client.command(SPANS.replace("'v'", "'w'"))
    is_seen, before = whole(url)
    assert not is_seen
    assert len(before) == 2 * IDS
    stores.prepare(url)
    assert whole(url) == (True, before)


def test_what_is_filled_into_the_table_of_what_counts_is_seen(url: str, client: Client) -> None:
    _, before = whole(url)
    client.command(f"ALTER TABLE {counted.TABLE} MODIFY COMMENT 'otel-loggedmodel of another release'")
    stores.prepare(url)
    assert whole(url) == (True, before)
