# SPDX-License-Identifier: Apache-2.0
"""What docs/mlflow-import-push.md prints works as it is printed."""

from pathlib import Path

from mlflow import MlflowClient

from backend.serving import Serving
from cli.terminal import environment
from integrations.situations import Page, run_in_shell
from otel_loggedmodel import use_model

from .exchanging import Application, linked_to, versions
from .tracking_servers import MlflowServer


def test_mlflow_import_and_push(client: MlflowClient, server: MlflowServer, tmp_path: Path) -> None:
    importing, pushing = Page("mlflow-import-push").console
    known = client.get_experiment_by_name("support")
    experiment_id = client.create_experiment("support") if known is None else known.experiment_id
    imported = client.create_logged_model(experiment_id, name="from-there")
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as backend:
        variables = environment(OTEL_LOGGEDMODEL_STORE=backend.http, MLFLOW_TRACKING_URI=server.uri)
        assert "from-there" in run_in_shell(importing, tmp_path, variables)
        assert imported.model_id in versions(backend)

        sent = {}
        with Application(backend, server, experiment_id) as app:
            for name in ("my-agent-v1", "my-agent-v2"):
                with use_model(name=name):
                    sent[name] = app.trace()
        assert "2 traces of theirs: 2 linked" in run_in_shell(pushing, tmp_path, variables)
    models = {
        model.tags.get("logged_model.name", model.name): model for model in client.search_logged_models([experiment_id])
    }
    for name, trace_id in sent.items():
        assert trace_id in linked_to(models[name].model_id, experiment_id)
