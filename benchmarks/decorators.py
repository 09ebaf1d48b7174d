# SPDX-License-Identifier: Apache-2.0
"""What a call costs that a decorator traces: ours, MLflow's, and a plain span for comparison."""

import contextlib
import time
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otel_loggedmodel
from benchmarks import peers
from benchmarks.measuring import Contestant, Timings, measure
from benchmarks.reporting import Column, Row, Table
from benchmarks.spans import NullExporter

CALLS_PER_TRACE = 10
TRACES_PER_SLICE = 20
BLOCKS = 8
ROUNDS_PER_BLOCK = 2
BLOCKS_UNTIL_DELIVERED = 4

PLAIN = "plain span, start_as_current_span"
OURS = "ours, @trace"
RECORDING = "ours, @trace with arguments and result"
MLFLOW = "MLflow's @mlflow.trace, which records both"

QUESTION = "Which of your plans covers a second phone?"

_Call = Callable[[str], str]


def traced_calls() -> tuple[Table, list[str]]:
    """The table, and what a reader has to know of it."""
    contestants = _ours()
    skipped = []
    notes = []
    with contextlib.ExitStack() as stack:
        try:
            contestants.append(_mlflows(stack))
            notes.append(
                "MLflow writes traces in a thread of its own, here into a SQLite file: the process's figure holds that "
                "too, the call's does not."
            )
        except peers.Unavailable as error:
            skipped.append(Row(MLFLOW, skipped=str(error)))
        operations = TRACES_PER_SLICE * CALLS_PER_TRACE
        calls = measure(contestants, operations=operations, blocks=BLOCKS, rounds_per_block=ROUNDS_PER_BLOCK)
        processes = measure(
            [Contestant(each.label, _until_delivered(each)) for each in contestants],
            operations=operations,
            blocks=BLOCKS_UNTIL_DELIVERED,
            rounds_per_block=1,
            clock=time.process_time_ns,
        )
        otel_loggedmodel.clear_active_model()
    method = (
        f"a traced function that calls another {CALLS_PER_TRACE - 1} times, with the SDK's batch processor before an "
        "exporter to nowhere; per call the CPU time of its thread, and of the whole process until all is delivered"
    )
    columns = [Column("call", "us", 1), Column("of plain", "x", 1), Column("process", "us", 1)]
    rows = [_row(each.label, calls, processes) for each in contestants]
    return Table("traced calls, a version active", method, columns, [*rows, *skipped]), notes


def _row(label: str, calls: Timings, processes: Timings) -> Row:
    return Row(
        label,
        {
            "call": calls.each(label).times(1e-3),
            "of plain": calls.figure(lambda took: took[label] / took[PLAIN]),
            "process": processes.each(label).times(1e-3),
        },
    )


def _until_delivered(contestant: Contestant) -> Callable[[int], None]:
    def run(count: int) -> None:
        contestant.run(count)
        contestant.after()

    return run


def _ours() -> list[Contestant]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(NullExporter()))
    trace.set_tracer_provider(provider)
    otel_loggedmodel.set_active_model(name="support-agent")
    bare = TracerProvider(shutdown_on_exit=False)
    bare.add_span_processor(BatchSpanProcessor(NullExporter()))
    tracer = bare.get_tracer("application")

    def in_plain_span(function: _Call) -> _Call:
        def call(question: str) -> str:
            with tracer.start_as_current_span(function.__name__):
                return function(question)

        return call

    return [
        _traces(PLAIN, in_plain_span, bare.force_flush),
        _traces(OURS, otel_loggedmodel.trace, provider.force_flush),
        _traces(RECORDING, otel_loggedmodel.trace(record_arguments=True, record_result=True), provider.force_flush),
    ]


def _mlflows(stack: contextlib.ExitStack) -> Contestant:
    mlflow = stack.enter_context(peers.mlflow_with_active_model("support-agent"))
    return _traces(MLFLOW, mlflow.trace, mlflow.flush_trace_async_logging)


def _traces(label: str, decorate: Callable[[_Call], _Call], deliver: Callable[[], object]) -> Contestant:
    @decorate
    def answer(question: str) -> str:
        return question

    @decorate
    def agent(question: str) -> str:
        for _ in range(CALLS_PER_TRACE - 1):
            answer(question)
        return question

    def run(count: int) -> None:
        for _ in range(count // CALLS_PER_TRACE):
            agent(QUESTION)

    return Contestant(label, run, after=deliver)
