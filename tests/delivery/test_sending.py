# SPDX-License-Identifier: Apache-2.0
"""One try: what goes over the wire is what was given, byte for byte, and what the far end says is understood."""

import email.utils
import time

import pytest
import requests
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from doubles import ScriptedExporter
from otel_loggedmodel.delivery import otlp_answers, otlp_payloads, otlp_sending
from otel_loggedmodel.delivery.destinations import destination_of, unnamed_destination_of
from otel_loggedmodel.delivery.otlp_answers import Verdict
from otel_loggedmodel.delivery.otlp_sending import sender_of
from waiting import wait_until

from .far_end import PROTOBUF, Answer, FarEnd, GrpcFarEnd, HttpFarEnd, far_end
from .spans import make_spans, numbered

PROTOCOLS = ("http", "grpc")


def exporter_to(server: FarEnd, **options) -> SpanExporter:
    if isinstance(server, HttpFarEnd):
        return HttpExporter(server.traces_endpoint, **options)
    return GrpcExporter(server.endpoint, insecure=True, **options)


# On the wire


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_arrives_is_what_was_given_byte_for_byte(protocol: str) -> None:
    payload = otlp_payloads.encoded(make_spans("a", "b"))
    with far_end(protocol) as server:
        outcome = sender_of(exporter_to(server)).send(payload)
        assert outcome == otlp_answers.Outcome(Verdict.DELIVERED)
        assert [request.payload for request in server.requests] == [payload]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_is_the_exporters_own_in_all_but_its_retries(protocol: str) -> None:
    spans = make_spans("a", "b")
    options = {"headers": {"x-tenant": "a", "authorization": "Bearer b"}}
    with far_end(protocol) as server:
        exporter = exporter_to(server, **options)
        exporter.export(spans)
        sender_of(exporter).send(otlp_payloads.encoded(spans))
        theirs, ours = server.requests
    assert ours.payload == theirs.payload
    assert ours.headers == theirs.headers
    assert ours.headers["x-tenant"] == "a"
    assert ours.headers["authorization"] == "Bearer b"
    if protocol == "http":
        assert ours.headers["content-type"] == PROTOBUF


@pytest.mark.parametrize("compression", list(Compression))
def test_http_is_compressed_as_the_exporter_would(compression: Compression) -> None:
    payload = otlp_payloads.encoded(make_spans(*numbered("a", 50)))
    with HttpFarEnd() as server:
        exporter = exporter_to(server, compression=compression)
        assert sender_of(exporter).send(payload).verdict is Verdict.DELIVERED
        (request,) = server.requests
    assert request.payload == payload
    assert request.headers.get("content-encoding", "none") == compression.value
    assert (int(request.headers["content-length"]) < len(payload)) == (compression is not Compression.NoCompression)


def test_a_request_goes_through_the_session_that_the_exporter_was_given() -> None:
    session = requests.Session()
    session.auth = ("user", "secret")
    with HttpFarEnd() as server:
        sender_of(exporter_to(server, session=session)).send(otlp_payloads.encoded(make_spans("a")))
        assert server.requests[0].headers["authorization"] == requests.auth._basic_auth_str("user", "secret")


def test_a_connection_that_the_server_has_closed_is_no_failure() -> None:
    payload = otlp_payloads.encoded(make_spans("a"))
    with HttpFarEnd() as server:
        sender = sender_of(exporter_to(server))
        sender.send(payload)
        server.stop()
        server.start()
        assert sender.send(payload).verdict is Verdict.DELIVERED


def test_a_connection_that_the_server_closes_as_a_request_arrives_is_no_failure() -> None:
    answers = iter([Answer(cut=True)])
    with HttpFarEnd() as server:
        server.script = lambda names: next(answers, Answer()) if names else Answer()
        assert sender_of(exporter_to(server)).send(otlp_payloads.encoded(make_spans("a"))).verdict is Verdict.DELIVERED
        assert len(server.requests) == 2


# What the far end says, over HTTP


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_http_statuses_that_may_pass(status: int) -> None:
    with HttpFarEnd() as server:
        server.answer(Answer(status, "too busy"))
        outcome = sender_of(exporter_to(server)).send(b"")
    assert (outcome.verdict, outcome.error_type, outcome.retry_after) == (Verdict.LATER, str(status), None)
    assert outcome.words.startswith(f"{status} ")
    assert outcome.words.endswith(": too busy")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 413, 415, 422, 500])
