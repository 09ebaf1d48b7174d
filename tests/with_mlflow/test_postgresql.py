# SPDX-License-Identifier: Apache-2.0
"""MLflow with four workers on PostgreSQL, and what docs/backends/mlflow.md tells to ask."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from effort import only_in_full
from waiting import wait_until

from .looking import Looking
from .postgresql import postgresql
from .programs import environment, finish, run, start
from .tracking_servers import MlflowServer

pytestmark = only_in_full

PAGE = Path(__file__).resolve().parents[2] / "docs" / "backends" / "mlflow.md"
NAME = "support-agent"
PROMPT = "Be kind. " * 600
PROGRAM = f"""
model = otel_loggedmodel.create_external_model("{NAME}", params={{"llm": "small", "prompt": "Be kind. " * 600}})
otel_loggedmodel.set_active_model(model_id=model.model_id)
for number in range(5):
    with tracer.start_as_current_span("answer") as span:
        pass
"""
JUDGING = """
from otel_loggedmodel.genai import log_feedback
provider.force_flush()
context = span.get_span_context()
log_feedback(trace_id=trace.format_trace_id(context.trace_id), span_id=trace.format_span_id(context.span_id),
             name="helpful", value=0.75, model_id=model.model_id, tracer_provider=provider)
provider.force_flush()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    directory = tmp_path_factory.mktemp("mlflow")
    with postgresql() as database, MlflowServer(directory, "--backend-store-uri", database) as running:
        yield running


def test_processes_at_once_and_a_restart_make_one_logged_model_with_every_trace(
    server: MlflowServer, client: MlflowClient, experiment_id: str, looking: Looking, tmp_path: Path
) -> None:
    together = [
        start(PROGRAM, environment(server.uri, experiment_id, tmp_path / f"spool{number}")) for number in range(4)
    ]
    for process in together:
        finish(process)
    server.stop()
    server.start()
    run(PROGRAM + JUDGING, server, experiment_id, tmp_path / "spool")
    # What the processes had no time to tell is told by hand.
    for directory in tmp_path.iterdir():
        run("exporter.force_flush()", server, experiment_id, directory)
    wait_until(looking.has(**{NAME: 25}), "the links", 120)
    assert {"llm": "small", "prompt": PROMPT}.items() <= looking.models()[NAME].params.items()
    check_page(client, experiment_id)


def check_page(client: MlflowClient, experiment_id: str) -> None:
    """Run what the page prints, as it is printed."""
    found: dict[str, Any] = {"EXPERIMENT": experiment_id, "NAME": NAME}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(compile(block, str(PAGE), "exec"), found)
    assert mlflow.get_tracking_uri() == client.tracking_uri
    assert len(found["traces"]) == 25
    assert [version.name for version in found["versions"]] == [NAME]
    assert found["made_of"][0]["prompt"] == PROMPT
    assert found["scores"] == [0.75]
