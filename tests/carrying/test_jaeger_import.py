# SPDX-License-Identifier: Apache-2.0
"""`import jaeger`: from a Jaeger that cuts answers off, is slow, away, wants a login, or is none."""

import base64
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.sending import Traces
from backend.serving import command
from cli.terminal import environment
from effort import only_in_full
from otel_loggedmodel.commands.carrying import jaeger_api, jaeger_import
from otel_loggedmodel.commands.carrying.jaeger_api import JaegerApi, JaegerError
from otel_loggedmodel.commands.carrying.jaeger_import import ImportedServices, JaegerImport
from otel_loggedmodel.commands.carrying.positions import Positions
from otel_loggedmodel.commands.carrying.sink import Sink
from otel_loggedmodel.commands.exchange.filling import Filled
from otel_loggedmodel.store.known import known_spans
from otel_loggedmodel.store.reading import TraceFilter

from .jaeger_stand_in import Answer, Jaeger, Question, in_json, late, trace

Import = Callable[..., ImportedServices]
HOUR_US = 3600 * 10**6
NOW_US = int(time.time() * 1e6) // HOUR_US * HOUR_US
SINCE_US = NOW_US - 48 * HOUR_US


@pytest.fixture
def import_from(filled: Filled, tmp_path: Path) -> Import:
    def run(
        jaeger: Jaeger, *services: str, timeout: float = 30, limit: int = 100, is_asked: bool = True
    ) -> ImportedServices:
        api = JaegerApi(jaeger.uri, timeout=timeout)
        database = filled.writer.database  # type: ignore[union-attr]

        def known(ids: object, start_us: int, end_us: int) -> set[tuple[str, str]]:
            return known_spans(database, ids, start_us, end_us)  # type: ignore[arg-type]

        positions = Positions(f"chdb://{tmp_path}/store")
        work = JaegerImport(
            api, Sink(filled), positions, lambda *_: None, known=known if is_asked else None, limit=limit
        )
        try:
            return work.run(services, SINCE_US, NOW_US)
        finally:
            api.close()

    return run


def traces_of(filled: Filled, version: str) -> int:
    return len(filled.reader.traces(version, TraceFilter(limit=1000)))


@pytest.mark.parametrize("has_otlp", [False, True], ids=["JSON of its pages", "OTLP"])
def test_all_traces_come_however_dense_they_are(filled: Filled, import_from: Import, *, has_otlp: bool) -> None:
    version = f"dense-{has_otlp}"
    first = 1_000_000 * (1 + has_otlp)
    dense = [trace(first + n, SINCE_US + 30 * HOUR_US + n, spans=2, version=version) for n in range(120)]
    sparse = [trace(first + 500 + n, SINCE_US + n * HOUR_US, spans=2, version=version) for n in range(30)]
    with Jaeger([*sparse, *dense], has_otlp=has_otlp) as jaeger:
        result = import_from(jaeger, "shop", limit=50)
        assert (result.traces, result.carried.spans, result.known, result.cut) == (150, 300, 0, [])
        again = import_from(jaeger, limit=50)
        assert (again.services, again.traces, again.carried.spans, again.known) == (["shop"], 150, 0, 300)
    assert traces_of(filled, version) == 150
    (found,) = [one for one in filled.reader.trace(f"{first + 1:032x}").spans if not one.parent_span_id]
    assert found.kind == "Server"
    assert found.start_ns % 1000 == (7 if has_otlp else 0)


def test_more_at_once_than_is_given_is_said(import_from: Import) -> None:
    start = SINCE_US + HOUR_US
    with Jaeger([trace(3_000_000 + n, start) for n in range(20)]) as jaeger:
        result = import_from(jaeger, "shop", limit=10)
    assert len(result.cut) >= 1
    assert all(abs(time_us - start) <= 1 for time_us in result.cut)


