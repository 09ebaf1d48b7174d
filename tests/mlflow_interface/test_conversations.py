# SPDX-License-Identifier: Apache-2.0
"""Conversations that a backend has: found, judged as a whole, and what its readers make of the results."""

import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import otel_loggedmodel as mlflow
from otel_loggedmodel.genai import datasets, scorer
from otel_loggedmodel.store import open_reader
from otel_loggedmodel.store.reading import RowFilter, Selection

ROWS = [{"conversation": ["hello", "and then?"]}, {"conversation": ["three", "turns", "here"]}, {"conversation": ["x"]}]


@scorer
def turns(session):
    return len(session)


@scorer
def remembers(conversation):
    return all("forgot" not in one["content"] for one in conversation)


@scorer
def brief(outputs):
    return len(outputs) < 30


def good(messages):
    if messages[-1]["content"] == "here":
        raise RuntimeError("no answer")
    return f"answer to {messages[-1]['content']}"


def forgetful(messages):
    return "I forgot" if len(messages) > 1 else good(messages)


@pytest.fixture(scope="module")
def held(serving) -> Iterator[SimpleNamespace]:
    """Two versions that held the same conversations, and the production of a third."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    exporter = mlflow.LoggedModelExporter(OTLPSpanExporter(f"{serving.http}/v1/traces"))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    mark = uuid.uuid4().hex[:8]
    with mlflow.use_model(name=f"live-{mark}"):
        tracer = provider.get_tracer("application")
        for session, question in [("a", "q1"), ("b", "q2"), ("a", "q3"), ("", "q4")]:
            with tracer.start_as_current_span("answer") as span:
                key = "session.id" if question == "q1" else "gen_ai.conversation.id"
                said = {"input.value": question, "output.value": f"to {question}"}
                span.set_attributes({**said, **({key: f"{session}-{mark}"} if session else {})})
    runs = [
        mlflow.genai.evaluate(
            ROWS,
            [turns, remembers, brief],
            function,
            f"{function.__name__}-{mark}",
            tracer_provider=provider,
            dataset=f"talks-{mark}",
            run_name=f"{function.__name__}-{mark}",
            resume=False,
        )
        for function in (good, forgetful)
    ]
    yield SimpleNamespace(mark=mark, provider=provider, runs=runs, store=serving.http)
    provider.shutdown()


@pytest.fixture
def reader(held, monkeypatch):
    monkeypatch.setenv("OTEL_LOGGEDMODEL_STORE", held.store)
    opened = open_reader(held.store)
    yield opened
    opened.close()


def test_sessions_are_found_whole_and_judged_once(held, reader) -> None:
    sessions = mlflow.search_sessions(model_id=f"live-{held.mark}")
    found = {session.id: [trace.inputs for trace in session] for session in sessions}
    assert found == {f"a-{held.mark}": ["q1", "q3"], f"b-{held.mark}": ["q2"]}
    assert [len(mlflow.search_sessions(1, model_id=f"live-{held.mark}")), len(sessions[0].traces)] == [1, 2]
    with pytest.raises(ValueError, match="max_results is 0"):
        mlflow.search_sessions(0)
    # As MLflow's pages have it: the traces, in whatever order; twice, as a second time says the same.
    for _ in range(2):
        traces = mlflow.search_traces(f"live-{held.mark}", production=True)
        result = mlflow.genai.evaluate(traces, [turns, brief], tracer_provider=held.provider)
    assert (result.count, result.metrics) == (4, {"turns/mean": 1.5, "brief/mean": 1.0})
    (version,) = reader.compare([f"live-{held.mark}"]).versions
    assert (version.scores["turns"].count, version.scores["turns"].mean) == (2, 1.5)
    assert version.scores["brief"].count == 4
    first = next(trace for trace in traces if trace.inputs == "q1")
    assert [said.value for said in mlflow.get_trace(first.trace_id).search_assessments("turns")] == [2]
    page = requests.get(f"{held.store}/trace?id={first.trace_id}", timeout=30)
    assert ", of the whole conversation" in page.text


def test_runs_over_conversations_compare_each_once(held, reader) -> None:
    runs = [run.run_id for run in held.runs]
    comparison = reader.compare(runs)
    (before, after), difference = comparison.versions, comparison.differences[0].metrics
    # One of the first version's conversations failed, so it is judged on two.
    assert [(one.scores["remembers"].count, one.scores["remembers"].mean) for one in (before, after)] == [
        (2, 1.0),
        (3, pytest.approx(1 / 3)),
    ]
    assert (before.scores["brief"].count, after.scores["brief"].count) == (5, 6)
    assert (difference["scores.remembers"].base, difference["scores.remembers"].candidate) == (1.0, 0.5)
    (row,) = reader.rows(runs, RowFilter(score="remembers"))
    assert row.input == "1. hello\n2. and then?"
    assert (row.base.output, row.candidate.output) == (
        "1. answer to hello\n2. answer to and then?",
        "1. answer to hello\n2. I forgot",
    )


def test_a_conversation_that_failed_counts_as_0_where_that_is_asked_for(held, reader) -> None:
    comparison = reader.compare([run.run_id for run in held.runs], Selection(failed_rows="zero"))
    (before, _) = comparison.versions
    assert (before.scores["remembers"].count, before.scores["remembers"].mean) == (3, pytest.approx(2 / 3))
    # Of the conversation that failed, two turns were answered and one was not.
    assert (before.scores["brief"].count, before.scores["brief"].mean) == (6, pytest.approx(5 / 6))


def test_conversations_are_kept_as_rows_of_a_data_set(held, reader) -> None:
    kept = datasets.create_dataset(f"kept-{held.mark}", tracer_provider=held.provider)
    kept.merge_records([*ROWS, *mlflow.search_sessions(model_id=f"live-{held.mark}")])
    read = datasets.get_dataset(f"kept-{held.mark}")
    assert (len(read), read.digest) == (5, kept.digest)
    said = [
        {"role": "user", "content": "q1"},
        {"role": "assistant", "content": "to q1"},
        {"role": "user", "content": "q3"},
        {"role": "assistant", "content": "to q3"},
    ]
    assert said in [row["conversation"] for row in read.records]
    assert read.to_df()["conversation"][0] == ["hello", "and then?"]
    result = mlflow.genai.evaluate(read, [turns], forgetful, "kept-v1", tracer_provider=held.provider, resume=False)
    assert (result.count, result.metrics) == (9, {"turns/mean": 9 / 5})
    # The rows of a file and those that are kept are the same rows.
    of_file = {row.row for row in held.runs[1].rows}
    assert of_file < {row.row for row in result.rows}
