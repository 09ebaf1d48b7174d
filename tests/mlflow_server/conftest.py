# SPDX-License-Identifier: Apache-2.0
"""One MLflow server for all tests, an experiment of its own for each, and MLflow's client to look at it."""

import os
import uuid
from collections.abc import Iterator

import mlflow
import pytest
from mlflow import MlflowClient

from otel_loggedmodel.tracking_server.settings import Settings

from .tracking_servers import MlflowServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A server as `mlflow server` starts one: four workers, SQLite."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with MlflowServer(tmp_path_factory.mktemp("mlflow")) as server:
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
