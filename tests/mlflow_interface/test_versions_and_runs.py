# SPDX-License-Identifier: Apache-2.0
"""Versions, runs, experiments and metrics, as MLflow's pages on version tracking use them."""

import os
import subprocess

import pytest

import otel_loggedmodel as mlflow
from otel_loggedmodel.entities import LoggedModelStatus, Metric


def test_a_run_is_active_from_the_call_on_until_it_ends() -> None:
    assert mlflow.active_run() is None
    run = mlflow.start_run(run_name="baseline", tags={"team": "search"}, description="The first try.")
    assert mlflow.active_run() is run
    assert mlflow.create_external_model("a").source_run_id == run.info.run_id
    with mlflow.start_run(nested=True) as inner:
        assert mlflow.active_run() is inner
    assert mlflow.active_run() is run
    assert run.data.tags == {"team": "search", "mlflow.note.content": "The first try."}
    mlflow.end_run()
    assert run.info.start_time <= inner.info.start_time <= inner.info.end_time <= run.info.end_time
    assert (run.info.lifecycle_stage, mlflow.get_experiment("x").tags) == ("active", {})
    assert (mlflow.active_run(), run.status, inner.status) == (None, "FINISHED", "FINISHED")
    assert mlflow.last_active_run() is inner or mlflow.last_active_run() is run
    mlflow.end_run()


def test_a_run_is_taken_up_again_and_has_an_experiment() -> None:
    with mlflow.start_run(experiment_id="mine") as run:
        assert mlflow.create_external_model("a").experiment_id == "mine"
    with mlflow.start_run(run_id=run.info.run_id) as again:
        assert again is run
    with mlflow.start_run(run_id="made-elsewhere") as other:
        assert mlflow.create_external_model("a").source_run_id == other.info.run_id == "made-elsewhere"
    assert mlflow.get_run(run.info.run_id) is run
    with pytest.raises(LookupError, match="this process has begun no run 'nobody'"):
        mlflow.get_run("nobody")
    with pytest.raises(RuntimeError), mlflow.start_run() as failed:
        raise RuntimeError
    assert failed.status == "FAILED"


def test_experiments_are_names() -> None:
    assert mlflow.create_experiment("support") == "support"
    mlflow.set_experiment("support")
    found = mlflow.get_experiment_by_name("support")
    assert (found.experiment_id, found.name, found.lifecycle_stage) == ("support", "support", "active")
    assert mlflow.get_experiment("support") == found
    assert mlflow.create_external_model("a").experiment_id == found.experiment_id


def test_metrics_of_a_version_are_with_it(global_traced) -> None:
    model = mlflow.create_external_model("a", params={"k": "5"})
    mlflow.log_metrics({"accuracy": 0.5, "loss": 2}, model_id=model.model_id)
    mlflow.log_metric("accuracy", 0.75, model_id=model.model_id, step=3)
    found = mlflow.get_logged_model(model.model_id)
    assert found.metrics == [Metric("accuracy", 0.75, model.model_id), Metric("loss", 2.0, model.model_id)]
    assert found.to_dictionary()["metrics"] == {"accuracy": 0.75, "loss": 2.0}
    assert found.to_dictionary()["params"] == {"k": "5"}
    mlflow.set_active_model(model_id=model.model_id)
    mlflow.log_metric("calls", 7)
    assert mlflow.get_logged_model(model.model_id).tags["metric.calls"] == "7.0"


