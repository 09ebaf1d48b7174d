# SPDX-License-Identifier: Apache-2.0
"""MLflow with four workers on PostgreSQL, and what docs/backends/mlflow.md tells to ask.

Once as it is, and once with users and with workspaces, as somebody who belongs to a workspace and is no administrator.
"""

import dataclasses
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from mlflow import MlflowClient

from effort import only_in_full
from otel_loggedmodel.commands.diagnosis import backends, tracking
from otel_loggedmodel.commands.diagnosis.endpoint import endpoint_of_environment
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome
from otel_loggedmodel.mlflow_server.models import Models
from otel_loggedmodel.mlflow_server.rest import Server
from otel_loggedmodel.mlflow_server.settings import Settings
from waiting import wait_until

from .conftest import ADMIN, ANNA
from .looking import Looking
from .postgresql import postgresql
from .programs import environment, finish, run, start
from .test_models import created
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


WORKSPACE = "team-a"
OF_ANNA = {
    "MLFLOW_TRACKING_USERNAME": ANNA[0],
    "MLFLOW_TRACKING_PASSWORD": ANNA[1],
    "MLFLOW_WORKSPACE": WORKSPACE,
}


@pytest.fixture(scope="module", params=["open", "of users and workspaces"])
def is_guarded(request: pytest.FixtureRequest) -> bool:
    return bool(request.param != "open")


@pytest.fixture(scope="module")
def server(is_guarded: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    directory = tmp_path_factory.mktemp("mlflow")
    with postgresql() as database:
        arguments, variables = ["--backend-store-uri", database], {}
        if is_guarded:
            arguments += ["--app-name", "basic-auth", "--enable-workspaces"]
            variables = guarding(directory, database)
        with MlflowServer(directory, *arguments, variables=variables) as running:
            if is_guarded:
                let_in(running)
            yield running


def guarding(directory: Path, database: str) -> dict[str, str]:
    """Variables of a server whose users are in the same database, as docs/backends/mlflow.md has them remembered."""
    path = directory / "basic_auth.ini"
    path.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {database}\nadmin_username = {ADMIN[0]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\nauth_cache_ttl_seconds = 60\n",
        encoding="utf-8",
    )
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(path),
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-secret",
    }


def let_in(server: MlflowServer) -> None:
    """Make a workspace, and a user who may make things in it."""

    def post(path: str, **body: object) -> dict[str, Any]:
        answer = requests.post(f"{server.uri}/api/{path}", json=body, auth=ADMIN, timeout=120)
        assert answer.ok, answer.text
        return answer.json() if answer.content else {}

    post("3.0/mlflow/workspaces", name=WORKSPACE)
    post("2.0/mlflow/users/create", username=ANNA[0], password=ANNA[1])
    role = post("3.0/mlflow/roles/create", name="member", workspace=WORKSPACE)["role"]["id"]
    grant = {"resource_type": "workspace", "resource_pattern": "*", "permission": "USE"}
    post("3.0/mlflow/roles/permissions/add", role_id=role, **grant)
    post("3.0/mlflow/roles/assign", role_id=role, username=ANNA[0])


@pytest.fixture(autouse=True)
def as_whom(is_guarded: bool, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What MLflow's client and ours need beside the address, set for this process, too."""
    variables = OF_ANNA if is_guarded else {}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def test_processes_at_once_and_a_restart_make_one_logged_model_with_every_trace(
    server: MlflowServer,
    as_whom: dict[str, str],
    client: MlflowClient,
    experiment_id: str,
    looking: Looking,
    tmp_path: Path,
) -> None:
    together = [
        start(PROGRAM, environment(server.uri, experiment_id, tmp_path / f"spool{number}", **as_whom))
        for number in range(4)
    ]
    for process in together:
        finish(process)
    server.stop()
    server.start()
    run(PROGRAM + JUDGING, server, experiment_id, tmp_path / "spool", **as_whom)
    # What the processes had no time to tell is told by hand.
    for directory in tmp_path.iterdir():
        run("exporter.force_flush()", server, experiment_id, directory, **as_whom)
    wait_until(looking.has(**{NAME: 25}), "the links", 120)
    assert {"llm": "small", "prompt": PROMPT}.items() <= looking.models()[NAME].params.items()
    check_page(client, experiment_id)


def test_in_a_workspace_no_experiment_has_to_be_named(
    is_guarded: bool, server: MlflowServer, as_whom: dict[str, str], client: MlflowClient, tmp_path: Path
) -> None:
    finish(start(PROGRAM, environment(server.uri, None, tmp_path / "spool", **as_whom)))
    found = client.get_experiment_by_name("Default")
    assert (found.experiment_id != "0") is is_guarded
    wait_until(Looking(client, found.experiment_id).has(**{NAME: 5}), "the links", 120)


def test_four_hundred_announcements_of_a_long_version_make_one_logged_model(
    is_guarded: bool, server: MlflowServer, experiment_id: str, looking: Looking
) -> None:
    processes, each = (2, 5) if is_guarded else (8, 50)
    params = {"prompt": "Be brief. " * (400 if is_guarded else 100_000)}
    event = created("announced", params=params, experiment_id=experiment_id)

    def announce(_: int) -> None:
        rest = Server(dataclasses.replace(Settings.from_environment(server.uri), experiment_id=experiment_id))
        models = Models(rest)
        for _ in range(each):
            models.apply(event)
        rest.close()

    with ThreadPoolExecutor(processes) as threads:
        list(threads.map(announce, range(processes)))
    (model,) = looking.models().values()
    assert params.items() <= model.params.items()
    assert model.status == "READY"


def test_doctor_knows_it(is_guarded: bool, server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_SECONDS", 60.0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.uri)
    step = backends.recognise(endpoint_of_environment(), Deadline(120))
    # Who does not log in is told no version.
    assert step.text == f"MLflow{'' if is_guarded else f' {mlflow.__version__}'} answers at {server.uri}"


@pytest.mark.parametrize(
    ("more", "advice"),
    [
        ({"MLFLOW_WORKSPACE": "team-b"}, "set MLFLOW_WORKSPACE to one that is there"),
        ({"MLFLOW_EXPERIMENT_ID": "0"}, "if it has no experiment '0', set MLFLOW_EXPERIMENT_ID"),
        ({"MLFLOW_TRACKING_PASSWORD": "wrong"}, "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
    ],
)
def test_doctor_says_what_is_wrong_with_a_workspace_or_a_user(
    is_guarded: bool, server: MlflowServer, monkeypatch: pytest.MonkeyPatch, more: dict[str, str], advice: str
) -> None:
    if not is_guarded:
        more, advice = {"MLFLOW_WORKSPACE": WORKSPACE}, "unset it where the server has none"
    monkeypatch.setattr(tracking, "_SECONDS", 120.0)
    monkeypatch.setenv("OTEL_LOGGEDMODEL_MLFLOW", server.uri)
    assert tracking.ask(Deadline(120)).outcome is Outcome.OK
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    said = tracking.ask(Deadline(120))
    assert said.outcome is Outcome.FAILED
    assert advice in said.text


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
