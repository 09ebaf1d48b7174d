# SPDX-License-Identifier: Apache-2.0
"""A version of which only traces without their roots are there is listed, and its traces count, marked as cut off."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store.reading import VersionFilter

from .conftest import filled

_START = 1_790_000_000 * 10**9


def request(version: str, number: int, *, has_root: bool) -> bytes:
    """A trace: a root, an agent that failed, and a call in it; the first of them came or not."""
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    names = ("request", "invoke_agent", "chat")
    for place, name in enumerate(names, 1):
        if place == 1 and not has_root:
            continue
        span = spans.add(
            name=name, trace_id=number.to_bytes(16, "big"), span_id=(number * 10 + place).to_bytes(8, "big")
        )
        if place > 1:
            span.parent_span_id = (number * 10 + place - 1).to_bytes(8, "big")
        span.start_time_unix_nano = _START + (number * 100 + place) * 10**9
        span.end_time_unix_nano = span.start_time_unix_nano + (10 - place) * 10**9
        said: dict[str, str] = {"logged_model.id": version}
        if place == 1:
            said["logged_model.name"] = "a name"
        else:
            said["gen_ai.operation.name"] = name
        if place == 2:
            span.status.code = Status.STATUS_CODE_ERROR
        if place == 3:
            said |= {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": "100"}
        for key, value in said.items():
            span.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


def test_a_version_of_such_traces_alone_is_listed(clickhouse_server: ClickHouseServer) -> None:
    requests = [
        *(request("cut", 1, has_root=False), request("cut", 2, has_root=False)),
        *(request("whole", 3, has_root=True), request("whole", 4, has_root=False)),
    ]
    with filled(clickhouse_server, requests) as reader:
        for is_counted in (True, False):
            found = {one.model_id: one for one in reader.versions(VersionFilter(counted=is_counted))}
            assert set(found) == {"cut", "whole"}
        comparison = reader.compare(["cut", "whole"])
        cut = reader.version("cut").version
    assert [(one.traces, one.errors, one.cut_off, one.tokens.input) for one in comparison.versions] == [
        (2, 2, 2, 200),
        (2, 2, 1, 200),
    ]
    assert any("3 traces lack their beginning" in note for note in comparison.notes)
    assert (cut.traces, cut.errors) == (2, 2)
