# SPDX-License-Identifier: Apache-2.0
"""Data sets that are kept as records: made, added to, read back, and evaluated."""

import json
import uuid

import pytest

import otel_loggedmodel as mlflow
from otel_loggedmodel.genai import datasets
from otel_loggedmodel.genai.traces import Trace
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
    assert (found.name, found.experiment_ids, found.tags) == (name, ["support"], {"team": "search"})
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


def test_rows_say_where_they_are_from_and_keep_what_came_out(backend, name) -> None:
    made = datasets.create_dataset(uc_table_name=name).merge_records(
        [
            {"inputs": {"q": "a", "n": 1}, "outputs": {"said": "b"}, "expectations": {"is": True, "of": [1]}},
            {"inputs": {"q": "c"}},
            {"inputs": {"q": "d"}, "source": {"source_type": "DOCUMENT", "source_data": {"source_id": "doc-1"}}},
            {"inputs": {"q": "e"}, "source": "a" * 32},
        ]
    )
    wait_until(lambda: read(name, 4))
    found = datasets.get_dataset(uc_table_name=name)
    assert found == made
    assert abs(found.created_time - made.created_time) < 60_000
    assert found.created_time <= found.last_update_time
    first = found.records[0]
    assert (first.inputs, first.outputs, first.tags) == ({"q": "a", "n": 1}, {"said": "b"}, None)
    assert first.dataset_record_id == first["id"]
    with pytest.raises(AttributeError, match="a row has no 'output'; it has: id, inputs"):
        _ = first.output
    table = found.to_df()
    assert list(table["source_type"]) == ["HUMAN", "CODE", "DOCUMENT", "TRACE"]
    assert list(table["source_id"])[2:] == ["doc-1", "a" * 32]
    assert json.loads(found.schema) == {
        "inputs": {"q": "string", "n": "integer"},
        "outputs": {"said": "string"},
        "expectations": {"is": "boolean", "of": "array"},
        "version": "1.0",
    }
    assert json.loads(found.profile) == {"num_records": 4}
    # Without a function, what is judged is what came out already.
    result = mlflow.genai.evaluate(
        found.records[:1], [mlflow.genai.scorer(lambda outputs: "said" in outputs)], dataset=name
    )
    assert [row.outputs for row in result.rows] == [{"said": "b"}]


def test_the_client_and_the_two_names_of_a_name() -> None:
    client = mlflow.MlflowClient()
    assert client.create_dataset("mine", experiment_id=[]).experiment_ids == []
    with pytest.raises(TypeError, match="pass name alone"):
        datasets.create_dataset("mine", uc_table_name="mine")
    with pytest.raises(TypeError, match="pass a string"):
        datasets.create_dataset()


def test_what_cannot_be_a_row_is_refused_and_nothing_is_added(backend, name, monkeypatch) -> None:
    made = datasets.create_dataset(name)
    for records, error, said in (
        ({"inputs": {}}, TypeError, "records are dict"),
        ([{"question": "x"}], ValueError, "no `inputs`"),
        ([Trace([])], ValueError, "does not say what went in"),
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
