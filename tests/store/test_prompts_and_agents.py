# SPDX-License-Identifier: Apache-2.0
"""Questions about the traces that use a prompt, one version of it, or an agent: every question can be asked so."""

from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from clickhouse_server import ClickHouseServer
from effort import some
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import Selection, TraceFilter

from .conftest import filled

START_NS = 1_790_000_000 * 10**9
# What the calls of each trace say.
TRACES = (
    {"gen_ai.prompt.name": "greeting", "gen_ai.prompt.version": "1"},
    {"gen_ai.prompt.name": "greeting", "gen_ai.prompt.version": "2"},
    {"gen_ai.prompt.name": "farewell", "gen_ai.agent.name": "writer"},
    {"gen_ai.agent.name": "writer"},
    {},
)


def request_of_all() -> bytes:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for version in ("first", "second"):
        for number, said in enumerate(TRACES):
            trace_id = (f"{version}{number}".encode() * 3)[:16].ljust(16, b"x")
            entry = spans.add(trace_id=trace_id, span_id=b"entry---", name="answer")
            call = spans.add(trace_id=trace_id, span_id=b"call----", parent_span_id=b"entry---", name="chat")
            call.kind = Span.SPAN_KIND_CLIENT
            for span, attributes in (
                (entry, {"logged_model.name": version}),
                (call, {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", **said}),
            ):
                span.start_time_unix_nano = START_NS + number * 10**9
                span.end_time_unix_nano = span.start_time_unix_nano + 10**6
                for key, value in {"logged_model.id": version, **attributes}.items():
                    span.attributes.add(key=key).value.string_value = value
    return request.SerializeToString()


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer) -> Iterator[StoreReader]:
    with filled(clickhouse_server, [request_of_all()]) as reader:
        yield reader


@pytest.mark.parametrize(
    ("selection", "traces"),
    some(
        [
            (Selection(prompt="greeting\n2"), 1),
            (Selection(agent="writer"), 2),
            (Selection(prompt="greeting", agent="writer"), 0),
            (Selection(prompt="greeting"), 2),
            (Selection(service=""), 5),
        ],
        quick=1,
    ),
    ids=str,
)
def test_every_question_is_answered_about_these_traces(reader: StoreReader, selection: Selection, traces: int) -> None:
    assert [one.traces for one in reader.compare(["first", "second"], selection).versions] == [traces] * 2
    assert reader.version("first", selection).metrics.traces == traces
    assert len(reader.traces("first", TraceFilter(), selection)) == traces
    listed = {version.model_id: version.traces for version in reader.versions(selection=selection)}
    assert listed == ({"first": traces, "second": traces} if traces else {})
    assert [one.model_id for one in reader.activities(["first", "second"], selection).versions] == ["first", "second"]
    reader.behaviour(["first", "second"], selection)
    assert reader.rows(["first", "second"], selection=selection) == []


def test_what_changed_has_the_prompts_and_agents_that_differ(clickhouse_server: ClickHouseServer) -> None:
    said = {
        "first": [("greeting", "1", "writer"), ("greeting", "2", "writer"), ("farewell", "", "")],
        "second": [("greeting", "2", "writer"), ("greeting", "10", "critic"), ("farewell", "", "")],
        "third": [],
    }
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for version, calls in said.items():
        for number, (prompt, prompt_version, agent) in enumerate([*calls, ("", "", "")]):
            trace_id = f"{version}{number}".encode().ljust(16, b"x")
            span = spans.add(trace_id=trace_id, span_id=b"entry---", name="answer")
            span.start_time_unix_nano, span.end_time_unix_nano = START_NS, START_NS + 10**6
            for key, value in {
                "logged_model.id": version,
                "gen_ai.prompt.name": prompt,
                "gen_ai.prompt.version": prompt_version,
                "gen_ai.agent.name": agent,
            }.items():
                span.attributes.add(key=key).value.string_value = value
    with filled(clickhouse_server, [request.SerializeToString()]) as reader:
        changed = reader.compare(["first", "second"]).configuration
        with_none = reader.compare(["first", "third"]).configuration
    assert [(one.kind, one.key, one.values) for one in changed] == [
        ("prompt", "greeting", ("1, 2", "2, 10")),
        ("agent", "critic", (None, "used")),
    ]
    assert [(one.kind, one.key, one.values) for one in with_none] == [
        ("prompt", "farewell", ("used", None)),
        ("prompt", "greeting", ("1, 2", None)),
        ("agent", "writer", ("used", None)),
    ]
