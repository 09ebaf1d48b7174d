# SPDX-License-Identifier: Apache-2.0
"""The MLflow-shaped functions, used as MLflow's documentation of version tracking uses them."""

import re
import subprocess
import sys
import time
import types

import pytest

import otel_loggedmodel as mlflow
from otel_loggedmodel.versions import identity


def test_code_written_for_mlflow_runs_after_changing_the_import(traced) -> None:
    mlflow.set_experiment("support")
    model = mlflow.create_external_model(
        name="recommendation-engine-v2.1",
        model_type="rag-agent",
        params={"llm_model": "gpt-4", "temperature": "0.7", "max_tokens": "1000", "retrieval_k": "5"},
        tags={"team": "ml-platform", "environment": "staging", "git_commit": "abc123def"},
    )
    with mlflow.start_run() as run:
        in_run = mlflow.create_external_model(name="my-agent-v3.0", source_run_id=run.info.run_id)
        assert mlflow.create_external_model(name="my-agent-v3.0") == in_run
    with mlflow.set_active_model(name="my-agent-v2.0") as active:
        assert re.fullmatch(r"m-[0-9a-f]{32}", active.model_id)
    mlflow.set_active_model(model_id="existing-model-id")
    assert mlflow.get_active_model_id() == "existing-model-id"

    assert (model.name, model.model_type, model.experiment_id) == ("recommendation-engine-v2.1", "rag-agent", "support")
    assert (model.status, model.source_run_id, in_run.source_run_id) == ("READY", None, run.info.run_id)
    assert model.params["retrieval_k"] == "5"
    assert model.tags["team"] == "ml-platform"


def test_a_created_model_has_the_time_of_its_creation() -> None:
    before = time.time_ns() // 1_000_000
    model = mlflow.create_external_model("a")
    assert before <= model.creation_timestamp <= time.time_ns() // 1_000_000 + 1
    assert model.last_updated_timestamp == model.creation_timestamp


def test_the_same_arguments_give_the_same_version() -> None:
    first = mlflow.create_external_model("a", params={"k": "v"})
    assert mlflow.create_external_model("a", params={"k": "v"}) == first
    assert mlflow.create_external_model("a", params={"k": "w"}) != first


def test_names_are_random_and_readable_where_none_is_given() -> None:
    names = {mlflow.create_external_model().name for _ in range(50)}
    assert len(names) > 45
    assert all(re.fullmatch(r"[a-z]+-[a-z]+-\d{3}", name) for name in names)


def test_set_active_model_by_name_takes_the_newest_version_known() -> None:
    reference = mlflow.set_active_model("agent")
    assert reference.model_id == identity.reference_to("0", "agent")
    mlflow.create_external_model("agent", params={"k": "1"})
    newest = mlflow.create_external_model("agent", params={"k": "2"})
    other_experiment = mlflow.create_external_model("agent", params={"k": "3"}, experiment_id="9")
    assert mlflow.set_active_model("agent").model_id == newest.model_id != other_experiment.model_id
    assert mlflow.set_active_model(name="agent").params == {"k": "2"}


def test_set_active_model_by_id() -> None:
    model = mlflow.create_external_model("agent", params={"k": "1"})
    assert mlflow.set_active_model(None, model.model_id) == model
    assert mlflow.set_active_model(model_id=model.model_id, name="agent") == model
    elsewhere = mlflow.set_active_model(model_id="m-" + "a" * 32)
    assert (elsewhere.name, elsewhere.creation_timestamp) == (None, 0)
    assert mlflow.set_active_model(name="named", model_id="m-" + "b" * 32).name == "named"


def test_set_active_model_with_neither_or_conflicting_arguments() -> None:
    with pytest.raises(ValueError, match=r'pass the name or the model_id .* set_active_model\(name="my-agent-v1.0"\)'):
        mlflow.set_active_model()
    model = mlflow.create_external_model("agent", params={"k": "1"})
    with pytest.raises(ValueError, match="is a version of 'agent', not of 'other': pass only one"):
        mlflow.set_active_model(name="other", model_id=model.model_id)
    assert mlflow.get_active_model_id() is None