def test_spans_that_were_received_are_not_stored_a_second_time(filled: Filled, import_from: Import) -> None:
    ids, request = Traces("received", 5).request(3, start_ns=(SINCE_US + HOUR_US) * 1000 + 123)
    assert filled.writer is not None
    filled.writer.insert([request])
    late_one = trace(4_000_000, SINCE_US + HOUR_US, version="received")
    spans = [span for one in ids for span in filled.reader.trace(one).spans]
    known = [
        {
            **late_one,
            "traceID": span.trace_id,
            "spans": [{**late_one["spans"][0], "traceID": span.trace_id, "spanID": span.span_id}],
        }
        for span in spans
    ]
    with Jaeger([*known, late_one]) as jaeger:
        result = import_from(jaeger, "shop")
    assert (result.known, result.carried.spans) == (3, 1)
    assert traces_of(filled, "received") == 4


def test_a_trace_of_several_services_comes_once(filled: Filled, import_from: Import) -> None:
    both = trace(5_000_000, SINCE_US + HOUR_US, spans=2, version="several")
    with Jaeger([both, trace(5_000_001, SINCE_US + HOUR_US, service="cart", version="several")]) as jaeger:
        found_for_both = jaeger._found
        jaeger._found = lambda service, *rest: found_for_both("cart", *rest) + found_for_both("shop", *rest)  # type: ignore[method-assign]
        result = import_from(jaeger, is_asked=False)
    assert (result.services, result.traces, result.carried.spans) == (["cart", "shop"], 2, 3)


def test_what_was_interrupted_goes_on_where_it_was(
    filled: Filled, import_from: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaeger_import, "_PATIENCE_SECONDS", (0.0, 0.0))
    monkeypatch.setattr("otel_loggedmodel.commands.carrying.sink._BATCH_SPANS", 4)
    middle = SINCE_US + 24 * HOUR_US

    def fail(path: str, question: Question) -> Answer | None:
        return (
            in_json({"errors": [{"code": 500, "msg": "its storage is away"}]}, 500)
            if int(question.get("start", 0)) > middle
            else None
        )

    traces = [trace(6_000_000 + n, SINCE_US + n * HOUR_US, version="goes-on") for n in range(48)]
    with Jaeger(traces, fail) as jaeger:
        with pytest.raises(JaegerError, match=r"answers 500 \(its storage is away\)"):
            import_from(jaeger, "shop", is_asked=False)
        assert len([path for path, question in jaeger.asked if int(question.get("start", 0)) > middle]) >= 3
        jaeger.trouble = lambda path, question: None
        jaeger.asked.clear()
        result = import_from(jaeger, "shop", is_asked=False)
        assert min(int(question["start"]) for _, question in jaeger.asked if "start" in question) > SINCE_US
        assert 0 < result.traces < 48
        assert traces_of(filled, "goes-on") == 48
        # One that has come to its end is forgotten, so that what came late is found.
        assert import_from(jaeger, "shop").traces == 48


