# SPDX-License-Identifier: Apache-2.0
"""Evaluations against a real backend: what arrives, kills, traces that are there already, and the command."""

import json
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import format_trace_id

import otel_loggedmodel
from asking import ask
from cli.terminal import environment
from effort import only_in_full, some
from otel_loggedmodel.genai import scorers, search_traces
from waiting import wait_until

from .serving import Serving


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("backend")
    with Serving(directory / "log", "--data", directory / "data") as backend:
        yield backend


@pytest.fixture
def provider(serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("OTEL_LOGGEDMODEL_STORE", serving.http)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
    exporter = otel_loggedmodel.LoggedModelExporter(OTLPSpanExporter(f"{serving.http}/v1/traces"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    yield provider
    provider.shutdown()


def scores_of(serving: Serving, version: str) -> dict[str, dict[str, float]]:
    answer = ask(serving.http, "GET", f"/api/v1/compare?{urlencode({'version': version})}")
    # Until anything of it has arrived, there is no such version.
    return json.loads(answer.body)["versions"][0]["scores"] if answer.status == 200 else {}


def arrived(serving: Serving, version: str, name: str, count: int) -> dict[str, float]:
    wait_until(lambda: scores_of(serving, version).get(name, {}).get("count") == count)
    return scores_of(serving, version)[name]


@only_in_full
def test_more_rows_than_the_exporters_queue_holds_arrive_whole(serving, provider) -> None:
    rows = [{"inputs": {"n": number}, "expectations": {"n": number - number % 4}} for number in range(1000)]
    result = otel_loggedmodel.genai.evaluate(
        rows, [scorers.ExactMatch()], lambda n: n, "many-rows", tracer_provider=provider
    )
    assert result.metrics == {"exact_match/mean": 0.25}
    score = arrived(serving, "many-rows", "exact_match", 1000)
    assert score["mean"] == 0.25
    assert len(serving.trace_ids("many-rows")) == 1000


@only_in_full
def test_outputs_that_are_there_already_count_as_scores_alone(serving, provider) -> None:
    rows = [{"inputs": {"n": n}, "outputs": n, "expectations": {"n": 0}} for n in range(10)]
    otel_loggedmodel.genai.evaluate(rows, [scorers.ExactMatch()], model_id="static", tracer_provider=provider)
    assert arrived(serving, "static", "exact_match", 10)["mean"] == pytest.approx(0.1)
    assert not serving.trace_ids("static")


def test_traces_of_production_are_scored_later_and_by_another_process(serving, provider) -> None:
    tracer = provider.get_tracer("app")
    for number in range(25):
        with otel_loggedmodel.use_model(name="production"), tracer.start_as_current_span("request") as span:
            span.set_attributes({"input.value": f"question {number}", "output.value": "yes" if number < 5 else "no"})
    provider.force_flush()
    wait_until(lambda: len(serving.trace_ids("production")) == 25)

    @otel_loggedmodel.genai.scorer
    def agrees(inputs, outputs, trace):
        assert inputs.startswith("question")
        assert trace.search_spans(name="request")
        return outputs == "yes"

    traces = search_traces("production", page=10)
    result = otel_loggedmodel.genai.evaluate(traces, [agrees], tracer_provider=provider)
    assert (result.count, result.error_count, result.scorer_errors) == (25, 0, {})
    assert arrived(serving, "production", "agrees", 25)["mean"] == pytest.approx(0.2)
    assert len(serving.trace_ids("production")) == 25
    limited = otel_loggedmodel.genai.evaluate(search_traces(limit=3), [agrees], tracer_provider=provider)
    assert limited.count == 3


def test_feedback_of_a_process_that_knows_the_trace_alone_is_of_the_versions(serving, provider) -> None:
    with otel_loggedmodel.use_model(name="in-use"), provider.get_tracer("app").start_as_current_span("request") as span:
        trace_id = format_trace_id(span.get_span_context().trace_id)
    provider.force_flush()
    program = f"""
        import otel_loggedmodel
        from opentelemetry import trace
        otel_loggedmodel.set_active_model(name="deployed-since")
        otel_loggedmodel.log_feedback(trace_id="{trace_id}", name="helpful", value=True, source="human")
        trace.get_tracer_provider().shutdown()
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=serving.http),
        check=True,
        timeout=60,
    )
    assert arrived(serving, "in-use", "helpful", 1)["mean"] == 1


PROGRAM = """
import sys, time
import otel_loggedmodel
from otel_loggedmodel.genai import scorer

@scorer
def value(outputs):
    return outputs

def app(number):
    with open(sys.argv[1], "a") as calls:
        calls.write(f"{number}\\n")
    time.sleep(0.02)
    return number

rows = [{"inputs": {"number": number}} for number in range(200)]
result = otel_loggedmodel.genai.evaluate(rows, [value], app, "killed", max_workers=2)
print(result.count, result.resumed_count, result.metrics["value/mean"])
"""


@only_in_full
def test_a_killed_evaluation_goes_on_and_no_row_is_counted_twice(serving, tmp_path) -> None:
    variables = environment(OTEL_EXPORTER_OTLP_ENDPOINT=serving.http, XDG_STATE_HOME=str(tmp_path / "state"))
    calls = tmp_path / "calls"
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)

    def journaled() -> list[str]:
        files = list((tmp_path / "state").rglob("*.jsonl"))
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [line["row"] for line in lines if "row" in line]

    process = subprocess.Popen([sys.executable, script, calls], env=variables)
    wait_until(journaled)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(journaled())
    assert 0 < done < 200
    began = len(calls.read_text().splitlines())
    outcome = subprocess.run(
        [sys.executable, script, calls], env=variables, capture_output=True, text=True, timeout=100, check=True
    )
    count, resumed, mean = outcome.stdout.split()
    assert (int(count), int(resumed), float(mean)) == (200, done, 99.5)
    times = Counter(map(int, calls.read_text().split()))
    assert set(times) == set(range(200))
    # Those that were being worked on, or waited to be delivered, when it was killed.
    assert sum(times.values()) == 200 + began - done
    score = arrived(serving, "killed", "value", 200)
    assert score["mean"] == 99.5
    assert not journaled()
    # It is one run, which is whole now.
    (run,) = serving.get("/api/v1/runs", {"version": "killed"})["runs"]
    assert (run["status"], run["rows"], run["rows_total"]) == ("FINISHED", 200, 200)
    assert score["groups"][0]["run"] == run["run_id"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("def answer(question):\n    return question.upper()\n")
    (tmp_path / "quality.py").write_text(
        "from otel_loggedmodel.genai.scorers import ExactMatch, scorer\n\nexact = ExactMatch()\n\n\n"
        "@scorer\ndef short(outputs):\n    return len(outputs) < 3\n"
    )
    (tmp_path / "rows.csv").write_text("inputs.question,expectations.answer\na,A\nbb,BB\ncccc,D\n")
    return tmp_path


def run(project: Path, serving: Serving, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "otel_loggedmodel", "evaluate", *arguments],
        cwd=project,
        env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=serving.http, XDG_STATE_HOME=str(project / "state")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_evaluates_a_function_of_a_module(serving, project) -> None:
    arguments = ("app:answer", "--data", "rows.csv", "--scorers", "quality", "--name", "by-command", "--param", "k=5")
    outcome = run(project, serving, *arguments, "--json")
    assert outcome.returncode == 0, outcome.stderr
    said = json.loads(outcome.stdout)
    assert (said["rows"], said["errors"], said["dataset_name"]) == (3, 0, "rows")
    assert said["metrics"] == pytest.approx({"exact_match/mean": 2 / 3, "short/mean": 2 / 3})
    assert arrived(serving, said["model_id"], "short", 3)["mean"] == pytest.approx(2 / 3)
    table = run(project, serving, *arguments)
    assert table.returncode == 0, table.stderr
    assert "3 rows of rows, 0 failed" in table.stdout
    assert "0.667" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    some(
        [
            (["app:answr", "--data", "rows.csv", "--scorers", "quality"], "app has no answr. Did you mean 'answer'?"),
            (["app:answer", "--data", "rows.csv", "--scorers", "quality:exct"], "no exct. Did you mean 'exact'?"),
            (["nowhere:f", "--data", "rows.csv", "--scorers", "quality"], "there is no module nowhere"),
            (["answer", "--data", "rows.csv", "--scorers", "quality"], "not of the form"),
            (["app:answer", "--data", "none.csv", "--scorers", "quality"], "none.csv cannot be read: No such"),
            (["app:answer", "--data", "rows.csv", "--scorers", "app"], "app has no scorers"),
            (["app:answer", "--data", "rows.csv", "--scorers", "quality", "--param", "a=b"], "give it a --name"),
            # As a variable is that a build does not have.
            (["app:answer", "--data", "rows.csv", "--scorers", "quality", "--name", ""], "name is empty"),
            (
                ["app:answer", "--data", "rows.csv", "--scorers", "quality", "--name", "", "--param", "a=b"],
                "name is empty",
            ),
        ],
        quick=2,
    ),
)
def test_wrong_usage_of_the_command_is_said(serving, project, arguments, message) -> None:
    outcome = run(project, serving, *arguments)
    assert outcome.returncode == 2
    assert message in " ".join(outcome.stderr.replace("│", " ").split())


@only_in_full
def test_the_command_fails_when_no_row_could_be_evaluated(serving, project) -> None:
    (project / "app.py").write_text("def answer(question):\n    raise RuntimeError('no model')\n")
    outcome = run(project, serving, "app:answer", "--data", "rows.csv", "--scorers", "quality", "--name", "fails")
    assert outcome.returncode == 1
    assert "RuntimeError: no model" in outcome.stdout
