# SPDX-License-Identifier: Apache-2.0
"""Where the demo's spans go: a real OpenTelemetry Collector where there is one, else a receiver in this process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Protocol

from processes import Children, NotStartedError, ServerProcess, ask, clean_environment

from otlp_receiver import OtlpReceiver, ReceivedSpan, parse_file

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_COLLECTOR_CONFIG: Final = _CHECKOUT / "collector-config.yaml"
_BUILD_COLLECTOR: Final = _CHECKOUT / "scripts" / "build_collector.py"


class NoCollectorError(Exception):
    """There should be a Collector, and it does not work; the message says why."""


class Destination(Protocol):
    """Something that OTLP can be sent to.

    Attributes:
        description: What it is, for people.
        endpoint: What belongs into OTEL_EXPORTER_OTLP_ENDPOINT.
    """

    description: str
    endpoint: str

    def collect(self) -> list[ReceivedSpan]:
        """Stop receiving, and return everything that came."""


class InProcess:
    """The receiver of `examples/otlp_receiver.py`."""

    def __init__(self) -> None:
        self._receiver = OtlpReceiver()
        self.endpoint = self._receiver.endpoint
        self.description = f"the receiver of examples/otlp_receiver.py at {self.endpoint}"

    def collect(self) -> list[ReceivedSpan]:
        self._receiver.close()
        return self._receiver.spans()


class Collector:
    """A Collector process with the repository's configuration, which writes what it receives to a file.

    Args:
        children: The processes that it becomes one of.
        binary: The Collector.
        directory: For its file, its queue and its log.
    """

    def __init__(self, children: Children, binary: Path, directory: Path) -> None:
        self._file = directory / "spans.jsonl"
        self._process = ServerProcess(
            children,
            name="collector",
            # Its own metrics would be served at a fixed port, which may be in use.
            command=lambda port: [
                str(binary),
                f"--config={_COLLECTOR_CONFIG}",
                "--set=service::telemetry::metrics::level=none",
            ],
            environment=lambda port: clean_environment(
                LOGGEDMODEL_COLLECTOR_HTTP=f"127.0.0.1:{port}",
                LOGGEDMODEL_COLLECTOR_GRPC="127.0.0.1:0",
                LOGGEDMODEL_COLLECTOR_HEALTH="127.0.0.1:0",
                LOGGEDMODEL_COLLECTOR_METRICS="127.0.0.1:0",
                LOGGEDMODEL_COLLECTOR_QUEUE_DIR=str(directory / "queue"),
                LOGGEDMODEL_COLLECTOR_FILE="file",
                LOGGEDMODEL_COLLECTOR_FILE_PATH=str(self._file),
            ),
            is_ready=lambda port, pid: _accepts_otlp(port),
            log_directory=directory,
        )
        try:
            self._process.wait_until_ready()
        except NotStartedError as error:
            raise NoCollectorError(str(error)) from error
        self.endpoint = self._process.url
        self.description = f"the OpenTelemetry Collector at {self.endpoint} (pid {self._process.pid}, {binary})"

    def collect(self) -> list[ReceivedSpan]:
        self._process.stop()  # it has written everything when it has ended
        return parse_file(self._file) if self._file.exists() else []


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
    if not (_BUILD_COLLECTOR.exists() and _COLLECTOR_CONFIG.exists()):
        return None
    command = [sys.executable, str(_BUILD_COLLECTOR), "--print-path"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(outcome.stdout.strip()) if outcome.returncode == 0 else None


def _accepts_otlp(port: int) -> bool:
    answer = ask(port, "POST", "/v1/traces", b"{}")
    return answer is not None and answer[0] == 200
