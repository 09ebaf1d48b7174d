# SPDX-License-Identifier: Apache-2.0
"""MLflow's tracing SDK exports to a real backend, whose numbers are those of the application.

The application is mlflow_application.py, or what docs/mlflow-tracing.md prints.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from otlp_receiver import ReceivedSpan, decode_json, spans_of

from .backend import Backend, running_backend
from .openai_server import CACHED_TOKENS, COMPLETION_TOKENS, PROMPT_TOKENS, OpenAIServer
from .record_mlflow import APPLICATION, RECORDED, application_environment, record
from .servers import BIN, telemetry_to, wait_until
from .situations import Page, run_in_shell
from .telemetry import reference

PAGE = Page("mlflow-tracing")
EXPORTING, WITHOUT_LIBRARY, ZERO_CODE, IN_CODE = PAGE.console
VERSION = "my-agent-v1.0"
# Instrumentations that are installed beside MLflow's, and see the same calls.
OTHERS = "openai,httpx,httpx2"
# List prices of gpt-4o and gpt-4o-mini in US dollars for a million tokens: in, read from the cache, out.
PRICES = {"gpt-4o": (2.5, 1.25, 10.0), "gpt-4o-mini": (0.15, 0.075, 0.6)}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running_backend(tmp_path_factory.mktemp("backend")) as backend:
        yield backend


def list_price(model: str, cached: int = CACHED_TOKENS) -> float:
    taken, read, given = PRICES[model]
    return ((PROMPT_TOKENS - cached) * taken + cached * read + COMPLETION_TOKENS * given) / 1e6


def wait_for(backend: Backend, version: str, traces: int) -> dict[str, Any]:
    """The numbers of a version when it has so many traces."""
    wait_until(lambda: backend.numbers(version).get("traces", 0) >= traces, f"{traces} traces of {version}", 60)
    return backend.numbers(version)


def run_application(environment: Mapping[str, str], *command: str | Path) -> None:
    done = subprocess.run(
        [*command, sys.executable, APPLICATION],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "planted\n"), done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def run_page(lines: str, directory: Path, backend: Backend, openai_server: OpenAIServer) -> str:
    """Run lines of the page, with the variables that it begins with; what was printed."""
    PAGE.write_to(directory)
    environment = telemetry_to("", OPENAI_BASE_URL=openai_server.base_url, OPENAI_API_KEY="planted")
    environment["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = OTHERS
    del environment["OTEL_EXPORTER_OTLP_ENDPOINT"], environment["OTEL_EXPORTER_OTLP_PROTOCOL"]
    exporting = EXPORTING.replace("http://127.0.0.1:4318", backend.url)
    assert exporting != EXPORTING
    return run_in_shell(exporting + lines, directory, environment)


def check_usage(numbers: Mapping[str, Any], cost_usd: float) -> None:
    """See that what MLflow does not tell is not known: a trace of five has an embedding, without tokens there."""
    assert numbers["tokens"]["input"] is None
    assert numbers["tokens"]["output"] == 3 * 5 + 4
    assert numbers["cost_usd"] is None
    # Of the four others.
    assert numbers["tokens"]["input_per_trace"] == (3 * 17 + 3) / 4
    assert numbers["tokens"]["output_per_trace"] == (3 * 5 + 4) / 4
    assert numbers["cost_usd_per_trace"] == pytest.approx(cost_usd / 4)


def test_a_process_without_this_library_is_counted(backend: Backend, openai_server: OpenAIServer) -> None:
    resource = "logged_model.id=agent-of-mlflow,logged_model.name=agent-of-mlflow"
    run_application(application_environment(backend.url, openai_server, OTEL_RESOURCE_ATTRIBUTES=resource))
    numbers = wait_for(backend, "agent-of-mlflow", 5)
    assert (numbers["traces"], numbers["errors"]) == (5, 1)
    # Two calls of the agent, which says their sum itself, the streamed one, and the one that states its cost.
    check_usage(numbers, 2 * list_price("gpt-4o") + list_price("gpt-4o-mini") + 0.25)
    assert numbers["latency_ms"]["p50"] > 0
    traces = {trace["span_name"]: trace for trace in backend.traces("agent-of-mlflow")}
    assert [name for name, trace in traces.items() if trace["error"]] == ["fail"]
    assert (traces["answer"]["input_tokens"], traces["answer"]["output_tokens"]) == (34, 10)
    spans = backend.trace(traces["answer"]["trace_id"])["spans"]
    last = [span for span in spans if span["name"] == "Completions"][-1]
    page = backend.trace_page(last["trace_id"], last["span_id"])
    for said in ("Be brief.", "How is the weather?", "Rain in Bremen.", "The answer is 42."):
        assert said in page


def test_in_the_conventions_tokens_are_the_same(backend: Backend, openai_server: OpenAIServer) -> None:
    run_application(
        application_environment(
            backend.url,
            openai_server,
            MLFLOW_ENABLE_OTEL_GENAI_SEMCONV="true",
            OTEL_RESOURCE_ATTRIBUTES="logged_model.id=agent-in-conventions",
        )
    )
    numbers = wait_for(backend, "agent-in-conventions", 5)
    assert (numbers["traces"], numbers["errors"]) == (5, 1)
    # MLflow leaves cached tokens and the stated cost out.
    stated = (3 * 2.5 + 4 * 10) / 1e6
    expected = 2 * list_price("gpt-4o", cached=0) + list_price("gpt-4o-mini", cached=0) + stated
    check_usage(numbers, expected)


def test_with_opentelemetry_instrument_every_span_is_stamped(backend: Backend, openai_server: OpenAIServer) -> None:
    environment = application_environment(
        backend.url,
        openai_server,
        MLFLOW_USE_DEFAULT_TRACER_PROVIDER="false",
        MLFLOW_ACTIVE_MODEL_ID="agent-without-code",
        OTEL_TRACES_EXPORTER="none",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=OTHERS,
    )
    run_application(environment, BIN / "opentelemetry-instrument")
    numbers = wait_for(backend, "agent-without-code", 5)
    assert (numbers["traces"], numbers["errors"]) == (5, 1)
    check_usage(numbers, 2 * list_price("gpt-4o") + list_price("gpt-4o-mini") + 0.25)


LANGCHAIN = """
import mlflow
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

