# SPDX-License-Identifier: Apache-2.0
"""Throughput of LoggedModelExporter against the exporter that it wraps.

Both are the same exporter object, on one connection, called directly and through the wrapper in turns. The receiver is
another process on loopback.
"""

import contextlib
import functools
import logging
import time
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_loggedmodel
from benchmarks.measuring import Clock, Contestant, Timings, measure
from benchmarks.receivers import receiver
from benchmarks.reporting import Budget, Column, Report, Row, Table
from benchmarks.spans import SPANS_PER_TRACE, InBatches, make_overfull_span, make_trace, tracer_with
from otel_loggedmodel import attributes

BATCH = 512
OVERFULL_ATTRIBUTES = 500
BLOCKS = 9
# Encoding a span of 128 attributes takes ten times what encoding a usual one takes.
ROUNDS_PER_BLOCK = {"usual": 20, "overfull": 8}

_COLUMNS = [Column("bare", "spans/s", 0), Column("wrapped", "spans/s", 0), Column("throughput", "x", 3)]


class _OnlyEncodes(SpanExporter):
    """What every OTLP exporter does with its processor, and nothing that waits."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def run() -> Report:
    """Measure."""
    otel_loggedmodel.set_active_model(
        model_id=otel_loggedmodel.create_external_model("support-agent", params={"model": "gpt-5-mini"}).model_id
    )
    batches = {"usual": _usual_batch(), "overfull": _overfull_batch()}
    size = len(encode_spans(batches["usual"]).SerializeToString()) // BATCH
    kept = len(batches["overfull"][0].attributes or {})
    texts = {
        "usual": f"12 attributes, {size} B",
        "overfull": f"{OVERFULL_ATTRIBUTES} attributes set, {kept} kept, stamp lost",
    }
    rows: list[Row] = []
    budgets: list[Budget] = []
    with contextlib.ExitStack() as stack:
        ports = {protocol: stack.enter_context(receiver(protocol)) for protocol in ("http", "grpc")}
        exporters: dict[str, tuple[SpanExporter, Clock]] = {
            "OTLP/HTTP": (HttpExporter(endpoint=f"http://127.0.0.1:{ports['http']}/v1/traces"), time.perf_counter_ns),
            "OTLP/gRPC": (
                GrpcExporter(endpoint=f"http://127.0.0.1:{ports['grpc']}", insecure=True),
                time.perf_counter_ns,
            ),
            "encoding only, CPU time": (_OnlyEncodes(), time.thread_time_ns),
        }
        for kind, batch in batches.items():
            for name, (exporter, clock) in exporters.items():
                row = _row(f"{name}; {texts[kind]}", _against_itself(exporter, batch, ROUNDS_PER_BLOCK[kind], clock))
                rows.append(row)
                limited = f"{name}, {kind} spans, of the bare exporter's throughput"
                budgets.append(Budget(limited, row.figures["throughput"], 0.95, at_least=True))
        for exporter, _ in exporters.values():
            exporter.shutdown()
    method = (
        f"batches of {BATCH} spans of one version whose records were delivered before; wall-clock time unless it says "
        f"CPU; least of {ROUNDS_PER_BLOCK['usual']} turns, {ROUNDS_PER_BLOCK['overfull']} for the large spans, median "
        f"of {BLOCKS} such blocks, and quartiles"
    )
    return Report([Table("exporting", method, _COLUMNS, rows)], budgets)


def _against_itself(
    exporter: SpanExporter,
    batch: Sequence[ReadableSpan],
    rounds: int,
    clock: Clock,
) -> Timings:
    wrapped = otel_loggedmodel.LoggedModelExporter(exporter)
    return measure(
        [
            Contestant("bare", functools.partial(_export, exporter, batch)),
            Contestant("wrapped", functools.partial(_export, wrapped, batch)),
        ],
        operations=1,
        blocks=BLOCKS,
        rounds_per_block=rounds,
        clock=clock,
    )


def _export(exporter: SpanExporter, batch: Sequence[ReadableSpan], times: int) -> None:
    for _ in range(times):
        if exporter.export(batch) is not SpanExportResult.SUCCESS:
            raise RuntimeError(f"{exporter} did not take a batch: this would not measure its throughput")


def _row(label: str, timings: Timings) -> Row:
    return Row(
        label,
        {
            "bare": timings.figure(lambda took: BATCH * 1e9 / took["bare"]),
            "wrapped": timings.figure(lambda took: BATCH * 1e9 / took["wrapped"]),
            "throughput": timings.figure(lambda took: took["bare"] / took["wrapped"]),
        },
    )


# Batches


def _usual_batch() -> Sequence[ReadableSpan]:
    batches: list[Sequence[ReadableSpan]] = []
    tracer = tracer_with(otel_loggedmodel.LoggedModelSpanProcessor(), InBatches(batches.append, BATCH))
    for number in range(0, BATCH, SPANS_PER_TRACE):
        make_trace(tracer, number)
    return batches[0]


def _overfull_batch() -> Sequence[ReadableSpan]:
    logging.getLogger("opentelemetry.attributes").setLevel(
        logging.ERROR
    )  # one warning for each attribute over the limit
    batches: list[Sequence[ReadableSpan]] = []
    tracer = tracer_with(otel_loggedmodel.LoggedModelSpanProcessor(), InBatches(batches.append, BATCH))
    keys = [f"llm.input_messages.{number}.message.content" for number in range(OVERFULL_ATTRIBUTES)]
    for _ in range(BATCH):
        make_overfull_span(tracer, keys)
    _check_restoring(batches[0])
    return batches[0]


def _check_restoring(batch: Sequence[ReadableSpan]) -> None:
    """Make sure that these spans are the worst case: without a stamp, and with one behind our exporter."""
    received = InMemorySpanExporter()
    otel_loggedmodel.LoggedModelExporter(received).export(batch)
    behind = [span for span in received.get_finished_spans() if span.name == batch[0].name]
    stamped = [attributes.ID in (span.attributes or {}) for span in (*batch, *behind)]
    if stamped != [False] * BATCH + [True] * BATCH:
        raise RuntimeError("the spans did not lose their stamps, or did not get them back")
