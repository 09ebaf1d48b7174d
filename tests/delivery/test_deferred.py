# SPDX-License-Identifier: Apache-2.0
"""A deferred DurableExporter: all is kept, and a thread delivers it; what waits for something lets others go first."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_loggedmodel.delivery import delivering, durable, otlp_payloads
from otel_loggedmodel.delivery.destinations import destination_named
from otel_loggedmodel.delivery.durable import DurableExporter
from otel_loggedmodel.delivery.otlp_answers import Outcome, Verdict
from waiting import wait_until

from .spans import make_records, make_spans, numbered

DELIVERED = Outcome(Verdict.DELIVERED)
NOT_YET = Outcome(Verdict.NOT_YET, "no such trace", "404")


class ScriptedSender:
    """Answers what a test says to the names of the spans in a request."""

    timeout = 1.0

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.answer: Callable[[list[str]], Outcome] = lambda names: DELIVERED
        self.is_stopped = False

    def send(self, payload: bytes) -> Outcome:
        names = [span.name for span in otlp_payloads.decoded(payload)]
        self.requests.append(names)
        return self.answer(names)

    def export(self, spans: Sequence[ReadableSpan], payload: bytes) -> Outcome:
        raise AssertionError("nothing is sent on the exporting thread")

    def stop(self) -> None:
        self.is_stopped = True

    @property
    def tries(self) -> Counter[str]:
        return Counter(name for names in self.requests for name in names)


class ExporterWithSender(SpanExporter):
    """Says itself what sends its requests."""

    component_type = "test_exporter"

    def __init__(self, sender: ScriptedSender) -> None:
        self._sender = sender
        self.is_shut_down = False

    def make_sender(self) -> ScriptedSender:
        return self._sender

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise AssertionError("nothing is exported past the sender")

    def shutdown(self) -> None:
        self.is_shut_down = True


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> ScriptedSender:
    monkeypatch.setattr(delivering, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(delivering, "LAST_RETRY_SECONDS", 0.1)
    monkeypatch.setattr(durable, "_SYNC_SECONDS", 0.02)
    return ScriptedSender()


Make = Callable[..., DurableExporter]


@pytest.fixture
def make_deferred(sender: ScriptedSender, tmp_path: Path) -> Iterator[Make]:
    made: list[DurableExporter] = []

    def make(directory: Path | None = tmp_path, **options) -> DurableExporter:
        destination = destination_named("http://server", "test", ["somebody"])
        exporter = DurableExporter(ExporterWithSender(sender), directory, destination, is_deferred=True, **options)
        made.append(exporter)
        return exporter

    yield make
    for exporter in made:
        exporter.close()


@pytest.fixture
def deferred(make_deferred: Make) -> DurableExporter:
    return make_deferred()


def is_delivered(exporter: DurableExporter) -> bool:
    wait_until(lambda: not exporter.pending, "all is delivered")
    return True


def test_nothing_is_sent_on_the_exporting_thread(deferred: DurableExporter, sender: ScriptedSender) -> None:
    threads: list[str] = []
    held = threading.Event()

    def answer(names: list[str]) -> Outcome:
        threads.append(threading.current_thread().name)
        held.wait(30)
        return DELIVERED

    sender.answer = answer
    for number in range(20):
        assert deferred.export(make_spans(f"a-{number}")) is SpanExportResult.SUCCESS
    assert deferred.pending.spans == 20
    held.set()
    assert is_delivered(deferred)
    assert sender.requests == [[name] for name in numbered("a", 20)]
    assert set(threads) == {"OtelLoggedModelSpool"}
    assert (deferred.health.accepted, deferred.health.kept, deferred.health.delivered) == (20, 20, 20)


def test_records_go_first_and_large_batches_in_parts(deferred: DurableExporter, sender: ScriptedSender) -> None:
    with deferred._delivering:
        deferred.export([*make_spans(*numbered("a", 100)), *make_records("model")])
    assert is_delivered(deferred)
    assert sender.requests == [["model"], numbered("a", 100)[:64], numbered("a", 100)[64:]]


def test_what_was_not_delivered_is_left_to_the_next_process(
    make_deferred: Make, sender: ScriptedSender, tmp_path
) -> None:
    sender.answer = lambda names: Outcome(Verdict.LATER, "away", "503")
    first = make_deferred()
    first.export(make_spans("a"))
    assert not first.force_flush(10_000)
    first.shutdown()
    assert sender.is_stopped
    assert first.wrapped.is_shut_down
    sender.answer = lambda names: DELIVERED
    second = make_deferred()
    second.export(make_spans("b"))
    assert second.force_flush()
    assert sorted(names for names in sender.requests[-2:]) == [["a"], ["b"]]


def test_in_memory_nothing_is_written(make_deferred: Make, sender: ScriptedSender, tmp_path: Path) -> None:
    exporter = make_deferred(None)
    exporter.export(make_spans("a"))
    assert exporter.force_flush()
    assert sender.requests == [["a"]]
    assert list(tmp_path.iterdir()) == []


def test_one_that_waits_for_something_lets_others_go_first(deferred, sender: ScriptedSender) -> None:
    sender.answer = lambda names: NOT_YET if "early" in names else DELIVERED
    deferred.export(make_spans("early"))
    wait_until(lambda: sender.tries["early"] >= 2, "it is tried again")
    deferred.export(make_spans("b"))
    wait_until(lambda: sender.tries["b"] == 1, "another one went")
    assert deferred.pending.spans == 1
    assert not deferred._delivery.far_end.is_away
    sender.answer = lambda names: DELIVERED
    assert is_delivered(deferred)


def test_one_that_waits_is_tried_rarely(deferred: DurableExporter, sender: ScriptedSender, monkeypatch) -> None:
    monkeypatch.setattr(delivering, "FIRST_RETRY_SECONDS", 60.0)
    monkeypatch.setattr(delivering, "LAST_RETRY_SECONDS", 60.0)
    sender.answer = lambda names: NOT_YET
    deferred.export(make_spans("early"))
    wait_until(lambda: sender.tries["early"] == 1, "it is tried")
    for number in range(5):
        deferred.export(make_spans(f"b-{number}"))
        wait_until(lambda: len(sender.requests) == number + 2, "the next is tried")  # noqa: B023
    assert sender.tries["early"] == 1


def test_a_flush_tries_once_more_and_does_not_wait(deferred: DurableExporter, sender: ScriptedSender, monkeypatch):
    monkeypatch.setattr(delivering, "FIRST_RETRY_SECONDS", 60.0)
    monkeypatch.setattr(delivering, "LAST_RETRY_SECONDS", 60.0)
    sender.answer = lambda names: NOT_YET
    deferred.export(make_spans("early"))
    wait_until(lambda: sender.tries["early"] == 1, "it is tried")
    began = time.monotonic()
    assert not deferred.force_flush(30_000)
    assert time.monotonic() - began < 15
    assert sender.tries["early"] == 2
    sender.answer = lambda names: DELIVERED
    assert deferred.force_flush(30_000)


def test_what_does_not_come_is_in_the_end_set_aside_alone(deferred, sender: ScriptedSender, monkeypatch) -> None:
    monkeypatch.setattr(delivering, "_WAITING_TRIES", 2)
    monkeypatch.setattr(delivering, "_WAITING_TRIES_ALONE", 4)
    sender.answer = lambda names: NOT_YET if "a-5" in names else DELIVERED
    deferred.export(make_spans(*numbered("a", 8)))
    assert is_delivered(deferred)
    assert deferred.health.dropped == {"404": 1}
    assert deferred.health.delivered == 7
    assert sum(names == ["a-5"] for names in sender.requests) == 4


def test_metrics_call_it_by_its_own_name(make_deferred: Make) -> None:
    reader = InMemoryMetricReader()
    exporter = make_deferred(meter_provider=MeterProvider([reader]))
    exporter.export(make_spans("a"))
    assert is_delivered(exporter)
    (resource,) = reader.get_metrics_data().resource_metrics
    types = {
        point.attributes["otel.component.type"]
        for metric in resource.scope_metrics[0].metrics
        for point in metric.data.data_points
    }
    assert types == {"test_exporter"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_delivers_its_own_and_the_parent_its_own(make_deferred: Make, tmp_path: Path) -> None:
    held = threading.Event()
    sender = ScriptedSender()

    def answer(names: list[str]) -> Outcome:
        held.wait(30)
        return DELIVERED

    destination = destination_named("http://server", "test", ["somebody"])
    sender.answer = answer
    exporter = DurableExporter(ExporterWithSender(sender), tmp_path, destination, is_deferred=True)
    exporter.export(make_spans("parent"))
    wait_until(lambda: sender.requests, "the parent's is under way")
    child = os.fork()
    if child == 0:
        try:
            sender.requests.clear()
            sender.answer = lambda names: DELIVERED
            exporter.export(make_spans("child"))
            is_good = exporter.force_flush() and sender.requests == [["child"]]
            os._exit(0 if is_good else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    held.set()
    assert is_delivered(exporter)
    assert sender.requests == [["parent"]]
    exporter.close()
