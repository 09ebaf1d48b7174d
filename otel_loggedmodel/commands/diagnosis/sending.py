# SPDX-License-Identifier: Apache-2.0
"""What the other side answers to a span.

This module sends it first and reads the answer, then the exporter itself does.

Exporters say only whether a span was taken. Sent twice, as by a client that retries, it is the same span.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_loggedmodel.commands.diagnosis.endpoint import TRACES_PATH, Endpoint
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome, Step, within
from otel_loggedmodel.commands.diagnosis.surroundings import captured_warnings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_SECONDS: Final = 3.0
_SERVICE: Final = "otel-loggedmodel-doctor"
_HEADERS_ADVICE: Final = (
    "Set the token with OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer%20<token>'; spaces are written %20."
)
_PATH_ADVICE: Final = (
    f"OTEL_EXPORTER_OTLP_ENDPOINT is the address without {TRACES_PATH}, which is added; "
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is taken as it is."
)
_PROTOCOL_ADVICE: Final = (
    "Is it a receiver of OTLP traces? gRPC wants OTEL_EXPORTER_OTLP_PROTOCOL=grpc and its own port."
)
_BUSY_ADVICE: Final = "It is there, and cannot take spans now: look at its log, its disk and its load."
_HTTP_ADVICE: Final = {
    400: "It did not understand a well-formed request: look at its log.",
    401: _HEADERS_ADVICE,
    403: _HEADERS_ADVICE,
    404: _PATH_ADVICE,
    405: f"{_PROTOCOL_ADVICE} {_PATH_ADVICE}",
    413: "Its limit on the size of requests is below that of a single span.",
    415: "It does not take protobuf, which is what Python's exporters send.",
    429: _BUSY_ADVICE,
}
_GRPC_ADVICE: Final = {
    "UNAUTHENTICATED": _HEADERS_ADVICE,
    "PERMISSION_DENIED": _HEADERS_ADVICE,
    "UNIMPLEMENTED": "It speaks gRPC, but takes no OTLP traces.",
    "UNAVAILABLE": _BUSY_ADVICE,
    "RESOURCE_EXHAUSTED": _BUSY_ADVICE,
    "DEADLINE_EXCEEDED": _BUSY_ADVICE,
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back.

    Attributes:
        is_success: Whether the span was taken, as far as the status goes.
        status: The status, in words.
        advice: What to do about it.
        body: The serialized response.
        content_type: The content type of the body; empty for gRPC.
    """

    is_success: bool
    status: str
    advice: str = ""
    body: bytes = b""
    content_type: str = ""


def make_span() -> "ReadableSpan":
    """A span to send. It has no version, as a diagnosis is not traffic of the application."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, TraceFlags

    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: _SERVICE}))
    ids = RandomIdGenerator()
    sampled = TraceFlags(TraceFlags.SAMPLED)
    now = time.time_ns()
    # A tracer would make none where the environment switches the SDK off.
    return ReadableSpan(
        name="otel-loggedmodel doctor",
        context=SpanContext(ids.generate_trace_id(), ids.generate_span_id(), is_remote=False, trace_flags=sampled),
        resource=resource,
        start_time=now,
        end_time=now,
        instrumentation_scope=InstrumentationScope("otel_loggedmodel.doctor"),
    )


def ask(endpoint: Endpoint, span: "ReadableSpan", deadline: Deadline) -> Step:
    """Send a span as the exporter would, and read the whole answer."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    body = encode_spans([span]).SerializeToString()
    send = _grpc_answer if endpoint.is_grpc else _http_answer
    seconds = deadline.at_most(_SECONDS)
    try:
        # The clients' own time-outs are for each step of a call, not for the whole call.
        answer = within(seconds + 0.5, lambda: send(endpoint, body, max(seconds, 0.01)))
    except TimeoutError as error:
        answer = Answer(is_success=False, status=str(error), advice=_BUSY_ADVICE)
    if not answer.is_success:
        return Step(name="answer", outcome=Outcome.FAILED, text=answer.status, advice=answer.advice)
    return _accepted(answer)


