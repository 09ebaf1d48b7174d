# SPDX-License-Identifier: Apache-2.0
"""Nothing lost: real processes that are killed, real servers that fail, and a ledger at the end.

What was handed in is delivered or dropped at a stated bound, and nothing is delivered twice but where the
acknowledgement was lost; then it is the same span.
"""

import collections
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.running import CONFIG, Collector, find_collector
from effort import some, times
from otel_loggedmodel.delivery import otlp_payloads
from otel_loggedmodel.delivery.destinations import destination_of
from otel_loggedmodel.delivery.durable import DurableExporter
from waiting import wait_until

from .far_end import Answer, FarEnd, HttpFarEnd, Request, far_end
from .sending_program import Applications, Orders, applications, handed_in, unanswered
from .spans import make_records, make_spans, numbered

PROTOCOLS = ("http", "grpc")


@pytest.fixture(scope="module")
def running() -> Iterator[Applications]:
    with applications() as running:
        yield running


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def server(protocol: str) -> Iterator[FarEnd]:
    with far_end(protocol) as server:
        yield server


@pytest.fixture
def orders(server: FarEnd, protocol: str, tmp_path: Path) -> Callable[..., Orders]:
    def make(name: str, **more) -> Orders:
        places = {"spool": str(tmp_path / "spool"), "ledger": str(tmp_path / "ledger")}
        return Orders(server.endpoint, protocol, name=name, **{**places, **more})

    return make


def size_of(ledger: Path) -> int:
    return ledger.stat().st_size if ledger.exists() else 0


def starters(ledger: Path) -> set[str]:
    """Those that have handed in anything."""
    return {name.split(".")[0] for name in handed_in(ledger)}


def ok(protocol: str) -> Answer:
    return Answer(200 if protocol == "http" else "OK")


def taken_names(server: FarEnd) -> collections.Counter[str]:
    """How often each of the applications' spans was taken, apart from the models' records."""
    return collections.Counter(name for name in server.names if not name.startswith("logged_model."))


def check_ledger(server: FarEnd, ledger: Path, *, cut_off: int = 0) -> None:
    """See that everything that was handed in was taken, and twice only where the acknowledgement was lost.

    Args:
        server: What took it.
        ledger: Where it was noted.
        cut_off: How many requests may have been on their way when their process was killed or the far end stopped.
    """
    noted = handed_in(ledger)
    assert len(set(noted)) == len(noted)
    lost = set(noted) - set(server.names)
    assert lost == set()
    ids: dict[str, set[str]] = collections.defaultdict(set)
    for name, span_id in server.taken:
        ids[name].add(span_id)
    ambiguous = [name for name, ids in ids.items() if len(ids) > 1 and not name.startswith("logged_model.")]
    assert ambiguous == []
    assert len(taken_again(server)) <= cut_off + unanswered(ledger)


def taken_again(server: FarEnd) -> list[tuple[Request, ...]]:
    """Requests with the same spans that were taken, more of them than the far end knows to have gone unacknowledged.

    That is one request again for each acknowledgement that was lost on its way. A process that is killed can lose one,
    as it delivers what it has kept one request at a time. Which of its requests that is cannot be told here. Over gRPC
    they share a connection with those of the exporting thread, which may be many meanwhile. Nor is it always the
    earlier one: what was on its way when the process was killed may be read after the next process has sent it again.
    """
    takers: dict[tuple[str, str], list[Request]] = collections.defaultdict(list)
    for request in server.requests:
        if request.answer.takes:
            for span in request.spans:
                if not span[0].startswith("logged_model."):
                    takers[span].append(request)
    together = {tuple(map(id, requests)): tuple(requests) for requests in takers.values()}
    found = []
    for requests in together.values():
        known = sum(request.answer.cut or request.answer.delay > 0 for request in requests)
        found += [requests] * max(0, len(requests) - 1 - known)
    return found


# Faults of the far end

