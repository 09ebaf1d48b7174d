# SPDX-License-Identifier: Apache-2.0
"""Evaluating a version: rows, traces, errors, concurrency, time limits and retries."""

import asyncio
import contextvars
import threading
import time

import pytest
from opentelemetry import trace as trace_api
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

import otel_loggedmodel
from otel_loggedmodel.genai import Feedback, Scorer, scorer

from .conftest import results_in

ROWS = [{"inputs": {"number": number}, "expectations": {"double": 2 * number}} for number in range(6)]


@scorer
def exact(outputs, expectations):
    return outputs == expectations["double"]


def double(number):
    return 2 * number


def test_rows_are_traces_of_the_version_and_results_are_in_them(evaluate, results, traced) -> None:
    result = evaluate(ROWS, [exact], double)
    assert (result.count, result.error_count) == (6, 0)
    assert result.metrics == {"exact/mean": 1.0}
    entries = {span.context.span_id: span for span in traced.memory.get_finished_spans() if span.name == "double"}
    assert len(entries) == 6
    assert len({span.context.trace_id for span in entries.values()}) == 6
    for span in results():
        entry = entries.pop(span.parent.span_id)
        assert span.context.trace_id == entry.context.trace_id == span.parent.trace_id
        assert span.end_time == span.start_time + 1000
        assert span.context.trace_state.get("ot") == "rv:ffffffffffffff"
        assert span.context.trace_flags.sampled
        assert entry.parent is None
        assert len(entry.links) == 1
        assert entry.attributes["logged_model.id"] == span.attributes["logged_model.id"] == result.model_id
        for key in ("logged_model.evaluation.row", "logged_model.evaluation.dataset"):
            assert entry.attributes[key] == span.attributes[key]
        assert span.attributes["logged_model.evaluation.dataset"] == result.dataset
        assert span.attributes["logged_model.evaluation.scorer"] == exact.digest
        assert span.attributes["logged_model.evaluation.source"] == "code"
        assert span.attributes["gen_ai.evaluation.name"] == "exact"
        assert span.attributes["gen_ai.evaluation.score.value"] == 1.0
        assert span.attributes["gen_ai.evaluation.score.label"] == "pass"
        assert span.attributes["sampling.priority"] == 1
    assert not entries


def test_content_is_on_the_entry_span_unless_it_is_not_wanted(evaluate, traced) -> None:
    evaluate(ROWS[:1], [], double)
    entry = traced.spans["double"]
    assert (entry.attributes["input.value"], entry.attributes["output.value"]) == ('{"number": 0}', "0")
    traced.memory.clear()
    evaluate(ROWS[:1], [], double, record_content=False)
    kept = traced.spans["double"].attributes
    assert not [key for key in kept if key.endswith((".value", ".expected"))]


@pytest.mark.parametrize(
    ("expectations", "told"), [({"answer": "Graz"}, '{"answer": "Graz"}'), ("Graz", "Graz"), (None, None)]
)
def test_what_is_expected_is_on_the_span_of_its_row(evaluate, traced, expectations, told) -> None:
    row = {**ROWS[0], "expectations": expectations}
    evaluate([row], [], double)
    evaluate([{**row, "outputs": 0}])
    for name in ("double", "evaluated output"):
        assert traced.spans[name].attributes.get("logged_model.evaluation.expected") == told


def test_tags_of_a_row_are_on_its_span(evaluate, traced) -> None:
    row = {**ROWS[0], "tags": {"topic": "numbers"}}
    evaluate([row], [], double)
    evaluate([{**row, "outputs": 0}])
    for name in ("double", "evaluated output"):
        assert traced.spans[name].attributes["logged_model.evaluation.tag.topic"] == "numbers"


def test_the_name_of_the_data_set_is_on_all_spans_of_its_rows(evaluate, results, traced) -> None:
    evaluate(ROWS[:1], [exact], double, dataset="numbers")
    evaluate([{**ROWS[0], "outputs": 0}], [exact], dataset="numbers")
    judged = [traced.spans["double"], traced.spans["evaluated output"]]
    names = [span.attributes["logged_model.evaluation.dataset_name"] for span in (*judged, *results())]
    assert names == ["numbers"] * 4


