# SPDX-License-Identifier: Apache-2.0
"""What stamping a log record costs, beside a processor that sets one attribute.

A whole emission is measured: the record is made, and one processor, or two, are told of it. No exporter is behind them.
"""

from typing import Any

from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

import otel_loggedmodel
from benchmarks.isolated import in_fresh_process
from benchmarks.measuring import Contestant, Timings, measure
from benchmarks.reporting import Budget, Column, Report, Row, Table
from otel_loggedmodel.attributes import ID

METHOD = "CPU time of this thread; no exporter; the least of many slices, contestants in turns"
MODEL_ID = "m-0123456789abcdef0123456789abcdef"
RECORDS_PER_SLICE = 100
ROUNDS_PER_BLOCK = 100
PROCESSES = 4
BLOCKS_PER_PROCESS = 4

BARE = "bare SDK: one empty processor"
FLOOR = "+ one that sets one attribute"
IDLE = "+ ours, no version active"
DEFAULT = "+ ours, stamped by process default"
SCOPED = "+ ours, stamped by scope"
IN_SPAN = "+ ours, stamped by the span's version"


class _Empty(LogRecordProcessor):
    """Does nothing."""

    def on_emit(self, log_record: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class _Floor(_Empty):
    """The least that stamping takes."""

    def on_emit(self, log_record: Any) -> None:
        log_record.log_record.attributes[ID] = MODEL_ID


def run() -> Report:
    """Measure."""
    timings = Timings.joined(in_fresh_process(_stamping) for _ in range(PROCESSES))
    rows = [Row(BARE, {"a record": timings.each(BARE).times(1e-3)})]
    budgets = []
    for label in (FLOOR, IDLE, DEFAULT, SCOPED, IN_SPAN):
        whole = timings.figure(lambda took, label=label: took[label] / took[FLOOR])
        added = timings.figure(lambda took, label=label: (took[label] - took[BARE]) / (took[FLOOR] - took[BARE]))
        figures = {
            "a record": timings.each(label).times(1e-3),
            "added": timings.figure(lambda took, label=label: (took[label] - took[BARE]) / 1000),
            "of one attribute": added,
            "whole": whole,
        }
        rows.append(Row(label, figures))
        if label not in (FLOOR, IDLE):
            budgets.append(Budget(f"{label}, of an emission with one that sets one attribute", whole, 1.3))
    columns = [
        Column("a record", "us", 2),
        Column("added", "us", 2),
        Column("of one attribute", "x", 2),
        Column("whole", "x", 2),
    ]
    return Report(tables=[Table("Emitting a log record of 4 attributes", METHOD, columns, rows)], budgets=budgets)


def _stamping() -> Timings:
    tracer = TracerProvider(shutdown_on_exit=False)
    tracer.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
    with otel_loggedmodel.use_model(model_id=MODEL_ID):
        span = tracer.get_tracer("benchmarks").start_span("request")

    def emitting(*processors: LogRecordProcessor) -> Any:
        provider = LoggerProvider(shutdown_on_exit=False)
        for processor in processors:
            provider.add_log_record_processor(processor)
        logger = provider.get_logger("benchmarks")
        attributes = {"code.file.path": "a.py", "code.line.number": 7, "code.function.name": "f", "thread": "main"}

        def emit(times: int) -> None:
            for _ in range(times):
                logger.emit(_logs.LogRecord(body="said", attributes=attributes))

        return emit

    ours = emitting(_Empty(), otel_loggedmodel.LoggedModelLogRecordProcessor())

    def with_default(times: int) -> None:
        otel_loggedmodel.set_active_model(model_id=MODEL_ID)
        try:
            ours(times)
        finally:
            otel_loggedmodel.clear_active_model()

    def with_scope(times: int) -> None:
        with otel_loggedmodel.use_model(model_id=MODEL_ID):
            ours(times)

    def in_span(times: int) -> None:
        with trace.use_span(span):
            ours(times)

    return measure(
        [
            Contestant(BARE, emitting(_Empty())),
            Contestant(FLOOR, emitting(_Empty(), _Floor())),
            Contestant(IDLE, ours),
            Contestant(DEFAULT, with_default),
            Contestant(SCOPED, with_scope),
            Contestant(IN_SPAN, in_span),
        ],
        operations=RECORDS_PER_SLICE,
        blocks=BLOCKS_PER_PROCESS,
        rounds_per_block=ROUNDS_PER_BLOCK,
        warm_up=10,
    )
