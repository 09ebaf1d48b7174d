# SPDX-License-Identifier: Apache-2.0
"""A real backend, `otel-loggedmodel serve`, and what it says of versions.

It needs the extra `server`, which the environment of these tests has not: the interpreter of the environment around it
runs the backend, then, which `make test-integrations` sets up, too.
"""

import html
import http.client
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .servers import Server, telemetry_to

ROOT = Path(__file__).resolve().parents[2]


class Backend:
    """A backend that runs.

    Attributes:
        url: Where, over HTTP.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.url = f"http://127.0.0.1:{server.port}"

    def numbers(self, version: str) -> dict[str, Any]:
        """What `compare --json` prints of one version; nothing while it is not known."""
        versions = [one for one in self._server.get("/api/v1/versions")["versions"] if version in one.values()]
        if not versions:
            return {}
        return self._server.get(f"/api/v1/compare?version={quote(version)}")["versions"][0]

    def traces(self, version: str) -> list[dict[str, Any]]:
        """The traces of a version, the newest first."""
        return self._server.get(f"/api/v1/traces?version={quote(version)}")["traces"]

    def trace(self, trace_id: str) -> dict[str, Any]:
        """All spans of a trace."""
        return self._server.get(f"/api/v1/traces/{trace_id}")

    def trace_page(self, trace_id: str, span_id: str) -> str:
        """The page of a trace, with one of its spans open."""
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        try:
            connection.request("GET", f"/trace?id={trace_id}&span={span_id}")
            response = connection.getresponse()
            assert response.status == 200
            return html.unescape(response.read().decode())
        finally:
            connection.close()


@contextmanager
def running_backend(directory: Path) -> Iterator[Backend]:
    """Start one with an empty store, until the end of the block."""
    environment = {**telemetry_to(""), "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(directory)}
    command = [_python(), "-m", "otel_loggedmodel", "serve", "--data", directory / "data", "--grpc-port", "0"]
    with Server(
        lambda port: [*command, "--http-port", str(port)], directory, environment, ready="/api/v1/versions"
    ) as server:
        yield Backend(server)


def _python() -> str:
    if importlib.util.find_spec("chdb") is not None:
        return sys.executable
    around = Path(sys.prefix).parent / "bin" / "python"
    if around.exists() and subprocess.run([around, "-c", "import chdb, starlette"], check=False).returncode == 0:
        return str(around)
    raise AssertionError(f"neither {sys.executable} nor {around} has the extra `server`: run `make test-integrations`")
