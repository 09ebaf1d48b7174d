# SPDX-License-Identifier: Apache-2.0
"""An application that has sent over gRPC and forks: the spans of its children arrive as well, or are kept."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.terminal import environment
from effort import only_in_full
from waiting import wait_until

from .serving import Serving

CHILDREN = 3
PROGRAM = f"""
import os
import otel_loggedmodel as mlflow
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
provider.add_span_processor(BatchSpanProcessor(mlflow.LoggedModelExporter(OTLPSpanExporter(timeout=5))))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("forking")
mlflow.set_active_model("forking")


def work(where):
    for number in range(5):
        with tracer.start_as_current_span(f"{{where}} {{number}}"):
            pass
    provider.force_flush(20_000)


work("parent before")
children = []
for child in range({CHILDREN}):
    pid = os.fork()
    if pid == 0:
        try:
            work(f"child {{child}}")
        finally:
            os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
work("parent after")
provider.shutdown()
"""


@only_in_full
@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there are no forks here")
def test_grpc_after_a_fork(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving:
        variables = environment(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{serving.grpc}",
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            OTEL_LOGGEDMODEL_SPOOL_DIR=str(tmp_path / "spool"),
            OTEL_SERVICE_NAME="forking",
        )
        run([sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", PROGRAM], variables)
        # gRPC promises nothing to a forked child. What a child could not send in its time is kept, and not lost.
        run([sys.executable, "-m", "otel_loggedmodel", "spool", "drain"], variables)
        wait_until(lambda: len(serving.trace_ids("forking")) == 5 * (CHILDREN + 2), "the spans of all processes")


def run(command: list[str], variables: dict[str, str]) -> None:
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done
