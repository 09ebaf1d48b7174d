# SPDX-License-Identifier: Apache-2.0
"""Applications that know nothing of us, under the real `opentelemetry-instrument`."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

import otel_loggedmodel as mlflow
from doubles import ScriptedExporter
from otel_loggedmodel.instrumentor import LoggedModelInstrumentor
from otel_loggedmodel.versions import identity
from otlp_grpc_receiver import OtlpGrpcReceiver
from otlp_receiver import OtlpReceiver, ReceivedSpan
from programs import run

APPLICATION = """
import threading
from opentelemetry import trace

with trace.get_tracer("app").start_as_current_span("request"):
    trace.get_tracer("app").start_span("step").end()
print(sorted(thread.name for thread in threading.enumerate()))
"""


def instrumented(endpoint: str, application: str = APPLICATION, **environment: str) -> str:
    """Run an application under `opentelemetry-instrument`; what it printed."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("opentelemetry-instrument"),
            sys.executable,
            "-c",
            textwrap.dedent(application),
        ],
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "shop",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Traceback" not in done.stderr
    return done.stdout


def ids(spans: list[ReceivedSpan]) -> dict[str, object]:
    return {span.name: span.attributes.get("logged_model.id") for span in spans}


def test_one_environment_variable_links_traces_and_records_the_activation() -> None:
    with OtlpReceiver() as receiver:
        instrumented(receiver.endpoint, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0")
        spans = receiver.spans()
    assert ids(spans) == dict.fromkeys(("logged_model.activated", "request", "step"), "my-agent-v1.0")
    by_name = {span.name: span for span in spans}
    assert by_name["logged_model.activated"].resource["service.name"] == "shop"
    assert by_name["request"].links[0].trace_id == by_name["logged_model.activated"].trace_id
    assert not by_name["step"].links


def test_over_grpc_which_is_the_distros_default() -> None:
    with OtlpGrpcReceiver() as receiver:
        instrumented(receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="grpc", MLFLOW_ACTIVE_MODEL_ID="v1")
        assert set(ids(receiver.spans()).values()) == {"v1"}
        assert len(receiver.spans()) == 3


def test_the_exporter_by_name() -> None:
    with OtlpReceiver() as receiver:
        instrumented(receiver.endpoint, OTEL_TRACES_EXPORTER="loggedmodel", OTEL_LOGGEDMODEL_NAME="my-agent")
        spans = receiver.spans()
    assert sorted(span.name for span in spans) == ["logged_model.activated", "logged_model.created", "request", "step"]
    assert set(ids(spans).values()) == {identity.reference_to("0", "my-agent")}


def test_a_version_made_wholly_from_the_environment() -> None:
    with OtlpReceiver() as receiver:
        instrumented(
            receiver.endpoint,
            OTEL_LOGGEDMODEL_NAME="my-agent",
            OTEL_LOGGEDMODEL_PARAMS="llm=gpt-4o, temperature=0.7",
            OTEL_LOGGEDMODEL_TAGS='{"team": "a,b"}',
            OTEL_LOGGEDMODEL_TYPE="rag",
            MLFLOW_EXPERIMENT_ID="7",
        )
        spans = receiver.spans()
    params = {"llm": "gpt-4o", "temperature": "0.7"}
    expected = identity.model_id_of("7", "my-agent", model_type="rag", params=params, tags={"team": "a,b"})
    assert set(ids(spans).values()) == {expected}
    (created,) = [span for span in spans if span.name == "logged_model.created"]
    assert created.attributes["logged_model.param.temperature"] == "0.7"


def test_what_was_evicted_comes_back_here_too() -> None:
    application = """
        from opentelemetry import trace
        with trace.get_tracer("app").start_as_current_span("request") as span:
            span.set_attributes({f"k{number}": number for number in range(500)})
    """
    with OtlpReceiver() as receiver:
        instrumented(receiver.endpoint, application, MLFLOW_ACTIVE_MODEL_ID="v1")
        assert ids(receiver.spans())["request"] == "v1"


def test_an_application_that_says_its_version_in_code() -> None:
    application = """
        import otel_loggedmodel
        from opentelemetry import trace
        assert otel_loggedmodel.instrument()  # there already: does nothing
        otel_loggedmodel.set_active_model(name="in-code")
        trace.get_tracer("app").start_span("request").end()
    """
    with OtlpReceiver() as receiver:
        instrumented(receiver.endpoint, application, MLFLOW_ACTIVE_MODEL_ID="from-environment")
        spans = receiver.spans()
    assert ids(spans)["request"] == identity.reference_to("0", "in-code")
    assert [span.name for span in spans].count("request") == 1


def test_it_can_be_switched_off() -> None:
    with OtlpReceiver() as receiver:
        instrumented(
            receiver.endpoint, MLFLOW_ACTIVE_MODEL_ID="v1", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="x, loggedmodel"
        )
        assert ids(receiver.spans()) == {"request": None, "step": None}


def test_a_disabled_sdk_stays_disabled() -> None:
    with OtlpReceiver() as receiver:
        instrumented(receiver.endpoint, MLFLOW_ACTIVE_MODEL_ID="v1", OTEL_SDK_DISABLED="true")
        assert receiver.spans() == []


def test_with_nothing_to_do_there_is_no_thread_and_no_record() -> None:
    with OtlpReceiver() as receiver:
        with_us = instrumented(receiver.endpoint)
        without_us = instrumented(receiver.endpoint, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="loggedmodel")
        assert with_us == without_us
        assert ids(receiver.spans()) == {"request": None, "step": None}


def test_no_exporter_means_no_delivery() -> None:
    with OtlpReceiver() as receiver:
        instrumented(receiver.endpoint, MLFLOW_ACTIVE_MODEL_ID="v1", OTEL_TRACES_EXPORTER="none")
        assert receiver.requests() == []


def test_bad_values_are_reported_and_count_as_not_set() -> None:
    program = """
        import logging
        logging.basicConfig(stream=sys.stdout, format="%(message)s", force=True)
        for _ in range(2):
            mlflow.LoggedModelSpanProcessor()
        print(mlflow.get_active_model_id())
    """
    output = run(
        program,
        "http://127.0.0.1:9",
        set_up="import sys\nimport otel_loggedmodel as mlflow\n",
        OTEL_LOGGEDMODEL_NAME="m-" + "a" * 32,
        OTEL_LOGGEDMODEL_PARAMS="temperature",
        OTEL_LOGGEDMODEL_TAGS='{"n": 1}',
        OTEL_LOGGEDMODEL_GIT="maybe",
    )
    assert output.splitlines() == [
        "OTEL_LOGGEDMODEL_NAME is an id and is ignored: set OTEL_LOGGEDMODEL_ID",
        "OTEL_LOGGEDMODEL_PARAMS: OTEL_LOGGEDMODEL_PARAMS is 'temperature': "
        "write key=value,key=value or a JSON object of strings; it is ignored",
        'OTEL_LOGGEDMODEL_TAGS: OTEL_LOGGEDMODEL_TAGS: "n" is int 1: pass "1"; it is ignored',
        "OTEL_LOGGEDMODEL_GIT is 'maybe' and counts as off: write 1 or 0",
        "None",
    ]


def test_a_description_without_a_name_is_reported(monkeypatch, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_PARAMS", "k=v")
    mlflow.LoggedModelSpanProcessor()
    assert "describes a version without naming it, and is ignored: set OTEL_LOGGEDMODEL_NAME" in caplog.text


def test_the_git_checkout_can_be_the_version(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    commands = ("git init -q", "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first")
    for command in commands:
        subprocess.run(command.split(), cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_LOGGEDMODEL_GIT", "1")
    monkeypatch.setenv("OTEL_LOGGEDMODEL_PARAMS", "k=v")
    mlflow.LoggedModelSpanProcessor()
    by_environment = mlflow.get_logged_model(mlflow.get_active_model_id())
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert (by_environment.name, dict(by_environment.params)) == (tmp_path.name, {"k": "v"})
    assert by_environment.tags["vcs.ref.head.revision"] == head
    assert by_environment.tags["git.dirty"] == "false"


# Declarative configuration


PAGE = (Path(__file__).resolve().parent.parent / "docs" / "applications.md").read_text()
(PRINTED,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
WITH_EXPORTER = re.sub(r"otlp_http:\n.*\n", "loggedmodel: {}\n", PRINTED)


@pytest.mark.parametrize("config", [PRINTED, WITH_EXPORTER], ids=["instrumentation", "exporter"])
def test_declarative_configuration_works_as_printed(tmp_path, config: str) -> None:
    pytest.importorskip("opentelemetry.configuration", reason="needs opentelemetry-configuration, of newer releases")
    file = tmp_path / "otel.yaml"
    file.write_text(config)
    with OtlpReceiver() as receiver:
        instrumented(receiver.endpoint, OTEL_CONFIG_FILE=str(file), MLFLOW_ACTIVE_MODEL_ID="v1")
        spans = receiver.spans()
    assert ids(spans) == dict.fromkeys(("logged_model.activated", "request", "step"), "v1")
    assert {span.resource["service.name"] for span in spans} == {"support"}


# In one process


@pytest.fixture
def provider():
    provider = TracerProvider(shutdown_on_exit=False)
    yield provider
    provider.shutdown()


def test_instrument_and_uninstrument(provider) -> None:
    inner, batched = ScriptedExporter(), ScriptedExporter()
    provider.add_span_processor(SimpleSpanProcessor(inner))
    provider.add_span_processor(BatchSpanProcessor(batched))
    before = provider._active_span_processor._span_processors
    mlflow.set_active_model("a")
    instrumentor = LoggedModelInstrumentor()
    for _ in range(2):
        LoggedModelInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
    provider.get_tracer("x").start_span("linked").end()
    provider.force_flush()
    instrumentor.uninstrument(tracer_provider=provider)
    provider.get_tracer("x").start_span("not linked").end()
    provider.force_flush()
    assert provider._active_span_processor._span_processors == before
    for exporter in (inner, batched):
        spans = [span for batch in exporter.batches for span in batch]
        names = ["logged_model.created", "logged_model.activated", "linked", "not linked"]
        assert [span.name for span in spans] == names
        assert "logged_model.id" not in spans[-1].attributes
    assert not inner.is_shut_down


def test_processors_that_are_added_later_deliver_records_too(provider) -> None:
    LoggedModelInstrumentor().instrument(tracer_provider=provider)
    late = ScriptedExporter()
    provider.add_span_processor(SimpleSpanProcessor(late))
    mlflow.set_active_model("a")
    provider.get_tracer("x").start_span("linked").end()
    assert [event for event, _ in late.events] == ["created", "activated"]


@pytest.mark.parametrize("registers_first", [True, False])
def test_a_processor_of_the_application_is_the_only_one_and_stays(provider, registers_first) -> None:
    own, instrumentor = mlflow.LoggedModelSpanProcessor(), LoggedModelInstrumentor()
    if registers_first:
        provider.add_span_processor(own)
    instrumentor.instrument(tracer_provider=provider)
    if not registers_first:
        provider.add_span_processor(own)
    mlflow.set_active_model("a")
    span = provider.get_tracer("x").start_span("entry")
    assert len(span.links) == 1
    span.end()
    instrumentor.uninstrument(tracer_provider=provider)
    assert provider._active_span_processor._span_processors == (own,)


def test_exporters_to_mlflows_server_are_left_alone(provider) -> None:
    exporter = type("MlflowV3SpanExporter", (ScriptedExporter,), {"__module__": "mlflow.tracing.export.mlflow_v3"})()
    LoggedModelInstrumentor().instrument(tracer_provider=provider)
    provider.add_span_processor(processor := SimpleSpanProcessor(exporter))
    mlflow.set_active_model("a")
    provider.get_tracer("x").start_span("linked").end()
    assert processor.span_exporter is exporter
    assert [[span.name for span in batch] for batch in exporter.batches] == [["linked"]]
    assert exporter.batches[0][0].attributes["logged_model.name"] == "a"


LATE = """
    from opentelemetry import trace
    from opentelemetry.trace import set_tracer_provider  # before it is known that anybody will want to hear of it
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from otel_loggedmodel.instrumentor import LoggedModelInstrumentor

    original = trace._set_tracer_provider
    for _ in range(2):
        LoggedModelInstrumentor().instrument()
"""


def test_a_provider_that_the_application_sets_late() -> None:
    program = """
    provider = TracerProvider()
    set_tracer_provider(provider)
    assert trace._set_tracer_provider is original
    assert LoggedModelInstrumentor().is_instrumented_by_opentelemetry
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.get_tracer("x").start_span("request").end()
    """
    with OtlpReceiver() as receiver:
        run(LATE + program, receiver.endpoint, set_up="", MLFLOW_ACTIVE_MODEL_ID="v1")
        assert ids(receiver.spans()) == {"logged_model.activated": "v1", "request": "v1"}


def test_waiting_for_a_provider_can_be_given_up() -> None:
    program = """
    LoggedModelInstrumentor().uninstrument()
    assert trace._set_tracer_provider is original
    set_tracer_provider(TracerProvider())
    assert not LoggedModelInstrumentor().is_instrumented_by_opentelemetry
    """
    run(LATE + program, "http://127.0.0.1:9", set_up="", MLFLOW_ACTIVE_MODEL_ID="v1")


def test_a_provider_that_is_not_the_sdks(caplog) -> None:
    LoggedModelInstrumentor().instrument(tracer_provider=object())
    assert "takes no span processors" in caplog.text