def test_use_model_takes_a_model_a_name_or_an_id() -> None:
    model = mlflow.create_external_model("agent", params={"k": "1"})
    for scope in (
        mlflow.use_model(model),
        mlflow.use_model("agent"),
        mlflow.use_model(model.model_id),
        mlflow.use_model(name="agent"),
        mlflow.use_model(model_id=model.model_id),
    ):
        with scope as used:
            assert used == model
            assert mlflow.get_active_model_id() == model.model_id
        assert mlflow.get_active_model_id() is None


def test_use_model_with_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="pass a LoggedModel, or the name or model_id"):
        mlflow.use_model()
    with pytest.raises(TypeError, match="not both"):
        mlflow.use_model("a", name="b")
    with pytest.raises(TypeError, match="model is int"):
        mlflow.use_model(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="decorates functions, not str"):
        mlflow.use_model("a")("b")  # type: ignore[type-var]


def test_params_are_write_once_and_repeating_them_is_fine() -> None:
    model = mlflow.create_external_model("a", params={"k": "1"})
    mlflow.log_model_params({"l": "2"}, model.model_id)
    mlflow.log_model_params({"l": "2", "k": "1"}, model.model_id)
    with pytest.raises(ValueError, match=r'param "k" of .* is \'1\' and cannot become \'9\': .*write-once'):
        mlflow.log_model_params({"new": "x", "k": "9"}, model.model_id)
    assert mlflow.get_logged_model(model.model_id).params == {"k": "1", "l": "2"}


def test_log_model_params_goes_to_the_active_model() -> None:
    with pytest.raises(ValueError, match="no version is active: call set_active_model first"):
        mlflow.log_model_params({"k": "v"})
    active = mlflow.set_active_model("a")
    mlflow.log_model_params({"k": "v"})
    assert mlflow.get_logged_model(active.model_id).params == {"k": "v"}
    with mlflow.use_model("b") as scoped:
        mlflow.log_model_params({"k": "w"})
    assert mlflow.get_logged_model(scoped.model_id).params == {"k": "w"}


def test_tags_change_and_go() -> None:
    model = mlflow.create_external_model("a", tags={"keep": "1", "change": "1"})
    mlflow.set_logged_model_tags(model.model_id, {"change": "2", "new": "3"})
    mlflow.delete_logged_model_tag(model.model_id, "new")
    now = mlflow.get_logged_model(model.model_id)
    assert now.tags == {"keep": "1", "change": "2"}
    assert now.last_updated_timestamp >= model.last_updated_timestamp
    with pytest.raises(LookupError, match="has no tag 'gone'; it has: change, keep"):
        mlflow.delete_logged_model_tag(model.model_id, "gone")


def test_a_version_made_elsewhere_can_be_changed() -> None:
    mlflow.set_logged_model_tags("m-" + "c" * 32, {"t": "1"})
    mlflow.log_model_params({"k": "v"}, "m-" + "c" * 32)
    model = mlflow.get_logged_model("m-" + "c" * 32)
    assert (model.name, dict(model.tags), dict(model.params)) == (None, {"t": "1"}, {"k": "v"})


def test_finalize_sets_the_status() -> None:
    model = mlflow.create_external_model("a")
    assert mlflow.finalize_logged_model(model.model_id, "FAILED").status == "FAILED"
    assert mlflow.get_logged_model(model.model_id).status is mlflow.LoggedModelStatus.FAILED
    with pytest.raises(ValueError, match="status is 'DONE': pass one of PENDING, READY, FAILED, FAILED_REGISTRATION"):
        mlflow.finalize_logged_model(model.model_id, "DONE")


def test_deleted_models_are_not_known_any_more() -> None:
    older = mlflow.create_external_model("a", params={"k": "1"})
    newer = mlflow.create_external_model("a", params={"k": "2"})
    mlflow.delete_logged_model(newer.model_id)
    with pytest.raises(LookupError, match="this process does not know"):
        mlflow.get_logged_model(newer.model_id)
    assert mlflow.set_active_model("a").model_id == older.model_id
    mlflow.delete_logged_model(older.model_id)
    assert mlflow.set_active_model("a").model_id == identity.reference_to("0", "a")


def test_clear_active_model_clears_the_environment_too(monkeypatch, make_traced) -> None:
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "my-agent-v1.0")
    assert mlflow.get_active_model_id() == "my-agent-v1.0"
    mlflow.clear_active_model()
    assert mlflow.get_active_model_id() is None
    with mlflow.set_active_model("a") as model:
        assert mlflow.get_active_model_id() == model.model_id
    assert mlflow.get_active_model_id() is None
    mlflow.set_active_model("b")
    assert mlflow.get_active_model_id() == identity.reference_to("0", "b")


@pytest.mark.parametrize("variable", ["MLFLOW_ACTIVE_MODEL_ID", "OTEL_LOGGEDMODEL_ID", "OTEL_LOGGEDMODEL_NAME"])
def test_a_process_that_is_started_after_clearing_has_no_version(variable, monkeypatch) -> None:
    monkeypatch.setenv(variable, "my-agent-v1.0")
    program = "import otel_loggedmodel; print(otel_loggedmodel.get_active_model_id())"

    def started() -> str:
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
        return ran.stdout.strip()

    assert started() != "None"
    mlflow.clear_active_model()
    assert started() == "None"


def test_a_version_is_of_the_experiment_of_its_run() -> None:
    mlflow.set_experiment("of-the-run")
    with mlflow.start_run() as run:
        mlflow.set_experiment("now")
        assert mlflow.create_external_model("a").experiment_id == "of-the-run"
    later = mlflow.create_external_model("a", source_run_id=run.info.run_id)
    assert (later.experiment_id, later.source_run_id) == ("of-the-run", run.info.run_id)
    assert mlflow.create_external_model("a", run.info.run_id, experiment_id="given").experiment_id == "given"
    assert mlflow.create_external_model("a", source_run_id="of-somebody-else").experiment_id == "now"


def test_experiment_defaults(monkeypatch) -> None:
    assert mlflow.create_external_model("a").experiment_id == "0"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "by-name")
    assert mlflow.create_external_model("a").experiment_id == "by-name"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    assert mlflow.create_external_model("a").experiment_id == "7"
    for call in (
        lambda: mlflow.set_experiment("set"),
        lambda: mlflow.set_experiment(experiment_name="set"),
        lambda: mlflow.set_experiment(experiment_id="set"),
    ):
        assert call().experiment_id == "set"
        assert mlflow.create_external_model("a").experiment_id == "set"
    assert mlflow.create_external_model("a", experiment_id="given").experiment_id == "given"
    with pytest.raises(TypeError, match="pass one name or id"):
        mlflow.set_experiment()


def test_run_defaults(monkeypatch) -> None:
    assert mlflow.create_external_model("a").source_run_id is None
    monkeypatch.setenv("MLFLOW_RUN_ID", "from-environment")
    assert mlflow.create_external_model("a").source_run_id == "from-environment"
    fake = types.ModuleType("mlflow")
    fake.active_run = lambda: types.SimpleNamespace(info=types.SimpleNamespace(run_id="from-mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    assert mlflow.create_external_model("a").source_run_id == "from-mlflow"
    with mlflow.start_run("mine") as run:
        assert run.info.run_name == "mine"
        assert re.fullmatch("[0-9a-f]{32}", run.info.run_id)
        assert mlflow.create_external_model("a").source_run_id == run.info.run_id
        with mlflow.start_run() as inner:
            assert mlflow.create_external_model("a").source_run_id == inner.info.run_id
        assert mlflow.create_external_model("a").source_run_id == run.info.run_id
    assert mlflow.create_external_model("a").source_run_id == "from-mlflow"
    fake.active_run = lambda: None
    assert mlflow.create_external_model("a").source_run_id == "from-environment"
