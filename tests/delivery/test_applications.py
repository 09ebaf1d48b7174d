# SPDX-License-Identifier: Apache-2.0
"""Applications that know nothing of all this: they do not wait, and lose nothing, with no line of code about it."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import otel_loggedmodel as mlflow
from otel_loggedmodel import instrumentor

from .far_end import Answer, FarEnd, HttpFarEnd, far_end
from .spans import make_spans


def run_program(program: str, server: FarEnd, protocol: str, *, instrumented: bool = False, **environment: str) -> str:
    """Run a program to its end; what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(program)]
    if instrumented:
        command.insert(0, str(Path(sys.executable).with_name("opentelemetry-instrument")))
    standard = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": server.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": {"http": "http/protobuf", "grpc": "grpc"}[protocol],
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    done = subprocess.run(
        command, env={**os.environ, **standard, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def server(protocol: str) -> Iterator[FarEnd]:
    with far_end(protocol) as server:
        yield server


APPLICATION = """
import os
from opentelemetry import trace

trace.get_tracer("app").start_span(os.environ["SPAN"]).end()
"""


def test_with_no_code_at_all_the_next_process_delivers_what_one_could_not(server: FarEnd, protocol: str) -> None:
    server.stop()
    version = {"MLFLOW_ACTIVE_MODEL_ID": "my-agent-v1.0"}
    run_program(APPLICATION, server, protocol, instrumented=True, SPAN="first", **version)
    server.start()
    run_program(APPLICATION, server, protocol, instrumented=True, SPAN="second", **version)
    assert sorted(server.names) == ["first", "logged_model.activated", "logged_model.activated", "second"]
    assert set(server.taken.values()) == {1}


def test_an_application_does_not_wait_for_a_far_end_that_hangs() -> None:
    program = """
        import time
        from opentelemetry import trace
        import otel_loggedmodel

        otel_loggedmodel.instrument()
        otel_loggedmodel.set_active_model("agent")
        tracer = trace.get_tracer("app")
        longest = 0.0
        for number in range(2000):
            began = time.perf_counter()
            with tracer.start_as_current_span(f"a-{number}"):
                pass
            longest = max(longest, time.perf_counter() - began)
            time.sleep(0.001)
        print(longest)
    """
    with HttpFarEnd() as server:
        server.answer(Answer(delay=60))
        longest = float(run_program(program, server, "http", OTEL_BSP_SCHEDULE_DELAY="100", PYTHONWARNINGS="error"))
    assert longest < 5  # a busy machine leaves a process aside for a second, and the far end says nothing for ten


def test_an_application_that_ends_while_the_far_end_hangs_ends_soon_and_loses_nothing(tmp_path: Path) -> None:
    program = """
        from opentelemetry import trace
        import otel_loggedmodel

        otel_loggedmodel.instrument()
        for number in range(2000):
            trace.get_tracer("app").start_span(f"a-{number}").end()
    """
    with HttpFarEnd() as server:
        server.answer(Answer(503, delay=60))
        run_program(program, server, "http", OTEL_LOGGEDMODEL_SPOOL_DIR=str(tmp_path))
        server.answer(Answer())
        run_program(program.replace("2000", "1"), server, "http", OTEL_LOGGEDMODEL_SPOOL_DIR=str(tmp_path))
        names = [name for name in server.names if not name.startswith("logged_model.")]
    assert len(names) == 2001
    assert set(names) == {f"a-{number}" for number in range(2000)}


def test_taking_the_library_out_again_leaves_what_waits_on_disk(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_DIR", str(tmp_path))
    with HttpFarEnd() as server:
        provider = TracerProvider(shutdown_on_exit=False)
        processor = SimpleSpanProcessor(OTLPSpanExporter(server.traces_endpoint, timeout=2))
        provider.add_span_processor(processor)
        ours = instrumentor.LoggedModelInstrumentor()
        ours.instrument(tracer_provider=provider)
        tracer = provider.get_tracer("app")
        server.answer(Answer(503))
        tracer.start_span("kept").end()
        ours.uninstrument(tracer_provider=provider)
        server.answer(Answer())
        tracer.start_span("direct").end()
        assert server.names == ["direct"]
        later = mlflow.LoggedModelExporter(OTLPSpanExporter(server.traces_endpoint), spool_dir=tmp_path)
        later.export(make_spans("fresh"))
        server.wait_for_spans(3)
        later.shutdown()
        provider.shutdown()
    assert sorted(server.names) == ["direct", "fresh", "kept"]
