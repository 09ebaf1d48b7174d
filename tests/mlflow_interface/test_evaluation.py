# SPDX-License-Identifier: Apache-2.0
"""What MLflow's own tests expect of evaluation and scorers, as far as it is the same here."""

import threading

import pandas
import pytest

import otel_loggedmodel as mlflow
from otel_loggedmodel.entities import (
    AssessmentError,
    AssessmentSource,
    AssessmentSourceType,
    Expectation,
    Feedback,
    SpanType,
)
from otel_loggedmodel.genai import Scorer, scorer
from otel_loggedmodel.genai.scorers import Guidelines

_SOURCE_RUN = "mlflow.assessment.sourceRunId"


@scorer
def exact(outputs, expectations) -> bool:
    return outputs == expectations["expected_response"]


@scorer
def short(outputs, expectations) -> bool:
    return len(outputs) <= expectations["max_length"]


@scorer
def relevant(inputs):
    source = AssessmentSource(source_id="gpt", source_type="LLM_JUDGE")
    return Feedback(name="relevant", value="yes", rationale=f"about {inputs['question']}", source=source)


@scorer
@mlflow.trace(span_type=SpanType.EVALUATOR)
def traced_scorer(trace) -> bool:
    return trace is not None


_SCORERS = [exact, short, relevant, traced_scorer]
_ROWS = [
    {
        "inputs": {"question": question},
        "expectations": {"expected_response": "unknown", "max_length": most},
        "tags": {"topic": question},
    }
    for question, most in (("Paris", 100), ("Rome", 1))
]
_MEANS = {"exact/mean": 1.0, "short/mean": 0.5, "relevant/mean": 1.0, "traced_scorer/mean": 1.0}


class Application:
    def predict(self, question: str) -> str:
        return "unknown"


@pytest.mark.parametrize("is_traced", [False, True])
def test_rows_are_traces_of_the_run_with_what_was_expected_and_what_was_said(backend, is_traced) -> None:
    predict = Application().predict
    result = mlflow.genai.evaluate(
        data=_ROWS,
        predict_fn=mlflow.trace(predict) if is_traced else predict,
        scorers=_SCORERS,
        model_id=mlflow.set_active_model(name="application").model_id,
    )
    assert result.metrics == _MEANS
    assert mlflow.get_run(result.run_id).data.metrics == _MEANS
    traces = mlflow.search_traces(run_id=result.run_id, return_type="list")
    assert sorted(trace.data.spans[0].inputs["question"] for trace in traces) == ["Paris", "Rome"]
    for trace in traces:
        question = trace.data.spans[0].inputs["question"]
        assert trace.info.tags == {"topic": question}
        assert trace.info.trace_metadata["mlflow.sourceRun"] == result.run_id
        assert trace.info.trace_metadata["mlflow.modelId"] == result.model_id
        said = {one.name: one for one in trace.info.assessments}
        assert {name for name, one in said.items() if isinstance(one, Expectation)} == {
            "expected_response",
            "max_length",
        }
        assert said["expected_response"].source.source_type == AssessmentSourceType.HUMAN
        assert trace.expectations == next(row["expectations"] for row in _ROWS if row["tags"]["topic"] == question)
        assert said["exact"].value is True
        assert said["exact"].source.source_type == AssessmentSourceType.CODE
        assert (said["relevant"].value, said["relevant"].source.source_id) == ("yes", "gpt")
        assert said["relevant"].rationale == f"about {question}"
        assert {one.metadata[_SOURCE_RUN] for one in said.values() if not isinstance(one, Expectation)} == {
            result.run_id
        }
    table = result.result_df.set_index("trace_id")
    assert set(table.index) == {trace.info.trace_id for trace in traces}
    assert list(table["expected_response/value"]) == ["unknown", "unknown"]
    assert sorted(table["max_length/value"]) == [1, 100]
    assert len(result.tables["eval_results"]) == 2


def test_traces_are_scored_again_with_what_their_rows_and_people_expected(backend) -> None:
    made = mlflow.genai.evaluate(data=_ROWS, predict_fn=Application().predict, scorers=[], model_id="again")
    found = mlflow.search_traces(run_id=made.run_id)
    assert mlflow.genai.evaluate(data=found[["trace"]], scorers=[exact, short]).metrics == {
        "exact/mean": 1.0,
        "short/mean": 0.5,
    }
    with mlflow.use_model(name="again"), mlflow.start_span("by hand") as span:
        span.set_inputs("Which city?")
        span.set_outputs("unknown")
    mlflow.log_expectation(trace_id=span.trace_id, name="expected_response", value="known")
    alone = mlflow.search_traces(filter_string=f"trace_id = '{span.trace_id}'", return_type="pandas")
    assert mlflow.genai.evaluate(data=alone, scorers=[exact]).metrics == {"exact/mean": 0.0}


