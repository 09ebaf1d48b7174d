# SPDX-License-Identifier: Apache-2.0
"""LoggedModelExporter with an MLflow server, as far as that shows without one: what goes where, and what is refused."""

import dataclasses
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import otel_loggedmodel
from delivery.far_end import HttpFarEnd
from doubles import ScriptedExporter
from otel_loggedmodel.delivery.destinations import destination_of
from otel_loggedmodel.delivery.otlp_sending import sender_of
from otel_loggedmodel.exporter import LoggedModelExporter
from otel_loggedmodel.mlflow_server.rest import Server
from otel_loggedmodel.mlflow_server.settings import Settings, SettingsError
from otel_loggedmodel.mlflow_server.tracking import Tracking, TrackingExporter
from otlp_receiver import OtlpReceiver
from test_packaging import imported_by
from test_zero_code import instrumented

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def uri() -> str:
    """Of a server that is not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
    yield provider
    provider.shutdown()


def exporting(provider: TracerProvider, exporter: LoggedModelExporter) -> LoggedModelExporter:
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


def make_spans(provider: TracerProvider) -> None:
    with otel_loggedmodel.use_model(name="a"), provider.get_tracer("test").start_as_current_span("root") as root:
        trace_id = f"{root.get_span_context().trace_id:032x}"
        otel_loggedmodel.genai.log_feedback(trace_id=trace_id, value=True, tracer_provider=provider)


def kept(exporter: LoggedModelExporter) -> tuple[int, int]:
    """Records, and links with results, that the server is to be told."""
    pending = exporter._tracking.pending
    return pending.models, pending.spans


def test_another_exporter_goes_on_to_get_everything(provider: TracerProvider, uri: str) -> None:
    inner = ScriptedExporter()
    exporter = exporting(provider, LoggedModelExporter(inner, mlflow=uri))
    make_spans(provider)
    names = [span.name for batch in inner.batches for span in batch]
    assert sorted(names) == ["gen_ai.evaluation.result", "logged_model.activated", "logged_model.created", "root"]
    assert kept(exporter) == (2, 2)


def test_an_exporter_to_that_server_gets_spans_of_the_application_alone(provider: TracerProvider) -> None:
    with OtlpReceiver() as receiver:
        inner = OTLPSpanExporter(endpoint=f"{receiver.endpoint}/v1/traces")
        exporting(provider, LoggedModelExporter(inner, mlflow=receiver.endpoint))
        make_spans(provider)
        assert [span.name for span in receiver.spans()] == ["root"]
        provider.shutdown()


def test_exporters_of_one_server_share_what_tells_it(provider: TracerProvider, uri: str) -> None:
    first = exporting(provider, LoggedModelExporter(ScriptedExporter(), mlflow=uri))
    second = exporting(provider, LoggedModelExporter(ScriptedExporter(), mlflow=Settings(uri)))
    other = exporting(provider, LoggedModelExporter(ScriptedExporter(), mlflow=Settings(uri, experiment_id="7")))
    make_spans(provider)
    assert first._tracking is second._tracking is not other._tracking
    assert kept(first) == kept(other) == (2, 2)
    tracking = first._tracking
    first.shutdown()
    assert not tracking._durable._shut_down
    second.shutdown()
    assert tracking._durable._shut_down
    other.shutdown()


def test_an_exporter_made_after_the_last_was_shut_down_begins_anew(uri: str) -> None:
    first = LoggedModelExporter(ScriptedExporter(), mlflow=uri)
    tracking = first._tracking
    first.unwrap()
    second = LoggedModelExporter(ScriptedExporter(), mlflow=uri)
    assert isinstance(second._tracking, Tracking)
    assert second._tracking is not tracking
    second.shutdown()


def test_the_environment_switches_it_on(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_MLFLOW", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    exporter = LoggedModelExporter()
    assert exporter.wrapped._endpoint == f"{uri}/v1/traces"
    exporter.shutdown()
    off = LoggedModelExporter(ScriptedExporter(), mlflow=False)
    assert off._tracking is None
    off.shutdown()


def test_the_environment_names_another_server(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_MLFLOW", f"{uri}/prefix/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    exporter = LoggedModelExporter()
    assert exporter.wrapped._endpoint == f"{uri}/prefix/v1/traces"
    exporter.shutdown()


def test_a_mistake_in_the_environment_is_warned_of(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_MLFLOW", "1")
    exporter = LoggedModelExporter(ScriptedExporter())
    assert exporter._tracking is None
    (message,) = caplog.messages
    assert message.startswith("OTEL_LOGGEDMODEL_MLFLOW is ignored: no MLflow server is named: set MLFLOW_TRACKING_URI")
    exporter.shutdown()


@pytest.mark.parametrize(
    ("mlflow", "error"),
    [(True, SettingsError), ("databricks", SettingsError), ("sqlite:///x.db", SettingsError), (5000, TypeError)],
)
def test_a_mistake_in_a_call_raises(mlflow: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"MLflow server|MLFLOW_TRACKING_URI"):
        LoggedModelExporter(ScriptedExporter(), mlflow=mlflow)


def test_headers_for_another_backend_do_not_go_to_the_server(monkeypatch: pytest.MonkeyPatch, provider) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=42,authorization=of-somebody-else")
    monkeypatch.setattr(Server, "experiment_id", "3")
    with HttpFarEnd() as server:
        settings = Settings(server.traces_endpoint.removesuffix("/v1/traces"))
        exporting(provider, LoggedModelExporter(mlflow=settings))
        provider.get_tracer("test").start_span("root").end()
        (request,) = [request for request in server.requests if request.names == ["root"]]
        assert request.headers["x-mlflow-experiment-id"] == "3"
        assert "authorization" not in request.headers
        assert "x-team" not in request.headers
        provider.shutdown()


def test_what_waits_does_not_depend_on_who_asks(uri: str) -> None:
    keys = set()
    for settings in (Settings(uri), Settings(uri, experiment_id="0", token="t"), Settings(uri, username="u")):
        exporter = LoggedModelExporter(mlflow=settings)
        keys.add((destination_of(exporter.wrapped).key, TrackingExporter(settings).destination.key))
        exporter.shutdown()
    assert len(keys) == 1
    assert TrackingExporter(Settings(uri, experiment_name="x")).destination.key not in keys.pop()


def test_a_workspace_goes_with_spans_and_questions_and_is_another_place(monkeypatch, provider) -> None:
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
    monkeypatch.setattr(Server, "experiment_id", "3")
    with HttpFarEnd() as server:
        settings = Settings.from_environment(server.traces_endpoint.removesuffix("/v1/traces"))
        exporting(provider, LoggedModelExporter(mlflow=settings))
        provider.get_tracer("test").start_span("root").end()
        (request,) = [request for request in server.requests if request.names == ["root"]]
        assert request.headers["x-mlflow-workspace"] == "team-a"
        provider.shutdown()
    other = TrackingExporter(dataclasses.replace(settings, workspace="team-b")).destination.key
    none = TrackingExporter(dataclasses.replace(settings, workspace=None)).destination.key
    assert len({TrackingExporter(settings).destination.key, other, none}) == 3


def test_spans_wait_as_long_as_mlflows_variable_says(monkeypatch, uri: str) -> None:
    for variable, seconds in ((None, 30.0), ("0.3", 0.3)):
        if variable is not None:
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", variable)
        exporter = LoggedModelExporter(mlflow=Settings.from_environment(uri))
        assert sender_of(exporter.wrapped).timeout == seconds
        exporter.shutdown()


# instrument()


def test_instrumenting_has_the_server_told_once(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_MLFLOW", uri)
    provider = TracerProvider(shutdown_on_exit=False)
    inner = [ScriptedExporter(), ScriptedExporter()]
    for exporter in inner:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    assert otel_loggedmodel.instrument(provider)
    make_spans(provider)
    exporters = [
        processor.span_exporter
        for processor in provider._active_span_processor._span_processors
        if isinstance(processor, SimpleSpanProcessor)
    ]
    assert [type(exporter) for exporter in exporters] == [LoggedModelExporter] * 2
    assert kept(exporters[0]) == (2, 2)
    assert exporters[0]._tracking is exporters[1]._tracking
    assert [any(span.name == "root" for batch in one.batches for span in batch) for one in inner] == [True, True]
    provider.shutdown()


def test_where_no_traces_can_be_linked_that_is_said(monkeypatch: pytest.MonkeyPatch, uri: str, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_MLFLOW", uri)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ScriptedExporter()))
    assert otel_loggedmodel.instrument(provider, ScriptedExporter())
    (message,) = caplog.messages
    assert message.startswith("OTEL_LOGGEDMODEL_MLFLOW links no traces here")
    provider.shutdown()


def test_declarative_configuration_names_the_server(uri: str, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.configuration", reason="needs opentelemetry-configuration, of newer releases")
    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "mlflow-server.md").read_text(), re.DOTALL)
    (tmp_path / "otel.yaml").write_text(block.replace("http://localhost:5000", uri))
    application = """
from opentelemetry import trace
processors = trace.get_tracer_provider()._active_span_processor._span_processors
(exporter,) = [one._batch_processor._exporter for one in processors if hasattr(one, "_batch_processor")]
print(type(exporter).__name__, exporter.wrapped._endpoint, exporter._tracking is not None)
"""
    variables = {"OTEL_CONFIG_FILE": str(tmp_path / "otel.yaml"), "OTEL_LOGGEDMODEL_SPOOL": "0"}
    assert instrumented("", application, **variables) == f"LoggedModelExporter {uri}/v1/traces True\n"


def test_nothing_of_it_is_imported_where_there_is_no_server(tmp_path: Path) -> None:
    imported = imported_by("import otel_loggedmodel as o; o.LoggedModelExporter()")
    assert not {name for name in imported if name.startswith("otel_loggedmodel.mlflow_server")}
