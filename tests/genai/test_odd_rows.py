# SPDX-License-Identifier: Apache-2.0
"""Rows and outputs as people have them: cells of tables, what is missing, what has no text, and what ends a call."""

import asyncio
import datetime
import io
from decimal import Decimal

import pytest
from opentelemetry.trace import StatusCode

from otel_loggedmodel.genai import scorer
from otel_loggedmodel.genai.cells import is_missing, plain_cell
from waiting import wait_until


@scorer
def exact(outputs, expectations):
    return outputs == expectations["answer"]


@scorer
def fine(outputs):
    return True


class WithoutText:
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class WithoutTextError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def entry_of(traced):
    (entry,) = [span for span in traced.memory.get_finished_spans() if "input.value" in span.attributes]
    return entry


# Tables


def test_lists_and_structs_of_a_parquet_file_are_lists_and_dicts_again(evaluate, tmp_path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(
        {
            "inputs": [{"words": ["a", "b"], "deep": [{"n": [1, 2]}]}, {"words": [], "deep": []}],
            "inputs.numbers": [[1, 2, 3], [4]],
            "expectations": [{"answer": ["b", "a"]}, {"answer": []}],
        }
    )
    path = tmp_path / "rows.parquet"
    frame.to_parquet(path)
    seen = []

    def reverse(words, deep, numbers):
        seen.append((words, deep, numbers))
        return list(reversed(words))

    result = evaluate(pandas.read_parquet(path), [exact], reverse, max_workers=1)
    assert result.metrics == {"exact/mean": 1.0}
    assert seen == [(["a", "b"], [{"n": [1, 2]}], [1, 2, 3]), ([], [], [4])]
    assert all(type(words) is list and type(numbers) is list for words, _, numbers in seen)
    # The same rows have the same keys, however they were kept.
    kept = [{"inputs": {**row.inputs}, "expectations": row.expectations} for row in result.rows]
    assert evaluate(kept, [exact], reverse).dataset == result.dataset


@pytest.mark.parametrize("kind", ["NA", "NaT", "NaN", "None"])
def test_a_missing_value_of_any_kind_is_a_missing_value(kind, evaluate) -> None:
    pandas = pytest.importorskip("pandas")
    missing = {"NA": pandas.NA, "NaT": pandas.NaT, "NaN": float("nan"), "None": None}[kind]
    row = dict.fromkeys(("expectations", "trace", "trace_id", "tags", "outputs"), missing) | {"inputs": {"x": 1}}
    result = evaluate([row], [fine], lambda x: x)
    assert (result.error_count, result.rows[0].expectations, result.rows[0].outputs) == (0, None, 1)


def test_cells_are_pythons_own_values() -> None:
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    day = datetime.datetime(2026, 1, 31, 12)
    for cell, value in (
        (numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (numpy.array([numpy.array(["a"]), None], dtype=object), [["a"], None]),
        (numpy.float32("nan"), None),
        (numpy.int64(3), 3),
        (numpy.datetime64("2026-01-31T12:00:00.000000000"), day),
        (numpy.datetime64("NaT"), None),
        (pandas.Timestamp(day), day),
        (pandas.NA, None),
        ({"a": pandas.NaT, "b": (1, pandas.NA)}, {"a": None, "b": (1, None)}),
        (b"\x89PNG", b"\x89PNG"),
        (Decimal("NaN"), None),
        (Decimal("1.5"), Decimal("1.5")),
    ):
        assert plain_cell(cell) == value
    assert not is_missing(numpy.array([float("nan")]))
    assert not is_missing("")


# Fields of the wrong type


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("tags", "travel", r"tags of row 1 are str: pass a dict"),
        ("tags", ["travel"], r"tags of row 1 are list"),
        ("tags", {1: "x"}, r"tags of row 1 have the key 1, which is int"),
        ("trace_id", 12, r"trace_id of row 1 is int"),
        ("span_id", 12, r"span_id of row 1 is int"),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_before_anything_is_called(field, value, said, evaluate) -> None:
    called = []
    with pytest.raises(TypeError, match=said):
        evaluate([{"inputs": {"x": 0}}, {"inputs": {"x": 1}, field: value}], [fine], lambda x: called.append(x) or x)
    assert called == []


# What has no text


def test_an_output_without_a_text_is_an_output(evaluate, traced) -> None:
    result = evaluate([{"inputs": {"x": 1}}], [fine], lambda x: WithoutText())
    assert (result.error_count, result.metrics) == (0, {"fine/mean": 1.0})
    entry = entry_of(traced)
    assert entry.status.status_code is StatusCode.UNSET
    assert "WithoutText, whose text cannot be had: RuntimeError" in entry.attributes["output.value"]


def test_inputs_and_explanations_without_a_text_do_not_end_it(evaluate, results) -> None:
    @scorer
    def judged(outputs):
        raise WithoutTextError

    result = evaluate([{"inputs": {"x": WithoutText()}}, {"inputs": {"x": 2}}], [judged], lambda x: "fine")
    assert (result.error_count, result.scorer_errors) == (0, {"judged": 2})
    assert {span.attributes["error.type"] for span in results()} == {"WithoutTextError"}


def test_an_exception_without_a_text_fails_its_row_alone(evaluate, traced) -> None:
    def answer(x):
        if x == 1:
            raise WithoutTextError
        return x

    result = evaluate([{"inputs": {"x": x}} for x in range(3)], [fine], answer)
    assert (result.error_count, result.metrics) == (1, {"fine/mean": 1.0})
    (failed,) = [span for span in traced.memory.get_finished_spans() if span.status.status_code is StatusCode.ERROR]
    assert failed.events[0].attributes["exception.type"] == "WithoutTextError"


# What ends a call, and what ends all


class OwnEnd(BaseException):
    pass


@pytest.mark.parametrize("error", [asyncio.CancelledError, OwnEnd, GeneratorExit])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_exception_that_is_no_error_fails_its_row_alone(error, workers, is_async, evaluate, results) -> None:
    def answer(x):
        if x == 2:
            raise error
        return x

    async def answer_later(x):
        return answer(x)

    @scorer
    def judged(outputs):
        if outputs == 3:
            raise error
        return True

    rows = [{"inputs": {"x": x}} for x in range(6)]
    result = evaluate(rows, [judged], answer_later if is_async else answer, max_workers=workers)
    assert (result.count, result.error_count, result.scorer_errors) == (6, 1, {"judged": 1})
    assert len(results()) == 5
    assert result.rows[2].error.startswith(error.__name__)


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("is_async", [False, True])
def test_what_ends_the_program_ends_it_with_what_was_done_kept(end, workers, is_async, evaluate, results) -> None:
    called = []

    def answer(x):
        called.append(x)
        if x == 20 and ending:
            raise end
        return x

    async def answer_later(x):
        return answer(x)

    ending = True
    rows = [{"inputs": {"x": x}} for x in range(40)]
    function = answer_later if is_async else answer
    with pytest.raises(end):
        evaluate(rows, [fine], function, max_workers=workers)
    kept = len(results())
    # Those that other threads had in hand may be missing.
    assert 20 - 2 * workers <= kept < 40
    ending, before = False, len(called)
    result = evaluate(rows, [fine], function, max_workers=workers)
    assert (result.count, result.error_count, result.resumed_count) == (40, 0, kept)
    assert len(called) - before == 40 - kept


# Streams


def spoken(text):
    yield from text.split("|")


async def spoken_later(text):
    for part in text.split("|"):
        yield part


async def spoken_by_a_client(text):
    return spoken_later(text)


def mapped(text):
    return map(str, text.split("|"))


@pytest.mark.parametrize("function", [spoken, spoken_later, spoken_by_a_client, mapped])
@pytest.mark.parametrize("timeout", [None, 30])
def test_what_is_streamed_is_collected_for_every_scorer(function, timeout, evaluate, traced) -> None:
    @scorer
    def second(outputs):
        return outputs == "Paris"

    rows = [{"inputs": {"text": "Pa|ri|s"}, "expectations": {"answer": "Paris"}}]
    result = evaluate(rows, [exact, second], function, timeout=timeout)
    assert result.metrics == {"exact/mean": 1.0, "second/mean": 1.0}
    entry = entry_of(traced)
    assert entry.attributes["output.value"] == "Paris"
    duration = (entry.end_time - entry.start_time) / 1e9
    assert 0 <= entry.attributes["gen_ai.response.time_to_first_chunk"] <= duration


def test_a_stream_of_anything_else_is_a_list_and_one_that_fails_fails_its_row(evaluate) -> None:
    def numbers(x):
        yield x
        if x == 1:
            raise ValueError("broken off")
        yield x + 1

    result = evaluate([{"inputs": {"x": x}} for x in range(2)], [], numbers)
    assert [row.outputs for row in result.rows] == [[0, 1], None]
    assert result.rows[1].error == "ValueError: broken off"


def test_a_stream_without_an_end_is_closed_when_its_time_is_up(evaluate) -> None:
    closed = []

    def endless(x):
        try:
            while True:
                yield "x"
        finally:
            closed.append(x)

    result = evaluate([{"inputs": {"x": 1}}], [fine], endless, timeout=0.05)
    assert (result.error_count, result.rows[0].error) == (1, "CallTimeoutError: took longer than 0.05 s")
    wait_until(lambda: closed == [1])


def test_a_file_is_an_output_and_no_stream(evaluate) -> None:
    (row,) = evaluate([{"inputs": {"x": 1}}], [fine], lambda x: io.StringIO("a\nb")).rows
    assert isinstance(row.outputs, io.StringIO)