def test_results_come_in_the_order_of_the_data_with_what_belongs_to_them(evaluate) -> None:
    def slow_at_first(number):
        time.sleep(0.05 if number == 0 else 0)
        return 2 * number

    rows = evaluate(ROWS, [exact], slow_at_first, max_workers=3).rows
    assert [row.inputs["number"] for row in rows] == list(range(6))
    assert [row.outputs for row in rows] == [0, 2, 4, 6, 8, 10]
    assert [row.expectations for row in rows] == [row["expectations"] for row in ROWS]
    assert all(len(row.trace_id) == 32 and len(row.span_id) == 16 for row in rows)


def test_a_row_that_fails_is_a_failed_trace_without_scores(evaluate, results, traced) -> None:
    def fails_once(number):
        if number == 3:
            raise RuntimeError("no such number")
        return 2 * number

    result = evaluate(ROWS, [exact], fails_once)
    assert (result.count, result.error_count, len(results())) == (6, 1, 5)
    assert result.rows[3].error == "RuntimeError: no such number"
    assert not result.rows[3].feedback
    failed = [span for span in traced.memory.get_finished_spans() if span.status.status_code is StatusCode.ERROR]
    assert [span.attributes["input.value"] for span in failed] == ['{"number": 3}']
    assert failed[0].events[0].name == "exception"


def test_a_scorer_that_fails_is_a_result_and_others_go_on(evaluate, results) -> None:
    @scorer
    def broken(outputs):
        raise KeyError(outputs)

    result = evaluate(ROWS[:2], [broken, exact], double)
    assert result.metrics == {"exact/mean": 1.0}
    assert result.scorer_errors == {"broken": 2}
    span = next(span for span in results() if span.attributes["gen_ai.evaluation.name"] == "broken")
    assert span.attributes["error.type"] == "KeyError"
    assert "gen_ai.evaluation.score.value" not in span.attributes


@pytest.mark.parametrize(
    ("value", "score", "label"),
    [
        (True, 1.0, "pass"),
        (False, 0.0, "fail"),
        (3, 3.0, None),
        (0.25, 0.25, None),
        ("formal", None, "formal"),
        (Feedback(value=0.5, rationale="half"), 0.5, None),
        ([Feedback(name="other", value=1)], 1.0, None),
        ({"a": 1}, None, '{"a": 1}'),
    ],
)
def test_what_a_scorer_returns_is_what_is_sent(evaluate, results, value, score, label) -> None:
    evaluate(ROWS[:1], [scorer(lambda outputs: value, name="given")], double)
    (span,) = results()
    assert span.attributes.get("gen_ai.evaluation.score.value") == score
    assert span.attributes.get("gen_ai.evaluation.score.label") == label
    named = isinstance(value, list)
    assert span.attributes["gen_ai.evaluation.name"] == ("other" if named else "given")
    if isinstance(value, Feedback):
        assert span.attributes["gen_ai.evaluation.explanation"] == "half"


def test_none_is_no_result_and_several_are_several(evaluate, results) -> None:
    @scorer
    def nothing():
        return None

    @scorer
    def two():
        return [Feedback(name="a", value=1), Feedback(name="b", value=False)]

    result = evaluate(ROWS[:1], [nothing, two], double)
    assert sorted(span.attributes["gen_ai.evaluation.name"] for span in results()) == ["a", "b"]
    assert result.metrics == {"a/mean": 1.0, "b/mean": 0.0}


def test_a_number_that_is_not_finite_is_an_error(evaluate, results) -> None:
    evaluate(ROWS[:1], [scorer(lambda: float("nan"), name="odd")], double)
    (span,) = results()
    assert span.attributes["error.type"] == "ValueError"


def test_async_functions_run_at_once_in_one_loop(evaluate) -> None:
    running = most = 0
    loops = set()

    async def slow(number):
        nonlocal running, most
        loops.add(asyncio.get_running_loop())
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        return 2 * number

    @scorer
    async def also_async(outputs):
        await asyncio.sleep(0)
        loops.add(asyncio.get_running_loop())
        return outputs

    result = evaluate(ROWS, [also_async], slow, max_workers=3)
    assert result.metrics == {"also_async/mean": 5.0}
    assert 1 < most <= 3
    assert len(loops) == 1


