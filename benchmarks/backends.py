# SPDX-License-Identifier: Apache-2.0
"""Backends that take OTLP traces and keep them: what there is to compare of them, and ours."""

import abc
import contextlib
import json
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from benchmarks.isolated import in_fresh_process
from benchmarks.servers import DidNotStartError, Server, running
from otel_loggedmodel.store import database, schema


@dataclass(frozen=True)
class Target:
    """Where to send to.

    Attributes:
        protocol: `http` or `grpc`.
        address: A URL, or host and port.
        connections: How many to send over at a time, one request each.
        headers: The headers of each request, beside those of OTLP.
    """

    protocol: str
    address: str
    connections: int
    headers: Mapping[str, str] = field(default_factory=dict)


class Backend(abc.ABC):
    """A backend that takes OTLP traces.

    Attributes:
        label: What tables call it.
        stores_first: Whether it stores spans before it acknowledges them.
    """

    label: str
    stores_first = True

    @abc.abstractmethod
    def start(self, directory: pathlib.Path) -> contextlib.AbstractContextManager[tuple[Server, Target]]:
        """Start it, keeping everything in a directory."""

    @abc.abstractmethod
    def stored(self, directory: pathlib.Path) -> int:
        """How many different spans are stored. Ours can be asked when it has stopped."""

    @abc.abstractmethod
    def disk_bytes(self, directory: pathlib.Path) -> int:
        """What they take on the disk, without what is about to be removed. Ours can be asked when it has stopped."""


@dataclass(eq=False)
class Ours(Backend):
    """`otel-loggedmodel serve`.

    Args:
        protocol: `http` or `grpc`.
        connections: How many to send over.
        tree: The files of an earlier build, where that is meant.
    """

    protocol: str
    connections: int
    tree: pathlib.Path | None = None

    def __post_init__(self) -> None:
        self.label = f"otel-loggedmodel, OTLP/{'HTTP' if self.protocol == 'http' else 'gRPC'}"

    @contextlib.contextmanager
    def start(self, directory: pathlib.Path) -> Iterator[tuple[Server, Target]]:
        """Start it."""
        with served(directory, self.tree) as ours:
            address = ours.http + "/v1/traces" if self.protocol == "http" else ours.grpc
            yield ours.server, Target(self.protocol, address, self.connections)

    def stored(self, directory: pathlib.Path) -> int:
        """Different spans."""
        return number_in(directory, f"SELECT uniqExact(TraceId, SpanId) AS number FROM {schema.SPANS}")

    def disk_bytes(self, directory: pathlib.Path) -> int:
        """Of the parts of tables that are in use."""
        return number_in(
            directory,
            "SELECT sum(bytes_on_disk) AS number FROM system.parts WHERE active AND database = currentDatabase()",
        )


@dataclass(frozen=True)
class Served:
    """Our backend, running.

    Attributes:
        server: Its process.
        http: Its address, as `http://127.0.0.1:4318`.
        grpc: Its address, as `127.0.0.1:4317`.
        ready_seconds: The time from the start of the process until it could be reached.
    """

    server: Server
    http: str
    grpc: str
    ready_seconds: float


@contextlib.contextmanager
def served(directory: pathlib.Path, tree: pathlib.Path | None = None) -> Iterator[Served]:
    """`otel-loggedmodel serve` on a directory and free ports; of an earlier build, where its files are given.

    Raises:
        DidNotStartError: It did not.
    """
    log = directory.parent / f"{directory.name}.log"
    program = our_command() if tree is None else [sys.executable, "-m", "otel_loggedmodel"]
    variables = {} if tree is None else {"PYTHONPATH": str(tree)}
    command = [*program, "serve", "--data", str(directory), "--http-port", "0", "--grpc-port", "0"]
    began = time.perf_counter()
    with running([*command, "--quiet", "--json"], log, variables, is_read=True, folder=tree) as server:
        assert server.process.stdout is not None
        line = server.process.stdout.readline()
        ready_seconds = time.perf_counter() - began
        if not line:
            raise DidNotStartError(f"the backend did not start: {log.read_text()}")
        addresses = json.loads(line)
        yield Served(server, addresses["http"], addresses["grpc"], ready_seconds)


def our_command() -> list[str]:
    """The command line as it was installed beside this interpreter."""
    return [str(pathlib.Path(sys.executable).with_name("otel-loggedmodel"))]


def number_in(directory: pathlib.Path, sql: str) -> int:
    """The `number` that a query finds in a store of ours that nobody has open."""
    return in_fresh_process(_number_in, directory, sql)


def _number_in(directory: pathlib.Path, sql: str) -> int:
    opened = database.open_database(str(directory))
    try:
        return int(database.one(opened.query(sql))["number"])
    finally:
        opened.close()
