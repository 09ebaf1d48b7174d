# SPDX-License-Identifier: Apache-2.0
"""A trace of which only spans came that say nothing of calls counts once, whatever order and parts they came in."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from clickhouse_server import ClickHouseServer
from effort import times
from otel_loggedmodel.store import counted, measuring, schema
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.reading import EVERYTHING, Selection, TraceFilter, VersionFilter
from otel_loggedmodel.store.scope import Query, Scope

from .conftest import empty_store
from .ways import answer_from

# The start of an hour, and so of a quarter of one.
BASE = datetime(2026, 9, 21, 13, tzinfo=timezone.utc)
BASE_NS = int(BASE.timestamp()) * 10**9
MINUTE_NS = 60 * 10**9
PARTS = 3
LATER = Selection(since=BASE + timedelta(minutes=20), until=BASE + timedelta(minutes=50))
OF_SERVICE = Selection(service="one")

SAID: Mapping[str, Mapping[str, str]] = {
    "plain": {},
    # What matters of calls alone does not matter of a span that stands for a trace.
    "talkative": {"gen_ai.conversation.id": "c", "gen_ai.response.id": "r", "gen_ai.usage.input_tokens": "-5"},
    "call": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": "10"},
    "entry": {"logged_model.name": "a name"},
    "build": {"gen_ai.operation.name": "create_agent", "gen_ai.agent.name": "someone"},
}

spans = st.fixed_dictionaries(
    {
        "version": st.integers(0, 1),
        "trace": st.integers(0, 2),
        "kind": st.sampled_from(("plain", "plain", "plain", "plain", "talkative", "call", "entry", "build")),
        "service": st.sampled_from(("one", "other")),
        "failed": st.booleans(),
        "start": st.integers(0, 40),
        "took": st.integers(0, 3),
        "part": st.integers(0, PARTS - 1),
        "again": st.integers(0, 2 * PARTS),
    }
)


def request(told: Sequence[Mapping[str, Any]]) -> bytes:
    message = ExportTraceServiceRequest()
    for one in told:
        resource_spans = message.resource_spans.add()
        resource_spans.resource.attributes.add(key="service.name").value.string_value = one["service"]
        start = BASE_NS + one["start"] * MINUTE_NS
        span = resource_spans.scope_spans.add().spans.add(
            trace_id=one["trace"].to_bytes(16, "big"),
            span_id=one["span"].to_bytes(8, "big"),
            parent_span_id=b"not here",
            name=one["kind"],
            kind=Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=start,
            end_time_unix_nano=start + one["took"] * MINUTE_NS,
        )
        span.status.code = 2 if one["failed"] and one["kind"] == "entry" else 0
        for key, value in {"logged_model.id": one["version"], **SAID[one["kind"]]}.items():
            span.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


def first(told: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return min(told, key=lambda one: (one["start"], -one["took"]))


def truth(told: Sequence[Mapping[str, Any]], selection: Selection) -> tuple[int, int, int, list[int]]:
    """How many traces spans are, how many of them failed and are cut off, and their latencies in minutes, in order."""
    standing = []
    by_trace = defaultdict(list)
    for one in told:
        by_trace[one["trace"]].append(one)
    for of_trace in by_trace.values():
        kinds = {one["kind"] for one in of_trace}
        wanted = next((kind for kind in ("entry", "call", "build") if kind in kinds), None)
        if wanted != "build":
            standing.append(first([one for one in of_trace if wanted in (None, one["kind"])]))
    if selection.since is not None:
        standing = [one for one in standing if 20 <= one["start"] < 50]
    return (
        len(standing),
        sum(one["failed"] and one["kind"] == "entry" for one in standing),
        sum(one["kind"] != "entry" for one in standing),
        sorted(one["took"] for one in standing),
    )


@pytest.fixture(scope="module")
def shared(clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    with empty_store(clickhouse_server) as store:
        yield store


_numbers = iter(range(1, 10**9))


def placed(drawn: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The spans of each version, with ids of their own; a version has no two entry spans in a trace."""
    found: dict[str, list[dict[str, Any]]] = {}
    for of_pair in drawn:
        pair = next(_numbers)
        begun = set()
        for one in of_pair:
            version, trace = f"v{pair}-{one['version']}", pair * 10 + one["trace"]
            kind = "plain" if (version, trace) in begun and one["kind"] == "entry" else one["kind"]
            if kind == "entry":
                begun.add((version, trace))
            span = {**one, "kind": kind, "version": version, "trace": trace, "span": next(_numbers)}
            found.setdefault(version, []).append(span)
    return found


def measured(store: Store, model_ids: Sequence[str], selection: Selection, *, is_counted: bool) -> dict[str, Any]:
    """What is told of each version, in the quick way or in the slow one."""
    scope = Scope(schema.Columns(schema.COLUMNS, is_counted=is_counted), model_ids=model_ids, selection=selection)
    rows = measuring.answer(
        store.reader._database,
        scope,
        lambda traces: Query(
            f"""
            SELECT version, sum(length(entries)) AS traces, sum(arrayCount(entries.failed)) AS errors,
                sum(arrayCount(entries.cut_off)) AS cut_off,
                arraySort(groupArrayArray(arrayMap(one -> intDiv(one.end - one.start, {MINUTE_NS}), entries))) AS took,
                sum(input) AS input, sum(calls) AS calls, sum(odd) AS odd, max(conversation) AS conversation,
                arraySort(groupArrayArray(entries.id)) AS ids, sum(is_entangled) AS entangled
            FROM ({traces.sql}) GROUP BY version""",
            traces.parameters,
        ),
    )
    return {row.pop("version"): row for row in rows}


