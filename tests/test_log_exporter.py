# SPDX-License-Identifier: Apache-2.0
"""LoggedModelLogRecordExporter: log records are stamped by one call, and outlive an outage and a process."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import _logs, context
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import otel_loggedmodel as mlflow
from log_doubles import Memory, make_record
from log_far_end import GrpcLogFarEnd, LogFarEnd, attributes
from otel_loggedmodel import _logger_providers
from otel_loggedmodel.delivery import log_payloads
from otel_loggedmodel.delivery.destinations import destination_of
from otel_loggedmodel.delivery.log_types import LogRecordExporter, LogRecordExportResult
from otel_loggedmodel.delivery.spool_survey import survey
from otel_loggedmodel.instrumentor import LoggedModelInstrumentor
from waiting import wait_until


def provider_with(*exporters: Any) -> LoggerProvider:
    provider = LoggerProvider(shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    return provider


def say(provider: LoggerProvider, *bodies: str) -> None:
    for body in bodies:
        provider.get_logger("test").emit(make_record(body=body, attributes={"n": 1}))


def test_what_a_backend_does_not_take_is_kept_and_delivered_when_it_does(tmp_path: Path) -> None:
    with LogFarEnd() as far_end:
        exporter = mlflow.LoggedModelLogRecordExporter(OTLPLogExporter(far_end.logs_endpoint), spool_dir=tmp_path)
        provider = provider_with(exporter)
        far_end.status = 503
        say(provider, "a", "b")
        assert exporter.pending.spans == 2
        (waiting,) = survey(tmp_path)
        assert (waiting.endpoint, waiting.signal) == (far_end.logs_endpoint, "logs")
        far_end.status = 200
        assert exporter.force_flush()
        assert sorted(record.body.string_value for record in far_end.records) == ["a", "b"]
        assert not exporter.pending
        provider.shutdown()


@pytest.mark.skipif(
    not hasattr(context, "_ON_EMIT_RECURSION_COUNT_KEY"), reason="older processors do not tell that they emit"
)
@pytest.mark.filterwarnings("ignore:.*LoggingHandler:DeprecationWarning")
def test_what_is_logged_while_records_are_delivered_does_not_make_more_of_them(tmp_path: Path) -> None:
    """As by urllib3 where everything is logged, and by a processor that exports each record at once."""
    from opentelemetry.sdk._logs import LoggingHandler

    with LogFarEnd() as far_end:
        far_end.status = 503
        exporter = mlflow.LoggedModelLogRecordExporter(OTLPLogExporter(far_end.logs_endpoint), spool_dir=tmp_path)
        provider = provider_with(exporter)
        root, level = logging.getLogger(), logging.getLogger().level
        handler = LoggingHandler(logger_provider=provider)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            for number in range(3):
                logging.getLogger("application").warning("said %d", number)
            assert exporter.pending.spans == 3
            far_end.status = 200
            assert exporter.force_flush()
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
        assert sorted(record.body.string_value for record in far_end.records) == ["said 0", "said 1", "said 2"]
        provider.shutdown()


def test_a_later_process_delivers_what_an_earlier_one_could_not(tmp_path: Path) -> None:
    with LogFarEnd() as far_end:
        far_end.status = 503
        first = mlflow.LoggedModelLogRecordExporter(OTLPLogExporter(far_end.logs_endpoint), spool_dir=tmp_path)
        provider = provider_with(first)
        say(provider, "early")
        provider.shutdown()
        far_end.status = 200
        second = mlflow.LoggedModelLogRecordExporter(OTLPLogExporter(far_end.logs_endpoint), spool_dir=tmp_path)
        provider = provider_with(second)
        say(provider, "late")
        second.force_flush()
        assert sorted(record.body.string_value for record in far_end.records) == ["early", "late"]
        provider.shutdown()


def test_over_grpc_they_go_to_the_service_of_logs(tmp_path: Path) -> None:
    with GrpcLogFarEnd() as far_end:
        exporter = mlflow.LoggedModelLogRecordExporter(
            GrpcExporter(endpoint=far_end.endpoint, insecure=True), spool_dir=tmp_path
        )
        provider = provider_with(exporter)
        say(provider, "a")
        assert [record.body.string_value for record in far_end.records] == ["a"]
        provider.shutdown()


def test_spans_and_log_records_for_one_address_do_not_wait_in_one_place() -> None:
    spans = GrpcSpanExporter(endpoint="http://127.0.0.1:1", insecure=True)
    logs = GrpcExporter(endpoint="http://127.0.0.1:1", insecure=True)
    assert destination_of(spans).key != destination_of(logs).key
    spans.shutdown()
    logs.shutdown()


class _Refusing(LogRecordExporter):
    """Of another protocol: it says no more than FAILURE at first."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.is_away = True

    def export(self, batch: Any) -> Any:
        if self.is_away:
            return LogRecordExportResult.FAILURE
        self.taken += batch
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def test_an_exporter_of_another_protocol_gets_records_back_from_the_disk(tmp_path: Path) -> None:
    inner = _Refusing()
    exporter = mlflow.LoggedModelLogRecordExporter(inner, spool_dir=tmp_path)
    provider = provider_with(exporter)
    mlflow.set_active_model(model_id="v1")
    provider.get_logger("test", "1.2").emit(make_record(body={"nested": [1, "two"]}, attributes={"k": "v"}))
    inner.is_away = False
    exporter.force_flush()
    (data,) = inner.taken
    assert data.log_record.body == {"nested": (1, "two")}
    assert dict(data.log_record.attributes) == {"k": "v"}
    assert data.instrumentation_scope.version == "1.2"
    assert log_payloads.halves(log_payloads.encoded([data, data])) == [(log_payloads.encoded([data]), 1)] * 2
    provider.shutdown()


