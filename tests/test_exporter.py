# SPDX-License-Identifier: Apache-2.0
"""LoggedModelExporter: records once and before the spans that refer to them, again when refused, stamps put back."""

import logging
import threading
import weakref

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult

import otel_loggedmodel as mlflow
from doubles import ScriptedExporter, has_records
from effort import times
from otel_loggedmodel import _errors
from otel_loggedmodel._checking import MAX_MODEL_BYTES
from otel_loggedmodel.delivery import shipping
from otel_loggedmodel.versions import records
from otel_loggedmodel.versions.arriving import Arrived, events_of
from otel_loggedmodel.versions.catalogue import catalogue
from otlp_grpc_receiver import OtlpGrpcReceiver
from otlp_receiver import OtlpReceiver


class Application:
    """An application whose spans go to a scripted exporter, one batch a span."""

    def __init__(self, **arguments) -> None:
        self.inner = ScriptedExporter()
        self.exporter = mlflow.LoggedModelExporter(self.inner, **arguments)
        self.clock = 1000.0
        self.exporter._shipper._clock = lambda: self.clock
        self.provider = TracerProvider(shutdown_on_exit=False, resource=Resource({"service.name": "shop"}))
        self.provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def span(self, name: str = "span") -> None:
        self.tracer.start_span(name).end()

    @property
    def names(self) -> list[list[str]]:
        return [[span.name.removeprefix("logged_model.") for span in batch] for batch in self.inner.batches]


@pytest.fixture
def application() -> Application:
    return Application()


def test_records_go_before_the_first_spans_and_once(application: Application) -> None:
    mlflow.set_active_model(model_id=mlflow.create_external_model("a", params={"k": "v"}).model_id)
    application.span("one")
    application.span("two")
    assert application.names == [["created", "activated", "one"], ["two"]]


def test_changes_go_with_the_next_spans(application: Application) -> None:
    model = mlflow.set_active_model("a")
    application.span("one")
    mlflow.set_logged_model_tags(model.model_id, {"t": "1"})
    with mlflow.use_model("b"):
        application.span("two")
    application.span("three")
    assert application.names == [["created", "activated", "one"], ["updated", "created", "activated", "two"], ["three"]]


def test_models_without_spans_are_delivered_at_shutdown(application: Application) -> None:
    model = mlflow.create_external_model("a")
    application.provider.shutdown()
    assert application.inner.events == [("created", model.model_id)]
    assert application.inner.is_shut_down


def test_models_without_spans_are_delivered_when_the_provider_is_flushed(application: Application) -> None:
    model = mlflow.create_external_model("a")
    assert application.provider.force_flush()
    assert application.inner.events == [("created", model.model_id)]


def test_force_flush_of_the_exporter_flushes_what_it_wraps(application: Application) -> None:
    mlflow.create_external_model("a")
    assert application.exporter.force_flush(1234)
    (given,) = application.inner.flushes
    assert 0 < given <= 1234  # what is left of the time
    assert len(application.inner.batches) == 1


def test_models_made_before_the_exporter_are_delivered() -> None:
    model = mlflow.create_external_model("a")
    application = Application()
    application.span()
    assert application.inner.events == [("created", model.model_id)]


def test_records_carry_the_resource_of_the_spans(application: Application) -> None:
    mlflow.set_active_model("a")
    application.span()
    assert {span.resource.attributes["service.name"] for batch in application.inner.batches for span in batch} == {
        "shop"
    }


def test_an_event_that_happens_during_delivery_is_delivered_once(application: Application, monkeypatch) -> None:
    read = catalogue.events_after

    def reading(number: int):
        if number == 0:
            mlflow.create_external_model("late")
        return read(number)

    monkeypatch.setattr(catalogue, "events_after", reading)
    mlflow.create_external_model("early")
    application.span()
    application.span()
    assert len(application.inner.events) == 2


def test_two_exporters_each_get_everything_as_the_same_spans() -> None:
    first, second = Application(), Application()
    mlflow.set_active_model("a")
    for application in (first, second):
        application.span()
    ids = [
        [(span.context.trace_id, span.context.span_id) for span in application.inner.batches[0][:2]]
        for application in (first, second)
    ]
    assert len(ids[0]) == 2
    assert ids[0] == ids[1]


