# SPDX-License-Identifier: Apache-2.0
"""Whatever tracer provider, processor or exporter it meets, this library neither hangs nor breaks an application.

Each case is a process of its own, which is killed if it has not ended in time. What it has to do without this library,
it has to do with it; times are bounds that a hang would exceed, and no measurements.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from effort import some

HARD_SECONDS = 120
SET_UP = """
import os, signal, sys, threading, time
import otel_loggedmodel as mlflow
from doubles import ScriptedExporter
from odd_providers import *
from opentelemetry import trace

memory = ScriptedExporter()

def names():
    return [span.name for batch in memory.batches for span in batch]

def took(work, *arguments):
    started = time.monotonic()
    work(*arguments)
    return time.monotonic() - started

def work(provider):
    mlflow.set_active_model("my-agent")
    with provider.get_tracer("x").start_as_current_span("answer"):
        pass
"""
EXPORTED = ["logged_model.created", "logged_model.activated", "answer"]


def run(program: str, **environment: str) -> str:
    """Run a program to its end; what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SET_UP + textwrap.dedent(program)],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent),
            # Nothing listens there.
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=HARD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.strip()


PROVIDERS = {
    "locks": "provider = Locking(); provider.add_span_processor(batching(memory))",
    "not hashable": "provider = Proxy(); provider.add_span_processor(batching(memory))",
    "replaces": "provider = Replacing(batching(memory))",
    "raises": "provider = Raising(); provider._active_span_processor.add_span_processor(batching(memory))",
}
ENDINGS = {
    "flush": "assert took(provider.force_flush, 500) < 20; print(names()); os._exit(0)",
    "shutdown": "assert took(provider.shutdown) < 20; print(names()); os._exit(0)",
    "exit": "import atexit; atexit._run_exitfuncs(); print(names())",
    "signal": """
        signal.signal(signal.SIGTERM, lambda *_: (provider.force_flush(500), print(names()), os._exit(0)))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    """,
    "fork": """
        child = os.fork()
        if child == 0:
            work(provider)
            provider.force_flush(500)
            print(names(), flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        os._exit(0)
    """,
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_records_and_spans_go_out_and_nobody_waits_for_ever(provider: str, ending: str) -> None:
    program = f"{PROVIDERS[provider]}\ntrace.set_tracer_provider(provider)\nassert mlflow.instrument()\n"
    if ending != "fork":
        program += "work(provider)\n"
    assert run(program + textwrap.dedent(ENDINGS[ending])) == str(EXPORTED)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_instrumenting_by_entry_point_extends_it_too(provider: str) -> None:
    program = f"{PROVIDERS[provider]}\ntrace.set_tracer_provider(provider)\n"
    program += """
from otel_loggedmodel.instrumentor import LoggedModelInstrumentor
LoggedModelInstrumentor().instrument()
assert LoggedModelInstrumentor().is_instrumented_by_opentelemetry
work(provider)
provider.force_flush(500)
print(names())
LoggedModelInstrumentor().uninstrument()
os._exit(0)
"""
    assert run(program) == str(EXPORTED)


@pytest.mark.parametrize("kind", ["RaisingAndClosed()", "object()", "None.__class__"])
def test_what_cannot_be_extended_is_told_of_and_left_alone(kind: str) -> None:
    run(f"assert mlflow.instrument({kind}) is False")


def test_a_provider_that_shows_nothing_is_extended_once() -> None:
    program = """
    provider = Closed()
    provider.add_span_processor(batching(memory))
    for _ in range(3):
        assert mlflow.instrument(provider)
    mlflow.set_active_model("my-agent")
    span = provider.get_tracer("x").start_span("answer")
    print(len(span.links))
    span.end()
    provider.force_flush(500)
    assert names() == ["answer"]
    os._exit(0)
    """
    assert run(program) == "1"


def test_a_vendor_that_replaces_processors_later_replaces_its_own() -> None:
    """Ours goes in again, and what comes in place of the vendor's delivers records, too."""
    program = """
    provider = Replacing(batching(ScriptedExporter()))
    assert mlflow.instrument(provider)
    provider.add_span_processor(batching(memory))
    work(provider)
    provider.force_flush(500)
    print(names())
    os._exit(0)
    """
    assert run(program) == str(EXPORTED)


# Processors


def test_a_processor_that_is_not_the_sdks_keeps_its_exporter() -> None:
    program = """
    exporter = Initialised()
    provider = TracerProvider()
    provider.add_span_processor(processor := OwnExporterProcessor(exporter))
    assert mlflow.instrument(provider, memory)
    work(provider)
    provider.force_flush(60_000)
    assert processor._exporter is exporter
    print(exporter.initialised, [span.name for batch in exporter.batches for span in batch], names())
    os._exit(0)
    """
    assert run(program) == f"1 ['answer'] {EXPORTED[:2]}"


def test_what_a_processor_asks_its_exporter_for_is_answered_by_it() -> None:
    program = """
    provider = TracerProvider()
    provider.add_span_processor(InitialisingProcessor(exporter := Initialised()))
    assert mlflow.instrument(provider)
    work(provider)
    print(exporter.initialised, [span.name for batch in exporter.batches for span in batch])
    os._exit(0)
    """
    assert run(program) == f"1 {EXPORTED}"


def test_nothing_listens_where_records_would_go() -> None:
    """Where no exporter shows, records go to the default address. What does not get there is kept, not waited for."""
    program = """
    import logging
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    provider = TracerProvider()
    provider.add_span_processor(silent := Silent())
    assert mlflow.instrument(provider) and mlflow.instrument(provider)
    work(provider)
    seconds = took(provider.force_flush, 500), took(provider.shutdown)
    assert silent.ended == ["answer"]
    assert seconds[0] < 5 and seconds[1] < 10, seconds
    """
    told = [line for line in run(program).splitlines() if "by themselves" in line]
    assert told == [
        "nothing shows through what opentelemetry.sdk.trace.TracerProvider exports: the records of versions go to "
        "http://127.0.0.1:9/v1/traces by themselves; pass instrument(exporter=...) to send them elsewhere"
    ]


# Exporters


EXPORTERS = {"blocks": "Blocking()", "blocks to the end": "BlockingToTheEnd()", "raises": "RaisingExporter()"}


@pytest.mark.parametrize("exporter", some(list(EXPORTERS)))
@pytest.mark.parametrize("ending", ["flush", "exit", "signal"])
def test_records_for_an_exporter_of_their_own_are_not_waited_for(exporter: str, ending: str) -> None:
    program = f"""
    provider = TracerProvider()
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor({EXPORTERS[exporter]}))
    provider.add_span_processor(batching(memory))
    work(provider)
    """
    assert run(textwrap.dedent(program) + textwrap.dedent(ENDINGS[ending])) == "['answer']"


@pytest.mark.parametrize("exporter", some(["Blocking()", "RaisingExporter()"]))
def test_records_without_spans_are_not_waited_for(exporter: str) -> None:
    """Without this library, these exporters would have nothing to do."""
    program = f"""
    provider = TracerProvider()
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(batching(mlflow.LoggedModelExporter({exporter})))
    mlflow.create_external_model("my-agent")
    assert took(provider.force_flush, 500) < 20
    {"" if exporter == "Blocking()" else "os._exit(0)"}
    """
    run(program)


def test_an_exporter_that_returns_nothing_has_taken_what_it_got() -> None:
    program = """
    provider = TracerProvider()
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(batching(mlflow.LoggedModelExporter(nothing := Nothing())))
    work(provider)
    provider.force_flush(500)
    provider.force_flush(500)
    print(nothing.exported)
    """
    assert run(program) == str(EXPORTED)


def test_a_signal_in_the_middle_of_an_export_is_handled_at_once() -> None:
    """The export cannot go on before the handler returns, so the handler must not wait for it."""
    program = """
    class Interrupted(ScriptedExporter):
        def export(self, spans):
            os.kill(os.getpid(), signal.SIGTERM)
            return super().export(spans)

    seconds = []
    signal.signal(signal.SIGTERM, lambda *_: seconds.append(took(provider.force_flush, 30_000)))
    provider = TracerProvider()
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(mlflow.LoggedModelExporter(Interrupted())))
    work(provider)
    assert seconds and max(seconds) < 10, seconds
    """
    run(program)
