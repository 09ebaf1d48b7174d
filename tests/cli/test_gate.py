# SPDX-License-Identifier: Apache-2.0
"""The command `gate`: options, exit codes, and what it tells other programs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.commands.gating import judged
from otel_loggedmodel.commands.reports import github_annotations, markdown
from otel_loggedmodel.commands.rules import parse_rule
from otel_loggedmodel.store.reading import StoreUnavailableError, UnknownVersionError
from otel_loggedmodel.store.results import LatencyMs, Score, Verdict

from .conftest import unboxed
from .doubles import HOSTILE, V1, V2, compared, metrics

Run = Callable[..., Result]
SLOWER = metrics(V2, latency_ms=LatencyMs(p50=812.4, p90=1490.0, p95=2300.0, p99=12_345.0, mean=901.5))


@pytest.fixture(autouse=True)
def comparison(reader: MemoryReader) -> None:
    reader.comparison = compared(metrics(V1), SLOWER, {"latency_ms.p95": Verdict.WORSE})


def test_passes(run: Run, reader: MemoryReader) -> None:
    result = run("gate", "v1", "v2", "--fail-if", "latency_ms.p95 > 3000", code=0)
    assert "PASSED: 1 rule passed" in result.stdout
    assert reader.asked[1][:2] == ("compare", ("v1", "v2"))


def test_fails(run: Run) -> None:
    result = run("gate", "v1", "v2", "--fail-if", "latency_ms.p95 > +10%", "--fail-if", "error_rate > 50%", code=1)
    assert "FAILED: 1 of 2 rules failed" in result.stdout
    assert "latency_ms.p95 is 2,300 ms, > 2,200 ms (+10% of 2,000 ms)" in result.stdout
    assert V1 in result.stdout
    assert V2 in result.stdout


def test_without_rules_it_fails_what_is_worse(run: Run) -> None:
    assert "latency_ms.p95 is worse" in run("gate", "v1", "v2", code=1).stdout


def test_each_metric_that_is_worse_has_a_line(run: Run, reader: MemoryReader) -> None:
    worse = {"latency_ms.p50": Verdict.WORSE, "latency_ms.p95": Verdict.WORSE}
    reader.comparison = compared(metrics(V1), SLOWER, worse)
    lines = run("gate", "v1", "v2", code=1).stdout.splitlines()
    (first,) = [line for line in lines if "latency_ms.p50 is worse" in line]
    (second,) = [line for line in lines if "latency_ms.p95 is worse" in line]
    assert "failed" in first
    assert "failed" not in second
    assert first.index("latency_ms") == second.index("latency_ms")


def test_too_few_traces(run: Run) -> None:
    result = run("gate", "v1", "v2", "--min-traces", "5000", code=2)
    assert "NO DATA: 5000 traces are needed" in result.stdout


def test_too_few_scores(run: Run, tmp_path: Path) -> None:
    rule = "scores.correctness < 0.5"
    run("gate", "v1", "v2", "--fail-if", rule, code=0)
    result = run("gate", "v1", "v2", "--fail-if", rule, "--min-scores", "1000", code=2)
    assert "scores.correctness has 600 values, 1000 are needed (--min-scores)" in result.stdout
    rules = tmp_path / "gate.toml"
    rules.write_text(f'min_scores = 1000\nfail_if = ["{rule}"]\n')
    run("gate", "v1", "v2", "--rules", rules, code=2)
    run("gate", "v1", "v2", "--rules", rules, "--min-scores", "0", code=0)


def test_unknown_fails_on_request(run: Run, reader: MemoryReader) -> None:
    reader.comparison = compared(metrics(V1), SLOWER, {"latency_ms.p95": Verdict.UNKNOWN})
    assert "unknown" in run("gate", "v1", "v2", code=0).stdout
    assert "unknown, fails" in run("gate", "v1", "v2", "--unknown", "fail", code=1).stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--fail-if", "eror_rate > 1%"], "Did you mean 'error_rate'?"),
        (["--rules", "absent.toml"], "cannot be read"),
        (["--unknown", "maybe"], "maybe"),
        (["--since", "yesterday"], "is no time"),
    ],
)
def test_mistakes_are_usage_errors_before_the_store_is_asked(
    run: Run, reader: MemoryReader, arguments: list[str], text: str
) -> None:
    assert text in unboxed(run("gate", "v1", "v2", *arguments, code=2).stderr)
    assert reader.asked == []


def test_an_unknown_version_and_an_absent_store(run: Run, reader: MemoryReader) -> None:
    reader.error = UnknownVersionError("there is no version 'v1'", ["v1.0"])
    assert "Did you mean v1.0?" in run("gate", "v1", "v2", code=2).stderr
    reader.error = StoreUnavailableError("nothing answers")
    assert "nothing answers" in run("gate", "v1", "v2", code=3).stderr


def test_rules_in_a_file(run: Run, tmp_path: Path) -> None:
    rules = tmp_path / "gate.toml"
    rules.write_text('min_traces = 5000\nfail_if = ["latency_ms.p95 > +10%"]\n')
    run("gate", "v1", "v2", "--rules", rules, code=2)
    run("gate", "v1", "v2", "--rules", rules, "--min-traces", "20", code=1)
    rules.write_text('fail_if = ["error_rate > 50%"]\n')
    run("gate", "v1", "v2", "--rules", rules, code=0)
    both = run("gate", "v1", "v2", "--rules", rules, "--fail-if", "latency_ms.p95 > +10%", "--json", code=1)
    assert [rule["rule"] for rule in json.loads(both.stdout)["rules"]] == ["error_rate > 50%", "latency_ms.p95 > +10%"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'fail_iff = ["worse"]', "Did you mean 'fail_if'?"),
        (b'fail_if = "worse"', "Expected `array`"),
        (b"fail_if = [1]", "Expected `str`"),
        (b'unknown = "perhaps"', "unknown is `pass`, `fail` or `wait`"),
        (b"fail_if = [", "is no TOML"),
        (b"\xff\xfe", "is no TOML"),
        (b'fail_if = ["latency > 3"]', "there is no metric"),
    ],
)
def test_mistakes_in_a_file(run: Run, tmp_path: Path, content: bytes, text: str) -> None:
    rules = tmp_path / "gate.toml"
    rules.write_bytes(content)
    assert text in unboxed(run("gate", "v1", "v2", "--rules", rules, code=2).stderr)


def test_json(run: Run) -> None:
    result = json.loads(
        run("gate", "v1", "v2", "--json", "--fail-if", "latency_ms.p95 > +10% and worse", code=1).stdout
    )
    assert result["outcome"] == "failed"
    assert result["exit_code"] == 1
    assert result["baseline"]["model_id"] == V1
    threshold, verdict = result["rules"][0]["findings"]
    assert threshold["limit"] == pytest.approx(2200)
    assert threshold["candidate"] == 2300
    assert verdict["verdict"] == "worse"


def test_junit(run: Run, tmp_path: Path, reader: MemoryReader) -> None:
    reader.comparison = compared(metrics(V1), replace(SLOWER, cost_usd_per_trace=None))
    path = tmp_path / "gate.xml"
    rules = ["latency_ms.p95 > +10%", "error_rate > 50%", "cost_usd_per_trace > 1", f'scores."{HOSTILE[:20]}" < 1']
    arguments = [argument for rule in rules for argument in ("--fail-if", rule)]
    run("gate", "v1", "v2", *arguments, "--junit", path, code=1)
    suite = ElementTree.parse(path).getroot().find("testsuite")
    assert suite is not None
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "4",
        "failures": "1",
        "errors": "2",
    }
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases[:3]] == rules[:3]
    assert [child.tag for child in cases[0]] == ["failure"]
    assert "2,300 ms" in (cases[0][0].get("message") or "")
    assert [child.tag for child in cases[2]] == ["error"]


def test_junit_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    assert "cannot be written" in run("gate", "v1", "v2", "--junit", tmp_path / "no" / "gate.xml", code=2).stderr


def test_github_annotations_and_summary(run: Run, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    result = run("gate", "v1", "v2", "--fail-if", "latency_ms.p95 > +10%", code=1, env=env)
    assert (
        "::error title=otel-loggedmodel gate%3A latency_ms.p95 > +10%25::"
        "failed: latency_ms.p95 is 2,300 ms, > 2,200 ms (+10%25 of 2,000 ms)\n"
    ) in result.stdout
    first = summary.read_text()
    assert first.startswith("### otel-loggedmodel gate: failed\n")
    assert "| failed | latency\\_ms\\.p95 &gt; \\+10\\% |" in first
    run("gate", "v1", "v2", "--fail-if", "error_rate > 50%", env=env)
    assert summary.read_text().startswith(first)
    assert "gate: passed" in summary.read_text()


def test_annotations_leave_json_alone(run: Run) -> None:
    result = run("gate", "v1", "v2", "--json", "--github", code=1)
    assert json.loads(result.stdout)["outcome"] == "failed"
    assert result.stderr.startswith("::error ")


def test_hostile_names_stay_inside_their_places(run: Run, reader: MemoryReader) -> None:
    score = {HOSTILE: Score(mean=0.1, count=50)}
    reader.comparison = compared(
        metrics(V1, HOSTILE, scores=score), metrics(V2, HOSTILE, scores=score), lambda key: Verdict.WORSE
    )
    result = run("gate", "v1", "v2", "--github", code=1)
    assert not {"\x1b", "\x9b", "\u202e", "\u2028"} & set(result.stdout)
    assert not [line for line in result.stdout.splitlines() if line.startswith("FORGED")]
    assert len([line for line in result.stdout.splitlines() if line.startswith("::")]) == 1

    judgement = judged(reader.comparison, [parse_rule("worse")])
    assert github_annotations(judgement).count("\n") == 1
    table = [line for line in markdown(judgement).splitlines() if line.startswith("|")]
    assert len(table) == 3
    assert "<" not in "".join(table)
    # Every bar that is not escaped ends a cell: three cells a row.
    assert [line.replace("\\|", "").count("|") for line in table] == [4, 4, 4]
