# SPDX-License-Identifier: Apache-2.0
"""TraceLinker: which spans make a link, and to which version."""

from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace.status import StatusCode

import otel_loggedmodel
from conftest import Traced
from otel_loggedmodel.delivery import otlp_payloads
from otel_loggedmodel.mlflow_server import linking
from otel_loggedmodel.mlflow_server.linking import TraceLinker, link_of
from otel_loggedmodel.mlflow_server.traces import TraceLink


@pytest.fixture
def linker() -> TraceLinker:
    return TraceLinker()


def taken(traced: Traced) -> tuple[ReadableSpan, ...]:
    """What was exported since the last time."""
    spans = traced.memory.get_finished_spans()
    traced.memory.clear()
    return spans


def links(picked: Sequence[ReadableSpan]) -> list[TraceLink]:
    """As they are on the other side of a request."""
    return [link for span in otlp_payloads.decoded(otlp_payloads.encoded(picked)) if (link := link_of(span))]


def versions(picked: Sequence[ReadableSpan]) -> list[str]:
    return [link.model_id for link in links(picked)]


def remote_parent() -> trace.Context:
    context = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(context))


def test_a_root_with_a_version_is_a_link_with_its_time_and_state(traced: Traced, linker: TraceLinker) -> None:
    otel_loggedmodel.set_active_model(name="shop")
    with traced.tracer.start_as_current_span("root", attributes={"secret": "s"}) as root:
        traced.tracer.start_span("step").end()
        root.set_status(StatusCode.ERROR, "failed")
    spans = taken(traced)
    picked = linker.pick(spans)
    assert links(picked) == [
        TraceLink(
            trace_id=root.get_span_context().trace_id,
            start_ns=root.start_time,
            end_ns=root.end_time,
            is_error=True,
            model_id=otel_loggedmodel.get_active_model_id(),
            model_name="shop",
        )
    ]
    assert set(picked[-1].attributes) == {"logged_model.id", "logged_model.name"}
    assert picked[-1].status.description is None


def test_the_version_is_that_of_the_earliest_span_inside_where_the_root_has_none(
    traced: Traced, linker: TraceLinker
) -> None:
    with traced.tracer.start_as_current_span("root"), traced.tracer.start_as_current_span("middle"):
        with otel_loggedmodel.use_model(model_id="first"):
            traced.tracer.start_span("one").end()
        with otel_loggedmodel.use_model(model_id="second"):
            traced.tracer.start_span("two").end()
    assert traced.id_on("root") is None
    assert versions(linker.pick(taken(traced))) == ["first"]


def test_the_version_inside_is_remembered_until_the_root_ends(traced: Traced, linker: TraceLinker) -> None:
    with traced.tracer.start_as_current_span("root"), traced.tracer.start_as_current_span("middle"):
        with otel_loggedmodel.use_model(model_id="a"):
            traced.tracer.start_span("step").end()
        assert linker.pick(taken(traced)) == []
    assert versions(linker.pick(taken(traced))) == ["a"]


def test_the_version_of_the_root_wins(traced: Traced, linker: TraceLinker) -> None:
    with otel_loggedmodel.use_model(model_id="outer"), traced.tracer.start_as_current_span("root"):
        with otel_loggedmodel.use_model(model_id="inner"):
            traced.tracer.start_span("step").end()
        assert versions(linker.pick(taken(traced))) == []
    assert versions(linker.pick(taken(traced))) == ["outer"]


def test_two_versions_in_one_process_each_get_their_traces(traced: Traced, linker: TraceLinker) -> None:
    for number in range(6):
        with otel_loggedmodel.use_model(model_id=f"v{number % 2}"):
            traced.tracer.start_span("root").end()
    assert versions(linker.pick(taken(traced))) == ["v0", "v1"] * 3


def test_a_trace_whose_root_is_in_another_process_is_not_linked(traced: Traced, linker: TraceLinker) -> None:
    otel_loggedmodel.set_active_model(name="shop")
    with traced.tracer.start_as_current_span("server", context=remote_parent()):
        traced.tracer.start_span("step").end()
    assert versions(linker.pick(taken(traced))) == []


