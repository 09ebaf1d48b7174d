# SPDX-License-Identifier: Apache-2.0
"""A week of traffic leaves the backend as it was: its memory, its threads, its files, the parts of its store."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource

from clickhouse_server import ClickHouseServer
from effort import only_in_full, times
from otel_loggedmodel.versions import identity, records
from otel_loggedmodel.versions.model import LoggedModelStatus, ModelEvent
from waiting import wait_until

from .sending import GrpcSender, HttpSender, Sender, Traces
from .serving import Serving

DAYS = 7
DAY_NS = 86_400 * 10**9
SPANS = 200
REQUESTS = times(800, 800)
CLIENTS = 32
PROCESSES = 3
VERSIONS = {number: identity.model_id_of("0", "agent", params={"prompt": str(number)}) for number in range(8)}
ATTRIBUTES = {f"attribute.{number}": f"the value of attribute {number}" for number in range(6)}

# The second half of the week is 32 MB as they are sent. What the engine caches goes again within seconds.
GROWTH_MIB = 32
PEAK_GROWTH_MIB = 120
REST_SECONDS = 6
# chDB starts up to 128 threads when it first removes parts that were merged, and keeps them.
MORE_THREADS = 140
THREAD_MIB = 0.5  # what each of them keeps
MORE_FILES = 16
# Of each day and table: merges leave a few large parts and those that came last.
PARTS = 40


@dataclass(frozen=True)
class Taken:
    """What the backend takes of the machine; `peak_mib` is the most memory of half a week."""

    peak_mib: float
    mib: float
    threads: int
    files: int

    def is_little_more_than(self, before: "Taken") -> bool:
        of_threads = THREAD_MIB * max(0, self.threads - before.threads)
        return (
            self.mib < before.mib + GROWTH_MIB + of_threads
            and self.peak_mib < before.peak_mib + PEAK_GROWTH_MIB
            and self.threads <= before.threads + MORE_THREADS
            and self.files <= before.files + MORE_FILES
        )


@only_in_full
@pytest.mark.timeout(900)
def test_a_week_leaves_it_as_it_was(tmp_path: Path) -> None:
    week = Week(time.time_ns() - DAYS * DAY_NS)
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving:
        send(serving, week, range(REQUESTS // 2))
        first = taken_at_rest(serving)
        send(serving, week, range(REQUESTS // 2, REQUESTS))
        wait_until(
            lambda: taken_by(serving).is_little_more_than(first),
            f"it to take little more than after half of the week, which was {first}",
        )
        compared = serving.get("/api/v1/compare", [("version", version) for version in VERSIONS.values()])["versions"]
        detail = serving.get(f"/api/v1/versions/{VERSIONS[0]}")
    each = REQUESTS * SPANS // len(VERSIONS)
    assert [(version["traces"], version["tokens"]["input"]) for version in compared] == [(each, each)] * len(VERSIONS)
    assert sorted(event["kind"] for event in detail["history"]) == ["activated"] * PROCESSES + ["created"]
    assert max(active_parts(tmp_path)) <= PARTS


def send(serving: Serving, week: "Week", numbers: range) -> None:
    serving.forget_peak()
    delivery = Delivery(serving, week)
    with ThreadPoolExecutor(CLIENTS) as clients:
        for number, _ in zip(numbers, clients.map(delivery.deliver, numbers), strict=True):
            if number % 100 == 0:
                ask_as_a_dashboard(serving, week.time(number))
    delivery.close()


def taken_by(serving: Serving) -> Taken:
    return Taken(serving.peak_rss_mib, serving.rss_mib, serving.threads, serving.open_files)


def taken_at_rest(serving: Serving) -> Taken:
    """The least that it takes within some seconds in which it has nothing to do."""
    seen = []
    for _ in range(REST_SECONDS * 5):
        seen.append(taken_by(serving))
        time.sleep(0.2)
    last = seen[-1]
    return Taken(last.peak_mib, min(one.mib for one in seen), last.threads, min(one.files for one in seen))


class Week:
    """What is sent in a week, by the number of the request.

    Args:
        start_ns: When it begins.
    """

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._traces = {number: Traces(model_id, number) for number, model_id in VERSIONS.items()}
        ids = random.Random(1)
        self._activations = {
            (number, process): ids.getrandbits(63) + 1 for number in VERSIONS for process in range(PROCESSES)
        }

    def time_ns(self, number: int) -> int:
        return self._start_ns + number * DAYS * DAY_NS // REQUESTS

    def time(self, number: int) -> datetime:
        return datetime.fromtimestamp(self.time_ns(number) // 10**9, timezone.utc)

    def requests(self, number: int) -> Iterator[bytes]:
        """Spans of one version; some twice; and every half day the records of all versions, from each process."""
        traces = self._traces[number % len(VERSIONS)]
        _, request = traces.request(SPANS, start_ns=self.time_ns(number), attributes=ATTRIBUTES)
        yield request
        if number % 10 == 0:
            yield request
        if number % (REQUESTS // DAYS // 2) == 0:  # half a day
            for process in range(PROCESSES):
                yield self._records(process, self.time_ns(number))

    def _records(self, process: int, time_ns: int) -> bytes:
        resource = Resource({"service.name": f"process {process}"})
        spans = []
        for number, model_id in VERSIONS.items():
            known: dict[str, Any] = {"model_id": model_id, "name": "agent", "time_ns": self._start_ns}
            created = ModelEvent(
                kind="created",
                experiment_id="0",
                status=LoggedModelStatus.READY,
                params={"prompt": str(number)},
                **known,
            )
            activated = ModelEvent(kind="activated", span_id=self._activations[number, process], **known)
            spans += [records.span_of(event, resource, time_ns) for event in (created, activated)]
        return encode_spans(spans).SerializeToString()


class Delivery:
    """Sends what comes in a week, in any number of threads, which have a connection each.

    Args:
        serving: Where to.
        week: What.
    """

    def __init__(self, serving: Serving, week: Week) -> None:
        self._serving = serving
        self._week = week
        self._own = threading.local()
        self._senders: list[Sender] = []

    def deliver(self, number: int) -> None:
        for request in self._week.requests(number):
            while (refusal := self._sender.send(request)) is not None:
                assert refusal.status == 429, refusal
                time.sleep(0.1)

    def close(self) -> None:
        for sender in self._senders:
            sender.close()

    @property
    def _sender(self) -> Sender:
        if not hasattr(self._own, "sender"):
            self._own.sender = (HttpSender, GrpcSender)[len(self._senders) % 2](self._serving)
            self._senders.append(self._own.sender)
        sender: Sender = self._own.sender
        return sender


def ask_as_a_dashboard(serving: Serving, now: datetime) -> None:
    """About the last day, which is always as much."""
    since = ("since", (now - timedelta(days=1)).isoformat())
    serving.get("/api/v1/versions", [since])
    serving.get("/api/v1/compare", [since, *(("version", version) for version in VERSIONS.values())])
    serving.get("/api/v1/traces", [since, ("version", VERSIONS[0]), ("order", "slowest")])


def active_parts(directory: Path) -> Sequence[int]:
    """How many there are of each day of each table."""
    with ClickHouseServer(directory) as server, server.client() as client:
        rows = client.query("SELECT count() FROM system.parts WHERE active GROUP BY database, table, partition")
        return [count for (count,) in rows.result_rows]
