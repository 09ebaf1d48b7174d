# SPDX-License-Identifier: Apache-2.0
"""Whatever is odd about one span of a request, the others are stored, and the answer says what was not."""

import json

from google.protobuf.json_format import Parse
from hypothesis import HealthCheck, given, settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

import one_odd_span
from asking import JSON
from effort import times
from one_odd_span import SPANS, OneOdd, span_ids

from .backends import Backend, spans_of

on_one_backend = settings(
    max_examples=times(300, quick=30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(backend: Backend, sent: OneOdd, response: ExportTraceServiceResponse) -> None:
    stored = backend.writer.requests[-1]
    assert sent.sound <= set(span_ids(stored))
    partial = response.partial_success
    assert len(spans_of(stored)) + partial.rejected_spans == SPANS
    assert bool(partial.error_message) == bool(partial.rejected_spans)
    if partial.rejected_spans:
        assert partial.error_message.startswith(f"1 of {SPANS} spans were rejected: 1 with ")


@given(one_odd_span.in_json())
@on_one_backend
def test_one_odd_span_in_json(shared: Backend, sent: OneOdd) -> None:
    answer = shared.post(sent.body, JSON)
    assert answer.status == 200, answer.body
    check(shared, sent, Parse(answer.body, ExportTraceServiceResponse()))
    assert json.loads(answer.body) is not None


@given(one_odd_span.in_protobuf())
@on_one_backend
def test_one_odd_span_in_protobuf(shared: Backend, sent: OneOdd) -> None:
    answer = shared.post(sent.body)
    assert answer.status == 200, answer.error
    check(shared, sent, answer.response)
    # The same again is known, so it is not stored a second time, and the answer is the same.
    assert shared.call(sent.body) == answer.body
