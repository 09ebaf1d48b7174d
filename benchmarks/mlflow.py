# SPDX-License-Identifier: Apache-2.0
"""What it costs an application to tell an MLflow server of versions and their traces, beside only exporting to it.

A real server with its four workers, on SQLite, on the same machine. All contestants send such spans to it over OTLP.
"""

import functools
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import otel_loggedmodel
from benchmarks.measuring import Clock, Contestant, Timings, measure
from benchmarks.peers import Unavailable
from benchmarks.reporting import Budget, Column, Report, Row, Table
from benchmarks.rivals import MLflow
from benchmarks.spans import SPANS_PER_TRACE, InBatches, make_trace, tracer_with
from otel_loggedmodel.mlflow_server.settings import Settings

# Two batches of the batch processor, so that it exports while the application's thread goes on.
SPANS = 1024
BATCH = 512
BLOCKS = 5
ROUNDS_PER_BLOCK = 3

_PLAIN, _WRAPPED, _TRACKING = "OTLP exporter", "LoggedModelExporter", "LoggedModelExporter(mlflow=...)"
_COLUMNS = [
    Column(_PLAIN, "us"),
    Column(_WRAPPED, "us"),
    Column(_TRACKING, "us"),
    Column("of the OTLP exporter's", "x", 3),
]


def run(quick: bool = False) -> Report:
    """Measure.

    Args:
        quick: With a third of the turns.
    """
    try:
        rival = MLflow()
    except Unavailable as missing:
        return Report([Table("telling MLflow", "not measured", _COLUMNS, [Row("MLflow", skipped=str(missing))])])
    model = otel_loggedmodel.create_external_model("support-agent", params={"model": "gpt-5-mini"})
    otel_loggedmodel.set_active_model(model_id=model.model_id)
    with tempfile.TemporaryDirectory() as directory:
        os.environ["OTEL_LOGGEDMODEL_SPOOL_DIR"] = str(pathlib.Path(directory) / "spool")
        os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "60"
        with rival.start(pathlib.Path(directory) / "mlflow") as (_, target):
            return _report(rival.label, target.address, dict(target.headers), 1 if quick else ROUNDS_PER_BLOCK)


def _report(label: str, url: str, headers: dict[str, str], rounds: int) -> Report:
    def plain() -> SpanExporter:
        return OTLPSpanExporter(endpoint=url, headers=headers, timeout=60)

    settings = Settings(url.removesuffix("/v1/traces"), experiment_id="0")
    exporters = {
        _PLAIN: plain(),
        _WRAPPED: otel_loggedmodel.LoggedModelExporter(plain()),
        _TRACKING: otel_loggedmodel.LoggedModelExporter(mlflow=settings),
    }
    for exporter in exporters.values():
        _export(exporter, _spans(SPANS_PER_TRACE))  # opens connections, imports, finds the experiment
    on_end = _row(
        "on_end of the batch processor, on the application's thread, a span; CPU",
        _on_end(exporters, rounds),
    )
    by_cpu = _row("export, on the exporting thread, a span; CPU", _exporting(exporters, rounds, time.thread_time_ns))
    by_wall = _row(
        "export, on the exporting thread, a span; wall clock", _exporting(exporters, rounds, time.perf_counter_ns)
    )
    for exporter in exporters.values():
        exporter.shutdown()
    method = (
        f"{label}; traces of {SPANS_PER_TRACE} spans; {SPANS} spans a turn on the application's thread, {BATCH} on the "
        f"exporting one; least of {rounds} turns, median of {BLOCKS} blocks, and quartiles. Links go out meanwhile"
    )
    ratio = on_end.figures["of the OTLP exporter's"]
    budget = Budget("MLflow on, on_end on the application's thread, of the OTLP exporter's", ratio, 1.1)
    return Report([Table("telling MLflow", method, _COLUMNS, [on_end, by_cpu, by_wall])], [budget])


def _on_end(exporters: dict[str, SpanExporter], rounds: int) -> Timings:
    contestants = []
    for name, exporter in exporters.items():
        processor = BatchSpanProcessor(exporter, max_queue_size=4 * SPANS, schedule_delay_millis=600_000)
        ready: list[ReadableSpan] = []
        contestants.append(
            Contestant(
                name,
                functools.partial(_end, processor.on_end, ready),
                before=functools.partial(_renew, ready, SPANS),
                after=processor.force_flush,
            )
        )
    return measure(contestants, operations=SPANS, blocks=BLOCKS, rounds_per_block=rounds)


def _exporting(exporters: dict[str, SpanExporter], rounds: int, clock: Clock) -> Timings:
    contestants = []
    for name, exporter in exporters.items():
        ready: list[ReadableSpan] = []
        run = functools.partial(_export_once, exporter, ready)
        contestants.append(Contestant(name, run, before=functools.partial(_renew, ready, BATCH)))
    return measure(contestants, operations=BATCH, blocks=BLOCKS, rounds_per_block=rounds, clock=clock)


def _end(on_end: Callable[[ReadableSpan], None], spans: Sequence[ReadableSpan], times: int) -> None:
    for span in spans[:times]:
        on_end(span)


def _export_once(exporter: SpanExporter, spans: Sequence[ReadableSpan], times: int) -> None:
    _export(exporter, spans[:times])


def _export(exporter: SpanExporter, spans: Sequence[ReadableSpan]) -> None:
    if exporter.export(spans) is not SpanExportResult.SUCCESS:
        raise RuntimeError(f"{exporter} did not take a batch: this would not measure what that takes")


def _renew(ready: list[ReadableSpan], count: int) -> None:
    ready[:] = _spans(count)


def _spans(count: int) -> Sequence[ReadableSpan]:
    """Ended spans of new traces: one that was linked is not linked again."""
    batches: list[Sequence[ReadableSpan]] = []
    tracer = tracer_with(otel_loggedmodel.LoggedModelSpanProcessor(), InBatches(batches.append, count))
    for number in range(0, count, SPANS_PER_TRACE):
        make_trace(tracer, number)
    return batches[0]


def _row(label: str, timings: Timings) -> Row:
    figures = {name: timings.each(name).times(1e-3) for name in (_PLAIN, _WRAPPED, _TRACKING)}
    ratio = timings.figure(lambda took: took[_TRACKING] / took[_PLAIN])
    return Row(label, {**figures, "of the OTLP exporter's": ratio})
