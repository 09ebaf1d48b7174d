# SPDX-License-Identifier: Apache-2.0
"""`mlflow import`: LoggedModels of a real server become versions of a real backend."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus

from backend.serving import Serving, command
from cli.terminal import environment
from otel_loggedmodel import create_external_model
from otel_loggedmodel.tracking_server.models import Models
from otel_loggedmodel.tracking_server.rest import Server
from otel_loggedmodel.tracking_server.settings import Settings

from .holding_proxy import HoldingProxy
from .tracking_servers import MlflowServer

SEARCH = "/api/2.0/mlflow/logged-models/search"


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Serving]:
    with Serving(tmp_path / "backend.log", "--data", tmp_path / "data") as serving:
        yield serving


def ran(*arguments: str, store: str, uri: str, code: int = 0) -> Any:
    """What a command prints as JSON."""
    done = command(*arguments, "--json", store=store, MLFLOW_TRACKING_URI=uri)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def imported(backend: Serving, uri: str, experiments: Sequence[str], *more: str) -> dict[str, Any]:
    named = [argument for experiment in experiments for argument in ("--experiment", experiment)]
    return ran("mlflow", "import", *named, *more, store=backend.http, uri=uri)


def counts(result: dict[str, Any]) -> dict[str, int]:
    return {key: value for key, value in result.items() if isinstance(value, int) and key != "dry_run" and value}


def versions(backend: Serving) -> dict[str, dict[str, Any]]:
    found = ran("models", "--limit", "1000", store=backend.http, uri="")["versions"]
    return {version["model_id"]: version for version in found}


def make(client: MlflowClient, experiment_id: str, number: int) -> LoggedModel:
    model = client.create_logged_model(
        experiment_id,
        name=f"agent-{number % 5}",
        params={"llm": f"gpt-{number}", "prompt": "Grüße, 世界\n\"quoted\""},
        tags={"team": "support", "number": str(number)},
        model_type="rag" if number % 2 else None,
    )
    if number % 4:
        status = LoggedModelStatus.FAILED if number % 4 == 1 else LoggedModelStatus.READY
        client.finalize_logged_model(model.model_id, status)
    return client.get_logged_model(model.model_id)


def test_models_of_three_experiments_become_versions(client: MlflowClient, server: MlflowServer, backend: Serving) -> None:
    names = [f"import-{uuid.uuid4().hex}" for _ in range(3)]
    ids = [client.create_experiment(name) for name in names]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: make(client, ids[number % 3], number), range(31)))
    gone = made.pop()
    client.delete_logged_model(gone.model_id)

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
        assert (version["model_type"] or None, version["status"]) == (model.model_type or None, str(model.status))
        assert (version["creation_timestamp"], version["registered"]) == (model.creation_timestamp, True)

    before = backend.get("/api/v1/revision")
    assert counts(imported(backend, server.uri, ids)) == {"found": 30, "unchanged": 30}
    assert backend.get("/api/v1/revision") == before, "nothing was stored"

    shown = ran("show", made[3].model_id, store=backend.http, uri="")
    assert [entry["kind"] for entry in shown["history"]] == ["created"]
    compared = ran("compare", made[3].model_id, made[4].model_id, store=backend.http, uri="")
    differing = {one["key"]: one["values"] for one in compared["configuration"]}
    assert differing["llm"] == ["gpt-3", "gpt-4"]
