# SPDX-License-Identifier: Apache-2.0
"""Every trace comes once, newest first, whatever the size of a page and whatever arrives meanwhile."""

import random
from collections.abc import Callable

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from effort import some
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.paging import traces_to_score
from otel_loggedmodel.store.reading import Selection, UnknownVersionError

START_NS = 1_795_000_000 * 10**9
Send = Callable[[str, list[int]], list[str]]


@pytest.fixture
def send(store: Store) -> Send:
    rng = random.Random(1)

    def send(version: str, starts_ns: list[int]) -> list[str]:
        """Store a trace of two spans that begins at each time after the start, and return their ids."""
        message = ExportTraceServiceRequest()
        spans = message.resource_spans.add().scope_spans.add().spans
        ids = []
        for start in starts_ns:
            trace_id, parent = rng.randbytes(16), b""
            for name in ("answer", "search"):
                span = spans.add(
                    trace_id=trace_id,
                    span_id=rng.randbytes(8),
                    parent_span_id=parent,
                    name=name,
                    start_time_unix_nano=START_NS + start,
                    end_time_unix_nano=START_NS + start + 1000,
                )
                span.attributes.add(key="logged_model.id").value.string_value = version
                parent = span.span_id
            ids.append(trace_id.hex())
        store.writer.insert([message.SerializeToString()])
        return ids

    return send


@pytest.mark.parametrize("page", some([7, 200, 1, 3], quick=2))
def test_every_trace_comes_once_newest_first(store: Store, send: Send, page: int) -> None:
    # Some within one microsecond, of which a page may hold only some.
    starts = [0, 1, 2, 3, 4, 500, 999, 1000, 1001, 10_000, *range(20_000, 30_000, 1000)]
    ids = send("v1", starts)
    send("v2", [5000])
    found = list(traces_to_score(store.reader, "v1", page=page))
    assert [trace.trace_id for trace in found] == ids[::-1]
    assert all({span.name for span in trace.spans} == {"answer", "search"} for trace in found)


def test_what_arrives_meanwhile_is_left_out(store: Store, send: Send) -> None:
    ids = send("v1", [1_000_000 * second for second in range(10)])
    given = []
    for number, trace in enumerate(traces_to_score(store.reader, "v1", page=3)):
        given.append(trace.trace_id)
        send("v1", [1_000_000_000 + number])
    assert given == ids[::-1]


def test_of_every_version_and_of_some_traces(store: Store, send: Send) -> None:
    send("v1", [0, 1000])
    send("v2", [2000])
    assert len(list(traces_to_score(store.reader))) == 3
    assert list(traces_to_score(store.reader, "v1", Selection(service="none"))) == []
    with pytest.raises(UnknownVersionError):
        next(traces_to_score(store.reader, "v3"))