async def test_it_works_inside_a_running_loop(evaluate) -> None:
    async def app(number):
        await asyncio.sleep(0)
        return 2 * number

    assert evaluate(ROWS[:2], [exact], app).metrics == {"exact/mean": 1.0}


def test_no_more_rows_are_in_hand_than_are_worked_on(evaluate) -> None:
    taken = 0
    most = 0
    done = 0
    lock = threading.Lock()

    def rows():
        nonlocal taken
        for row in ROWS * 20:
            taken += 1
            yield row

    def app(number):
        nonlocal most, done
        with lock:
            most = max(most, taken - done)
            done += 1
        return number

    assert evaluate(rows(), [], app, dataset="endless", max_workers=2).count == 120
    assert most <= 8


def test_contextvars_of_the_caller_go_along_and_those_of_a_row_stay_in_it(evaluate) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("callers")
    seen = []

    def app(number):
        seen.append(variable.get())
        variable.set("rows")
        return number

    evaluate(ROWS, [], app, max_workers=2)
    evaluate(ROWS[:2], [], app, max_workers=1)
    assert seen == ["callers"] * 8
    assert variable.get() == "callers"


def test_rows_are_traces_of_their_own_inside_a_span_of_the_caller(evaluate, traced) -> None:
    with traced.tracer.start_as_current_span("caller") as caller:
        result = evaluate(ROWS[:2], [exact], double)
    assert all(int(row.trace_id, 16) != caller.get_span_context().trace_id for row in result.rows)
    assert trace_api.get_current_span() is trace_api.INVALID_SPAN


def test_spans_of_a_scorer_are_of_no_version_and_in_traces_of_their_own(evaluate, traced) -> None:
    otel_loggedmodel.set_active_model(name="process-default")

    @scorer
    def judge(outputs):
        with traced.tracer.start_as_current_span("judging"):
            return True

    @scorer
    def judge_with_version(outputs):
        with otel_loggedmodel.use_model(name="judge"), traced.tracer.start_as_current_span("versioned judging"):
            return True

    result = evaluate(ROWS[:1], [judge, judge_with_version], double)
    spans = traced.spans
    assert "logged_model.id" not in spans["judging"].attributes
    assert spans["judging"].parent is None
    assert spans["versioned judging"].attributes["logged_model.name"] == "judge"
    assert {span.context.trace_id for span in spans.values()} > {int(result.rows[0].trace_id, 16)}
    assert spans["judging"].context.trace_id != int(result.rows[0].trace_id, 16)


def test_a_scorer_sees_the_trace_of_its_row_and_of_no_other(evaluate, traced) -> None:
    def app(number):
        with traced.tracer.start_as_current_span("llm") as span:
            span.set_attribute("gen_ai.usage.output_tokens", 100 * number)
            time.sleep(0.01)
        return number

    seen = {}

    @scorer
    def looks(inputs, trace):
        seen[inputs["number"]] = trace
        return trace.tokens[1]

    result = evaluate(ROWS, [looks], app, max_workers=3)
    assert [row.feedback[0].value for row in result.rows] == [0, 100, 200, 300, 400, 500]
    for row in result.rows:
        trace = seen[row.inputs["number"]]
        assert (trace.info.trace_id, trace.root.span_id) == (row.trace_id, row.span_id)
        assert [span.name for span in trace.spans][1:] == ["llm"]
        assert trace.info.execution_duration >= 10
        assert trace.outputs == row.outputs


def test_a_trace_that_is_scored_again_has_the_same_result_in_a_run_and_another_in_another(evaluate, results) -> None:
    row = {**ROWS[0], "outputs": 0, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}
    with otel_loggedmodel.start_run():
        evaluate([row], [exact])
        evaluate([row], [exact])
    first, second = results()
    evaluate([row], [exact])
    assert len({span.context.span_id for span in results()}) == 2
    # Traces that are no rows of a data set have one result of each scorer.
    evaluate(iter([row]), [exact])
    evaluate(iter([row]), [exact])
    assert len({span.context.span_id for span in results()}) == 3
    assert f"{first.context.trace_id:032x}" == row["trace_id"]
    assert f"{first.parent.span_id:016x}" == row["span_id"]
    assert first.context.span_id == second.context.span_id
    assert evaluate([{**row, "trace_id": "none"}], [exact]).error_count == 1


