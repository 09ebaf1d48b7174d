# SPDX-License-Identifier: Apache-2.0
"""Threads, with `opentelemetry-instrumentation-threading`, which hands the Context on, and without it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

import otel_loggedmodel as mlflow

from .telemetry import Telemetry, is_entry, reference, version_on

Work = Callable[[], None]


def in_thread(work: Work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


class Worker(threading.Thread):
    """A thread as a class of the application."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work

    def run(self) -> None:
        self._work()


def in_thread_of_a_class(work: Work) -> None:
    thread = Worker(work)
    thread.start()
    thread.join()


def in_timer(work: Work) -> None:
    timer = threading.Timer(0, work)
    timer.start()
    timer.join()


def in_pool(work: Work) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def in_pool_by_map(work: Work) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert list(pool.map(lambda _: work(), [1])) == [None]


def in_thread_of_a_thread(work: Work) -> None:
    in_thread(lambda: in_thread(work))


# Instrumented is what begins with `start` or `submit`; a class with a `run` of its own is handed nothing.
HANDED_ON = [in_thread, in_timer, in_pool, in_pool_by_map, in_thread_of_a_thread]
WAYS = [*HANDED_ON, in_thread_of_a_class]


@pytest.fixture
def instrumented() -> Iterator[None]:
    instrumentor = ThreadingInstrumentor()
    instrumentor.instrument()
    yield
    instrumentor.uninstrument()


@pytest.mark.parametrize("run", HANDED_ON)
def test_the_scope_follows(telemetry: Telemetry, instrumented: None, run: Callable[[Work], None]) -> None:
    mlflow.set_active_model(name="default")

    def work() -> None:
        assert mlflow.get_active_model_id() == reference("scoped")
        telemetry.tracer.start_span("work").end()

    with mlflow.use_model(name="scoped"), telemetry.tracer.start_as_current_span("request"):
        run(work)
    spans = {span.name: span for span in telemetry.spans()}
    assert {name: (version_on(span), is_entry(span)) for name, span in spans.items()} == {
        "work": (reference("scoped"), False),
        "request": (reference("scoped"), True),
    }
    assert spans["work"].parent_span_id == spans["request"].span_id


@pytest.mark.parametrize("run", WAYS)
def test_without_the_instrumentation_it_is_the_process_default(
    telemetry: Telemetry, run: Callable[[Work], None]
) -> None:
    mlflow.set_active_model(name="default")

    def work() -> None:
        assert mlflow.get_active_model_id() == reference("default")
        telemetry.tracer.start_span("work").end()

    with mlflow.use_model(name="scoped"), telemetry.tracer.start_as_current_span("request"):
        run(work)
    spans = {span.name: span for span in telemetry.spans()}
    assert {name: (version_on(span), is_entry(span)) for name, span in spans.items()} == {
        "work": (reference("default"), True),
        "request": (reference("scoped"), True),
    }
    assert spans["work"].parent_span_id is None


def test_workers_of_a_pool_have_the_version_of_each_task(telemetry: Telemetry, instrumented: None) -> None:
    mlflow.set_active_model(name="default")

    def work(name: str) -> None:
        telemetry.tracer.start_span(name).end()

    names = [f"variant-{number % 5}" for number in range(50)]
    with ThreadPoolExecutor(3) as pool:
        tasks = [pool.submit(work, "none")]
        for name in names:
            with mlflow.use_model(name=name):
                tasks.append(pool.submit(work, name))
        tasks.append(pool.submit(work, "none"))
        for task in tasks:
            task.result()
    found = [(span.name, version_on(span)) for span in telemetry.spans()]
    expected = [(name, reference(name)) for name in names] + 2 * [("none", reference("default"))]
    assert sorted(found) == sorted(expected)


def test_a_scope_that_a_thread_enters_stays_its_own(telemetry: Telemetry, instrumented: None) -> None:
    entered, asked = threading.Event(), threading.Event()

    def work() -> None:
        with mlflow.use_model(name="inner"):
            entered.set()
            assert asked.wait(10)
            telemetry.tracer.start_span("work").end()
        telemetry.tracer.start_span("after").end()

    with mlflow.use_model(name="outer"), ThreadPoolExecutor(1) as pool:
        task = pool.submit(work)
        assert entered.wait(10)
        telemetry.tracer.start_span("meanwhile").end()
        asked.set()
        task.result()
    assert {span.name: version_on(span) for span in telemetry.spans()} == {
        "meanwhile": reference("outer"),
        "work": reference("inner"),
        "after": reference("outer"),
    }


def test_a_thread_outlives_the_scope_that_started_it(telemetry: Telemetry, instrumented: None) -> None:
    left = threading.Event()

    def work() -> None:
        assert left.wait(10)
        telemetry.tracer.start_span("work").end()

    with mlflow.use_model(name="scoped"):
        thread = threading.Thread(target=work)
        thread.start()
    left.set()
    thread.join()
    assert {span.name: version_on(span) for span in telemetry.spans()} == {"work": reference("scoped")}
