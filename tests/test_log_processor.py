# SPDX-License-Identifier: Apache-2.0
"""LoggedModelLogRecordProcessor: which version a log record carries."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

import otel_loggedmodel as mlflow
from log_doubles import Memory, make_record
from otel_loggedmodel import _errors


class Logged:
    """A logger provider that stamps, and what it exports."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.provider = LoggerProvider(shutdown_on_exit=False)
        self.provider.add_log_record_processor(mlflow.LoggedModelLogRecordProcessor())
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.memory))

    def say(self, **parts: Any) -> object:
        """Emit a record; the version that it got."""
        self.provider.get_logger("test").emit(make_record(**parts))
        return self.memory.versions[-1]


@pytest.fixture
def logged() -> Iterator[Logged]:
    logged = Logged()
    yield logged
    logged.provider.shutdown()


@pytest.fixture
def tracer() -> Iterator[trace.Tracer]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    yield provider.get_tracer("test")
    provider.shutdown()


def test_nothing_is_stamped_while_no_version_is_active(logged: Logged) -> None:
    assert logged.say() is None


def test_the_process_default_is_stamped(logged: Logged) -> None:
    mlflow.set_active_model(model_id="by-default")
    assert logged.say() == "by-default"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "from-environment")
    assert Logged().say() == "from-environment"


def test_a_scope_wins_over_the_default_and_ends(logged: Logged) -> None:
    mlflow.set_active_model(model_id="by-default")
    with mlflow.use_model(model_id="by-scope"):
        assert logged.say() == "by-scope"
    assert logged.say() == "by-default"


def test_a_span_that_outlives_its_scope_gives_its_version_to_what_is_said_in_it(logged: Logged, tracer) -> None:
    mlflow.set_active_model(model_id="by-default")
    with mlflow.use_model(model_id="of-the-span"):
        span = tracer.start_span("work")
    with trace.use_span(span, end_on_exit=True):
        assert logged.say() == "of-the-span"
        with mlflow.use_model(model_id="inner"):
            assert logged.say() == "inner"


def test_a_record_of_another_span_than_the_current_one_does_not_get_the_version_of_that(logged: Logged, tracer) -> None:
    mlflow.set_active_model(model_id="by-default")
    with mlflow.use_model(model_id="of-the-span"):
        span = tracer.start_span("work")
    record = make_record()
    record.span_id = 7
    with trace.use_span(span, end_on_exit=True):
        logged.provider.get_logger("test").emit(record)
    assert logged.memory.versions[-1] == "by-default"


@pytest.mark.skipif("context" not in make_record().__dict__, reason="records have a context since 1.35")
def test_the_context_that_a_record_is_given_counts_and_not_the_current_one(logged: Logged) -> None:
    with mlflow.use_model(model_id="then"):
        context = contextvars.copy_context().run(lambda: mlflow.get_active_model_id() and _current())
    with mlflow.use_model(model_id="now"):
        assert logged.say(context=context) == "then"


def _current() -> Context:
    from opentelemetry.context import get_current

    return get_current()


def test_what_a_record_says_itself_stays(logged: Logged) -> None:
    mlflow.set_active_model(model_id="active")
    assert logged.say(attributes={"logged_model.id": "judged"}) == "judged"


def test_baggage_counts_where_a_span_processor_accepts_it(logged: Logged) -> None:
    mlflow.LoggedModelSpanProcessor(accept_baggage=True)
    from opentelemetry.context import attach, detach

    token = attach(baggage.set_baggage("logged_model.id", "from-afar"))
    try:
        assert logged.say() == "from-afar"
    finally:
        detach(token)


async def test_tasks_keep_their_versions_apart(logged: Logged) -> None:
    async def work(name: str) -> list[object]:
        said = []
        with mlflow.use_model(model_id=name):
            for _ in range(3):
                await asyncio.sleep(0)
                said.append(logged.say())
        return said

    assert await asyncio.gather(work("a"), work("b")) == [["a"] * 3, ["b"] * 3]


def test_threads_share_the_default(logged: Logged) -> None:
    mlflow.set_active_model(model_id="by-default")
    thread = threading.Thread(target=logged.say)
    thread.start()
    thread.join()
    assert logged.memory.versions == ["by-default"]


@pytest.mark.filterwarnings("ignore:.*LoggingHandler:DeprecationWarning")
def test_the_standard_librarys_logging_is_stamped_through_the_handler_of_opentelemetry(logged: Logged) -> None:
    from opentelemetry.sdk._logs import LoggingHandler

    handler = LoggingHandler(logger_provider=logged.provider)
    logger = logging.getLogger("an.application")
    logger.addHandler(handler)
    try:
        with mlflow.use_model(model_id="by-scope"):
            logger.warning("low on %s", "tea")
    finally:
        logger.removeHandler(handler)
    assert logged.memory.versions == ["by-scope"]
    assert logged.memory.exported[0].log_record.body == "low on tea"


def test_an_id_that_a_limit_cuts_or_takes_comes_back_in_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4")
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "1")
    memory = Memory()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(mlflow.LoggedModelLogRecordProcessor())
    provider.add_log_record_processor(_Adding())
    provider.add_log_record_processor(SimpleLogRecordProcessor(mlflow.LoggedModelLogRecordExporter(memory)))
    mlflow.set_active_model(model_id="a-long-id")
    try:
        record = make_record(attributes={"first": "1"})
        provider.get_logger("test").emit(record)
    finally:
        provider.shutdown()
    assert memory.versions == ["a-long-id"]
    assert memory.exported[0].log_record.attributes["added"]


class _Adding(mlflow.LoggedModelLogRecordProcessor):
    """Stands for a processor of a vendor's that adds an attribute to each record."""

    def on_emit(self, log_record: Any) -> None:
        log_record.log_record.attributes["added"] = "more"


def test_it_does_not_make_a_record_that_every_other_processor_declines() -> None:
    assert not mlflow.LoggedModelLogRecordProcessor().enabled()


def test_a_failure_of_its_own_does_not_reach_the_application(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr(_errors, "raise_internal_errors", False)
    monkeypatch.setattr(_errors, "_last_report", {})
    mlflow.LoggedModelLogRecordProcessor().on_emit(object())
    assert "stamping a log record" in caplog.text
