# SPDX-License-Identifier: Apache-2.0
"""`mlflow push`: versions, links and scores of a real backend into a real server, for traces that went to both."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from opentelemetry import trace as trace_api
from opentelemetry.trace import StatusCode

import otel_loggedmodel
from backend.sending import Traces
from backend.serving import Serving, command
from otel_loggedmodel import use_model

from .conftest import ANNA, READER
from .exchanging import Application, counts, imported, linked_to, ran, started, versions
from .holding_proxy import HoldingProxy
from .tracking_servers import MlflowServer


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Serving]:
    with Serving(tmp_path / "backend.log", "--data", tmp_path / "data") as serving:
        yield serving


def pushed(backend: Serving, uri: str, *more: str) -> dict[str, Any]:
    return ran("mlflow", "push", *more, store=backend.http, uri=uri)


def the_model(client: MlflowClient, experiment_id: str, name: str) -> Any:
    [model] = [one for one in client.search_logged_models([experiment_id]) if one.name == name]
    return model


def test_versions_traces_and_scores_are_there_once_after_two_pushes(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    first = otel_loggedmodel.create_external_model(name="agent", params={"llm": "a"}, tags={"team": "x"})
    second = otel_loggedmodel.create_external_model(name="agent", params={"llm": "b"}, model_type="rag")
    with Application(backend, server, experiment_id) as app:
        with use_model(first):
            of_first = [app.trace(fails=number == 0) for number in range(5)]
        with use_model(second):
            of_second = [app.trace() for _ in range(3)]
    with Application(backend) as app:  # what is said later, and what the server does not have
        said = {"trace_id": of_first[1], "tracer_provider": app.provider}
        otel_loggedmodel.genai.log_feedback(name="helpful", value=True, source="human", rationale="short", **said)
        otel_loggedmodel.genai.log_feedback(name="relevance", value=0.25, source="llm", **said)
        otel_loggedmodel.genai.log_feedback(name="broken", error=ValueError("no"), **said)
        with use_model(first):
            elsewhere = [app.trace() for _ in range(2)]
    before = {id_: client.get_trace(f"tr-{id_}").info for id_ in (*of_first, *of_second)}

    arguments = ("--experiment", experiment_id)
    expected = {"versions": 2, "made": 2, "traces": 10, "absent": 2, "linked": 8, "scores": 3}
    dry = pushed(backend, server.uri, "--dry-run", *arguments)
    assert (counts(dry), dry["dry_run"]) == (expected, True)
    assert list(client.search_logged_models([experiment_id])) == []

    assert counts(pushed(backend, server.uri, *arguments)) == expected
    models = {model.params["llm"]: model for model in client.search_logged_models([experiment_id])}
    assert models.keys() == {"a", "b"}
    assert {(model.name, str(model.status)) for model in models.values()} == {("agent", "READY")}
    assert (models["a"].tags["team"], models["b"].model_type) == ("x", "rag")
    assert linked_to(models["a"].model_id, experiment_id) == set(of_first)
    assert linked_to(models["b"].model_id, experiment_id) == set(of_second)
    for id_, info in before.items():
        after = client.get_trace(f"tr-{id_}").info
        assert (after.request_time, after.execution_duration, after.state) == (
            info.request_time,
            info.execution_duration,
            info.state,
        )
    for id_ in elsewhere:
        with pytest.raises(mlflow.exceptions.MlflowException):
            client.get_trace(f"tr-{id_}")

    again = {"versions": 2, "found": 2, "traces": 10, "absent": 2, "already": 8, "scores_already": 3}
    assert counts(pushed(backend, server.uri, "--dry-run", *arguments)) == again
    assert counts(pushed(backend, server.uri, *arguments)) == again
    assessments = {one.name: one for one in client.get_trace(f"tr-{of_first[1]}").info.assessments}
    assert len(client.get_trace(f"tr-{of_first[1]}").info.assessments) == 3
    assert (assessments["helpful"].value, assessments["helpful"].rationale) == (True, "short")
    assert assessments["helpful"].source.source_type == "HUMAN"
    assert (assessments["relevance"].value, assessments["relevance"].source.source_type) == (0.25, "LLM_JUDGE")
    assert assessments["broken"].error.error_code == "ValueError"


def test_only_the_versions_that_are_named_are_pushed(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    with Application(backend, server, experiment_id) as app:
        for name in ("one", "two"):
            with use_model(name=name):
                app.trace()
    result = pushed(backend, server.uri, "two", "--experiment", experiment_id)
    assert counts(result) == {"versions": 1, "made": 1, "traces": 1, "linked": 1}
    assert [model.name for model in client.search_logged_models([experiment_id])] == ["two"]

    unknown = command("mlflow", "push", "three", store=backend.http, MLFLOW_TRACKING_URI=server.uri)
    assert unknown.returncode == 2
    assert "there is no version 'three'" in unknown.stderr


def test_a_trace_belongs_to_the_version_of_its_root(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    with Application(backend, server, experiment_id) as app, use_model(name="outer"):
        tracer = app.provider.get_tracer("app")
        with tracer.start_as_current_span("answer") as root, use_model(name="inner"):
            app.trace()
    trace_id = trace_api.format_trace_id(root.get_span_context().trace_id)
    result = pushed(backend, server.uri, "--experiment", experiment_id)
    assert counts(result) == {"versions": 2, "made": 2, "traces": 1, "linked": 1}
    assert linked_to(the_model(client, experiment_id, "outer").model_id, experiment_id) == {trace_id}
    assert linked_to(the_model(client, experiment_id, "inner").model_id, experiment_id) == set()


def test_a_link_to_another_model_is_left_unless_told_otherwise(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    other = client.create_logged_model(experiment_id, name="other")
    with Application(backend, server, experiment_id) as app, use_model(name="agent"):
        trace_id = app.trace()
    pushed(backend, server.uri, "--experiment", experiment_id)
    agent = the_model(client, experiment_id, "agent")
    link(client, trace_id, other.model_id)

    result = pushed(backend, server.uri, "--experiment", experiment_id)
    assert counts(result) == {"versions": 1, "found": 1, "traces": 1, "otherwise": 1}
    assert linked_to(other.model_id, experiment_id) == {trace_id}
    result = pushed(backend, server.uri, "--experiment", experiment_id, "--relink")
    assert counts(result) == {"versions": 1, "found": 1, "traces": 1, "linked": 1}
    assert linked_to(agent.model_id, experiment_id) == {trace_id}


def link(client: MlflowClient, trace_id: str, model_id: str) -> None:
    info = client.get_trace(f"tr-{trace_id}").info
    info.trace_metadata["mlflow.modelId"] = model_id
    client._tracing_client.start_trace(info)


def test_what_changed_here_is_pushed_and_comes_back_unchanged(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    model = otel_loggedmodel.create_external_model(name="my agent: v1.0", params={"llm": "a"}, tags={"team": "x"})
    with Application(backend) as app, use_model(model):
        app.trace()
    arguments = ("--experiment", experiment_id)
    assert counts(pushed(backend, server.uri, *arguments))["made"] == 1
    with Application(backend) as app, use_model(model):
        otel_loggedmodel.set_logged_model_tags(model.model_id, {"team": "y", "reviewed": "yes"})
        otel_loggedmodel.log_model_params({"k": "5"}, model.model_id)
        otel_loggedmodel.finalize_logged_model(model.model_id, "FAILED")
        app.trace()
    assert counts(pushed(backend, server.uri, *arguments))["found"] == 1
    [far] = client.search_logged_models([experiment_id])
    assert (far.tags["team"], far.tags["reviewed"], far.params["k"]) == ("y", "yes", "5")
    assert str(far.status) == "FAILED"
    assert counts(imported(backend, server.uri, [experiment_id])) == {"found": 1, "unchanged": 1}
    assert versions(backend).keys() == {model.model_id}


def test_a_trace_stays_in_its_experiment(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    other = client.create_experiment(f"other-{uuid.uuid4().hex}")
    with Application(backend, server, other) as app, use_model(name="agent"):
        trace_id = app.trace()
    done = command("mlflow", "push", "--experiment", experiment_id, store=backend.http, MLFLOW_TRACKING_URI=server.uri)
    assert done.returncode == 0, done.stderr
    assert "1 version for" in done.stdout
    assert "1 trace of theirs: 1 linked" in done.stdout
    assert "In another experiment than their LoggedModels: 1 trace" in done.stderr
    assert client.get_trace(f"tr-{trace_id}").info.experiment_id == other
    assert linked_to(the_model(client, experiment_id, "agent").model_id, other) == {trace_id}


def test_of_a_trace_without_its_root_the_root_is_told(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    with Application(backend) as app, use_model(name="agent"):
        root = app.provider.get_tracer("app").start_span("answer")
        with trace_api.use_span(root), Application(backend, server, experiment_id) as part:
            part.provider.get_tracer("app").start_span("think").end()
        root.set_status(StatusCode.ERROR, "on purpose")
        root.end()
    trace_id = trace_api.format_trace_id(root.get_span_context().trace_id)
    assert client.get_trace(f"tr-{trace_id}").info.state == "IN_PROGRESS"
    assert counts(pushed(backend, server.uri, "--experiment", experiment_id))["linked"] == 1
    info = client.get_trace(f"tr-{trace_id}").info
    assert info.state == "ERROR"
    assert (info.request_time, info.execution_duration) == (
        root.start_time // 10**6,
        (root.end_time - root.start_time) // 10**6,
    )


def test_an_id_that_nobody_knows_the_name_of_is_left_out_and_a_text_names_itself(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    for number, version in enumerate(("m-" + "5" * 32, "my-agent-v1.0")):
        backend.post(Traces(version, seed=number).request(2)[1])
    expected = {"versions": 2, "made": 1, "nameless": 1, "traces": 2, "absent": 2}
    assert counts(pushed(backend, server.uri, "--experiment", experiment_id, "--dry-run"))["nameless"] == 1
    assert counts(pushed(backend, server.uri, "--experiment", experiment_id)) == expected
    [model] = client.search_logged_models([experiment_id])
    assert model.tags["logged_model.name"] == "my-agent-v1.0"


def test_after_a_kill_it_goes_on_where_it_was(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    with Application(backend, server, experiment_id) as app, use_model(name="agent"):
        made = {app.trace() for _ in range(30)}
    with HoldingProxy(server.uri, "/api/3.0/mlflow/traces", number=11) as proxy:
        process = started("mlflow", "push", "--experiment", experiment_id, store=backend.http, uri=proxy.uri)
        assert proxy.holding.wait(60), "it has not come to the traces"
        process.kill()
        process.wait()
    result = counts(pushed(backend, server.uri, "--experiment", experiment_id))
    assert (result["found"], result["already"] + result["linked"]) == (1, 30)
    assert result["already"] <= 10
    assert linked_to(the_model(client, experiment_id, "agent").model_id, experiment_id) == made


def test_a_directory_is_pushed_without_a_backend(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    with Application(backend, server, experiment_id) as app, use_model(name="agent"):
        made = {app.trace() for _ in range(3)}
    store = backend.store
    backend.stop()
    result = ran("mlflow", "push", "--experiment", experiment_id, store=store, uri=server.uri)
    assert counts(result) == {"versions": 1, "made": 1, "traces": 3, "linked": 3}
    assert linked_to(the_model(client, experiment_id, "agent").model_id, experiment_id) == made
    backend.start()


def test_an_experiment_of_a_new_name_is_made(client: MlflowClient, server: MlflowServer, backend: Serving) -> None:
    name = f"pushed-{uuid.uuid4().hex}"
    with Application(backend) as app, use_model(name="agent"):
        app.trace()
    refused = command(
        "mlflow", "push", "--dry-run", "--experiment", name, store=backend.http, MLFLOW_TRACKING_URI=server.uri
    )
    assert refused.returncode == 2
    assert client.get_experiment_by_name(name) is None
    assert counts(pushed(backend, server.uri, "--experiment", name))["made"] == 1
    experiment = client.get_experiment_by_name(name)
    assert [model.name for model in client.search_logged_models([experiment.experiment_id])] == ["agent"]


def test_users_push_to_their_experiments_and_not_to_others(guarded_server: MlflowServer, backend: Serving) -> None:
    def ran_as(user: tuple[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
        name, password = user
        variables = {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": password}
        return command(
            "mlflow",
            *arguments,
            "--server",
            guarded_server.uri,
            "--experiment",
            experiment,
            store=backend.http,
            **variables,
        )

    experiment = f"anna-{uuid.uuid4().hex}"
    with Application(backend) as app, use_model(name="agent"):
        app.trace()
    for _ in range(2):  # what is not there is forbidden to them, traces for instance
        done = ran_as(ANNA, "push")
        assert done.returncode == 0, done.stderr
        assert "1 trace of theirs: 1 not on that server" in done.stdout
    with Application(backend) as app, use_model(name="another"):
        app.trace()
    refused = ran_as(READER, "push")
    assert refused.returncode == 3
    assert "ask for the right to edit the experiment" in refused.stderr
    read = ran_as(READER, "import", "--dry-run")
    assert read.returncode == 0, read.stderr
    assert "1 unchanged" in read.stdout
    unknown = ran_as(("anna", "wrong"), "import")
    assert unknown.returncode == 3
    assert "MLFLOW_TRACKING_USERNAME" in unknown.stderr
