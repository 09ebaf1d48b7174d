# SPDX-License-Identifier: Apache-2.0
"""Traces of very many spans are measured in little memory, and as others are where parent ids say what is what."""

from collections.abc import Callable

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from effort import some
from otel_loggedmodel.store import engine_settings
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.results import VersionMetrics

START_NS = 1_795_000_000 * 10**9
COUNT = 8_000
# What one question may take; comparing each span with each takes ten times as much.
MOST_BYTES = 1_000_000_000


def sent(
    store: Store,
    version: str,
    parent_of: Callable[[int], int],
    failed: Callable[[int], bool] = lambda number: False,
    **attributes: str,
) -> None:
    """Store a trace of calls of a model, numbered from 1 on, one after the other, each with an input of one token.

    All are of servers, so that each is an entry span.
    """
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for number in range(1, COUNT + 1):
        span = spans.add(
            trace_id=version.encode().rjust(16, b"\0"),
            span_id=number.to_bytes(8, "big"),
            name="chat",
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=START_NS + number * 1000,
            end_time_unix_nano=START_NS + number * 1000 + 500,
        )
        if parent := parent_of(number):
            span.parent_span_id = parent.to_bytes(8, "big")
        span.status.code = 2 if failed(number) else 0
        span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 1
        for key, value in {"logged_model.id": version, "gen_ai.request.model": "m", **attributes}.items():
            span.attributes.add(key=key).value.string_value = value
    store.writer.insert([message.SerializeToString()])


def measured(store: Store, version: str, monkeypatch: pytest.MonkeyPatch) -> VersionMetrics:
    monkeypatch.setitem(engine_settings.READ_SETTINGS, "max_memory_usage", MOST_BYTES)
    (metrics,) = store.reader.compare([version]).versions
    assert len(store.reader.traces(version)) == min(metrics.traces, 20)
    return metrics


MISSING = 10**9
SHAPES = {
    # Of each: who is the parent of a span, and how many traces and tokens that is.
    "roots": (lambda number: 0, COUNT, COUNT),
    "pairs without their parents": (
        lambda number: MISSING + number if number % 2 else number - 1,
        COUNT // 2,
        COUNT // 2,
    ),
    "one below the other": (lambda number: number - 1, 1, 1),
    "a root and its children": (lambda number: int(number > 1), 1, COUNT - 1),
    "calls without their parents, one by one": (lambda number: MISSING + number, COUNT, COUNT),
    "parents of themselves": (lambda number: number, COUNT, COUNT),
}


@pytest.mark.parametrize("shape", some(list(SHAPES), quick=2))
def test_many_entry_spans_in_one_trace(store: Store, monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    parent_of, traces, tokens = SHAPES[shape]
    sent(store, "crowd", parent_of)
    metrics = measured(store, "crowd", monkeypatch)
    assert (metrics.traces, metrics.tokens.input) == (traces, tokens)


def test_many_failures_in_one_trace(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sent(store, "failing", lambda number: int(number > 1), failed=lambda number: number > 1)
    metrics = measured(store, "failing", monkeypatch)
    assert (metrics.traces, metrics.errors, metrics.failed_calls) == (1, 0, COUNT - 1)
