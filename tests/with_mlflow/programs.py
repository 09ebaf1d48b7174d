# SPDX-License-Identifier: Apache-2.0
"""Applications in processes of their own, which have OpenTelemetry and this library, and nothing of MLflow."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from .tracking_servers import BIN, MlflowServer

ONE_PROGRAM_SECONDS = 120
SET_UP = """
import os, sys
import otel_loggedmodel
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
trace.set_tracer_provider(provider)
provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
exporter = otel_loggedmodel.LoggedModelExporter(mlflow=True)
provider.add_span_processor(BatchSpanProcessor(exporter))
tracer = trace.get_tracer("shop")
"""
END = """
provider.shutdown()
assert "mlflow" not in sys.modules
"""


def environment(uri: str, experiment_id: str | None, spool: Path | str, **more: str) -> dict[str, str]:
    """The variables of an application."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_"))}
    kept |= {"MLFLOW_TRACKING_URI": uri, "OTEL_LOGGEDMODEL_SPOOL_DIR": str(spool), "PATH": f"{BIN}:{kept['PATH']}"}
    return kept | ({} if experiment_id is None else {"MLFLOW_EXPERIMENT_ID": experiment_id}) | more


def start(program: str, variables: dict[str, str], set_up: str = SET_UP, end: str = END) -> "subprocess.Popen[str]":
    """Start a program after the usual set-up."""
    return subprocess.Popen(
        # Newer Pythons warn of every fork in a process with threads; that is what some tests are about.
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", set_up + textwrap.dedent(program) + end],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", errors: str | None = "", seconds: float = ONE_PROGRAM_SECONDS) -> str:
    """Wait for a program, which has to succeed; its output."""
    try:
        output, said = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert errors is None or said == errors, said
    return output


def run(program: str, server: MlflowServer, experiment_id: str, spool: Path, **more: str) -> str:
    """Run a program against a server."""
    return finish(start(program, environment(server.uri, experiment_id, spool, **more)))
