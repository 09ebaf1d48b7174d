# SPDX-License-Identifier: Apache-2.0
"""The trace decorator."""

import asyncio
import inspect
import json

import pytest
from opentelemetry import trace as trace_api

import otel_loggedmodel as mlflow


@pytest.fixture(autouse=True)
def global_provider(monkeypatch, traced):
    monkeypatch.setattr(trace_api, "get_tracer_provider", lambda: traced.provider)
    return traced


def test_a_function_gets_a_span_with_the_active_version(traced) -> None:
    mlflow.set_active_model(name="my-agent-v1.0")

    @mlflow.trace
    def process_request(query: str) -> str:
        """Doc."""
        return f"Processing: {query}"

    assert process_request("Hello world") == "Processing: Hello world"
    assert (process_request.__name__, process_request.__doc__) == ("process_request", "Doc.")
    (span,) = traced.spans.values()
    assert span.name.endswith("process_request")
    assert span.attributes["logged_model.id"] == mlflow.get_active_model_id()
    assert span.attributes["code.function.name"].startswith("test_tracing.test_a_function_gets")
    assert not [key for key in span.attributes if key.startswith(("input", "output"))]
    assert span.instrumentation_scope.name == "otel_loggedmodel"


def test_a_provider_that_is_set_after_decorating_counts(monkeypatch, make_traced) -> None:
    @mlflow.trace(name="ask")
    def ask() -> None: ...

    first, second = make_traced(), make_traced()
    for provider in (trace_api.ProxyTracerProvider(), first.provider, second.provider, first.provider):
        monkeypatch.setattr(trace_api, "get_tracer_provider", lambda provider=provider: provider)
        ask()
    assert [len(traced.memory.get_finished_spans()) for traced in (first, second)] == [2, 1]


def test_name_type_and_attributes(traced) -> None:
    @mlflow.trace(name="ask", span_type="llm", attributes={"team": "a"})
    def work() -> None: ...

    work()
    span = traced.spans["ask"]
    assert span.attributes["openinference.span.kind"] == "LLM"
    assert span.attributes["team"] == "a"


def test_arguments_and_result_are_recorded_when_asked_for(traced) -> None:
    class Agent:
        @mlflow.trace(name="ask", record_arguments=True, record_result=True)
        def ask(self, query: str, *more: int, limit: int = 3, **rest: object) -> dict[str, object]:
            return {"answer": query, "odd": {1, 2} & {2}}

    Agent().ask("ü", 1, 2, extra=object)
    attributes = traced.spans["ask"].attributes
    assert json.loads(attributes["input.value"]) == {"query": "ü", "more": [1, 2], "rest": {"extra": repr(object)}}
    assert json.loads(attributes["output.value"]) == {"answer": "ü", "odd": "{2}"}
    assert attributes["input.mime_type"] == attributes["output.mime_type"] == "application/json"


def test_what_cannot_be_recorded_does_not_fail_the_call(traced, caplog) -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    @mlflow.trace(name="ask", record_arguments=True, record_result=True)
    def ask(value: object) -> list[object]:
        endless: list[object] = []
        endless.append(endless)
        return endless

    assert ask(Hostile())
    assert not [key for key in traced.spans["ask"].attributes if key.startswith(("input", "output"))]
    assert "cannot record input.value of ask: RuntimeError('no')" in caplog.text


def test_long_values_are_cut(traced) -> None:
    @mlflow.trace(name="ask", record_result=True)
    def ask() -> str:
        return "x" * 1_000_000

    ask()
    assert len(traced.spans["ask"].attributes["output.value"]) == 64 * 1024


def test_wrong_arguments_fail_as_they_would_without_the_decorator(traced) -> None:
    @mlflow.trace(name="ask", record_arguments=True)
    def ask(query: str) -> None: ...

    with pytest.raises(TypeError, match="unexpected keyword argument 'wrong'"):
        ask(wrong=1)  # type: ignore[call-arg]
    assert json.loads(traced.spans["ask"].attributes["input.value"]) == {"args": [], "kwargs": {"wrong": 1}}


