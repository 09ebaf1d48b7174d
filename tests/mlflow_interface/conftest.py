# SPDX-License-Identifier: Apache-2.0
"""The global provider, with the library in it, and a backend for what is read back."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace as trace_api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otel_loggedmodel
from backend.serving import Serving
from otel_loggedmodel.versions import runs


@pytest.fixture(autouse=True)
def no_run() -> Iterator[None]:
    """No run is active, before and after."""
    yield
    while (run := runs.current_run()) is not None:
        run.end()


@pytest.fixture
def global_traced(monkeypatch, traced):
    """What code that names no provider exports."""
    monkeypatch.setattr(trace_api, "get_tracer_provider", lambda: traced.provider)
    return traced


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("interface")
    with Serving(directory / "log", "--data", directory / "data") as backend:
        yield backend


@pytest.fixture
def backend(serving: Serving, monkeypatch) -> Iterator[TracerProvider]:
    """The global provider exports to a backend, and that is where traces are read from."""
    monkeypatch.setenv("OTEL_LOGGEDMODEL_STORE", serving.http)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
    exporter = otel_loggedmodel.LoggedModelExporter(OTLPSpanExporter(f"{serving.http}/v1/traces"))
    # What is read back is exported first, so the delay never passes.
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
    monkeypatch.setattr(trace_api, "get_tracer_provider", lambda: provider)
    yield provider
    provider.shutdown()