def test_answers_that_were_there_are_a_run_of_a_version_too(backend, caplog) -> None:
    rows = [{**row, "outputs": "unknown"} for row in _ROWS]
    result = mlflow.genai.evaluate(data=pandas.DataFrame(rows), scorers=_SCORERS)
    assert result.metrics == _MEANS
    assert "the results count for one called 'answers'" in caplog.text
    with mlflow.start_run() as run:
        named = mlflow.genai.evaluate(data=rows, scorers=[exact], dataset="cities")
    assert named.run_id == run.info.run_id
    assert run.data.metrics == {"exact/mean": 1.0}
    assert named.model_id != result.model_id
    trace = mlflow.get_trace(result.rows[0].trace_id)
    assert (trace.inputs, trace.outputs) == ({"question": "Paris"}, "unknown")
    assert trace.info.tags == {"topic": "Paris"}


class Always(Scorer):
    def __call__(self, inputs, outputs, expectations, trace) -> str:
        return "yes"


def _always(inputs, outputs, expectations, trace) -> str:
    return "yes"


@pytest.mark.parametrize(
    ("judge", "name"),
    [
        (Always(name="always"), "always"),
        (Always(name="mine", description="for people"), "mine"),
        (scorer(_always), "_always"),
        (scorer(name="other")(_always), "other"),
    ],
)
def test_a_scorers_name_is_that_of_its_metric(judge, name, global_traced) -> None:
    assert mlflow.genai.evaluate([{"inputs": {"a": 1}, "outputs": 1}], [judge]).metrics == {f"{name}/mean": 1.0}


@pytest.mark.parametrize(
    ("said", "metrics"),
    [
        ("yes", {"judge/mean": 1.0}),
        (42, {"judge/mean": 42.0}),
        (Feedback(value=42), {"judge/mean": 42.0}),
        (Feedback(name="size", value=42), {"size/mean": 42.0}),
        ([Feedback(name="size", value=42), Feedback(name="count", value=1)], {"size/mean": 42.0, "count/mean": 1.0}),
        (Feedback(name="size", error=AssessmentError("500", "down")), {}),
        (None, {}),
    ],
)
def test_what_a_scorer_returns(said, metrics, global_traced) -> None:
    judge = scorer(name="judge")(lambda outputs: said)
    assert mlflow.genai.evaluate([{"inputs": {"a": 1}, "outputs": 1}], [judge]).metrics == metrics
    alone = judge.run(outputs=1)
    expected = {"size": "size", "feedback": "judge"}
    assert not isinstance(alone, Feedback) or alone.name == expected[said.name]


def test_methods_that_register_or_align_scorers_say_what_to_do_instead() -> None:
    for method in ("register", "start", "stop", "update", "align"):
        with pytest.raises(NotImplementedError, match=rf"Scorer\.{method} of MLflow is not here: "):
            getattr(exact, method)(name="a")
    with pytest.raises(AttributeError, match="'FunctionScorer' object has no attribute 'nowhere'"):
        _ = exact.nowhere


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"data": None}, "data is NoneType: pass a list of dicts"),
        ({"data": [1]}, "row 0 is int: pass dicts"),
        ({"data": [{"inputs": {"a": 1}, "tags": "text"}]}, "tags of row 0 are str: pass a dict"),
        ({"data": _ROWS, "scorers": exact}, "pass a list of scorers"),
        ({"data": _ROWS, "scorers": [Guidelines]}, "pass an object of it"),
        ({"data": _ROWS, "predict_fn": lambda other: other}, "cannot be called with the inputs of the first row"),
    ],
)
def test_mistakes_say_what_to_pass(arguments, said) -> None:
    with pytest.raises(mlflow.MlflowException) as raised:
        mlflow.genai.evaluate(**{"scorers": [exact], **arguments})
    assert said in str(raised.value)


def test_assessments_are_made_with_mlflows_arguments() -> None:
    source = AssessmentSource("HUMAN", "ada")
    assert Expectation("city", "Paris", source).source is source
    assert Expectation(name="city", value="Paris", metadata={"a": 1}).metadata == {"a": 1}
    assert Feedback("good", True, None, source, "0" * 32, {"a": 1}, "1" * 16, 1, 2, "why", "a", "b", True).valid is True
    with pytest.raises(mlflow.MlflowException, match="pass a value: what should have come out"):
        mlflow.log_expectation(trace_id="1" * 32, name="city", value=None)
    with pytest.raises(mlflow.MlflowException, match="pass a value, True for instance, or an error"):
        mlflow.log_feedback(trace_id="1" * 32, name="good")


@pytest.mark.parametrize(
    ("said", "given", "at_once"), [("2", None, 2), ("2", 3, 3), ("many", None, 8), ("1.5", None, 8)]
)
def test_the_environment_says_how_many_rows_at_once(said, given, at_once, traced, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_GENAI_EVAL_MAX_WORKERS", said)
    lock, waiting, most = threading.Lock(), [0], [0]
    # Rows wait for each other as far as there may be that many at once, so that the number is seen whatever the speed.
    barrier = threading.Barrier(at_once)

    def predict(row: int) -> int:
        with lock:
            waiting[0] += 1
            most[0] = max(most[0], waiting[0])
        barrier.wait(60)
        with lock:
            waiting[0] -= 1
        return row

    rows = [{"inputs": {"row": row}} for row in range(at_once * 2)]
    options = {} if given is None else {"max_workers": given}
    result = mlflow.genai.evaluate(
        rows, [], predict, "at-once", resume=False, tracer_provider=traced.provider, **options
    )
    assert (result.error_count, most[0]) == (0, at_once)
