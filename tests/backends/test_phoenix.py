# SPDX-License-Identifier: Apache-2.0
"""Phoenix, on SQLite: what it makes of a version, and the queries of docs/backends/phoenix.md."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pytest

from waiting import wait_until

from . import contract
from .application import TRACES
from .running import Process, Seen, Version, asked, python, send, typed


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    directory = tmp_path_factory.mktemp("phoenix")
    variables = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": "{http}",
        "PHOENIX_GRPC_PORT": "{grpc}",
        "PHOENIX_WORKING_DIR": str(directory),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    command = [str(python().with_name("phoenix")), "serve"]
    with Process(command, directory, ["http", "grpc"], "http://127.0.0.1:{http}/healthz", variables) as process:
        yield process


@pytest.fixture(scope="module")
def sent(phoenix: Process, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Version]:
    return send(tmp_path_factory.mktemp("application"), "otlp", phoenix.url("http"), "announce")


@pytest.fixture(scope="module")
def shown(phoenix: Process) -> contract.Shown:
    def of(trace_id: str) -> Sequence[Seen]:
        found = asked(f"{phoenix.url('http')}/v1/projects/default/spans?limit=1000&trace_id={trace_id}")
        return [seen(span) for span in (found or {"data": []})["data"]]

    return of


def seen(span: dict[str, Any]) -> Seen:
    began = int(datetime.fromisoformat(span["start_time"]).timestamp() * 1e6) * 1000
    return Seen(span["context"]["span_id"], span["parent_id"] or "", span["name"], began, span["attributes"])


def test_the_traces_of_both_versions_are_there_without_links(sent: dict[str, Version], shown: contract.Shown) -> None:
    for version in sent.values():
        contract.check_spans(shown, version, keeps_links=False)


def test_a_result_that_comes_later_is_in_its_trace(sent: dict[str, Version], shown: contract.Shown) -> None:
    contract.check_result(shown, sent["first"])


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_version_is_whole(sent: dict[str, Version], shown: contract.Shown, name: str) -> None:
    contract.check_version(shown, sent[name])


def test_one_of_all_announcements_is_kept(sent: dict[str, Version], shown: contract.Shown) -> None:
    contract.check_announcements(shown, sent["first"], roots=1)


def test_it_is_known_to_doctor(phoenix: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    said = contract.said_by_doctor(phoenix.url("http"), monkeypatch)
    assert re.fullmatch(rf"Phoenix \d+\.\d+\.\d+ answers at {re.escape(phoenix.url('http'))}", said.text)
    assert "It drops links" in said.details[0]


def test_the_queries_of_its_page(phoenix: Process, sent: dict[str, Version]) -> None:
    version, other = sent["first"], sent["second"]
    where = {"PHOENIX": phoenix.url("http"), "VERSION": version.id}

    def roots() -> list[dict[str, Any]]:
        found = typed("phoenix", "Traces of a version", **where)["data"]["projects"]["edges"]
        return [edge["node"] for project in found for edge in project["node"]["spans"]["edges"]]

    answers = wait_until(lambda: [span for span in roots() if span["name"] == "answer"], "the spans")
    assert len(answers) == TRACES
    assert {span["trace"]["traceId"] for span in answers} == set(version.traces)
    versions = typed("phoenix", "Versions", **where)["data"]
    assert {span["attributes"]["logged_model.id"] for span in versions} == {version.id, other.id}
    made_of = typed("phoenix", "What a version is made of", **where)["data"]
    assert {span["attributes"]["logged_model.id"] for span in made_of} == {version.id}
    (score,) = typed("phoenix", "Scores", **where)["data"]
    assert score["attributes"]["gen_ai.evaluation.score.value"] == 0.75


def test_after_a_restart_everything_is_as_it_was(
    phoenix: Process, sent: dict[str, Version], shown: contract.Shown
) -> None:
    phoenix.restart()
    for version in sent.values():
        contract.check_version(shown, version)