def test_metrics_and_params_of_a_run_are_kept_and_said_to_stay_here(caplog) -> None:
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", 0.5)
        mlflow.log_params({"rate": 0.1, "name": "x"})
        mlflow.set_tag("team", "search")
        with pytest.raises(ValueError, match=r"param \"rate\" of the run is '0\.1'"):
            mlflow.log_param("rate", 0.2)
    assert (run.data.metrics, run.data.params, run.data.tags) == (
        {"loss": 0.5},
        {"rate": "0.1", "name": "x"},
        {"team": "search"},
    )
    assert "are kept in this process alone: pass model_id=..." in caplog.text
    with pytest.raises(ValueError, match="no version and no run is active"):
        mlflow.log_metric("loss", 1)
    with pytest.raises(ValueError, match="no run is active"):
        mlflow.log_param("a", 1)


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ("0.5", TypeError, 'metric "a" is str'),
        (True, TypeError, 'metric "a" is bool'),
        (float("nan"), ValueError, "no number to compare"),
        (None, TypeError, 'metric "a" is NoneType'),
    ],
)
def test_a_metric_that_is_no_number_is_refused(value, error, said) -> None:
    with pytest.raises(error, match=said):
        mlflow.log_metric("a", value, model_id="m-1")


def test_a_version_may_be_begun_and_finished() -> None:
    model = mlflow.initialize_logged_model("a", params={"k": "1"})
    assert model.status is LoggedModelStatus.PENDING
    assert mlflow.finalize_logged_model(model.model_id, "FAILED_REGISTRATION").status == "FAILED_REGISTRATION"
    assert mlflow.finalize_logged_model(model.model_id, LoggedModelStatus.READY).status == "READY"


def test_versions_are_searched_in_this_process_where_there_is_no_store(monkeypatch, caplog) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_STORE", "http://127.0.0.1:9")
    first = mlflow.create_external_model("a", params={"k": "1"}, tags={"team": "x"}, experiment_id="one")
    second = mlflow.create_external_model("b", params={"k": "2"}, model_type="agent")
    mlflow.log_metric("accuracy", 0.9, model_id=second.model_id)

    def search(filter_string: str | None = None, **more: object) -> list[str]:
        found = mlflow.search_logged_models(filter_string=filter_string, output_format="list", **more)
        return [model.name for model in found]

    assert set(search()) == {"a", "b"}
    assert "no store could be asked" in caplog.text
    assert search("name = 'a'") == ["a"]
    assert search("params.k = '2' AND model_type = 'agent'") == ["b"]
    assert search("tags.team = 'x'") == ["a"]
    assert search("metrics.accuracy > 0.5") == ["b"]
    assert search("name IN ('a', 'c') AND name LIKE '%'") == ["a"]
    assert search(experiment_ids=["one"]) == ["a"]
    assert search(order_by=[{"field_name": "name", "ascending": False}], max_results=1) == ["b"]
    assert search("name != 'a' AND status = 'READY'") == ["b"]
    client = mlflow.MlflowClient()
    assert [model.model_id for model in client.search_logged_models(filter_string="name = 'a'")] == [first.model_id]
    assert mlflow.last_logged_model().name in {"a", "b"}
    table = pytest.importorskip("pandas") and mlflow.search_logged_models(filter_string="name = 'b'")
    assert table.to_dict("records")[0]["metrics"] == {"accuracy": 0.9}
    for filter_string, said in (("colour = 'x'", "cannot be searched by 'colour'"), ("name = a", "cannot be read")):
        with pytest.raises(ValueError, match=said):
            search(filter_string)


def test_what_is_logged_to_be_waited_for_is_there_at_once() -> None:
    with mlflow.start_run() as run:
        for logged in (
            mlflow.log_metric("a", 1, synchronous=False),
            mlflow.log_metrics({"b": 2}, synchronous=False),
            mlflow.log_param("c", 3, synchronous=False),
            mlflow.log_params({"d": 4}, synchronous=False),
            mlflow.set_tag("e", 5, synchronous=False),
            mlflow.set_tags({"f": 6}, synchronous=False),
        ):
            logged.wait()
        assert mlflow.log_param("c", 3) == 3
    assert (run.data.metrics, run.data.params) == ({"a": 1.0, "b": 2.0}, {"c": "3", "d": "4"})
    assert {key: run.data.tags[key] for key in "ef"} == {"e": "5", "f": "6"}