@settings(max_examples=times(full=15, quick=2))
@given(st.lists(st.lists(spans, min_size=1, max_size=8), min_size=8, max_size=16))
def test_traces_count_the_same_whatever_order_and_parts_they_came_in(
    shared: Store, drawn: Sequence[Sequence[Mapping[str, Any]]]
) -> None:
    told = placed(drawn)
    everything = [one for of_version in told.values() for one in of_version]
    for part in range(PARTS):
        if sent := [one for one in everything if part in (one["part"], one["again"])]:
            shared.writer.insert([request(sent)])
    for selection in (EVERYTHING, LATER, OF_SERVICE):
        quick = measured(shared, [*told], selection, is_counted=True)
        assert quick == measured(shared, [*told], selection, is_counted=False)
        if selection == OF_SERVICE:
            break  # of spans that begin at once, it depends on hashes which one stands for the trace
        for version, of_version in told.items():
            traces, failed, cut_off, took = truth(of_version, selection)
            assert (version in quick) == (traces > 0)
            if traces:
                row = quick[version]
                assert (row["traces"], row["errors"], row["cut_off"], row["took"]) == (traces, failed, cut_off, took)
                assert (row["odd"], row["conversation"]) == (0, 0)
                calls = sum(one["kind"] == "call" for one in of_version)
                assert row["input"] == 10 * row["calls"] <= 10 * calls
                assert selection != EVERYTHING or row["calls"] == calls
    answer_from(shared.reader, counted=True, seen=True)
    for listed in shared.reader.versions(VersionFilter(limit=10_000)):
        if listed.model_id in told:
            assert (listed.traces or 0) == truth(told[listed.model_id], EVERYTHING)[0]


def test_lists_say_the_same_in_the_quick_way_and_in_the_slow_one(shared: Store) -> None:
    shared.writer.insert([request([*of("l1", "plain", "plain", start=1), *of("l2", "build", "plain", start=2)])])
    shared.writer.insert([request([*of("l1", "plain", "call"), *of("l3", "plain", "entry"), *of("l4", "plain")])])
    answers = []
    for is_counted in (True, False):
        answer_from(shared.reader, counted=is_counted, seen=is_counted)
        listed = [
            [one for one in shared.reader.versions(which) if one.model_id in ("l1", "l2", "l3", "l4")]
            for which in (VersionFilter(limit=10_000), VersionFilter(limit=10_000, counted=False))
        ]
        answers.append((listed, shared.reader.traces("l1")))
    assert answers[0] == answers[1]
    ((counted_, _), traces) = answers[0]
    assert {one.model_id: one.traces for one in counted_} == {"l1": 2, "l3": 1, "l4": 1}
    assert [one.cut_off for one in traces] == [True, True]


def of(version: str, *kinds: str, start: int = 0, trace: int | None = None) -> list[dict[str, Any]]:
    """A trace of a span of each kind, each beginning a minute after the one before it."""
    number = next(_numbers) * 10 if trace is None else trace
    return [
        {
            **{"version": version, "trace": number, "kind": kind, "service": "one", "failed": False},
            **{"start": start + minute, "took": 10 - minute, "span": next(_numbers)},
        }
        for minute, kind in enumerate(kinds)
    ]


def test_the_root_takes_the_place_of_what_stood_for_it_when_it_comes(shared: Store) -> None:
    answer_from(shared.reader, counted=True, seen=True)
    retrieve, rerank, root = of("late", "plain", "plain", "entry")
    shared.writer.insert([request([rerank])])
    shared.writer.insert([request([retrieve])])
    (before,) = shared.reader.compare(["late"]).versions
    (cut,) = shared.reader.traces("late")
    assert (before.traces, before.cut_off, before.latency_ms.p50, before.tokens.input) == (1, 1, 600_000, 0)
    assert (cut.trace_id, cut.cut_off, cut.duration_ms) == (f"{retrieve['trace']:032x}", True, 600_000)
    assert cut.span_id == f"{retrieve['span']:016x}"
    shared.writer.insert([request([root])])
    (after,) = shared.reader.compare(["late"]).versions
    (whole,) = shared.reader.traces("late")
    assert (after.traces, after.cut_off, after.latency_ms.p50) == (1, 0, 480_000)
    assert (whole.span_id, whole.cut_off) == (f"{root['span']:016x}", False)


