# SPDX-License-Identifier: Apache-2.0
"""Export requests for receivers: made by the SDK, stamped by our processor, serialized before anything is measured."""

import os
import random
import time
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import IdGenerator

import otel_loggedmodel
from benchmarks.spans import InBatches, chat_attributes, tracer_with

SPANS = 512

# All ids begin with these bytes, which no text contains. Receivers recognise requests and spans that they have seen
# before, so each request gets other bytes in their place when it is sent.
_MARK = b"\xff\xfe\xfd\xfc"


class Payloads:
    """An endless series of different requests.

    Args:
        spans_per_trace: In a trace; the last of a request has what is left.
        templates: How many requests to make; they return with other ids.
    """

    def __init__(self, spans_per_trace: int, templates: int = 64) -> None:
        self._templates = [_serialized(spans_per_trace, seed) for seed in range(templates)]

    def __getitem__(self, number: int) -> bytes:
        """A request; never the same twice."""
        return self._templates[number % len(self._templates)].replace(_MARK, os.urandom(len(_MARK)))


class LogPayloads:
    """The same of log records, as the standard library's `logging` gives them: six attributes and the stamp."""

    def __init__(self, templates: int = 64) -> None:
        self._templates = [_serialized_records(seed) for seed in range(templates)]

    def __getitem__(self, number: int) -> bytes:
        """A request; never the same twice."""
        return self._templates[number % len(self._templates)].replace(_MARK, os.urandom(len(_MARK)))


def _serialized_records(seed: int) -> bytes:
    numbers, made = random.Random(seed), ExportLogsServiceRequest()
    resource_logs = made.resource_logs.add()
    for key, text in (("service.name", "shop"), ("telemetry.sdk.language", "python"), ("host.name", "a-host")):
        resource_logs.resource.attributes.add(key=key).value.string_value = text
    scope_logs = resource_logs.scope_logs.add()
    scope_logs.scope.name = "shop.orders"
    now = time.time_ns()
    for number in range(SPANS):
        record = scope_logs.log_records.add(
            time_unix_nano=now + number,
            observed_time_unix_nano=now + number,
            severity_number=9,
            severity_text="INFO",
            trace_id=_MARK + numbers.randbytes(12),
            span_id=_MARK + numbers.randbytes(4),
        )
        record.body.string_value = f"order {numbers.getrandbits(40)} of customer {numbers.getrandbits(20)} was priced"
        for key, text in (
            ("code.file.path", "/srv/shop/orders/pricing.py"),
            ("code.function.name", "price"),
            ("request.id", f"{numbers.getrandbits(64):016x}"),
            ("tenant", f"tenant-{number % 20}"),
            ("logged_model.id", f"m-{seed % 2:032x}"),
        ):
            record.attributes.add(key=key).value.string_value = text
        record.attributes.add(key="code.line.number").value.int_value = 117
    return made.SerializeToString()


class _MarkedIds(IdGenerator):
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def generate_trace_id(self) -> int:
        return int.from_bytes(_MARK + self._random.randbytes(12), "big")

    def generate_span_id(self) -> int:
        return int.from_bytes(_MARK + self._random.randbytes(4), "big")


def _serialized(spans_per_trace: int, seed: int) -> bytes:
    batches: list[Sequence[ReadableSpan]] = []
    processor = otel_loggedmodel.LoggedModelSpanProcessor()
    tracer = tracer_with(processor, InBatches(batches.append, SPANS), id_generator=_MarkedIds(seed))
    numbers = random.Random(seed)
    model = otel_loggedmodel.create_external_model("support-agent", params={"revision": str(seed % 2)})
    with otel_loggedmodel.use_model(model):
        left = SPANS
        while left:
            _make_trace(tracer, numbers.getrandbits(128), min(left, spans_per_trace))
            left -= min(left, spans_per_trace)
    (batch,) = batches
    return encode_spans(batch).SerializeToString()


def _make_trace(tracer: trace.Tracer, number: int, spans: int) -> None:
    with tracer.start_as_current_span("POST /chat", kind=trace.SpanKind.SERVER, attributes=chat_attributes(number)):
        for child in range(1, spans):
            attributes = chat_attributes(number + child)
            tracer.start_span("chat gpt-5-mini", kind=trace.SpanKind.CLIENT, attributes=attributes).end()
