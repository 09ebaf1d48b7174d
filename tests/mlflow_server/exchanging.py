# SPDX-License-Identifier: Apache-2.0
"""A backend of ours, and the commands that exchange with an MLflow server, as a shell runs them."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from backend.serving import Serving, command
from cli.terminal import environment


def ran(*arguments: str, store: str = "", uri: str = "", code: int = 0) -> Any:
    """What a command prints as JSON."""
    done = command(*arguments, "--json", store=store, MLFLOW_TRACKING_URI=uri)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def started(*arguments: str, store: str, uri: str) -> "subprocess.Popen[bytes]":
    """A command that goes on."""
    return subprocess.Popen(
        [sys.executable, "-m", "otel_loggedmodel", *arguments],
        env=environment(OTEL_LOGGEDMODEL_STORE=store, MLFLOW_TRACKING_URI=uri),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def imported(backend: Serving, uri: str, experiments: Sequence[str], *more: str) -> dict[str, Any]:
    named = [argument for experiment in experiments for argument in ("--experiment", experiment)]
    return ran("mlflow", "import", *named, *more, store=backend.http, uri=uri)


def counts(result: dict[str, Any]) -> dict[str, int]:
    """The numbers of a summary that are not 0."""
    return {key: value for key, value in result.items() if type(value) is int and value}


def versions(backend: Serving) -> dict[str, dict[str, Any]]:
    """What a backend knows of each version."""
    found = ran("models", "--limit", "1000", store=backend.http)["versions"]
    return {version["model_id"]: version for version in found}
