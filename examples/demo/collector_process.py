# SPDX-License-Identifier: Apache-2.0
"""A real OpenTelemetry Collector between the application and the backend, where there is one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from processes import Children, NotStartedError, ServerProcess, ask, clean_environment

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_CONFIG: Final = _CHECKOUT / "collector-config.yaml"
_BUILD: Final = _CHECKOUT / "scripts" / "build_collector.py"


class NoCollectorError(Exception):
    """There should be a Collector, and it does not work; the message says why."""


class Collector:
    """A Collector process with the repository's configuration, which sends what it receives on over OTLP.

    Args:
        children: The processes that it becomes one of.
        binary: The Collector.
        target: Where it sends spans to.
        directory: For its queue and its log.

    Raises:
        NoCollectorError: It does not start.
    """

    def __init__(self, children: Children, binary: Path, target: str, directory: Path) -> None:
        self._process = ServerProcess(
            children,
            name="collector",
            # Its own metrics would be served at a fixed port, which may be in use.
            command=lambda port: [str(binary), f"--config={_CONFIG}", "--set=service::telemetry::metrics::level=none"],
            environment=lambda port: clean_environment(
                LOGGEDMODEL_COLLECTOR_HTTP=f"127.0.0.1:{port}",
                LOGGEDMODEL_COLLECTOR_GRPC="127.0.0.1:0",
                LOGGEDMODEL_COLLECTOR_HEALTH="127.0.0.1:0",
                LOGGEDMODEL_COLLECTOR_METRICS="127.0.0.1:0",
                LOGGEDMODEL_COLLECTOR_QUEUE_DIR=str(directory / "collector-queue"),
                LOGGEDMODEL_COLLECTOR_OTLP="otlp_http",
                LOGGEDMODEL_COLLECTOR_OTLP_ENDPOINT=target,
            ),
            is_ready=lambda port, pid: _accepts_otlp(port),
            log_directory=directory,
        )
        try:
            self._process.wait_until_ready()
        except NotStartedError as error:
            raise NoCollectorError(str(error)) from error
        self.url = self._process.url
        self.pid = self._process.pid


def find_collector() -> Path | None:
    """The Collector that OTELCOL names, else the one that `make otelcol` has built, else None.

    Raises:
        NoCollectorError: What OTELCOL names cannot be run.
    """
    given = os.environ.get("OTELCOL")
    if given:
        found = shutil.which(given)
        if found is None:
            raise NoCollectorError(f"OTELCOL is {given!r}, which is no executable file: correct it, or unset it")
        return Path(found)
    if not (_BUILD.exists() and _CONFIG.exists()):
        return None
    outcome = subprocess.run([sys.executable, str(_BUILD), "--print-path"], capture_output=True, text=True, check=False)
    return Path(outcome.stdout.strip()) if outcome.returncode == 0 else None


def _accepts_otlp(port: int) -> bool:
    answer = ask(port, "POST", "/v1/traces", b"{}")
    return answer is not None and answer[0] == 200