def test_exporters_to_one_place_deliver_records_once_and_to_two_places_twice() -> None:
    """As where a vendor has a processor for spans that are sampled and one for those that are not."""
    with OtlpReceiver() as receiver, OtlpReceiver() as other:
        provider = TracerProvider(shutdown_on_exit=False)
        for endpoint, headers in (
            (receiver.traces_endpoint, {}),
            (receiver.traces_endpoint, {}),
            (receiver.traces_endpoint, {"api-key": "another tenant"}),
            (other.traces_endpoint, {}),
        ):
            exporter = mlflow.LoggedModelExporter(HttpExporter(endpoint, headers=headers), spool=False)
            provider.add_span_processor(BatchSpanProcessor(exporter))
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
        mlflow.set_active_model("a")
        provider.get_tracer("test").start_span("own").end()
        provider.force_flush()
        provider.shutdown()
        names = [sorted(span.name for span in far_end.spans()) for far_end in (receiver, other)]
    assert names == [
        ["logged_model.activated"] * 2 + ["logged_model.created"] * 2 + ["own"] * 3,
        ["logged_model.activated", "logged_model.created", "own"],
    ]


def test_what_the_exporter_lacks_is_the_wrapped_ones(application: Application) -> None:
    assert application.exporter.attempts is application.inner.attempts
    with pytest.raises(AttributeError, match="'ScriptedExporter' object has no attribute 'nobody_has_it'"):
        application.exporter.nobody_has_it  # noqa: B018


def test_the_wrapped_exporter_is_told_how_long_it_may_take() -> None:
    class Timed(ScriptedExporter):
        def shutdown(self, timeout_millis: float = 30_000) -> None:
            self.flushes.append(timeout_millis)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(mlflow.LoggedModelExporter(timed := Timed())))
    provider.shutdown()
    (given,) = timed.flushes
    assert 0 < given <= 30_000


# Refusals


def test_refused_records_are_sent_again_and_spans_are_not_held_up(application: Application, caplog) -> None:
    application.inner.refuse = has_records
    mlflow.set_active_model("a")
    application.span("one")
    application.span("two")
    assert application.names == [["one"], ["two"]]
    assert len(application.inner.attempts) == 3  # with records, one, two: no second try at once
    application.inner.refuse = lambda batch: False
    application.clock += 5
    application.span("three")
    assert application.names[2:] == [["created", "activated", "three"]]
    assert caplog.messages == [
        "ScriptedExporter could not deliver model records (it was refused); trying again later",
    ]


def test_tries_get_rarer_the_longer_records_are_refused(application: Application) -> None:
    application.inner.refuse = has_records
    mlflow.set_active_model("a")
    tries = []
    for second in range(1200):
        application.clock = 1000.0 + second
        before = len(application.inner.attempts)
        application.span()
        if len(application.inner.attempts) - before == 2:
            tries.append(second)
    assert tries == [0, 5, 15, 35, 75, 155, 315, 615, 915]


def test_when_the_backend_comes_back_records_follow_at_once(application: Application) -> None:
    application.inner.refuse = lambda batch: True
    mlflow.set_active_model("a")
    application.span("lost")
    application.inner.refuse = lambda batch: False
    application.span("one")
    assert application.names == [["one"], ["created", "activated"]]


def test_while_the_backend_is_away_records_do_not_make_every_export_wait_twice(application: Application) -> None:
    application.inner.refuse = lambda batch: True
    for number in range(10):
        mlflow.set_active_model(f"m{number}")
        application.span()
    assert len(application.inner.attempts) == 1 + 10
    application.provider.shutdown()
    assert len(application.inner.attempts) == 1 + 10


def test_a_backend_that_is_away_is_waited_for_once(application: Application) -> None:
    def away(batch) -> bool:
        application.clock += 7.5
        return True

    application.inner.refuse = away
    mlflow.set_active_model("a")
    application.span()
    application.provider.shutdown()
    assert len(application.inner.attempts) == 1


def test_spans_that_are_always_refused_do_not_keep_records_back(application: Application) -> None:
    application.inner.refuse = lambda batch: not has_records(batch)
    application.span()
    mlflow.set_active_model("a")
    application.span()
    assert application.inner.events == []
    application.clock += 5
    application.span()
    assert [event for event, _ in application.inner.events] == ["created", "activated"]


def test_an_exporter_that_raises_is_treated_as_refusing(application: Application, caplog) -> None:
    application.inner.error = ConnectionError("no route")
    mlflow.set_active_model("a")
    with caplog.at_level(logging.WARNING):
        application.span("lost")
    application.inner.error = None
    application.span("one")
    assert application.names == [["one"], ["created", "activated"]]
    assert "could not deliver model records (ConnectionError('no route')); trying again later" in caplog.text


