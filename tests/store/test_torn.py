# SPDX-License-Identifier: Apache-2.0
"""Steps that an instrumentation begins without a parent are put into one trace by their times."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.conventions.scopes import REQUESTS_WITHOUT_PARENTS
from otel_loggedmodel.store.reading import VersionFilter
from otel_loggedmodel.store.torn import followed

from .conftest import filled

_START = 1_790_000_000 * 10**9
TORN, OTHER = "@traceloop/instrumentation-langchain", "@arizeai/openinference-instrumentation-openai"


def request(version: str, number: int, steps: list[tuple[str, str, float, float, bool]]) -> bytes:
    """Spans without parents: by whom, what for, when, how long (seconds), and whether it failed."""
    message = ExportTraceServiceRequest()
    for place, (scope, operation, start, seconds, failed) in enumerate(steps):
        scope_spans = message.resource_spans.add().scope_spans.add()
        scope_spans.scope.name = scope
        span_id = (number * 100 + place).to_bytes(8, "big")
        span = scope_spans.spans.add(name=operation, trace_id=span_id * 2, span_id=span_id)
        span.start_time_unix_nano = _START + round((number * 1000 + start) * 10**9)
        span.end_time_unix_nano = span.start_time_unix_nano + round(seconds * 10**9)
        said: dict[str, str] = {"logged_model.id": version}
        if operation:
            said["gen_ai.operation.name"] = operation
        else:
            span.kind = Span.SPAN_KIND_CLIENT
        if operation == "chat":
            said |= {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": "100"}
        if failed:
            span.status.code = Status.STATUS_CODE_ERROR
        for key, value in said.items():
            span.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


def test_steps_are_those_of_the_longest_that_they_are_within(clickhouse_server: ClickHouseServer) -> None:
    requests = [
        # A workflow in a workflow, with a call that another instrumentation states, too; then another run that failed.
        request(
            "torn",
            1,
            [
                (TORN, "workflow", 0, 100, False),
                (TORN, "workflow", 1, 50, False),
                (TORN, "chat", 2, 20, False),
                (OTHER, "chat", 5, 10, False),
                (TORN, "chat", 60, 20, False),
            ],
        ),
        request("torn", 2, [(TORN, "workflow", 0, 100, True), (TORN, "chat", 1, 98, True)]),
        # A call alone is a run of its own; so are steps that overlap.
        request("torn", 3, [(TORN, "chat", 0, 10, False), (TORN, "workflow", 5, 10, False)]),
        # Others begin without a parent because that is what they are.
        request("whole", 4, [(OTHER, "workflow", 0, 100, False), (OTHER, "chat", 1, 10, False)]),
    ]
    with filled(clickhouse_server, requests) as reader:
        torn, whole = (reader.compare([version]) for version in ("torn", "whole"))
        listed = {one.model_id: one.traces for one in reader.versions(VersionFilter())}
    (metrics,) = torn.versions
    assert (metrics.traces, metrics.errors, metrics.tokens.input) == (4, 1, 400)
    assert any("4 steps were traces of their own" in note for note in torn.notes)
    assert (whole.versions[0].traces, [note for note in whole.notes if "steps" in note]) == (2, [])
    assert listed == {"torn": 4, "whole": 2}


def test_the_request_of_a_streamed_call_is_of_the_calls_trace(clickhouse_server: ClickHouseServer) -> None:
    spring = REQUESTS_WITHOUT_PARENTS[0]
    requests = [
        request(
            "spring", 1, [(spring, "chat", 0, 100, False), (spring, "", 10, 80, False), (spring, "", 200, 1, False)]
        ),
        request("plain", 2, [(spring, "", 0, 100, False), (spring, "", 10, 80, False)]),
        # Two calls of a model at once are two.
        request("calls", 3, [(spring, "chat", 0, 100, False), (spring, "chat", 10, 80, False)]),
    ]
    with filled(clickhouse_server, requests) as reader:
        found = [one.traces for one in reader.compare(["spring", "plain", "calls"]).versions]
    assert found == [2, 2, 2]


def test_what_is_moved_to_what_is_moved_goes_where_that_goes() -> None:
    assert followed({1: 2, 2: 3, 4: 3}) == {1: 3, 2: 3, 4: 3}
    assert followed({1: 2, 2: 1, 3: 1}) == {}
