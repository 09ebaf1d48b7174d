# SPDX-License-Identifier: Apache-2.0
"""What is behind the numbers of versions adds up to the truth of the synthetic data set."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clickhouse_server import ClickHouseServer
from effort import some
from otel_loggedmodel.store.chart_results import Activities, Behaviour, Point
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import Selection, UnknownVersionError
from planted_traces import TENANT, WORKER, write_attributes
from truth import Traffic, make_traffic

from .conftest import filled

ROLES = ("base", "failing", "referred_first", "referred_second", "plain", "hostile", "hostile_id")
SELECTIONS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "service": {"service": WORKER},
    "attribute": {"attributes": {TENANT: "acme"}},
    "an hour": {"since": 0, "until": 3600},
}


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return make_traffic(traces=1500)


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer, traffic: Traffic) -> Iterator[StoreReader]:
    with filled(clickhouse_server, traffic.requests) as reader:
        yield reader


def selected(traffic: Traffic, name: str) -> dict[str, Any]:
    return {
        key: traffic.middle + timedelta(seconds=value) if key in {"since", "until"} else value
        for key, value in SELECTIONS[name].items()
    }


def quantile(values: list[float], level: float) -> float:
    position = level * (len(values) - 1)
    below, above = sorted(values)[math.floor(position)], sorted(values)[math.ceil(position)]
    return below + (above - below) * (position - math.floor(position))


@pytest.mark.parametrize("selection", some(list(SELECTIONS)))
def test_parts_of_time_have_the_traces_that_began_in_them(
    reader: StoreReader, traffic: Traffic, selection: str
) -> None:
    arguments = selected(traffic, selection)
    ids = [traffic.versions[role].model_id for role in ROLES]
    found = reader.activities(ids, Selection(**arguments))
    assert [version.model_id for version in found.versions] == ids
    assert 1 <= found.parts <= 49
    assert found.start_ms % found.step_ms == 0
    for version in found.versions:
        entries = traffic.entries(version.model_id, **arguments)
        truth = traffic.truth(version.model_id, **arguments)
        assert (version.total.traces, version.total.errors) == (truth.traces, truth.errors)
        assert version.total.p95_ms == pytest.approx(truth.latency_ms.p95)
        assert sum(point.traces for point in version.points) == truth.traces
        if truth.traces:
            tokens = (truth.tokens.input_per_trace or 0) + (truth.tokens.output_per_trace or 0)
            assert version.total.tokens_per_trace == pytest.approx(tokens)
        assert version.total.cost_usd_per_trace == pytest.approx(truth.cost_usd_per_trace)
        assert {name: (score.count, pytest.approx(score.mean)) for name, score in version.scores.items()} == {
            name: (score.count, score.mean) for name, score in truth.scores.items()
        }
        for name, trend in version.score_trends.items():
            assert len(trend) == found.parts
            values = [value for value in trend if value is not None]
            assert min(values) - 1e-9 <= truth.scores[name].mean <= max(values) + 1e-9
        assert version.score_trends.keys() == truth.scores.keys()
        # Entry spans of one trace that count apart are in the part of the first.
        firsts: dict[str, int] = {}
        for entry in entries:
            firsts[entry.trace_id] = min(firsts.get(entry.trace_id, entry.start_ns), entry.start_ns)
        of_part: dict[int, list[Any]] = {}
        for entry in entries:
            of_part.setdefault(firsts[entry.trace_id] // 1_000_000 // found.step_ms, []).append(entry)
        assert {point.start_ms // found.step_ms: (point.traces, point.errors) for point in version.points} == {
            part: (len(ones), sum(one.error for one in ones)) for part, ones in of_part.items()
        }
        for point in version.points:
            latencies = [(one.end_ns - one.start_ns) / 1e6 for one in of_part[point.start_ms // found.step_ms]]
            assert point.p50_ms == pytest.approx(quantile(latencies, 0.5))


def test_activations_are_those_that_processes_told_of(reader: StoreReader, traffic: Traffic) -> None:
    (version,) = reader.activities([traffic.versions["base"].model_id]).versions
    # Each of two processes once; what one of them repeats is the same activation.
    assert len(version.activations) == 2
    assert {activation.service for activation in version.activations} == {"assistant-api", "assistant-worker"}
    assert [one.time_ms for one in version.activations] == sorted(one.time_ms for one in version.activations)


def test_the_version_before_is_the_one_made_before_it(reader: StoreReader, traffic: Traffic) -> None:
    ids = {role: planted.model_id for role, planted in traffic.versions.items()}
    found = reader.activities([ids["base"], ids["twin"], ids["referred_first"], ids["referred_second"], ids["plain"]])
    assert [version.previous for version in found.versions] == [None, ids["base"], None, ids["referred_first"], None]


@pytest.mark.parametrize("selection", some(list(SELECTIONS), quick=2))
def test_the_distribution_has_every_latency_once(reader: StoreReader, traffic: Traffic, selection: str) -> None:
    arguments = selected(traffic, selection)
    ids = [traffic.versions[role].model_id for role in ROLES]
    found = reader.behaviour(ids, Selection(**arguments))
    assert found.model_ids == tuple(ids)
    for model_id, bins in zip(ids, found.latency_bins, strict=True):
        latencies = [(one.end_ns - one.start_ns) / 1e6 for one in traffic.entries(model_id, **arguments)]
        assert bins == Counter(math.floor(math.log10(latency) * 20) for latency in latencies)


def test_errors_are_counted_by_what_they_say_of_themselves(reader: StoreReader, traffic: Traffic) -> None:
    ids = [version.model_id for version in traffic.versions.values()]
    (error,) = reader.behaviour(ids).errors
    assert error.kind.startswith("failed: <script>")
    # Entry spans within others have errors of their own.
    for model_id, count, trace_id in zip(ids, error.counts, error.trace_ids, strict=True):
        assert count >= traffic.truth(model_id).errors
        failed = [one.trace_id for one in traffic._recorder.entries if one.model_id == model_id and one.error]
        assert count == len(failed)
        assert trace_id in failed if failed else trace_id is None


def test_operations_say_what_the_spans_of_a_name_take(reader: StoreReader, traffic: Traffic) -> None:
    base, slower = (traffic.versions[role].model_id for role in ("base", "slower"))
    operations = {one.name: one for one in reader.behaviour([base, slower]).operations}
    entries = operations["POST /answer"]
    assert entries.mean_ms[1] / entries.mean_ms[0] == pytest.approx(1.6, rel=0.1)
    assert 0 < entries.calls_per_trace[0] <= 1
    for operation in operations.values():
        for calls, mean, taken in zip(
            operation.calls_per_trace, operation.mean_ms, operation.ms_per_trace, strict=True
        ):
            assert taken == pytest.approx((calls or 0) * (mean or 0))
    spread = [
        max(one.ms_per_trace, default=0) - min(one.ms_per_trace, default=0)
        for one in reader.behaviour([base, slower]).operations
    ]
    assert spread == sorted(spread, reverse=True)


def test_copies_of_spans_count_once(reader: StoreReader, store: Store, traffic: Traffic) -> None:
    for requests in (traffic.requests, traffic.requests[::2]):
        for start in range(0, len(requests), 20):
            store.writer.insert(requests[start : start + 20])
    ids = [traffic.versions[role].model_id for role in ROLES]
    once, twice = reader.behaviour(ids), store.reader.behaviour(ids)
    assert (twice.latency_bins, twice.errors) == (once.latency_bins, once.errors)
    expected = {one.name: one for one in once.operations}
    assert {one.name for one in twice.operations} == expected.keys()
    for one in twice.operations:
        assert one.calls_per_trace == expected[one.name].calls_per_trace
        assert one.ms_per_trace == pytest.approx(expected[one.name].ms_per_trace)
    for before, after in zip(reader.activities(ids).versions, store.reader.activities(ids).versions, strict=True):
        assert (after.total.traces, after.total.errors) == (before.total.traces, before.total.errors)
        assert after.total.tokens_per_trace == pytest.approx(before.total.tokens_per_trace)
        assert after.total.cost_usd_per_trace == pytest.approx(before.total.cost_usd_per_trace)


def test_spans_that_only_look_like_copies_all_count(store: Store) -> None:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in range(3):
        for place in range(2):
            # The same span ids in every trace, too.
            span = spans.add(trace_id=bytes([number + 1] * 16), span_id=bytes([place + 1] * 8), name="step")
            span.parent_span_id = bytes([1] * 8) if place else b""
            span.start_time_unix_nano, span.end_time_unix_nano = 10**18, 10**18 + 5 * 10**6
            write_attributes(span.attributes, {"logged_model.id": "v1"})
    store.writer.insert([request.SerializeToString()] * 2)
    (operation,) = store.reader.behaviour(["v1"]).operations
    assert (operation.calls_per_trace, operation.mean_ms, operation.ms_per_trace) == ((2.0,), (5.0,), (10.0,))


def test_nothing_selected_is_nothing(reader: StoreReader, traffic: Traffic) -> None:
    base = traffic.versions["base"].model_id
    nothing = Selection(service="no such service")
    found = reader.activities([base], nothing)
    assert found.parts == 1
    assert found.versions[0].total == Point(start_ms=0)
    assert found.versions[0].points == ()
    assert reader.behaviour([base], nothing) == Behaviour(model_ids=(base,), latency_bins=({},))
    assert reader.activities([]) == Activities(start_ms=0, step_ms=60_000, parts=1)
    assert reader.behaviour([]) == Behaviour(model_ids=())
    with pytest.raises(UnknownVersionError):
        reader.activities(["none"])
    with pytest.raises(UnknownVersionError):
        reader.behaviour(["none"])


def test_the_revision_changes_when_something_is_stored(store: Store, traffic: Traffic) -> None:
    empty = store.reader.revision()
    store.writer.insert(traffic.requests[:1])
    first = store.reader.revision()
    store.writer.insert(traffic.requests[1:2])
    assert len({empty, first, store.reader.revision()}) == 3
