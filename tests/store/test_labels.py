# SPDX-License-Identifier: Apache-2.0
"""Results that are labels and no numbers are categories; what means a number is one, whatever its type."""

from collections.abc import Mapping

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.presenting.metrics import metrics_of, value_of
from otel_loggedmodel.store import categories
from otel_loggedmodel.store.results import Labels

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


def test_labels_are_categories_and_numbers_are_numbers(clickhouse_server: ClickHouseServer) -> None:
    with filled(clickhouse_server, [request()]) as reader:
        comparison = reader.compare(["first", "second"])
        assert reader.version("first").metrics.labels == comparison.versions[0].labels
    first, second = comparison.versions
    assert {name: score.mean for name, score in first.scores.items()} == {"passed": 1, "helpful": 2 / 3, "exact": 0.25}
    assert second.scores == {}
    assert [(name, list(labels.counts.items())) for name, labels in first.labels.items()] == [
        ("relevance", [("relevant", 2), ("irrelevant", 1)])
    ]
    assert second.labels["relevance"].counts == {"relevant": 1}
    assert not [note for note in comparison.notes if "label" in note]  # so few differ by chance
    shown = [metric for metric in metrics_of(comparison.versions) if metric.key.startswith("labels.")]
    assert [
        (one.label, *(one.write(value_of(version, one.key)) for version in comparison.versions)) for one in shown
    ] == [
        ("relevance: relevant", "66.67 %", "100.00 %"),
        ("relevance: irrelevant", "33.33 %", "0.00 %"),
    ]


def labelled(**counts: Mapping[str, int]) -> dict[str, dict[str, Labels]]:
    """One evaluation of each version."""
    return {version: {"tone": Labels(counts=of_version)} for version, of_version in counts.items()}


def test_a_difference_of_categories_that_is_more_than_chance_is_told_of() -> None:
    found = labelled(a={"calm": 80, "sharp": 20}, b={"calm": 50, "sharp": 30, "rude": 20}, c={"calm": 79, "sharp": 21})
    found["d"] = {"other": Labels(counts={"x": 50})}
    names = {one: one.upper() for one in "abcd"}
    (note,) = categories.notes(["a", "b", "c", "d"], found, names)
    assert note.startswith("The labels of tone differ between A and B by more than chance explains (p = ")


@pytest.mark.parametrize(
    ("base", "candidate", "expected"),
    [
        # Pearson's test of these tables, worked out with SciPy's chi2_contingency without correction.
        ({"a": 30, "b": 30, "c": 40}, {"a": 50, "b": 25, "c": 25}, 0.011585025),
        ({"a": 10, "b": 20, "c": 30, "d": 40}, {"a": 40, "b": 30, "c": 20, "d": 10}, 1.0655090e-08),
        ({"a": 10, "b": 10, "c": 10}, {"a": 10, "b": 10, "c": 10}, 1.0),
        # What is too rare is one category, of two of which the rates are compared.
        ({"a": 50, "b": 1, "c": 0, "d": 1}, {"a": 50, "e": 1}, 1.0),
        ({"a": 5}, {"a": 7}, 1.0),
        ({"a": 5}, {}, 1.0),
    ],
)
def test_whether_categories_differ(base: Mapping[str, int], candidate: Mapping[str, int], expected: float) -> None:
    assert categories.p_value(base, candidate) == pytest.approx(expected, rel=1e-6)
    assert categories.p_value(candidate, base) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("value", "degrees", "tail"),
    [(3.841459, 1, 0.05), (5.991465, 2, 0.05), (18.307038, 10, 0.05), (23.209251, 10, 0.01), (0, 3, 1), (1000, 3, 0)],
)
def test_the_tail_of_chi_squared_is_that_of_the_tables(value: float, degrees: int, tail: float) -> None:
    assert categories.chi_squared_tail(value, degrees) == pytest.approx(tail, abs=1e-7)
