# SPDX-License-Identifier: Apache-2.0
"""What the Collector has accepted is delivered, across outages and crashes."""

from __future__ import annotations

import gzip
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from waiting import wait_until

from . import otlp
from .conftest import RunCollector
from .otlp import Span
from .running import free_ports


@dataclass
class Destination:
    """An OTLP endpoint: what came, and with which headers the last request came."""

    spans: list[Span] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def span_ids(self) -> set[str]:
        return {span.span_id for span in self.spans}


@contextmanager
def destination(port: int) -> Iterator[Destination]:
    """Take OTLP over HTTP on this port."""
    received = Destination()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            received.headers = {name.lower(): value for name, value in self.headers.items()}
            if self.path == "/v1/traces":
                received.spans.extend(otlp.read_protobuf(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


def to_destination(port: int, **settings: str) -> dict[str, str]:
    return {"FILE": "nop", "OTLP": "otlp_http", "OTLP_ENDPOINT": f"http://127.0.0.1:{port}", **settings}


def test_spans_go_on_to_another_endpoint_with_its_headers(run_collector: RunCollector) -> None:
    (port,) = free_ports(1)
    root = Span("answer", kind=otlp.SERVER, error=True, attributes={"logged_model.id": "m-1", "n": 3})
    settings = to_destination(port, OTLP_HEADERS="{authorization: Bearer abc, x-scope: '7'}")

    with destination(port) as received, run_collector(settings) as collector:
        collector.send([root])
        wait_until(lambda: received.spans, "the span")

    (arrived,) = received.spans
    assert (arrived.name, arrived.span_id, arrived.kind, arrived.error) == ("answer", root.span_id, otlp.SERVER, True)
    assert arrived.attributes == root.attributes
    assert (received.headers["authorization"], received.headers["x-scope"]) == ("Bearer abc", "7")


def test_accepted_spans_survive_an_outage_and_a_kill(run_collector: RunCollector) -> None:
    (port,) = free_ports(1)
    sent = [Span(f"span {number}") for number in range(500)]
    record = otlp.model_record(otlp.new_model_id())

    with run_collector(to_destination(port)) as collector:
        for start in range(0, len(sent), 50):
            collector.send(sent[start : start + 50])
        collector.send([record])
        # It has tried, and has taken what it tried out of the queue's front.
        wait_until(lambda: "connection refused" in collector.log, "it to try in vain")
        collector.kill()

        with destination(port) as received:
            collector.start()
            expected = {span.span_id for span in (*sent, record)}
            wait_until(lambda: received.span_ids() >= expected, "what was accepted before the crash")
            assert received.span_ids() == expected


def test_a_full_queue_refuses_and_loses_nothing(run_collector: RunCollector) -> None:
    (port,) = free_ports(1)
    accepted: set[str] = set()

    with run_collector(to_destination(port, QUEUE_BYTES="100000")) as collector:

        def refused() -> int | None:
            spans = [Span("work", attributes={"text": "x" * 1000}) for _ in range(10)]
            try:
                collector.send(spans)
            except urllib.error.HTTPError as error:
                error.close()
                return error.code
            accepted.update(span.span_id for span in spans)
            return None

        # What OTLP has senders try again on.
        assert wait_until(refused, "the queue to be full") in (429, 502, 503, 504)
        assert 50 <= len(accepted) <= 100
        collector.stop()

        with destination(port) as received:
            collector.start()
            wait_until(lambda: received.span_ids() >= accepted, "what was accepted")


def test_starts_and_accepts_while_clickhouse_is_down(run_collector: RunCollector) -> None:
    (port,) = free_ports(1)
    settings = {
        "FILE": "nop",
        "CLICKHOUSE": "clickhouse",
        "CLICKHOUSE_ENDPOINT": f"tcp://127.0.0.1:{port}",
        "CLICKHOUSE_CREATE_SCHEMA": "false",
    }
    with run_collector(settings) as collector:
        collector.send([Span("work")])

        wait_until(lambda: "Exporting failed. Will retry the request" in collector.log, "it to try in vain")
        assert "connection refused" in collector.log
