# SPDX-License-Identifier: Apache-2.0
"""Log records in the backend as it is run: what it acknowledged is there after a kill, and in a backup."""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from asking import PROTOBUF, ask
from effort import only_in_full
from log_requests import record, request, score
from otel_loggedmodel import LoggedModelExporter, LoggedModelLogRecordProcessor, LoggedModelSpanProcessor, genai
from otel_loggedmodel.entities import AssessmentSource
from otel_loggedmodel.genai.stored import get_trace
from otel_loggedmodel.store import open_database

from .sending import Traces
from .serving import Serving, command

ASKED = 4


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("logs")
    with Serving(directory / "log", "--data", directory / "data", "--logs", "all") as serving:
        yield serving


def send(serving: Serving, sent: ExportLogsServiceRequest) -> ExportLogsServiceResponse:
    answer = ask(serving.http, "POST", "/v1/logs", sent.SerializeToString(), {"content-type": PROTOBUF})
    assert answer.status == 200, answer
    return ExportLogsServiceResponse.FromString(answer.body)


def scores(serving: Serving, version: str) -> dict[str, int]:
    (found,) = serving.get("/api/v1/compare", {"version": version})["versions"]
    return {name: one["count"] for name, one in found["scores"].items()}


def lines(serving: Serving, trace_id: str) -> list[str | None]:
    trace = serving.get(f"/api/v1/traces/{trace_id}")
    return [event["attributes"].get("body") for span in trace["spans"] for event in span["events"]]


@only_in_full
def test_what_was_acknowledged_is_there_after_a_kill(serving: Serving, tmp_path: Path) -> None:
    assert serving.post(Traces("logged", 1).request(ASKED)[1]).status == 200
    traces = serving.trace_ids("logged")
    assert len(traces) == ASKED
    sent = [score("good", 1.0, trace=trace) for trace in traces]
    assert not send(serving, request(*sent, record("a line of no version", trace=traces[0]))).HasField(
        "partial_success"
    )
    serving.kill()
    serving.start()
    assert scores(serving, "logged") == {"good": ASKED}
    assert "a line of no version" in lines(serving, traces[0])
    # The table is there already, and takes more.
    send(serving, request(score("late", 1.0, trace=traces[0])))
    assert scores(serving, "logged") == {"good": ASKED, "late": 1}


def test_a_result_that_is_sent_both_ways_counts_once(serving: Serving, tmp_path: Path) -> None:
    """Of an evaluation and of a person, with the real exporters."""
    tracers, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(LoggedModelSpanProcessor())
    tracers.add_span_processor(SimpleSpanProcessor(LoggedModelExporter(OTLPSpanExporter(f"{serving.http}/v1/traces"))))
    loggers.add_log_record_processor(LoggedModelLogRecordProcessor())
    loggers.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{serving.http}/v1/logs")))
    both = {"tracer_provider": tracers, "logger_provider": loggers, "as_events": True}

    @genai.scorer
    def same(outputs: str, expectations: str) -> bool:
        return outputs == expectations

    rows = [{"inputs": {"question": text}, "outputs": text, "expectations": "a"} for text in ("a", "b")]
    genai.evaluate(rows, [same], model_id="both ways", resume_dir=tmp_path, **both)
    with tracers.get_tracer("app").start_as_current_span("answer", attributes={"logged_model.id": "both ways"}) as span:
        context = span.get_span_context()
    trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    for whose in ("a", "b"):
        source = AssessmentSource("HUMAN", whose)
        genai.log_feedback(trace_id=trace_id, span_id=span_id, name="helpful", value=0.5, source=source, **both)
    tracers.shutdown()
    loggers.shutdown()
    assert scores(serving, "both ways") == {"same": 2, "helpful": 2}
    found = get_trace(trace_id, store=serving.http)
    assert sorted(said.source.source_id for said in found.assessments) == ["a", "b"]


@only_in_full
def test_a_backup_has_them(serving: Serving, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    done = command("store", "backup", path, store=serving.store)
    assert done.returncode == 0, done
    restored = tmp_path / "restored"
    for _ in range(2):  # what is there is not added again
        done = command("store", "restore", path, store=f"chdb://{restored}")
        assert done.returncode == 0, done
    done = command("compare", "logged", "--json", store=f"chdb://{restored}")
    (version,) = json.loads(done.stdout)["versions"]
    assert {name: one["count"] for name, one in version["scores"].items()} == {"good": ASKED, "late": 1}
    done = command("store", "repair", store=f"chdb://{restored}")
    assert done.returncode == 0, done


def test_old_ones_go_with_the_spans(tmp_path: Path) -> None:
    store = open_database(str(tmp_path / "data"))
    try:
        old = time.time_ns() - 10 * 24 * 3600 * 10**9
        store.log_writer.insert([request(record("old", at=old), record("new")).SerializeToString()])
        assert store.log_writer.delete_before(datetime.now(timezone.utc) - timedelta(days=7)) == 1
        found = store.writer.database.query("SELECT Body FROM otel_logs")
        assert [row["Body"] for row in found] == ["new"]
    finally:
        store.close()