def test_a_trace_without_any_version_is_not_linked(traced: Traced, linker: TraceLinker) -> None:
    with traced.tracer.start_as_current_span("root"):
        traced.tracer.start_span("step").end()
    assert linker.pick(taken(traced)) == []


def test_work_that_outlives_its_root_links_the_trace(traced: Traced, linker: TraceLinker) -> None:
    root = traced.tracer.start_span("root")
    with trace.use_span(root), traced.tracer.start_as_current_span("task"):
        root.end()
        assert linker.pick(taken(traced)) == []
        with otel_loggedmodel.use_model(model_id="late"):
            traced.tracer.start_span("step").end()
            traced.tracer.start_span("step").end()
    (link,) = links(linker.pick(taken(traced)))
    assert (link.model_id, link.start_ns, link.end_ns) == ("late", root.start_time, root.end_time)


def test_what_two_exporters_are_given_is_linked_once(traced: Traced, linker: TraceLinker) -> None:
    with otel_loggedmodel.use_model(model_id="a"), traced.tracer.start_as_current_span("root") as root:
        otel_loggedmodel.genai.log_feedback(
            trace_id=trace.format_trace_id(root.get_span_context().trace_id),
            value=True,
            tracer_provider=traced.provider,
        )
    spans = taken(traced)
    assert [span.name for span in linker.pick(spans)] == ["gen_ai.evaluation.result", "logged_model.link"]
    assert linker.pick(spans) == []


def test_results_are_picked_with_all_that_they_say(traced: Traced, linker: TraceLinker) -> None:
    otel_loggedmodel.genai.log_feedback(
        trace_id="1" * 32, name="helpful", value=0.5, rationale="so so", tracer_provider=traced.provider
    )
    (result,) = linker.pick(taken(traced))
    assert result.attributes["gen_ai.evaluation.name"] == "helpful"
    assert result.attributes["gen_ai.evaluation.score.value"] == 0.5
    assert result.attributes["gen_ai.evaluation.explanation"] == "so so"


def test_a_result_is_no_version_of_its_trace(traced: Traced, linker: TraceLinker) -> None:
    with traced.tracer.start_as_current_span("root") as root:
        otel_loggedmodel.genai.log_feedback(
            trace_id=trace.format_trace_id(root.get_span_context().trace_id),
            value=True,
            model_id="judged",
            tracer_provider=traced.provider,
        )
    assert [span.name for span in linker.pick(taken(traced))] == ["gen_ai.evaluation.result"]


def test_only_records_of_versions_that_are_not_known_here_are_picked(traced: Traced, linker: TraceLinker) -> None:
    model = otel_loggedmodel.create_external_model("own")
    traced.provider.force_flush()
    records = taken(traced)
    assert [span.attributes["logged_model.id"] for span in records] == [model.model_id]
    assert linker.pick(records) == []
    otel_loggedmodel.versions.active.process.clear()
    linking.catalogue.__init__()
    assert linker.pick(records) == list(records)


def test_open_traces_are_bounded_and_those_that_are_forgotten_counted(traced: Traced, caplog) -> None:
    linker = TraceLinker(max_open_traces=2)
    roots = [traced.tracer.start_span("root") for _ in range(4)]
    for number, root in enumerate(roots):
        middle = traced.tracer.start_as_current_span("middle")
        with trace.use_span(root), middle, otel_loggedmodel.use_model(model_id=f"v{number}"):
            traced.tracer.start_span("step").end()
        linker.pick(taken(traced))
    for root in roots:
        root.end()
    assert versions(linker.pick(taken(traced))) == ["v2", "v3"]
    assert linker.forgotten == 2
    assert "more than 2 traces are open at once" in caplog.text


def test_traces_of_other_processes_are_not_counted_as_forgotten(traced: Traced) -> None:
    linker = TraceLinker(max_open_traces=1)
    otel_loggedmodel.set_active_model(name="shop")
    for number in range(1, 4):
        context = SpanContext(number, 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        parent = trace.set_span_in_context(NonRecordingSpan(context))
        traced.tracer.start_span("server", context=parent).end()
    linker.pick(taken(traced))
    assert linker.forgotten == 0
