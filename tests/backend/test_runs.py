# SPDX-License-Identifier: Apache-2.0
"""Evaluation runs against a real backend: which of them counts, what is said of the others, and run against run."""

import contextlib
import json
import math
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import format_trace_id

import otel_loggedmodel
from asking import ask
from effort import only_in_full
from otel_loggedmodel.genai import AssessmentSource, EvaluationResult, scorer
from otel_loggedmodel.genai.datasets import dataset_id_of
from waiting import wait_until

from .serving import Serving, command

ROWS = [{"inputs": {"x": x}, "expectations": {"answer": x}} for x in range(30)]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("runs")
    with Serving(directory / "log", "--data", directory / "data") as backend:
        yield backend


@pytest.fixture(scope="module")
def provider(serving: Serving) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
    exporter = otel_loggedmodel.LoggedModelExporter(OTLPSpanExporter(f"{serving.http}/v1/traces"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
def evaluate(provider: TracerProvider, tmp_path: Path, monkeypatch) -> Callable[..., EvaluationResult]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def run(function: Any, version: str, run_name: str | None = None, rows: Any = ROWS, judges: Any = None):
        result = otel_loggedmodel.genai.evaluate(
            rows, judges or [exact], function, version, dataset="numbers", run_name=run_name, tracer_provider=provider
        )
        provider.force_flush()
        return result

    return run


@scorer
def exact(outputs, expectations):
    return outputs == expectations["answer"]


def right(x):
    return x


def half(x):
    return x if x % 2 else -1


def compared(serving: Serving, *versions: str, **more: str) -> dict[str, Any]:
    return serving.get("/api/v1/compare", [*(("version", version) for version in versions), *more.items()])


def arrived(serving: Serving, version: str, number: int) -> list[dict[str, Any]]:
    """The runs of a version, when so many have ended."""

    def runs() -> list[dict[str, Any]]:
        answer = ask(serving.http, "GET", f"/api/v1/runs?version={version}")
        found = json.loads(answer.body).get("runs", [])
        return found if sum(run["status"] != "RUNNING" for run in found) == number else []

    return wait_until(runs)


def test_the_newest_whole_run_counts_and_a_note_says_what_else_there_is(serving, evaluate) -> None:
    before = evaluate(half, "fixed", "before")
    after = evaluate(right, "fixed", "after")
    runs = arrived(serving, "fixed", 2)
    assert [(run["name"], run["run_id"]) for run in runs] == [("after", after.run_id), ("before", before.run_id)]
    assert runs[0] == {
        "run_id": after.run_id,
        "name": "after",
        "model_id": after.model_id,
        "version_name": "fixed",
        "experiment_id": "0",
        "dataset": after.dataset,
        "dataset_name": "numbers",
        "status": "FINISHED",
        "start_ms": runs[0]["start_ms"],
        "end_ms": runs[0]["end_ms"],
        "rows": 30,
        "rows_failed": 0,
        "rows_total": 30,
        "scorers": ["exact"],
        "scorer_errors": {},
        "metrics": {"exact/mean": 1.0},
    }
    assert runs[0]["start_ms"] <= runs[0]["end_ms"]
    found = compared(serving, "fixed")
    score = found["versions"][0]["scores"]["exact"]
    assert (score["mean"], score["count"]) == (1.0, 30)
    group = score["groups"][0]
    assert (group["run"], group["run_name"], group["other_runs"]) == (after.run_id, "after", 1)
    assert any("on numbers more than once: scores are those of run after" in note for note in found["notes"])
    pooled = compared(serving, "fixed", runs="all")
    score = pooled["versions"][0]["scores"]["exact"]
    assert (score["mean"], score["count"]) == (0.75, 30)
    assert not any("more than once" in note for note in pooled["notes"])


def slip(x):
    if x == 7:
        raise RuntimeError("no model")
    return half(x)


@only_in_full
def test_rows_that_failed_count_as_0_where_that_is_asked_for(serving, evaluate) -> None:
    def broken(x):
        raise RuntimeError("no model at all")

    evaluate(slip, "fails-once")
    evaluate(broken, "fails-always")
    evaluate(right, "fails-never")
    for version in ("fails-once", "fails-always", "fails-never"):
        arrived(serving, version, 1)
    versions = ("fails-never", "fails-once", "fails-always")
    left_out = compared(serving, *versions)
    said = [version["scores"].get("exact", {}) for version in left_out["versions"]]
    assert [(one.get("count"), one.get("mean")) for one in said] == [
        (30, 1.0),
        (29, pytest.approx(14 / 29)),
        (None, None),
    ]
    found = compared(serving, *versions, failed_rows="zero")
    said = [version["scores"]["exact"] for version in found["versions"]]
    assert [(one["count"], one["mean"]) for one in said] == [(30, 1.0), (30, pytest.approx(14 / 30)), (30, 0.0)]
    verdicts = [one["metrics"]["scores.exact"] for one in found["differences"]]
    assert [(one["verdict"], one["evaluation"]["pairs"]) for one in verdicts] == [("worse", 30), ("worse", 30)]
    assert sum("rows failed and count as 0." in note for note in found["notes"]) == 2
    changed = serving.get(
        "/api/v1/compare/rows",
        [("version", "fails-never"), ("version", "fails-once"), ("failed_rows", "zero"), ("limit", "99")],
    )
    assert len(changed["rows"]) == 16
    (failed,) = [row["candidate"] for row in changed["rows"] if "failed" in (row["candidate"]["explanation"] or "")]
    assert (failed["value"], failed["explanation"]) == (0.0, "The row failed: RuntimeError: no model")
    query = "version=fails-never&version=fails-once&failed_rows=zero"
    page = ask(serving.http, "GET", f"/compare?{query}")
    assert (page.status, b"rows failed and count as 0." in page.body) == (200, True)
    assert b'<option value="zero" selected>Failed rows count as 0</option>' in page.body
    page = ask(serving.http, "GET", f"/compare?{query}&pass_at=x")
    assert (page.status, b"write of how many tries" in page.body) == (400, True)
    # What is known to fail is known to a gate, which has nothing to judge otherwise.
    rule = ("--fail-if", "worse(scores.exact)")
    assert command("gate", "fails-never", "fails-always", *rule, "--store", serving.http).returncode == 2
    for version in ("fails-once", "fails-always"):
        arguments = ("gate", "fails-never", version, *rule, "--failed-rows", "zero", "--store", serving.http)
        assert command(*arguments).returncode == 1


@only_in_full
def test_pass_at_k_is_that_of_all_runs_of_a_row(serving, evaluate) -> None:
    def at(turn: int):
        # Of three runs, rows pass in none, one, two or three.
        return lambda x: x if x % 4 > turn else -1

    for turn in range(3):
        evaluate(at(turn), "tried", f"turn-{turn}")
        evaluate(right, "tried-right", f"right-{turn}")
    arrived(serving, "tried", 3)
    arrived(serving, "tried-right", 3)
    passed = [x % 4 for x in range(30)]
    for tries in (1, 2, 3):
        expected = [1 - math.comb(3 - count, tries) / math.comb(3, tries) for count in passed]
        found = compared(serving, "tried-right", "tried", pass_at=str(tries))
        score = found["versions"][1]["scores"]["exact"]
        assert (score["count"], score["mean"]) == (30, pytest.approx(statistics.fmean(expected)))
        assert found["differences"][0]["metrics"]["scores.exact"]["evaluation"]["pairs"] == 30
        assert f"Scores that pass or fail are pass@{tries}, over all runs" in " ".join(found["notes"])
    found = compared(serving, "tried-right", "tried", pass_at="4")
    assert found["versions"][1]["scores"]["exact"]["count"] == 0
    assert any("No row of tried was tried 4 times for score exact: evaluate" in note for note in found["notes"])


def test_runs_of_one_version_are_compared_as_versions_are(serving, evaluate) -> None:
    first = evaluate(slip, "compared", "with-slips")
    second = evaluate(right, "compared", "without")
    arrived(serving, "compared", 2)
    found = compared(serving, "with-slips", second.run_id[:12])
    one, other = found["versions"]
    assert [one["model_id"], other["model_id"]] == [first.run_id, second.run_id]
    assert [one["name"], other["name"]] == ["compared: with-slips", "compared: without"]
    assert [(version["traces"], version["errors"]) for version in (one, other)] == [(30, 1), (30, 0)]
    assert (one["scores"]["exact"]["count"], one["scores"]["exact"]["mean"]) == (29, pytest.approx(14 / 29))
    difference = found["differences"][0]["metrics"]["scores.exact"]
    assert (difference["verdict"], difference["evaluation"]["pairs"], difference["candidate"]) == ("better", 29, 1.0)
    assert any("1 of 30 rows failed and have no scores" in note for note in found["notes"])
    changed = serving.get("/api/v1/compare/rows", [("version", "with-slips"), ("version", "without"), ("limit", "99")])
    assert len(changed["rows"]) == 15
    assert {row["base"]["output"] for row in changed["rows"]} == {"-1"}
    (failed,) = serving.get("/api/v1/traces", [("version", "with-slips"), ("errors_only", "true")])["traces"]
    assert (failed["model_id"], failed["reason"]) == (first.run_id, "RuntimeError: no model")
    page = ask(serving.http, "GET", f"/compare?version={first.run_id}&version={second.run_id}")
    assert (page.status, b"has fewer errors" in page.body or b"gives better answers" in page.body) == (200, True)
    # What a page links to is the version behind the run.
    page = ask(serving.http, "GET", f"/version?id={first.run_id}")
    assert (page.status, b"compared" in page.body) == (200, True)
    # A run beside a version: the version's other traces stay its own.
    mixed = compared(serving, "compared", "without")
    assert [version["traces"] for version in mixed["versions"]] == [30, 30]
    same = ask(serving.http, "GET", f"/api/v1/compare?version=without&version={second.run_id}")
    assert (same.status, "are the same run" in json.loads(same.body)["error"]["message"]) == (400, True)


def test_a_run_that_was_not_whole_counts_only_if_there_is_no_other(serving, evaluate) -> None:
    def interrupted(x):
        if x == 20:
            raise KeyboardInterrupt
        return -1

    with pytest.raises(KeyboardInterrupt):
        evaluate(interrupted, "cut-short", "first")
    (run,) = arrived(serving, "cut-short", 1)
    assert (run["status"], run["rows_total"]) == ("KILLED", 30)
    assert 0 < run["rows"] < 30
    found = compared(serving, "cut-short")
    assert found["versions"][0]["scores"]["exact"]["mean"] == 0
    assert any(f"ended after {run['rows']} of 30 rows before it was whole" in note for note in found["notes"])
    # The same run goes on.
    result = evaluate(lambda x: -1, "cut-short")
    assert result.run_id == run["run_id"]
    assert arrived(serving, "cut-short", 1)[0]["status"] == "FINISHED"
    whole = evaluate(right, "cut-short", "second")
    with pytest.raises(KeyboardInterrupt):
        evaluate(interrupted, "cut-short", "third")
    arrived(serving, "cut-short", 3)
    score = compared(serving, "cut-short")["versions"][0]["scores"]["exact"]
    assert (score["mean"], score["groups"][0]["run"]) == (1.0, whole.run_id)


def test_scores_that_are_missing_as_the_scorer_failed_are_told(serving, evaluate) -> None:
    @scorer
    def judged(outputs):
        if outputs < 0:
            raise RuntimeError("the judge does not answer")
        return True

    evaluate(right, "judged-1", judges=[judged])
    evaluate(half, "judged-2", judges=[judged])
    arrived(serving, "judged-1", 1)
    arrived(serving, "judged-2", 1)
    found = compared(serving, "judged-1", "judged-2")
    scores = [version["scores"]["judged"] for version in found["versions"]]
    assert [(score["mean"], score["count"], score["failed"]) for score in scores] == [(1.0, 30, 0), (1.0, 15, 15)]
    assert any("the scorer failed on 15 of 30 rows" in note for note in found["notes"])
    gate = command("gate", "judged-1", "judged-2", "--fail-if", "worse(scores.judged)", store=serving.http)
    assert gate.returncode not in (0, 1), gate.stdout + gate.stderr
    assert "15 of 30 results of scores.judged are missing, as the scorer failed" in " ".join(gate.stdout.split())


def test_of_one_person_the_newest_feedback_counts(serving, provider) -> None:
    with otel_loggedmodel.use_model(name="liked"), provider.get_tracer("app").start_as_current_span("request") as span:
        trace_id = format_trace_id(span.get_span_context().trace_id)
    for who, value in (("anna", False), ("ben", False), ("anna", True), (None, False), (None, True)):
        source = AssessmentSource("HUMAN", who)
        otel_loggedmodel.log_feedback(
            trace_id=trace_id, name="helpful", value=value, source=source, tracer_provider=provider
        )
    for text in ("good", "unsure"):
        otel_loggedmodel.log_feedback(
            trace_id=trace_id, name="mood", value=text, source="human", tracer_provider=provider
        )
    provider.force_flush()

    def score() -> Any:
        answer = ask(serving.http, "GET", "/api/v1/compare?version=liked")
        return answer.status == 200 and json.loads(answer.body)["versions"][0]["scores"].get("helpful")

    wait_until(lambda: (found := score()) and found["count"] == 3)
    assert score()["mean"] == pytest.approx(2 / 3)
    (summary,) = serving.get("/api/v1/traces", {"version": "liked"})["traces"]
    assert summary["scores"]["helpful"] == pytest.approx(2 / 3)
    # Of labels, too.
    mood = wait_until(lambda: compared(serving, "liked")["labels"])
    assert [(one["name"], one["labels"]) for one in mood] == [("mood", [{"label": "unsure", "counts": [1]}])]


def test_the_commands_list_and_show_runs(serving, evaluate) -> None:
    result = evaluate(half, "listed", "of-friday")
    arrived(serving, "listed", 1)
    listed = command("runs", "listed", store=serving.http)
    assert listed.returncode == 0, listed.stderr
    for text in ("of-friday", "listed", "numbers", "finished", "exact/mean 0.5"):
        assert text in listed.stdout
    (run,) = json.loads(command("runs", "listed", "--json", store=serving.http).stdout)["runs"]
    assert run["run_id"] == result.run_id
    shown = command("show", "of-friday", store=serving.http)
    assert shown.returncode == 0, shown.stderr
    for text in ("an evaluation run", result.run_id, "30 of 30", "exact/mean", "otel-loggedmodel compare"):
        assert text in shown.stdout
    unknown = command("show", "of-monday", store=serving.http)
    assert (unknown.returncode, "there is no version 'of-monday'" in unknown.stderr) == (2, True)


@only_in_full
def test_pages_show_runs_by_themselves_and_against_each_other(serving, evaluate) -> None:
    def page(address: str) -> str:
        answer = ask(serving.http, "GET", address)
        assert answer.status == 200, answer.body
        return answer.body.decode()

    first, second = evaluate(slip, "shown", "shown-first"), evaluate(right, "shown", "shown-second")
    other = evaluate(half, "shown-beside", "shown-third")
    arrived(serving, "shown", 2)
    arrived(serving, "shown-beside", 1)
    listed = page("/runs?version=shown")
    assert listed.index("shown-second") < listed.index("shown-first")
    assert f"/compare?version={first.run_id}&amp;version={second.run_id}" in listed
    assert f'href="/run?id={first.run_id}"' in listed
    assert "shown-third" not in listed
    assert "shown-third" in page("/runs?dataset=numbers")
    assert "No run matches." in page("/runs?dataset=nothing")
    one = page("/run?id=shown-second")
    assert "Compare with the run before" in one
    # What another version did last on the same rows.
    assert f"/compare?version={other.run_id}&amp;version={second.run_id}" in one
    failed = page(f"/run?id={first.run_id}")
    assert "RuntimeError: no model" in failed
    assert "<div><dt>rows that failed</dt><dd>1</dd></div>" in failed
    compared = page(f"/compare?version={first.run_id}&version={second.run_id}")
    assert "Runs on numbers" in compared
    assert '<b class="key c0">A</b>' in compared[compared.index("Runs on numbers") :]
    history = page(f"/version?id={second.model_id}")
    assert re.search("exact from run to run: 0.48[0-9]* to 1", history)
    assert ask(serving.http, "GET", "/run?id=none-such").status == 404
    assert ask(serving.http, "GET", "/run").status == 400


@scorer
def topic(outputs):
    return "refund" if outputs == -1 else ("invoice", "login", "other")[outputs % 3]


@only_in_full
def test_labels_are_categories_with_shares_and_a_test(serving, evaluate) -> None:
    evaluate(right, "labels-right", judges=[topic])
    evaluate(half, "labels-half", judges=[topic])
    for version in ("labels-right", "labels-half"):
        arrived(serving, version, 1)
    (found,) = compared(serving, "labels-right", "labels-half")["labels"]
    counts = {one["label"]: one["counts"] for one in found["labels"]}
    assert (found["name"], found["totals"]) == ("topic", [30, 30])
    assert counts == {"invoice": [10, 5], "login": [10, 5], "other": [10, 5], "refund": [0, 15]}
    assert found["p_values"][0] == pytest.approx(0.00017, abs=0.00001)
    printed = command("compare", "labels-right", "labels-half", "--store", serving.http).stdout
    assert "differ (p <0.001)" in printed
    assert re.search(r"refund .* 0\.0+ % \(0\) +50\.0+ % \(15\)", printed)
    page = ask(serving.http, "GET", "/compare?version=labels-right&version=labels-half").body.decode()
    assert "differ (p &lt;0.001)" in page


@only_in_full
def test_data_sets_are_kept_by_the_command_line_and_come_out_as_they_went_in(serving, provider, tmp_path) -> None:
    rows = [{"id": f"r{x}", "inputs": {"x": x}, "expectations": {"answer": x}} for x in range(3)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    where, sent = ("--store", serving.http), {"OTEL_EXPORTER_OTLP_ENDPOINT": serving.http}

    def dataset(*arguments: str, given: str | None = None) -> str:
        done = command("dataset", *arguments, *where, piped=given, **sent)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kept(name: str) -> dict[str, Any] | None:
        return next((one for one in serving.get("/api/v1/datasets", [])["datasets"] if one["name"] == name), None)

    assert "3 rows added, 0 changed, 3 in all" in dataset("add", "kept", str(tmp_path / "rows.jsonl"))
    assert wait_until(lambda: kept("kept")) == {"digest": "", "name": "kept", "kept_rows": 3}
    changed = {**rows[0], "expectations": {"answer": 5}}
    added = json.loads(dataset("add", "kept", "-", "--json", given=json.dumps(changed) + "\n"))
    assert (added["added"], added["changed"], added["rows"]) == (0, 1, 3)
    wait_until(lambda: len(serving.get(f"/api/v1/traces/{trace_of_dataset('kept')}", [])["spans"]) == 4)
    assert [json.loads(line) for line in dataset("export", "kept").splitlines()] == [changed, *rows[1:]]
    assert added["digest"] in dataset("show", "kept")
    assert "Data set kept" not in ask(serving.http, "GET", "/traces").body.decode()

    # What failed in production becomes a row of a data set.
    tracer = provider.get_tracer("app")
    for x, problem in ((40, None), (41, RuntimeError("no model"))):
        with (
            contextlib.suppress(RuntimeError),
            otel_loggedmodel.use_model("in-production"),
            tracer.start_as_current_span("answer", attributes={"input.value": json.dumps({"x": x})}),
        ):
            if problem is not None:
                raise problem
    provider.force_flush()
    failed = [("version", "in-production"), ("errors_only", "true")]
    wait_until(lambda: b'"trace_id"' in ask(serving.http, "GET", f"/api/v1/traces?{urlencode(failed)}").body)
    dataset("add", "failures", "--traces-of", "in-production", "--errors")
    wait_until(lambda: kept("failures"))
    (row,) = map(json.loads, dataset("export", "failures").splitlines())
    assert row["inputs"] == {"x": 41}


def trace_of_dataset(name: str) -> str:
    return dataset_id_of(name).removeprefix("d-")