FAULTS: dict[str, dict[str, Answer]] = {
    "answers 503": {"http": Answer(503), "grpc": Answer("UNAVAILABLE")},
    "asks for time": {"http": Answer(429, retry_after=0.3), "grpc": Answer("RESOURCE_EXHAUSTED", retry_after=0.3)},
    "does not answer": {"http": Answer(503, delay=30), "grpc": Answer("UNAVAILABLE", delay=3)},
    "cuts off within a request": {"http": Answer(unread=True)},
    "cuts off instead of an answer": {"http": Answer(cut=True)},
    "answers too late": {"http": Answer(delay=1.5), "grpc": Answer(delay=1.5)},
}


@pytest.mark.parametrize(
    ("fault", "protocol"),
    [(fault, protocol) for protocol in PROTOCOLS for fault in FAULTS if protocol in FAULTS[fault]],
    indirect=["protocol"],
)
def test_whatever_the_far_end_does_everything_arrives(
    fault: str, server: FarEnd, protocol: str, orders, running: Applications, tmp_path: Path
) -> None:
    server.answer(FAULTS[fault][protocol])
    pid = running.start(orders("a", spans=400, timeout=1.0, flush=True))
    server.wait_for(lambda: server.requests or fault == "cuts off within a request", "a request")
    time.sleep(0.5)
    server.answer(ok(protocol))
    assert running.wait(pid) == 0
    assert len(handed_in(tmp_path / "ledger")) == 400
    check_ledger(server, tmp_path / "ledger")


def test_a_far_end_that_is_gone_for_a_while(server: FarEnd, protocol: str, orders, running, tmp_path: Path) -> None:
    pid = running.start(orders("a", spans=600, flush=True))
    server.wait_for_spans(10)
    server.stop()
    time.sleep(0.5)
    server.start()
    assert running.wait(pid) == 0
    assert len(handed_in(tmp_path / "ledger")) == 600
    check_ledger(server, tmp_path / "ledger", cut_off=2)  # one of what was kept, and one of the exporting thread


def test_a_far_end_that_comes_and_goes(server: FarEnd, protocol: str, orders, running, tmp_path: Path) -> None:
    turns = random.Random(1)
    bad = {"http": [Answer(503), Answer(429, retry_after=0.05), Answer(cut=True)], "grpc": [Answer("UNAVAILABLE")]}

    def by_turns(names: list[str]) -> Answer:
        return turns.choice(bad[protocol]) if turns.random() < 0.4 else ok(protocol)

    server.script = by_turns
    pid = running.start(orders("a", spans=800))
    assert running.wait(pid) == 0
    server.answer(ok(protocol))
    running.run(orders("b", spans=1, flush=True))
    assert len(handed_in(tmp_path / "ledger")) == 801
    check_ledger(server, tmp_path / "ledger")


def test_poisonous_spans_are_all_that_is_missing(server: FarEnd, protocol: str, orders, running, tmp_path) -> None:
    refusal = Answer(400 if protocol == "http" else "INVALID_ARGUMENT")
    poison = {f"a.{number}" for number in range(7, 400, 61)}
    server.script = lambda names: refusal if poison & set(names) else ok(protocol)
    running.run(orders("a", spans=400, flush=True))
    assert set(handed_in(tmp_path / "ledger")) - set(server.names) == poison
    assert set(taken_names(server).values()) == {1}


def test_a_far_end_that_takes_only_small_requests(server: FarEnd, protocol: str, orders, running, tmp_path) -> None:
    refusal = Answer(413) if protocol == "http" else Answer("RESOURCE_EXHAUSTED", "message larger than max (9 vs. 4)")
    server.script = lambda names: refusal if len(names) > 5 else ok(protocol)
    running.run(orders("a", spans=300, batch=64, flush=True))
    assert len(handed_in(tmp_path / "ledger")) == 300
    assert set(taken_names(server).values()) == {1}
    check_ledger(server, tmp_path / "ledger")


# Processes that die