def test_a_call_that_takes_too_long_is_an_error_and_stops_nothing(evaluate, traced) -> None:
    released = threading.Event()

    def hangs(number):
        if number == 1:
            released.wait(30)
        return 2 * number

    async def hangs_too(number):
        if number == 1:
            await asyncio.sleep(30)
        return 2 * number

    began = time.monotonic()
    for app in (hangs, hangs_too):
        result = evaluate(ROWS[:3], [exact], app, timeout=1.0)
        assert result.error_count == 1
        assert result.rows[1].error == "CallTimeoutError: took longer than 1 s"
    assert time.monotonic() - began < 25
    released.set()
    statuses = [span.status.description for span in traced.memory.get_finished_spans() if not span.status.is_ok]
    assert statuses == ["took longer than 1 s"] * 2


def test_a_scorer_that_takes_too_long_is_an_error(evaluate) -> None:
    @scorer(timeout=0.1)
    async def hangs():
        await asyncio.sleep(30)

    result = evaluate(ROWS[:1], [hangs, exact], double)
    assert result.scorer_errors == {"hangs": 1}
    assert result.metrics == {"exact/mean": 1.0}


def test_a_row_is_tried_again_and_the_last_try_is_judged(evaluate, results, traced, monkeypatch) -> None:
    monkeypatch.setattr("otel_loggedmodel.genai.calling._FIRST_WAIT_SECONDS", 0.001)
    calls = []

    def flaky(number):
        calls.append(number)
        if calls.count(number) < 3:
            raise ConnectionError
        return 2 * number

    judged = []

    @scorer
    def tries():
        judged.append(1)
        if len(judged) < 2:
            raise ConnectionError
        return True

    result = evaluate(ROWS[:1], [tries], flaky, retries=2, scorer_retries=1)
    assert (calls, result.error_count) == ([0, 0, 0], 0)
    assert result.metrics == {"tries/mean": 1.0}
    spans = sorted(
        (span for span in traced.memory.get_finished_spans() if "flaky" in span.name), key=lambda span: span.start_time
    )
    assert [span.status.is_ok for span in spans] == [False, False, True]
    assert results()[0].parent.span_id == spans[-1].context.span_id
    assert evaluate(ROWS[:1], [], lambda number: 1 / 0, retries=1).error_count == 1


def test_a_sampler_that_drops_everything_drops_no_row_and_no_result(make_traced) -> None:
    traced = make_traced()
    traced.provider.sampler = ALWAYS_OFF
    result = otel_loggedmodel.genai.evaluate(ROWS, [exact], double, "v1", tracer_provider=traced.provider)
    spans = traced.memory.get_finished_spans()
    entries = [span for span in spans if span.name == "double"]
    assert len(entries) == len(results_in(spans)) == 6
    assert {span.attributes["logged_model.id"] for span in entries} == {result.model_id}
    assert {span.attributes["logged_model.name"] for span in entries} == {"v1"}
    assert {len(span.links) for span in entries} == {1}
    assert {span.parent.span_id for span in results_in(spans)} == {span.context.span_id for span in entries}


def test_the_version_is_the_active_one_or_one_named_for_the_function(traced, evaluate, caplog) -> None:
    with otel_loggedmodel.use_model(name="scoped") as model:
        assert evaluate(ROWS[:1], [exact], double, None).model_id == model.model_id
    made = otel_loggedmodel.create_external_model(name="made", params={"k": "5"})
    assert evaluate(ROWS[:1], [exact], double, made).model_id == made.model_id
    assert evaluate(ROWS[:1], [exact], double, made.model_id).model_id == made.model_id
    assert evaluate(ROWS[:1], [exact], double, "made").model_id == made.model_id
    assert not caplog.records
    named = evaluate(ROWS[:1], [exact], double, None)
    assert otel_loggedmodel.get_logged_model(named.model_id).name == "double"
    assert "no version is active" in caplog.text


