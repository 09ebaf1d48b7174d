# SPDX-License-Identifier: Apache-2.0
"""DurableExporter: what is handed in is delivered or accounted for, whatever the far end says to it."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry import metrics as otel_metrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

import otel_loggedmodel as mlflow
from doubles import ScriptedExporter
from effort import only_in_full
from otel_loggedmodel.delivery import delivering, durable, otlp_payloads
from otel_loggedmodel.delivery.delivering import FarEnd
from otel_loggedmodel.delivery.destinations import destination_of, unnamed_destination_of
from otel_loggedmodel.delivery.durable import DurableExporter
from otel_loggedmodel.delivery.spool import Kind, Pending, Spool
from otel_loggedmodel.exporter import LoggedModelExporter
from waiting import wait_until

from .far_end import Answer, GrpcFarEnd, HttpFarEnd
from .far_end import FarEnd as Server
from .far_end import far_end as far_end_of
from .spans import make_records, make_spans, numbered

SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
PROTOCOLS = ("http", "grpc")
AWAY = {"http": Answer(503, "be back soon"), "grpc": Answer("UNAVAILABLE", "be back soon")}
MALFORMED = {"http": Answer(400, "odd span"), "grpc": Answer("INVALID_ARGUMENT", "odd span")}

Make = Callable[..., DurableExporter]


@pytest.fixture
def make_durable(tmp_path: Path) -> Iterator[Make]:
    made: list[DurableExporter] = []

    def make(server: Server | None, *, wrapped=None, directory: Path | None = tmp_path, **options) -> DurableExporter:
        if isinstance(server, HttpFarEnd):
            wrapped = HttpExporter(server.traces_endpoint, timeout=2)
        elif isinstance(server, GrpcFarEnd):
            wrapped = GrpcExporter(server.endpoint, insecure=True, timeout=2)
        destination = destination_of(wrapped) or unnamed_destination_of(wrapped)
        exporter = DurableExporter(wrapped, directory, destination, **options)
        exporter._delivery.far_end._first_retry = 0.05
        made.append(exporter)
        return exporter

    yield make
    for exporter in made:
        exporter.close()


@pytest.fixture(params=PROTOCOLS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with far_end_of(request.param) as server:
        yield server


@pytest.fixture
def http() -> Iterator[HttpFarEnd]:
    with HttpFarEnd() as server:
        yield server


def protocol_of(server: Server) -> str:
    return "http" if isinstance(server, HttpFarEnd) else "grpc"


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def is_balanced(exporter: DurableExporter) -> bool:
    """Whether every span that was handed in is accounted for, in a process that has adopted none."""
    health, pending = exporter.health, exporter.pending
    return health.accepted == health.delivered + health.dropped.total() + pending.spans + pending.models


# All is well


def test_while_all_is_well_nothing_is_written_and_no_thread_runs(server: Server, make_durable: Make, tmp_path) -> None:
    exporter = make_durable(server)
    threads = {thread.name for thread in threading.enumerate()}
    for number in range(5):
        assert exporter.export(make_spans(f"a-{number}")) is SUCCESS
    assert server.names == numbered("a", 5)
    assert list(tmp_path.iterdir()) == []
    assert "OtelLoggedModelSpool" not in {thread.name for thread in threading.enumerate()} - threads
    assert exporter.force_flush()
    assert (exporter.health.accepted, exporter.health.delivered) == (5, 5)


def test_no_spans_are_no_request(server: Server, make_durable: Make) -> None:
    assert make_durable(server).export([]) is SUCCESS
    assert server.requests == []


# The far end is away


def test_what_failed_is_delivered_once_when_the_far_end_is_back(server: Server, make_durable: Make) -> None:
    exporter = make_durable(server)
    server.answer(AWAY[protocol_of(server)])
    for number in range(20):
        assert exporter.export(make_spans(f"a-{number}")) is SUCCESS
    assert exporter.pending.spans == 20
    server.answer(Answer())
    server.wait_for_spans(20)
    assert set(server.taken.values()) == {1}
    assert server.names == numbered("a", 20)  # the oldest first
    wait_until(lambda: not exporter.pending, "the last acknowledgement to be noted")
    assert is_balanced(exporter)
    assert exporter.health.delivered == 20


def test_a_server_that_is_gone_and_comes_back_is_noticed(server: Server, make_durable: Make) -> None:
    exporter = make_durable(server)
    exporter.export(make_spans("before"))
    server.stop()
    assert exporter.export(make_spans("during")) is SUCCESS
    server.start()
    server.wait_for_spans(2)
    assert server.names == ["before", "during"]


def test_while_the_far_end_is_away_export_does_not_wait_for_it(http: HttpFarEnd, make_durable: Make) -> None:
    exporter = make_durable(http)
    http.answer(Answer(delay=30))
    exporter._delivery.far_end._first_retry = 60.0
    started = time.monotonic()
    exporter.export(make_spans("waits for the timeout"))
    first = time.monotonic() - started
    for name in numbered("a", 50):
        exporter.export(make_spans(name))
    assert first > 1.9
    assert time.monotonic() - started - first < 20  # waiting for each would take a hundred seconds


def test_models_are_kept_apart_and_delivered_first(server: Server, make_durable: Make) -> None:
    exporter = make_durable(server)
    server.answer(AWAY[protocol_of(server)])
    for number in range(3):
        exporter.export([*make_spans(f"span-{number}"), *make_records(f"record-{number}")])
    assert exporter.pending.models == 3
    assert exporter.pending.spans == 3
    before = len(server.requests)
    server.answer(Answer())
    server.wait_for_spans(6)
    assert server.names == [*numbered("record", 3), *numbered("span", 3)]
    assert all(len({name.split("-")[0] for name in request.names}) == 1 for request in server.requests[before:])


def test_fresh_spans_do_not_wait_until_what_was_kept_is_delivered(http: HttpFarEnd, make_durable: Make) -> None:
    exporter = make_durable(http)
    http.answer(Answer(503))
    for name in numbered("old", 100):
        exporter.export(make_spans(name))
    http.answer(Answer(delay=0.1))
    http.wait_for_spans(2)
    exporter.export(make_spans("fresh"))
    assert "fresh" in http.names
    assert exporter.pending.spans > 50
    http.answer(Answer())
    http.wait_for_spans(101)


def test_the_far_end_is_left_alone_for_as_long_as_it_asks(server: Server, make_durable: Make) -> None:
    exporter = make_durable(server)
    busy = {"http": Answer(429, retry_after=1), "grpc": Answer("RESOURCE_EXHAUSTED", retry_after=1)}
    server.answer(busy[protocol_of(server)])
    for name in numbered("a", 5):
        exporter.export(make_spans(name))
    assert len(server.requests) == 1
    server.answer(Answer())
    server.wait_for_spans(5)
    waited = server.requests[1].time - server.requests[0].time
    assert 1.0 <= waited < 2.0


def test_tries_get_rarer_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(delivering.time, "monotonic", lambda: now[0])
    rounds: list[list[float]] = []
    for _ in range(200):
        far_end, delays = FarEnd(1.0, 30.0), []
        for _ in range(8):
            far_end.failed(None)
            delays.append(far_end.seconds_to_next_try())
            now[0] += delays[-1]
        rounds.append(delays)
    for number, longest in enumerate([1, 2, 4, 8, 16, 30, 30, 30]):
        delays = [delays[number] for delays in rounds]
        assert max(delays) <= longest
        assert sum(delays) / len(delays) == pytest.approx(longest / 2, rel=0.25)
        assert min(delays) >= 0.049


def test_an_answer_ends_the_waiting() -> None:
    far_end = FarEnd()
    for _ in range(5):
        far_end.failed(None)
    assert far_end.is_away
    far_end.answered()
    assert not far_end.is_away
    assert far_end.seconds_to_next_try() == 0.0


def test_the_thread_ends_when_there_is_nothing_to_do(http: HttpFarEnd, make_durable: Make, monkeypatch) -> None:
    monkeypatch.setattr(durable, "_LINGER_SECONDS", 0.1)
    exporter = make_durable(http)
    for name in "ab":
        http.answer(Answer(503))
        exporter.export(make_spans(name))
        assert exporter._thread is not None
        assert exporter._thread.daemon
        http.answer(Answer())
        wait_until(lambda: exporter._thread is None, "the thread to end")
        assert http.names[-1] == name


# Refusals


def test_what_the_far_end_refuses_for_good_is_counted_and_said_with_its_words(
    server: Server, make_durable: Make, tmp_path, caplog
) -> None:
    exporter = make_durable(server)
    refusal = {"http": Answer(401, "key expired"), "grpc": Answer("UNAUTHENTICATED", "key expired")}
    server.answer(refusal[protocol_of(server)])
    for name in numbered("a", 3):
        assert exporter.export(make_spans(name)) is FAILURE
    assert len(server.requests) == 3
    assert exporter.health.dropped == {str(refusal[protocol_of(server)].status): 3}
    assert is_balanced(exporter)
    assert list(tmp_path.iterdir()) == []
    (message,) = caplog.messages
    assert "refused 1 spans for good" in message
    assert "key expired" in message


def test_wrong_credentials_cost_nothing_of_what_waits(server: Server, make_durable: Make, caplog) -> None:
    exporter = make_durable(server)
    server.answer(AWAY[protocol_of(server)])
    for name in numbered("a", 20):
        exporter.export(make_spans(name))
    tries = len(server.requests)
    server.answer(Answer({"http": 403, "grpc": "PERMISSION_DENIED"}[protocol_of(server)], "key expired"))
    server.wait_for(lambda: "goes on waiting" in caplog.text, "the refusal")
    assert "key expired" in caplog.text
    assert not exporter.force_flush(500)
    assert exporter.pending.spans == 20
    assert len(server.requests) - tries < 10
    server.answer(Answer())
    exporter.export(make_spans("fresh"))
    server.wait_for_spans(21)
    assert set(server.taken.values()) == {1}
    assert exporter.health.dropped == {}


def test_only_the_poisonous_spans_of_a_request_are_not_delivered(server: Server, make_durable: Make, caplog) -> None:
    exporter = make_durable(server)
    malformed = MALFORMED[protocol_of(server)]
    server.script = lambda names: malformed if any("poison" in name for name in names) else Answer()
    names = [*numbered("a", 40), "poison-1", *numbered("b", 40), "poison-2", *numbered("c", 40)]
    assert exporter.export(make_spans(*names)) is SUCCESS
    server.wait_for_spans(120)
    wait_until(lambda: not exporter.pending, "the poisonous spans to be set aside")
    assert sorted(server.names) == sorted(name for name in names if "poison" not in name)
    assert set(server.taken.values()) == {1}
    assert exporter.health.dropped == {str(malformed.status): 2}
    assert is_balanced(exporter)
    assert "odd span" in caplog.text
    assert len(server.requests) < 60


def test_what_was_refused_is_set_aside_on_disk(http: HttpFarEnd, make_durable: Make, tmp_path: Path) -> None:
    exporter = make_durable(http)
    http.answer(Answer(400))
    exporter.export(make_spans("poison"))
    wait_until(lambda: not exporter.pending, "the span to be set aside")
    assert any(b"poison" in path.read_bytes() for path in files_in(tmp_path))


def test_a_poisonous_span_does_not_hold_up_what_comes_after_it(http: HttpFarEnd, make_durable: Make) -> None:
    exporter = make_durable(http)
    http.answer(Answer(503))
    for names in (["poison"], ["a", "b"], ["poison-2", "c"]):
        exporter.export(make_spans(*names))
    http.script = lambda names: Answer(400) if any("poison" in name for name in names) else Answer()
    http.wait_for_spans(3)
    wait_until(lambda: not exporter.pending, "everything to be dealt with")
    assert http.names == ["a", "b", "c"]
    assert exporter.health.dropped == {"400": 2}


def test_a_far_end_that_refuses_everything_is_not_asked_about_every_span(http: HttpFarEnd, make_durable: Make) -> None:
    exporter = make_durable(http)
    http.answer(Answer(400))
    for number in range(10):
        exporter.export(make_spans(*numbered(f"{number}", 512)))
    wait_until(lambda: not exporter.pending, "everything to be set aside", 60)
    assert len(http.requests) < 200
    assert exporter.health.dropped == {"400": 5120}


def test_a_request_that_is_too_large_is_sent_in_parts(make_durable: Make) -> None:
    with GrpcFarEnd() as server:
        exporter = make_durable(server)
        exporter.export(make_spans(*numbered("a", 8), prompt="x" * 1_000_000))
        server.wait_for_spans(8)
    assert set(server.taken.values()) == {1}


def test_a_request_that_makes_the_far_end_crash_lets_the_others_pass_and_is_set_aside(
    http: HttpFarEnd, make_durable: Make, monkeypatch
) -> None:
    monkeypatch.setattr(delivering, "LAST_RETRY_SECONDS", 0.05)
    exporter = make_durable(http)
    exporter._delivery.far_end._last_retry = 0.05
    http.script = lambda names: Answer(503, cut=True) if "deadly" in names else Answer()
    exporter.export(make_spans("a", "deadly", "b"))
    sent = 0
    deadline = time.monotonic() + 30
    while exporter.pending and time.monotonic() < deadline:
        exporter.export(make_spans(f"other-{sent}"))
        sent += 1
        time.sleep(0.02)
    wait_until(lambda: not exporter.pending, "everything to be dealt with")
    assert sorted(http.names) == sorted(["a", "b", *numbered("other", sent)])
    assert set(http.taken.values()) == {1}
    assert exporter.health.dropped == {"ConnectionError": 1}
    assert is_balanced(exporter)


@only_in_full
def test_a_busy_far_end_costs_no_span_however_often_it_says_so(http: HttpFarEnd, make_durable: Make) -> None:
    exporter = make_durable(http)
    exporter._delivery.far_end._last_retry = 0.05
    turn = [0]

    def mostly_busy(names: list[str]) -> Answer:
        turn[0] += 1
        return Answer() if turn[0] % 10 == 0 else Answer(503)

    http.script = mostly_busy
    for name in numbered("a", 30):
        exporter.export(make_spans(name))
    http.wait_for_spans(30, 60)
    wait_until(lambda: not exporter.pending, "the last acknowledgement to be noted")
    assert set(http.taken.values()) == {1}
    assert exporter.health.dropped == {}


def test_spans_that_were_rejected_within_a_request_are_counted_and_said(
    server: Server, make_durable: Make, caplog
) -> None:
    exporter = make_durable(server)
    server.answer(Answer({"http": 200, "grpc": "OK"}[protocol_of(server)], "2 are too old", rejected=2))
    assert exporter.export(make_spans(*numbered("a", 5))) is SUCCESS
    assert (exporter.health.delivered, exporter.health.dropped) == (3, {"rejected": 2})
    (message,) = caplog.messages
    assert message.endswith("took 3 spans and rejected 2: 2 are too old")
    assert len(server.requests) == 1


def test_a_record_that_is_refused_stays_due_and_the_spans_with_it_get_through(http: HttpFarEnd, make_durable) -> None:
    exporter = make_durable(http)
    http.script = lambda names: Answer(400) if "record" in names else Answer()
    assert exporter.export([*make_records("record"), *make_spans("a")]) is FAILURE
    http.wait_for_spans(1)
    assert http.names == ["a"]
    assert exporter.health.dropped == {"400": 1}


def test_a_span_that_cannot_be_encoded_does_not_cost_the_others(http: HttpFarEnd, make_durable, caplog) -> None:
    exporter = make_durable(http)
    spans = make_spans("a", "b")
    spans[0]._name = object()
    assert exporter.export(spans) is SUCCESS
    assert http.names == ["b"]
    assert exporter.health.dropped == {"unencodable": 1}
    assert "1 spans for" in caplog.text


# Flushing and ending


def test_force_flush_delivers_what_waits_and_says_whether_it_has(server: Server, make_durable: Make) -> None:
    exporter = make_durable(server)
    exporter._delivery.far_end._first_retry = 60.0
    server.answer(AWAY[protocol_of(server)])
    exporter.export(make_spans("a"))
    started = time.monotonic()
    assert not exporter.force_flush(40_000)
    assert time.monotonic() - started < 20
    server.answer(Answer())
    assert exporter.force_flush(10_000)
    assert server.names == ["a"]


def test_force_flush_keeps_to_its_time(http: HttpFarEnd, make_durable: Make) -> None:
    exporter = make_durable(http)
    http.answer(Answer(503))
    exporter.export(make_spans("a"))
    http.answer(Answer(delay=30))
    started = time.monotonic()
    assert not exporter.force_flush(300)
    assert time.monotonic() - started < 10


def test_force_flush_does_not_wait_where_the_far_end_asked_for_more_time_than_there_is(
    http: HttpFarEnd, make_durable: Make
) -> None:
    exporter = make_durable(http)
    http.answer(Answer(429, retry_after=60))
    exporter.export(make_spans("a"))
    started = time.monotonic()
    assert not exporter.force_flush(40_000)
    assert time.monotonic() - started < 20
    assert len(http.requests) == 1


def test_shutdown_delivers_what_waits_where_the_far_end_answers(http: HttpFarEnd, make_durable: Make) -> None:
    exporter = make_durable(http)
    http.answer(Answer(503))
    for name in numbered("a", 50):
        exporter.export(make_spans(name))
    http.answer(Answer())
    http.wait_for_spans(2)
    exporter.shutdown()
    assert http.names == numbered("a", 50)


def test_shutdown_does_not_wait_for_a_far_end_that_is_away_and_leaves_what_waits_to_the_next(
    server: Server, make_durable: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_SHUTDOWN_SECONDS", 60.0)
    exporter = make_durable(server)
    exporter._delivery.far_end._first_retry = 60.0
    server.answer(AWAY[protocol_of(server)])
    for name in numbered("a", 50):
        exporter.export(make_spans(name))
    tries = len(server.requests)
    started = time.monotonic()
    exporter.shutdown()
    assert time.monotonic() - started < 30
    assert len(server.requests) == tries
    server.answer(Answer())
    make_durable(server).export(make_spans("fresh"))
    server.wait_for_spans(51)
    assert [name for name in server.names if name != "fresh"] == numbered("a", 50)
    assert set(server.taken.values()) == {1}


def test_what_is_under_way_at_shutdown_is_kept_if_it_fails(http: HttpFarEnd, make_durable: Make) -> None:
    exporter = make_durable(http)
    http.answer(Answer(503, delay=0.5))
    thread = threading.Thread(target=exporter.export, args=(make_spans("a"),))
    thread.start()
    http.wait_for(lambda: http.requests, "the request")
    exporter.shutdown()
    thread.join()
    http.answer(Answer())
    make_durable(http).export(make_spans("fresh"))
    http.wait_for_spans(2)
    assert sorted(http.names) == ["a", "fresh"]


def test_at_the_interpreters_end_where_no_thread_starts_nothing_is_lost(
    http: HttpFarEnd, make_durable: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more_threads(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    exporter = make_durable(http, wrapped=None)
    start = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread,
        "start",
        lambda thread: no_more_threads(thread) if thread.name == "OtelLoggedModelSpool" else start(thread),
    )
    http.answer(Answer(503))
    for name in numbered("a", 3):
        assert exporter.export(make_spans(name)) is SUCCESS
    assert (exporter.pending.spans, exporter.health.dropped) == (3, {})
    http.answer(Answer())
    assert exporter.force_flush()
    assert http.names == numbered("a", 3)


def test_after_shutdown_spans_are_refused_and_counted(http: HttpFarEnd, make_durable: Make, caplog) -> None:
    exporter = make_durable(http)
    exporter.shutdown()
    exporter.shutdown()
    assert exporter.export(make_spans("a")) is FAILURE
    assert exporter.health.dropped == {"shutdown": 1}
    assert is_balanced(exporter)


# Without a disk, and without OTLP


def test_without_a_directory_memory_holds_what_waits(http: HttpFarEnd, make_durable: Make, caplog) -> None:
    exporter = make_durable(http, directory=None)
    http.answer(Answer(503))
    for name in numbered("a", 5):
        exporter.export(make_spans(name))
    assert "is lost when the process ends" in caplog.text
    http.answer(Answer())
    http.wait_for_spans(5)


def test_any_exporter_can_be_made_durable(make_durable: Make) -> None:
    wrapped = ScriptedExporter()
    exporter = make_durable(None, wrapped=wrapped)
    wrapped.refuse = lambda batch: True
    spans = make_spans("a", "b")
    assert exporter.export(spans) is SUCCESS
    wrapped.refuse = lambda batch: False
    assert exporter.force_flush()
    (batch,) = wrapped.batches
    assert otlp_payloads.encoded(batch) == otlp_payloads.encoded(spans)
    assert batch[0].resource.attributes["service.name"] == "shop"


def test_a_defect_of_ours_costs_no_more_than_the_batch(http: HttpFarEnd, make_durable, monkeypatch, caplog) -> None:
    monkeypatch.setattr("otel_loggedmodel._errors.raise_internal_errors", False)
    exporter = make_durable(http)
    with monkeypatch.context() as patch:
        patch.setattr(exporter._delivery, "heard", lambda outcome: 1 / 0)
        assert exporter.export(make_spans("a")) is FAILURE
    assert exporter.export(make_spans("b")) is SUCCESS
    assert exporter.health.dropped == {"internal": 1}
    assert "the application is not affected" in caplog.text


def test_a_defect_in_looking_for_others_costs_nothing(http: HttpFarEnd, make_durable, monkeypatch, caplog) -> None:
    monkeypatch.setattr("otel_loggedmodel._errors.raise_internal_errors", False)
    exporter = make_durable(http)
    with monkeypatch.context() as patch:
        patch.setattr(exporter._spool, "adopt", lambda: 1 / 0)
        assert exporter.export(make_spans("a")) is SUCCESS
    assert http.names == ["a"]
    assert "the application is not affected" in caplog.text


# Other processes and other tenants


def test_what_waits_for_another_tenant_is_not_sent_but_told_of(http: HttpFarEnd, tmp_path: Path, caplog) -> None:
    def exporter_of(tenant: str) -> DurableExporter:
        wrapped = HttpExporter(http.traces_endpoint, headers={"x-tenant": tenant})
        return DurableExporter(wrapped, tmp_path, destination_of(wrapped))

    http.answer(Answer(503))
    first = exporter_of("a")
    first.export(make_spans("secret of a"))
    first.shutdown()
    http.answer(Answer())
    caplog.clear()
    second = exporter_of("b")
    second.export(make_spans("b"))
    second.force_flush()
    assert http.names == ["b"]
    assert str(first.directory) in caplog.text
    assert "spool drain" in caplog.text
    assert all(b"x-tenant" not in path.read_bytes() for path in files_in(tmp_path) if path.suffix == ".json")
    second.close()


def test_two_exporters_of_one_process_do_not_take_each_others(http: HttpFarEnd, make_durable: Make) -> None:
    exporters = [make_durable(http) for _ in range(2)]
    http.answer(Answer(503))
    for number in range(20):
        exporters[number % 2].export(make_spans(f"a-{number}"))
    http.answer(Answer())
    http.wait_for_spans(20)
    assert all(exporter.force_flush() for exporter in exporters)
    assert set(http.taken.values()) == {1}
    assert [exporter.health.delivered for exporter in exporters] == [10, 10]


# On demand


def test_drain_delivers_everything(http: HttpFarEnd, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for name in numbered("a", 10):
        spool.append(Kind.SPANS, otlp_payloads.encoded(make_spans(name)), 1)
    seen: list[int] = []
    drained = delivering.drain(
        spool,
        HttpExporter(http.traces_endpoint),
        deadline=time.monotonic() + 10,
        on_progress=lambda delivered, left: seen.append(delivered + left.spans),
    )
    assert drained == delivering.Drained(10, 0, Pending(), None)
    assert seen == [10] * 10
    assert http.names == numbered("a", 10)


@pytest.mark.parametrize(("answer", "words"), [(Answer(401, "no key"), "no key"), (Answer(503, "soon"), "soon")])
def test_drain_leaves_what_the_far_end_does_not_take(
    http: HttpFarEnd, tmp_path: Path, answer: Answer, words: str
) -> None:
    spool = Spool(tmp_path)
    for name in numbered("a", 10):
        spool.append(Kind.SPANS, otlp_payloads.encoded(make_spans(name)), 1)
    http.answer(answer)
    drained = delivering.drain(spool, HttpExporter(http.traces_endpoint), deadline=time.monotonic() + 1)
    assert (drained.delivered, drained.rejected, drained.left.spans) == (0, 0, 10)
    assert words in drained.error
    http.answer(Answer())
    assert delivering.drain(spool, HttpExporter(http.traces_endpoint), deadline=time.monotonic() + 9).delivered == 10


# Health


def test_health_is_told_as_metrics(http: HttpFarEnd, make_durable: Make) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    exporter = make_durable(http, meter_provider=provider)

    def metrics() -> dict[str, dict[str, float]]:
        data = json.loads(reader.get_metrics_data().to_json())
        return {
            metric["name"]: {
                point["attributes"].get("error.type", ""): point["value"] for point in metric["data"]["data_points"]
            }
            for resource in data["resource_metrics"]
            for scope in resource["scope_metrics"]
            for metric in scope["metrics"]
        }

    exporter.export(make_spans("a", "b"))
    http.answer(Answer(503))
    exporter.export([*make_spans("c"), *make_records("d")])
    seen = metrics()
    assert seen["otel.sdk.exporter.span.exported"] == {"": 2}
    assert seen["otel_loggedmodel.exporter.span.accepted"] == {"": 4}
    assert seen["otel_loggedmodel.spool.span.stored"] == {"": 2}
    assert seen["otel.sdk.exporter.span.inflight"] == {"": 2}
    assert seen["otel_loggedmodel.spool.size"][""] > 100
    assert 0 <= seen["otel_loggedmodel.spool.oldest_age"][""] < 10
    http.answer(Answer(400))
    wait_until(lambda: not exporter.pending, "what waits to be refused")
    seen = metrics()
    assert seen["otel.sdk.exporter.span.exported"] == {"": 2, "400": 2}
    assert seen["otel.sdk.exporter.span.inflight"] == {"": 0}
    assert seen["otel_loggedmodel.spool.size"] == {"": 0}
    (point, *_) = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert point.attributes["otel.component.type"] == "otel_loggedmodel_exporter"
    assert point.attributes["otel.component.name"].startswith("otel_loggedmodel_exporter/")
    assert (point.attributes["server.address"], point.attributes["server.port"]) == ("127.0.0.1", http.port)
    provider.shutdown()


@pytest.mark.parametrize(
    ("variables", "are_there"),
    [
        ({}, False),
        ({"OTEL_LOGGEDMODEL_METRICS": "1"}, True),
        ({"OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true"}, True),
        ({"OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true", "OTEL_LOGGEDMODEL_METRICS": "0"}, False),
    ],
)
def test_metrics_are_there_where_somebody_asked_for_them(
    http: HttpFarEnd, make_durable: Make, monkeypatch, variables: dict[str, str], are_there: bool
) -> None:
    """Vendors' set-ups export whatever the global provider has to the customer's account."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(otel_metrics, "get_meter_provider", lambda: provider)
    monkeypatch.setattr("opentelemetry.metrics._internal.get_meter_provider", lambda: provider)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    make_durable(http).export(make_spans("a"))
    told = [
        metric.name
        for resource in getattr(reader.get_metrics_data(), "resource_metrics", ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if scope.scope.name == "otel_loggedmodel"
    ]
    assert ("otel_loggedmodel.exporter.span.accepted" in told) == bool(told) == are_there
    provider.shutdown()


def test_a_meter_provider_keeps_no_exporter_alive(http: HttpFarEnd, tmp_path: Path) -> None:
    import gc
    import weakref

    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    wrapped = HttpExporter(http.traces_endpoint)
    exporter = DurableExporter(wrapped, tmp_path, destination_of(wrapped), meter_provider=provider)
    exporter.export(make_spans("a"))
    exporter.shutdown()
    gone = weakref.ref(exporter)
    del exporter
    gc.collect()
    assert gone() is None
    provider.shutdown()


def test_metrics_cost_nothing_without_a_meter_provider(http: HttpFarEnd, make_durable: Make) -> None:
    exporter = make_durable(http, meter_provider=NoOpMeterProvider())
    assert exporter.export(make_spans("a")) is SUCCESS


# LoggedModelExporter


def test_otlp_is_durable_by_default_in_the_users_state_directory(http: HttpFarEnd, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    exporter = LoggedModelExporter(HttpExporter(http.traces_endpoint))
    http.answer(Answer(503))
    exporter.export(make_spans("a"))
    assert exporter.pending.spans == 1
    assert any(b"a" in path.read_bytes() for path in files_in(tmp_path / "otel-loggedmodel" / "spool"))
    assert (tmp_path / "otel-loggedmodel" / "spool").stat().st_mode & 0o077 == 0
    exporter.shutdown()


def test_models_of_a_process_that_never_reached_a_backend_are_delivered_by_the_next(http: HttpFarEnd, tmp_path) -> None:
    http.answer(Answer(503))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(
        BatchSpanProcessor(LoggedModelExporter(HttpExporter(http.traces_endpoint), spool_dir=tmp_path))
    )
    mlflow.set_active_model(model_id=mlflow.create_external_model("agent", params={"k": "v"}).model_id)
    provider.get_tracer("test").start_span("a").end()
    provider.shutdown()
    http.answer(Answer())
    later = LoggedModelExporter(HttpExporter(http.traces_endpoint), spool_dir=tmp_path)
    later._shipper._delivered = 10**9  # a process that knows of no models
    later.export(make_spans("b"))
    http.wait_for_spans(4)
    waited = [name for name in http.names if name != "b"]
    assert waited == ["logged_model.created", "logged_model.activated", "a"]
    later.shutdown()


def test_a_far_end_that_is_away_has_every_record_delivered_to_it_once(http: HttpFarEnd, tmp_path: Path) -> None:
    http.answer(Answer(503))
    exporter = LoggedModelExporter(HttpExporter(http.traces_endpoint), spool_dir=tmp_path)
    exporter._durable._delivery.far_end._first_retry = 0.05
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=10))
    for number in range(5):
        with mlflow.use_model(f"agent-{number}"):
            provider.get_tracer("test").start_span(f"a-{number}").end()
        provider.force_flush()
    http.answer(Answer())
    http.wait_for_spans(15)
    assert set(http.taken.values()) == {1}
    assert sorted(http.names[:10]) == ["logged_model.activated"] * 5 + ["logged_model.created"] * 5
    provider.shutdown()


