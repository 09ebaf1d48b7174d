# SPDX-License-Identifier: Apache-2.0
"""Messages of the official instrumentations on the trace page, whether they come on spans or as log records."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .backend import Backend, running_backend
from .openai_server import ANSWER, OpenAIServer
from .servers import telemetry_to
from .situations import Page, run_in_shell

QUESTION = "What is the answer?"
# The instrumentations share a name, by which none of them could be chosen.
APPLICATION = f"""
    import openai
    from opentelemetry.instrumentation.{{module}} import OpenAIInstrumentor

    OpenAIInstrumentor().instrument()
    openai.OpenAI().chat.completions.create(
        model="gpt-4o", messages=[{{{{"role": "user", "content": {QUESTION!r}}}}}]
    )
"""
EXPERIMENTAL = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
MODES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "openai-v2, EVENT_ONLY": (
        "openai_v2",
        {CAPTURE: "EVENT_ONLY", **EXPERIMENTAL},
        ["gen_ai.client.inference.operation.details"],
    ),
    "genai-openai, SPAN_ONLY": ("genai.openai", {CAPTURE: "SPAN_ONLY", **EXPERIMENTAL}, []),
    "genai-openai, EVENT_ONLY": (
        "genai.openai",
        {CAPTURE: "EVENT_ONLY", **EXPERIMENTAL},
        ["gen_ai.client.inference.operation.details"],
    ),
    "genai-openai, SPAN_AND_EVENT": (
        "genai.openai",
        {CAPTURE: "SPAN_AND_EVENT", **EXPERIMENTAL},
        ["gen_ai.client.inference.operation.details"],
    ),
}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running_backend(tmp_path_factory.mktemp("backend")) as backend:
        yield backend


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        yield server


def run(application: str, backend: Backend, version: str, **variables: str) -> None:
    """Run an application without a line of ours in it; nothing complains."""
    command = [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, "-c", application]
    done = subprocess.run(
        command,
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            # The distribution exports metrics by default, too.
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai,httpx,requests,urllib3",
            "MLFLOW_ACTIVE_MODEL_ID": version,
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def events_of(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for span in trace["spans"] for event in span["events"]]


@pytest.mark.parametrize(("module", "variables", "expected"), MODES.values(), ids=MODES)
def test_messages_are_shown_once_however_they_come(
    backend: Backend, server: OpenAIServer, module: str, variables: dict[str, str], expected: list[str]
) -> None:
    version = f"{module}-{variables[CAPTURE]}"
    environment = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "planted", **variables}
    run(textwrap.dedent(APPLICATION).format(module=module), backend, version, **environment)
    (summary,) = backend.traces(version)
    trace = backend.trace(summary["trace_id"])
    found = events_of(trace)
    assert sorted(event["name"] for event in found) == expected
    assert {event["attributes"]["logged_model.id"] for event in found} <= {version}
    page = backend.trace_page(summary["trace_id"], summary["span_id"])
    conversation = page.partition("<h3>Messages")[2].partition("<details")[0] or page
    assert QUESTION in conversation
    assert "".join(ANSWER) in conversation


EVALUATED = """
    import asyncio
    from dataclasses import dataclass

    from opentelemetry import trace
    from pydantic_evals.evaluators import Evaluator, EvaluatorContext
    from pydantic_evals.online import evaluate, wait_for_evaluations

    @dataclass
    class SaysSomething(Evaluator):
        def evaluate(self, context: EvaluatorContext) -> bool:
            return bool(context.output)

    @dataclass
    class Length(Evaluator):
        def evaluate(self, context: EvaluatorContext) -> float:
            return float(len(context.output))

    @dataclass
    class Broken(Evaluator):
        def evaluate(self, context: EvaluatorContext) -> float:
            raise ValueError("no")

    @evaluate(SaysSomething(), Length(), Broken())
    async def answer(length: int) -> str:
        return "x" * length

    async def main() -> None:
        for length in (0, 4):
            with trace.get_tracer("application").start_as_current_span("request"):
                await answer(length)
        await wait_for_evaluations()

    asyncio.run(main())
