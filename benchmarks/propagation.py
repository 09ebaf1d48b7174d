# SPDX-License-Identifier: Apache-2.0
"""What sending the version with requests takes, and that those who do not ask for it pay nothing."""

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import attach, detach
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import otel_loggedmodel
from benchmarks.measuring import Contestant, measure
from benchmarks.reporting import Column, Report, Row, Table

CALLS_PER_SLICE = 200
BLOCKS = 9
ROUNDS_PER_BLOCK = 15


def run() -> Report:
    """Measure."""
    standard = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
    named = otel_loggedmodel.LoggedModelPropagator(standard, hosts=["search"])
    requests = [
        _request("standard propagators", standard, propagate=None),
        _request("the same, in a scope that does not propagate", standard, propagate=False),
        _request("ours around them, nothing to send", otel_loggedmodel.LoggedModelPropagator(standard), propagate=None),
        _request("ours, the version goes out", otel_loggedmodel.LoggedModelPropagator(standard), propagate=True),
        _request("ours, the version goes out to a host that is named", named, propagate=True),
    ]
    scopes = [_scope("scope", propagate=None), _scope("scope that propagates", propagate=True)]
    method = (
        f"CPU time of the calling thread, inside a client's span; least of {ROUNDS_PER_BLOCK} slices of "
        f"{CALLS_PER_SLICE}, median of {BLOCKS} such blocks, and quartiles"
    )
    return Report(
        [_table("headers of a request", method, requests), _table("use_model, in and out", method, scopes)], []
    )


def _table(title: str, method: str, contestants: list[Contestant]) -> Table:
    timings = measure(contestants, operations=CALLS_PER_SLICE, blocks=BLOCKS, rounds_per_block=ROUNDS_PER_BLOCK)
    first = contestants[0].label
    rows = [
        Row(
            each.label,
            {
                "call": timings.each(each.label).times(1e-3),
                "of the first": timings.figure(lambda took, label=each.label: took[label] / took[first]),
            },
        )
        for each in contestants
    ]
    return Table(title, method, [Column("call", "us"), Column("of the first", "x")], rows)


def _request(label: str, propagator: TextMapPropagator, *, propagate: bool | None) -> Contestant:
    span = (
        TracerProvider()
        .get_tracer("client")
        .start_span("GET", kind=SpanKind.CLIENT, attributes={"server.address": "search"})
    )

    def inject(count: int) -> None:
        with otel_loggedmodel.use_model(name="support-agent", propagate=propagate):
            token = attach(set_span_in_context(span))
            for _ in range(count):
                propagator.inject({})
            detach(token)

    return Contestant(label, inject)


def _scope(label: str, *, propagate: bool | None) -> Contestant:
    scope = otel_loggedmodel.use_model(name="support-agent", propagate=propagate)

    def enter(count: int) -> None:
        for _ in range(count):
            with scope:
                pass

    return Contestant(label, enter)
