# SPDX-License-Identifier: Apache-2.0
"""Whether this build costs an application more than an earlier one: importing it, and stamping a span.

The two builds take turns, a fresh process each time. What is compared of a pair of neighbours is a ratio.
"""

import json

from benchmarks.earlier import ROOT, compared, run_in, work_tree
from benchmarks.reporting import Budget, Column, Report, Row, Table

TURNS = 11
IMPORTING = "import otel_loggedmodel, beyond the SDK's tracing"
BARE = "a span with an empty processor"
BUDGETS = {"a child's span, by process default": 1.02, "a child's span, by scope": 1.02, "an entry span": 1.05}

_IMPORT = """
import opentelemetry.sdk.trace, time
began = time.process_time_ns()
import otel_loggedmodel
print((time.process_time_ns() - began) / 1e6)
"""

# Uses the public API alone, so that it runs on every build.
_STAMP = """
import gc, json, time
import otel_loggedmodel
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

def tracer_of(*processors):
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider.get_tracer("opentelemetry.instrumentation.openai_v2")

def children(tracer):
    parent = trace.set_span_in_context(tracer.start_span("parent"))
    def run(count):
        for _ in range(count):
            tracer.start_span("child", parent).end()
    return run

def entries(tracer):
    def run(count):
        for _ in range(count):
            tracer.start_span("entry").end()
    return run

bare = tracer_of(SpanProcessor())
ours = tracer_of(SpanProcessor(), otel_loggedmodel.LoggedModelSpanProcessor())
contestants = {"a span with an empty processor": children(bare)}
with otel_loggedmodel.use_model(name="agent"):
    contestants["a child's span, by scope"] = children(ours)
otel_loggedmodel.set_active_model(name="agent")
contestants["a child's span, by process default"] = children(ours)
contestants["an entry span"] = entries(ours)
least = dict.fromkeys(contestants, float("inf"))
for run in contestants.values():
    run(2000)
gc.collect(); gc.freeze(); gc.disable()
for _ in range(300):
    for label, run in contestants.items():
        began = time.thread_time_ns()
        run(100)
        least[label] = min(least[label], (time.thread_time_ns() - began) / 100_000)
print(json.dumps(least))
"""


def run(against: str = "HEAD^") -> Report:
    """Measure.

    Args:
        against: The earlier commit.
    """
    builds: dict[str, list[dict[str, float]]] = {"now": [], "then": []}
    with work_tree(against) as then:
        trees = {"now": ROOT, "then": then}
        for tree in trees.values():
            run_in(tree, _IMPORT)  # compiles
        for _ in range(TURNS):
            for name, tree in trees.items():
                took = json.loads(run_in(tree, _STAMP))
                builds[name].append({IMPORTING: float(run_in(tree, _IMPORT)), **took})
    rows = [Row(label, compared(label, builds)) for label in builds["now"][0]]
    budgets = [
        Budget(f"{label}, of what it took at {against}", row.figures["ratio"], BUDGETS[label], "x")
        for label, row in zip(builds["now"][0], rows, strict=True)
        if label in BUDGETS
    ]
    columns = [Column("then", "us or ms"), Column("now", "us or ms"), Column("ratio", "now / then", 3)]
    method = (
        f"{TURNS} processes of each build, in turns; CPU time, ms for importing and us for a span; medians, quartiles"
    )
    return Report([Table(f"this build beside {against}", method, columns, rows)], budgets)