@pytest.mark.parametrize("off", ["argument", "environment"])
def test_keeping_can_be_switched_off(http: HttpFarEnd, off: str, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    if off == "environment":
        monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL", "0")
    http.answer(Answer(400))
    exporter = LoggedModelExporter(HttpExporter(http.traces_endpoint), spool=None if off == "environment" else False)
    with contextlib.suppress(Exception):
        assert exporter.export(make_spans("a")) is FAILURE
    assert not exporter.pending
    assert list(tmp_path.iterdir()) == []
    exporter.shutdown()


def test_arguments_win_over_the_environment(http: HttpFarEnd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL", "0")
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_DIR", str(tmp_path / "environment"))
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_MAX_BYTES", "1MB")
    monkeypatch.setenv("OTEL_LOGGEDMODEL_SPOOL_MAX_AGE", "2d")
    by_environment = LoggedModelExporter(HttpExporter(http.traces_endpoint), spool=True)
    by_argument = LoggedModelExporter(
        HttpExporter(http.traces_endpoint), spool_dir=tmp_path / "argument", spool_max_bytes=5000, spool_max_age=60
    )
    for exporter, place, max_bytes, max_age in (
        (by_environment, "environment", 1_000_000, 172_800.0),
        (by_argument, "argument", 5000, 60),
    ):
        assert exporter._durable.directory.parent == tmp_path / place
        assert exporter._durable._spool._queues._max_bytes == max_bytes
        assert exporter._durable._spool._queues._max_age == max_age
        exporter.shutdown()


def test_other_exporters_are_durable_where_they_are_given_a_directory(tmp_path: Path) -> None:
    wrapped = ScriptedExporter()
    assert LoggedModelExporter(wrapped)._durable is None
    with pytest.raises(ValueError, match="give it a directory of its own as spool_dir"):
        LoggedModelExporter(wrapped, spool=True)
    exporter = LoggedModelExporter(wrapped, spool_dir=tmp_path)
    wrapped.error = RuntimeError("away")
    assert exporter.export(make_spans("a")) is SUCCESS
    wrapped.error = None
    assert exporter.force_flush()
    assert [[span.name for span in batch] for batch in wrapped.batches] == [["a"]]
    exporter.shutdown()
    assert wrapped.is_shut_down


@pytest.mark.parametrize("bounds", [{"spool_max_bytes": 0}, {"spool_max_age": -1}, {"spool_max_age": float("nan")}])
def test_bounds_that_are_none_are_a_mistake_of_the_caller(bounds: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it has to be more than 0"):
        LoggedModelExporter(HttpExporter(), spool_dir=tmp_path, **bounds)


def test_letting_go_of_an_exporter_leaves_it_to_others(http: HttpFarEnd, tmp_path: Path) -> None:
    exporter = LoggedModelExporter(HttpExporter(http.traces_endpoint), spool_dir=tmp_path)
    wrapped = exporter.unwrap()
    assert wrapped.export(make_spans("a")) is SUCCESS
    assert http.names == ["a"]


def test_being_away_is_said_once(http: HttpFarEnd, make_durable: Make, caplog) -> None:
    exporter = make_durable(http)
    http.answer(Answer(503, "restarting"))
    for name in numbered("a", 5):
        exporter.export(make_spans(name))
    http.wait_for(lambda: len(http.requests) > 3, "some tries")
    http.answer(Answer())
    http.wait_for_spans(5)
    wait_until(lambda: not exporter.pending, "the last acknowledgement to be noted")
    assert len([message for message in caplog.messages if "restarting" in message]) == 1
