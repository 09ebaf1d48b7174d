# SPDX-License-Identifier: Apache-2.0
"""instrument(): one call, whatever the application has set up already."""

import logging
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import otel_loggedmodel as mlflow
from doubles import ScriptedExporter
from otlp_receiver import OtlpReceiver
from programs import run


def processors(provider: TracerProvider) -> list[str]:
    return [type(processor).__name__ for processor in provider._active_span_processor._span_processors]


@pytest.fixture
def provider():
    provider = TracerProvider(shutdown_on_exit=False)
    yield provider
    provider.shutdown()


def test_a_bare_provider_gets_processor_and_exporter(provider) -> None:
    inner = ScriptedExporter()
    assert mlflow.instrument(provider, inner)
    assert processors(provider) == ["LoggedModelSpanProcessor", "BatchSpanProcessor"]
    mlflow.set_active_model("a")
    provider.get_tracer("x").start_span("own").end()
    provider.force_flush()
    assert [span.name for batch in inner.batches for span in batch][-1] == "own"
    assert inner.events[0][0] == "created"


def test_a_second_call_does_nothing(provider) -> None:
    inner = ScriptedExporter()
    assert mlflow.instrument(provider, inner)
    assert mlflow.instrument(provider, inner)
    assert len(processors(provider)) == 2


def test_a_provider_that_exports_already_exports_no_span_twice(provider) -> None:
    existing, records = ScriptedExporter(), ScriptedExporter()
    provider.add_span_processor(SimpleSpanProcessor(existing))
    assert mlflow.instrument(provider, records)
    mlflow.set_active_model("a")
    provider.get_tracer("x").start_span("own").end()
    provider.force_flush()
    assert [(span.name, span.attributes["logged_model.name"]) for span in existing.batches[0]] == [("own", "a")]
    assert [event for event, _ in records.events] == ["created", "activated"]
    assert all(span.name != "own" for batch in records.batches for span in batch)


def links_of_entry_span(provider: TracerProvider) -> int:
    mlflow.set_active_model("a")
    span = provider.get_tracer("x").start_span("own")
    span.end()
    return len(span.links)


def test_a_processor_that_is_registered_stays_the_only_one_on_a_provider_without_exporter(provider) -> None:
    inner = ScriptedExporter()
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    assert mlflow.instrument(provider, inner)
    assert mlflow.instrument(provider, inner)
    assert processors(provider) == ["LoggedModelSpanProcessor", "BatchSpanProcessor"]
    assert links_of_entry_span(provider) == 1
    provider.force_flush()
    assert [span.name for batch in inner.batches for span in batch][-1] == "own"
    assert [event for event, _ in inner.events] == ["created", "activated"]


def test_a_processor_that_is_registered_stays_the_only_one_beside_an_exporter(provider) -> None:
    existing = ScriptedExporter()
    provider.add_span_processor(SimpleSpanProcessor(existing))
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    assert mlflow.instrument(provider)
    assert processors(provider) == ["SimpleSpanProcessor", "LoggedModelSpanProcessor"]
    assert links_of_entry_span(provider) == 1
    provider.force_flush()
    assert [event for event, _ in existing.events] == ["created", "activated"]


def test_a_processor_that_is_registered_sends_records_where_it_is_told(provider) -> None:
    existing, records, others = ScriptedExporter(), ScriptedExporter(), ScriptedExporter()
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(existing))
    assert mlflow.instrument(provider, records)
    assert mlflow.instrument(provider, others)
    assert processors(provider) == ["LoggedModelSpanProcessor", "SimpleSpanProcessor"]
    assert links_of_entry_span(provider) == 1
    provider.force_flush()
    assert [event for event, _ in records.events] == ["created", "activated"]
    assert existing.events == others.events == []


def test_a_processor_that_sends_records_itself_goes_on_doing_so(provider) -> None:
    existing, records, others = ScriptedExporter(), ScriptedExporter(), ScriptedExporter()
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor(records))
    provider.add_span_processor(SimpleSpanProcessor(existing))
    assert mlflow.instrument(provider, others)
    assert links_of_entry_span(provider) == 1
    provider.force_flush()
    assert [event for event, _ in records.events] == ["created", "activated"]
    assert existing.events == others.events == []