def test_processes_killed_at_random_moments_lose_nothing(
    server: FarEnd, protocol: str, orders, running: Applications, tmp_path: Path
) -> None:
    deaths = times(full=100 if protocol == "http" else 40, quick=12)
    turns = random.Random(7)
    bad = {
        "http": [Answer(503), Answer(429, retry_after=0.02), Answer(cut=True), Answer(unread=True)],
        "grpc": [Answer("UNAVAILABLE"), Answer("RESOURCE_EXHAUSTED", retry_after=0.02)],
    }
    moods = [0.0, 0.2, 1.0]
    mood = [0.0]
    server.script = lambda names: turns.choice(bad[protocol]) if turns.random() < mood[0] else ok(protocol)
    ledger = tmp_path / "ledger"
    for life in range(deaths):
        mood[0] = turns.choice(moods)
        before = size_of(ledger)
        pid = running.start(orders(f"life{life}", pause=0.0005))
        if life % 4:  # one in four may die before it has handed in anything
            wait_until(lambda before=before: size_of(ledger) > before, "a batch to be handed in")
        time.sleep(turns.uniform(0.0, 0.1))
        running.kill(pid)
    server.answer(ok(protocol))
    running.run(orders("last", spans=1, flush=True))
    assert starters(ledger) >= {f"life{life}" for life in range(deaths) if life % 4}
    check_ledger(server, ledger, cut_off=deaths)


def test_what_a_process_leaves_at_its_end_the_next_delivers(
    server: FarEnd, protocol: str, orders, running: Applications, tmp_path: Path
) -> None:
    server.stop()
    started = time.monotonic()
    running.run(orders("first", spans=200, model="agent"))
    assert time.monotonic() - started < 25  # and does not wait until somebody answers
    server.start()
    running.run(orders("second", spans=1, flush=True))
    check_ledger(server, tmp_path / "ledger")
    assert {"logged_model.created", "logged_model.activated"} <= set(server.names)
    assert set(taken_names(server).values()) == {1}


@pytest.mark.parametrize("count", some([2, 8]))
def test_many_processes_on_one_directory_deliver_everything_once(
    count: int, server: FarEnd, protocol: str, orders, running: Applications, tmp_path: Path
) -> None:
    server.answer(Answer(503) if protocol == "http" else Answer("UNAVAILABLE"))
    dead = [running.start(orders(f"dead{number}")) for number in range(count)]
    ledger = tmp_path / "ledger"
    wait_until(lambda: len(starters(ledger)) == count, "each to have handed in something", 60)
    for pid in dead:
        running.kill(pid)
    server.answer(ok(protocol))
    heirs = [running.start(orders(f"heir{number}", spans=100, flush=True)) for number in range(count)]
    for pid in heirs:
        assert running.wait(pid) == 0
    assert len(starters(ledger)) == 2 * count
    check_ledger(server, ledger, cut_off=count)


@pytest.mark.parametrize("mood", some(["comes and goes", "takes everything"]))
def test_forks_under_load_deliver_everything_once(mood: str, running: Applications, tmp_path: Path) -> None:
    turns = random.Random(3)
    with far_end("http") as server:
        if mood == "comes and goes":
            server.script = lambda names: turns.choice([Answer(), Answer(503)])
        orders = Orders(
            *(server.endpoint, "http", str(tmp_path / "spool"), str(tmp_path / "ledger"), "parent"),
            spans=300,
            children=5,
        )
        running.run(orders)
        server.answer(Answer())
        running.run(Orders(**{**vars(orders), "name": "last", "spans": 1, "children": 0, "flush": True}))
        noted = handed_in(tmp_path / "ledger")
        assert collections.Counter(name.partition(".")[0].partition("-")[0] for name in noted) == {
            "parent": 6 * 300,
            "last": 1,
        }
        check_ledger(server, tmp_path / "ledger")
        assert max(server.taken.values()) == 1


# Hours


class Clocks:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.passed = 0.0

    def wall(self) -> float:
        return 1_800_000_000.0 + self.passed

    def monotonic(self) -> float:
        return 5000.0 + self.passed


@pytest.fixture
def away(tmp_path: Path) -> Iterator[tuple[HttpFarEnd, Clocks, Callable[..., DurableExporter]]]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    clocks = Clocks()
    made: list[DurableExporter] = []
    with HttpFarEnd() as server:

        def make(**options) -> DurableExporter:
            wrapped = OTLPSpanExporter(server.traces_endpoint, timeout=2)
            exporter = DurableExporter(
                wrapped,
                tmp_path,
                destination_of(wrapped),
                clock=clocks.wall,
                monotonic=clocks.monotonic,
                **options,
            )
            made.append(exporter)
            return exporter

        server.answer(Answer(503))
        yield server, clocks, make
        for exporter in made:
            exporter.close()


