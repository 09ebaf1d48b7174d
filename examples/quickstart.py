# SPDX-License-Identifier: Apache-2.0
"""An application with OpenTelemetry, and what version tracking adds: the three lines marked `version`.

    python examples/quickstart.py

sends its spans to http://localhost:4318, where `otel-loggedmodel serve` listens; OTEL_EXPORTER_OTLP_ENDPOINT names
another place.
"""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otel_loggedmodel

exporter = otel_loggedmodel.LoggedModelExporter(OTLPSpanExporter())  # version: what was exporter = OTLPSpanExporter()

provider = TracerProvider()
provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())  # version: stamps spans
provider.add_span_processor(BatchSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("quickstart")

model = otel_loggedmodel.set_active_model(name="my-agent-v1.0")  # version: which one this is

with tracer.start_as_current_span("answer") as entry:
    with tracer.start_as_current_span("retrieve"):
        pass
    with tracer.start_as_current_span("generate"):
        pass

print(f"trace {entry.get_span_context().trace_id:032x} is of {model.name}, {model.model_id}")
print(f"the version's own trace is {model.model_id.removeprefix('m-')}")

provider.shutdown()  # sends what is still queued
