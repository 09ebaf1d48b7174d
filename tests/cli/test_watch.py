# SPDX-License-Identifier: Apache-2.0
"""The command `watch`: it looks until it is decided, and says so."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.commands import watch
from otel_loggedmodel.store.reading import EVERYTHING, Selection, StoreUnavailableError, UnknownVersionError
from otel_loggedmodel.store.results import Comparison, Verdict, VersionDifferences

from .conftest import unboxed
from .doubles import V1, V2, difference, metrics

Run = Callable[..., Result]
QUICK = ("--every", "1m")


def seen(candidate: float, half: float, p_value: float, traces: int = 400) -> Comparison:
    """A comparison of error rates."""
    delta = candidate - 0.02
    one = difference(0.02, candidate, Verdict.UNKNOWN, interval=(delta - half, delta + half), p_value=p_value)
    return Comparison(
        versions=[metrics(V1, traces=traces, error_rate=0.02), metrics(V2, traces=traces, error_rate=candidate)],
        differences=[VersionDifferences(model_id=V2, metrics={"error_rate": one})],
    )


class Clock:
    """Time goes on where somebody waits, and nowhere else: how busy a machine is changes nothing."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "time", Clock())


@pytest.fixture
def looks(reader: MemoryReader, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What looks see, one after the other, and then the last again and again."""

    def give(*answers: Comparison | Exception) -> None:
        rest: Iterator[Comparison | Exception] = itertools.chain(answers, itertools.repeat(answers[-1]))

        def compare(versions: Sequence[str], selection: Selection = EVERYTHING) -> Comparison:
            reader.asked.append(("compare", tuple(versions), selection))
            answer = next(rest)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(reader, "compare", compare)

    return give


def asked(reader: MemoryReader) -> int:
    return sum(question[0] == "compare" for question in reader.asked)


def test_it_ends_when_a_rule_fails(run: Run, reader: MemoryReader, looks: Callable[..., None]) -> None:
    looks(seen(0.06, 0.05, 0.1), seen(0.06, 0.03, 0.01), seen(0.06, 0.005, 1e-30))
    result = run("watch", "v1", "v2", "--fail-if", "worse(error_rate)", *QUICK, code=1)
    assert asked(reader) == 3
    lines = [line for line in result.stdout.splitlines() if "look " in line]
    assert [line.partition("  ")[2] for line in lines] == [
        "look 1: 400 and 400 traces; rules: 1 unknown",
        "look 2: 400 and 400 traces; rules: 1 unknown",
        "look 3: 400 and 400 traces; rules: 1 failed",
    ]
    assert "FAILED: 1 of 1 rules failed" in result.stdout


def test_what_a_test_alone_would_call_is_looked_at_again(run: Run, reader: MemoryReader, looks: Any) -> None:
    """A p-value of 0.03 at one of many looks is chance."""
    looks(seen(0.06, 0.036, 0.03))
    assert "1 rule" in run("gate", "v1", "v2", "--fail-if", "worse(error_rate)", code=1).stdout
    run("watch", "v1", "v2", "--fail-if", "worse(error_rate)", *QUICK, "--deadline", "10m", code=2)
    # And once more at the deadline; the gate has asked, too.
    assert asked(reader) == 12


def test_it_ends_when_all_rules_pass(run: Run, reader: MemoryReader, looks: Any) -> None:
    looks(seen(0.02, 0.02, 1.0), seen(0.02, 0.001, 1.0))
    result = run("watch", "v1", "v2", "--fail-if", "worse(error_rate)", *QUICK, code=0)
    assert asked(reader) == 2
    assert "PASSED: 1 rule passed" in result.stdout


@pytest.mark.parametrize(("unknown", "code"), [("wait", 2), ("pass", 0), ("fail", 1)])
def test_at_the_deadline_it_ends_as_is_said(run: Run, looks: Any, unknown: str, code: int) -> None:
    looks(seen(0.02, 0.02, 1.0))
    rule = ("--fail-if", "worse(error_rate)", "--unknown", unknown, "--deadline", "3m")
    result = run("watch", "v1", "v2", *rule, *QUICK, code=code)
    # It does not fail before: more traffic may decide.
    assert result.stdout.count("look ") == 4


def test_without_traffic_it_says_what_to_do(run: Run, looks: Any) -> None:
    looks(UnknownVersionError("there is no version 'v2'"))
    result = run("watch", "v1", "v2", *QUICK, "--deadline", "2m", code=2)
    assert "nothing to judge in 2m: there is no version 'v2'" in result.stderr
    assert "otel-loggedmodel doctor" in result.stderr


def test_a_version_that_comes_later_is_waited_for(run: Run, looks: Any) -> None:
    looks(UnknownVersionError("there is no version 'v2'"), seen(0.06, 0.005, 1e-30))
    result = run("watch", "v1", "v2", "--fail-if", "worse(error_rate)", *QUICK, code=1)
    assert "look 1: there is no version 'v2'" in result.stdout


def test_too_few_traces_are_waited_for(run: Run, looks: Any) -> None:
    looks(seen(0.06, 0.005, 1e-30, traces=3), seen(0.06, 0.005, 1e-30))
    result = run("watch", "v1", "v2", "--fail-if", "worse(error_rate)", *QUICK, code=1)
    assert "look 1: 3 and 3 traces; rules: 1 no data" in result.stdout


def test_a_store_that_is_away_for_a_while_is_waited_for(run: Run, looks: Any) -> None:
    away = StoreUnavailableError("nothing answers")
    looks(seen(0.02, 0.02, 1.0), away, seen(0.06, 0.005, 1e-30))
    result = run("watch", "v1", "v2", "--fail-if", "worse(error_rate)", *QUICK, code=1)
    assert "look 2: no answer: nothing answers" in result.stdout
    looks(away)
    run("watch", "v1", "v2", *QUICK, code=3)


def test_json_is_alone_on_its_stream(run: Run, looks: Any) -> None:
    looks(seen(0.06, 0.05, 0.1), seen(0.06, 0.005, 1e-30))
    result = run("watch", "v1", "v2", "--fail-if", "worse(error_rate)", *QUICK, "--json", code=1)
    printed = json.loads(result.stdout)
    assert (printed["outcome"], printed["repeated"]) == ("failed", True)
    assert result.stderr.count("look ") == 2


@pytest.mark.parametrize(
    ("option", "text"),
    [("--every", "soon"), ("--every", "0s"), ("--every", "-1s"), ("--deadline", "1"), ("--deadline", "1h and more")],
)
def test_times_that_are_none(run: Run, looks: Any, option: str, text: str) -> None:
    looks(seen(0.02, 0.02, 1.0))
    assert f"'{text}' is no time: write 30s, 5m or 2h" in unboxed(run("watch", "v1", "v2", option, text, code=2).stderr)
