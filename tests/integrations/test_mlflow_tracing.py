# SPDX-License-Identifier: Apache-2.0
"""MLflow's own tracing SDK in the application's tracer provider.

`MLFLOW_USE_DEFAULT_TRACER_PROVIDER=false` makes MLflow use OpenTelemetry's global tracer provider and Context, and add
its own processor to them (https://mlflow.org/docs/latest/genai/tracing/opentelemetry/). It exports over OTLP where an
endpoint for traces is set, else to its tracking server. An endpoint for metrics, or for all signals, makes the package
`mlflow-tracing` look for parts that only the whole of MLflow has. So does a tracking URI that is not set
(https://github.com/mlflow/mlflow/issues/18302).
"""

import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from otlp_receiver import OtlpReceiver, ReceivedSpan, decode_protobuf, spans_of

from .openai_server import ANSWER, CACHED_TOKENS, COMPLETION_TOKENS, PROMPT_TOKENS, OpenAIServer
from .servers import BIN, telemetry_to
from .telemetry import counted_tokens, is_entry, is_record, reference, version_on

MODEL_ID = "m-" + "ab" * 16

# The ways in which a provider comes to be that both work with. Each ends with MLflow's own exporter in it.
OWN_PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
import otel_loggedmodel

provider = TracerProvider()
provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
trace.set_tracer_provider(provider)
"""
INSTRUMENT = """
import mlflow
import otel_loggedmodel

with mlflow.start_span("first"):  # makes MLflow set its provider
    pass
assert otel_loggedmodel.instrument()
"""
BRIDGED = """
import mlflow
import otel_loggedmodel

assert otel_loggedmodel.instrument(mlflow.tracing.get_bridged_tracer_provider())
"""
ZERO_CODE = ""

TRACED = """
import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import mlflow
from opentelemetry import trace
from otel_loggedmodel import set_active_model, use_model

@mlflow.trace
def inner(name):
    return name

@mlflow.trace
def generated(name):
    yield inner(name)

@mlflow.trace
def outer(name):
    with trace.get_tracer("app").start_as_current_span("plain", attributes={"name": name}):
        return inner(name), list(generated(name))

@mlflow.trace
async def inner_async(name):
    await asyncio.sleep(0.001)
    return inner(name)

@mlflow.trace
async def outer_async(name):
    await asyncio.gather(inner_async(name), inner_async(name))
    with mlflow.start_span("block") as span:
        span.set_inputs({"name": name})

async def handle(name):
    with use_model(name=name):
        await outer_async(name)

async def handle_all():
    await asyncio.gather(*(handle(f"task-{number}") for number in range(5)))

def handle_in_thread(name):
    with use_model(name=name):
        outer(name)

set_active_model(name="default")
outer("default")
with use_model(name="scoped"):
    outer("scoped")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, outer, "scoped").result()
asyncio.run(handle_all())
with ThreadPoolExecutor(3) as pool:
    list(pool.map(handle_in_thread, [f"thread-{number}" for number in range(3)]))
