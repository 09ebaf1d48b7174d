# SPDX-License-Identifier: Apache-2.0
"""The story of docs/comparing.md, as printed: its commands, its snippet, and what they come to."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.terminal import environment
from clickhouse_server import ClickHouseServer
from effort import only_in_full, some
from programs import STEADY_CLOCK, run

from .serving import Serving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "comparing.md").read_text(encoding="utf-8")
QUALITY = PAGE[PAGE.index("## Is it better on quality") : PAGE.index("## What is counted")]
STORY = PAGE.replace(QUALITY, "")
CLUSTER = "clickhouse://otel@clickhouse:8123/otel"
COMMANDS = [
    line.split("    #")[0].strip()
    for block in re.findall(r"```console\n(.*?)```", STORY, re.DOTALL)
    for line in block.splitlines()
]
# What a build would see: the second version of the story is slower.
STATUS = {"gate": 1}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("readme")
    with Serving(directory / "log", "--data", directory / "data") as serving:
        (snippet,) = re.findall(r"```python\n(.*?)```", STORY, re.DOTALL)
        run(snippet, serving.http, set_up=STEADY_CLOCK)
        yield serving


def command(line: str, store: str) -> "subprocess.CompletedProcess[str]":
    program, *arguments = shlex.split(line)
    assert program == "otel-loggedmodel"
    return subprocess.run(
        [sys.executable, "-m", "otel_loggedmodel", *arguments],
        env=environment(OTEL_LOGGEDMODEL_STORE=store),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_story_has_its_commands() -> None:
    assert {line.split()[1] for line in COMMANDS} == {"serve", "models", "compare", "traces", "gate", "store"}


@pytest.mark.parametrize(
    "line", some([line for line in COMMANDS if " serve" not in line and CLUSTER not in line], quick=2)
)
def test_a_command_does_as_it_says(backend: Serving, line: str) -> None:
    outcome = command(line, backend.http)
    assert outcome.returncode == STATUS.get(line.split()[1], 0), outcome.stderr
    assert "my-agent-v2.0" in outcome.stdout or "453d9062" in outcome.stdout


def test_the_comparison_looks_as_printed(backend: Serving) -> None:
    (printed,) = re.findall(r"```text\n(.*?)```", STORY, re.DOTALL)
    (line,) = [line for line in COMMANDS if " compare " in line and CLUSTER not in line]
    shown = command(line, backend.http).stdout

    def skeleton(table: str) -> list[str]:
        # What is measured differs from run to run, and with it the width of columns and some verdicts.
        lines = [re.sub(r"\(.*?\)", "(...)", line.strip()) for line in table.splitlines()]
        return [re.split(r"\s{2,}", line)[0] for line in lines if line.strip(" ─")]

    assert skeleton(shown)[: len(skeleton(printed))] == skeleton(printed)
    assert re.search(r"latency p50 .*✗ worse", shown)


@only_in_full
def test_the_story_of_quality_is_caught_by_its_gate(backend: Serving, tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", QUALITY, re.DOTALL)
    said = run(snippet, backend.http, set_up="", XDG_STATE_HOME=str(tmp_path))
    assert "adder-v1 {'exact_match/mean': 1.0, 'short/mean': 1.0}" in said
    (lines,) = re.findall(r"```console\n(.*?)```", QUALITY, re.DOTALL)
    compare, gate = (command(line, backend.http) for line in lines.splitlines())
    assert compare.returncode == 0, compare.stderr
    assert "0 of 30 rows higher, 10 lower, 20 the same" in compare.stdout
    assert gate.returncode == 1, gate.stderr
    assert "10 of 30 rows lower" in gate.stdout


@only_in_full
def test_the_same_commands_run_on_a_cluster(
    backend: Serving, clickhouse_server: ClickHouseServer, tmp_path: Path
) -> None:
    with clickhouse_server.new_database() as name:
        cluster = f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}"
        prepare, compare = [line.replace(CLUSTER, cluster) for line in COMMANDS if CLUSTER in line]
        planned = command(prepare, "")
        assert planned.returncode == 0, planned.stderr
        assert "ADD COLUMN IF NOT EXISTS LoggedModelId" in planned.stdout
        with Serving(tmp_path / "log", "--store", cluster) as front:
            (snippet,) = re.findall(r"```python\n(.*?)```", STORY, re.DOTALL)
            run(snippet, front.http, set_up=STEADY_CLOCK)
        outcome = command(compare, "")
        assert outcome.returncode == 0, outcome.stderr
        assert re.search(r"latency p50 .*✗ worse", outcome.stdout)
