# SPDX-License-Identifier: Apache-2.0
"""Zipkin, from its jar on Maven Central, in memory: what it makes of a version, and the queries of its page."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import needs
from waiting import wait_until

from . import contract
from .application import PROCESSES, TRACES
from .running import REQUIRED, Process, Seen, Version, asked, python, send, typed

RELEASE = "3.5.1"


def jar() -> Path:
    """The server, downloaded once."""
    found = Path.home() / ".m2" / "repository" / "io" / "zipkin" / "zipkin-server" / RELEASE
    path = found / f"zipkin-server-{RELEASE}-exec.jar"
    if not path.exists():
        python()
        for program in ("java", "mvn"):
            if shutil.which(program) is None:
                needs.do_without(program, "apt-get install maven", required_by=REQUIRED)
        artifact = f"io.zipkin:zipkin-server:{RELEASE}:jar:exec"
        command = ["mvn", "-q", "-B", "dependency:get", f"-Dartifact={artifact}", "-Dtransitive=false"]
        subprocess.run(command, check=True, timeout=900)
    return path


@pytest.fixture(scope="module")
def zipkin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    command = ["java", "-Xmx512m", "-jar", str(jar())]
    directory = tmp_path_factory.mktemp("zipkin")
    variables = {"QUERY_PORT": "{http}", "SELF_TRACING_ENABLED": "false"}
    with Process(command, directory, ["http"], "http://127.0.0.1:{http}/health", variables) as process:
        yield process


@pytest.fixture(scope="module")
def sent(zipkin: Process, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Version]:
    return send(tmp_path_factory.mktemp("application"), "zipkin", zipkin.url("http"), "announce")


@pytest.fixture
def shown(zipkin: Process) -> contract.Shown:
    def of(trace_id: str) -> Sequence[Seen]:
        found = asked(f"{zipkin.url('http')}/api/v2/trace/{trace_id}") or []
        return [
            Seen(span["id"], span.get("parentId", ""), span["name"], span["timestamp"] * 1000, span.get("tags", {}))
            for span in found
        ]

    return of


def test_the_traces_of_both_versions_are_there_without_links(sent: dict[str, Version], shown: contract.Shown) -> None:
    for version in sent.values():
        contract.check_spans(shown, version, keeps_links=False)


def test_a_result_that_comes_later_is_in_its_trace(sent: dict[str, Version], shown: contract.Shown) -> None:
    contract.check_result(shown, sent["first"])


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_version_is_whole(sent: dict[str, Version], shown: contract.Shown, name: str) -> None:
    contract.check_version(shown, sent[name])


def test_every_announcement_is_kept_and_is_one_version(sent: dict[str, Version], shown: contract.Shown) -> None:
    contract.check_announcements(shown, sent["first"], roots=1 + PROCESSES)


def test_it_is_known_to_doctor(zipkin: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    said = contract.said_by_doctor(zipkin.url("http"), monkeypatch)
    assert said.text == f"Zipkin {RELEASE} answers at {zipkin.url('http')}"
    assert "It drops links" in said.details[0]


def test_the_queries_of_its_page(zipkin: Process, sent: dict[str, Version]) -> None:
    version, other = sent["first"], sent["second"]
    where = {"ZIPKIN": zipkin.url("http"), "VERSION": version.id}
    wait_until(lambda: len(typed("zipkin", "Traces of a version", **where)) == TRACES)
    found = typed("zipkin", "Traces of a version", **where)
    assert {trace[0]["traceId"] for trace in found} == set(version.traces)
    assert {trace[0]["traceId"] for trace in typed("zipkin", "Versions", **where)} == {
        version.trace_id,
        other.trace_id,
    }
    made_of = typed("zipkin", "What a version is made of", **where)
    assert {span["tags"]["logged_model.id"] for span in made_of} == {version.id}
    (scored,) = typed("zipkin", "Scores", **where)
    (score,) = (span for span in scored if span["name"] == "gen_ai.evaluation.result")
    assert score["tags"]["gen_ai.evaluation.score.value"] == "0.75"
