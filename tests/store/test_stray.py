# SPDX-License-Identifier: Apache-2.0
"""A call without a version counts for none, but those of an instrumentation that loses the context.

These count for the version whose span they are inside of.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store.reading import TraceFilter
from otel_loggedmodel.store.results import Comparison
from planted_traces import write_attributes

from .conftest import filled

_START = 1_790_000_000 * 10**9
_CHILD = "com.anthropic.claude_code.tracing"
_CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai"}


@dataclass(frozen=True)
class One:
    """A span by its place in the trace, and that of its parent."""

    place: int
    parent: int = 0
    version: str = ""
    tokens: int = 0
    service: str = "app"
    kind: int = Span.SPAN_KIND_INTERNAL
    scope: str = "langsmith"


CASES = {
    "in a span of the version": ([One(1, version="v"), One(2, 1, tokens=5)], 5, 0),
    "in a chain that has lost the version": ([One(1, version="v"), One(2, 1), One(3, 2), One(4, 3, tokens=5)], 5, 0),
    "beside a call that has it": ([One(1, version="v"), One(2, 1, "v", tokens=3), One(3, 1, tokens=5)], 8, 0),
    "outside of the version's span": ([One(1), One(2, 1, "v"), One(3, 2, "v", tokens=3), One(4, 1, tokens=5)], 3, 1),
    "in a trace whose parent is not there": ([One(1, version="v", tokens=3), One(2, 9, tokens=5)], 3, 1),
    "in another service": (
        [
            *(One(1, version="v", tokens=3), One(2, 1, service="gateway", kind=Span.SPAN_KIND_SERVER)),
            One(3, 2, tokens=5, service="gateway"),
        ],
        3,
        1,
    ),
    "by another service, without a server's span": (
        [One(1, version="v", tokens=3), One(2, 1, tokens=5, service="gateway")],
        3,
        1,
    ),
    "by a child process": (
        [One(1, version="v"), One(2, 1, service="claude-code", scope=_CHILD), One(3, 2, tokens=5, scope=_CHILD)],
        5,
        0,
    ),
    "by a child process that has a name of its own": (
        [One(1, version="v"), One(2, 1, tokens=5, service="claude-code", scope=_CHILD)],
        5,
        0,
    ),
    "in spans that are parents of each other": ([One(1, version="v", tokens=3), One(2, 3), One(3, 2, tokens=5)], 3, 1),
    "by another instrumentation": ([One(1, version="v", tokens=3), One(2, 1, tokens=5, scope="app")], 3, 1),
    "in a version inside of another": (
        [One(1, version="other"), One(2, 1, "v"), One(3, 2, tokens=5), One(4, 1, tokens=7)],
        5,
        0,
    ),
}


def request(number: int, version: str, spans: list[One]) -> bytes:
    message = ExportTraceServiceRequest()
    for one in spans:
        resource_spans = message.resource_spans.add()
        resource_spans.resource.attributes.add(key="service.name").value.string_value = one.service
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.name = one.scope
        span = scope_spans.spans.add(name="span", kind=one.kind, trace_id=number.to_bytes(16, "big"))
        span.span_id = (number * 100 + one.place).to_bytes(8, "big")
        if one.parent:
            span.parent_span_id = (number * 100 + one.parent).to_bytes(8, "big")
        span.start_time_unix_nano = _START + one.place * 1000
        span.end_time_unix_nano = _START + 10**9 - one.place * 1000
        said: dict[str, str | int] = {}
        if one.version:
            said["logged_model.id"] = said["logged_model.name"] = version if one.version == "v" else one.version
        if one.tokens:
            said |= {**_CALL, "gen_ai.usage.input_tokens": one.tokens}
        write_attributes(span.attributes, said)
    return message.SerializeToString()


@pytest.fixture(scope="module")
def comparison(clickhouse_server: ClickHouseServer) -> Iterator[dict[str, Comparison]]:
    requests = [request(number, f"v{number}", spans) for number, (spans, _, _) in enumerate(CASES.values(), 1)]
    with filled(clickhouse_server, requests) as reader:
        yield {case: reader.compare([f"v{number}"]) for number, case in enumerate(CASES, 1)}


@pytest.mark.parametrize("case", CASES)
def test_calls_without_a_version(comparison: dict[str, Comparison], case: str) -> None:
    _, tokens, strays = CASES[case]
    (metrics,) = comparison[case].versions
    notes = [note for note in comparison[case].notes if "carry no version" in note]
    assert (metrics.traces, metrics.tokens.input, len(notes)) == (1, tokens, strays)


def test_they_are_listed_with_their_trace(clickhouse_server: ClickHouseServer) -> None:
    spans, tokens, _ = CASES["in a chain that has lost the version"]
    with filled(clickhouse_server, [request(1, "v1", spans)]) as reader:
        (trace,) = reader.traces("v1", TraceFilter())
        (everywhere,) = reader.traces(None, TraceFilter())
    assert (trace.input_tokens, everywhere.input_tokens) == (tokens, tokens)
    assert trace.cost_usd == pytest.approx(tokens * 2.5e-6)
