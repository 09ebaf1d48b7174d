# SPDX-License-Identifier: Apache-2.0
"""The rows that changed most are those that were planted so, with what was asked and answered in which trace."""

import json
from collections.abc import Iterator

import msgspec
import pytest

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import EVERYTHING, ReadingError, RowFilter, Selection
from otel_loggedmodel.store.row_results import RowChange
from planted_evaluations import CORRECT, QUESTIONS, ROWS, SIMILAR, Evaluations, make_evaluations

from .conftest import filled


@pytest.fixture(scope="module")
def evaluations() -> Evaluations:
    return make_evaluations()


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer, evaluations: Evaluations) -> Iterator[StoreReader]:
    with filled(clickhouse_server, [evaluations.request]) as reader:
        yield reader


def found(reader: StoreReader, *versions: str, selection: Selection = EVERYTHING, **which: object) -> list[RowChange]:
    return reader.rows(versions, RowFilter(**which), selection)  # type: ignore[arg-type]


def test_rows_that_changed_come_with_inputs_outputs_and_traces(reader: StoreReader, evaluations: Evaluations) -> None:
    changes = found(reader, "base", "failing", score=CORRECT, limit=100)
    planted = [
        row.key
        for place, row in enumerate(evaluations.versions["base"].rows)
        if evaluations.versions["failing"].correct(row.correct, place) != row.correct
    ]
    assert len(planted) == 11
    assert {change.row for change in changes} == set(planted)
    traces = {
        (result.model_id, result.row): result.trace_id for result in evaluations.results if result.name == CORRECT
    }
    for change in changes:
        assert (change.model_id, change.score, change.dataset, change.delta) == ("failing", CORRECT, QUESTIONS, -1.0)
        assert change.input == f"question {change.row}"
        assert change.expected == f"answer to question {change.row}"
        for version, result, label in (("base", change.base, "pass"), ("failing", change.candidate, "fail")):
            assert result.trace_id == traces[version, change.row]
            assert result.output == f"{version} answers question {change.row}"
            assert (result.label, result.explanation) == (label, f"{CORRECT} of {change.row}")
            judged = {span.span_id: span for span in reader.trace(result.trace_id).spans}[result.span_id]
            assert judged.attributes["logged_model.evaluation.row"] == change.row
    assert (changes[0].base.value, changes[0].candidate.value) == (1.0, 0.0)


def test_the_largest_changes_come_first(reader: StoreReader, evaluations: Evaluations) -> None:
    changes = found(reader, "base", "lower", score=SIMILAR, limit=7)
    expected = sorted((abs(b - a) for a, b in evaluations.pairs("base", "lower", SIMILAR)), reverse=True)[:7]
    assert [abs(change.delta) for change in changes] == pytest.approx(expected)


def test_rows_that_did_not_change_are_left_out(reader: StoreReader) -> None:
    assert {change.score for change in found(reader, "base", "twin", "lower", limit=1000)} == {CORRECT, SIMILAR}
    assert found(reader, "base", "lower", score=CORRECT) == []
    assert len(found(reader, "base", "lower", score=SIMILAR, limit=1000)) == ROWS


def test_rows_are_chosen_by_how_they_changed(reader: StoreReader, evaluations: Evaluations) -> None:
    deltas = [after - before for before, after in evaluations.pairs("base", "lower", SIMILAR)]
    for change, expected in (
        ("higher", [one for one in deltas if one > 0]),
        ("lower", [one for one in deltas if one < 0]),
    ):
        rows = found(reader, "base", "lower", score=SIMILAR, limit=1000, change=change)
        assert sorted(row.delta for row in rows) == pytest.approx(sorted(expected))
    assert found(reader, "base", "failing", change="higher") == []
    with pytest.raises(ReadingError, match="'worse': use one of higher, lower"):
        found(reader, "base", "failing", change="worse")


def test_other_evaluations_of_chosen_rows_are_told_too(reader: StoreReader) -> None:
    everything = found(reader, "base", "twin", limit=1000)
    assert {row.score for row in everything} == {CORRECT, SIMILAR}
    (chosen,) = found(reader, "base", "twin", score=CORRECT, limit=1)
    rows = found(reader, "base", "twin", score=CORRECT, limit=1, with_others=True)
    assert rows == [chosen, *(row for row in everything if row.row == chosen.row and row.score != CORRECT)]


def test_every_version_and_evaluation_has_its_share(reader: StoreReader) -> None:
    changes = found(reader, "base", "twin", "lower", limit=1)
    assert [(change.model_id, change.score) for change in changes] == [
        ("twin", CORRECT),
        ("twin", SIMILAR),
        ("lower", SIMILAR),
    ]


def test_more_rows_than_one_query_takes(reader: StoreReader) -> None:
    changes = found(reader, "many", "many_lower", "many_twin", score=SIMILAR, limit=1000)
    assert len(changes) == 2000
    assert all(change.input == f"question {change.row}" for change in changes)
    assert all(change.candidate.output == f"{change.model_id} answers {change.input}" for change in changes)


def test_a_row_that_ran_several_times_shows_its_newest_trace(reader: StoreReader, evaluations: Evaluations) -> None:
    (change,) = found(reader, "base", "repeated", score=SIMILAR, limit=1)
    runs = [
        result.trace_id
        for result in evaluations.results
        if (result.model_id, result.row, result.name) == ("repeated", change.row, SIMILAR)
    ]
    assert len(runs) == 3
    assert change.candidate.trace_id == runs[-1]


def test_rows_across_data_sets(reader: StoreReader) -> None:
    changes = found(reader, "base", "grown", score=SIMILAR, limit=1000)
    assert len(changes) == ROWS
    assert {change.dataset for change in changes} == {"f92e6c13a8d74b5b"}


def test_what_is_not_compared_has_no_rows(reader: StoreReader) -> None:
    assert found(reader, "base", "rescored", limit=1000) == []
    assert found(reader, "base", "elsewhere", limit=1000) == []
    assert found(reader, "base", "twin", selection=Selection(production=True)) == []


def test_what_cannot_be_answered_is_a_mistake(reader: StoreReader) -> None:
    with pytest.raises(ReadingError, match="no score 'corect'; there are: correct, similarity"):
        found(reader, "base", "lower", score="corect")
    with pytest.raises(ReadingError, match="name at least two"):
        found(reader, "base")
    with pytest.raises(ReadingError, match="are the same version"):
        found(reader, "base", "base")


def test_rows_survive_the_way_through_json(reader: StoreReader) -> None:
    changes = found(reader, "base", "lower", limit=3)
    assert msgspec.convert(json.loads(msgspec.json.encode(changes)), list[RowChange]) == changes
