# SPDX-License-Identifier: Apache-2.0
"""Applications that send spans, as processes that can be killed at any moment and started again at once.

Run as a program, this imports what an application does, and then forks an application for each line on its standard
input, so that a hundred of them do not take a hundred start-ups. It has no thread and has made no connection when it
forks. An application notes two things in a file: each batch for which `export` has returned, and each time that it has
waited in vain for an answer. Each note has an end of its own, because a kill can cut even a single write short. The
next application's note would then go on in the same line.

`Applications` is what tests start it with.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
_END = ";"
_UNANSWERED = "!"


@dataclasses.dataclass(frozen=True)
class Orders:
    """What an application is to do.

    Attributes:
        endpoint: Where to send, for OTEL_EXPORTER_OTLP_ENDPOINT.
        protocol: `http` or `grpc`.
        spool: The directory for what could not be delivered.
        ledger: The file to note in what was handed in.
        name: What its spans' names begin with.
        spans: How many to make; None for making them until it is killed.
        pause: Seconds between spans.
        batch: Spans in a request, at most.
        timeout: Of the exporter, in seconds; so long that nobody waits for it in vain because the machine is busy.
        children: How many times to fork while it sends; children send as many spans.
        flush: Whether to deliver everything before it ends, waiting up to 30 seconds.
        model: The version that it runs.
        max_age: As in LoggedModelExporter.
    """

    endpoint: str
    protocol: str
    spool: str
    ledger: str
    name: str
    spans: int | None = None
    pause: float = 0.001
    batch: int = 16
    timeout: float = 30.0
    children: int = 0
    flush: bool = False
    model: str | None = None
    max_age: float | None = None


class Applications:
    """Starts applications."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            # Newer Pythons warn of a fork in a process with threads; applications do that.
            [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-m", __name__],
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running: set[int] = set()

    def start(self, orders: Orders) -> int:
        """Start an application; its process id."""
        pid = int(self._ask({"start": dataclasses.asdict(orders)}))
        self._running.add(pid)
        return pid

    def wait(self, pid: int) -> int:
        """Wait for its end; the exit status, negative for a signal."""
        status = int(self._ask({"wait": pid}))
        self._running.discard(pid)
        return status

    def kill(self, pid: int) -> None:
        """End it as a crash would."""
        os.kill(pid, signal.SIGKILL)
        assert self.wait(pid) == -signal.SIGKILL

    def run(self, orders: Orders) -> None:
        """Start one and see it end well."""
        assert self.wait(self.start(orders)) == 0

    def close(self) -> None:
        for pid in list(self._running):
            self.kill(pid)
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait(30)
        assert self._program.stdout is not None
        self._program.stdout.close()

    def _ask(self, order: dict[str, Any]) -> str:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()
        return self._program.stdout.readline()


@contextlib.contextmanager
def applications() -> Iterator[Applications]:
    running = Applications()
    try:
        yield running
    finally:
        running.close()


def handed_in(ledger: Path) -> list[str]:
    """The names of the spans that applications have noted."""
    return [note for note in _notes(ledger) if not note.startswith(_UNANSWERED)]


def unanswered(ledger: Path) -> int:
    """How many requests had no answer in the time that the exporter has for one."""
    return sum(note.startswith(_UNANSWERED) for note in _notes(ledger))


def _notes(ledger: Path) -> list[str]:
    noted = ledger.read_text().split() if ledger.exists() else []
    return [note.removesuffix(_END) for note in noted if note.endswith(_END)]


# The program


def main() -> None:
    from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as _
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as __  # noqa: F401
    from opentelemetry.sdk.trace.export import BatchSpanProcessor as ___  # noqa: F401

    import otel_loggedmodel.exporter  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if not pid:
            run(Orders(**order["start"]))
        print(pid, flush=True)


def run(orders: Orders) -> None:
    """Be an application; does not return."""
    status = 1
    try:
        send(orders)
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def send(orders: Orders) -> None:
    import logging

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

    import otel_loggedmodel
    from otel_loggedmodel.delivery import delivering

    logging.getLogger("otel_loggedmodel").setLevel(logging.CRITICAL)
    delivering.FarEnd.__init__.__defaults__ = (0.02, 0.2)
    # Whoever makes a record sends it again if it is refused. These tests are about what is handed in once.
    exporter = otel_loggedmodel.LoggedModelExporter(
        otlp_exporter(orders), spool_dir=orders.spool, spool_max_age=orders.max_age
    )
    ledger = os.open(orders.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(*notes: str) -> None:
        os.write(ledger, "".join(f"\n{one}{_END}" for one in notes).encode())

    heard = delivering.Delivery.heard

    def heard_and_noted(self, outcome):
        if outcome.error_type == "DEADLINE_EXCEEDED" or "Timeout" in outcome.error_type:
            note(_UNANSWERED + outcome.error_type)
        heard(self, outcome)

    delivering.Delivery.heard = heard_and_noted

    class Noting(SpanExporter):
        def export(self, spans):
            result = exporter.export(spans)
            note(*(span.name for span in spans))
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
    processor = BatchSpanProcessor(
        Noting(), max_queue_size=100_000, max_export_batch_size=orders.batch, schedule_delay_millis=10
    )
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("sending_program")
    if orders.model is not None:
        otel_loggedmodel.set_active_model(orders.model)
    children: list[int] = []
    name = orders.name
    number = 0
    while orders.spans is None or number < orders.spans:
        tracer.start_span(f"{name}.{number}").end()
        number += 1
        time.sleep(orders.pause)
        if len(children) < orders.children and number * (orders.children + 1) >= (orders.spans or 0) * (
            len(children) + 1
        ):
            child = os.fork()
            if child:
                children.append(child)
            else:
                orders = dataclasses.replace(orders, children=0)
                children = []
                name, number = f"{orders.name}-{os.getpid()}", 0
    if orders.flush:
        deadline = time.monotonic() + 30
        processor.force_flush()
        while exporter.pending and time.monotonic() < deadline:
            exporter.force_flush(1000)
        assert not exporter.pending
    provider.shutdown()
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def otlp_exporter(orders: Orders) -> Any:
    if orders.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(orders.endpoint, insecure=True, timeout=orders.timeout)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

    return HttpSpanExporter(orders.endpoint + "/v1/traces", timeout=orders.timeout)


if __name__ == "__main__":
    main()