def test_an_exception_is_recorded_and_raised_on(traced) -> None:
    @mlflow.trace(name="ask")
    def ask() -> None:
        raise KeyError("missing")

    with pytest.raises(KeyError, match="missing"):
        ask()
    span = traced.spans["ask"]
    assert span.status.status_code is trace_api.StatusCode.ERROR
    assert [event.attributes["exception.type"] for event in span.events] == ["KeyError"]


async def test_a_coroutine_function_stays_one(traced) -> None:
    @mlflow.trace(name="ask", record_result=True)
    async def ask(number: int) -> int:
        with traced.tracer.start_as_current_span(f"inside {number}"):
            await asyncio.sleep(0.01)
        return number

    assert inspect.iscoroutinefunction(ask)
    assert await asyncio.gather(ask(1), ask(2)) == [1, 2]
    spans = {span.attributes["output.value"]: span for span in traced.memory.get_finished_spans() if span.name == "ask"}
    assert set(spans) == {"1", "2"}
    assert traced.spans["inside 2"].parent.span_id == spans["2"].context.span_id


def test_the_span_of_a_generator_lasts_as_long_as_the_iteration(traced) -> None:
    @mlflow.trace(name="stream", record_result=True)
    def stream(count: int):
        for number in range(count):
            with traced.tracer.start_as_current_span(f"chunk {number}"):
                yield number
        return "end"

    assert inspect.isgeneratorfunction(stream)
    generator = stream(3)
    assert traced.spans == {}
    assert next(generator) == 0
    assert not trace_api.get_current_span().is_recording()
    assert list(generator) == [1, 2]
    span = traced.spans["stream"]
    assert json.loads(span.attributes["output.value"]) == [0, 1, 2]
    assert {traced.spans[f"chunk {number}"].parent.span_id for number in range(3)} == {span.context.span_id}


def test_a_reducer_makes_one_value_of_a_stream(traced) -> None:
    @mlflow.trace(name="stream", record_result=True, output_reducer="".join)
    def stream():
        yield from ["a", "b"]

    assert list(stream()) == ["a", "b"]
    assert traced.spans["stream"].attributes["output.value"] == '"ab"'


def test_a_stream_that_is_left_early_or_fails(traced) -> None:
    @mlflow.trace(name="left")
    def left():
        yield 1
        yield 2

    @mlflow.trace(name="failed")
    def failed():
        yield 1
        raise ValueError("broken")

    generator = left()
    next(generator)
    generator.close()
    with pytest.raises(ValueError, match="broken"):
        list(failed())
    assert traced.spans["left"].status.status_code is trace_api.StatusCode.UNSET
    assert traced.spans["failed"].status.status_code is trace_api.StatusCode.ERROR


async def test_an_async_generator(traced) -> None:
    @mlflow.trace(name="stream", record_result=True)
    async def stream():
        for number in range(3):
            with traced.tracer.start_as_current_span(f"chunk {number}"):
                await asyncio.sleep(0)
                yield number

    assert inspect.isasyncgenfunction(stream)
    values = []
    async for value in stream():
        assert not trace_api.get_current_span().is_recording()
        values.append(value)
    span = traced.spans["stream"]
    assert values == json.loads(span.attributes["output.value"]) == [0, 1, 2]
    assert {traced.spans[f"chunk {number}"].parent.span_id for number in range(3)} == {span.context.span_id}


async def test_an_async_generator_that_fails(traced) -> None:
    @mlflow.trace(name="stream")
    async def stream():
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        [_ async for _ in stream()]
    assert traced.spans["stream"].status.status_code is trace_api.StatusCode.ERROR


def test_an_endless_stream_is_recorded_up_to_a_bound(traced) -> None:
    @mlflow.trace(name="stream", record_result=True)
    def stream():
        yield from range(5000)

    assert len(list(stream())) == 5000
    assert len(json.loads(traced.spans["stream"].attributes["output.value"])) == 1000


def test_only_functions_are_decorated() -> None:
    with pytest.raises(TypeError, match="trace decorates functions, not str: write @trace or"):
        mlflow.trace("name")  # type: ignore[type-var]
