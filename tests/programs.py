# SPDX-License-Identifier: Apache-2.0
"""Running small programs, as applications are run: in processes of their own."""

import os
import subprocess
import sys
import textwrap

IMPORTS = """
import os, sys
import otel_loggedmodel as mlflow
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
"""
SET_UP = (
    IMPORTS
    + """
provider = TracerProvider()
trace.set_tracer_provider(provider)
provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
provider.add_span_processor(BatchSpanProcessor(mlflow.LoggedModelExporter()))
tracer = trace.get_tracer("program")
"""
)

# Spans last as long as the program says that it sleeps, however busy the machine is.
STEADY_CLOCK = """
import time
import opentelemetry.sdk.trace

def _sleep(seconds, now=[time.time_ns() - 60 * 10**9]):
    now[0] += int(seconds * 1e9)
    return now[0]

time.sleep = _sleep
opentelemetry.sdk.trace.time_ns = lambda: _sleep(0)
"""


def start(program: str, endpoint: str, set_up: str = SET_UP, **environment: str) -> "subprocess.Popen[str]":
    """Start a program, after the usual set-up, that exports to an endpoint."""
    return subprocess.Popen(
        # Newer Pythons warn of every fork in a process with threads; that is what is tested here.
        [
            sys.executable,
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            set_up + "\n" + textwrap.dedent(program),
        ],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "program", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", seconds: float = 60) -> str:
    """Wait for a program, which has to succeed without a word on standard error; its output."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, errors
    assert errors == ""
    return output


def run(program: str, endpoint: str, set_up: str = SET_UP, **environment: str) -> str:
    return finish(start(program, endpoint, set_up, **environment))
