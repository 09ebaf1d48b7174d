# SPDX-License-Identifier: Apache-2.0
"""What the page docs/mlflow-server.md prints works as it is printed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from integrations.situations import Page, run_in_shell
from otlp_receiver import OtlpReceiver
from waiting import wait_until

from .looking import Looking
from .programs import environment
from .tracking_servers import MlflowServer

URI = "http://localhost:5000"


@pytest.fixture(scope="module")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One in which nothing has happened: the page names its experiments."""
    with MlflowServer(tmp_path_factory.mktemp("page"), workers=2) as server:
        yield server


def looking_at(server: MlflowServer, experiment_id: str) -> Looking:
    return Looking(MlflowClient(server.uri), experiment_id)


def variables_of(server: MlflowServer, directory: Path) -> dict[str, str]:
    variables = environment(server.uri, None, directory / "spool", OTEL_METRICS_EXPORTER="none")
    return variables | {"OTEL_LOGS_EXPORTER": "none", "MLFLOW_ENABLE_ASYNC_LOGGING": "false"}


@pytest.fixture
def page(page_server: MlflowServer, tmp_path: Path) -> Page:
    page = Page("mlflow-server")
    for name, text in page.files.items():
        (tmp_path / name).write_text(text.replace(URI, page_server.uri))
    return page


def test_without_code(page: Page, page_server: MlflowServer, tmp_path: Path) -> None:
    variables = variables_of(page_server, tmp_path)
    assert run_in_shell(page.console[0].replace(URI, page_server.uri), tmp_path, variables, 120) == "42\n"
    assert "look.py" in page.files
    look = lambda: run_in_shell("python -W ignore look.py", tmp_path, variables, 120).endswith("gpt-4o 1\n")  # noqa: E731
    wait_until(look, "the trace is found")


def test_in_code(page: Page, page_server: MlflowServer, tmp_path: Path) -> None:
    assert "service.py" in page.files
    run_in_shell("python service.py", tmp_path, variables_of(page_server, tmp_path), 120)
    looking = looking_at(page_server, "0")
    wait_until(lambda: looking.counts() == {"support-agent": 8, "support-agent-next": 2}, "all are linked")
    said = [one for trace in looking.traces() for one in trace.info.assessments]
    assert [(one.name, one.value, one.source.source_type) for one in said] == [("helpful", True, "HUMAN")]


def test_beside_another_backend(page: Page, page_server: MlflowServer, tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        lines = page.console[1].replace(URI, page_server.uri).replace("http://collector:4318", receiver.endpoint)
        run_in_shell(lines, tmp_path, variables_of(page_server, tmp_path), 120)
        names = sorted(span.name for span in receiver.spans())
    assert names == ["answer", "logged_model.activated"]
    looking = looking_at(page_server, "0")
    wait_until(lambda: looking.models().get("my-agent-v1%2e0") or len(looking.models()) == 3, "the version is there")
    (model,) = [model for model in looking.models().values() if "my-agent" in model.name]
    assert model.tags["logged_model.name"] == "my-agent-v1.0"