def flush(exporter: DurableExporter) -> None:
    deadline = time.monotonic() + 60
    while exporter.pending:
        assert time.monotonic() < deadline
        exporter.force_flush(1000)


def test_a_far_end_that_is_down_for_hours_under_load_gets_everything(away) -> None:
    server, clocks, make = away
    exporter = make()
    batches = [(f"a-{number}", otlp_payloads.encoded(make_spans(f"a-{number}"))) for number in range(200)]
    spans = {name: make_spans(name) for name, _ in batches}
    for name, _ in batches:
        exporter.export(spans[name])
        clocks.passed += 60
    assert exporter.pending.oldest_age == pytest.approx(200 * 60, abs=1)
    server.answer(Answer())
    flush(exporter)
    assert server.names == [name for name, _ in batches]
    assert (exporter.health.delivered, exporter.health.dropped) == (200, {})


def test_what_is_too_old_is_dropped_and_counted(away) -> None:
    server, clocks, make = away
    exporter = make(max_age=3600)
    names = numbered("a", 180)
    for name in names:
        exporter.export(make_spans(name))
        clocks.passed += 60
    server.answer(Answer())
    flush(exporter)
    assert exporter.health.dropped.keys() == {"age"}
    dropped = exporter.health.dropped["age"]
    # The one that was about to be sent when the others became too old is sent.
    assert len(server.names) == len(names) - dropped
    assert server.names[1:] == names[dropped + 1 :]
    assert exporter.health.accepted == exporter.health.delivered + dropped == 180
    assert 119 <= dropped <= 123


def test_at_the_bound_the_oldest_spans_go_first_and_models_stay(away) -> None:
    server, _, make = away
    exporter = make(max_bytes=200_000)
    for number in range(300):
        exporter.export(make_spans(f"a-{number}", text="x" * 1000))
        if number % 10 == 0:
            exporter.export(make_records(f"m-{number // 10}"))
    server.answer(Answer())
    flush(exporter)
    models = [name for name in server.names if name.startswith("m-")]
    spans = [name for name in server.names if name.startswith("a-")]
    assert models == numbered("m", 30)
    assert exporter.health.dropped.keys() == {"size"}
    assert spans == numbered("a", 300)[exporter.health.dropped["size"] :]
    assert exporter.health.accepted == exporter.health.delivered + exporter.health.dropped["size"] == 330
    assert len(spans) > 80


# A real Collector


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    collector = Collector(find_collector(), tmp_path, CONFIG, {})
    yield collector
    collector.stop()


def test_a_collector_that_is_stopped_killed_and_started_gets_everything(
    protocol: str, collector: Collector, running: Applications, tmp_path: Path
) -> None:
    collector.start()
    endpoint = collector.url if protocol == "http" else f"http://{collector.grpc_address}"
    orders = Orders(endpoint, protocol, str(tmp_path / "spool"), str(tmp_path / "ledger"), "a")
    first = running.start(orders)
    wait_until(collector.spans, "spans to come out of the Collector")
    collector.stop()
    before = size_of(tmp_path / "ledger")
    wait_until(lambda: size_of(tmp_path / "ledger") > before + 500, "more spans to be handed in")
    running.kill(first)
    second = running.start(Orders(**{**vars(orders), "name": "b", "spans": 500, "flush": True}))
    time.sleep(0.3)
    collector.start()
    assert running.wait(second) == 0
    noted = handed_in(tmp_path / "ledger")
    assert len(noted) > 550
    wait_until(lambda: set(noted) <= {span.name for span in collector.spans()}, "every span to come out")
    counts = collections.Counter((span.name, span.span_id) for span in collector.spans())
    assert len({name for name, _ in counts}) == len(counts)
    again = sum(times > 1 for (name, _), times in counts.items() if not name.startswith("logged_model."))
    assert again <= 2 * 16  # what was under way when the process was killed
