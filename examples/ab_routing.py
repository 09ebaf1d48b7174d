# SPDX-License-Identifier: Apache-2.0
"""Two versions in one process at the same time: each request has its own, chosen by a hash of who asks.

    python examples/ab_routing.py

prints which version each request's spans were linked to. Nothing leaves this process.
"""

import asyncio
import zlib

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_loggedmodel

memory = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
provider.add_span_processor(SimpleSpanProcessor(otel_loggedmodel.LoggedModelExporter(memory)))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("ab_routing")

CURRENT = otel_loggedmodel.create_external_model("my-agent", params={"llm_model": "large", "temperature": "0.7"})
CANDIDATE = otel_loggedmodel.create_external_model("my-agent", params={"llm_model": "small", "temperature": "0.2"})
CANDIDATE_PERCENT = 30


async def handle(user: str) -> None:
    """Serve one request; a user stays with a version."""
    is_candidate = zlib.crc32(user.encode()) % 100 < CANDIDATE_PERCENT
    model = CANDIDATE if is_candidate else CURRENT
    with otel_loggedmodel.use_model(model), tracer.start_as_current_span(f"request of {user}"):
        await generate()


async def generate() -> None:
    """Something that takes time, during which other requests run; knows nothing of versions."""
    with tracer.start_as_current_span("generate"):
        await asyncio.sleep(0.01)


async def main() -> None:
    """Ten requests at once."""
    await asyncio.gather(*(handle(f"user-{number}") for number in range(10)))


if __name__ == "__main__":
    asyncio.run(main())
    for span in memory.get_finished_spans():
        if span.links:
            model_id = (span.attributes or {})["logged_model.id"]
            which = "candidate" if model_id == CANDIDATE.model_id else "current"
            print(f"{span.name:18} {which:10} {model_id!s}")
