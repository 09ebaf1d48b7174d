# SPDX-License-Identifier: Apache-2.0
"""Data sets that are kept as records: made, added to, read back, and evaluated."""

import uuid

import pytest

import otel_loggedmodel as mlflow
from otel_loggedmodel.genai import datasets
from waiting import wait_until

ROWS = [
    {"inputs": {"question": "France?"}, "expectations": {"expected_response": "Paris"}, "tags": {"topic": "cities"}},
    {"inputs": {"question": "Italy?"}, "expectations": {"expected_response": "Rome"}},
    {"id": "es", "inputs": {"question": "Spain?"}, "group": "peninsula"},
]


@pytest.fixture
def name() -> str:
    """Of a data set that no other test has."""
    return f"questions-{uuid.uuid4().hex[:12]}"


def read(name: str, number: int) -> datasets.EvaluationDataset:
    def found():
        try:
            dataset = datasets.get_dataset(name)
        except LookupError:
            return None
        return dataset if len(dataset) == number else None

    return wait_until(found)


def test_rows_are_kept_and_a_row_that_comes_again_takes_the_place_of_the_one_before(backend, name) -> None:
    mlflow.set_experiment("support")
    made = datasets.create_dataset(name, tags={"team": "search"}).merge_records(ROWS)
    found = read(name, 3)
    assert found == made
    assert (found.name, found.experiment_ids, found.tags) == (name, ("support",), {"team": "search"})
    assert found.records[2] == {"id": "es", "inputs": {"question": "Spain?"}, "group": "peninsula"}
    assert datasets.get_dataset(dataset_id=made.dataset_id) == found
    found.merge_records([{**ROWS[1], "expectations": {"expected_response": "Roma"}}, ROWS[0]])
    wait_until(lambda: read(name, 3).records[1]["expectations"] == {"expected_response": "Roma"})
    assert read(name, 3).digest == found.digest != made.digest
    assert found.delete_records(["es", "nobody"]) == 1
    assert [row["inputs"]["question"] for row in read(name, 2)] == ["France?", "Italy?"]


def test_it_is_evaluated_and_is_the_data_set_of_its_rows(backend, name) -> None:
    datasets.create_dataset(name).merge_records(ROWS[:2])
    found = read(name, 2)

    @mlflow.genai.scorer
    def right(outputs, expectations) -> bool:
        return outputs == expectations["expected_response"]

    result = mlflow.genai.evaluate(found, [right], lambda question: "Paris", name, tracer_provider=backend)
    assert (result.dataset_name, result.dataset, result.metrics) == (name, found.digest, {"right/mean": 0.5})


def test_traces_and_tables_become_rows(backend, name) -> None:
    pandas = pytest.importorskip("pandas")
    with mlflow.use_model(name=name), mlflow.start_span("request") as span:
        span.set_inputs({"question": "Norway?"})
        span.set_outputs("Bergen")
    mlflow.log_expectation(trace_id=span.trace_id, name="expected_response", value="Oslo")
    wait_until(lambda: (found := mlflow.get_trace(span.trace_id)) is not None and found.expectations)
    made = datasets.create_dataset(name).merge_records(mlflow.search_traces(name))
    assert made.records[0]["inputs"] == {"question": "Norway?"}
    assert made.records[0]["expectations"] == {"expected_response": "Oslo"}
    made.merge_records(pandas.DataFrame([{"inputs": {"question": "Peru?"}, "expectations": None}]))
    found = read(name, 2)
    assert list(found.to_df()["inputs"]) == [{"question": "Norway?"}, {"question": "Peru?"}]


def test_what_cannot_be_a_row_is_refused_and_nothing_is_added(backend, name, monkeypatch) -> None:
    made = datasets.create_dataset(name)
    for records, error, said in (
        ({"inputs": {}}, TypeError, "records are dict"),
        ([{"question": "x"}], ValueError, "no `inputs`"),
        ([{"inputs": {"x": "y" * 300_000}}], ValueError, "row 0 is larger than"),
    ):
        with pytest.raises(error, match=said):
            made.merge_records(records)
    monkeypatch.setattr(datasets, "MAX_ROWS", 1)
    with pytest.raises(ValueError, match="at most 1 rows"):
        made.merge_records(ROWS)
    assert len(made) == 0
    with pytest.raises(LookupError, match="the store has no rows of a data set"):
        datasets.get_dataset(name)
    with pytest.raises(TypeError, match="pass the name or the id"):
        datasets.get_dataset()
