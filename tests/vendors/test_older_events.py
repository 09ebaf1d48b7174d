# SPDX-License-Identifier: Apache-2.0
"""Events of packages that need an OpenTelemetry before 1.39, as log records: scores and messages count as others do."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import needs
from asking import PROTOBUF, ask
from backend.serving import Serving
from cli.terminal import environment
from integrations.openai_server import ANSWER, OpenAIServer
from log_requests import pairs_of
from otel_loggedmodel.genai.stored import search_traces

BIN = Path(__file__).resolve().parents[2] / ".venv" / "older-events" / "bin"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    if not (BIN / "python").exists():
        needs.do_without("older events", "make test-vendors", required_by="OTEL_LOGGEDMODEL_REQUIRE_VENDORS")
    directory = tmp_path_factory.mktemp("older")
    with Serving(directory / "log", "--data", directory / "data") as serving:
        yield serving


def run(command: list[str | os.PathLike[str]], directory: Path, **variables: str) -> None:
    """Run an application in the environment of these packages."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment(HOME=str(directory), **variables),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# It hands its events to Azure Monitor's exporter alone. OTLP's stands in its place, and all else is its own.
EVALUATED = """
import sys

import azure.monitor.opentelemetry.exporter
from azure.ai.evaluation import evaluate
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

logs, rows = sys.argv[1:]
azure.monitor.opentelemetry.exporter.AzureMonitorLogExporter = lambda **_: OTLPLogExporter(logs)


class Length:
    def __call__(self, *, response: str) -> dict:
        long = len(response) > 2
        return {"length": float(len(response)), "length_result": "pass" if long else "fail", "length_reason": "counted"}


def main() -> None:
    evaluate(
        data=rows,
        evaluators={"length": Length()},
        _convert_to_aoai_evaluation_result=True,
        _app_insights_configuration={"connection_string": "InstrumentationKey=00000000-0000-0000-0000-000000000000"},
    )


if __name__ == "__main__":
    main()
"""
TRACE, SPAN, RESPONSE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "chatcmpl-7"


def traces() -> bytes:
    """Two traces of a version, each a call of a model; the second is known by the id of its response."""
    made = ExportTraceServiceRequest()
    spans = made.resource_spans.add().scope_spans.add().spans
    now = time.time_ns()
    for trace, span, response in ((TRACE, SPAN, "chatcmpl-6"), ("f" * 32, "f" * 16, RESPONSE)):
        one = spans.add(
            trace_id=bytes.fromhex(trace),
            span_id=bytes.fromhex(span),
            name="chat",
            start_time_unix_nano=now - 10**9,
            end_time_unix_nano=now,
        )
        call = {"gen_ai.operation.name": "chat", "gen_ai.response.id": response}
        one.attributes.extend(pairs_of({"logged_model.id": "m-azure", **call}))
    return made.SerializeToString()


def test_results_of_azures_evaluations_count_for_the_version_of_what_they_are_about(
    serving: Serving, tmp_path: Path
) -> None:
    program, rows = tmp_path / "evaluated.py", tmp_path / "rows.jsonl"
    program.write_text(EVALUATED)
    said = [
        {"query": "q", "response": "long", "trace_id": TRACE, "span_id": SPAN},
        {"query": "q", "response": "no", "response_id": RESPONSE},
    ]
    rows.write_text("\n".join(map(json.dumps, said)))
    assert ask(serving.http, "POST", "/v1/traces", traces(), {"content-type": PROTOBUF}).status == 200
    run([BIN / "python", program, f"{serving.http}/v1/logs", rows], tmp_path)
    compared = serving.get("/api/v1/compare", {"version": "m-azure"})
    score = compared["versions"][0]["scores"]["length"]
    assert (score["mean"], score["count"]) == (3.0, 2)
    listed = serving.get("/api/v1/traces", {"version": "m-azure"})["traces"]
    assert {one["trace_id"]: one["scores"] for one in listed} == {TRACE: {"length": 4.0}, "f" * 32: {"length": 2.0}}
    trace = serving.get(f"/api/v1/traces/{TRACE}")
    (event,) = trace["spans"][0]["events"]
    assert event["attributes"]["gen_ai.evaluation.explanation"] == "counted"


ASKED = """
import openai

openai.OpenAI().chat.completions.create(
    model="gpt-4o",
    messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the answer?"}],
)
"""


def test_messages_of_earlier_conventions_are_those_of_their_call(serving: Serving, tmp_path: Path) -> None:
    """A record of theirs has no time but that at which it was observed."""
    with OpenAIServer() as server:
        run(
            [BIN / "opentelemetry-instrument", BIN / "python", "-c", ASKED],
            tmp_path,
            OPENAI_BASE_URL=server.base_url,
            OPENAI_API_KEY="planted",
            OTEL_EXPORTER_OTLP_ENDPOINT=serving.http,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_LOGS_EXPORTER="otlp",
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true",
            MLFLOW_ACTIVE_MODEL_ID="earlier",
        )
    (listed,) = serving.get("/api/v1/traces", {"version": "earlier"})["traces"]
    assert (listed["input"], listed["output"]) == ("What is the answer?", "".join(ANSWER))
    trace = serving.get(f"/api/v1/traces/{listed['trace_id']}")
    found = [event for span in trace["spans"] for event in span["events"]]
    assert [event["name"] for event in found] == ["gen_ai.system.message", "gen_ai.user.message", "gen_ai.choice"]
    assert {event["attributes"]["logged_model.id"] for event in found} == {"earlier"}
    # Scorers of stored traces get them, too.
    (scored,) = search_traces("earlier", store=serving.http)
    assert (scored.inputs[-1]["content"], scored.outputs) == ("What is the answer?", "".join(ANSWER))
