# SPDX-License-Identifier: Apache-2.0
"""The API does what its description says: it takes these parameters, answers in these shapes, and nothing else."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from asking import ask
from backend.sending import Traces
from backend.serving import Serving
from effort import times
from otel_loggedmodel.genai.run_records import EvaluationRun, ended
from otel_loggedmodel.server.openapi import document

DESCRIPTION: Mapping[str, Any] = json.loads(document())
QUESTIONS = {path: methods["get"] for path, methods in DESCRIPTION["paths"].items() if "get" in methods}
VERSIONS = ("first", "second")
RUN = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("description")
    with Serving(directory / "log", "--data", directory / "data") as started:
        for seed, version in enumerate(VERSIONS):
            assert started.post(Traces(version, seed).request(5)[1]).status == 200
        assert started.post(encode_spans([record_of_a_run()]).SerializeToString()).status == 200
        yield started
        assert "Traceback" not in started.log


def record_of_a_run() -> ReadableSpan:
    run = EvaluationRun(RUN, "mine", "0", "first", "d" * 16, "questions", ("exact", "short"), 3, time.time_ns())
    failed = {"exact": 1}
    return ended(run, Resource({}), is_whole=True, rows=3, failed=1, scorer_errors=failed, metrics={"exact/mean": 0.5})


def address(path: str, values: Mapping[str, str], query: Any) -> str:
    filled = re.sub(r"\{(\w+)\}", lambda match: quote(values[match[1]], safe=""), path)
    return f"{filled}?{urlencode(list(query), doseq=True)}"


def check(path: str, status: int, body: bytes) -> None:
    """See that an answer has the shape that is described."""
    response = QUESTIONS[path]["responses"].get(str(status))
    assert response is not None, (path, status, body)
    schema = response["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).validate(json.loads(body))


def test_it_is_served(serving: Serving) -> None:
    answer = ask(serving.http, "GET", "/api/v1/openapi.json")
    assert json.loads(answer.body) == DESCRIPTION
    assert DESCRIPTION["openapi"].startswith("3.1.")


def test_every_path_of_the_api_is_described(serving: Serving) -> None:
    listed = set(json.loads(ask(serving.http, "GET", "/").body)["paths"])
    assert {path for path in listed if path.startswith("/api/v1/")} - {"/api/v1/openapi.json"} == set(QUESTIONS)


@pytest.mark.parametrize("path", [path for path in QUESTIONS if path != "/api/v1/store"])
def test_the_parameters_are_those_that_are_taken(serving: Serving, path: str) -> None:
    described = sorted(one["name"] for one in QUESTIONS[path]["parameters"] if one["in"] == "query")
    answer = ask(
        serving.http, "GET", address(path, {"version": "first", "trace_id": "0" * 32, "run": RUN}, [("zzz", "1")])
    )
    assert answer.status == 400
    there_are = json.loads(answer.body)["error"]["message"].rpartition("there are: ")[2]
    assert there_are == (", ".join(described) or "none")


@pytest.mark.parametrize("path", QUESTIONS)
def test_answers_have_the_described_shape(serving: Serving, path: str) -> None:
    traces = json.loads(ask(serving.http, "GET", "/api/v1/traces").body)["traces"]
    needed = {one["name"] for one in QUESTIONS[path]["parameters"] if one["required"] and one["in"] == "query"}
    query = [("version", version) for version in VERSIONS] if "version" in needed else []
    values = {"version": "first", "trace_id": traces[0]["trace_id"], "run": RUN}
    answer = ask(serving.http, "GET", address(path, values, query))
    assert answer.status == 200, answer
    check(path, 200, answer.body)


def values_of(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a parameter may have, and some that it may not."""
    odd = st.one_of(st.text(max_size=20), st.sampled_from(["", "0", "-1", "9" * 30, "NaN", "\0", "%", "null", "[]"]))
    if schema["type"] == "array":
        return st.lists(values_of(schema["items"]), max_size=4)
    if "enum" in schema:
        return st.one_of(st.sampled_from(schema["enum"]), odd)
    if schema["type"] == "integer":
        return st.one_of(st.integers(schema["minimum"], schema["maximum"]).map(str), st.integers().map(str), odd)
    if schema.get("format") == "date-time":
        return st.one_of(st.datetimes().map(lambda time: f"{time.isoformat()}Z"), odd)
    if "pattern" in schema:
        return st.one_of(st.from_regex(schema["pattern"]), odd)
    return st.one_of(st.sampled_from(VERSIONS), odd)


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, str]:
    path = draw(st.sampled_from(sorted(QUESTIONS)))
    values, query = {}, []
    for parameter in QUESTIONS[path]["parameters"]:
        if parameter["in"] == "path":
            values[parameter["name"]] = draw(st.one_of(st.sampled_from(VERSIONS), st.text(min_size=1, max_size=40)))
        elif parameter["required"] or draw(st.integers(0, 2)) == 0:
            query.append((parameter["name"], draw(values_of(parameter["schema"]))))
    return path, address(path, values, query)


@given(questions())
@settings(max_examples=times(full=500, quick=20), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_the_answer_is_described(serving: Serving, question: tuple[str, str]) -> None:
    path, target = question
    answer = ask(serving.http, "GET", target)
    assert answer.status < 500, (target, answer)
    check(path, answer.status, answer.body)
