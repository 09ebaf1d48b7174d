# SPDX-License-Identifier: Apache-2.0
"""How requests with metrics are answered: nothing here stores them, but no SDK should log an error each minute.

Distributions export metrics by default, once a minute. After a refusal, every SDK logs an error each time. After a
partial success, some do (Go's). So a sender gets a partial success once an hour, and in between its requests are
answered as if they were taken. Clients do not send again after either:
https://opentelemetry.io/docs/specs/otlp/#partial-success-1
"""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from otel_loggedmodel.server.compression import decompress
from otel_loggedmodel.server.decoding import JSON
from otel_loggedmodel.server.refusing import RefusalError

WORDS: Final = (
    "this backend stores no metrics, so these and their exemplars were dropped: it reads tokens, cost and latency from "
    "spans. "
    "OTEL_METRICS_EXPORTER=none switches the exporter off"
)
_SECONDS: Final = 3600.0
_MOST_SENDERS: Final = 1000
_MOST_BYTES: Final = 1024 * 1024


class DeclinedMetrics:
    """Answers requests with metrics. Safe to use from several threads.

    Args:
        clock: Seconds that never jump; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: OrderedDict[str, float] = OrderedDict()

    def answer(self, sender: str, count: Callable[[], int]) -> ExportMetricsServiceResponse:
        """What a sender is answered, by its address.

        Args:
            sender: The address.
            count: Counts the data points that it has sent; called only if the sender is told.
        """
        now = self._clock()
        with self._lock:
            told = self._told.get(sender)
            if told is not None and now - told < _SECONDS:
                return ExportMetricsServiceResponse()
            self._told[sender] = now
            self._told.move_to_end(sender)
            if len(self._told) > _MOST_SENDERS:
                self._told.popitem(last=False)
        return ExportMetricsServiceResponse(
            partial_success=ExportMetricsPartialSuccess(rejected_data_points=count(), error_message=WORDS)
        )


def points_in(body: bytes, content_type: str, encoding: str) -> int:
    """How many data points a request has; 0 where it cannot be read, or is so large that counting would take long."""
    try:
        plain = decompress(body, encoding, _MOST_BYTES)
        if content_type == JSON:
            return sum(map(_points_in_json, _listed(json.loads(plain), "resourceMetrics")))
        request = ExportMetricsServiceRequest.FromString(plain)
    except (RefusalError, DecodeError, ValueError, RecursionError):
        return 0
    return sum(
        len(getattr(metric, kind).data_points)
        for resource_metrics in request.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        if (kind := metric.WhichOneof("data")) is not None
    )


def _points_in_json(resource_metrics: object) -> int:
    return sum(
        len(_listed(data, "dataPoints"))
        for scope_metrics in _listed(resource_metrics, "scopeMetrics")
        for metric in _listed(scope_metrics, "metrics")
        for data in (metric.values() if isinstance(metric, dict) else ())
    )


def _listed(value: object, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []
