# SPDX-License-Identifier: Apache-2.0
"""`mlflow import`: LoggedModels of a real server become versions of a real backend."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus

import otel_loggedmodel
from backend.serving import Serving, command
from otel_loggedmodel.mlflow_server.models import Models
from otel_loggedmodel.mlflow_server.rest import Server
from otel_loggedmodel.mlflow_server.settings import Settings

from .exchanging import counts, imported, ran, started, versions
from .holding_proxy import HoldingProxy
from .tracking_servers import MlflowServer


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Serving]:
    with Serving(tmp_path / "backend.log", "--data", tmp_path / "data") as serving:
        yield serving


def make(client: MlflowClient, experiment_id: str, number: int) -> LoggedModel:
    model = client.create_logged_model(
        experiment_id,
        name=f"agent-{number % 5}",
        params={"llm": f"gpt-{number}", "prompt": 'Grüße, 世界\n"quoted"'},
        tags={"team": "support", "number": str(number)},
        model_type="rag" if number % 2 else None,
    )
    if number % 4:
        status = LoggedModelStatus.FAILED if number % 4 == 1 else LoggedModelStatus.READY
        client.finalize_logged_model(model.model_id, status)
    return client.get_logged_model(model.model_id)


def make_many(client: MlflowClient, experiment_ids: list[str], count: int) -> list[LoggedModel]:
    with ThreadPoolExecutor(4) as pool:
        choose = experiment_ids.__getitem__
        return list(pool.map(lambda number: make(client, choose(number % len(experiment_ids)), number), range(count)))


def test_models_of_three_experiments_become_versions(
    client: MlflowClient, server: MlflowServer, backend: Serving
) -> None:
    names = [f"import-{uuid.uuid4().hex}" for _ in range(3)]
    ids = [client.create_experiment(name) for name in names]
    made = make_many(client, ids, 31)
    client.delete_logged_model(made.pop().model_id)

    dry = imported(backend, server.uri, [ids[0], names[1], ids[2]], "--dry-run")
    assert (counts(dry), dry["dry_run"]) == ({"found": 30, "created": 30}, True)
    assert versions(backend) == {}

    assert counts(imported(backend, server.uri, [ids[0], names[1], ids[2]])) == {"found": 30, "created": 30}
    found = versions(backend)
    assert found.keys() == {model.model_id for model in made}
    for model in made:
        version = found[model.model_id]
        assert (version["name"], version["experiment_id"]) == (model.name, model.experiment_id)
        assert (version["params"], version["tags"]) == (model.params, model.tags)
        assert (version["model_type"], version["status"]) == (model.model_type or None, str(model.status))
        assert (version["creation_timestamp"], version["registered"]) == (model.creation_timestamp, True)

    before = backend.get("/api/v1/revision")
    assert counts(imported(backend, server.uri, ids)) == {"found": 30, "unchanged": 30}
    assert backend.get("/api/v1/revision") == before, "nothing was stored"

    shown = ran("show", made[3].model_id, store=backend.http)
    assert [entry["kind"] for entry in shown["history"]] == ["created"]
    compared = ran("compare", made[3].model_id, made[4].model_id, store=backend.http)
    assert {one["key"]: one["values"] for one in compared["configuration"]}["llm"] == ["gpt-3", "gpt-4"]


def test_an_import_of_everything_finds_every_experiment(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    other = client.create_experiment(f"import-{uuid.uuid4().hex}")
    made = make_many(client, [experiment_id, other], 4)
    result = imported(backend, server.uri, [])
    assert {experiment_id, other} <= {experiment["experiment_id"] for experiment in result["experiments"]}
    assert {model.model_id for model in made} <= versions(backend).keys()


def test_a_filter_is_that_of_mlflow(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    made = make_many(client, [experiment_id], 6)
    result = imported(backend, server.uri, [experiment_id], "--filter", "params.llm = 'gpt-4'")
    assert counts(result) == {"found": 1, "created": 1}
    assert list(versions(backend)) == [made[4].model_id]

    refused = command("mlflow", "import", "--filter", "llm is good", store=backend.http, MLFLOW_TRACKING_URI=server.uri)
    assert refused.returncode == 2
    assert "llm is good" in refused.stderr


def test_what_changed_there_is_brought_up_to_date(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    model = client.create_logged_model(experiment_id, name="agent", tags={"stage": "new", "team": "a"})
    assert counts(imported(backend, server.uri, [experiment_id])) == {"found": 1, "created": 1}
    for stage in ("tested", "new", "tested"):  # back and forth: each is a change of its own
        client.set_logged_model_tags(model.model_id, {"stage": stage})
        assert counts(imported(backend, server.uri, [experiment_id])) == {"found": 1, "updated": 1}
        assert versions(backend)[model.model_id]["tags"] == {"stage": stage, "team": "a"}
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_model_params(model.model_id, {"llm": "gpt-4o"})
    assert counts(imported(backend, server.uri, [experiment_id])) == {"found": 1, "updated": 1}
    version = versions(backend)[model.model_id]
    assert (version["status"], version["params"]) == ("READY", {"llm": "gpt-4o"})
    assert counts(imported(backend, server.uri, [experiment_id])) == {"found": 1, "unchanged": 1}


def test_what_this_library_made_there_comes_back_under_its_own_id(
    settings: Settings, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    model = otel_loggedmodel.create_external_model(
        name="agent: v1.0", params={"llm": "x"}, tags={"team": "a"}, source_run_id="not-a-run-of-mlflow"
    )
    far = Server(settings)
    server_id = Models(far).id_of(model.model_id, model)
    far.close()
    assert server_id != model.model_id
    assert counts(imported(backend, server.uri, [experiment_id])) == {"found": 1, "created": 1}
    version = versions(backend)[model.model_id]
    assert (version["name"], version["params"], version["tags"]) == ("agent: v1.0", {"llm": "x"}, {"team": "a"})
    assert version["source_run_id"] == "not-a-run-of-mlflow"


def test_spans_that_carry_an_id_of_mlflow_get_its_name(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    from backend.sending import Traces

    model = make(client, experiment_id, 3)
    backend.post(Traces(model.model_id, seed=1).request(3)[1])
    assert versions(backend)[model.model_id]["name"] is None
    imported(backend, server.uri, [experiment_id])
    version = versions(backend)[model.model_id]
    assert (version["name"], version["traces"], version["params"]["llm"]) == (model.name, 3, "gpt-3")


def test_after_a_kill_it_goes_on_where_it_was(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    made = make_many(client, [experiment_id], 120)
    with HoldingProxy(server.uri, "/api/2.0/mlflow/logged-models/search", number=2) as proxy:
        arguments = ("mlflow", "import", "--experiment", experiment_id)
        process = started(*arguments, store=backend.http, uri=proxy.uri)
        assert proxy.holding.wait(60), "it has not come to the second page"
        process.kill()
        process.wait()
    assert len(versions(backend)) == 100
    assert counts(imported(backend, server.uri, [experiment_id])) == {"found": 120, "created": 20, "unchanged": 100}
    assert versions(backend).keys() == {model.model_id for model in made}


def test_a_directory_is_filled_without_a_backend(
    client: MlflowClient, experiment_id: str, server: MlflowServer, tmp_path: Path
) -> None:
    made = make_many(client, [experiment_id], 3)
    store = f"chdb://{tmp_path / 'store'}"
    arguments = ("mlflow", "import", "--experiment", experiment_id)
    assert counts(ran(*arguments, store=store, uri=server.uri)) == {"found": 3, "created": 3}
    assert counts(ran(*arguments, store=store, uri=server.uri)) == {"found": 3, "unchanged": 3}
    found = ran("models", store=store)["versions"]
    assert {version["model_id"] for version in found} == {model.model_id for model in made}


def test_a_version_that_was_deleted_here_stays_deleted(
    client: MlflowClient, experiment_id: str, server: MlflowServer, backend: Serving
) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    model = make(client, experiment_id, 3)
    imported(backend, server.uri, [experiment_id])
    with_records = otel_loggedmodel.LoggedModelExporter(OTLPSpanExporter(f"{backend.http}/v1/traces"))
    otel_loggedmodel.delete_logged_model(model.model_id)
    assert with_records.force_flush()
    with_records.shutdown()
    assert counts(imported(backend, server.uri, [experiment_id])) == {"found": 1, "deleted": 1}
    assert versions(backend) == {}


def test_an_experiment_that_is_not_there_is_a_usage_error(server: MlflowServer, backend: Serving) -> None:
    for wanted in ("no such experiment", "987654321"):
        done = command("mlflow", "import", "--experiment", wanted, store=backend.http, MLFLOW_TRACKING_URI=server.uri)
        assert done.returncode == 2
        assert f"has no experiment '{wanted}'" in done.stderr
