# SPDX-License-Identifier: Apache-2.0
"""What ClickHouse adds up and sorts is what NumPy does, whatever belongs together, counts more, or is in strata.

The benchmark of verdicts measures with `benchmarks.replica`, so that its figures are of what is stored only as far as
this holds.
"""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks import replica
from benchmarks.sample import Sample
from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store import samples, strata, traffic
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import Selection
from otel_loggedmodel.store.results import Comparison

from .conftest import filled
from .ways import forget

START_NS = 1_795_000_000 * 10**9 // (3600 * 10**9) * 3600 * 10**9
ROUTES = ("fast", "slow", "odd")
COUNT = 400


def drawn(version: str, seed: int) -> list[dict[str, Any]]:
    """Traces with ties, of conversations of several sizes, of other routes and hours for each version."""
    rng = random.Random(seed)
    shares = (5, 3, 1) if version.startswith("a") else (2, 5, 1)
    return [
        {
            "latency": round(rng.lognormvariate(5, 0.7), 1 if place % 3 else 0),
            "failed": rng.random() < 0.1,
            "tokens": rng.randrange(50, 500),
            "unit": f"{version} {min(place // 7, place % 40)}",
            "weight": rng.choice([1.0, 1.0, 2.5, 10.0]),
            "route": rng.choices(range(3), shares)[0],
            "hour": (place * 6) // COUNT + (0 if version.startswith("a") else 3),
        }
        for place in range(COUNT)
    ]


def request(version: str, traces: list[dict[str, Any]]) -> bytes:
    """Versions whose names end in `u` say conversations, and in `w` weights."""
    rng = random.Random(version)
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for place, trace in enumerate(traces):
        start = START_NS + trace["hour"] * 3600 * 10**9 + place * 10**6
        span = spans.add(
            trace_id=rng.randbytes(16),
            span_id=rng.randbytes(8),
            name=ROUTES[trace["route"]],
            start_time_unix_nano=start,
            end_time_unix_nano=start + round(trace["latency"] * 1e6),
        )
        span.status.code = 2 if trace["failed"] else 0
        attributes: dict[str, Any] = {
            "logged_model.id": version,
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": trace["tokens"],
            "gen_ai.usage.output_tokens": round(trace["tokens"] / 10),
            "gen_ai.usage.cost": trace["tokens"] * 1e-5,
        }
        if "u" in version:
            attributes["gen_ai.conversation.id"] = trace["unit"]
        if "w" in version:
            attributes["logged_model.adjusted_count"] = trace["weight"]
        for key, value in attributes.items():
            one = span.attributes.add(key=key).value
            if isinstance(value, str):
                one.string_value = value
            elif isinstance(value, int):
                one.int_value = value
            else:
                one.double_value = value
    return message.SerializeToString()


KINDS = ("", "u", "w", "uw")
TRACES = {kind: {side: drawn(side + kind, place) for place, side in enumerate("ab")} for kind in KINDS}


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer) -> Iterator[StoreReader]:
    requests = [request(side + kind, traces) for kind, sides in TRACES.items() for side, traces in sides.items()]
    with filled(clickhouse_server, requests) as opened:
        yield opened


def sample(kind: str, side: str) -> Sample:
    traces = TRACES[kind][side]

    def column(name: str) -> np.ndarray:
        return np.array([trace[name] for trace in traces])

    return Sample(
        column("latency"),
        column("failed"),
        column("tokens"),
        unit=column("unit") if "u" in kind else None,
        weight=column("weight") if "w" in kind else None,
        route=column("route"),
        hour=column("hour") + START_NS // (3600 * 10**9),
        failed_calls=column("failed"),
    )


def close(found: Comparison, expected: Comparison) -> None:
    """Both have the same values, intervals and verdicts."""
    assert found.unit == expected.unit
    for version, other in zip(found.versions, expected.versions, strict=True):
        for path in ("traces", "errors", "units", "error_rate", "cost_usd_per_trace"):
            assert getattr(version, path) == pytest.approx(getattr(other, path), rel=1e-9), path
        for which in ("p50", "p90", "p95", "p99", "mean"):
            expected_ms = getattr(other.latency_ms, which)
            assert getattr(version.latency_ms, which) == pytest.approx(expected_ms, rel=1e-9), which
    metrics, others = replica.metrics(found), replica.metrics(expected)
    for name, other in others.items():
        one = metrics[name]
        assert (one.verdict, one.reason, one.adjusted is None) == (other.verdict, other.reason, other.adjusted is None)
        assert (one.base_units, one.candidate_units) == (other.base_units, other.candidate_units), name
        for field in ("base", "candidate", "p_value", "interval", "base_interval", "candidate_interval"):
            expected_value = getattr(other, field)
            if expected_value is not None:
                expected_value = pytest.approx(expected_value, rel=1e-8, abs=1e-9)
            assert getattr(one, field) == expected_value, (name, field)


@pytest.mark.parametrize("is_within", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_clickhouse_finds_what_numpy_does(
    reader: StoreReader, monkeypatch: pytest.MonkeyPatch, kind: str, is_within: bool
) -> None:
    """ClickHouse numbers routes by hashes: here they are numbered alike."""
    plans = []
    plan = strata.plan

    def planned(base: strata.Traffic, candidate: strata.Traffic) -> strata.Plan:
        made = plan(base, candidate) if is_within else strata.Plan()
        plans.append((made, base, candidate))
        return made

    monkeypatch.setattr(traffic.strata, "plan", planned)
    forget(reader)
    found = reader.compare(["a" + kind, "b" + kind], Selection())
    made, *sides = plans[-1]
    assert bool(made.shares) == is_within
    hashes = sorted({route for side in sides for route, _ in side.cells})
    counts = [sum(n for (route, _), n in sides[0].cells.items() if route == one) for one in hashes]
    names = {
        one: next(
            place
            for place in range(len(ROUTES))
            if sum(trace["route"] == place for trace in TRACES[kind]["a"]) == count
        )
        for one, count in zip(hashes, counts, strict=True)
    }
    mine, other = (sample(kind, side) for side in "ab")
    by_name = {place: one for one, place in names.items()}
    for one in (mine, other):
        one.route = np.array([by_name[int(place)] for place in one.route], np.uint64)
    expected = replica.compared(mine, other, made)
    close(found, expected)


def test_moments_are_those_of_numpy(reader: StoreReader) -> None:
    assert len(samples.VALUES) == 7
    found = reader.compare(["a", "b"], Selection(by="trace")).versions[0]
    latencies = [trace["latency"] for trace in TRACES[""]["a"]]
    assert found.latency_ms.mean == pytest.approx(np.mean(latencies))
    assert found.latency_ms.p95 == pytest.approx(np.quantile(latencies, 0.95))