def test_the_result_is_that_of_the_spans(application: Application) -> None:
    mlflow.set_active_model("a")
    application.inner.refuse = has_records
    assert application.exporter.export([]) is SpanExportResult.SUCCESS
    application.inner.refuse = lambda batch: True
    assert application.exporter.export([]) is SpanExportResult.FAILURE


def test_a_defect_in_making_records_costs_no_span(application: Application, monkeypatch, caplog) -> None:
    monkeypatch.setattr(_errors, "raise_internal_errors", False)

    def broken(*_: object) -> None:
        raise RuntimeError("defect")

    with monkeypatch.context() as patch:
        patch.setattr(records, "spans_of", broken)
        mlflow.set_active_model("a")
        application.span("one")
        application.span("two")
    assert application.names == [["one"], ["two"]]
    assert "failed while collecting model records; the application is not affected" in caplog.text
    application.clock += 5
    application.span("three")
    assert application.names[2:] == [["created", "activated", "three"]]


# Repetition


def test_a_version_in_use_is_announced_again_every_twelve_hours(application: Application) -> None:
    model = mlflow.set_active_model("a")
    application.span()
    mlflow.set_logged_model_tags(model.model_id, {"t": "1"})
    application.span()
    before = len(application.inner.batches)
    application.clock += 12 * 3600 - 1
    application.span("early")
    application.clock += 2
    application.span("due")
    application.span("after")
    assert application.names[before:] == [["early"], ["created", "updated", "due"], ["after"]]


def test_repetitions_are_the_same_spans_at_the_present_time(application: Application) -> None:
    mlflow.set_active_model("a")
    application.span()
    application.clock += 13 * 3600
    application.span()
    first, again = (batch[0] for batch in application.inner.batches)
    assert first.name == again.name == "logged_model.created"
    assert again.context == first.context
    assert dict(again.attributes) == dict(first.attributes)
    assert again.start_time > first.start_time
    assert application.names[1] == ["created", "span"]


def test_versions_that_are_not_in_use_are_not_repeated(application: Application) -> None:
    mlflow.set_active_model("a")
    application.span()
    mlflow.set_active_model("b")
    application.span()
    before = len(application.inner.events)
    application.clock += 13 * 3600
    application.span()
    assert {model_id for _, model_id in application.inner.events[before:]} == {mlflow.get_active_model_id()}


def test_repeat_after_can_be_chosen() -> None:
    application = Application(repeat_after=60)
    mlflow.set_active_model("a")
    application.span()
    application.clock += 61
    application.span()
    assert [kind for kind, _ in application.inner.events] == ["created", "activated", "created"]


@pytest.mark.parametrize(("said", "seconds"), [("90s", 90), ("7d", 7 * 86400), ("", 12 * 3600), ("soon", 12 * 3600)])
def test_the_environment_says_how_often_a_version_is_repeated(monkeypatch, said: str, seconds: int) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_REPEAT", said)
    application = Application()
    mlflow.set_active_model("a")
    application.span()
    application.clock += seconds - 1
    application.span()
    assert len(application.inner.events) == 2
    application.clock += 2
    application.span()
    assert [kind for kind, _ in application.inner.events] == ["created", "activated", "created"]


@pytest.mark.parametrize("zero", ["0", "0s", "0.0 h"])
def test_a_version_is_never_repeated_where_the_environment_says_so(monkeypatch, caplog, zero: str) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_REPEAT", zero)
    applications = [Application(), Application(repeat_after=0)]
    mlflow.set_active_model("a")
    for application in applications:
        application.span()
        application.clock += 1000 * 86400
        application.span()
        assert len(application.inner.events) == 2
    assert caplog.text == ""


def test_a_negative_time_of_repetition_is_refused() -> None:
    with pytest.raises(ValueError, match="repeat_after is -1"):
        Application(repeat_after=-1)


# Size


def test_many_large_models_go_in_messages_that_receivers_take(application: Application) -> None:
    for number in range(6):
        mlflow.create_external_model("a", params={"n": str(number), "prompt": "x" * (MAX_MODEL_BYTES - 100)})
    for number in range(1200):
        mlflow.create_external_model("b", params={"n": str(number)})
    application.span()
    batches = [batch for batch in application.inner.batches if has_records(batch)]
    assert sum(span.name == "logged_model.created" for batch in batches for span in batch) == 1206
    assert max(map(len, batches)) <= 512
    assert all(sum(len(str(span.attributes)) for span in batch) < 2.5 * 1024 * 1024 for batch in batches)


