# SPDX-License-Identifier: Apache-2.0
"""What was measured of versions is remembered until another span of theirs arrives, and never longer."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import pytest

from clickhouse_server import ClickHouseServer
from effort import times
from otel_loggedmodel import store as stores
from otel_loggedmodel.store import counted
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measured import Measured
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.queries import StoreReader

from .test_counted_table import shown
from .ways import forget

# A trace of an entry span and a call, of a version, on a day of March 2026.
TRACE = """
    SELECT toDateTime64('2026-03-01 10:00:00', 9, 'UTC') + toIntervalDay({day}) + toIntervalSecond({trace}),
        hex({trace}), hex({trace} * 2 + number), if(number = 0, '{parent}', hex({trace} * 2)), 'POST /ask', 'assistant',
        mapConcat(map('logged_model.id', '{version}'), if(number = 0, map('logged_model.name', 'agent'), map(
            'gen_ai.operation.name', 'chat', 'gen_ai.request.model', 'gpt-4o', 'gen_ai.usage.input_tokens', '{trace}',
            'gen_ai.usage.output_tokens', '3'))), 1000000 * ({trace} % 7 + 1), if({trace} % 5 = 0, 'Error', 'Unset')
    FROM numbers(2) WHERE number IN ({places})"""
INSERT = """
    INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, ServiceName, SpanAttributes, Duration,
        StatusCode)"""
VERSIONS = ("a", "b", "c")


@pytest.fixture(scope="module")
def store(clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    with clickhouse_server.new_database() as name:
        store = stores.open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        yield store
        store.close()


@pytest.fixture
def insert(store: Store) -> Callable[..., None]:
    def insert(version: str, trace: int, day: int = 0, places: str = "0, 1", parent: str = "") -> None:
        sql = TRACE.format(version=version, trace=trace, day=day, places=places, parent=parent)
        store.writer.database.command(INSERT + sql)

    return insert


def answers(reader: StoreReader) -> str:
    return shown((reader.versions(), reader.activities(VERSIONS).versions, reader.compare("ba")))


def test_answers_are_those_of_a_reader_that_remembers_nothing(store: Store, insert: Callable[..., None]) -> None:
    chances = random.Random(7)
    for version in VERSIONS:
        insert(version, ord(version))
        insert(version, 100 + ord(version), day=1)  # which the others are deleted before
    for step in range(times(full=9, quick=4)):
        trace, version = chances.randrange(1000, 1006), chances.choice(VERSIONS)
        # Traces that begin again, that lack their root or their call, copies, and traces of two days.
        insert(
            version,
            trace,
            chances.randrange(2),
            chances.choice(["0, 1", "0", "1"]),
            chances.choice(["", "", "elsewhere"]),
        )
        remembered = answers(store.reader), store.reader.version(version)
        forget(store.reader)
        assert (answers(store.reader), store.reader.version(version)) == remembered, step
    assert store.writer.delete_before(datetime(2026, 3, 2, tzinfo=timezone.utc)) > 0
    remembered = answers(store.reader)
    forget(store.reader)
    assert answers(store.reader) == remembered


def test_only_versions_with_new_spans_are_measured(
    store: Store, insert: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Collection[str]] = []
    query = Database.query

    def watched(self: Database, sql: str, parameters: Mapping[str, Any] | None = None, *rest: Any) -> Any:
        if counted.TABLE in sql and "version, trace" in sql:
            asked.append(parameters["model_ids"] if parameters else ())
        return query(self, sql, parameters, *rest)

    for version in VERSIONS:
        insert(version, 5000 + ord(version), day=5)
    answers(store.reader)
    monkeypatch.setattr(Database, "query", watched)
    answers(store.reader)
    assert asked == []
    insert("b", 6000, day=6)
    traces = {version.model_id: version.traces for version in store.reader.versions()}
    assert asked == [["b"]]
    insert("b", 6000, day=6)  # a copy
    assert {version.model_id: version.traces for version in store.reader.versions()} == traces


def test_a_comparison_is_made_again_when_either_version_has_new_spans(
    store: Store, insert: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    query = Database.query

    def watched(self: Database, sql: str, *rest: Any) -> Any:
        asked.extend(["traces"] if counted.TABLE in sql and "version, trace" in sql else [])
        return query(self, sql, *rest)

    insert("d", 7000, day=7)
    insert("e", 7001, day=7)
    first = store.reader.compare(["d", "e"])
    monkeypatch.setattr(Database, "query", watched)
    assert store.reader.compare(["d", "e"]) == first
    assert asked == []
    assert [one.traces for one in store.reader.compare(["e", "d"]).versions] == [1, 1]
    assert asked
    insert("e", 7002, day=7)
    assert [one.traces for one in store.reader.compare(["d", "e"]).versions] == [1, 2]
    asked.clear()
    insert("a", 7003, day=7)
    assert [one.traces for one in store.reader.compare(["d", "e"]).versions] == [1, 2]
    assert asked == []


def test_a_stamp_that_changed_makes_what_is_known_worthless() -> None:
    measured = Measured()
    asked: list[list[str]] = []

    def measure(model_ids: Collection[str]) -> dict[str, int]:
        asked.append(sorted(model_ids))
        return {one: len(asked) for one in model_ids if one != "none"}

    assert measured.of({"a": 1, "b": 1, "none": 1}, "usage", measure) == {"a": 1, "b": 1}
    assert measured.of({"a": 1, "b": 2, "none": 1}, "usage", measure) == {"a": 1, "b": 2}
    assert measured.of({"a": 1}, "trends", measure) == {"a": 3}
    assert asked == [["a", "b", "none"], ["b"], ["a"]]


def test_what_is_remembered_is_bounded() -> None:
    measured = Measured(most=2)
    for number in range(9):
        measured.of({str(number): 1}, "usage", lambda model_ids: dict.fromkeys(model_ids, 1))
    assert len(measured._known) == 2
