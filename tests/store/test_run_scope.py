# SPDX-License-Identifier: Apache-2.0
"""Runs are compared alike from the table of what counts and from spans, by results on spans and in log records."""

import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clickhouse_server import ClickHouseServer
from effort import some
from log_requests import pairs_of, request, score
from otel_loggedmodel import attributes
from otel_loggedmodel.store import open_database, run_scope, schema
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.results import Comparison

NOW = time.time_ns() // 10**9 * 10**9
VERSION, DIGEST = "v-1", "d" * 16
FIRST, SECOND, LATER = "1" * 32, "2" * 32, "4" * 32
# Of another version, whose spans are rows alone: each names its run.
BARE, BARE_TOO, BARE_VERSION = "5" * 32, "6" * 32, "v-2"
ROWS = range(1, 13)


def of_run(run: str, row: int) -> dict[str, object]:
    return {
        attributes.ID: VERSION,
        attributes.EVALUATION_RUN: run,
        attributes.EVALUATION_DATASET: DIGEST,
        attributes.EVALUATION_ROW: f"row-{row}",
    }


def trace_of(run: str, row: int) -> str:
    return f"{run[0]}{row:031x}"


def spans() -> bytes:
    made = ExportTraceServiceRequest()
    target = made.resource_spans.add().scope_spans.add().spans

    def add(trace: str, span: int, parent: int, name: str, ms: int, **said: object) -> None:
        one = target.add(
            trace_id=bytes.fromhex(trace),
            span_id=span.to_bytes(8, "big"),
            parent_span_id=parent.to_bytes(8, "big") if parent else b"",
            name=name,
            start_time_unix_nano=NOW,
            end_time_unix_nano=NOW + ms * 10**6,
        )
        one.attributes.extend(pairs_of(said))

    for run, ms in ((FIRST, 100), (SECOND, 200)):
        record = {attributes.EVENT: attributes.RUN_EVENT, attributes.RUN_STATUS: "FINISHED"}
        started = {attributes.RUN_STARTED_AT: NOW // 10**6, attributes.RUN_ROWS: 12, attributes.RUN_ROWS_TOTAL: 12}
        told = {key: value for key, value in of_run(run, 0).items() if key != attributes.EVALUATION_ROW}
        add(run, 9, 8, attributes.RUN_RECORD, 1, **told, **record, **started)
        for row in ROWS:
            trace = trace_of(run, row)
            add(trace, 1, 0, "answer", ms, **of_run(run, row))
            usage = {"gen_ai.usage.input_tokens": ms, "gen_ai.usage.output_tokens": 1}
            stated = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", attributes.ID: VERSION}
            add(trace, 2, 1, "chat", ms // 2, **stated, **usage)
            result = {"gen_ai.evaluation.name": "on spans", "gen_ai.evaluation.score.value": float(run == SECOND)}
            add(trace, 3, 1, attributes.EVALUATION_RESULT, 0, **result, **of_run(run, row))
    for run, ms in ((BARE, 100), (BARE_TOO, 300)):
        record = {attributes.EVENT: attributes.RUN_EVENT, attributes.RUN_STATUS: "FINISHED", attributes.RUN_ROWS: 12}
        bare = {attributes.ID: BARE_VERSION, attributes.RUN_STARTED_AT: NOW // 10**6}
        add(run, 9, 8, attributes.RUN_RECORD, 1, **{**of_run(run, 0), **record, **bare})
        for row in ROWS:
            add(trace_of(run, row), 1, 0, "answer", ms, **{**of_run(run, row), attributes.ID: BARE_VERSION})
            result = {"gen_ai.evaluation.name": "bare", "gen_ai.evaluation.score.value": float(run == BARE)}
            said = {**of_run(run, row), attributes.ID: BARE_VERSION}
            add(trace_of(run, row), 3, 1, attributes.EVALUATION_RESULT, 0, **result, **said)
    # A trace of production, of the same version and time.
    add("3" * 32, 1, 0, "answer", 900, **{attributes.ID: VERSION})
    # And a run that judged it later, as a row of a data set.
    record = {attributes.EVENT: attributes.RUN_EVENT, attributes.RUN_STATUS: "FINISHED", attributes.RUN_ROWS: 1}
    add(
        LATER, 9, 8, attributes.RUN_RECORD, 1, **of_run(LATER, 1), **record, **{attributes.RUN_STARTED_AT: NOW // 10**6}
    )
    result = {"gen_ai.evaluation.name": "later", "gen_ai.evaluation.score.value": 0.5}
    add("3" * 32, 3, 1, attributes.EVALUATION_RESULT, 0, **result, **of_run(LATER, 1))
    return made.SerializeToString()


def logged() -> bytes:
    records = []
    for run in (FIRST, SECOND):
        value = float(run == SECOND)
        for row in ROWS:
            trace, said = trace_of(run, row), of_run(run, row)
            at_span = {"trace": trace, "span": f"{1:016x}"}
            # The same as a span says, one that no span says, and one of outputs whose trace is not stored.
            records.append(score("on spans", value, **at_span, attributes=said))
            records.append(score("in logs", value, **at_span, attributes=said))
            records.append(score("alone", value, trace=f"f{trace[1:]}", span=f"{7:016x}", attributes=said))
    return request(*records).SerializeToString()


@pytest.fixture(scope="module")
def store(clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    with clickhouse_server.new_database() as name:
        opened = open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        opened.writer.insert([spans()])
        opened.log_writer.insert([logged()])
        yield opened
        opened.close()


def compared(store: Store, columns: schema.Columns, *names: str) -> Comparison:
    store.reader._found = columns
    return store.reader.compare(names)


def test_each_run_has_its_own_traces_and_results(store: Store) -> None:
    found = compared(store, schema.Columns(schema.COLUMNS, is_counted=True), FIRST, SECOND)
    assert [(one.model_id, one.traces, one.latency_ms.p50) for one in found.versions] == [
        (FIRST, 12, 100),
        (SECOND, 12, 200),
    ]
    assert [one.tokens.input for one in found.versions] == [1200, 2400]
    for one, mean in zip(found.versions, (0.0, 1.0), strict=True):
        said = {name: (score.mean, score.count) for name, score in one.scores.items()}
        assert said == dict.fromkeys(("on spans", "in logs", "alone"), (mean, 12))
    metrics = found.differences[0].metrics
    assert {metrics[f"scores.{name}"].evaluation.pairs for name in ("on spans", "in logs", "alone")} == {12}


def test_a_run_beside_its_version_takes_nothing_else_of_it(store: Store) -> None:
    found = compared(store, schema.Columns(schema.COLUMNS, is_counted=True), VERSION, SECOND)
    assert [one.traces for one in found.versions] == [13, 12]


def test_a_run_that_judges_traces_of_others_has_them(store: Store) -> None:
    for is_counted in (True, False):
        (found,) = compared(store, schema.Columns(schema.COLUMNS, is_counted=is_counted), LATER).versions
        assert (found.traces, found.latency_ms.p50) == (1, 900)
        assert {name: (score.mean, score.count) for name, score in found.scores.items()} == {"later": (0.5, 1)}


def test_runs_whose_spans_all_name_them_are_told_apart_without_looking_up_their_traces(store: Store) -> None:
    columns = schema.Columns(schema.COLUMNS, is_counted=True)
    found = compared(store, columns, BARE, BARE_TOO)
    assert [(one.traces, one.latency_ms.p50) for one in found.versions] == [(12, 100), (12, 300)]
    assert [one.scores["bare"].mean for one in found.versions] == [1.0, 0.0]
    assert found.differences[0].metrics["scores.bare"].evaluation.pairs == 12
    runs = store.reader.runs()
    bare = [run for run in runs if run.run_id in (BARE, BARE_TOO)]
    assert not run_scope.has_unnamed(store.reader._database, columns, bare)
    assert run_scope.has_unnamed(store.reader._database, columns, [run for run in runs if run.run_id == FIRST])


@pytest.mark.parametrize("names", [*some([(FIRST, SECOND), (VERSION, SECOND)]), (BARE, BARE_TOO)])
def test_spans_alone_give_the_same_answers(store: Store, names: tuple[str, str]) -> None:
    quick = compared(store, schema.Columns(schema.COLUMNS, is_counted=True), *names)
    for present in (schema.COLUMNS, ()):
        slow = compared(store, schema.Columns(present, is_counted=False), *names)
        assert (slow.versions, slow.differences) == (quick.versions, quick.differences)
