# SPDX-License-Identifier: Apache-2.0
"""The queue before the store."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from otel_loggedmodel.server.batching import Inserter
from otel_loggedmodel.server.metrics import Metrics
from otel_loggedmodel.server.recent import Recent
from otel_loggedmodel.server.refusing import Reason, RefusalError
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store.reading import StoreUnavailableError
from otel_loggedmodel.store.writing import RefusedError, StoreFullError
from waiting import wait_until

from .backends import MemoryWriter


class Bench:
    def __init__(self, **settings: Any) -> None:
        self.writer = MemoryWriter()
        self.metrics = Metrics()
        self.inserter = Inserter(self.writer, Settings(**{"linger_seconds": 0.01, **settings}), self.metrics)
        self.inserter.start()
        self._number = 0

    def submit(self, payload: bytes | None = None, spans: int = 1, digest: bytes | None = None) -> "Future[None]":
        self._number += 1
        payload = payload or b"request %d" % self._number
        return self.inserter.submit(digest or payload, payload, spans)

    def text(self) -> str:
        return self.metrics.text().decode()


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**settings: Any) -> Bench:
        made.append(Bench(**settings))
        return made[-1]

    yield make
    for bench in made:
        bench.writer.gate.set()
        bench.inserter.close(20)


def reason_of(future: "Future[None]") -> Reason:
    error = future.exception(20)
    assert isinstance(error, RefusalError)
    return error.reason


def test_what_is_acknowledged_was_inserted(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.writer.gate.clear()
    stored = bench.submit(b"one")
    assert bench.writer.entered.wait(20)
    assert not stored.done()
    bench.writer.gate.set()
    assert stored.result(20) is None
    assert bench.writer.inserts == [[b"one"]]


def test_requests_that_come_within_a_moment_are_one_insert(make: Callable[..., Bench]) -> None:
    bench = make(linger_seconds=1.0)
    started = time.monotonic()
    futures = [bench.submit() for _ in range(5)]
    for future in futures:
        future.result(20)
    assert 1.0 <= time.monotonic() - started < 15
    assert [len(insert) for insert in bench.writer.inserts] == [5]


def test_a_full_batch_does_not_linger(make: Callable[..., Bench]) -> None:
    bench = make(linger_seconds=60, batch_spans=10)
    futures = [bench.submit(spans=4) for _ in range(5)]
    for future in futures[:4]:
        future.result(20)
    assert [len(insert) for insert in bench.writer.inserts] == [2, 2]
    assert not futures[4].done()


def test_batches_grow_while_an_insert_is_running(make: Callable[..., Bench]) -> None:
    bench = make(batch_spans=10)
    bench.writer.gate.clear()
    futures = [bench.submit()]
    assert bench.writer.entered.wait(20)
    futures += [bench.submit() for _ in range(25)]
    bench.writer.gate.set()
    for future in futures:
        future.result(20)
    assert [len(insert) for insert in bench.writer.inserts] == [1, 10, 10, 5]


def test_batches_are_bound_by_bytes_and_one_request_may_be_more(make: Callable[..., Bench]) -> None:
    bench = make(batch_bytes=1000)
    bench.writer.gate.clear()
    bench.submit()
    assert bench.writer.entered.wait(20)
    futures = [bench.submit(bytes([number]) * size) for number, size in enumerate((600, 300, 200, 5000, 10))]
    bench.writer.gate.set()
    for future in futures:
        future.result(20)
    assert [[len(request) for request in insert] for insert in bench.writer.inserts[1:]] == [
        [600, 300],
        [200],
        [5000],
        [10],
    ]


def test_a_repetition_shares_the_insert_that_is_running_and_later_needs_none(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.writer.gate.clear()
    first = bench.submit(b"same")
    assert bench.writer.entered.wait(20)
    second = bench.submit(b"same")
    assert second is first
    bench.writer.gate.set()
    first.result(20)
    bench.submit(b"same").result(0)
    assert bench.writer.requests == [b"same"]
    assert "otel_loggedmodel_duplicate_requests_total 2.0" in bench.text()
    assert "otel_loggedmodel_accepted_spans_total 1.0" in bench.text()


def test_what_was_not_stored_is_taken_again(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.writer.script = fail_once(StoreUnavailableError("away"))
    assert reason_of(bench.submit(b"same")) is Reason.UNAVAILABLE
    bench.submit(b"same").result(20)
    assert bench.writer.requests == [b"same"]


def fail_once(error: Exception) -> Callable[[Sequence[bytes]], None]:
    errors = [error]

    def script(requests: Sequence[bytes]) -> None:
        if errors:
            raise errors.pop()

    return script


def test_nobody_can_cancel_what_others_wait_for(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.writer.gate.clear()
    first = bench.submit(b"same")
    assert not bench.submit(b"same").cancel()
    bench.writer.gate.set()
    assert first.result(20) is None


def test_a_poisonous_request_fails_alone(make: Callable[..., Bench]) -> None:
    bench = make(linger_seconds=60, batch_spans=12)
    bench.writer.script = refuse_poison
    futures = [bench.submit(b"poison" if number == 5 else None) for number in range(12)]
    for number, future in enumerate(futures):
        if number == 5:
            assert reason_of(future) is Reason.MALFORMED
            assert "too bitter" in str(future.exception())
        else:
            assert future.result(20) is None
    assert len(bench.writer.requests) == 11
    assert len(set(bench.writer.requests)) == 11


def refuse_poison(requests: Sequence[bytes]) -> None:
    if any(request.startswith(b"poison") for request in requests):
        raise RefusedError("too bitter")


def test_only_poison_fails_when_the_store_goes_away_while_it_is_looked_for(make: Callable[..., Bench]) -> None:
    bench = make(linger_seconds=60, batch_spans=4)
    calls: list[int] = []

    def script(requests: Sequence[bytes]) -> None:
        calls.append(len(requests))
        refuse_poison(requests)
        if len(calls) > 2:
            raise StoreUnavailableError("away")

    bench.writer.script = script
    futures = [bench.submit(payload) for payload in (b"a", b"b", b"poison", b"c")]
    assert [futures[0].exception(20), futures[1].exception(20)] == [None, None]
    assert reason_of(futures[2]) is Reason.MALFORMED
    assert reason_of(futures[3]) is Reason.UNAVAILABLE
    assert bench.writer.requests == [b"a", b"b"]


@pytest.mark.parametrize(
    "error", [StoreUnavailableError("it is locked"), StoreFullError("it is full"), OSError("a defect")]
)
def test_a_store_that_is_away_fails_the_batch_and_is_tried_again(
    make: Callable[..., Bench], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make(linger_seconds=1.0, batch_spans=3)
    bench.writer.script = fail_once(error)
    futures = [bench.submit() for _ in range(3)]
    assert [reason_of(future) for future in futures] == [Reason.UNAVAILABLE] * 3
    assert all(future.exception().retry_seconds for future in futures)
    assert bench.inserter.trouble is not None
    assert str(error) in bench.inserter.trouble
    assert str(error) in caplog.text
    bench.submit().result(20)
    assert bench.inserter.trouble is None


def test_what_a_defect_says_stays_in_the_log(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.writer.script = fail_once(OSError("/secret/path"))
    assert "secret" not in str(bench.submit().exception(20))


def test_a_full_queue_refuses_at_once_and_empties_again(make: Callable[..., Bench]) -> None:
    bench = make(queue_bytes=1000, queue_spans=50)
    bench.writer.gate.clear()
    first = bench.submit(b"x" * 900, spans=10)
    assert bench.writer.entered.wait(20)
    with pytest.raises(RefusalError, match="full") as raised:
        bench.submit(b"y" * 200)
    assert raised.value.reason is Reason.BUSY
    assert raised.value.retry_seconds == 1
    with pytest.raises(RefusalError, match="full"):
        bench.submit(b"z", spans=41)
    second = bench.submit(b"z", spans=40)
    assert "otel_loggedmodel_queue_bytes 901.0" in bench.text()
    assert "otel_loggedmodel_queue_spans 50.0" in bench.text()
    bench.writer.gate.set()
    first.result(20)
    second.result(20)
    wait_until(lambda: "otel_loggedmodel_queue_bytes 0.0" in bench.text())
    bench.submit(b"y" * 200).result(20)


def test_a_request_larger_than_the_queue_is_taken_when_it_is_empty(make: Callable[..., Bench]) -> None:
    bench = make(queue_bytes=1000)
    assert bench.submit(b"x" * 5000).result(20) is None


def test_closing_stores_what_was_accepted_without_lingering(make: Callable[..., Bench]) -> None:
    bench = make(linger_seconds=60)
    futures = [bench.submit() for _ in range(3)]
    assert bench.inserter.close(20)
    assert [future.result(0) for future in futures] == [None] * 3
    with pytest.raises(RefusalError, match="shutting down") as raised:
        bench.submit()
    assert raised.value.reason is Reason.UNAVAILABLE


def test_what_is_left_when_the_grace_is_over_is_given_back(make: Callable[..., Bench]) -> None:
    bench = make(batch_spans=1)
    bench.writer.gate.clear()
    futures = [bench.submit() for _ in range(3)]
    assert bench.writer.entered.wait(20)
    closed: list[bool] = []
    closing = threading.Thread(target=lambda: closed.append(bench.inserter.close(0.05)))
    closing.start()
    wait_until(lambda: bench.inserter._give_up_at is not None and time.monotonic() > bench.inserter._give_up_at)
    bench.writer.gate.set()
    closing.join(20)
    assert closed == [False]
    assert futures[0].result(0) is None
    assert [reason_of(future) for future in futures[1:]] == [Reason.UNAVAILABLE] * 2
    assert len(bench.writer.requests) == 1


def test_one_thread_writes(make: Callable[..., Bench]) -> None:
    bench = make(batch_spans=2)
    threads = [threading.Thread(target=lambda: [bench.submit().result(20) for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.writer.threads == {"otel-loggedmodel inserter"}
    assert len(bench.writer.requests) == 20


def test_what_was_done_lately_is_forgotten_by_age_and_by_number() -> None:
    now = [0.0]
    recent = Recent(10, 3, clock=lambda: now[0])
    for key in (b"a", b"b", b"c", b"d"):
        now[0] += 1
        recent.add(key)
    assert [key in recent for key in (b"a", b"b", b"c", b"d")] == [False, True, True, True]
    now[0] = 12.5
    assert [key in recent for key in (b"b", b"c", b"d")] == [False, True, True]
    recent.add(b"c")
    now[0] = 20
    assert [key in recent for key in (b"c", b"d")] == [True, False]
    assert len(recent) == 1