def test_http_statuses_that_are_about_what_was_sent(status: int) -> None:
    with HttpFarEnd() as server:
        server.answer(Answer(status, "span 3 is odd"))
        outcome = sender_of(exporter_to(server)).send(b"")
    assert (outcome.verdict, outcome.error_type) == (Verdict.MALFORMED, str(status))
    assert "span 3 is odd" in outcome.words


@pytest.mark.parametrize("status", [401, 403, 404, 405, 408, 501, 505])
def test_http_statuses_that_are_final(status: int) -> None:
    with HttpFarEnd() as server:
        server.answer(Answer(status, "no such tenant"))
        outcome = sender_of(exporter_to(server)).send(b"")
    assert (outcome.verdict, outcome.error_type) == (Verdict.REFUSED, str(status))
    assert "no such tenant" in outcome.words


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_page_that_a_redirect_leads_to_is_no_acknowledgement(status: int) -> None:
    with HttpFarEnd() as server:
        server.answer(Answer(status, headers={"Location": "/login"}))
        assert sender_of(exporter_to(server)).send(b"").verdict is Verdict.REFUSED


def test_retry_after_is_seconds_or_a_date_and_bounded() -> None:
    with HttpFarEnd() as server:
        sender = sender_of(exporter_to(server))

        def heard(value: str) -> float | None:
            server.answer(Answer(429, headers={"Retry-After": value}))
            return sender.send(b"").retry_after

        assert heard("7") == 7.0
        assert heard("0") == 0.0
        assert heard("-5") == 0.0
        assert heard("1e9") == 3600.0
        assert heard("soon") is None
        assert heard("nan") is None
        assert heard(email.utils.formatdate(time.time() + 30, usegmt=True)) == pytest.approx(30, abs=2)
        assert heard(email.utils.formatdate(time.time() - 30, usegmt=True)) == 0.0


@pytest.mark.parametrize("content_type", [PROTOBUF, "application/json", "text/plain; charset=utf-8"])
def test_the_servers_words_are_read_in_what_it_speaks(content_type: str) -> None:
    with HttpFarEnd() as server:
        server.answer(Answer(403, "no key", content_type=content_type))
        assert sender_of(exporter_to(server)).send(b"").words == "403 Forbidden: no key"


def test_long_words_are_cut() -> None:
    with HttpFarEnd() as server:
        server.answer(Answer(403, "<html>" + "x" * 100_000, content_type="text/html"))
        assert len(sender_of(exporter_to(server)).send(b"").words) == 300


@pytest.mark.parametrize("content_type", [PROTOBUF, "application/json"])
def test_rejected_spans_are_read_over_http(content_type: str) -> None:
    with HttpFarEnd() as server:
        server.answer(Answer(200, "too old", rejected=3, content_type=content_type))
        outcome = sender_of(exporter_to(server)).send(b"")
    assert (outcome.verdict, outcome.rejected, outcome.words) == (Verdict.DELIVERED, 3, "too old")


@pytest.mark.parametrize("content_type", ["text/plain", PROTOBUF, "application/json"])
def test_an_acknowledgement_that_cannot_be_read_is_one(content_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpFarEnd() as server:
        monkeypatch.setattr("delivery.far_end._content", lambda answer: b"\xffOK")
        server.answer(Answer(200, content_type=content_type))
        assert sender_of(exporter_to(server)).send(b"") == otlp_answers.Outcome(Verdict.DELIVERED)


# What the far end says, over gRPC


@pytest.mark.parametrize(
    "code", ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]
)
def test_grpc_codes_that_may_pass(code: str) -> None:
    with GrpcFarEnd() as server:
        server.answer(Answer(code, "too busy"))
        outcome = sender_of(exporter_to(server)).send(b"")
    assert (outcome.verdict, outcome.error_type, outcome.words) == (Verdict.LATER, code, f"{code}: too busy")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("INVALID_ARGUMENT", Verdict.MALFORMED),
        ("INTERNAL", Verdict.MALFORMED),
        ("UNKNOWN", Verdict.MALFORMED),
        ("UNAUTHENTICATED", Verdict.REFUSED),
        ("PERMISSION_DENIED", Verdict.REFUSED),
        ("UNIMPLEMENTED", Verdict.REFUSED),
        ("NOT_FOUND", Verdict.REFUSED),
        ("ALREADY_EXISTS", Verdict.REFUSED),
        ("RESOURCE_EXHAUSTED", Verdict.REFUSED),
    ],
)
def test_grpc_codes_that_do_not_pass(code: str, verdict: Verdict) -> None:
    with GrpcFarEnd() as server:
        server.answer(Answer(code, "no"))
        outcome = sender_of(exporter_to(server)).send(b"")
    assert (outcome.verdict, outcome.error_type, outcome.words) == (verdict, code, f"{code}: no")


