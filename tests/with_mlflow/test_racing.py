# SPDX-License-Identifier: Apache-2.0
"""Many processes that come up with one version at one moment, as the workers of a server do."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus

from otel_loggedmodel.mlflow_server.rest import Server
from otel_loggedmodel.versions.identity import model_id_of

from .tracking_servers import MlflowServer
from .traffic import make_trace, send

PROGRAM = Path(__file__).with_name("racing_program.py")
PROCESSES = 16


@pytest.mark.parametrize("by_name", [False, True], ids=["by its id", "by its name"])
@pytest.mark.parametrize("how", ["together", "as it comes"])
def test_processes_that_start_with_one_version_make_one_logged_model(
    server: MlflowServer, client: MlflowClient, rest: Server, experiment_id: str, how: str, by_name: bool
) -> None:
    name = "agent-v1.0"
    model_id = name if by_name else model_id_of("0", name, params={"llm": "gpt-4o", "k": "5"}, tags={"team": "support"})
    sent = [make_trace(model_id) for _ in range(PROCESSES)]
    send(rest, *sent)
    started = [
        subprocess.Popen(
            [sys.executable, PROGRAM, server.uri, experiment_id, model_id, name, trace.id_there[3:], how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OTEL_SDK_DISABLED": "true"},
        )
        for trace in sent
    ]
    try:
        for said in ("ready", "creating") if how == "together" else ("ready",):
            assert [process.stdout.readline().strip() for process in started] == [said] * PROCESSES
            for process in started:
                process.stdin.write("go\n")
                process.stdin.flush()
        answers = [process.communicate(timeout=240)[0].strip() for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert [process.returncode for process in started] == [0] * PROCESSES
    (found,) = client.search_logged_models([experiment_id])
    assert set(answers) == {found.model_id}
    assert found.status is LoggedModelStatus.READY
    if not by_name:
        assert {"llm": "gpt-4o", "k": "5"}.items() <= found.params.items()
        assert found.tags["team"] == "support"
    linked = mlflow.search_traces(locations=[experiment_id], model_id=found.model_id, return_type="list")
    assert {trace.info.trace_id for trace in linked} == {trace.id_there for trace in sent}
