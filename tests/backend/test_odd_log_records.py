# SPDX-License-Identifier: Apache-2.0
"""Log records that are odd, each beside sound ones: nothing else is lost, over HTTP, in JSON, and over gRPC."""

import gzip
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from asking import JSON, PROTOBUF, ask
from log_requests import in_json, pairs_of, record, score
from log_requests import request as request_of

from .serving import Serving

EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
MIB = 2**20
BODIES: dict[str, tuple[object, str | None]] = {
    "text": ("said", "said"),
    "empty": ("", None),
    "true": (True, "true"),
    "whole": (-7, "-7"),
    "number": (0.5, "0.5"),
    "not a number": (math.nan, "NaN"),
    "bytes": (b"\x00\xff", "AP8="),
    "list": ([1, "a", None], '[1,"a",null]'),
    "nothing": (None, None),
}


@dataclass(frozen=True)
class Arrived:
    """What a backend has of the records of one transport.

    Attributes:
        version: Of the version, as the API has it.
        other: Of the version whose two calls say one response id.
        events: On the spans of the first trace, by the span's id.
        since_ns: Before they were sent.
        notes: Of a comparison.
    """

    version: dict[str, Any]
    other: dict[str, Any]
    events: dict[str, list[dict[str, Any]]]
    since_ns: int
    notes: list[str]

    def named(self, name: str) -> dict[str, Any]:
        """The record that has this for its attribute `case`."""
        found = [one for of_span in self.events.values() for one in of_span if one["attributes"].get("case") == name]
        assert len(found) == 1, name
        return found[0]


def over_http(serving: Serving, sent: ExportLogsServiceRequest) -> ExportLogsServiceResponse:
    answer = ask(serving.http, "POST", "/v1/logs", sent.SerializeToString(), {"content-type": PROTOBUF})
    assert answer.status == 200, answer
    return ExportLogsServiceResponse.FromString(answer.body)


def in_json_over_http(serving: Serving, sent: ExportLogsServiceRequest) -> ExportLogsServiceResponse:
    answer = ask(
        serving.http,
        "POST",
        "/v1/logs",
        gzip.compress(in_json(sent)),
        {"content-type": JSON, "content-encoding": "gzip"},
    )
    assert (answer.status, answer.body) == (200, b"{}")
    return ExportLogsServiceResponse()


def over_grpc(serving: Serving, sent: ExportLogsServiceRequest) -> ExportLogsServiceResponse:
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(serving.grpc, options) as channel:
        answer = channel.unary_unary(EXPORT)(sent.SerializeToString(), timeout=60)
    return ExportLogsServiceResponse.FromString(answer)


TRANSPORTS: dict[str, Callable[[Serving, ExportLogsServiceRequest], ExportLogsServiceResponse]] = {
    "http": over_http,
    "json": in_json_over_http,
    "grpc": over_grpc,
}
CALL, ENTRY = "00000000000000c1", "00000000000000e1"


def trace_of(transport: str, number: int) -> str:
    return f"{list(TRANSPORTS).index(transport) + 1:016x}{number:016x}"


def spans(transport: str) -> bytes:
    """One trace of a version, and two of another whose calls say the same response id."""
    made = ExportTraceServiceRequest()
    target = made.resource_spans.add().scope_spans.add().spans
    start = time.time_ns() - 10**9
    for number, version in enumerate((f"odd-{transport}", f"twice-{transport}", f"twice-{transport}"), 1):
        for span, parent in ((ENTRY, ""), (CALL, ENTRY)):
            one = target.add(
                trace_id=bytes.fromhex(trace_of(transport, number)),
                span_id=bytes.fromhex(span),
                parent_span_id=bytes.fromhex(parent),
                name="step",
                start_time_unix_nano=start + number,
                end_time_unix_nano=start + number + 10**6,
            )
            said = {"gen_ai.operation.name": "chat", "gen_ai.response.id": f"r-{version}"} if parent else {}
            one.attributes.extend(pairs_of({"logged_model.id": version, **said}))
    return made.SerializeToString()


