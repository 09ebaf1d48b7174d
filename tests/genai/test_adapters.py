# SPDX-License-Identifier: Apache-2.0
"""Scorers of other libraries, as these libraries make them. Each is skipped where its library is not installed."""

import pytest

from otel_loggedmodel.genai.adapters import as_scorer

ROWS = [
    {"inputs": {"question": "Capital of France?"}, "expectations": {"expected_response": "Paris"}},
    {"inputs": {"question": "Capital of Italy?"}, "expectations": {"expected_response": "Rome"}},
]


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reported to whoever made these libraries."""
    for variable in ("RAGAS_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.setenv(variable, "true")


def answer(question: str) -> str:
    return "Paris"


def test_autoevals(evaluate, results) -> None:
    autoevals = pytest.importorskip("autoevals", exc_type=ImportError)
    result = evaluate(ROWS, [autoevals.Levenshtein(), autoevals.ExactMatch], answer)
    assert result.metrics == {"Levenshtein/mean": 0.5, "ExactMatch/mean": 0.5}
    assert not result.scorer_errors
    assert as_scorer(autoevals.Levenshtein()).digest == as_scorer(autoevals.Levenshtein()).digest
    assert {span.attributes["logged_model.evaluation.source"] for span in results()} == {"code"}


def test_autoevals_gets_what_it_calls_by_other_names(evaluate) -> None:
    autoevals = pytest.importorskip("autoevals", exc_type=ImportError)
    seen = {}

    class Seen(autoevals.Levenshtein):
        def _run_eval_sync(self, output, expected=None, **kwargs):
            seen.update(output=output, expected=expected, **kwargs)
            return autoevals.Score(name="Seen", score=1)

    evaluate([{"inputs": {"question": "q"}, "expectations": {"expected": "e", "context": "c"}}], [Seen()], answer)
    assert seen == {"output": "Paris", "expected": "e", "input": "q", "question": "q", "context": "c"}


# It leaves a file of its own open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_ragas(evaluate) -> None:
    pytest.importorskip("ragas", exc_type=ImportError)
    from ragas.metrics._string import NonLLMStringSimilarity
    from ragas.metrics.collections import ExactMatch

    result = evaluate(ROWS, [NonLLMStringSimilarity(), ExactMatch()], answer)
    assert not result.scorer_errors
    assert result.metrics["exact_match/mean"] == 0.5
    assert result.rows[0].feedback[0].value == 1.0
    assert 0 <= result.rows[1].feedback[0].value < 0.5


def test_mlflow(evaluate) -> None:
    mlflow_scorers = pytest.importorskip("mlflow.genai.scorers", exc_type=ImportError)
    from mlflow.entities import AssessmentSource, Feedback

    @mlflow_scorers.scorer
    def matches(outputs, expectations):
        return outputs == expectations["expected_response"]

    @mlflow_scorers.scorer(name="by_person")
    def judged(outputs):
        return Feedback(value=0.5, rationale="so so", source=AssessmentSource(source_type="HUMAN", source_id="ann"))

    scorers = [matches, judged, mlflow_scorers.RegexMatch(pattern="^P")]
    result = evaluate(ROWS, scorers, answer)
    assert not result.scorer_errors
    assert result.metrics == {"matches/mean": 0.5, "by_person/mean": 0.5, "regex_match/mean": 1.0}
    by_person = result.rows[0].feedback[1]
    assert (by_person.rationale, str(by_person.source.kind), by_person.source.source_id) == ("so so", "HUMAN", "ann")
    assert as_scorer(mlflow_scorers.RegexMatch(pattern="a")).digest != as_scorer(scorers[2]).digest


def test_mlflow_of_whole_conversations(evaluate) -> None:
    mlflow_scorers = pytest.importorskip("mlflow.genai.scorers", exc_type=ImportError)

    @mlflow_scorers.scorer
    def turns(session):
        return len(session) if all(trace.info.state == "OK" for trace in session) else 0

    judge = mlflow_scorers.ConversationCompleteness(model="openai:/none")
    rows = [{"conversation": ["hello", "and then?"]}]
    result = evaluate(rows, [turns, judge], lambda messages: "yes")
    assert [one.value for one in result.rows[0].feedback] == [2, None]
    # It looks at more of a trace than ours have.
    assert "judges MLflow's own traces" in result.rows[0].feedback[1].error_message


def test_what_is_no_scorer_is_refused() -> None:
    with pytest.raises(TypeError, match="is no scorer"):
        as_scorer("exact")
