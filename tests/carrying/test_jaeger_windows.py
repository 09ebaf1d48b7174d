# SPDX-License-Identifier: Apache-2.0
"""A time divided into windows, of which answers are complete whatever a limit cuts off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.commands.carrying.jaeger_api import Answer, JaegerError, TooMuchError
from otel_loggedmodel.commands.carrying.jaeger_windows import windows

HOUR = 3600 * 10**6
DAY = 24 * HOUR


class Store:
    """Has traces that began at some times, and gives the newest of a window, up to a limit."""

    def __init__(self, starts: list[int], limit: int) -> None:
        self.starts = starts
        self.limit = limit
        self.asked = 0

    def __call__(self, start: int, end: int) -> Answer:
        self.asked += 1
        found = [place for place, time in enumerate(self.starts) if start <= time <= end]
        return Answer([], None, {str(place): 1 for place in found[-self.limit :]})


@given(st.lists(st.integers(0, DAY) | st.integers(5 * HOUR, 5 * HOUR + 50), max_size=60), st.integers(4, 40))
def test_every_trace_comes_or_it_is_said_that_some_may_not(starts: list[int], limit: int) -> None:
    store = Store(sorted(starts), limit)
    found: set[str] = set()
    cut = []
    last = 0
    for window in windows(store, 0, DAY, limit):
        assert window.start_us == last
        last = window.end_us
        found.update(window.answer.ids)
        cut += [(window.start_us, window.end_us)] if window.is_cut else []
    assert last == DAY
    missing = [store.starts[place] for place in range(len(starts)) if str(place) not in found]
    assert all(any(start <= time <= end for start, end in cut) for time in missing)
    assert not missing or max(starts.count(time) + starts.count(time + 1) for time in missing) >= limit


def test_times_without_traces_are_passed_over_quickly() -> None:
    store = Store([300 * DAY], 1000)
    assert sum(len(window.answer.ids) for window in windows(store, 0, 365 * DAY, 1000)) == 1
    assert store.asked < 400


def test_what_is_too_large_is_asked_for_in_parts() -> None:
    def ask(start: int, end: int) -> Answer:
        if end - start > HOUR // 8:
            raise TooMuchError("more than 64 MiB")
        return Answer([], None, {})

    assert max(window.end_us - window.start_us for window in windows(ask, 0, DAY, 1000)) <= HOUR // 8


@pytest.mark.parametrize("may_pass", [True, False])
def test_what_is_too_large_or_slow_however_little_it_is_ends_it(may_pass: bool) -> None:
    asked = []

    def ask(start: int, end: int) -> Answer:
        asked.append(end - start)
        raise TooMuchError("it does not answer within 60 s", may_pass=may_pass)

    with pytest.raises(JaegerError, match="even for what began within"):
        list(windows(ask, 0, DAY, 1000))
    assert asked[-1] == (HOUR >> 11 if may_pass else 1)