def test_the_client_has_the_functions_as_methods() -> None:
    client = mlflow.MlflowClient()
    model = client.create_logged_model("a")
    client.log_model_params(model.model_id, {"k": "1"})
    client.set_logged_model_tags(model.model_id, {"t": "1"})
    client.delete_logged_model_tag(model.model_id, "t")
    client.finalize_logged_model(model.model_id, "FAILED")
    found = client.get_logged_model(model.model_id)
    assert (dict(found.params), dict(found.tags), found.status) == ({"k": "1"}, {}, "FAILED")
    assert client.get_experiment_by_name("x").experiment_id == "x"
    with mlflow.start_run() as run:
        client.log_metric(run.info.run_id, "loss", 1)
        client.log_param(run.info.run_id, "k", 2)
    assert (run.data.metrics, run.data.params) == ({"loss": 1.0}, {"k": "2"})
    with pytest.raises(AttributeError, match="MlflowClient has no 'make_coffee' here; there are: create_dataset"):
        client.make_coffee()
    for method in (
        *("register_prompt", "get_prompt", "search_runs", "search_datasets", "log_inputs", "get_parent_run"),
        *("log_batch", "get_metric_history", "create_registered_model", "start_trace", "end_span", "delete_traces"),
        *("link_traces_to_run", "get_scorer", "log_artifact", "set_tag", "create_run", "create_webhook"),
    ):
        with pytest.raises(NotImplementedError, match=f"MlflowClient.{method} of MLflow is not here"):
            getattr(client, method)("x")


def test_the_tracking_uri_names_a_server_and_no_place_for_spans(monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert mlflow.get_tracking_uri() == ""
    mlflow.set_tracking_uri("http://localhost:5000")
    assert mlflow.get_tracking_uri() == os.environ["MLFLOW_TRACKING_URI"] == "http://localhost:5000"
    mlflow.set_tracking_uri("databricks")
    with pytest.raises(TypeError):
        mlflow.set_tracking_uri(5000)


def test_a_version_of_git_has_mlflows_tags_too(tmp_path, monkeypatch) -> None:
    for arguments in (
        ("init", "-q"),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"),
    ):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    with mlflow.genai.enable_git_model_versioning() as context:
        tags = mlflow.get_logged_model(context.active_model.model_id).tags
        assert tags["mlflow.git.commit"] == tags["vcs.ref.head.revision"] == context.info.commit
        assert tags["mlflow.git.dirty"] == "false"
        assert "mlflow.git.branch" in tags
    mlflow.genai.enable_git_model_versioning()
    assert mlflow.get_active_model_id() is not None
    mlflow.genai.disable_git_model_versioning()
    assert mlflow.get_active_model_id() is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (mlflow.openai.autolog, "instrumentation of the library"),
        (lambda: mlflow.langchain.autolog(disable=True), "docs/frameworks.md"),
        (mlflow.autolog, "instrumentation of the library"),
        (lambda: mlflow.genai.load_prompt("a"), "no registry of prompts"),
        (lambda: mlflow.register_model("a", "b"), "no registry of files of models"),
        (lambda: mlflow.pyfunc.load_model("a"), "a version is what create_external_model makes"),
        (lambda: mlflow.log_artifact("a"), "files are kept elsewhere"),
        (lambda: mlflow.genai.to_predict_fn("endpoints:/a"), "pass it as predict_fn"),
        (mlflow.search_runs, "otel-loggedmodel runs"),
    ],
)
def test_what_is_not_here_says_what_to_do_instead(call, said) -> None:
    with pytest.raises(NotImplementedError, match="of MLflow is not here: ") as raised:
        call()
    assert said in str(raised.value)


def test_a_name_that_nobody_has_is_an_attribute_error() -> None:
    for module in (mlflow, mlflow.genai):
        with pytest.raises(AttributeError, match="has no attribute 'nothing_of_the_kind'"):
            _ = module.nothing_of_the_kind