def export(span: "ReadableSpan", deadline: Deadline) -> Step:
    """Send a span through the exporter that the environment configures."""
    from opentelemetry.sdk.trace.export import SpanExportResult

    from otel_loggedmodel.exporter import otlp_exporter_from_environment

    name = "exporter"
    with captured_warnings("opentelemetry") as complaints:
        # Whatever is wrong, it goes wrong for the application, too.
        try:
            exporter = otlp_exporter_from_environment()
        except Exception as error:
            return Step(name=name, outcome=Outcome.FAILED, text=f"it cannot be made: {type(error).__name__}: {error}")
        try:
            result = within(deadline.at_most(_SECONDS), lambda: exporter.export([span]))
        except TimeoutError as error:
            text = f"{type(exporter).__name__} gave {error}"
            return Step(name=name, outcome=Outcome.FAILED, text=text, advice=_BUSY_ADVICE, details=complaints)
        exporter.shutdown()
    kind = f"{type(exporter).__module__.removesuffix('.trace_exporter')}.{type(exporter).__name__}"
    if result is SpanExportResult.SUCCESS:
        return Step(name=name, outcome=Outcome.OK, text=f"{kind} delivered a span", details=complaints)
    return Step(name=name, outcome=Outcome.FAILED, text=f"{kind} could not deliver a span", details=complaints)


def _accepted(answer: Answer) -> Step:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    name = "answer"
    try:
        partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    except DecodeError:
        partial = None
    if partial is None or (answer.content_type and "protobuf" not in answer.content_type and answer.body):
        text = f"{answer.status}, with {answer.content_type or 'a body'} that is no answer to OTLP"
        return Step(name=name, outcome=Outcome.WARNING, text=text, advice=_PROTOCOL_ADVICE)
    if partial.rejected_spans:
        text = f"the span was rejected: {partial.error_message or 'no reason is given'}"
        return Step(name=name, outcome=Outcome.FAILED, text=text, advice="Exporters take this for success.")
    if partial.error_message:
        return Step(name=name, outcome=Outcome.WARNING, text=f"it took the span, but says: {partial.error_message}")
    return Step(name=name, outcome=Outcome.OK, text=f"{answer.status}: it took the span")


def _http_answer(endpoint: Endpoint, body: bytes, seconds: float) -> Answer:
    import requests

    # As in the exporter, REQUESTS_CA_BUNDLE wins over what is set for a session.
    session = requests.Session()
    session.verify = endpoint.certificate or True
    session.cert = endpoint.client_certificate
    if endpoint.client_certificate and endpoint.client_key:
        session.cert = (endpoint.client_certificate, endpoint.client_key)
    headers = {**endpoint.headers, "content-type": "application/x-protobuf"}
    try:
        with session:
            response = session.post(endpoint.url, data=body, headers=headers, timeout=seconds, allow_redirects=False)
    except requests.RequestException as error:
        return Answer(is_success=False, status=f"no answer from {endpoint.url}: {error}", advice=_PROTOCOL_ADVICE)
    status = f"{response.status_code} {response.reason or ''}".strip()
    if not response.ok or response.is_redirect:
        said = response.text[:300].strip() if "html" not in response.headers.get("content-type", "") else ""
        return Answer(
            is_success=False,
            status=f"{endpoint.url} answers {status}{f': {said}' if said.isprintable() and said else ''}",
            advice=_advice_on_status(response.status_code, response.headers.get("location")),
        )
    return Answer(
        is_success=True, status=status, body=response.content, content_type=response.headers.get("content-type", "")
    )


def _advice_on_status(status: int, location: str | None) -> str:
    if location:
        return f"It moved: set OTEL_EXPORTER_OTLP_TRACES_ENDPOINT={location}."
    return _HTTP_ADVICE.get(status) or (_BUSY_ADVICE if status >= 500 else _PROTOCOL_ADVICE)


def _grpc_answer(endpoint: Endpoint, body: bytes, seconds: float) -> Answer:
    import grpc  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

    if endpoint.is_tls:
        channel = grpc.secure_channel(endpoint.address, grpc.ssl_channel_credentials(*_files(endpoint)))
    else:
        channel = grpc.insecure_channel(endpoint.address)
    metadata: Sequence[tuple[str, str]] = tuple(endpoint.headers.items())
    request = ExportTraceServiceRequest.FromString(body)
    try:
        with channel:
            stub = TraceServiceStub(channel)  # type: ignore[no-untyped-call]
            response = stub.Export(request, metadata=metadata, timeout=seconds)
    except grpc.RpcError as error:
        code = error.code().name
        status = f"{endpoint.address} answers {code}: {error.details()}"
        return Answer(is_success=False, status=status, advice=_GRPC_ADVICE.get(code, _PROTOCOL_ADVICE))
    return Answer(is_success=True, status="OK", body=response.SerializeToString())


def _files(endpoint: Endpoint) -> list[bytes | None]:
    """Certificates to trust, key, certificate to show."""
    from pathlib import Path

    names = (endpoint.certificate, endpoint.client_key, endpoint.client_certificate)
    return [Path(name).read_bytes() if name else None for name in names]
