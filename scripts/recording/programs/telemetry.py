# SPDX-License-Identifier: Apache-2.0
"""What the programs here share: a provider that exports over OTLP, as any application sets it up."""

import atexit
import os
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

MODELS = os.environ["MODEL_SERVER"]
SCENARIO = sys.argv[1]
QUESTION = "QUESTION-FAIL" if "fail" in SCENARIO else f"QUESTION-{SCENARIO}"
INSTRUCTIONS = "be brief"


def start() -> TracerProvider:
    """Set OpenTelemetry up."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    atexit.register(provider.shutdown)
    return provider


def expect_failure(error: BaseException) -> None:
    """An error is what a scenario that fails is for; any other passes it on."""
    if "fail" not in SCENARIO:
        raise error
    print(f"failed as planned: {type(error).__name__}")
