# SPDX-License-Identifier: Apache-2.0
"""OTLP over gRPC: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc."""

import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from grpc_status import rpc_status  # type: ignore[import-untyped]

from otel_loggedmodel.server.access import Access
from otel_loggedmodel.server.declining import DeclinedMetrics, points_in
from otel_loggedmodel.server.decoding import PROTOBUF
from otel_loggedmodel.server.intake import LOGS, NO_SUCH_SIGNAL, TRACES, Intake
from otel_loggedmodel.server.metrics import Metrics
from otel_loggedmodel.server.refusing import Reason, RefusalError, unavailable
from otel_loggedmodel.server.settings import Settings

_logger = logging.getLogger(__name__)

_COLLECTOR: Final = "/opentelemetry.proto.collector."
_LANES: Final = {
    _COLLECTOR + "trace.v1.TraceService/Export": TRACES,
    _COLLECTOR + "logs.v1.LogsService/Export": LOGS,
}
_METRICS: Final = _COLLECTOR + "metrics.v1.MetricsService/Export"
_HEALTH: Final = "/grpc.health.v1.Health/Check"
# A serialized grpc.health.v1.HealthCheckResponse: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
_SERVING: Final = b"\x08\x01"
_NOT_SERVING: Final = b"\x08\x02"
# What gRPC's "gzip" and "deflate" begin with; its core knows no others, and refuses them itself. OTLP's requests have
# one field, whose tag is 0x0a.
_ENCODINGS: Final = ((b"\x1f\x8b", "gzip"), (b"\x78", "deflate"))
# Threads beside those that wait for the store, to say at once that there are too many requests.
_SPARE_THREADS: Final = 8


class OtlpGrpc(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The services that OTLP exporters call. They take bytes, as requests of all transports are parsed elsewhere, once.

    Args:
        access: Who may send.
        intake: Where requests go.
        metrics: What is counted.
        trouble: Why nothing can be taken at the moment, or None.
        declined: What requests with metrics are answered.
    """

    def __init__(
        self,
        access: Access,
        intake: Intake,
        metrics: Metrics,
        trouble: Callable[[], str | None],
        declined: DeclinedMetrics,
    ) -> None:
        self._declined = declined
        self._access = access
        self._intake = intake
        self._metrics = metrics
        self._trouble = trouble

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method, or None."""
        method = handler_call_details.method
        if (lane := _LANES.get(method)) is not None:
            take = functools.partial(self._take, lane)
            return grpc.unary_unary_rpc_method_handler(functools.partial(self._answer, take))
        if method == _METRICS:
            return grpc.unary_unary_rpc_method_handler(functools.partial(self._answer, self._decline))
        if method == _HEALTH:
            return grpc.unary_unary_rpc_method_handler(self._check_health)
        if method.startswith(_COLLECTOR):
            return grpc.unary_unary_rpc_method_handler(_refuse_other_signals)
        return None

    def _answer(self, handle: Callable[[bytes, str], bytes], request: bytes, context: Any) -> bytes:
        self._metrics.received_bytes.labels("grpc").inc(len(request))
        try:
            metadata = dict(context.invocation_metadata())
            sender = _address_of(context.peer())
            self._access.check_token(metadata.get("authorization"), sender)
            response = handle(request, sender)
        except RefusalError as error:
            refusal = error
        except Exception:
            _logger.exception("a request failed")
            refusal = unavailable("the backend failed: its log says how")
        else:
            self._metrics.requests.labels("grpc", "OK").inc()
            return response
        status = _status(refusal)
        self._metrics.requests.labels("grpc", status.code.name).inc()
        context.abort_with_status(status)
        raise AssertionError("aborting raises")

    def _decline(self, request: bytes, sender: str) -> bytes:
        count = functools.partial(points_in, request, PROTOBUF, _encoding_of(request))
        return self._declined.answer(sender, count).SerializeToString()

    def _take(self, lane: str, request: bytes, sender: str) -> bytes:
        with self._intake.place() as place:
            place.hold(len(request))
            taken = self._intake.take(request, PROTOBUF, _encoding_of(request), lane).result()
            taken.stored.result()
        return taken.response.SerializeToString()

    def _check_health(self, request: bytes, context: Any) -> bytes:
        return _SERVING if self._trouble() is None else _NOT_SERVING


def make_server(settings: Settings, handler: OtlpGrpc) -> tuple[grpc.Server, ThreadPoolExecutor]:
    """A server that is not started, and the threads in which it answers.

    A request takes a thread while it waits for being stored. Threads are made when they are needed.
    """
    threads = ThreadPoolExecutor(settings.max_in_flight + _SPARE_THREADS, "otel-loggedmodel gRPC")
    options = [
        ("grpc.max_receive_message_length", settings.max_body_bytes),
        # `decoding` decompresses, and not gRPC: older versions of it do so without a limit.
        ("grpc.per_message_decompression", 0),
        # Two backends on one port would take turns.
        ("grpc.so_reuseport", 0),
    ]
    return grpc.server(threads, handlers=[handler], options=options), threads


def _encoding_of(request: bytes) -> str:
    return next((name for start, name in _ENCODINGS if request.startswith(start)), "identity")


def _address_of(peer: str) -> str:
    """The address in what gRPC says of a peer, such as `ipv4:127.0.0.1:50112` or `ipv6:%5B::1%5D:50112`."""
    return unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]")


def _refuse_other_signals(request: bytes, context: Any) -> bytes:
    context.abort_with_status(_status(RefusalError(Reason.UNKNOWN, NO_SUCH_SIGNAL)))
    raise AssertionError("aborting raises")


def _status(error: RefusalError) -> Any:
    status = error.status()
    if error.retry_seconds is not None:
        # Without it RESOURCE_EXHAUSTED is final: https://opentelemetry.io/docs/specs/otlp/#failures
        status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=error.retry_seconds)))
    return rpc_status.to_status(status)
