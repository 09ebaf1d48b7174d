# SPDX-License-Identifier: Apache-2.0
"""Versions of very many traces: verdicts without an array of all values agree with those of every value."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store import measuring, rounded, samples, strata, traffic
from otel_loggedmodel.store.histograms import Histogram
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import Selection
from otel_loggedmodel.store.results import Comparison
from otel_loggedmodel.store.statistics import Z

from .conftest import filled
from .test_samples import KINDS, TRACES, request
from .ways import forget

LEVELS = tuple(samples.QUANTILES.values())
# Where values have weights, a quantile lies between two that are next to each other, and it depends on both of their
# weights where. Rounded values have the mean weight.
NEIGHBOURS = 12


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer) -> Iterator[StoreReader]:
    requests = [request(side + kind, traces) for kind, sides in TRACES.items() for side, traces in sides.items()]
    # Traces that came twice are not plain: they take the other way of measuring.
    requests += [request(side + kind, TRACES[kind][side][:40]) for kind, side in (("", "a"), ("uw", "b"))]
    with filled(clickhouse_server, requests) as opened:
        yield opened


def compared(reader: StoreReader, kind: str, by: str | None = None) -> Comparison:
    forget(reader)
    return reader.compare(["a" + kind, "b" + kind], Selection(by=by))


def near(version: str, value: float) -> tuple[float, float]:
    """Between what a quantile may lie."""
    latencies = np.unique([trace["latency"] for trace in TRACES[version[1:]][version[0]]])
    place = int(np.searchsorted(latencies, value))
    lower, upper = latencies[max(0, place - NEIGHBOURS)], latencies[min(place + NEIGHBOURS, len(latencies) - 1)]
    return lower * (1 - rounded.ERROR), upper * (1 + rounded.ERROR)


def agree(exact: Comparison, found: Comparison, *, is_simple: bool) -> None:
    """Sums are equal; quantiles are where they may be; verdicts are the same."""
    assert (found.unit, len(found.versions)) == (exact.unit, len(exact.versions))
    for one, other in zip(found.versions, exact.versions, strict=True):
        for path in ("traces", "errors", "units", "error_rate", "cost_usd_per_trace", "first_ms", "last_ms"):
            assert getattr(one, path) == pytest.approx(getattr(other, path), rel=1e-12)
        assert (one.tokens.input, one.tokens.output) == (other.tokens.input, other.tokens.output)
        assert one.latency_ms.mean == pytest.approx(other.latency_ms.mean, rel=1e-12)
    metrics = exact.differences[0].metrics
    assert found.differences[0].metrics.keys() == metrics.keys()
    for name, other in metrics.items():
        one = found.differences[0].metrics[name]
        assert (one.verdict, one.reason, one.adjusted) == (other.verdict, other.reason, other.adjusted), name
        assert (one.base_units, one.candidate_units) == (other.base_units, other.candidate_units), name
        if not name.startswith("latency_ms.p"):
            for field in ("interval", "p_value"):
                expected_value = getattr(other, field)
                if expected_value is not None:
                    expected_value = pytest.approx(expected_value, rel=1e-9)
                assert getattr(one, field) == expected_value, (name, field)
            continue
        for version, value, expected in (
            (exact.versions[0].model_id, one.base, other.base),
            (exact.versions[1].model_id, one.candidate, other.candidate),
        ):
            assert value is not None
            assert expected is not None
            low, high = (
                (expected * (1 - rounded.ERROR), expected * (1 + rounded.ERROR))
                if is_simple
                else near(version, expected)
            )
            assert low <= value <= high, (name, version, value, expected)
        for limits, expected_limits in (
            (one.base_interval, other.base_interval),
            (one.candidate_interval, other.candidate_interval),
        ):
            assert (limits is None) == (expected_limits is None)
            if limits is not None and expected_limits is not None and is_simple:
                assert limits == pytest.approx(expected_limits, rel=rounded.ERROR)


@pytest.mark.parametrize("is_within", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_verdicts_are_those_of_every_value(
    reader: StoreReader, monkeypatch: pytest.MonkeyPatch, kind: str, is_within: bool
) -> None:
    """With conversations and without, with weights and without, within strata and not."""
    if not is_within:
        monkeypatch.setattr(traffic.strata, "plan", lambda *_: strata.Plan())
    exact = compared(reader, kind)
    monkeypatch.setattr(rounded, "MOST_EXACT", 799)
    found = compared(reader, kind)
    agree(exact, found, is_simple=not is_within and "w" not in kind)
    for one, other in zip(found.versions, exact.versions, strict=True):
        assert (one.conversations is None) == (other.conversations is None) == ("u" not in kind)
        if one.conversations is not None and other.conversations is not None:
            assert astuple(one.conversations) == pytest.approx(astuple(other.conversations))
    new = [note for note in found.notes if note not in exact.notes]
    assert len(new) == 1
    assert "rounded to four digits" in new[0]
    assert "0.05 %" in new[0]


@pytest.mark.parametrize("kind", ["", "uw"])
def test_what_does_not_fit_into_memory_is_put_together_on_disk(
    reader: StoreReader, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(rounded, "MOST_EXACT", 0)
    found = compared(reader, kind)
    monkeypatch.setattr(rounded, "BOUNDED", {**measuring.BOUNDED, "max_bytes_before_external_group_by": 1})
    again = compared(reader, kind)
    assert again.notes == found.notes
    for name, one in again.differences[0].metrics.items():
        other = found.differences[0].metrics[name]
        assert (one.base, one.candidate) == pytest.approx((other.base, other.candidate), rel=1e-9)
        assert one.verdict == other.verdict


def test_up_to_the_bound_each_value_counts(reader: StoreReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounded, "MOST_EXACT", 840)
    assert not any("rounded" in note for note in compared(reader, "").notes)


def test_the_number_of_conversations_is_estimated_where_they_are_no_units(
    reader: StoreReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = compared(reader, "u", by="trace").versions[0].conversations
    monkeypatch.setattr(rounded, "MOST_EXACT", 1)
    found = compared(reader, "u", by="trace")
    conversations = found.versions[0].conversations
    assert exact is not None
    assert conversations is not None
    assert conversations.count == pytest.approx(exact.count, rel=0.05)
    assert any("number of conversations is estimated" in note for note in found.notes)


VALUES = st.lists(
    st.one_of(
        st.integers(1, 3),
        st.integers(1, 10**6),
        st.floats(0, 20).map(lambda power: round(10**power / 10)),
        st.sampled_from([800 * 10**6, 801 * 10**6]),
    ),
    min_size=1,
    max_size=300,
)


def four_digits(value: int) -> int:
    return int(float(f"{value:.3e}"))


@given(VALUES)
def test_quantiles_are_those_of_rounded_values(values: list[int]) -> None:
    """Ties, heavy tails, few values."""
    kept = sorted(map(four_digits, values))
    histogram = Histogram({value: float(count) for value, count in Counter(kept).items()}, len(kept))
    values = sorted(values)
    for level in LEVELS:
        assert histogram.at(level) == pytest.approx(np.quantile(kept, level), rel=1e-9)
        assert histogram.at(level) == pytest.approx(np.quantile(values, level), rel=rounded.ERROR * 1.001)
        spread = Z * math.sqrt(len(kept) * level * (1 - level))
        ranks = (math.ceil(len(kept) * level - spread), math.ceil(len(kept) * level + spread))
        expected = [values[rank - 1] if 1 <= rank <= len(values) else None for rank in ranks]
        for found, limit in zip(histogram.by_ranks(level), expected, strict=True):
            assert found == (limit if limit is None else pytest.approx(limit, rel=rounded.ERROR * 1.001))


@given(VALUES, st.data())
def test_quantiles_of_weighted_values_are_between_neighbours(values: list[int], data: st.DataObject) -> None:
    """The value up to which a share of the weight lies, or one between it and the one before."""
    weights = data.draw(st.lists(st.sampled_from([0.5, 1.0, 7.0]), min_size=len(values), max_size=len(values)))
    summed: Counter[int] = Counter()
    for value, weight in zip(values, weights, strict=True):
        summed[value] += weight  # type: ignore[assignment]
    histogram = Histogram(summed, len(values))
    ordered, cumulated = sorted(summed), np.cumsum([summed[value] for value in sorted(summed)])
    for level in LEVELS:
        # A value is at the middle of its weight, give or take half the weight of one.
        each = cumulated[-1] / len(values)
        low = ordered[max(int(np.searchsorted(cumulated, level * cumulated[-1] - each)) - 1, 0)]
        high = ordered[min(int(np.searchsorted(cumulated, level * cumulated[-1] + each)), len(ordered) - 1)]
        assert low <= histogram.at(level) <= high
