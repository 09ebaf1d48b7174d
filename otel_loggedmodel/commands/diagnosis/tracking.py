# SPDX-License-Identifier: Apache-2.0
"""Whether an MLflow server that is to be told of versions and traces takes what it is told."""

import dataclasses
import os
from typing import Final

from otel_loggedmodel import environment
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome, Step, within
from otel_loggedmodel.mlflow_server.rest import Server, ServerError
from otel_loggedmodel.mlflow_server.settings import Settings, SettingsError

_NAME: Final = "MLflow server"
_SECONDS: Final = 4.0


def is_wanted() -> bool:
    """Whether the environment names one."""
    return environment.tracking_server() is not False


def takes_spans() -> bool:
    """Whether spans go to it as well, and only to it."""
    chosen = os.environ.get("OTEL_TRACES_EXPORTER", "").split(",")
    return is_wanted() and [name.strip() for name in chosen] == ["loggedmodel"]


def ask(deadline: Deadline) -> Step:
    """Ask the server for its experiment and for LoggedModels in it."""
    said = environment.tracking_server()
    try:
        settings = Settings.from_environment(None if said is True else str(said))
    except SettingsError as error:
        return Step(name=_NAME, outcome=Outcome.FAILED, text=str(error))
    seconds = deadline.at_most(_SECONDS)
    server = Server(dataclasses.replace(settings, timeout=max(seconds, 0.1)), connections=1)
    try:
        experiment_id = within(seconds, lambda: _experiment_with_models(server))
    except (ServerError, TimeoutError) as error:
        return Step(name=_NAME, outcome=Outcome.FAILED, text=str(error))
    finally:
        server.close()
    told = "spans, versions and their traces" if takes_spans() else "versions and their traces"
    return Step(
        name=_NAME, outcome=Outcome.OK, text=f"{settings.uri} can be told of {told} in experiment {experiment_id}"
    )


def _experiment_with_models(server: Server) -> str:
    question = {"experiment_ids": [server.experiment_id], "max_results": 1}
    server.call("POST", "/api/2.0/mlflow/logged-models/search", question)
    return server.experiment_id
