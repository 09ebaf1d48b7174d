# SPDX-License-Identifier: Apache-2.0
"""The sibling of `otlp_receiver` for OTLP over gRPC, with the same interface."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn

import grpc  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from otlp_receiver import MalformedError, ReceivedRequest, ReceivedSpan, SpanInbox, spans_of

# What an OTLP sender takes as the same answer: https://opentelemetry.io/docs/specs/otlp/#failures
_GRPC_STATUS: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class OtlpGrpcReceiver(SpanInbox):
    """A receiver of OTLP over gRPC, without TLS, until it is closed.

    `answer_with` takes HTTP statuses here too, and answers with the gRPC status that means the same to a sender.

    Args:
        port: The port; a free one by default.
        host: The address to listen on.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__()
        # Without SO_REUSEPORT a port that is in use is an error, as it is over HTTP.
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
        add_TraceServiceServicer_to_server(_Service(self), self._server)  # type: ignore[no-untyped-call]
        self.host = host
        self.port: int = self._server.add_insecure_port(f"{host}:{port}")
        self._server.start()

    @property
    def endpoint(self) -> str:
        """What belongs into OTEL_EXPORTER_OTLP_ENDPOINT, or into `OTLPSpanExporter(endpoint=...)`."""
        return f"http://{self.host}:{self.port}"

    def close(self) -> None:
        """Stop listening and end every call. What was received stays readable."""
        self._server.stop(grace=0.5).wait()


class _Service(TraceServiceServicer):
    def __init__(self, inbox: SpanInbox) -> None:
        self._inbox = inbox

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:
        if self._inbox.answer_with is not None:
            self._refuse(request, context, self._inbox.answer_with, "refused on request: see answer_with")
        try:
            spans = spans_of(request)
        except MalformedError as error:
            self._refuse(request, context, 400, str(error))
        self._keep(request, context, 200, spans)
        return ExportTraceServiceResponse()

    def _refuse(self, request: ExportTraceServiceRequest, context: Any, status: int, message: str) -> NoReturn:
        self._keep(request, context, status, ())
        context.abort(_GRPC_STATUS.get(status, grpc.StatusCode.UNKNOWN), message)
        raise AssertionError("abort raises")

    def _keep(
        self, request: ExportTraceServiceRequest, context: Any, answer: int, spans: tuple[ReceivedSpan, ...]
    ) -> None:
        headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self._inbox.received(ReceivedRequest(headers, request.ByteSize(), answer, spans))
