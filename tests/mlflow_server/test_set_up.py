# SPDX-License-Identifier: Apache-2.0
from mlflow import MlflowClient

from otel_loggedmodel.tracking_server.settings import Settings


def test_up(client: MlflowClient, settings: Settings) -> None:
    assert client.get_experiment(settings.experiment_id).experiment_id == settings.experiment_id