def test_a_second_call_adds_what_is_missing(provider) -> None:
    """As after a vendor has put processors where it likes."""
    first, late = ScriptedExporter(), ScriptedExporter()
    provider.add_span_processor(SimpleSpanProcessor(first))
    assert mlflow.instrument(provider)
    provider._active_span_processor.add_span_processor(SimpleSpanProcessor(late))
    mlflow.set_active_model("a")
    provider.get_tracer("x").start_span("own").end()
    assert late.events == []
    assert mlflow.instrument(provider)
    provider.force_flush()
    for exporter in (first, late):
        assert [event for event, _ in exporter.events] == ["created", "activated"]
    provider._active_span_processor._span_processors = ()
    assert mlflow.instrument(provider, last := ScriptedExporter())
    assert links_of_entry_span(provider) == 1
    provider.force_flush()
    assert [span.name for batch in last.batches for span in batch][-1] == "own"


def test_exporters_that_are_added_later_deliver_records_too(provider) -> None:
    provider.add_span_processor(SimpleSpanProcessor(ScriptedExporter()))
    assert mlflow.instrument(provider)
    provider.add_span_processor(SimpleSpanProcessor(late := ScriptedExporter()))
    assert links_of_entry_span(provider) == 1
    assert [event for event, _ in late.events] == ["created", "activated"]


@pytest.mark.parametrize("kind", [SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor])
def test_processors_inside_of_a_processor_of_the_sdks_are_seen(provider, kind) -> None:
    inner = ScriptedExporter()
    several = kind()
    several.add_span_processor(SimpleSpanProcessor(inner))
    provider.add_span_processor(several)
    assert mlflow.instrument(provider)
    assert processors(provider) == [kind.__name__, "LoggedModelSpanProcessor"]
    assert links_of_entry_span(provider) == 1
    assert [event for event, _ in inner.events] == ["created", "activated"]
    several.shutdown()


def test_of_two_exporters_to_a_daemon_that_for_unsampled_spans_gets_no_records(provider) -> None:
    """As AWS's distribution has them: of unsampled spans the daemon makes metrics, and nothing else."""
    kind = type("OTLPUdpSpanExporter", (ScriptedExporter,), {})
    exporters = {sampled: kind() for sampled in (True, False)}
    for sampled, exporter in exporters.items():
        exporter._sampled = sampled
        outer = ScriptedExporter()
        outer._delegate = exporter
        outer.export = exporter.export
        provider.add_span_processor(SimpleSpanProcessor(outer))
    assert mlflow.instrument(provider)
    assert links_of_entry_span(provider) == 1
    provider.force_flush()
    assert [event for event, _ in exporters[True].events] == ["created", "activated"]
    assert exporters[False].events == []


def test_a_provider_that_is_set_after_instrument_had_made_one_is_told_of_and_stamped() -> None:
    program = """
        import logging
        from opentelemetry.trace import set_tracer_provider
        from doubles import ScriptedExporter
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        assert mlflow.instrument(exporter=ScriptedExporter())
        exporter = ScriptedExporter()
        vendors = TracerProvider()
        vendors.add_span_processor(SimpleSpanProcessor(exporter))
        set_tracer_provider(vendors)
        mlflow.set_active_model("a")
        vendors.get_tracer("vendor").start_span("own").end()
        print([event for event, _ in exporter.events], exporter.batches[-1][-1].attributes["logged_model.name"])
    """
    set_up = """
import sys
import otel_loggedmodel as mlflow
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
"""
    output = run(program, "http://127.0.0.1:9", set_up, PYTHONPATH=str(Path(__file__).parent))
    *told, last = output.splitlines()
    assert last == "['created', 'activated'] a"
    (warning,) = [line for line in told if "call instrument() after your vendor's set-up" in line]
    assert warning.startswith(
        "a tracer provider (opentelemetry.sdk.trace.TracerProvider) was set after instrument() had"
    )


@pytest.mark.parametrize("foreign", [trace.NoOpTracerProvider(), object()])
def test_a_provider_that_is_not_the_sdks_is_reported_and_left_alone(foreign, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        assert mlflow.instrument(foreign) is False
    assert "is not the OpenTelemetry SDK's tracer provider and takes no span processors" in caplog.text


def test_without_any_provider_a_new_one_becomes_the_global_one() -> None:
    program = """
        assert mlflow.instrument() and mlflow.instrument()
        mlflow.set_active_model("a")
        trace.get_tracer("x").start_span("own").end()
    """
    with OtlpReceiver() as receiver:
        run(program, receiver.endpoint, set_up="import otel_loggedmodel as mlflow; from opentelemetry import trace")
        assert [span.name for span in receiver.spans()] == ["logged_model.created", "logged_model.activated", "own"]
