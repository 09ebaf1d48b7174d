# SPDX-License-Identifier: Apache-2.0
"""A span's own time is what is left of it without the spans directly below it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.pages.waterfall import Row, rows_of
from otel_loggedmodel.store.trace_results import Span, Trace

_SPAN = Span(
    trace_id="a" * 32,
    span_id="",
    parent_span_id=None,
    name="work",
    kind="Internal",
    service="api",
    start_ns=0,
    duration_ns=0,
    status="Unset",
)


def rows(*spans: tuple[int | None, int, int]) -> dict[str, Row]:
    """The rows of spans, each with the number of its parent, its beginning and its end, by their numbers."""
    made = [
        replace(
            _SPAN,
            span_id=str(number),
            parent_span_id=None if parent is None else str(parent),
            start_ns=start,
            duration_ns=end - start,
        )
        for number, (parent, start, end) in enumerate(spans)
    ]
    return {row.key: row for row in rows_of(Trace(trace_id="a" * 32, spans=tuple(made)))}


@pytest.mark.parametrize(
    ("below", "own"),
    [
        ([], [(0.0, 1.0)]),
        ([(20, 60)], [(0.0, 0.2), (0.6, 0.4)]),
        ([(0, 100)], []),
        # Side by side, one within the other, one after the other, and none of them from its beginning to its end.
        ([(10, 50), (30, 70), (35, 40), (70, 80)], [(0.0, 0.1), (0.8, 0.2)]),
        # Clocks of other machines.
        ([(-20, 10), (90, 130)], [(0.2, 0.53)]),
        ([(-20, -10), (110, 130)], [(0.13, 0.67)]),
    ],
)
def test_a_span_waits_while_spans_below_it_run(
    below: Sequence[tuple[int, int]], own: list[tuple[float, float]]
) -> None:
    found = rows((None, 0, 100), *((0, start, end) for start, end in below))["0"]
    assert [(pytest.approx(start, abs=0.005), pytest.approx(width, abs=0.005)) for start, width in found.own] == own
    # Those below them do not count for it.
    deeper = rows((None, 0, 100), (0, 20, 60), (1, 50, 90))
    assert (deeper["0"].own_ns, deeper["1"].own_ns, deeper["2"].own_ns) == (60, 30, 40)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), max_size=30))
def test_own_time_is_every_moment_without_a_span_below(children: list[tuple[int, int]]) -> None:
    below = [(start, start + took) for start, took in children]
    found = rows((None, 10, 60), *((0, start, end) for start, end in below))["0"]
    assert found.own_ns == sum(not any(start <= moment < end for start, end in below) for moment in range(10, 60))