def test_health_metrics_count_log_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from otel_loggedmodel.delivery.destinations import unnamed_destination_of
    from otel_loggedmodel.delivery.durable import DurableExporter
    from otel_loggedmodel.delivery.signals import log_records

    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    memory = Memory()
    durable = DurableExporter(
        memory, tmp_path, unnamed_destination_of(memory), meter_provider=meters, signal=log_records()
    )
    provider = provider_with(durable)
    say(provider, "a", "b")
    provider.shutdown()
    found = {
        metric.name: (metric.unit, [point.value for point in metric.data.data_points])
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert found["otel.sdk.exporter.log.exported"] == ("{log_record}", [2])
    meters.shutdown()


@pytest.mark.parametrize("wrong", [OTLPLogExporter, object()])
def test_what_is_no_exporter_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="no exporter of log records"):
        mlflow.LoggedModelLogRecordExporter(wrong)


# Set-ups in one call, or in none


def test_one_call_stamps_the_records_of_a_provider_and_keeps_them(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_DIR", str(tmp_path))
    with LogFarEnd() as far_end:
        inner = OTLPLogExporter(far_end.logs_endpoint)
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(inner))
        provider.add_log_record_processor(BatchLogRecordProcessor(inner))
        simple, _ = provider._multi_log_record_processor._log_record_processors
        assert _logger_providers.extend(provider)
        assert _logger_providers.extend(provider)
        late = Memory()
        provider.add_log_record_processor(SimpleLogRecordProcessor(late))
        mlflow.set_active_model(model_id="v1")
        say(provider, "a")
        provider.force_flush()
        assert [attributes(record)["logged_model.id"] for record in far_end.records] == ["v1", "v1"]
        assert late.versions == ["v1"]
        # One that exports on the application's thread stays as it is.
        assert simple._exporter is inner
        multi = provider._multi_log_record_processor
        multi._log_record_processors = tuple(one for one in multi._log_record_processors if one is not simple)
        far_end.status = 503
        say(provider, "b")
        provider.force_flush(10)
        wait_until(lambda: [one.signal for one in survey(tmp_path)] == ["logs"])
        _logger_providers.restore(provider)
        say(provider, "c")
        assert late.versions[-1] is None
        provider.shutdown()


def test_instrument_takes_a_logger_provider_and_leaves_others_alone(make_traced) -> None:
    memory = Memory()
    provider = provider_with(memory)
    mlflow.set_active_model(model_id="v1")
    traced = make_traced()
    mlflow.instrument(traced.provider)
    assert not _logger_providers.is_stamping(provider)
    LoggedModelInstrumentor().instrument(tracer_provider=traced.provider, logger_provider=provider)
    say(provider, "a")
    assert memory.versions == ["v1"]
    LoggedModelInstrumentor().uninstrument(tracer_provider=traced.provider, logger_provider=provider)
    assert not _logger_providers.is_stamping(provider)
    provider.shutdown()


def test_a_provider_that_stands_for_the_sdks_is_seen_through() -> None:
    """As logfire's proxy."""

    class Proxy(_logs.NoOpLoggerProvider):
        def __init__(self, provider: LoggerProvider) -> None:
            self.provider = provider

    memory = Memory()
    provider = provider_with(memory)
    mlflow.set_active_model(model_id="v1")
    assert _logger_providers.extend(Proxy(provider))
    say(provider, "a")
    _logger_providers.restore(Proxy(provider))
    say(provider, "b")
    assert memory.versions == ["v1", None]
    provider.shutdown()


