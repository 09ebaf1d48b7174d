# SPDX-License-Identifier: Apache-2.0
"""One MLflow server for all tests, an experiment of its own for each, and MLflow's client to look at it."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import requests
from mlflow import MlflowClient

from otel_loggedmodel.mlflow_server.models import Models
from otel_loggedmodel.mlflow_server.rest import Server
from otel_loggedmodel.mlflow_server.settings import Settings
from otel_loggedmodel.mlflow_server.traces import Traces

from .looking import Looking
from .tracking_servers import Address, MlflowServer, shared

ADMIN = ("admin", "password-of-admin")
ANNA = ("anna", "password-of-anna")
READER = ("reader", "password-of-reader")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the server, whose start takes a minute on a loaded machine."""
    for item in items:
        if "with_mlflow" in item.path.parts:
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture(scope="session")
def server(of_all_workers: Path) -> Iterator[MlflowServer | Address]:
    """A server as `mlflow server` starts one, with SQLite; of its four workers two, each of which starts in seconds."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with shared(of_all_workers / "mlflow", lambda directory: MlflowServer(directory, workers=2)) as server:
        yield server


@pytest.fixture
def client(server: MlflowServer) -> MlflowClient:
    """MLflow's own client; `mlflow`'s functions ask the same server."""
    mlflow.set_tracking_uri(server.uri)
    return MlflowClient(server.uri)


@pytest.fixture
def experiment_id(client: MlflowClient) -> str:
    """An experiment that no other test uses."""
    return client.create_experiment(f"test-{uuid.uuid4().hex}")


@pytest.fixture
def settings(server: MlflowServer, experiment_id: str) -> Settings:
    """What leads to that experiment."""
    return Settings(server.uri, experiment_id=experiment_id)


@pytest.fixture
def rest(settings: Settings) -> Iterator[Server]:
    """The server, as our side asks it."""
    server = Server(settings)
    yield server
    server.close()


@pytest.fixture
def models(rest: Server) -> Models:
    """Our side of its LoggedModels."""
    return Models(rest, jitter=0)


@pytest.fixture
def traces(rest: Server, models: Models) -> Traces:
    """Our side of its traces."""
    return Traces(rest, models)


@pytest.fixture
def looking(client: MlflowClient, experiment_id: str) -> Looking:
    return Looking(client, experiment_id)


@pytest.fixture(scope="session")
def guarded_server(of_all_workers: Path) -> Iterator[MlflowServer | Address]:
    """A server with users and passwords; whoever makes an experiment may edit it, and all may read it."""
    variables = {
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-secret",
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
    }

    def start(directory: Path) -> MlflowServer:
        server = MlflowServer(directory, "--app-name", "basic-auth", variables=variables, workers=2)
        for path, body in (
            ("users/create", {"username": ANNA[0], "password": ANNA[1]}),
            ("users/create", {"username": READER[0], "password": READER[1]}),
        ):
            answer = requests.post(f"{server.uri}/api/2.0/mlflow/{path}", json=body, auth=ADMIN, timeout=60)
            assert answer.status_code == 200, answer.text
        return server

    with shared(of_all_workers / "guarded", start) as server:
        yield server