def test_exhausted_resources_may_pass_where_the_server_says_when() -> None:
    with GrpcFarEnd() as server:
        server.answer(Answer("RESOURCE_EXHAUSTED", "quota", retry_after=2.5))
        outcome = sender_of(exporter_to(server)).send(b"")
    assert (outcome.verdict, outcome.retry_after) == (Verdict.LATER, 2.5)


def test_a_message_that_is_too_large_is_about_what_was_sent() -> None:
    with GrpcFarEnd() as server:
        payload = otlp_payloads.encoded(make_spans("a", prompt="x" * 5_000_000))
        outcome = sender_of(exporter_to(server)).send(payload)
    assert (outcome.verdict, outcome.error_type) == (Verdict.MALFORMED, "RESOURCE_EXHAUSTED")
    assert server.requests == []


def test_rejected_spans_are_read_over_grpc() -> None:
    with GrpcFarEnd() as server:
        server.answer(Answer("OK", "too old", rejected=3))
        outcome = sender_of(exporter_to(server)).send(b"")
    assert (outcome.verdict, outcome.rejected, outcome.words) == (Verdict.DELIVERED, 3, "too old")


@pytest.mark.skipif(
    not hasattr(GrpcExporter, "_initialize_channel_and_stub"), reason="this exporter does not let a channel be replaced"
)
def test_a_channel_that_failed_is_replaced_so_that_a_server_is_noticed_when_it_is_back() -> None:
    with GrpcFarEnd() as server:
        exporter = exporter_to(server, timeout=2)
        sender = sender_of(exporter)
        server.stop()
        for _ in range(5):
            assert sender.send(b"").error_type == "UNAVAILABLE"
            sender.reconnect()
        server.start()

        def is_delivered() -> bool:
            outcome = sender.send(b"")
            sender.reconnect()
            return outcome.verdict is Verdict.DELIVERED

        # One that is not replaced waits for up to two minutes before it tries again.
        wait_until(is_delivered, "the server to be noticed", seconds=30)


# What the network says


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_listening_may_pass(protocol: str) -> None:
    with far_end(protocol) as server:
        exporter = exporter_to(server, timeout=2)
    outcome = sender_of(exporter).send(b"")
    assert outcome.verdict is Verdict.LATER
    assert outcome.error_type == {"http": "ConnectionError", "grpc": "UNAVAILABLE"}[protocol]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_try_takes_no_longer_than_the_exporters_timeout(protocol: str) -> None:
    with far_end(protocol) as server:
        server.answer(Answer(delay=60))
        started = time.monotonic()
        sender = sender_of(exporter_to(server, timeout=1))
        outcome = sender.send(b"")
        assert time.monotonic() - started < 30
        assert outcome.verdict is Verdict.LATER
        assert outcome.error_type in ("ReadTimeout", "DEADLINE_EXCEEDED")
        assert sender.timeout == 1
        assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [Answer(cut=True), Answer(unread=True)], ids=["instead of an answer", "mid-body"])
def test_a_connection_that_is_reset_may_pass(answer: Answer) -> None:
    with HttpFarEnd() as server:
        server.answer(answer)
        outcome = sender_of(exporter_to(server)).send(otlp_payloads.encoded(make_spans("a", text="x" * 2_000_000)))
    assert (outcome.verdict, outcome.error_type) == (Verdict.LATER, "ConnectionError")