def test_outputs_in_the_data_are_scored_without_counting_as_calls(evaluate, results, traced) -> None:
    rows = [{**row, "outputs": 2 * row["inputs"]["number"]} for row in ROWS]
    result = evaluate(rows, [exact])
    assert result.metrics == {"exact/mean": 1.0}
    judged = {
        span.context.span_id: span for span in traced.memory.get_finished_spans() if span.name == "evaluated output"
    }
    assert len(judged) == 6
    assert all("logged_model.id" not in span.attributes for span in judged.values())
    assert {span.parent.span_id for span in results()} == set(judged)
    assert {span.attributes["logged_model.id"] for span in results()} == {result.model_id}


def test_a_row_without_outputs_is_an_error(evaluate) -> None:
    assert "no outputs" in evaluate(ROWS[:1], [exact]).rows[0].error


def test_mistakes_of_the_call_raise_at_once_with_advice(evaluate) -> None:
    with pytest.raises(TypeError, match="names of its parameters"):
        evaluate(ROWS, [exact], lambda wrong: wrong)
    with pytest.raises(ValueError, match="name it"):
        evaluate(iter(ROWS), [exact], double)
    with pytest.raises(ValueError, match="no `inputs`"):
        evaluate([{"question": "?"}], [exact], double)
    with pytest.raises(TypeError, match="data is int"):
        evaluate(3, [exact], double)
    with pytest.raises(ValueError, match="two scorers are called 'exact'"):
        evaluate(ROWS, [exact, exact], double)
    with pytest.raises(TypeError, match="takes reference"):
        evaluate(ROWS, [lambda outputs, reference: True], double)
    with pytest.raises(TypeError, match="predict_fn is str"):
        evaluate(ROWS, [exact], "app")
    for arguments in ({"max_workers": 0}, {"retries": -1}, {"timeout": 0}, {"max_workers": True}):
        with pytest.raises(ValueError, match="pass"):
            evaluate(ROWS, [exact], double, **arguments)


def test_an_interrupt_ends_the_evaluation_and_delivers_what_was_done(evaluate, results) -> None:
    def interrupted(number):
        if number == 3:
            raise KeyboardInterrupt
        return 2 * number

    with pytest.raises(KeyboardInterrupt):
        evaluate(ROWS, [exact], interrupted, max_workers=1)
    assert len(results()) == 3


def test_classes_are_scorers_too(evaluate) -> None:
    class Above(Scorer):
        name = "above"
        limit: int = 0

        def __call__(self, *, outputs):
            return outputs > self.limit

    assert evaluate(ROWS, [Above(limit=5)], double).metrics == {"above/mean": 0.5}
    assert Above(limit=5).digest == Above(limit=5).digest != Above(limit=6).digest
    with pytest.raises(TypeError, match="no parameter 'top'"):
        Above(top=3)
    with pytest.raises(TypeError, match=r"pass an object of it, Above\(\)"):
        evaluate(ROWS, [Above], double)


def test_aggregations_are_those_that_were_asked_for(evaluate) -> None:
    @scorer(aggregations=["min", "max", "median", "p90", "variance", len])
    def value(outputs):
        return outputs

    assert evaluate(ROWS, [value], double).metrics == pytest.approx(
        {
            "value/min": 0,
            "value/max": 10,
            "value/median": 5,
            "value/p90": 9,
            "value/variance": 35 / 3,
            "value/len": 6,
        }
    )
    with pytest.raises(ValueError, match="no aggregation 'mode'"):
        scorer(aggregations=["mode"])


def test_the_result_is_a_data_frame_with_the_columns_of_mlflow(evaluate) -> None:
    pytest.importorskip("pandas")
    frame = evaluate(ROWS, [exact], double).result_df
    assert list(frame["exact/value"]) == [True] * 6
    assert {"inputs", "outputs", "expectations", "trace_id", "error_message", "exact/rationale"} <= set(frame.columns)