def test_an_answer_that_takes_too_long_is_asked_for_in_parts(filled: Filled, tmp_path: Path) -> None:
    def slow(path: str, question: Question) -> Answer | None:
        is_wide = int(question.get("end", 0)) - int(question.get("start", 0)) > HOUR_US // 2
        return late(0.9) if path == "/api/traces" and is_wide else None

    start = NOW_US - HOUR_US
    with Jaeger([trace(7_000_000, start + 1000, version="slow")], slow) as jaeger:
        api = JaegerApi(jaeger.uri, timeout=0.6)
        work = JaegerImport(api, Sink(filled), Positions(f"chdb://{tmp_path}/store"), lambda *_: None)
        assert work.run(["shop"], start, NOW_US - HOUR_US // 4).carried.spans == 1
        assert [path for path, question in jaeger.asked if path == "/api/traces"].count("/api/traces") >= 3
        jaeger.trouble = lambda path, question: late(0.9)
        with pytest.raises(JaegerError, match=r"does not answer within 0.6 s, even for what began within 1 s"):
            work.run(["shop"], start, start + 1_000_000)
        api.close()


def test_an_answer_that_is_too_large_is_asked_for_in_parts(
    filled: Filled, import_from: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaeger_api, "MAX_ANSWER", 20_000)
    traces = [trace(8_000_000 + n, SINCE_US + 5 * HOUR_US + n * 1000, spans=5, version="large") for n in range(60)]
    with Jaeger(traces) as jaeger:
        assert import_from(jaeger, "shop", limit=1000).carried.spans == 300
    assert traces_of(filled, "large") == 60


def test_what_is_no_jaeger_is_named() -> None:
    page = b"<!doctype html><html><head><title>Sign in &amp; go on</title></head></html>"
    cases: list[tuple[Answer, str]] = [
        (
            (200, "text/html", page),
            "answers with a web page, 'Sign in & go on' (200): name the address of Jaeger's query",
        ),
        ((401, "text/plain", b"no"), "wants to know who asks (401): write user and password into the URL"),
        ((403, "text/html", page), "wants to know who asks (403)"),
        ((404, "text/plain", b"404 page not found"), "answers 404 (404 page not found): name the address of"),
        ((200, "application/json", b'{"status": "ok"}'), "does not answer as Jaeger does"),
        ((200, "application/json", b"[]"), "does not answer as Jaeger does"),
        ((200, "application/json", b"{nonsense"), "does not answer as Jaeger does"),
        (in_json({"data": None, "errors": [{"code": 400, "msg": "no such thing"}]}), "says: no such thing"),
        (in_json({"data": {"a": 1}}), "does not answer as Jaeger does"),
    ]
    for answer, words in cases:
        with Jaeger(trouble=lambda path, question, answer=answer: answer) as jaeger:  # type: ignore[misc]
            api = JaegerApi(jaeger.uri)
            with pytest.raises(JaegerError) as told:
                api.services()
            assert words in str(told.value)
            with pytest.raises(JaegerError):
                api.traces("shop", 0, 1, 10)
            api.close()


def test_who_asks_is_told_and_not_shown() -> None:
    with Jaeger([trace(1, 5)]) as jaeger:
        api = JaegerApi(jaeger.uri.replace("://", "://me:p%40ss@"))
        assert api.services() == ["shop"]
        assert api.url == jaeger.uri
        assert base64.b64decode(jaeger.requests[-1][2]["authorization"].removeprefix("Basic ")) == b"me:p@ss"
        api.close()
        api = JaegerApi(jaeger.uri, token="abc")
        api.services()
        assert jaeger.requests[-1][2]["authorization"] == "Bearer abc"
        api.close()


def test_what_is_away_or_no_address_is_said_at_once(import_from: Import) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        api = JaegerApi(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(JaegerError, match=r"cannot be reached: .*refused"):
            api.services()
        api.close()
    for url in ("jaeger:16686", "ftp://jaeger", "http://", "http://me:secret@[x"):
        with pytest.raises(JaegerError, match="is no URL: name the address") as told:
            JaegerApi(url)
        assert "secret" not in str(told.value)


@only_in_full
def test_the_command_says_what_it_did_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    asked_much = threading.Event()

    def stop(path: str, question: Question) -> Answer | None:
        if int(question.get("start", 0)) > NOW_US - 24 * HOUR_US and not asked_much.is_set():
            asked_much.set()
            time.sleep(60)
        return None

    traces = [trace(n, SINCE_US + n * HOUR_US // 12, spans=40, version="killed") for n in range(350)]
    with Jaeger(traces, stop) as jaeger:
        store = f"chdb://{tmp_path / 'store'}"
        arguments = ["import", "jaeger", jaeger.uri, "--since", "72h", "--store", store]
        process = subprocess.Popen([sys.executable, "-m", "otel_loggedmodel", *arguments], env=environment(TZ="UTC"))
        assert asked_much.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert list((tmp_path / "store").glob("otel-loggedmodel-imports/*.json"))
        done = command(*arguments, "--json")
        assert done.returncode == 0, done
        told = json.loads(done.stdout)
        assert told["traces"] < 350
        assert not list((tmp_path / "store").glob("otel-loggedmodel-imports/*.json"))
        shown = json.loads(command("show", "killed", "--json", store=store).stdout)
        assert shown["version"]["traces"] == 350
        done = command("import", "jaeger", jaeger.uri, "--service", "other", "--store", store)
        assert done.stdout == f"{jaeger.uri}, other: 0 traces, 0 spans imported\n"
        assert "None was found: see --service and --since" in done.stderr
    done = command("import", "jaeger", jaeger.uri, "--store", store)
    assert (done.returncode, done.stdout) == (3, "")
    assert "cannot be reached" in done.stderr
