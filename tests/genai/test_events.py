# SPDX-License-Identifier: Apache-2.0
"""Scores as log records, which is how OpenTelemetry has events, beside the spans that they always are."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_loggedmodel
from log_doubles import Memory
from otel_loggedmodel import genai
from otel_loggedmodel.delivery.log_types import IS_READABLE


class Both:
    """A tracer provider and a logger provider, and what they export."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.records = Memory()
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(otel_loggedmodel.LoggedModelLogRecordProcessor())
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self.records))

    @property
    def results(self) -> list[tuple[str, str, dict[str, object]]]:
        """The results among spans: trace, span that is judged, attributes."""
        found = [span for span in self.spans.get_finished_spans() if span.name == "gen_ai.evaluation.result"]
        return [
            (
                f"{span.context.trace_id:032x}",
                f"{span.parent.span_id:016x}",
                {key: value for key, value in span.attributes.items() if key != "sampling.priority"},
            )
            for span in found
        ]

    @property
    def events(self) -> list[tuple[str, str, dict[str, object]]]:
        """The same of log records."""
        found = []
        for data in self.records.exported:
            record = data.log_record
            attributes = dict(record.attributes)
            name = record.event_name if IS_READABLE else attributes.pop("event.name")
            assert name == "gen_ai.evaluation.result"
            found.append((f"{record.trace_id:032x}", f"{record.span_id:016x}", attributes))
        return found


@pytest.fixture
def both() -> Iterator[Both]:
    both = Both()
    yield both
    both.tracers.shutdown()
    both.loggers.shutdown()


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_feedback_is_the_same_both_ways(both: Both) -> None:
    # The version of whoever gives feedback is not that of what it is about.
    with otel_loggedmodel.use_model(model_id="of-the-judge"):
        for span_id in (SPAN, None):
            genai.log_feedback(
                trace_id=TRACE,
                span_id=span_id,
                name="helpful",
                value=0.5,
                rationale="so so",
                model_id="judged",
                tracer_provider=both.tracers,
                logger_provider=both.loggers,
                as_events=True,
            )
    assert len(both.results) == 2
    assert both.events == both.results
    assert both.events[0][:2] == (TRACE, SPAN)
    assert both.events[0][2]["logged_model.id"] == "judged"


def test_feedback_that_names_no_version_is_not_booked_for_the_one_that_is_active(both: Both) -> None:
    otel_loggedmodel.set_active_model(model_id="newer-version")
    genai.log_feedback(
        trace_id=TRACE, value=1, tracer_provider=both.tracers, logger_provider=both.loggers, as_events=True
    )
    assert "logged_model.id" not in both.events[0][2]


def test_feedback_is_a_span_alone_by_default(both: Both) -> None:
    genai.log_feedback(trace_id=TRACE, value=True, tracer_provider=both.tracers, logger_provider=both.loggers)
    assert (len(both.results), both.events) == (1, [])


def test_scores_of_an_evaluation_are_the_same_both_ways(both: Both, tmp_path) -> None:
    rows = [{"inputs": {"question": text}, "outputs": text, "expectations": "a"} for text in ("a", "b")]

    @genai.scorer
    def same(outputs: str, expectations: str) -> bool:
        return outputs == expectations

    result = genai.evaluate(
        rows,
        [same],
        model_id="v1",
        tracer_provider=both.tracers,
        logger_provider=both.loggers,
        as_events=True,
        resume_dir=tmp_path,
    )
    values = [attributes["gen_ai.evaluation.score.value"] for _, _, attributes in both.events]
    assert sorted(values) == [0.0, 1.0]
    assert {attributes["logged_model.evaluation.run"] for _, _, attributes in both.events} == {result.run_id}
    assert sorted(both.events, key=str) == sorted(both.results, key=str)


def test_without_a_logger_provider_nothing_fails_and_it_is_said(both: Both, caplog) -> None:
    from opentelemetry._logs import NoOpLoggerProvider

    from otel_loggedmodel import _errors

    _errors._warned.discard("no logger provider")
    genai.log_feedback(
        trace_id=TRACE, value=1, tracer_provider=both.tracers, logger_provider=NoOpLoggerProvider(), as_events=True
    )
    assert len(both.results) == 1
    assert "evaluation results are not sent as events" in caplog.text
