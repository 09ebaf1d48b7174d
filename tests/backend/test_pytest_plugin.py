# SPDX-License-Identifier: Apache-2.0
"""Marked tests are rows of a run of the version under test, with pytest alone and with pytest-xdist."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import environment

from .serving import Serving

TESTS = """
import pytest
from opentelemetry import trace

OFFSET = {offset}

@pytest.mark.loggedmodel
@pytest.mark.parametrize("x", range(12))
def test_answers(x, loggedmodel_row):
    loggedmodel_row.inputs = {{"x": x}}
    loggedmodel_row.outputs = x + OFFSET
    loggedmodel_row.score("close", 1 / (1 + OFFSET))
    with trace.get_tracer("app").start_as_current_span("model"):
        answer = x if x % 2 else x + OFFSET
    assert answer == x, "not the answer"

@pytest.mark.loggedmodel(group="broken")
def test_breaks():
    raise RuntimeError("no model")

@pytest.mark.loggedmodel
def test_skipped():
    pytest.skip("not today")

def test_of_something_else():
    assert True
"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("pytest-plugin")
    with Serving(directory / "log", "--data", directory / "data") as backend:
        yield backend


def said_by_pytest(serving: Serving, folder: Path, offset: int, *options: str) -> str:
    """What pytest says at its end."""
    (folder / "test_app.py").write_text(TESTS.format(offset=offset))
    sent = {"OTEL_EXPORTER_OTLP_ENDPOINT": serving.http, "OTEL_LOGGEDMODEL_STORE": serving.http}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, *options, folder],
        env={**environment(**sent), "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def test_marked_tests_are_rows_of_a_run_that_is_compared_with_the_last(serving: Serving, tmp_path: Path) -> None:
    folder = tmp_path / "quality"
    folder.mkdir()
    first = said_by_pytest(serving, folder, 1, "--loggedmodel-version", "tested-v1", "--loggedmodel-run", "first")
    assert "run first" in first
    assert "13 rows, 1 failed" in first
    assert "  passed 0.5" in first
    assert "not compared: it is the first whole run on this data set" in first
    second = said_by_pytest(
        serving, folder, 0, "--loggedmodel-version", "tested-v2", "--loggedmodel-run", "second", "-n", "2"
    )
    assert "  passed 1" in second
    assert "against tested-v1: first:" in second
    assert "  passed 0.5 to 1: better" in second
    assert "  close 0.5 to 1: better" in second
    runs = serving.get("/api/v1/runs", [("dataset", "quality")])["runs"]
    # A test that was skipped is no row.
    assert [(run["name"], run["rows"], run["rows_failed"], run["status"]) for run in runs] == [
        ("second", 13, 1, "FINISHED"),
        ("first", 13, 1, "FINISHED"),
    ]
    found = serving.get("/api/v1/compare", [("version", "first"), ("version", "second")])
    assert [version["traces"] for version in found["versions"]] == [13, 13]
    assert found["differences"][0]["metrics"]["scores.passed"]["evaluation"]["pairs"] == 12
    rows = serving.get("/api/v1/compare/rows", [("version", "first"), ("version", "second"), ("score", "passed")])
    assert {json.dumps(row["base"]["explanation"]) for row in rows["rows"]} != {"null"}


def test_without_a_version_under_test_nothing_is_recorded(serving: Serving, tmp_path: Path) -> None:
    folder = tmp_path / "unnamed"
    folder.mkdir()
    assert "evaluation run" not in said_by_pytest(serving, folder, 0)
    assert serving.get("/api/v1/runs", [("dataset", "unnamed")])["runs"] == []
