# SPDX-License-Identifier: Apache-2.0
"""Far ends that answer badly: for ever, without end, with control characters, elsewhere, or nested a thousand deep."""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from doubles import ScriptedExporter
from effort import some
from otel_loggedmodel import LoggedModelExporter
from otel_loggedmodel._cleaning import brief
from otel_loggedmodel.delivery import otlp_sending
from otel_loggedmodel.delivery.destinations import destination_of
from otel_loggedmodel.delivery.durable import DurableExporter
from otel_loggedmodel.delivery.otlp_answers import Verdict
from otel_loggedmodel.delivery.otlp_sending import sender_of
from otel_loggedmodel.mlflow_server.rest import Server, ServerError
from otel_loggedmodel.mlflow_server.settings import Settings
from waiting import wait_until

from .far_end import Answer, GrpcFarEnd, HttpFarEnd
from .spans import make_spans

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e\x9b31m"


class RawFarEnd:
    """Answers each request with bytes, as a test says."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}/v1/traces"
        self.requests: list[bytes] = []
        self.is_over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self.requests.append(connection.recv(65536))
            self._answer(connection)

    def close(self) -> None:
        self.is_over.set()
        self._listening.close()


@pytest.fixture
def raw() -> Iterator[Callable[..., RawFarEnd]]:
    made: list[RawFarEnd] = []

    def make(head: bytes, part: bytes, pause: float) -> RawFarEnd:
        """A far end that says something, and then something else again and again."""

        def answer(connection: socket.socket) -> None:
            connection.sendall(head)
            while not far_end.is_over.wait(pause):
                connection.sendall(part)

        far_end = RawFarEnd(answer)
        made.append(far_end)
        return far_end

    yield make
    for far_end in made:
        far_end.close()


DRIPS = {
    "body": (b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b"x"),
    "chunks": (b"HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"x"),
}


@pytest.mark.parametrize("drip", some(list(DRIPS)))
def test_the_timeout_holds_for_the_whole_answer(raw, drip: str) -> None:
    far_end = raw(*DRIPS[drip], pause=0.05)
    sender = sender_of(OTLPSpanExporter(far_end.endpoint, timeout=1))
    started = time.monotonic()
    outcome = sender.send(b"")
    assert time.monotonic() - started < 30  # at this pace the answer takes more than an hour
    assert (outcome.verdict, outcome.words) == (Verdict.LATER, "no whole answer within 1 s")


def test_answers_that_never_end_take_no_more_than_a_few_threads(raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_sending, "_GRACE_SECONDS", 0.0)
    far_end = raw(*DRIPS["headers"], pause=0.05)
    sender = sender_of(OTLPSpanExporter(far_end.endpoint, timeout=0.2))
    words = [sender.send(b"").words for _ in range(8)]
    assert words[-1] == "it has not finished its answers to earlier requests"
    assert len(far_end.requests) == otlp_sending._MAX_LATE
    far_end.is_over.set()
    wait_until(lambda: "earlier" not in sender.send(b"").words, "the answers to end")


def test_a_process_ends_though_its_answer_drips(raw, tmp_path: Path) -> None:
    far_end = raw(*DRIPS["body"], pause=0.05)
    exporter = OTLPSpanExporter(far_end.endpoint, timeout=1)
    durable = DurableExporter(exporter, tmp_path, destination_of(exporter))
    threading.Thread(target=durable.export, args=(make_spans("a"),), daemon=True).start()
    wait_until(lambda: far_end.requests, "the request")
    started = time.monotonic()
    durable.shutdown()
    assert time.monotonic() - started < 30
    assert durable.pending.spans == 0  # it is left to the next process
    assert list(tmp_path.rglob("spans_*"))


def test_no_more_of_an_answer_is_read_than_anybody_would_say(raw) -> None:
    far_end = raw(b"HTTP/1.1 400 Bad\r\ncontent-type: text/plain\r\n\r\n", b"x" * 65536, pause=0)
    outcome = sender_of(OTLPSpanExporter(far_end.endpoint, timeout=30)).send(b"")
    assert (outcome.verdict, len(outcome.words)) == (Verdict.MALFORMED, 300)


def test_an_mlflow_server_whose_answer_drips_is_given_up(raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_loggedmodel.mlflow_server.rest._CONNECT_SECONDS", 0.1)
    far_end = raw(*DRIPS["body"], pause=0.05)
    server = Server(Settings(far_end.endpoint.removesuffix("/v1/traces"), experiment_id="1", timeout=0.5))
    with pytest.raises(ServerError, match="has not finished its answer in time") as raised:
        server.call("GET", "/version")
    assert raised.value.may_pass


# Words


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-protobuf", "application/json"])
@pytest.mark.parametrize("status", [200, 400, 401, 503])
def test_control_characters_of_a_far_end_do_not_reach_the_log(status: int, content_type: str, caplog) -> None:
    with HttpFarEnd() as server, caplog.at_level(logging.DEBUG, "otel_loggedmodel"):
        server.answer(Answer(status, f"no{ESCAPES}\nforged line", rejected=1, content_type=content_type))
        exporter = LoggedModelExporter(OTLPSpanExporter(server.traces_endpoint))
        exporter.export(make_spans("a"))
        exporter.shutdown()
    assert caplog.messages or content_type == "text/plain"
    for message in caplog.messages:
        assert message.isprintable(), message


def test_nor_those_over_grpc_and_of_other_exporters(caplog) -> None:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

    with GrpcFarEnd() as server:
        server.answer(Answer("PERMISSION_DENIED", f"no{ESCAPES}"))
        outcome = sender_of(GrpcExporter(server.endpoint, insecure=True)).send(b"")
    assert outcome.words == "PERMISSION_DENIED: no" + r"\x1b[2J\x1b]0;owned\x07\u202e\x9b31m"
    scripted = ScriptedExporter()
    scripted.error = RuntimeError(f"no{ESCAPES}")
    assert sender_of(scripted).export(make_spans("a"), b"").words == r"no\x1b[2J\x1b]0;owned\x07\u202e\x9b31m"


def test_words_are_on_one_line_and_not_too_long() -> None:
    assert brief("a\n b\r\n\tc", 10) == "a b c"
    assert brief("\x00" * 10_000, 20) == r"\x00\x00\x00\x00\..."


@pytest.mark.parametrize("depth", [2_000, 200_000])
@pytest.mark.parametrize(
    ("status", "verdict"), [(400, Verdict.MALFORMED), (403, Verdict.REFUSED), (200, Verdict.DELIVERED)]
)
def test_an_answer_nested_deeply_means_what_its_status_says(
    depth: int, status: int, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (b'{"message":' * depth + b"1" + b"}" * depth, b"[" * depth):
        monkeypatch.setattr("delivery.far_end._content", lambda answer, content=content: content)
        with HttpFarEnd() as server:
            server.answer(Answer(status, content_type="application/json"))
            assert sender_of(OTLPSpanExporter(server.traces_endpoint)).send(b"").verdict is verdict


# Elsewhere


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_with_our_credentials(status: int, caplog) -> None:
    with HttpFarEnd() as elsewhere, HttpFarEnd() as server:
        server.answer(Answer(status, headers={"location": elsewhere.traces_endpoint}))
        exporter = OTLPSpanExporter(server.traces_endpoint, headers={"api-key": "secret"})
        outcome = sender_of(exporter).send(b"")
        assert LoggedModelExporter(exporter).export(make_spans("a")) is SpanExportResult.FAILURE
        assert elsewhere.requests == []
    assert (outcome.verdict, outcome.error_type) == (Verdict.REFUSED, "redirect")
    assert outcome.words == f"{status}: the endpoint redirects to {elsewhere.traces_endpoint}: name that one"
    assert elsewhere.traces_endpoint in caplog.text
