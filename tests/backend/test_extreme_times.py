# SPDX-License-Identifier: Apache-2.0
"""Times that no store can hold are answered like others, everywhere where a time can be said."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from asking import ask
from effort import IS_FULL, only_in_full

from .sending import Traces
from .serving import Serving, command

LONG_AGO = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1900-01-01T00:00:00Z", "1969-12-31T23:59:59Z")
FAR_AHEAD = ("2262-04-12T00:00:00Z", "2300-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00")
VERSIONS = ("first", "second")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("times")
    with Serving(directory / "log", "--data", directory / "data") as started:
        for seed, version in enumerate(VERSIONS):
            assert started.post(Traces(version, seed).request(25)[1]).status == 200
        yield started
        assert "Traceback" not in started.log


def selections() -> Iterator[tuple[dict[str, str], bool]]:
    """What can be selected by times, and whether what was sent now is in it."""
    for time in LONG_AGO:
        yield {"since": time}, True
        yield {"until": time}, False
    for time in FAR_AHEAD:
        yield {"since": time}, False
        yield {"until": time}, True
    for since, until in itertools.product(LONG_AGO[:2], FAR_AHEAD[2:]):
        yield {"since": since, "until": until}, True


EVERY = list(selections())
# From long ago to far ahead.
FEW = [EVERY[-1]]


@pytest.mark.parametrize(("selected", "has_all"), EVERY if IS_FULL else FEW, ids=str)
def test_every_path_answers(serving: Serving, selected: dict[str, str], has_all: bool) -> None:
    both = [("version", version) for version in VERSIONS]
    for path, parameters in (
        ("/api/v1/versions", []),
        ("/api/v1/versions/first", []),
        ("/api/v1/compare", both),
        ("/api/v1/activities", both),
        ("/api/v1/behaviour", both),
        ("/api/v1/compare/rows", both),
        ("/api/v1/traces", []),
        ("/api/v1/traces", [("version", "first"), ("order", "slowest")]),
        ("/api/v1/traces", [("version", "first"), ("order", "worst")]),
    ):
        answer = ask(serving.http, "GET", f"{path}?{urlencode([*parameters, *selected.items()])}")
        assert answer.status == 200, (path, answer)
    answer = ask(serving.http, "GET", f"/api/v1/compare?{urlencode([*both, *selected.items()])}")
    assert [one["traces"] for one in json.loads(answer.body)["versions"]] == [25 * has_all] * 2
    for path in ("/", "/compare", "/version", "/traces"):
        parameters = {"/compare": both, "/version": [("id", "first")]}.get(path, [])
        target = f"{path}?{urlencode([*parameters, *selected.items()])}"
        page = ask(serving.http, "GET", target, headers={"accept": "text/html"})
        assert page.status == 200, (target, page)
        assert b"This cannot be shown" not in page.body, target


def test_what_is_no_time_is_refused_with_the_form(serving: Serving) -> None:
    for text in ("0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "-1", "9" * 40):
        answer = ask(serving.http, "GET", f"/api/v1/versions?{urlencode({'since': text})}")
        assert (answer.status, b"RFC 3339" in answer.body) == (400, True)


@only_in_full
def test_a_gate_on_a_directory_ends_with_what_it_found(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Serving(tmp_path / "log", "--data", data) as serving:
        for seed, version in enumerate(VERSIONS):
            assert serving.post(Traces(version, seed).request(25)[1]).status == 200
    gates = [
        ("--since", "0001-01-01", 0),
        ("--until", "1900-01-01", 2),  # not enough data
        ("--until", "9999-12-31T23:59:59Z", 0),
        ("--since", "2300-01-01", 2),
    ]
    for option, time, code in gates:
        done = command("gate", *VERSIONS, "--fail-if", "error_rate > 50%", option, time, "--store", f"chdb://{data}")
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done