def test_lists_of_all_versions_have_them_in_their_place(shared: Store) -> None:
    # No other test has traces that begin as late.
    day = 24 * 60
    whole, part = of("complete", "entry", "plain", start=day), of("part", "call", "call", start=day + 1)
    told, crowded = of("lone", "plain", "plain", start=day + 5), of("crowded", "call", start=day + 3)
    # What an agent is built by is no trace, and a span of v2 inside of a trace of v1 stands for a trace of v2 alone.
    built = of("built", "build", "plain", start=day + 7)
    beside = of("beside", "plain", start=day + 2, trace=whole[0]["trace"])
    for sent in ([*whole, *told[1:]], [*part, *built, *beside], [*crowded, *told[:1]]):
        shared.writer.insert([request(sent)])
    since = Selection(since=BASE + timedelta(days=1))
    for is_counted in (True, False):
        answer_from(shared.reader, counted=is_counted, seen=is_counted)
        found = shared.reader.traces(None, TraceFilter(limit=10), since)
        assert [(one.model_id, one.cut_off) for one in found] == [
            *(("lone", True), ("crowded", True), ("beside", True), ("part", True), ("complete", False))
        ]
        assert [one.model_id for one in shared.reader.traces(None, TraceFilter(limit=1), since)] == ["lone"]
        # Half of the trace is before this time, and so is what stands for it.
        later = Selection(since=BASE + timedelta(days=1, seconds=90))
        assert "part" not in {one.model_id for one in shared.reader.traces(None, TraceFilter(limit=10), later)}
        assert shared.reader.traces("part", TraceFilter(), later) == []
        assert shared.reader.facets(None, TraceFilter(), since).traces == 4  # two are parts of one trace


def test_such_a_trace_is_listed_and_told_of(shared: Store) -> None:
    answer_from(shared.reader, counted=True, seen=True)
    shared.writer.insert([request([*of("told", "plain", "plain"), *of("told", "plain", start=3)])])
    (listed,) = [one for one in shared.reader.versions(VersionFilter(limit=10_000)) if one.model_id == "told"]
    detail = shared.reader.version("told")
    comparison = shared.reader.compare(["told"])
    assert (listed.traces, listed.errors, listed.services) == (2, 0, ("one",))
    assert (detail.version.traces, detail.metrics.cut_off) == (2, 2)
    assert [one.start_ns for one in shared.reader.traces("told", which=TraceFilter(limit=1))] == [
        BASE_NS + 3 * MINUTE_NS
    ]
    assert any("2 traces lack their beginning" in note for note in comparison.notes)


def test_whole_traces_that_came_at_once_take_no_more_space_than_what_counts(shared: Store) -> None:
    traces = [one for _ in range(50) for one in of("whole", "plain", "plain", "entry", "call", "plain")]
    shared.writer.insert([request(traces)])
    (row,) = shared.writer.database.query(f"SELECT count() AS rows FROM {counted.TABLE} WHERE LoggedModelId = 'whole'")
    assert row["rows"] == 100


def test_what_is_kept_of_an_insert_does_not_depend_on_earlier_ones(shared: Store) -> None:
    """Else each insert would read the whole table."""
    for one in of("apart", "plain", "plain", "plain"):
        shared.writer.insert([request([one])])
    (row,) = shared.writer.database.query(f"SELECT count() AS rows FROM {counted.TABLE} WHERE LoggedModelId = 'apart'")
    assert row["rows"] == 3


def test_days_that_are_deleted_take_what_stands_for_their_traces(clickhouse_server: ClickHouseServer) -> None:
    with empty_store(clickhouse_server) as store:
        store.writer.insert([request([*of("old", "plain", "plain", start=-1), *of("old", "plain", start=-24 * 60)])])
        night = of("old", *(["plain"] * 4), start=11 * 60 - 2)
        store.writer.insert([request(night)])
        before = [measured(store, ["old"], EVERYTHING, is_counted=is_counted) for is_counted in (True, False)]
        store.writer.delete_before(BASE + timedelta(hours=11))
        after = [measured(store, ["old"], EVERYTHING, is_counted=is_counted) for is_counted in (True, False)]
    assert [found["old"]["traces"] for found in before] == [3, 3]
    # Of the trace around midnight, what began afterwards is still there.
    assert [(found["old"]["traces"], found["old"]["took"]) for found in after] == [(1, [8]), (1, [8])]


def test_a_store_of_an_earlier_release_counts_them_after_the_upgrade(clickhouse_server: ClickHouseServer) -> None:
    with empty_store(clickhouse_server) as store:
        database = store.writer.database
        store.writer.insert([request([*of("was", "plain", "plain"), *of("was", "plain", "entry", "call")])])
        store.writer.insert([request([*of("was", "call", "plain"), *of("was", "build", "plain")])])
        answer_from(store.reader, counted=True, seen=True)
        before = store.reader.compare(["was"]).versions
        (rows,) = database.query(f"SELECT count() AS rows FROM {counted.TABLE}")
        database.command(f"ALTER TABLE {counted.TABLE} MODIFY COMMENT 'otel-loggedmodel of another release'")
        schema.prepare(database)
        answer_from(store.reader, counted=True, seen=True)
        after = store.reader.compare(["was"]).versions
        assert database.query(f"SELECT count() AS rows FROM {counted.TABLE}") == [rows]
    assert (before[0].traces, before[0].cut_off) == (3, 2)
    assert repr(after) == repr(before)