@pytest.mark.parametrize("endpoint", ["collector:4318/v1/traces", "http://", "gopher://collector/v1/traces"])
def test_an_address_that_is_none_does_not_pass(endpoint: str) -> None:
    outcome = sender_of(HttpExporter(endpoint)).send(b"")
    assert outcome.verdict is Verdict.REFUSED


def test_a_channel_that_was_closed_keeps_the_request() -> None:
    with GrpcFarEnd() as server:
        exporter = exporter_to(server)
        sender = sender_of(exporter)
        sender.send(b"")
        exporter.shutdown()
        assert sender.send(b"").verdict in (Verdict.LATER, Verdict.DELIVERED)  # before 1.31 shutdown closed nothing


# Exporters of another kind, and those that do part of the sending themselves


def test_any_exporter_gets_the_spans_themselves() -> None:
    exporter = ScriptedExporter()
    sender = sender_of(exporter)
    spans = make_spans("a")
    assert sender.export(spans, b"").verdict is Verdict.DELIVERED
    assert exporter.batches == [list(spans)]
    exporter.refuse = lambda batch: True
    assert sender.send(otlp_payloads.encoded(spans)).verdict is Verdict.LATER
    exporter.error = RuntimeError("no")
    assert sender.export(spans, b"") == otlp_answers.Outcome(Verdict.LATER, "no", "RuntimeError")


def test_an_exporter_that_returns_nothing_has_not_refused() -> None:
    class Silent(ScriptedExporter):
        def export(self, spans):
            super().export(spans)

    assert sender_of(Silent()).export(make_spans("a"), b"").verdict is Verdict.DELIVERED


def test_a_subclass_that_changes_what_is_exported_is_asked_to_export() -> None:
    class Filtering(HttpExporter):
        def export(self, spans):
            return super().export([span for span in spans if span.name != "health"])

    with HttpFarEnd() as server:
        sender = sender_of(Filtering(server.traces_endpoint))
        assert sender.send(otlp_payloads.encoded(make_spans("health", "a"))).verdict is Verdict.DELIVERED
        assert server.names == ["a"]


def test_an_exporter_whose_export_was_replaced_is_asked_to_export() -> None:
    with HttpFarEnd() as server:
        exporter = HttpExporter(server.traces_endpoint)
        release = exporter.export
        exporter.export = lambda spans: release([span for span in spans if span.name != "health"])
        sender_of(exporter).send(otlp_payloads.encoded(make_spans("health", "a")))
        assert server.names == ["a"]


def test_a_subclass_that_only_sets_up_is_sent_for() -> None:
    class Preset(HttpExporter):
        def __init__(self, endpoint: str) -> None:
            super().__init__(endpoint, headers={"x-team": "search"})

    with HttpFarEnd() as server:
        server.answer(Answer(503))
        assert sender_of(Preset(server.traces_endpoint)).send(b"").error_type == "503"
        assert server.requests[0].headers["x-team"] == "search"