def test_a_provider_of_somebody_elses_is_left_alone() -> None:
    assert not _logger_providers.extend(_logs.NoOpLoggerProvider())


_LATE = """
import otel_loggedmodel
from opentelemetry import _logs, context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
otel_loggedmodel.instrument()
otel_loggedmodel.set_active_model(model_id="v1")
provider = LoggerProvider()
_logs.set_logger_provider(provider)
provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
from log_doubles import make_record
record = make_record(body="late")
_logs.get_logger("x").emit(record)
assert otel_loggedmodel._logger_providers.is_stamping()
provider.shutdown()
"""
_APPLICATION = """
import logging
from opentelemetry import trace
with trace.get_tracer("app").start_as_current_span("request"):
    logging.getLogger("app").warning("in the span")
"""


# OpenTelemetry's handler for `logging` begins a thread to flush, which with Python 3.12 cannot be done as the
# interpreter ends.
_UNFLUSHED = re.compile(
    r"Exception ignored in atexit callback: <function shutdown .*?can't create new thread at interpreter shutdown\n",
    re.DOTALL,
)


def _run(endpoint: str, *command: str, **environment: str) -> None:
    done = subprocess.run(
        list(command),
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in _UNFLUSHED.sub("", done.stderr), done.stderr


def test_a_provider_that_is_set_after_the_call_is_extended() -> None:
    with LogFarEnd() as far_end:
        _run(far_end.endpoint, sys.executable, "-c", _LATE, PYTHONPATH=str(Path(__file__).parent))
        assert far_end.versions == {"late": "v1"}


def _instrumented(endpoint: str, application: str = _APPLICATION, **environment: str) -> None:
    command = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    _run(endpoint, command, sys.executable, "-c", application, MLFLOW_ACTIVE_MODEL_ID="v1", **environment)


def test_zero_code_with_the_standard_librarys_logging() -> None:
    with LogFarEnd() as far_end:
        _instrumented(
            far_end.endpoint,
            OTEL_LOGS_EXPORTER="otlp",
            OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED="true",
            OTEL_TRACES_EXPORTER="otlp",
        )
        assert far_end.versions["in the span"] == "v1"


def test_the_exporter_by_name() -> None:
    with LogFarEnd() as far_end:
        _instrumented(
            far_end.endpoint,
            OTEL_LOGS_EXPORTER="loggedmodel",
            OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED="true",
            OTEL_TRACES_EXPORTER="none",
        )
        assert far_end.versions["in the span"] == "v1"


_EVENT = """
from opentelemetry import _logs, context
_logs.get_logger("app").emit(_logs.LogRecord(body="an event", event_name="app.thing"))
"""
_CONFIG = """\
file_format: "1.0"
logger_provider:
  processors:
    - simple:
        exporter:
          loggedmodel: {{}}
tracer_provider:
  processors:
    - batch:
        exporter:
          otlp_http:
            endpoint: {endpoint}/v1/traces
instrumentation/development:
  python:
    loggedmodel: {{}}
"""


def test_declarative_configuration(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.configuration", reason="needs opentelemetry-configuration, of newer releases")
    file = tmp_path / "otel.yaml"
    with LogFarEnd() as far_end:
        file.write_text(_CONFIG.format(endpoint=far_end.endpoint))
        _instrumented(far_end.endpoint, _EVENT, OTEL_CONFIG_FILE=str(file))
        assert far_end.versions == {"an event": "v1"}


def test_a_command_shows_delivers_and_exports_what_waits(tmp_path: Path) -> None:
    pytest.importorskip("typer", reason="the commands come with the extra `server`")
    command = str(Path(sys.executable).with_name("otel-loggedmodel"))

    def spool(what: str, *options: str) -> str:
        done = subprocess.run(
            [command, "spool", what, str(tmp_path), *options], capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout

    with LogFarEnd() as far_end:
        far_end.status = 503
        exporter = mlflow.LoggedModelLogRecordExporter(OTLPLogExporter(far_end.logs_endpoint), spool_dir=tmp_path)
        provider = provider_with(exporter)
        say(provider, "kept")
        provider.shutdown()
        (waiting,) = json.loads(spool("status", "--json"))["destinations"]
        assert (waiting["signal"], waiting["spans"]) == ("logs", 1)
        (line,) = spool("export").splitlines()
        (resource_logs,) = json.loads(line)["resourceLogs"]
        assert resource_logs["scopeLogs"][0]["logRecords"][0]["body"] == {"stringValue": "kept"}
        far_end.status = 200
        spool("drain", "--endpoint", far_end.endpoint)
        assert [record.body.string_value for record in far_end.records] == ["kept"]
