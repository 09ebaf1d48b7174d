# SPDX-License-Identifier: Apache-2.0
"""An application in two versions, with an evaluation later, as its backend hears of it. Prints what it has sent.

    python application.py otlp http://127.0.0.1:4318 announce
    python application.py zipkin http://127.0.0.1:9411

With `announce`, four hundred processes have announced the first version beside it.
"""

import json
import sys
import time
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

import otel_loggedmodel as mlflow
from otel_loggedmodel.genai import log_feedback
from otel_loggedmodel.versions import records
from otel_loggedmodel.versions.catalogue import catalogue

PARAMS = {
    "prompt": "Sei freundlich. " * 700,
    "llm": "small",
    **{f"option_{number}": str(number) for number in range(60)},
}
LONG_PARAMS = {"prompt": "Be brief, and never rude. " * 40_000, "llm": "large"}
TRACES = 3
PROCESSES = 400


def exporter_to(kind: str, url: str) -> SpanExporter:
    """What sends to a backend."""
    if kind == "zipkin":
        from opentelemetry.exporter.zipkin.json import ZipkinExporter

        return ZipkinExporter(endpoint=f"{url}/api/v2/spans", timeout=60)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(f"{url}/v1/traces", timeout=60)


def announce(model_id: str, exporter: SpanExporter) -> None:
    """Tell of the version as so many processes of other hosts do, over half a day."""
    (created,) = (event for event in catalogue.announcement_of(model_id) if event.kind == "created")
    now_ns = time.time_ns()
    for start in range(0, PROCESSES, 50):
        spans = [
            span
            for number in range(start, start + 50)
            for span in records.spans_of(
                created,
                Resource({"service.name": "shop", "service.instance.id": str(number)}),
                now_ns - (PROCESSES - number) * 10**9,
            )
        ]
        exporter.export(spans)


def main() -> None:
    """Send everything, and print it as JSON."""
    kind, url, *more = sys.argv[1:]
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    trace.set_tracer_provider(provider)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(mlflow.LoggedModelExporter(exporter_to(kind, url))))
    tracer = provider.get_tracer("shop")
    sent: dict[str, Any] = {}
    for name, params in (("first", PARAMS), ("second", LONG_PARAMS)):
        model = mlflow.create_external_model(f"{name}-agent", params=params, tags={"team": "shop"})
        traces, spans = [], []
        for _ in range(TRACES):
            with mlflow.use_model(model), tracer.start_as_current_span("answer") as span:
                tracer.start_span("call llm").end()
            context = span.get_span_context()
            traces.append(trace.format_trace_id(context.trace_id))
            spans.append(trace.format_span_id(context.span_id))
        sent[name] = {"id": model.model_id, "params": params, "traces": traces, "spans": spans}
    provider.force_flush()
    judged = sent["first"]
    log_feedback(
        trace_id=judged["traces"][0], span_id=judged["spans"][0], name="helpful", value=0.75, model_id=judged["id"],
        tracer_provider=provider,
    )  # fmt: skip
    provider.force_flush()
    if more == ["announce"]:
        announce(judged["id"], exporter_to(kind, url))
    provider.shutdown()
    print(json.dumps(sent))


if __name__ == "__main__":
    main()
