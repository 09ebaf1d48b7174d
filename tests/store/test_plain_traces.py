# SPDX-License-Identifier: Apache-2.0
"""What is worked out of plain traces alone is what is worked out of all, or they are told not to be plain."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from effort import some, times
from otel_loggedmodel.store import measuring, schema
from otel_loggedmodel.store.measuring import Way
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.scope import Scope

START_NS = 1_795_000_000 * 10**9
MODEL_IDS = [f"m-{letter * 32}" for letter in "ab"]
OPERATIONS = ("", "chat", "invoke_agent", "execute_tool", "embeddings")

spans = st.fixed_dictionaries(
    {
        "version": st.sampled_from(MODEL_IDS),
        "trace": st.integers(1, 4),
        "parent": st.integers(0, 8),
        "operation": st.sampled_from(OPERATIONS),
        "scope": st.sampled_from(("one", "one", "one", "other")),
        "tokens": st.integers(0, 3),
        "served": st.booleans(),
        "failed": st.sampled_from((False, False, False, True)),
        "start": st.integers(0, 20),
        "took": st.integers(0, 20),
        "response": st.sampled_from(("", "", "r-1", "r-2")),
    }
)


def request(told: Sequence[Mapping[str, Any]], first_trace: int) -> bytes:
    message = ExportTraceServiceRequest()
    for number, one in enumerate(told, 1):
        scope_spans = message.resource_spans.add().scope_spans.add()
        scope_spans.scope.name = one["scope"]
        span = scope_spans.spans.add(
            trace_id=(first_trace + one["trace"]).to_bytes(16, "big"),
            span_id=number.to_bytes(8, "big"),
            parent_span_id=one["parent"].to_bytes(8, "big") if one["parent"] else b"",
            name="work",
            kind=Span.SPAN_KIND_SERVER if one["served"] else Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=START_NS + one["start"],
            end_time_unix_nano=START_NS + one["start"] + one["took"],
        )
        span.status.code = 2 if one["failed"] else 0
        said = {
            "logged_model.id": one["version"],
            "gen_ai.operation.name": one["operation"],
            "gen_ai.request.model": "gpt-4o" if one["operation"] == "chat" else "",
            "gen_ai.provider.name": "openai",
            "gen_ai.response.id": one["response"],
            "gen_ai.usage.input_tokens": str(one["tokens"]),
        }
        for key, value in said.items():
            if value:
                span.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


@pytest.mark.parametrize("with_usage", some([True, False]))
def test_plain_traces_are_measured_as_all_are(store: Store, with_usage: bool) -> None:
    database = store.reader._database
    first_trace = 0
    outcomes = set()

    def measured(scope: Scope, way: Way) -> dict[Any, Any]:
        query = measuring.traces(scope, with_usage=with_usage, way=way)
        rows = database.query(f"SELECT * FROM ({query.sql})", query.parameters)
        return {(row["version"], row["trace"]): row for row in rows}

    # Several at once, as each insert and each question takes longer than what is in it.
    @settings(max_examples=times(full=12, quick=4))
    @given(st.lists(st.lists(spans, min_size=1, max_size=9), min_size=4, max_size=8))
    def holds(told: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        nonlocal first_trace
        first_traces = range(first_trace, first_trace + 10 * len(told), 10)
        store.writer.insert([request(one, first) for one, first in zip(told, first_traces, strict=True)])
        first_trace = first_traces.stop
        ids = [trace.to_bytes(16, "big").hex() for trace in range(first_traces.start, first_traces.stop)]
        scope = Scope(schema.Columns(schema.COLUMNS, is_counted=True), model_ids=MODEL_IDS, trace_ids=ids)
        plain, every, mixed = (measured(scope, way) for way in (Way.PLAIN, Way.EVERY, Way.MIXED))
        assert plain.keys() >= every.keys()
        for key, row in plain.items():
            outcomes.add(row["is_entangled"])
            assert row["is_entangled"] or repr(row) == repr({name: every[key][name] for name in row})
        assert {key: repr(row) for key, row in mixed.items()} == {
            key: repr({name: row[name] for name in mixed[key]}) for key, row in every.items()
        }

    holds()
    assert outcomes == {0, 1}


@pytest.mark.parametrize("is_entangled", [True, False])
def test_traces_that_are_known_not_to_be_plain_are_asked_for_once(
    store: Store, is_entangled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = {"version": MODEL_IDS[0], "trace": 1, "parent": 0, "scope": "one", "served": False, "failed": False}
    agent |= {"operation": "invoke_agent" if is_entangled else "", "tokens": 3, "start": 0, "took": 20, "response": ""}
    call = {**agent, "parent": 1, "operation": "chat", "start": 1, "took": 10}
    store.writer.insert([request([{**agent, "tokens": 3 if is_entangled else 0}, call], 0)])
    asked: list[Way] = []
    traces = measuring.traces

    def counted(*arguments: Any, way: Way, **options: Any) -> Any:
        asked.append(way)
        return traces(*arguments, way=way, **options)

    monkeypatch.setattr(measuring, "traces", counted)
    (version,) = store.reader.compare(MODEL_IDS[:1]).versions
    assert (version.traces, version.tokens.input, version.calls_per_trace) == (1, 3, 1)
    assert asked == [Way.EVERY if is_entangled else Way.PLAIN]


def test_what_is_not_plain_is_measured_among_what_is(store: Store) -> None:
    call = {"version": MODEL_IDS[0], "trace": 1, "parent": 0, "scope": "one", "served": False, "failed": False}
    call |= {"operation": "chat", "tokens": 3, "start": 0, "took": 20, "response": ""}
    # A call within a call of another trace, and an entry span that was sent twice.
    inner = {**call, "trace": 2, "parent": 2, "start": 1, "took": 10}
    store.writer.insert([request([call, {**call, "trace": 2}, inner], 0)])
    copied = request([{**call, "trace": 3}], 0)
    store.writer.insert([copied, copied])
    (version,) = store.reader.compare(MODEL_IDS[:1]).versions
    assert (version.traces, version.tokens.input, version.calls_per_trace) == (3, 9, 1)
    (listed,) = store.reader.versions()
    assert (listed.traces, listed.p95_ms) == (3, version.latency_ms.p95)
