# SPDX-License-Identifier: Apache-2.0
"""What an application without the package `mlflow` does is found by MLflow's own client under its LoggedModels."""

import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Feedback, LoggedModelStatus, Trace

from waiting import wait_until

from . import programs
from .looking import Looking
from .programs import environment, finish, run, start


def root_names(traces: list[Trace]) -> list[str]:
    return sorted(next(span.name for span in trace.data.spans if span.parent_id is None) for trace in traces)


def test_traces_of_an_application_are_found_under_its_version(
    server, experiment_id, looking: Looking, tmp_path
) -> None:
    run(
        """
        model = otel_loggedmodel.create_external_model(
            "support-agent", model_type="agent", params={"llm": "gpt-4o", "k": "5"}, tags={"team": "support"})
        otel_loggedmodel.set_active_model(model_id=model.model_id)
        for number in range(10):
            with tracer.start_as_current_span(f"request-{number}") as root:
                with tracer.start_as_current_span("step"):
                    pass
                if number == 3:
                    root.set_status(trace.StatusCode.ERROR)
        """,
        server,
        experiment_id,
        tmp_path,
    )
    wait_until(looking.has(**{"support-agent": 10}), "all traces are linked")
    model = looking.models()["support-agent"]
    assert model.model_type == "agent"
    assert {key: model.params[key] for key in ("llm", "k")} == {"llm": "gpt-4o", "k": "5"}
    assert model.tags["team"] == "support"
    assert model.status is LoggedModelStatus.READY
    traces = looking.traces("support-agent")
    assert root_names(traces) == sorted(f"request-{number}" for number in range(10))
    assert all(len(trace.data.spans) == 2 for trace in traces)
    states = {trace.data.spans[0].name: str(trace.info.state) for trace in traces}
    assert [name for name, state in states.items() if "ERROR" in state] == ["request-3"]
    for trace in traces:
        (root,) = [span for span in trace.data.spans if span.parent_id is None]
        assert trace.info.request_time == root.start_time_ns // 1_000_000
        assert abs(trace.info.execution_duration - (root.end_time_ns - root.start_time_ns) / 1e6) <= 1
    # Neither the version's own trace nor anything else of ours is among the traces.
    assert len(looking.traces()) == 10


def test_with_the_environment_alone(server, experiment_id: str, looking: Looking, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        """
import sys
from opentelemetry import trace

for number in range(5):
    with trace.get_tracer("app").start_as_current_span("request"):
        pass
assert "mlflow" not in sys.modules
"""
    )
    variables = environment(
        server.uri,
        experiment_id,
        tmp_path / "spool",
        OTEL_TRACES_EXPORTER="loggedmodel",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_LOGGEDMODEL_MLFLOW="1",
        OTEL_LOGGEDMODEL_NAME="zero-code",
        OTEL_LOGGEDMODEL_PARAMS="llm=gpt-4o",
    )
    subprocess.run(["opentelemetry-instrument", sys.executable, "app.py"], cwd=tmp_path, env=variables, check=True)
    wait_until(looking.has(**{"zero-code": 5}), "all traces are linked")
    assert looking.models()["zero-code"].params["llm"] == "gpt-4o"


def test_fastapi_with_a_version_for_each_request(server, experiment_id: str, looking: Looking, tmp_path: Path) -> None:
    run(
        """
        from fastapi import FastAPI
        from fastapi.testclient import TestClient
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        app = FastAPI()

        @app.get("/answer/{number}")
        async def answer(number: int):
            # Below a span of its own, so that the server's span has no version.
            with tracer.start_as_current_span("handler"):
                with otel_loggedmodel.use_model(name="b" if number % 4 == 0 else "a"):
                    with tracer.start_as_current_span("work"):
                        return number

        FastAPIInstrumentor.instrument_app(app)
        with TestClient(app) as client:
            for number in range(12):
                assert client.get(f"/answer/{number}").json() == number
        """,
        server,
        experiment_id,
        tmp_path,
    )
    wait_until(looking.has(a=9, b=3), "all traces are linked")
    assert root_names(looking.traces("b")) == ["GET /answer/{number}"] * 3


def test_what_happens_to_a_version_follows(server, experiment_id: str, looking: Looking, client, tmp_path) -> None:
    run(
        """
        model = otel_loggedmodel.create_external_model("changing", tags={"stage": "dev", "gone": "x"})
        doomed = otel_loggedmodel.create_external_model("doomed")
        otel_loggedmodel.set_active_model(model_id=model.model_id)
        tracer.start_span("before").end()
        provider.force_flush()
        otel_loggedmodel.set_logged_model_tags(model.model_id, {"stage": "prod"})
        otel_loggedmodel.delete_logged_model_tag(model.model_id, "gone")
        otel_loggedmodel.log_model_params({"k": "7"}, model.model_id)
        otel_loggedmodel.finalize_logged_model(model.model_id, "FAILED")
        tracer.start_span("after").end()
        provider.force_flush()
        otel_loggedmodel.delete_logged_model(doomed.model_id)
        """,
        server,
        experiment_id,
        tmp_path,
    )
    wait_until(lambda: set(looking.models()) == {"changing"}, "one is deleted")
    wait_until(lambda: looking.models()["changing"].status is LoggedModelStatus.FAILED, "the status follows")
    wait_until(looking.has(changing=2), "both traces are linked")
    model = looking.models()["changing"]
    assert model.tags["stage"] == "prod"
    assert "gone" not in model.tags
    assert model.params["k"] == "7"


