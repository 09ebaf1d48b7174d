# SPDX-License-Identifier: Apache-2.0
"""Delivering what was kept: throughput against the OTLP exporter that encodes and sends the same spans.

A backlog has to go out faster than new spans come in, or it is never delivered.
"""

import contextlib
import functools
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import otel_loggedmodel
from benchmarks.measuring import Contestant, Timings, measure
from benchmarks.receivers import receiver
from benchmarks.reporting import Budget, Column, Report, Row, Table
from benchmarks.spans import SPANS_PER_TRACE, InBatches, make_trace, tracer_with
from otel_loggedmodel.delivery import delivering, otlp_answers, otlp_payloads, otlp_sending
from otel_loggedmodel.delivery.spool import Kind, Spool

BATCH = 512
BATCHES = 20
BLOCKS = 5
ROUNDS_PER_BLOCK = 5

_COLUMNS = [
    Column("exporting", "spans/s", 0),
    Column("sending the bytes", "spans/s", 0),
    Column("draining", "spans/s", 0),
    Column("of exporting", "x", 2),
    Column("of sending", "x", 2),
]


def run() -> Report:
    """Measure."""
    otel_loggedmodel.set_active_model("support-agent")
    spans = _batch()
    payload = otlp_payloads.encoded(spans)
    rows: list[Row] = []
    budgets: list[Budget] = []
    with contextlib.ExitStack() as stack:
        ports = {protocol: stack.enter_context(receiver(protocol)) for protocol in ("http", "grpc")}
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        exporters: dict[str, SpanExporter] = {
            "OTLP/HTTP": HttpExporter(endpoint=f"http://127.0.0.1:{ports['http']}/v1/traces"),
            "OTLP/gRPC": GrpcExporter(endpoint=f"http://127.0.0.1:{ports['grpc']}", insecure=True),
        }
        for name, exporter in exporters.items():
            row = _row(name, _measured(exporter, spans, payload, directory / name.replace("/", "-")))
            rows.append(row)
            throughput = row.figures["of exporting"]
            budgets.append(Budget(f"{name}, draining, of exporting", throughput, 0.8, at_least=True))
            exporter.shutdown()
    method = (
        f"{BATCHES} requests of {BATCH} spans, {len(payload) // BATCH} B each; wall-clock time, the receiver in "
        f"another process; least of {ROUNDS_PER_BLOCK} turns, median of {BLOCKS} such blocks, and quartiles"
    )
    return Report([Table("delivering what was kept", method, _COLUMNS, rows)], budgets)


def _measured(
    exporter: SpanExporter, spans: Sequence[ReadableSpan], payload: bytes, directory: pathlib.Path
) -> Timings:
    spool = Spool(directory)
    sender = otlp_sending.sender_of(exporter)

    def export() -> bool:
        return exporter.export(spans) is SpanExportResult.SUCCESS

    def send() -> bool:
        return sender.send(payload).verdict is otlp_answers.Verdict.DELIVERED

    def fill() -> None:
        for _ in range(BATCHES):
            spool.append(Kind.SPANS, payload, BATCH)

    def drain(_: int) -> None:
        drained = delivering.drain(spool, exporter, deadline=time.monotonic() + 60)
        if drained.delivered != BATCHES * BATCH:
            raise RuntimeError(f"not everything was delivered: {drained}")

    timings = measure(
        [
            Contestant("exporting", functools.partial(_all, export)),
            Contestant("sending the bytes", functools.partial(_all, send)),
            Contestant("draining", drain, before=fill),
        ],
        operations=1,
        blocks=BLOCKS,
        rounds_per_block=ROUNDS_PER_BLOCK,
        clock=time.perf_counter_ns,
    )
    spool.close()
    return timings


def _all(deliver: Callable[[], bool], _: int) -> None:
    for _ in range(BATCHES):
        if not deliver():
            raise RuntimeError("a batch was not taken: this would not measure throughput")


def _row(label: str, timings: Timings) -> Row:
    figures = {
        name: timings.figure(lambda took, name=name: BATCH * BATCHES * 1e9 / took[name]) for name in timings.labels
    }
    figures["of exporting"] = timings.figure(lambda took: took["exporting"] / took["draining"])
    figures["of sending"] = timings.figure(lambda took: took["sending the bytes"] / took["draining"])
    return Row(label, figures)


def _batch() -> Sequence[ReadableSpan]:
    batches: list[Sequence[ReadableSpan]] = []
    tracer = tracer_with(otel_loggedmodel.LoggedModelSpanProcessor(), InBatches(batches.append, BATCH))
    for number in range(0, BATCH, SPANS_PER_TRACE):
        make_trace(tracer, number)
    return batches[0]