def test_an_exporter_that_is_built_in_another_way_is_asked_to_export(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_an_unknown_version(exporter: SpanExporter) -> None:
        raise AttributeError("_session")

    monkeypatch.setattr(otlp_sending._HttpSender, "of", of_an_unknown_version)
    with HttpFarEnd() as server:
        sender = sender_of(HttpExporter(server.traces_endpoint))
        assert isinstance(sender, otlp_sending._AnySender)
        assert sender.send(otlp_payloads.encoded(make_spans("a"))).verdict is Verdict.DELIVERED
        assert server.names == ["a"]


# Destinations


def test_a_destination_is_address_protocol_and_the_users_headers() -> None:
    def key(*arguments, **options) -> str:
        return destination_of(HttpExporter(*arguments, **options)).key

    same = key("http://a:1/v1/traces", headers={"X-Tenant": "a", "b": "c"})
    assert key("http://a:1/v1/traces", headers={"b": "c", "x-tenant": "a"}) == same
    assert key("http://a:1/v1/traces", headers={"X-Tenant": "a", "b": "c"}, compression=Compression.Gzip) == same
    assert key("http://a:1/v1/traces", headers={"X-Tenant": "b", "b": "c"}) != same
    assert key("http://a:2/v1/traces", headers={"X-Tenant": "a", "b": "c"}) != same
    assert key("http://a:1/v1/traces") != same
    assert destination_of(GrpcExporter("http://a:1")).key != destination_of(HttpExporter("http://a:1")).key


def test_another_version_of_the_exporter_has_the_same_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = HttpExporter("http://a:1/v1/traces", headers={"x-tenant": "a"})
    before = destination_of(exporter)
    for holder in (getattr(exporter, "_session", None), getattr(exporter, "_client", None)):
        headers = getattr(holder, "headers", None) or getattr(holder, "_headers", None)
        if headers is not None:
            headers["User-Agent"] = "OTel-OTLP-Exporter-Python/9.0"
    assert destination_of(exporter) == before


def test_nothing_secret_is_in_what_names_a_destination() -> None:
    exporter = HttpExporter("https://user:secret@a:1/v1/traces?key=secret#secret", headers={"authorization": "secret"})
    destination = destination_of(exporter)
    assert destination.endpoint == "https://a:1/v1/traces"
    assert destination.server == {"server.address": "a", "server.port": 1}
    assert "secret" not in repr(destination)


def test_the_address_of_grpc_is_the_exporters() -> None:
    destination = destination_of(GrpcExporter("http://collector:4317", insecure=True))
    assert (destination.endpoint, destination.protocol) == ("collector:4317", "grpc")
    assert destination.server == {"server.address": "collector", "server.port": 4317}


def test_of_other_exporters_nothing_tells_the_destination() -> None:
    assert destination_of(InMemorySpanExporter()) is None
    assert unnamed_destination_of(InMemorySpanExporter()).protocol.endswith(".InMemorySpanExporter")


# Taking requests apart, and back


def test_halves_of_a_request_hold_each_span_once_under_its_own_resource_and_scope() -> None:
    spans = [*make_spans(*numbered("a", 5), scope="one"), *make_spans(*numbered("b", 4), scope="two")]
    (first, first_count), (second, second_count) = otlp_payloads.halves(otlp_payloads.encoded(spans))
    assert (first_count, second_count) == (4, 5)
    decoded = [*otlp_payloads.decoded(first), *otlp_payloads.decoded(second)]
    assert [span.name for span in decoded] == [span.name for span in spans]
    assert [span.instrumentation_scope.name for span in decoded] == ["one"] * 5 + ["two"] * 4
    assert encode_spans(decoded) == encode_spans(spans)


@pytest.mark.parametrize("count", [0, 1])
def test_what_has_no_halves_stays_as_it_is(count: int) -> None:
    payload = otlp_payloads.encoded(make_spans(*numbered("a", count)))
    assert otlp_payloads.halves(payload) == [(payload, count)]


def test_decoded_spans_encode_to_the_same_request() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource({"service.name": "shop", "n": 1}, "https://schema.example/1"),
        span_limits=SpanLimits(max_span_attributes=8, max_events=1, max_links=1),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("scope", "2.0", "https://schema.example/2", {"k": "v"})
    other = SpanContext(3, 4, True, TraceFlags(1), TraceState([("a", "b")]))
    links = [Link(other, {"l": 1}), Link(SpanContext(5, 6, False), {"l": 2})]
    with tracer.start_as_current_span("parent", kind=SpanKind.SERVER, links=links) as parent:
        parent.set_attributes({"s": "ä", "i": 2**53, "f": 0.5, "b": True, "l": ["x", "y"], "n": [1, 2], "e": []})
        parent.set_attributes({f"k{number}": number for number in range(3)})
        parent.add_event("first", {"a": 1})
        parent.add_event("second", {"a": 2})
        with tracer.start_as_current_span("child", kind=SpanKind.PRODUCER) as child:
            child.set_status(Status(StatusCode.ERROR, "broken"))
        with tracer.start_as_current_span("fine") as fine:
            fine.set_status(Status(StatusCode.OK))
    spans = memory.get_finished_spans()
    assert any(span.dropped_attributes for span in spans)
    assert any(span.dropped_events for span in spans)
    assert any(span.dropped_links for span in spans)
    payload = otlp_payloads.encoded(spans)
    assert otlp_payloads.encoded(otlp_payloads.decoded(payload)) == payload