def test_a_scope_inside_a_root_without_a_version(server, experiment_id: str, looking: Looking, tmp_path: Path) -> None:
    run(
        """
        for number in range(3):
            with tracer.start_as_current_span("root"), tracer.start_as_current_span("middle"):
                with otel_loggedmodel.use_model(name="inner"):
                    tracer.start_span("step").end()
        tracer.start_span("of nobody").end()
        """,
        server,
        experiment_id,
        tmp_path,
    )
    wait_until(looking.has(inner=3), "all traces are linked")
    wait_until(lambda: len(looking.traces()) == 4, "all traces are there")


def test_a_process_that_continues_a_trace_does_not_link_it(server, experiment_id, looking: Looking, tmp_path) -> None:
    continuing = """
import json
from opentelemetry import propagate
context = propagate.extract(json.loads(os.environ["CARRIER"]))
with otel_loggedmodel.use_model(name="tool"), tracer.start_as_current_span("tool", context=context):
    pass
"""
    run(
        f"""
        import json, subprocess
        from opentelemetry import propagate
        CONTINUING = {(programs.SET_UP + continuing + programs.END)!r}
        with otel_loggedmodel.use_model(name="agent"), tracer.start_as_current_span("agent"):
            carrier = {{}}
            propagate.inject(carrier)
            variables = dict(os.environ, CARRIER=json.dumps(carrier))
            subprocess.run([sys.executable, "-c", CONTINUING], env=variables, check=True)
        """,
        server,
        experiment_id,
        tmp_path,
    )
    wait_until(lambda: set(looking.models()) == {"agent", "tool"}, "both versions are there")
    wait_until(looking.has(agent=1, tool=0), "the trace is that of its root")
    (trace,) = looking.traces("agent")
    assert sorted(span.name for span in trace.data.spans) == ["agent", "tool"]


# Evaluation


def feedback_of(trace: Trace) -> list[Feedback]:
    return [one for one in trace.info.assessments if isinstance(one, Feedback)]


def test_feedback_and_evaluations_become_assessments(server, experiment_id: str, looking: Looking, tmp_path) -> None:
    run(
        """
        from otel_loggedmodel.genai.scorers import ExactMatch

        otel_loggedmodel.set_active_model(name="adder")
        with tracer.start_as_current_span("liked") as root:
            pass
        otel_loggedmodel.genai.log_feedback(
            trace_id=trace.format_trace_id(root.get_span_context().trace_id),
            name="helpful", value=True, rationale="it was", source="human")
        rows = [{"inputs": {"n": n}, "expectations": {"answer": str(n)}} for n in range(6)]
        result = otel_loggedmodel.genai.evaluate(
            data=rows, predict_fn=lambda n: str(n % 3), scorers=[ExactMatch()], model_id="adder")
        assert result.metrics == {"exact_match/mean": 0.5}
        """,
        server,
        experiment_id,
        tmp_path,
    )
    wait_until(lambda: sum(len(feedback_of(trace)) for trace in looking.traces()) == 7, "all assessments are there")
    assert looking.counts() == {"adder": 7}
    (liked,) = [trace for trace in looking.traces("adder") if trace.data.spans[0].name == "liked"]
    (helpful,) = feedback_of(liked)
    assert (helpful.name, helpful.value, helpful.rationale) == ("helpful", True, "it was")
    assert helpful.source.source_type == "HUMAN"
    scores = [one for trace in looking.traces("adder") if trace is not liked for one in feedback_of(trace)]
    assert sorted((one.name, bool(one.value)) for one in scores if one.name == "exact_match") == (
        [("exact_match", False)] * 3 + [("exact_match", True)] * 3
    )


def test_feedback_that_comes_before_the_trace(server, experiment_id: str, looking: Looking, tmp_path: Path) -> None:
    process = start(
        """
        trace_id = int("5" * 32, 16)
        otel_loggedmodel.genai.log_feedback(trace_id=f"{trace_id:032x}", name="early", value=0.5)
        provider.force_flush()
        print("said", flush=True)
        sys.stdin.readline()
        assert exporter.force_flush()
        """,
        environment(server.uri, experiment_id, tmp_path / "one"),
    )
    assert process.stdout.readline() == "said\n"
    run(
        """
        from opentelemetry.sdk.trace import IdGenerator
        class Five(IdGenerator):
            def generate_trace_id(self): return int("5" * 32, 16)
            def generate_span_id(self): return 5
        provider.id_generator = tracer.id_generator = Five()
        with otel_loggedmodel.use_model(name="late"):
            provider.get_tracer("x").start_span("root").end()
        """,
        server,
        experiment_id,
        tmp_path / "two",
    )
    wait_until(looking.has(late=1), "the trace is linked")
    process.stdin.write("flush now\n")
    finish(process)
    assert [one.name for one in feedback_of(looking.traces("late")[0])] == ["early"]


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_evaluates_such_traces(server, experiment_id: str, looking: Looking, tmp_path, monkeypatch) -> None:
    run(
        """
        otel_loggedmodel.set_active_model(name="judged")
        for number in range(4):
            with tracer.start_as_current_span("answer") as root:
                root.set_attribute("input.value", f"question {number}")
                root.set_attribute("output.value", f"answer {number}")
        """,
        server,
        experiment_id,
        tmp_path,
    )
    wait_until(looking.has(judged=4), "all traces are linked")

    @mlflow.genai.scorer
    def has_spans(trace: Trace) -> bool:
        return len(trace.data.spans) == 1

    mlflow.set_experiment(experiment_id=experiment_id)
    result = mlflow.genai.evaluate(data=looking.traces("judged"), scorers=[has_spans])
    assert result.metrics == {"has_spans/mean": 1.0}
    assert all([one.name for one in feedback_of(trace)] == ["has_spans"] for trace in looking.traces("judged"))
