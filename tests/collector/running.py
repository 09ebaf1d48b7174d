# SPDX-License-Identifier: Apache-2.0
"""A real Collector in a process of its own, with its own ports and folder."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import needs
from waiting import wait_until

from . import otlp

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = REPOSITORY / "collector-config.yaml"
REQUIRED = "OTEL_LOGGEDMODEL_REQUIRE_COLLECTOR"
PREFIX = "LOGGEDMODEL_COLLECTOR_"
LISTENS = ("GRPC", "HTTP", "HEALTH", "METRICS")


def find_collector() -> Path:
    """The Collector that `make otelcol` built, or that OTELCOL names; without one, the test is skipped."""
    script = REPOSITORY / "scripts" / "build_collector.py"
    outcome = subprocess.run(
        [sys.executable, str(script), "--print-path"], capture_output=True, text=True, timeout=60, check=False
    )
    if outcome.returncode == 3:
        needs.do_without("the Collector", "make otelcol", required_by=REQUIRED)
    assert outcome.returncode == 0, outcome.stderr
    return Path(outcome.stdout.strip())


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with these of the Collector's settings, named without prefix, and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**inherited, **{PREFIX + name: value for name, value in settings.items()}}


class Collector:
    """A Collector that runs ``config``; its settings are those of collector-config.yaml, named without prefix."""

    def __init__(
        self,
        binary: Path,
        directory: Path,
        config: Path | str,
        settings: Mapping[str, str],
        *overrides: str,
        options: Iterable[str] = (),
    ) -> None:
        self.directory = directory
        self.output = directory / "spans.jsonl"
        self._log = directory / "collector.log"
        self._settings = {"FILE": "file", "LOG": "nop", **settings}
        # Its own metrics have a fixed port, which one Collector can have.
        configs = [str(config), "yaml:service::telemetry::metrics::level: none", *overrides]
        self._command = [str(binary), *(f"--config={config}" for config in configs), *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}

    @property
    def url(self) -> str:
        """Where it takes OTLP over HTTP, without /v1/traces."""
        return f"http://{self._address('HTTP')}"

    @property
    def grpc_address(self) -> str:
        return self._address("GRPC")

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def start(self) -> None:
        """Start it and wait until it takes spans: on new ports the first time, on the same ones after that."""
        for _ in range(5):
            ports = self._ports or dict(zip(LISTENS, free_ports(len(LISTENS)), strict=True))
            self._launch(ports)
            with contextlib.suppress(PortTakenError):
                wait_until(functools.partial(self._is_ready, ports), "the Collector to be ready")
                self._ports = ports
                return
        raise AssertionError(f"no free ports\n{self.log}")

    def stop(self) -> None:
        """Ask it to stop, and see that it does."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            status = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the Collector did not stop\n{self.log}") from None
        # It is ready for spans a moment before it is for signals.
        assert status in (0, -signal.SIGTERM), f"the Collector ended with status {status}\n{self.log}"

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def send(self, spans: Iterable[otlp.Span], resource: Mapping[str, otlp.AttributeValue] | None = None) -> None:
        otlp.send_json(self.url, spans, resource)

    def spans(self) -> list[otlp.Span]:
        """What has come out."""
        return otlp.read_file(self.output)

    def metrics(self) -> str:
        """What Prometheus would read."""
        return otlp.fetch(f"http://{self._address('METRICS')}/metrics")

    def _address(self, port: str) -> str:
        return f"127.0.0.1:{self._ports[port]}"

    def _launch(self, ports: Mapping[str, int]) -> None:
        settings = {
            **{name: f"127.0.0.1:{port}" for name, port in ports.items()},
            "FILE_PATH": str(self.output),
            "QUEUE_DIR": str(self.directory / "queue"),
            **self._settings,
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.directory, env=clean_environment(settings), stdout=log, stderr=log
            )

    def _is_ready(self, ports: Mapping[str, int]) -> bool:
        assert self._process is not None
        status = self._process.poll()
        if status is not None:
            self._process = None
            if not self._ports and "address already in use" in self.log:
                raise PortTakenError
            raise AssertionError(f"the Collector ended with status {status}\n{self.log}")
        try:
            otlp.fetch(f"http://127.0.0.1:{ports['HEALTH']}", seconds=2)
        except OSError:
            return False
        return True


class PortTakenError(Exception):
    """Between choosing a free port and the Collector's taking it, someone else took it."""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
