# SPDX-License-Identifier: Apache-2.0
"""`mlflow import` and `mlflow push` where the server is away, refuses, or has what a real one could not be given."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from answering import AnsweringServer, as_json
from memory_reader import MemoryReader
from otel_loggedmodel.commands.exchange.asking import PATIENCE_SECONDS, Asked
from otel_loggedmodel.commands.exchange.finding import Experiment
from otel_loggedmodel.commands.exchange.importing import Import
from otel_loggedmodel.delivery import otlp_payloads
from otel_loggedmodel.mlflow_server.rest import Server, ServerError
from otel_loggedmodel.mlflow_server.settings import Settings
from otel_loggedmodel.store.version_results import Version
from otel_loggedmodel.store.writing import RefusedError

from .conftest import unboxed
from .doubles import V1

Run = Callable[..., Result]
Answer = tuple[int, Mapping[str, Any]]
DAY_MS = 86_400_000
COMMANDS = (("mlflow", "import"), ("mlflow", "push"))


class StandIn(AnsweringServer):
    """Answers as an MLflow server does that has one experiment, and LoggedModels of times that nobody could wait for.

    Args:
        models: What it has.
        failures: What it answers before, to whatever it is asked.
        status: What it answers always, instead.
    """

    def __init__(
        self, models: Sequence[Mapping[str, Any]] = (), failures: Sequence[Answer] = (), always: Answer | None = None
    ) -> None:
        self.models = models
        self.failures = list(failures)
        self.always = always
        self.asked: list[str] = []
        super().__init__(lambda _, path, document: as_json(*self.answer(path, document or {})))

    def answer(self, path: str, question: Mapping[str, Any]) -> Answer:
        self.asked.append(path)
        if self.always is not None:
            return self.always
        if self.failures:
            return self.failures.pop(0)
        if path.endswith("/experiments/search"):
            return 200, {"experiments": [{"experiment_id": "7", "name": "seven", "lifecycle_stage": "active"}]}
        start = int(question.get("page_token", 0))
        page = self.models[start : start + 100]
        more = {"next_page_token": str(start + 100)} if start + 100 < len(self.models) else {}
        return 200, {"models": page, **more}


def model(number: int, **info: Any) -> dict[str, Any]:
    """A LoggedModel as the REST API has it, made so many days after the first."""
    of_api = {
        "model_id": f"m-{number + 1:032x}",
        "experiment_id": "7",
        "name": f"agent-{number}",
        "creation_timestamp_ms": str(1_600_000_000_000 + number * DAY_MS),
        "status": "LOGGED_MODEL_READY",
        **info,
    }
    return {"info": of_api, "data": {"params": [{"key": "number", "value": str(number)}]}}


class Writer:
    """Takes all records but those of some versions."""

    def __init__(self, *refused: str) -> None:
        self._refused = refused
        self.stored: list[str] = []
        self.times_ns: list[int] = []

    def insert(self, requests: Sequence[bytes]) -> None:
        spans = otlp_payloads.decoded(b"".join(requests))
        ids = [str(span.attributes["logged_model.id"]) for span in spans]
        if any(refused in ids for refused in self._refused):
            raise RefusedError("it is too odd")
        self.stored += ids
        self.times_ns += [span.start_time for span in spans]


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_exit_codes(run: Run, command: tuple[str, ...]) -> None:
    output = run(*command, "--help").stdout
    assert f"otel-loggedmodel {' '.join(command)}" in output.split("Options")[0].replace("Usage: otel-loggedmodel", "")
    assert "Exit codes:" in output


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_server_it_says_which_variable_to_set(
    run: Run, reader: MemoryReader, command: tuple[str, ...]
) -> None:
    assert "MLFLOW_TRACKING_URI" in unboxed(run(*command, code=2).stderr)
    assert "sqlite:///mlflow.db" in unboxed(run(*command, "--server", "sqlite:///mlflow.db", code=2).stderr)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_is_away_is_said_at_once(
    run: Run, reader: MemoryReader, nobody: str, command: tuple[str, ...]
) -> None:
    reader.listed = [Version(model_id=V1, name="agent", traces=3)]
    started = time.monotonic()
    output = run(*command, "--server", nobody, code=3).stderr
    assert time.monotonic() - started < PATIENCE_SECONDS / 2
    assert f"{nobody} cannot be reached" in output
    assert "Run the command again then" in output


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_credentials_are_said_with_the_variables_for_right_ones(
    run: Run, reader: MemoryReader, command: tuple[str, ...]
) -> None:
    reader.listed = [Version(model_id=V1, name="agent", traces=3)]
    with StandIn(always=(401, {"error_code": "UNAUTHENTICATED", "message": "who are you?"})) as far:
        output = run(*command, code=3, env={"MLFLOW_TRACKING_URI": far.uri, "MLFLOW_TRACKING_TOKEN": "wrong"}).stderr
    assert "MLFLOW_TRACKING_TOKEN" in output
    assert "wrong\n" not in output


def test_nothing_found_is_said_and_is_no_error(run: Run, tmp_path: Path) -> None:
    with StandIn() as far:
        result = run("mlflow", "import", "--server", far.uri, "--store", f"chdb://{tmp_path / 'store'}")
    assert result.stdout == f"0 LoggedModels in 1 experiment of {far.uri}\n"
    assert "None was found" in result.stderr


def test_a_push_of_no_version_says_so(run: Run, reader: MemoryReader) -> None:
    with StandIn() as far:
        result = run("mlflow", "push", "--server", far.uri)
    assert "No version matches" in result.stderr


def test_models_of_several_pages_and_many_days_are_imported(run: Run, tmp_path: Path) -> None:
    store = f"chdb://{tmp_path / 'store'}"
    with StandIn([model(number) for number in range(230)]) as far:
        found = json.loads(run("mlflow", "import", "--json", "--server", far.uri, "--store", store).stdout)
        assert (found["found"], found["created"]) == (230, 230)
        found = json.loads(run("mlflow", "import", "--json", "--server", far.uri, "--store", store).stdout)
        assert (found["found"], found["unchanged"]) == (230, 230)
    versions = json.loads(run("models", "--json", "--limit", "1000", "--store", store).stdout)["versions"]
    made = {version["name"]: version["creation_timestamp"] for version in versions}
    assert made == {f"agent-{number}": 1_600_000_000_000 + number * DAY_MS for number in range(230)}


def test_a_record_that_the_store_refuses_does_not_cost_the_others() -> None:
    refused = model(1)["info"]["model_id"]
    writer = Writer(refused)
    with StandIn([model(number) for number in range(5)]) as far:
        server = Server(Settings(far.uri))
        result = Import(Asked(server), MemoryReader(), writer, lambda _: None).run([Experiment("7", "seven")])
        server.close()
    assert (result.found, result.created, result.refused) == (5, 4, 1)
    assert result.refusals == {refused: "it is too odd"}
    assert len(writer.stored) == 4


def test_records_are_of_the_present_or_a_store_would_drop_them_for_their_age() -> None:
    writer, before = Writer(), time.time_ns()
    with StandIn([model(0), model(1)]) as far:
        server = Server(Settings(far.uri))
        Import(Asked(server), MemoryReader(), writer, lambda _: None).run([Experiment("7", "seven")])
        server.close()
    assert [before <= moment <= time.time_ns() for moment in writer.times_ns] == [True, True]


def test_duplicates_that_are_about_to_be_deleted_are_left_out() -> None:
    duplicate = model(1)
    duplicate["data"]["params"].append({"key": "logged_model.id", "value": "duplicate"})
    writer = Writer()
    with StandIn([model(0), duplicate]) as far:
        server = Server(Settings(far.uri))
        result = Import(Asked(server), MemoryReader(), writer, lambda _: None).run([Experiment("7", "seven")])
        server.close()
    assert (result.found, writer.stored) == (1, [model(0)["info"]["model_id"]])


def test_two_models_that_stand_for_one_version_are_imported_once() -> None:
    twins = [model(number, tags=[{"key": "logged_model.id", "value": V1}]) for number in range(2)]
    writer = Writer()
    with StandIn(twins) as far:
        server = Server(Settings(far.uri))
        result = Import(Asked(server), MemoryReader(), writer, lambda _: None).run([Experiment("7", "seven")])
        server.close()
    assert (result.created, result.repeated, writer.stored) == (1, 1, [V1])


def test_a_server_that_has_answered_is_asked_again() -> None:
    busy = (503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"})
    with StandIn([model(0)], failures=[busy, busy]) as far:
        server = Server(Settings(far.uri))
        writer = Writer()
        result = Import(Asked(server), MemoryReader(), writer, lambda _: None).run([Experiment("7", "seven")])
        server.close()
        assert (result.created, len(far.asked)) == (1, 3)


def test_a_server_that_stays_away_is_given_up() -> None:
    busy = (503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"})
    with StandIn(always=busy) as far:
        server = Server(Settings(far.uri))
        asked = Asked(server, patience=0.6)
        with pytest.raises(ServerError, match="later"):
            asked.patiently(lambda: server.call("GET", "/api/2.0/mlflow/experiments/get"))
        assert len(far.asked) == 2, "at once, after 0.25 s, and not after another 0.5 s"
        stopped = Asked(server)
        stopped.give_up()
        with pytest.raises(ServerError, match="later"):
            stopped.patiently(lambda: server.call("GET", "/api/2.0/mlflow/experiments/get"))
        server.close()