mlflow.langchain.autolog()
mlflow.openai.autolog()

@tool
def weather(city: str) -> str:
    "The weather."
    return f"Rain in {city}."

model = ChatOpenAI(model="gpt-4o").bind_tools([weather])
messages = [HumanMessage("How is the weather?")]
called = model.invoke(messages)
messages += [called, weather.invoke(called.tool_calls[0])]
print(model.invoke(messages).content)
"""


def test_autologging_of_a_framework_and_of_its_client_counts_once(
    backend: Backend, openai_server: OpenAIServer
) -> None:
    environment = application_environment(
        backend.url, openai_server, OTEL_RESOURCE_ATTRIBUTES="logged_model.id=agent-of-langchain"
    )
    command = [sys.executable, "-c", LANGCHAIN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "The answer is 42.\n", done.stderr
    numbers = wait_for(backend, "agent-of-langchain", 3)
    traces = backend.traces("agent-of-langchain")
    assert sorted(trace["span_name"] for trace in traces) == ["ChatOpenAI", "ChatOpenAI", "weather"]
    spans = [span for trace in traces for span in backend.trace(trace["trace_id"])["spans"]]
    assert sorted(span["name"] for span in spans) == ["ChatOpenAI"] * 2 + ["Completions"] * 2 + ["weather"]
    assert (numbers["tokens"]["input"], numbers["tokens"]["output"]) == (2 * PROMPT_TOKENS, 2 * COMPLETION_TOKENS)
    assert numbers["cost_usd"] == pytest.approx(2 * list_price("gpt-4o"))


# The page


def test_without_this_library(tmp_path: Path, backend: Backend, openai_server: OpenAIServer) -> None:
    assert run_page(WITHOUT_LIBRARY, tmp_path, backend, openai_server) == "The answer is 42.\n"
    numbers = wait_for(backend, VERSION, 1)
    assert (numbers["traces"], numbers["tokens"]["input"], numbers["tokens"]["output"]) == (1, 17, 5)
    assert numbers["cost_usd"] == pytest.approx(list_price("gpt-4o"))
    (trace,) = backend.traces(VERSION)
    spans = backend.trace(trace["trace_id"])["spans"]
    assert [(span["name"], span["is_entry"]) for span in spans] == [("answer", True), ("Completions", False)]
    assert json.loads(spans[0]["attributes"]["mlflow.spanOutputs"]) == "The answer is 42."


def test_with_this_library_and_no_code(tmp_path: Path, openai_server: OpenAIServer) -> None:
    with running_backend(tmp_path) as backend:
        assert run_page(ZERO_CODE, tmp_path, backend, openai_server) == "The answer is 42.\n"
        numbers = wait_for(backend, VERSION, 1)
    assert (numbers["traces"], numbers["errors"], numbers["tokens"]["output"]) == (1, 0, 5)


def test_with_this_library_in_code(tmp_path: Path, openai_server: OpenAIServer) -> None:
    with running_backend(tmp_path) as backend:
        run_page(IN_CODE, tmp_path, backend, openai_server)
        for name in (VERSION, "my-agent-v2.0"):
            numbers = wait_for(backend, name, 1)
            assert numbers["model_id"] == reference(name)
            assert (numbers["traces"], numbers["tokens"]["input"], numbers["tokens"]["output"]) == (1, 17, 5)
            assert numbers["cost_usd"] == pytest.approx(list_price("gpt-4o"))
            assert (numbers["scores"]["helpful"]["mean"], numbers["scores"]["helpful"]["count"]) == (1.0, 1)


# The recording that tests without MLflow use


def essence(spans: list[ReceivedSpan]) -> list[tuple[object, ...]]:
    """What two runs of one application have in common."""
    names = {span.span_id: span.name for span in spans}
    return sorted(
        (
            span.name,
            span.kind,
            names.get(span.parent_span_id or "", ""),
            span.status_code,
            span.status_message,
            sorted(
                (key, re.sub(r"chatcmpl-\d+", "chatcmpl-N", value) if isinstance(value, str) else value)
                for key, value in span.attributes.items()
                if key != "mlflow.traceRequestId"
            ),
            [event.name for event in span.events],
        )
        for span in spans
    )


def test_what_was_recorded_is_what_this_release_exports() -> None:
    recorded = spans_of(decode_json(RECORDED.read_bytes()))
    assert essence(list(spans_of(record()))) == essence(list(recorded))
