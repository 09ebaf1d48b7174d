# SPDX-License-Identifier: Apache-2.0
"""What says of which run rows and results are, and the record of a run."""

import json

import pytest

import otel_loggedmodel
from otel_loggedmodel.genai import scorer
from otel_loggedmodel.genai.run_records import trace_id_of_run

ROWS = [{"inputs": {"x": x}} for x in range(4)]


@scorer
def positive(outputs):
    if outputs == 2:
        raise ValueError("not two")
    return outputs > 0


def answer(x):
    if x == 3:
        raise RuntimeError("not three")
    return x


def records(traced):
    return [span for span in traced.memory.get_finished_spans() if span.name == "logged_model.run"]


def runs_of(spans):
    found = ("logged_model.evaluation.run", "logged_model.evaluation.run_name")
    return {tuple(span.attributes.get(key) for key in found) for span in spans}


def test_every_row_and_result_says_its_run_and_the_run_has_a_record(evaluate, results, traced) -> None:
    result = evaluate(ROWS, [positive], answer, dataset="few", run_name="first try")
    assert result.run_name == "first try"
    entries = [span for span in traced.memory.get_finished_spans() if span.name == "answer"]
    assert (len(entries), len(results())) == (4, 3)
    assert runs_of([*entries, *results()]) == {(result.run_id, "first try")}
    began, ended = records(traced)
    assert runs_of([began, ended]) == {(result.run_id, "first try")}
    assert {f"{span.context.trace_id:032x}" for span in (began, ended)} == {result.run_id}
    assert (began.parent, ended.parent.span_id) == (None, began.context.span_id)
    said = dict(ended.attributes)
    assert json.loads(said.pop("logged_model.run.scorer_errors")) == {"positive": 1}
    assert json.loads(said.pop("logged_model.run.metrics")) == {"positive/mean": 0.5}
    assert said == {
        "logged_model.event": "run",
        "logged_model.id": result.model_id,
        "logged_model.experiment_id": "0",
        "logged_model.evaluation.run": result.run_id,
        "logged_model.evaluation.run_name": "first try",
        "logged_model.evaluation.dataset": result.dataset,
        "logged_model.evaluation.dataset_name": "few",
        "logged_model.run.status": "FINISHED",
        "logged_model.run.started_at": ended.start_time // 1_000_000,
        "logged_model.run.scorers": ("positive",),
        "logged_model.run.rows": 4,
        "logged_model.run.rows_failed": 1,
        "logged_model.run.rows_total": 4,
        "sampling.priority": 1,
    }
    assert began.attributes["logged_model.run.status"] == "RUNNING"
    assert began.end_time <= min(span.start_time for span in entries)
    assert ended.end_time >= max(span.end_time for span in results())


def test_a_run_that_is_active_is_the_run_and_each_other_evaluation_is_one_of_its_own(evaluate) -> None:
    with otel_loggedmodel.start_run("outer") as outer:
        inside = [evaluate(ROWS, [], answer) for _ in range(2)]
        named = evaluate(ROWS, [], answer, run_name="inner")
    assert {(result.run_id, result.run_name) for result in inside} == {(outer.info.run_id, "outer")}
    assert (named.run_name, named.run_id != outer.info.run_id) == ("inner", True)
    alone = [evaluate(ROWS, [], answer) for _ in range(2)]
    assert len({result.run_id for result in alone}) == 2
    assert all(result.run_name for result in alone)


def test_a_run_of_the_environment_is_the_run(evaluate, monkeypatch, traced) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "build 17")
    result = evaluate(ROWS, [], answer)
    assert (result.run_id, result.run_name) == ("build 17", None)
    assert {span.context.trace_id for span in records(traced)} == {trace_id_of_run("build 17")}


def test_an_evaluation_that_was_ended_and_goes_on_is_one_run(evaluate, results, traced) -> None:
    ending = True

    def ended(x):
        if x == 2 and ending:
            raise KeyboardInterrupt
        return x + 1

    with pytest.raises(KeyboardInterrupt):
        evaluate(ROWS, [positive], ended, max_workers=1, run_name="one")
    ending = False
    with otel_loggedmodel.start_run("another"):
        result = evaluate(ROWS, [positive], ended)
    assert (result.count, result.resumed_count, result.run_name) == (4, 2, "one")
    assert len(runs_of([*results(), *records(traced)])) == 1
    said = [
        (span.attributes["logged_model.run.status"], span.attributes.get("logged_model.run.rows"))
        for span in sorted(records(traced), key=lambda span: span.end_time)
    ]
    assert said == [("RUNNING", None), ("KILLED", 2), ("RUNNING", None), ("FINISHED", 4)]
    # The next one is another run.
    assert evaluate(ROWS, [positive], ended).run_id != result.run_id


def test_what_is_scored_later_belongs_to_the_run_that_made_it(evaluate, results, traced) -> None:
    from otel_loggedmodel.genai.found_traces import (
        trace_of_finished,
    )

    made = evaluate(ROWS[:2], [], answer)
    spans = [span for span in traced.memory.get_finished_spans() if span.name == "answer"]
    later = evaluate(iter([trace_of_finished([span]) for span in spans]), [positive], model_id=None)
    assert later.run_id != made.run_id
    assert {run for run, _ in runs_of(results())} == {made.run_id}
    # Traces of no run are those of this one.
    trace = {"outputs": 1, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}
    own = evaluate(iter([trace]), [positive])
    assert own.run_id in {run for run, _ in runs_of(results())}