def test_nothing_is_kept_for_versions_that_come_and_go(application: Application) -> None:
    for number in range(5000):
        with mlflow.use_model(f"m{number}"):
            application.span()
    assert len(application.exporter._shipper._told.announced) <= 4096


# Stamps that the SDK's limit evicted


def test_a_span_with_500_attributes_arrives_with_its_id(application: Application) -> None:
    mlflow.set_active_model("agent")
    with application.tracer.start_as_current_span("root") as root:
        with application.tracer.start_as_current_span("child") as child:
            child.set_attributes({f"k{number}": number for number in range(500)})
            child.add_event("event")
        root.set_attributes({f"k{number}": number for number in range(500)})
    spans = {span.name: span for batch in application.inner.batches for span in batch}
    model_id = mlflow.get_active_model_id()
    assert spans["child"].attributes["logged_model.id"] == model_id
    assert "logged_model.name" not in spans["child"].attributes
    assert spans["root"].attributes["logged_model.id"] == model_id
    assert spans["root"].attributes["logged_model.name"] == "agent"
    # What the SDK kept is all there, and the count of what it dropped is true.
    assert [spans["child"].attributes[f"k{number}"] for number in range(372, 500)] == list(range(372, 500))
    assert len(spans["child"].attributes) + spans["child"].dropped_attributes == 501
    assert len(spans["root"].attributes) + spans["root"].dropped_attributes == 502
    assert [event.name for event in spans["child"].events] == ["event"]
    assert spans["child"].parent.span_id == spans["root"].context.span_id
    assert spans["root"].links[0].attributes == {"logged_model.id": model_id}


def test_an_evicted_stamp_of_a_scope_comes_back_as_that_scopes(application: Application) -> None:
    mlflow.set_active_model("default")
    with mlflow.use_model("scope") as model, application.tracer.start_as_current_span("a") as span:
        span.set_attributes({f"k{number}": number for number in range(500)})
    span = application.inner.batches[-1][-1]
    assert span.attributes["logged_model.id"] == model.model_id
    assert span.attributes["logged_model.name"] == "scope"


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_tiny_attribute_limits_do_not_lose_the_id(limit: int) -> None:
    inner = ScriptedExporter()
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=limit), shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(mlflow.LoggedModelExporter(inner)))
    mlflow.set_active_model("agent")
    provider.get_tracer("test").start_span("a", attributes={"k": 1, "l": 2, "m": 3}).end()
    attributes = inner.batches[-1][-1].attributes
    assert (attributes["logged_model.id"], attributes["logged_model.name"]) == (mlflow.get_active_model_id(), "agent")


def test_dropped_events_and_links_are_still_counted() -> None:
    inner = ScriptedExporter()
    provider = TracerProvider(
        span_limits=SpanLimits(max_span_attributes=2, max_events=1, max_links=3), shutdown_on_exit=False
    )
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(mlflow.LoggedModelExporter(inner)))
    mlflow.set_active_model("agent")
    with provider.get_tracer("test").start_as_current_span("a", attributes={"k": 1, "l": 2}) as span:
        for _ in range(3):
            span.add_event("e")
    restored = inner.batches[-1][-1]
    assert (restored.dropped_events, restored.dropped_links) == (2, 0)


@pytest.mark.parametrize("length", [0, 1, 16, 33])
def test_a_limit_on_the_length_of_values_does_not_cut_the_id(monkeypatch, length: int) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", str(length))
    application = Application()
    model = mlflow.create_external_model("my-support-agent", params={"k": "v"})
    with mlflow.use_model(model), application.tracer.start_as_current_span("root", attributes={"text": "x" * 100}):
        application.span("child")
    spans = {span.name: span for batch in application.inner.batches for span in batch}
    assert spans["root"].attributes == {
        "text": "x" * length,
        "logged_model.id": model.model_id,
        "logged_model.name": "my-support-agent",
    }
    assert spans["child"].attributes == {"logged_model.id": model.model_id}
    assert [link.attributes for link in spans["root"].links] == [{"logged_model.id": model.model_id}]


def test_an_id_that_the_application_has_put_on_a_span_itself_stays(application: Application) -> None:
    with mlflow.use_model("a"), application.tracer.start_as_current_span("root") as root:
        root.set_attribute("logged_model.id", "own")
    assert application.inner.batches[-1][-1].attributes["logged_model.id"] == "own"


