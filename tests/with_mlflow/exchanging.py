# SPDX-License-Identifier: Apache-2.0
"""The commands that exchange with an MLflow server, as a shell runs them, and an application that sends to both."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import mlflow
from opentelemetry import trace as trace_api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode

import otel_loggedmodel
from backend.serving import Serving, command
from cli.terminal import environment

from .tracking_servers import MlflowServer


def ran(*arguments: str, store: str = "", uri: str = "", code: int = 0) -> Any:
    """What a command prints as JSON."""
    done = command(*arguments, "--json", store=store, MLFLOW_TRACKING_URI=uri)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def started(*arguments: str, store: str, uri: str) -> "subprocess.Popen[bytes]":
    """A command that goes on."""
    return subprocess.Popen(
        [sys.executable, "-m", "otel_loggedmodel", *arguments],
        env=environment(OTEL_LOGGEDMODEL_STORE=store, MLFLOW_TRACKING_URI=uri),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def imported(backend: Serving, uri: str, experiments: Sequence[str], *more: str) -> dict[str, Any]:
    named = [argument for experiment in experiments for argument in ("--experiment", experiment)]
    return ran("mlflow", "import", *named, *more, store=backend.http, uri=uri)


def counts(result: dict[str, Any]) -> dict[str, int]:
    """The numbers of a summary that are not 0."""
    return {key: value for key, value in result.items() if type(value) is int and value}


def versions(backend: Serving) -> dict[str, dict[str, Any]]:
    """What a backend knows of each version."""
    found = ran("models", "--limit", "1000", store=backend.http)["versions"]
    return {version["model_id"]: version for version in found}


class Application:
    """Sends its spans to a backend of ours, and if it is told so to an MLflow server, too."""

    def __init__(self, backend: Serving, server: MlflowServer | None = None, experiment_id: str = "") -> None:
        self.provider = TracerProvider(resource=Resource({"service.name": "app"}), shutdown_on_exit=False)
        self.provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
        exporter = OTLPSpanExporter(f"{backend.http}/v1/traces")
        self.provider.add_span_processor(BatchSpanProcessor(otel_loggedmodel.LoggedModelExporter(exporter)))
        if server is not None:
            headers = {"x-mlflow-experiment-id": experiment_id}
            plain = OTLPSpanExporter(f"{server.uri}/v1/traces", headers=headers, timeout=60)
            self.provider.add_span_processor(BatchSpanProcessor(plain))

    def trace(self, *, fails: bool = False) -> str:
        """A trace of two spans; its id."""
        with self.provider.get_tracer("app").start_as_current_span("answer") as root:
            with self.provider.get_tracer("app").start_as_current_span("think"):
                pass
            if fails:
                root.set_status(StatusCode.ERROR, "on purpose")
        return trace_api.format_trace_id(root.get_span_context().trace_id)

    def __enter__(self) -> "Application":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.provider.force_flush(60_000)
        self.provider.shutdown()


def linked_to(server_id: str, experiment_id: str) -> set[str]:
    found = mlflow.search_traces(locations=[experiment_id], model_id=server_id, return_type="list")
    return {trace.info.trace_id.removeprefix("tr-") for trace in found}
