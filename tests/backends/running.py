# SPDX-License-Identifier: Apache-2.0
"""Backends as processes of their own, what an application has sent to one, and the pages of docs/backends."""

import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import needs

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "backends"
REQUIRED: Final = "OTEL_LOGGEDMODEL_REQUIRE_BACKENDS"
# Phoenix brings a plugin of pytest's along, so that the tests run elsewhere.
ENVIRONMENT: Final = Path(__file__).resolve().parents[2] / ".venv" / "backends" / "bin"
_APPLICATION: Final = Path(__file__).with_name("application.py")
_FENCE: Final = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_READY_SECONDS: Final = 300.0


@dataclasses.dataclass(frozen=True)
class Version:
    """A version as it was sent.

    Attributes:
        id: Its id.
        params: What it is made of.
        traces: The ids of its traces.
        spans: Those of their entry spans.
    """

    id: str
    params: Mapping[str, str]
    traces: Sequence[str]
    spans: Sequence[str]

    @property
    def trace_id(self) -> str:
        """Of the trace that it is itself."""
        return self.id.removeprefix("m-")


@dataclasses.dataclass(frozen=True)
class Seen:
    """A span as a backend shows it, whatever the backend.

    Attributes:
        span_id: 16 hex digits.
        parent: The same of its parent; empty if there is none.
        name: Its name.
        start_ns: When it began, as exactly as the backend knows.
        attributes: Numbers may be texts.
        links: The trace ids that it links to.
    """

    span_id: str
    parent: str
    name: str
    start_ns: int
    attributes: Mapping[str, Any]
    links: Sequence[str] = ()


class Process:
    """A backend's process, until the end of the `with` block.

    Args:
        command: What starts it. `{port}` and its like stand for free ports.
        directory: Where it runs, and where its log goes.
        ports: The names of the ports.
        ready: The address that answers once it can be used.
        variables: More of its environment, in which ports stand as well.
    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        ports: Sequence[str],
        ready: str,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self.ports = dict(zip(ports, free_ports(len(ports)), strict=True))
        self._command = [part.format(**self.ports) for part in command]
        self._ready = ready.format(**self.ports)
        self._variables = {name: value.format(**self.ports) for name, value in (variables or {}).items()}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PHOENIX_"))}
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=kept | self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that nothing of it can outlive the tests
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            assert self._process.poll() is None, f"it ended with status {self._process.returncode}\n{self.log}"
            assert time.monotonic() < deadline, f"it does not answer\n{self.log}"
            time.sleep(0.1)

    def stop(self) -> None:
        """Ask it to stop, as a service manager does, and see that it does."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Stop it, and start it again with what it has kept."""
        self.stop()
        self.start()

    def url(self, port: str) -> str:
        """Of one of its ports."""
        return f"http://127.0.0.1:{self.ports[port]}"

    @property
    def log(self) -> str:
        """What it has said."""
        return (self._directory / "log").read_text(encoding="utf-8", errors="replace")[-4000:]

    def __enter__(self) -> "Process":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self._ready, timeout=10) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return False
        except OSError:
            return False


def python() -> Path:
    """The interpreter of the environment that has exporters and servers."""
    path = ENVIRONMENT / "python"
    if not path.exists():
        needs.do_without("Phoenix and an exporter to Zipkin", "make test-backends", required_by=REQUIRED)
    return path


def free_ports(count: int) -> list[int]:
    """Ports that are free now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def asked(url: str) -> Any:
    """What an address answers, as JSON; None if there is nothing."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def send(directory: Path, *arguments: str) -> dict[str, Version]:
    """Run the application, and return the versions that it has sent, by name."""
    variables = {"OTEL_LOGGEDMODEL_SPOOL_DIR": str(directory / "spool")}
    done = subprocess.run(
        [str(python()), str(_APPLICATION), *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "could not deliver" not in done.stderr, done.stderr
    return {name: Version(**version) for name, version in json.loads(done.stdout).items()}


def queries(page: str) -> Iterator[tuple[str, str]]:
    """What a page tells to type, with the heading that it stands under."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        yield from ((title.strip(), block) for block in _FENCE.findall(body))


def typed(page: str, title: str, **variables: str) -> Any:
    """What the commands under a heading of a page print, as JSON."""
    (block,) = (block for found, block in queries(page) if found == title)
    done = subprocess.run(
        ["bash", "-ceu", block],
        env={**os.environ, **variables, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
