# SPDX-License-Identifier: Apache-2.0
"""Comparisons at the edges: nothing, too little, nothing that varies, and the same version twice."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.reading import (
    EVERYTHING,
    ReadingError,
    Selection,
    TraceFilter,
    UnknownTraceError,
    UnknownVersionError,
)
from otel_loggedmodel.store.results import LatencyMs, Tokens, Verdict, VersionMetrics

START_NS = 1_795_000_000 * 10**9
Send = Callable[..., list[str]]


@pytest.fixture
def send(store: Store) -> Send:
    rng = random.Random(1)

    def send(
        version: str,
        milliseconds: Sequence[float],
        failed: Sequence[bool] = (),
        trace_state: str = "",
        **attributes: float | str,
    ) -> list[str]:
        """Store a trace for each duration, and return their ids."""
        message = ExportTraceServiceRequest()
        spans = message.resource_spans.add().scope_spans.add().spans
        for place, duration in enumerate(milliseconds):
            span = spans.add(
                trace_id=rng.getrandbits(128).to_bytes(16, "big"),
                span_id=rng.getrandbits(64).to_bytes(8, "big"),
                name="answer",
                trace_state=trace_state,
                start_time_unix_nano=START_NS + place * 10**9,
                end_time_unix_nano=START_NS + place * 10**9 + round(duration * 1e6),
                status=Status(code=2 if place < len(failed) and failed[place] else 0),
            )
            add(span, {"logged_model.id": version, **attributes})
        store.writer.insert([message.SerializeToString()])
        return [span.trace_id.hex() for span in spans]

    return send


def add(span: Span, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        kind = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(span.attributes.add(key=key).value, kind, value)


def verdicts(store: Store, *versions: str) -> dict[str, Verdict]:
    (differences,) = store.reader.compare(versions).differences
    return {metric: difference.verdict for metric, difference in differences.metrics.items()}


def test_an_empty_store_has_no_versions(store: Store) -> None:
    assert store.reader.versions() == []
    assert store.reader.traces() == []
    with pytest.raises(UnknownVersionError):
        store.reader.compare(["v1"])
    with pytest.raises(UnknownTraceError):
        store.reader.trace("0" * 32)


def test_nothing_that_varies_is_the_same_or_not(store: Store, send: Send) -> None:
    send("v1", [100.0] * 200)
    send("v2", [100.0] * 200)
    send("v3", [120.0] * 200)
    same = verdicts(store, "v1", "v2")
    assert {metric for metric, verdict in same.items() if verdict is Verdict.SAME} == {
        *("latency_ms.p50", "latency_ms.p90", "latency_ms.p95", "latency_ms.mean"),
        *("tokens.input_per_trace", "tokens.output_per_trace"),
    }
    assert not {Verdict.BETTER, Verdict.WORSE} & set(same.values())
    slower = verdicts(store, "v1", "v3")
    assert [metric for metric, verdict in slower.items() if verdict is Verdict.WORSE] == [
        *("latency_ms.p50", "latency_ms.p90", "latency_ms.p95", "latency_ms.mean")
    ]


def test_a_version_without_traces_in_the_selection_has_no_numbers(store: Store, send: Send) -> None:
    send("v1", [100.0] * 30)
    send("v2", [100.0] * 30)
    comparison = store.reader.compare(["v1", "v2"], Selection(service="no such service"))
    assert comparison.versions == (VersionMetrics(model_id="v1"), VersionMetrics(model_id="v2"))
    assert comparison.differences[0].metrics == {}


def test_too_few_traces_give_no_verdict(store: Store, send: Send) -> None:
    send("v1", [100.0, 110.0] * 9 + [100.0])
    send("v2", [500.0, 510.0] * 50)
    assert set(verdicts(store, "v1", "v2").values()) == {Verdict.UNKNOWN}
    send("v1", [100.0])
    assert verdicts(store, "v1", "v2")["latency_ms.p50"] is Verdict.WORSE


def test_one_trace_has_numbers(store: Store, send: Send) -> None:
    send("v1", [100.0], **{"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3})
    (metrics,) = store.reader.compare(["v1"]).versions
    assert metrics == VersionMetrics(
        model_id="v1",
        traces=1,
        error_rate=0.0,
        latency_ms=LatencyMs(**dict.fromkeys(("p50", "p90", "p95", "p99", "mean"), 100.0)),
        tokens=Tokens(input=7, output=3, input_per_trace=7.0, output_per_trace=3.0),
        calls_per_trace=1.0,
        failed_calls=0.0,
        tool_calls_per_trace=0.0,
        units=1,
        first_ms=START_NS // 10**6,
        last_ms=START_NS // 10**6,
    )


def test_a_cost_that_is_zero_is_not_one_that_is_unknown(store: Store, send: Send) -> None:
    send("free", [100.0] * 30, **{"gen_ai.usage.cost": 0.0})
    send("unknown", [100.0] * 30, **{"gen_ai.usage.input_tokens": 5, "gen_ai.request.model": "no-such-model"})
    send("stated", [100.0] * 30, **{"gen_ai.usage.cost": 0.25})
    comparison = store.reader.compare(["free", "unknown", "stated"])
    assert [metrics.cost_usd for metrics in comparison.versions] == [0.0, None, 7.5]
    unknown, stated = (found.metrics["cost_usd_per_trace"] for found in comparison.differences)
    assert (unknown.base, unknown.candidate, unknown.delta, unknown.verdict) == (0.0, None, None, Verdict.UNKNOWN)
    assert (stated.candidate, stated.verdict) == (0.25, Verdict.WORSE)
    assert any(note.startswith("30 calls of language models have tokens but no price") for note in comparison.notes)


def test_a_priced_model_costs_its_list_price(store: Store, send: Send) -> None:
    usage = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}
    send("v1", [100.0] * 2, **usage, **{"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o"})
    (metrics,) = store.reader.compare(["v1"]).versions
    assert metrics.cost_usd == pytest.approx(2 * (1000 * 2.5e-6 + 100 * 1e-5))


KEPT = (
    "rates, means and quantiles count each trace as often as it says; counts and totals are of the traces that are"
    " here."
)


def sampled(store: Store, *versions: str) -> list[str]:
    """What is said of samplers."""
    return [note for note in store.reader.compare(versions).notes if "sampler" in note or "cannot be" in note]


def test_what_azure_monitor_left_out_is_told(store: Store, send: Send) -> None:
    """Its sampler by rate leaves the percentage on the spans that it keeps, which changes with the load."""
    send("all", [100.0] * 5, **{"_MS.sampleRate": 100.0})
    send("unsampled", [100.0] * 5)
    for rate in (100.0, 50.0, 1.5):
        send("some", [100.0] * 5, **{"_MS.sampleRate": rate})
    send("even", [100.0] * 5, **{"_MS.sampleRate": 25})
    assert sampled(store, "all", "unsampled") == []
    assert sampled(store, "all", "some", "even") == [
        f"A sampler kept 1.5 to 100 % of the traces of some, as _MS.sampleRate on spans says: {KEPT}",
        f"A sampler kept 25 % of the traces of even, as _MS.sampleRate on spans says: {KEPT}",
    ]


@pytest.mark.parametrize("rate", [0, -5.0, "", 1e300])
def test_a_rate_that_is_none_is_told_and_counts_once(store: Store, send: Send, rate: float | str) -> None:
    send("odd", [100.0] * 5, **{"_MS.sampleRate": rate})
    (note,) = sampled(store, "odd")
    assert note.startswith("5 traces of odd say with _MS.sampleRate on spans what cannot be (")
    assert note.endswith("): it is a percentage above 0 and at most 100.")


def test_what_consistent_sampling_left_out_is_told(store: Store, send: Send) -> None:
    told = {
        "ot=th:c": "25",
        "ot=th:8;rv:ffffffffffffff": "50",
        "vendor=a:b, ot=rv:ffffffffffffff;th:fd70a3d70a3d71": "1",
    }
    untold = [
        "ot=th:0",
        "ot=rv:ffffffffffffff",
        "other=th:c",
        "xot=th:c",
        "ot=th:xyz",
        "ot=th:c0000000000000000",
        "th:",
    ]
    for trace_state in (*told, *untold):
        send(f"v {trace_state}", [100.0] * 5, trace_state=trace_state)
    assert sampled(store, *(f"v {trace_state}" for trace_state in untold)) == []
    assert sampled(store, *(f"v {trace_state}" for trace_state in told)) == [
        f"A sampler kept {share} % of the traces of v {trace_state}, as th in their trace state says: {KEPT}"
        for trace_state, share in told.items()
    ]


def test_the_same_version_twice_is_a_mistake(store: Store, send: Send) -> None:
    send("v1", [100.0])
    with pytest.raises(ReadingError, match="'v1' and 'v1' are the same version"):
        store.reader.compare(["v1", "v1"])


def test_errors_are_rates_with_an_exact_test_on_small_counts(store: Store, send: Send) -> None:
    send("v1", [100.0] * 60, [True] * 1)
    send("v2", [100.0] * 60, [True] * 12)
    (found,) = store.reader.compare(["v1", "v2"]).differences
    difference = found.metrics["error_rate"]
    assert (difference.base, difference.candidate) == (1 / 60, 12 / 60)
    assert difference.verdict is Verdict.WORSE


def test_traces_come_in_every_order(store: Store, send: Send) -> None:
    ids = send("v1", [30.0, 10.0, 20.0], [False, True, False])
    (dear,) = send("v1", [5.0], **{"gen_ai.usage.cost": 1.0})
    (cheap,) = send("v1", [6.0], **{"gen_ai.usage.cost": 0.5})

    def listed(**which: Any) -> list[str]:
        return [trace.trace_id for trace in store.reader.traces("v1", TraceFilter(**which))]

    assert listed(order="slowest") == [ids[0], ids[2], ids[1], cheap, dear]
    assert listed(order="slowest", limit=2, offset=1) == [ids[2], ids[1]]
    assert listed(order="newest")[:2] == [ids[2], ids[1]]
    assert listed(order="costliest") == [dear, cheap]
    assert listed(errors_only=True) == [ids[1]]
    assert listed(order="worst") == []
    with pytest.raises(ReadingError, match="'fastest'"):
        listed(order="fastest")
    # Of several versions, in whatever order and however often they are named.
    other = send("v2", [25.0, 15.0])
    send("v3", [40.0])
    together = store.reader.traces(["v2", "v1", "v2"], TraceFilter(order="slowest", limit=4))
    assert [trace.trace_id for trace in together] == [ids[0], other[0], ids[2], other[1]]
    counted = store.reader.facets(["v1", "v2"])
    assert {one.value: one.traces for one in counted.values["version"]} == {"v1": 5, "v2": 2}
    assert counted.traces == 7


def judge(trace_id: str, parent: str | None, name: str, value: float, **attributes: str) -> bytes:
    message = ExportTraceServiceRequest()
    span = (
        message.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=bytes.fromhex(trace_id),
            span_id=random.Random(f"{trace_id}{parent}{name}").randbytes(8),
            parent_span_id=bytes.fromhex(parent or "12" * 8),
            name="gen_ai.evaluation.result",
            start_time_unix_nano=START_NS + 10**13,
            end_time_unix_nano=START_NS + 10**13,
        )
    )
    add(span, {"gen_ai.evaluation.name": name, "gen_ai.evaluation.score.value": value, **attributes})
    return message.SerializeToString()


def test_feedback_that_names_no_version_is_of_the_one_that_it_judges(store: Store, send: Send) -> None:
    first, second = send("v1", [100.0] * 2)
    (other,) = send("v2", [100.0])
    # The trace of v1 has a part of v2 in it.
    message = ExportTraceServiceRequest()
    span = (
        message.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=bytes.fromhex(first),
            span_id=b"12345678",
            parent_span_id=b"87654321",
            name="part",
            start_time_unix_nano=START_NS - 10,
            end_time_unix_nano=START_NS,
        )
    )
    add(span, {"logged_model.id": "v2"})
    requests = [
        message.SerializeToString(),
        judge(first, None, "helpful", 1.0),
        judge(first, b"12345678".hex(), "helpful", 0.25),
        judge(second, None, "helpful", 0.5),
        judge(other, None, "helpful", 0.75),
        judge("ab" * 16, None, "helpful", 9.0),  # of a trace that is not stored
        judge(other, None, "kind", 1.0, **{"logged_model.id": "v1"}),  # it says whose it is
    ]
    store.writer.insert(requests)
    store.writer.insert(requests)

    def scores(selection: Selection = EVERYTHING) -> list[dict[str, tuple[float, int]]]:
        return [
            {name: (score.mean, score.count) for name, score in version.scores.items()}
            for version in store.reader.compare(["v1", "v2"], selection).versions
        ]

    assert scores() == [{"helpful": (0.75, 2), "kind": (1.0, 1)}, {"helpful": (0.5, 2)}]
    # The part stands for a trace of v2 whose beginning is not there.
    assert scores(Selection(production=True)) == [{"helpful": (0.75, 2)}, {"helpful": (0.5, 2)}]
    listed = {trace.trace_id: trace.scores for trace in store.reader.traces("v1")}
    assert listed == {first: {"helpful": 1.0}, second: {"helpful": 0.5}}
    assert [trace.trace_id for trace in store.reader.traces("v1", TraceFilter(order="worst"))] == [second, first]


def test_a_trace_of_production_that_became_a_row_is_in_both(store: Store, send: Send) -> None:
    """Production counts by what people said of it, the data set by what was said of the row."""
    (trace_id,) = send("v1", [100.0])
    version = {"logged_model.id": "v1"}
    row = {"logged_model.evaluation.dataset": "d1", "logged_model.evaluation.row": "r1"}
    store.writer.insert(
        [judge(trace_id, None, "said", 1.0, **version), judge(trace_id, "34" * 8, "said", 0.25, **version, **row)]
    )

    def score(selection: Selection = EVERYTHING) -> tuple[float | None, int]:
        (metrics,) = store.reader.compare(["v1"], selection).versions
        return metrics.scores["said"].mean, metrics.scores["said"].count

    assert (score(), score(Selection(production=True)), score(Selection(dataset="d1"))) == (
        (0.625, 2),
        (1.0, 1),
        (0.25, 1),
    )


def test_worst_traces_are_those_of_the_lowest_scores(store: Store, send: Send) -> None:
    ids = send("v1", [10.0] * 3)
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for trace_id, value in zip(ids, (0.9, 0.1, 0.5), strict=True):
        span = spans.add(
            trace_id=bytes.fromhex(trace_id),
            span_id=random.Random(trace_id).getrandbits(64).to_bytes(8, "big"),
            name="gen_ai.evaluation.result",
            start_time_unix_nano=START_NS + 10**12,
            end_time_unix_nano=START_NS + 10**12,
        )
        add(
            span,
            {
                "logged_model.id": "v1",
                "gen_ai.evaluation.name": "helpful",
                "gen_ai.evaluation.score.value": value,
            },
        )
    store.writer.insert([message.SerializeToString()])
    worst = store.reader.traces("v1", TraceFilter(order="worst"))
    assert [(trace.trace_id, trace.scores) for trace in worst] == [
        (ids[1], {"helpful": 0.1}),
        (ids[2], {"helpful": 0.5}),
        (ids[0], {"helpful": 0.9}),
    ]
    (metrics,) = store.reader.compare(["v1"]).versions
    score = metrics.scores["helpful"]
    assert (score.mean, score.count, len(score.groups)) == (pytest.approx(0.5), 3, 1)


@pytest.mark.parametrize("most", [1, 99, 100, 101, 299, 300, 301, 5000])
def test_of_a_large_trace_the_earliest_spans_are_read(store: Store, most: int) -> None:
    """Though it came out of order and twice, though many spans begin at once, and though two halves share an id."""
    rng = random.Random(most)
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for number in range(300):
        spans.add(
            trace_id=bytes(15) + b"\1",
            # The caller and the one that is called.
            span_id=(number // 2 + 1).to_bytes(8, "big"),
            kind=(Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER)[number % 2],
            name=f"span {number}",
            start_time_unix_nano=START_NS + number // 50 * 10**9,
            end_time_unix_nano=START_NS + 10**12,
        )
    shuffled = rng.sample(list(spans), 300)
    del spans[:]
    spans.extend(shuffled)
    for _ in range(2):
        store.writer.insert([message.SerializeToString()])
    trace = store.reader.trace(f"{1:032x}", most)
    assert [span.name for span in trace.spans] == [f"span {number}" for number in range(min(most, 300))]
    assert trace.left_out == max(0, 300 - most)