"""


def test_scores_of_pydantics_online_evaluations_count(backend: Backend) -> None:
    """They are sent as log records alone, in the background, when the span that they are about has ended."""
    run(textwrap.dedent(EVALUATED), backend, "evaluated online")
    scores = backend.numbers("evaluated online")["scores"]
    assert {name: (score["mean"], score["count"]) for name, score in scores.items()} == {
        "SaysSomething": (0.5, 2),
        "Length": (2.0, 2),
        "Broken": (None, 0),
    }
    shown = sorted(one["scores"]["Length"] for one in backend.traces("evaluated online"))
    assert shown == [0.0, 4.0]


PAGE = Page("logs")
TRACED = """
from opentelemetry import trace
from opentelemetry._logs import LogRecord, get_logger
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

traces = TracerProvider()
traces.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
traces.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
with otel_loggedmodel.use_model("page-by-hand"), traces.get_tracer("app").start_as_current_span("request"):
    get_logger("app").emit(LogRecord(body="said by hand", event_name="app.said"))
provider.shutdown()
traces.shutdown()
"""
LOGGING = """
import logging

from opentelemetry import trace

with trace.get_tracer("app").start_as_current_span("request"):
    logging.getLogger("app").warning("said by logging")
"""


def run_by_itself(program: str, backend: Backend, **variables: str) -> str:
    """Run a program that sets everything up itself; what it wrote to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=telemetry_to(backend.url, **variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return done.stderr


def events_of_version(backend: Backend, version: str) -> list[dict[str, Any]]:
    (found,) = backend.traces(version)
    return events_of(backend.trace(found["trace_id"]))


def test_a_logger_provider_of_ones_own_as_the_page_has_it(backend: Backend) -> None:
    assert run_by_itself(PAGE.python[0] + TRACED, backend) == ""
    assert [event["name"] for event in events_of_version(backend, "page-by-hand")] == ["app.said"]


def test_the_standard_librarys_logging_as_the_page_has_it(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(LOGGING)
    run_in_shell(PAGE.console[0], tmp_path, {**telemetry_to(backend.url), "MLFLOW_ACTIVE_MODEL_ID": "page-logging"})
    (event,) = events_of_version(backend, "page-logging")
    assert "said by logging" in str(event)


def test_the_filter_and_the_feedback_of_the_page(backend: Backend) -> None:
    program = f'{PAGE.python[1]}\nlogging.getLogger("app").warning("in a line")\n{PAGE.python[2]}'
    written = run_by_itself(program, backend, MLFLOW_ACTIVE_MODEL_ID="page-filter")
    assert "page-filter in a line" in written


MEASURED = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader], views=[View(instrument_name="too.many", attribute_keys={"route"})]))
"""
FOUND = """
with otel_loggedmodel.use_model(model_id="second"):
    orders.add(1, {"logged_model.id": otel_loggedmodel.get_active_model_id() or "none"})
    many = metrics.get_meter("shop").create_counter("too.many")
    many.add(1, {"route": "/", "logged_model.id": otel_loggedmodel.get_active_model_id() or "none"})
(resource,) = reader.get_metrics_data().resource_metrics
for metric in resource.scope_metrics[0].metrics:
    print(metric.name, sorted(str(dict(point.attributes)) for point in metric.data.data_points))
"""


def test_a_version_as_an_attribute_of_a_metric_as_the_page_has_it() -> None:
    program = MEASURED + textwrap.dedent(PAGE.python[3]) + FOUND
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MLFLOW_ACTIVE_MODEL_ID": "first"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        """shop.orders ["{'logged_model.id': 'first'}", "{'logged_model.id': 'second'}"]""",
        """too.many ["{'route': '/'}"]""",
    ]