outer("default")
"""
OUTER = ["generated", "inner", "inner", "outer", "plain"]
OUTER_ASYNC = ["block", "inner", "inner", "inner_async", "inner_async", "outer_async"]


def run(program: str, receiver: OtlpReceiver | None = None, *, set_up: str, **variables: str) -> str:
    """Run a program after a set-up, zero-code where that is empty; what it printed."""
    environment = telemetry_to("", **{"MLFLOW_USE_DEFAULT_TRACER_PROVIDER": "false", **variables})
    del environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
    environment.setdefault("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    if receiver is not None:
        environment["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = receiver.traces_endpoint
    command = [sys.executable, "-c", set_up + textwrap.dedent(program)]
    if set_up == ZERO_CODE:
        command.insert(0, str(BIN / "opentelemetry-instrument"))
        environment["OTEL_TRACES_EXPORTER"] = "none"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "WARNING" not in done.stderr
    return done.stdout


def named(span: ReceivedSpan) -> str:
    """The version that the application wanted for a span, as it said in its input or attribute."""
    inputs = span.attributes.get("mlflow.spanInputs")
    return str(span.attributes["name"] if inputs is None else json.loads(str(inputs))["name"])


def records(spans: list[ReceivedSpan]) -> list[tuple[object, object]]:
    return [(span.attributes["logged_model.event"], version_on(span)) for span in spans if is_record(span)]


@pytest.mark.parametrize(
    "set_up",
    [OWN_PROVIDER, INSTRUMENT, BRIDGED, ZERO_CODE],
    ids=["own provider", "instrument", "bridged", "zero-code"],
)
def test_traced_functions_carry_the_version(set_up: str) -> None:
    with OtlpReceiver() as receiver:
        run(TRACED, receiver, set_up=set_up)
        spans = receiver.spans()
    traced = [span for span in spans if not is_record(span) and span.name != "first"]
    assert sorted(span.name for span in traced) == sorted(OUTER * 7 + OUTER_ASYNC * 5)
    assert [version_on(span) for span in traced] == [reference(named(span)) for span in traced]
    assert [is_entry(span) for span in traced] == [span.parent_span_id is None for span in traced]
    names = {"default", "scoped", *(f"task-{number}" for number in range(5)), *(f"thread-{n}" for n in range(3))}
    assert {named(span) for span in traced} == names
    if set_up == OWN_PROVIDER:
        return  # whose exporter is MLflow's, and not wrapped
    assert sorted(map(str, records(spans))) == sorted(
        str((event, reference(name))) for event in ("created", "activated") for name in names
    )


def test_a_provider_that_mlflow_keeps_to_itself_knows_the_default_and_no_scope() -> None:
    program = """
        with mlflow.start_span("from the environment"):
            pass
        otel_loggedmodel.set_active_model(name="default")
        with otel_loggedmodel.use_model(name="scoped"), mlflow.start_span("in a scope"), mlflow.start_span("below"):
            pass
    """
    with OtlpReceiver() as receiver:
        run(
            program,
            receiver,
            set_up=BRIDGED,
            MLFLOW_USE_DEFAULT_TRACER_PROVIDER="true",
            MLFLOW_ACTIVE_MODEL_ID=MODEL_ID,
        )
        spans = {span.name: (version_on(span), is_entry(span)) for span in receiver.spans() if not is_record(span)}
    assert spans == {
        "from the environment": (MODEL_ID, True),
        "in a scope": (reference("default"), True),
        "below": (reference("default"), False),
    }


def test_beside_an_exporter_of_the_application_copies_are_the_same_spans() -> None:
    exporting = (
        OWN_PROVIDER
        + """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider.add_span_processor(BatchSpanProcessor(otel_loggedmodel.LoggedModelExporter(OTLPSpanExporter())))
