# SPDX-License-Identifier: Apache-2.0
"""Several processes of a host use a version: one of them announces it, and another one where that one dies."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_loggedmodel.delivery import announced, leases
from otel_loggedmodel.delivery.announced import Announced, Said
from otel_loggedmodel.delivery.spool_survey import survey
from otlp_receiver import OtlpReceiver
from programs import SET_UP, finish, start
from waiting import wait_until

NOTES = """
import json, os, sys
from pathlib import Path
from otel_loggedmodel.delivery.announced import Announced

now = 0.0
notes = Announced(Path(sys.argv[1]), clock=lambda: now)
for line in sys.stdin:
    what, now, keys = json.loads(line)
    if what == "claim":
        print(json.dumps({key: [said.age, said.is_told] for key, said in notes.claim(keys).items()}), flush=True)
    else:
        notes.settle(keys, is_told=what == "told") if what != "close" else notes.close()
        print("null", flush=True)
"""


class Other:
    """Another process that takes notes."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NOTES, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def asked(self, what: str, now: float, keys: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, now, keys]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    process = Other(tmp_path / "notes")
    yield process
    process.kill()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Announced]:
    notes = Announced(tmp_path / "notes", clock=lambda: clock[0])
    yield notes
    notes.close()


clock = [1000.0]


def test_what_another_process_has_announced_is_left_to_it(own: Announced, other: Other) -> None:
    clock[0] = 1000.0
    assert other.asked("claim", 900, {"a": 3600}) == {}
    other.asked("told", 900, ["a"])
    assert own.claim({"a": 3600, "b": 3600}) == {"a": Said(100, is_told=True)}


def test_what_was_announced_too_long_ago_is_announced_again(own: Announced, other: Other) -> None:
    other.asked("claim", 900, {"a": 3600})
    other.asked("told", 900, ["a"])
    clock[0] = 900 + 3600.0
    assert own.claim({"a": 3600}) == {}
    own.settle(["a"], is_told=True)
    assert other.asked("claim", 4600, {"a": 3600}) == {"a": [100, True]}


def test_of_two_that_are_about_to_the_first_does(own: Announced, other: Other) -> None:
    other.asked("claim", 990, {"a": 3600})
    clock[0] = 1000.0
    assert own.claim({"a": 3600}) == {"a": Said(10, is_told=False)}
    # The first does not give way when it looks again.
    assert other.asked("claim", 990, {"a": 3600}) == {}


@pytest.mark.parametrize("ends", ["failed", "close", "kill", "hang"])
def test_what_another_process_does_not_get_through_is_announced_by_the_next(
    own: Announced, other: Other, tmp_path: Path, ends: str
) -> None:
    other.asked("claim", 990, {"a": 3600})
    if ends == "kill":
        other.kill()
    elif ends != "hang":
        other.asked(ends, 995, ["a"])
    clock[0] = 1100.0 if ends == "hang" else 1000.0
    assert own.claim({"a": 3600}) == {}
    # What the dead leave is cleared away.
    assert len(list(leases.owners(tmp_path / "notes"))) == (2 if ends in ("failed", "hang") else 1)


def test_what_a_dead_process_has_announced_does_not_count(own: Announced, other: Other) -> None:
    other.asked("claim", 990, {"a": 3600})
    other.asked("told", 990, ["a"])
    other.kill()
    clock[0] = 1000.0
    assert own.claim({"a": 3600}) == {}


def test_notes_that_make_no_sense_say_nothing(own: Announced, other: Other, tmp_path: Path) -> None:
    other.asked("claim", 990, {"x": 3600})
    (owner,) = leases.owners(tmp_path / "notes")
    (owner / "notes").write_bytes(
        b'["a", 990, "told"\n[1]\nnull\n["a", "soon", "told"]\n["b", 990, "told"]\n\xff\xfe\n["c", 9'
    )
    clock[0] = 1000.0
    assert own.claim({"a": 3600, "b": 3600, "c": 3600}) == {"b": Said(10, is_told=True)}


def test_a_clock_that_was_set_back_costs_an_announcement_and_no_version(own: Announced, other: Other) -> None:
    other.asked("claim", 90_000, {"a": 3600})
    other.asked("told", 90_000, ["a"])
    clock[0] = 1000.0
    assert own.claim({"a": 3600}) == {}


def test_where_nothing_can_be_written_every_process_announces(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes = Announced(tmp_path / "file" / "notes")
    assert notes.claim({"a": 3600}) == {}
    notes.settle(["a"], is_told=True)
    assert notes.claim({"a": 3600}) == {}
    notes.close()


def test_a_process_with_many_versions_takes_few_notes(own: Announced, other: Other, tmp_path: Path) -> None:
    for number in range(500):
        own.claim({f"v{number}": 3600})
    (notes,) = (tmp_path / "notes").glob("*/notes")
    assert len(notes.read_text().splitlines()) == announced.MAX_NOTES


PROGRAM = """
import time
model = mlflow.create_external_model("agent", params={"k": "v"})
mlflow.set_active_model(model_id=model.model_id)
tracer.start_span("work").end()
provider.force_flush()
if "CHANGES" in os.environ:
    mlflow.set_logged_model_tags(model.model_id, {"t": "1"})
    provider.force_flush()
open(os.environ["MARK"] + ".ready", "w").close()
while not os.path.exists(os.environ["MARK"] + ".end"):
    time.sleep(0.01)
"""


class Fleet:
    """Processes of one host that use one version."""

    def __init__(self, directory: Path, receiver: OtlpReceiver) -> None:
        self._directory = directory
        self._receiver = receiver
        self._processes: list[subprocess.Popen[str]] = []

    def begin(self, **environment: str) -> "subprocess.Popen[str]":
        mark = self._directory / str(len(self._processes))
        places = {"OTEL_LOGGEDMODEL_SPOOL_DIR": str(self._directory / "spool"), "MARK": str(mark)}
        process = start(PROGRAM, self._receiver.endpoint, SET_UP, **places, **environment)
        self._processes.append(process)
        wait_until(lambda: process.poll() is not None or mark.with_suffix(".ready").exists())
        return process

    def end(self) -> None:
        for number, process in enumerate(self._processes):
            (self._directory / f"{number}.end").touch()
            if process.returncode is None:
                finish(process)

    def told(self) -> Counter[object]:
        return Counter(span.attributes.get("logged_model.event") for span in self._receiver.spans())


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with OtlpReceiver() as receiver:
        yield Fleet(tmp_path, receiver)


def test_one_process_of_a_host_announces_a_version_and_each_that_it_runs_it(fleet: Fleet, tmp_path: Path) -> None:
    first = fleet.begin()
    fleet.begin()
    fleet.begin(CHANGES="1")
    assert fleet.told() == {"created": 1, "activated": 3, "updated": 1, None: 3}
    first.kill()
    first.communicate()
    # Nobody is left who has announced the version, as nobody trusts the dead.
    fleet.begin()
    assert fleet.told() == {"created": 2, "activated": 4, "updated": 1, None: 4}
    fleet.end()
    assert list((tmp_path / "spool" / announced.DIRECTORY).glob("*/*")) == []
    assert survey(tmp_path / "spool") == []


def test_without_a_spool_every_process_announces(fleet: Fleet, tmp_path: Path) -> None:
    for _ in range(2):
        fleet.begin(OTEL_LOGGEDMODEL_SPOOL="0")
    assert fleet.told() == {"created": 2, "activated": 2, None: 2}
    fleet.end()
    assert not (tmp_path / "spool").exists()