@pytest.mark.parametrize("limit", [0, 1, 128])
def test_the_link_of_an_entry_span_with_many_links_comes_back(limit: int) -> None:
    """As of a consumer that takes messages in batches."""
    inner = ScriptedExporter()
    provider = TracerProvider(span_limits=SpanLimits(max_links=limit), shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(mlflow.LoggedModelExporter(inner)))
    mlflow.set_active_model("agent")
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("batch") as span:
        for _ in range(200):
            span.add_link(tracer.start_span("message").get_span_context())
    (restored,) = [span for batch in inner.batches for span in batch if span.name == "batch"]
    own = [link for link in restored.links if "logged_model.id" in (link.attributes or {})]
    assert [link.attributes["logged_model.id"] for link in own] == [mlflow.get_active_model_id()]
    assert len(restored.links) + restored.dropped_links == 201


def test_values_of_records_are_not_cut_by_the_sdks_limits(monkeypatch) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "40")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "5")
    with OtlpReceiver() as receiver:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
        exporter = mlflow.LoggedModelExporter(HttpExporter(receiver.traces_endpoint))
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        params = {f"k{number}": "x" * 1000 for number in range(300)}
        mlflow.create_external_model("agent", params=params)
        provider.shutdown()
        spans = [Arrived(span.attributes, span.start_ns, int(span.span_id, 16)) for span in receiver.spans()]
    assert max(len(span.values) for span in spans) == 30
    assert [event.params for event in events_of(spans)] == [params]


def test_a_value_that_backends_cannot_keep_is_warned_of_once(application: Application, caplog) -> None:
    for number in range(3):
        mlflow.create_external_model("agent", params={"prompt": "x" * 70_000, "n": str(number)})
    mlflow.create_external_model("agent", params={"prompt": "x" * 60_000})
    application.span()
    assert caplog.text.count("WARNING") == 1
    assert '"prompt" of m-' in caplog.text
    assert "70,000 bytes" in caplog.text


def test_a_processor_that_was_forgotten_is_asked_for_once(caplog) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(mlflow.LoggedModelExporter(ScriptedExporter())))
    tracer = provider.get_tracer("test")
    tracer.start_span("of no version").end()
    assert caplog.messages == []
    mlflow.set_active_model(name="agent")
    for _ in range(3):
        tracer.start_span("of a version").end()
    assert caplog.messages == [
        f"spans are exported without the version that is active, {mlflow.get_active_model_id()}: add"
        " LoggedModelSpanProcessor() to the tracer provider, which puts it on them"
    ]


def test_spans_of_before_the_version_are_no_reason_to_ask_for_a_processor(application: Application, caplog) -> None:
    before = application.tracer.start_span("before")
    mlflow.set_active_model(name="agent")
    before.end()
    assert caplog.messages == []


# The default exporter, and real OTLP


def test_default_is_http_as_the_environment_says(monkeypatch) -> None:
    with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=abc")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        exporter = mlflow.LoggedModelExporter()
        assert isinstance(exporter.wrapped, HttpExporter)
        model = mlflow.create_external_model("agent", params={"k": "v"})
        exporter.shutdown()
        (request,) = receiver.requests()
        assert request.headers["x-token"] == "abc"
        assert request.headers["content-encoding"] == "gzip"
        (created,) = receiver.spans()
        assert created.attributes["logged_model.id"] == model.model_id
        assert created.trace_id == model.model_id[2:]
        assert created.trace_state == "ot=rv:ffffffffffffff"


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
def test_grpc_where_the_environment_says_so(monkeypatch, variable: str) -> None:
    with OtlpGrpcReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        monkeypatch.setenv(variable, "grpc")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        exporter = mlflow.LoggedModelExporter()
        assert isinstance(exporter.wrapped, GrpcExporter)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
        provider.add_span_processor(BatchSpanProcessor(exporter))
        mlflow.set_active_model("agent")
        provider.get_tracer("test").start_span("root").end()
        provider.shutdown()
        spans = {span.name: span for span in receiver.spans()}
    assert set(spans) == {"logged_model.created", "logged_model.activated", "root"}
    created, root = spans["logged_model.created"], spans["root"]
    assert [(link.trace_id, link.span_id) for link in root.links] == [(created.trace_id, created.span_id)]
    assert spans["logged_model.activated"].parent_span_id == created.span_id


