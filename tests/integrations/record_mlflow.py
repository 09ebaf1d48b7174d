# SPDX-License-Identifier: Apache-2.0
"""Records what MLflow's tracing SDK exports over OTLP of `mlflow_application.py`, for tests that run without MLflow.

    make .venv/.integrations
    PYTHONPATH=tests:examples .venv/integrations/bin/python -m integrations.record_mlflow

writes `tests/mlflow_spans.json`: all of its requests as one, in OTLP's JSON. `test_mlflow_backend.py` compares what the
installed release exports with it.
"""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from integrations.openai_server import OpenAIServer
from integrations.servers import telemetry_to

APPLICATION: Final = Path(__file__).with_name("mlflow_application.py")
RECORDED: Final = Path(__file__).parents[1] / "mlflow_spans.json"
VERSION: Final = "my-agent-v1.0"


def application_environment(endpoint: str, openai_server: OpenAIServer, **variables: str) -> dict[str, str]:
    """What the application runs with: it exports traces over OTLP, and reaches no server of MLflow."""
    environment = telemetry_to(
        "",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{endpoint}/v1/traces",
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
        OPENAI_BASE_URL=openai_server.base_url,
        OPENAI_API_KEY="planted",
        **variables,
    )
    # MLflow takes it for metrics, too, and the package mlflow-tracing has no part for them.
    del environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
    return environment


def record() -> ExportTraceServiceRequest:
    """What the installed release of MLflow exports, all in one request."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        with OpenAIServer() as openai_server:
            subprocess.run(
                [sys.executable, APPLICATION],
                env=application_environment(
                    f"http://127.0.0.1:{server.server_address[1]}",
                    openai_server,
                    OTEL_RESOURCE_ATTRIBUTES=f"logged_model.id={VERSION},logged_model.name={VERSION}",
                ),
                check=True,
                timeout=60,
                stdout=subprocess.DEVNULL,
            )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    request = ExportTraceServiceRequest.FromString(b"".join(bodies))
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for event in (event for span in scope_spans.spans for event in span.events):
                # It has paths of this machine.
                kept = [attribute for attribute in event.attributes if attribute.key != "exception.stacktrace"]
                del event.attributes[:]
                event.attributes.extend(kept)
    return request


def as_json(request: ExportTraceServiceRequest) -> str:
    """A request as https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding has it, over many lines."""

    def with_hexadecimal_ids(value: Any) -> Any:
        if isinstance(value, list):
            return [with_hexadecimal_ids(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        ids = {key: base64.b64decode(value[key]).hex() for key in ("traceId", "spanId", "parentSpanId") if key in value}
        return {**{key: with_hexadecimal_ids(item) for key, item in value.items()}, **ids}

    document = with_hexadecimal_ids(MessageToDict(request, use_integers_for_enums=True))
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    RECORDED.write_text(as_json(record()), encoding="utf-8")
