# SPDX-License-Identifier: Apache-2.0
"""A call that two instrumentations state counts once, and calls that one instrumentation states count each.

Ids of responses tell which calls are one only across instrumentations: a double in a test, or a cache, answers with one
id again and again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clickhouse_server import ClickHouseServer
from effort import times
from planted_traces import write_attributes

from .conftest import filled

_SECOND = 10**9
_START = 1_790_000_000 * _SECOND
INNER, OUTER = "openinference.instrumentation.openai", "opentelemetry.instrumentation.langchain"


@dataclass(frozen=True)
class Call:
    """A span of a call: by whom, when (seconds), inside of which other one, and what it says."""

    scope: str = INNER
    start: float = 0
    seconds: float = 1
    response: str = ""
    input: int = 100
    cached: int = 0
    inside: int | None = None
    is_lost: bool = False


def request(version: str, number: int, calls: Sequence[Call]) -> bytes:
    """A trace of a version: a root, and these calls in it."""
    message = ExportTraceServiceRequest()
    trace_id = number.to_bytes(16, "big")
    resource_spans = message.resource_spans.add()

    def add(scope: str, name: str, place: int, parent: int | None, start: float, seconds: float, said: dict) -> None:
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.name = scope
        span = scope_spans.spans.add(name=name, trace_id=trace_id, span_id=(number * 1000 + place).to_bytes(8, "big"))
        if parent is not None:
            span.parent_span_id = (number * 1000 + parent).to_bytes(8, "big")
        span.start_time_unix_nano = _START + round(start * _SECOND)
        span.end_time_unix_nano = span.start_time_unix_nano + round(seconds * _SECOND)
        write_attributes(span.attributes, {"logged_model.id": version, **said})

    add("app", "request", 1, None, -1, 1000, {"logged_model.name": version})
    for place, call in enumerate(calls, 2):
        parent = 1 if call.inside is None else call.inside + 2
        said = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.input_tokens": call.input,
            **({"gen_ai.usage.cache_read.input_tokens": call.cached} if call.cached else {}),
            **({"gen_ai.response.id": call.response} if call.response else {}),
        }
        # A parent that is not stored is one that the instrumentation lost.
        add(call.scope, "chat", place, 900 + place if call.is_lost else parent, call.start, call.seconds, said)
    return message.SerializeToString()


def counted(server: ClickHouseServer, cases: Sequence[Sequence[Call]]) -> list[int | None]:
    """The input tokens of each case, which is a trace of a version of its own."""
    names = [f"case-{number}" for number, _ in enumerate(cases, 1)]
    requests = [request(name, number, calls) for number, (name, calls) in enumerate(zip(names, cases, strict=True), 1)]
    with filled(server, requests) as reader:
        return [metrics.tokens.input for metrics in reader.compare(names).versions]


CASES = {
    "a double answers with one id": ([Call(start=0, response="x"), Call(start=2, response="x")], 200),
    "a double answers with one id, at once": ([Call(response="x"), Call(start=0.1, seconds=0.5, response="x")], 200),
    "a double answers with one id, at once, beside a call by another instrumentation": (
        [Call(response="x"), Call(start=0.1, seconds=0.5, response="x"), Call(OUTER, start=50, response="z", input=70)],
        270,
    ),
    "a retry and its last attempt": ([Call(seconds=3, response="x"), Call(start=1, response="x", inside=0)], 100),
    "a proxy whose parent was lost": ([Call(seconds=3, response="x"), Call(start=1, response="x", is_lost=True)], 100),
    "two instrumentations, side by side": (
        [Call(seconds=3, response="x"), Call(OUTER, start=1, seconds=1, response="x")],
        100,
    ),
    "two instrumentations, one in the other": (
        [Call(OUTER, seconds=3, response="x"), Call(start=1, response="x", inside=0)],
        100,
    ),
    "two instrumentations, one of which tells cached tokens": (
        [Call(seconds=3, response="x", cached=40), Call(OUTER, start=1, seconds=1, response="x")],
        100,
    ),
    "two instrumentations of a double": (
        [
            *(Call(start=0, response="x"), Call(OUTER, start=0.1, seconds=0.5, response="x")),
            *(Call(start=5, response="x"), Call(OUTER, start=5.1, seconds=0.5, response="x")),
        ],
        200,
    ),
    "two instrumentations, with other counts of one answer": (
        [Call(seconds=3, response="x", input=100), Call(OUTER, start=2, seconds=1.5, response="x", input=90, cached=9)],
        90,
    ),
    "two calls at once by two instrumentations": (
        [Call(seconds=3, response="x"), Call(OUTER, start=1, response="y", input=70)],
        170,
    ),
    "one after the other by two instrumentations": (
        [Call(seconds=1, response="x"), Call(OUTER, start=2, response="x")],
        200,
    ),
}


@pytest.fixture(scope="module")
def answers(clickhouse_server: ClickHouseServer) -> dict[str, int | None]:
    return dict(zip(CASES, counted(clickhouse_server, [calls for calls, _ in CASES.values()]), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_calls_count_once(answers: dict[str, int | None], case: str) -> None:
    assert answers[case] == CASES[case][1]


_CALLS = st.lists(
    st.builds(
        Call,
        start=st.integers(0, 6).map(lambda one: one * 0.5),
        seconds=st.sampled_from([0.25, 0.5, 2.0, 4.0]),
        response=st.sampled_from(["", "constant", "other"]),
        input=st.integers(1, 4).map(lambda one: one * 100),
        cached=st.sampled_from([0, 10]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=times(full=4, quick=2), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_CALLS, min_size=15, max_size=25))
def test_siblings_of_one_instrumentation_count_each(
    clickhouse_server: ClickHouseServer, cases: list[list[Call]]
) -> None:
    assert counted(clickhouse_server, cases) == [sum(call.input for call in calls) for calls in cases]


@settings(max_examples=times(full=4, quick=2), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_CALLS, min_size=15, max_size=25), st.booleans())
def test_a_second_instrumentation_changes_nothing(
    clickhouse_server: ClickHouseServer, cases: list[list[Call]], is_inside: bool
) -> None:
    """Calls one after the other, each with an id or none, and each stated again within its time."""
    doubled = []
    for calls in cases:
        apart = [replace(call, start=place * 10) for place, call in enumerate(calls)]
        again = [
            replace(
                call,
                scope=OUTER,
                start=call.start + call.seconds / 4,
                seconds=call.seconds / 2,
                inside=place if is_inside else None,
            )
            for place, call in enumerate(apart)
        ]
        doubled.append([*apart, *again])
    assert counted(clickhouse_server, doubled) == [sum(call.input for call in calls) for calls in cases]