def test_an_unknown_protocol_is_reported_once_and_http_used(monkeypatch, caplog) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
    for _ in range(2):
        assert isinstance(mlflow.LoggedModelExporter().wrapped, HttpExporter)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning == (
        "OTEL_EXPORTER_OTLP_PROTOCOL is 'carrier-pigeon': using http/protobuf; known are grpc and http/protobuf"
    )


@pytest.mark.parametrize("wrong", ["http://localhost:4318", HttpExporter, object()])
@pytest.mark.parametrize("taker", [mlflow.LoggedModelExporter, mlflow.LoggedModelSpanProcessor])
def test_what_is_no_exporter_is_refused_with_advice(wrong: object, taker) -> None:
    with pytest.raises(TypeError, match="is no span exporter: pass an object with an export method"):
        taker(wrong)


def test_a_backend_that_was_down_gets_models_and_spans_when_it_is_back() -> None:
    with OtlpReceiver() as receiver:
        receiver.answer_with = 503
        exporter = mlflow.LoggedModelExporter(HttpExporter(receiver.traces_endpoint, timeout=1))
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        mlflow.set_active_model("agent")
        provider.get_tracer("test").start_span("late").end()
        receiver.answer_with = None
        spans = receiver.wait_for(lambda spans: len(spans) == 3, timeout=60)
        assert [span.name for span in spans] == ["logged_model.created", "logged_model.activated", "late"]
        provider.shutdown()


def test_a_backend_that_refused_models_gets_them_with_the_next_spans() -> None:
    with OtlpReceiver() as receiver:
        receiver.answer_with = 400
        exporter = mlflow.LoggedModelExporter(HttpExporter(receiver.traces_endpoint, timeout=1))
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        mlflow.set_active_model("agent")
        provider.get_tracer("test").start_span("refused").end()
        receiver.wait_for_requests(lambda requests: len(requests) == 2)
        assert exporter._durable.force_flush()
        receiver.answer_with = None
        provider.get_tracer("test").start_span("kept").end()
        assert [span.name for span in receiver.spans()] == ["kept", "logged_model.created", "logged_model.activated"]
        provider.shutdown()


# Threads and life time


def test_export_calls_of_the_wrapped_exporter_never_overlap() -> None:
    running, overlaps = [0], []

    class Watching(ScriptedExporter):
        def export(self, spans):
            running[0] += 1
            if running[0] > 1:
                overlaps.append(spans)
            result = super().export(spans)
            running[0] -= 1
            return result

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(mlflow.LoggedModelExporter(Watching())))

    def work(number: int) -> None:
        for step in range(times(full=50, quick=10)):
            with mlflow.use_model(f"m{number}-{step}"):
                provider.get_tracer("x").start_span("a").end()
            provider.force_flush()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []


def test_an_exporter_that_makes_spans_does_not_wait_for_itself() -> None:
    class Tracing(ScriptedExporter):
        depth = 0

        def export(self, spans):
            if self.depth == 0:
                self.depth = 1
                provider.get_tracer("x").start_span("own").end()
                self.depth = 0
            return super().export(spans)

    inner = Tracing()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(mlflow.LoggedModelExporter(inner)))
    provider.get_tracer("x").start_span("a").end()
    assert sorted(batch[0].name for batch in inner.batches) == ["a", "own"]


def test_an_exporter_that_is_dropped_is_freed() -> None:
    exporter = mlflow.LoggedModelExporter(ScriptedExporter())
    gone = weakref.ref(exporter._shipper)
    del exporter
    assert gone() is None
    assert all(shipper is not None for shipper in shipping._live)


def test_an_exporter_that_was_shut_down_is_given_no_more_records(make_traced, caplog) -> None:
    inner = ScriptedExporter()
    exporter = mlflow.LoggedModelExporter(inner)
    exporter.shutdown()
    attempts = len(inner.attempts)
    mlflow.set_active_model("a")
    make_traced().provider.force_flush()
    assert len(inner.attempts) == attempts


def test_an_exporter_that_returns_nothing_has_not_refused(traced, caplog) -> None:
    class Silent(ScriptedExporter):
        def export(self, spans):
            super().export(spans)

    inner = Silent()
    traced.provider.add_span_processor(SimpleSpanProcessor(mlflow.LoggedModelExporter(inner)))
    mlflow.set_active_model("a")
    traced.tracer.start_span("own").end()
    assert [[span.name for span in batch] for batch in inner.batches] == [
        ["logged_model.created", "logged_model.activated", "own"]
    ]
    assert caplog.text == ""
