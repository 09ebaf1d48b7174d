# SPDX-License-Identifier: Apache-2.0
"""Results of azure-ai-evaluation, which makes log records of them, count as scores.

It hands them to Azure Monitor's exporter alone. Here OTLP's stands in its place, and all else is its own.
"""

import json
import subprocess
import time
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import needs
from asking import PROTOBUF, ask
from backend.serving import Serving
from cli.terminal import environment
from log_requests import pairs_of

PYTHON = Path(__file__).resolve().parents[2] / ".venv" / "azure-evaluation" / "bin" / "python"
PROGRAM = """
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


def test_its_results_count_for_the_version_of_what_they_are_about(tmp_path: Path) -> None:
    if not PYTHON.exists():
        needs.do_without("azure-ai-evaluation", "make test-vendors", required_by="OTEL_LOGGEDMODEL_REQUIRE_VENDORS")
    program, rows = tmp_path / "evaluated.py", tmp_path / "rows.jsonl"
    program.write_text(PROGRAM)
    rows.write_text(
        "\n".join(
            json.dumps({"query": "q", **row})
            for row in (
                {"response": "long", "trace_id": TRACE, "span_id": SPAN},
                {"response": "no", "response_id": RESPONSE},
            )
        )
    )
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving:
        assert ask(serving.http, "POST", "/v1/traces", traces(), {"content-type": PROTOBUF}).status == 200
        done = subprocess.run(
            [PYTHON, program, f"{serving.http}/v1/logs", rows],
            cwd=tmp_path,
            env=environment(HOME=str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        compared = serving.get("/api/v1/compare", {"version": "m-azure"})
        score = compared["versions"][0]["scores"]["length"]
        assert (score["mean"], score["count"]) == (3.0, 2)
        listed = serving.get("/api/v1/traces", {"version": "m-azure"})["traces"]
        assert {one["trace_id"]: one["scores"] for one in listed} == {TRACE: {"length": 4.0}, "f" * 32: {"length": 2.0}}
        trace = serving.get(f"/api/v1/traces/{TRACE}")
        (event,) = trace["spans"][0]["events"]
        assert event["attributes"]["gen_ai.evaluation.explanation"] == "counted"