"""
    )
    program = """
        import mlflow

        with mlflow.start_span("once"):
            pass
    """
    with OtlpReceiver() as receiver:
        run(program, receiver, set_up=exporting, MLFLOW_ACTIVE_MODEL_ID=MODEL_ID)
        spans = receiver.spans()
    first, second = [span for span in spans if span.name == "once"]
    assert first == second
    assert version_on(first) == MODEL_ID
    assert records(spans) == [("activated", MODEL_ID)]


def test_what_passed_the_attribute_limit_comes_back() -> None:
    program = """
        import mlflow

        with mlflow.start_span("large") as span:
            span.set_attributes({f"key-{number}": number for number in range(200)})
    """
    with OtlpReceiver() as receiver:
        run(program, receiver, set_up=ZERO_CODE, MLFLOW_ACTIVE_MODEL_ID=MODEL_ID)
        (span,) = [span for span in receiver.spans() if not is_record(span)]
    assert span.dropped_attributes > 0
    assert (version_on(span), is_entry(span)) == (MODEL_ID, True)


AUTOLOGGED = """
    import mlflow
    import openai

    mlflow.openai.autolog()
    question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is the answer?"}]}
    with openai.OpenAI() as client:
        print(client.chat.completions.create(**question).choices[0].message.content)
        chunks = client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **question)
        print("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
"""


def autologged(openai_server: OpenAIServer, **variables: str) -> list[ReceivedSpan]:
    with OtlpReceiver() as receiver:
        output = run(
            AUTOLOGGED,
            receiver,
            set_up=ZERO_CODE,
            OPENAI_BASE_URL=openai_server.base_url,
            OPENAI_API_KEY="planted",
            OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="openai,httpx2",
            MLFLOW_ACTIVE_MODEL_ID=MODEL_ID,
            **variables,
        )
        assert output.splitlines() == ["".join(ANSWER)] * 2
        return [span for span in receiver.spans() if not is_record(span)]


def test_autologged_calls_carry_the_version(openai_server: OpenAIServer) -> None:
    spans = autologged(openai_server)
    assert [(version_on(span), is_entry(span)) for span in spans] == [(MODEL_ID, True)] * 2
    usage = json.loads(str(spans[0].attributes["mlflow.chat.tokenUsage"]))
    assert (usage["input_tokens"], usage["output_tokens"]) == (PROMPT_TOKENS, COMPLETION_TOKENS)
    assert usage["cache_read_input_tokens"] == CACHED_TOKENS


def test_tokens_stand_where_the_store_reads_them_when_mlflow_speaks_the_conventions(
    openai_server: OpenAIServer,
) -> None:
    # MLflow makes new spans then, with other attributes and names, before they are exported.
    spans = autologged(openai_server, MLFLOW_ENABLE_OTEL_GENAI_SEMCONV="true")
    assert [(span.name, span.kind) for span in spans] == [("chat gpt-4o", "CLIENT")] * 2
    assert [(version_on(span), is_entry(span)) for span in spans] == [(MODEL_ID, True)] * 2
    assert [counted_tokens(span) for span in spans] == [(PROMPT_TOKENS, COMPLETION_TOKENS)] * 2


# With MLflow's tracking server


class TrackingServer:
    """Stands in for MLflow's tracking server, which installs only without `mlflow-tracing`: keeps what it is sent."""

    def __init__(self) -> None:
        self.traces: list[Mapping[str, Any]] = []
        self.spans: list[ReceivedSpan] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path == "/api/3.0/mlflow/traces":
                    trace_info = json.loads(body)["trace"]["trace_info"]
                    trace_info["tags"]["mlflow.trace.spansLocation"] = "TRACKING_STORE"
                    owner.traces.append(trace_info)
                    body = json.dumps({"trace": {"trace_info": trace_info}}).encode()
                elif self.path == "/v1/traces":
                    owner.spans += spans_of(decode_protobuf(body))
                self._answer(body)

            def do_GET(self) -> None:
                self._answer(b"3.17.2")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def tracking_server() -> Iterator[TrackingServer]:
    server = TrackingServer()
    yield server
    server.close()


TO_MLFLOW = """
    import mlflow
    from mlflow.entities.trace_location import MlflowExperimentLocation

    mlflow.tracing.set_destination(MlflowExperimentLocation(experiment_id="7"))

    @mlflow.trace
    def answer(question):
        with mlflow.start_span("think"):
            return "42"

    for _ in range(3):
        answer("?")
    mlflow.flush_trace_async_logging()
"""


@pytest.mark.parametrize("batches", ["true", "false"])
def test_one_variable_says_the_version_to_both(tracking_server: TrackingServer, batches: str) -> None:
    exporting = (
        OWN_PROVIDER
        + """
import os
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor
exporter = OTLPSpanExporter(os.environ["ENDPOINT"])
provider.add_span_processor(BatchSpanProcessor(otel_loggedmodel.LoggedModelExporter(exporter)))
"""
    )
    with OtlpReceiver() as receiver:
        run(
            TO_MLFLOW,
            set_up=exporting,
            ENDPOINT=receiver.traces_endpoint,
            MLFLOW_ACTIVE_MODEL_ID=MODEL_ID,
            MLFLOW_TRACKING_URI=tracking_server.url,
            MLFLOW_USE_BATCH_SPAN_PROCESSOR=batches,
        )
        spans = receiver.spans()
    assert records(spans) == [("activated", MODEL_ID)]
    spans = [span for span in spans if not is_record(span)]
    assert {version_on(span) for span in spans} == {MODEL_ID}
    # What MLflow calls a trace of this version is the trace that we link to it.
    linked = {trace["trace_id"]: trace["trace_metadata"]["mlflow.modelId"] for trace in tracking_server.traces}
    assert linked == {f"tr-{span.trace_id}": MODEL_ID for span in spans}
    assert len(linked) == 3


@pytest.mark.parametrize("batches", ["true", "false"])
def test_without_a_line_of_code_mlflows_own_delivery_stays_as_it_is(
    tracking_server: TrackingServer, batches: str
) -> None:
    run(
        TO_MLFLOW,
        set_up=ZERO_CODE,
        MLFLOW_ACTIVE_MODEL_ID=MODEL_ID,
        MLFLOW_TRACKING_URI=tracking_server.url,
        MLFLOW_USE_BATCH_SPAN_PROCESSOR=batches,
    )
    assert sorted(span.name for span in tracking_server.spans) == ["answer"] * 3 + ["think"] * 3
    assert {version_on(span) for span in tracking_server.spans} == {MODEL_ID}
    assert len(tracking_server.traces) == 3
