# SPDX-License-Identifier: Apache-2.0
"""Results that are labels and no numbers are told of; what means a number is one, whatever its type."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from clickhouse_server import ClickHouseServer

from .conftest import filled

_START = 1_790_000_000 * 10**9
RESULTS = {
    "first": [
        *[("relevance", {"label": AnyValue(string_value=label)}) for label in ("relevant", "relevant", "irrelevant")],
        ("passed", {"label": AnyValue(string_value="pass")}),
        *[("helpful", {"value": AnyValue(bool_value=value)}) for value in (True, True, False)],
        ("exact", {"value": AnyValue(string_value="0.25"), "label": AnyValue(string_value="poor")}),
        ("broken", {"value": AnyValue(string_value="NaN")}),
    ],
    "second": [("relevance", {"label": AnyValue(string_value="relevant")})],
}


def request() -> bytes:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for version, results in RESULTS.items():
        for number, (name, said) in enumerate(results):
            trace_id = f"{version}{number}".encode().ljust(16, b"x")
            root = spans.add(name="answer", trace_id=trace_id, span_id=b"root----")
            result = spans.add(name="gen_ai.evaluation.result", trace_id=trace_id, span_id=b"result--")
            result.parent_span_id = b"root----"
            for span in (root, result):
                span.start_time_unix_nano, span.end_time_unix_nano = _START, _START + 10**6
                span.attributes.add(key="logged_model.id").value.string_value = version
            result.attributes.add(key="gen_ai.evaluation.name").value.string_value = name
            for key, value in said.items():
                result.attributes.add(key=f"gen_ai.evaluation.score.{key}").value.CopyFrom(value)
    return message.SerializeToString()


def test_labels_are_told_and_numbers_are_numbers(clickhouse_server: ClickHouseServer) -> None:
    with filled(clickhouse_server, [request()]) as reader:
        comparison = reader.compare(["first", "second"])
    first, second = comparison.versions
    assert {name: score.mean for name, score in first.scores.items()} == {"passed": 1, "helpful": 2 / 3, "exact": 0.25}
    assert second.scores == {}
    (labels,) = comparison.labels
    assert (labels.name, labels.totals, labels.p_values) == ("relevance", (3, 1), (None,))
    assert [(one.label, one.counts) for one in labels.labels] == [("relevant", (2, 1)), ("irrelevant", (1, 0))]