def records(transport: str) -> list[LogRecord]:
    """What is odd, and a sound score before and after it."""
    at_call: dict[str, Any] = {"trace": trace_of(transport, 1), "span": CALL}

    def case(name: str, body: object = "said", **more: Any) -> LogRecord:
        return record(body, **{**at_call, **more}, attributes={"case": name})

    return [
        score("sound", 1.0, **at_call),
        score("", 1.0, **at_call, attributes={"case": "no name"}),
        record(None, **at_call, event="gen_ai.evaluation.result", attributes={"case": "nothing said"}),
        score("not a number", math.nan, **at_call),
        score("endless", math.inf, **at_call),
        score("no number", **at_call, attributes={"gen_ai.evaluation.score.value": "good"}),
        score("a text", **at_call, attributes={"gen_ai.evaluation.score.value": "0.25"}),
        score("a list", **at_call, attributes={"gen_ai.evaluation.score.value": [1.0]}),
        score("whole", **at_call, attributes={"gen_ai.evaluation.score.value": 1}),
        score("of a span that never comes", 1.0, trace="f" * 32, span="f" * 16),
        score("of two calls", 0.5, attributes={"gen_ai.response.id": f"r-twice-{transport}"}),
        *(case(name, body) for name, (body, _) in BODIES.items()),
        case("map", {"role": "user", "deep": {"er": [1.5]}}),
        case("a MiB", "x" * MIB),
        case("two MiB", "ü" * MIB),
        case("a MiB of bytes", b"y" * MIB),
        case("no time", at=0),
        case("the end of time", at=2**63),
        case("observed", at=0, observed_time_unix_nano=time.time_ns() - 5),
        case("short span", span=CALL[:6]),
        case("long span", span=CALL * 2),
        case("zeros for a span", span="0" * 16),
        record("short trace", trace=trace_of(transport, 1)[:20], span=CALL),
        record("long trace", trace=trace_of(transport, 1) * 2, span=CALL),
        record("no trace", span=CALL),
        score("sound", 0.0, **at_call),
    ]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("odd")
    with Serving(directory / "log", "--data", directory / "data", "--logs", "all") as serving:
        yield serving


@pytest.fixture(scope="module", params=TRANSPORTS)
def arrived(serving: Serving, request: pytest.FixtureRequest) -> Arrived:
    transport: str = request.param
    assert serving.post(spans(transport)).status == 200
    since = time.time_ns()
    sent = records(transport)
    before = accepted(serving)
    answer = TRANSPORTS[transport](serving, request_of(*sent))
    assert not answer.HasField("partial_success")
    assert accepted(serving) == before + len(sent)
    compared = serving.get("/api/v1/compare", [("version", f"{kind}-{transport}") for kind in ("odd", "twice")])
    trace = serving.get(f"/api/v1/traces/{trace_of(transport, 1)}")
    version, other = compared["versions"]
    events = {span["span_id"]: span["events"] for span in trace["spans"]}
    return Arrived(version, other, events, since, compared["notes"])


def accepted(serving: Serving) -> float:
    lines = ask(serving.http, "GET", "/metrics").body.decode().splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("otel_loggedmodel_log_accepted_records_total")
    )


def test_scores_that_can_be_read_count_and_the_others_do_not(arrived: Arrived) -> None:
    found = {name: (one["mean"], one["count"]) for name, one in arrived.version["scores"].items()}
    assert found == {"sound": (0.5, 2), "a text": (0.25, 1), "whole": (1.0, 1)}


def test_a_score_of_a_response_of_two_calls_counts_once(arrived: Arrived) -> None:
    assert {name: one["count"] for name, one in arrived.other["scores"].items()} == {"of two calls": 1}


def test_a_score_of_a_span_that_never_comes_is_told_of(arrived: Arrived) -> None:
    assert [note for note in arrived.notes if "log records" in note and "not counted" in note]


@pytest.mark.parametrize("name", [*BODIES, "map"])
def test_bodies_of_every_type_are_shown(arrived: Arrived, name: str) -> None:
    attributes = arrived.named(name)["attributes"]
    if name == "map":
        assert (attributes["role"], attributes["deep"]) == ("user", '{"er": [1.5]}')
    else:
        assert attributes.get("body") == BODIES[name][1]


def test_bodies_of_a_mebibyte_are_whole_and_longer_ones_are_cut(arrived: Arrived) -> None:
    assert arrived.named("a MiB")["attributes"]["body"] == "x" * MIB
    assert arrived.named("two MiB")["attributes"]["body"] == "ü" * (MIB // 2)
    assert arrived.named("a MiB of bytes")["attributes"]["body"]


@pytest.mark.parametrize("name", ["no time", "the end of time"])
def test_a_record_without_a_time_has_that_of_its_arrival(arrived: Arrived, name: str) -> None:
    assert arrived.since_ns <= arrived.named(name)["time_ns"] <= time.time_ns()


def test_a_record_without_a_time_has_the_one_when_it_was_observed(arrived: Arrived) -> None:
    assert arrived.since_ns - 10**9 < arrived.named("observed")["time_ns"] < arrived.since_ns + 60 * 10**9


@pytest.mark.parametrize("name", ["short span", "long span", "zeros for a span"])
def test_a_record_whose_span_id_is_none_is_on_the_entry_span(arrived: Arrived, name: str) -> None:
    assert name in [one["attributes"].get("case") for one in arrived.events[ENTRY]]


def test_a_record_whose_trace_id_is_none_is_in_no_trace(arrived: Arrived) -> None:
    bodies = [one["attributes"].get("body") for of_span in arrived.events.values() for one in of_span]
    assert not {"short trace", "long trace", "no trace"} & set(bodies)


def test_results_that_say_little_are_shown_as_they_are(arrived: Arrived) -> None:
    for name in ("no name", "nothing said"):
        assert arrived.named(name)["name"] == "gen_ai.evaluation.result"
