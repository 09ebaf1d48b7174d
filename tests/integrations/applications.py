# SPDX-License-Identifier: Apache-2.0
"""The application that the servers serve, and what every test of a server with worker processes does with it.

It knows nothing of versions. `AT_IMPORT` is the set-up in code, for the end of its module.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otel_loggedmodel.versions import identity
from otlp_receiver import OtlpReceiver, ReceivedSpan
from waiting import wait_until

from .ledger import check_activations, check_created, check_work
from .servers import BIN, Server
from .situations import Page

ZERO_CODE: Final = [BIN / "opentelemetry-instrument"]
# `opentelemetry-instrument` imports the library of every instrumentation that is installed, used or not.
_LARGE: Final = frozenset(["celery", "fastapi", "flask", "langchain", "openai"])

FLASK = """
import os, pathlib, time
from flask import Flask, request
from opentelemetry import trace

app = Flask(__name__)
tracer = trace.get_tracer("app")

@app.get("/ready")
def ready():
    return {"pid": os.getpid()}

@app.get("/work/<int:number>")
def work(number):
    with tracer.start_as_current_span("work") as span:
        span.set_attributes({"number": number, "pid": os.getpid()})
        time.sleep(float(request.args.get("seconds", 0.02)))
        if "meeting" in request.args:  # so that each worker has one of the requests, also one that is just starting
            meeting = pathlib.Path("meeting-" + request.args["meeting"])
            meeting.mkdir(exist_ok=True)
            (meeting / str(os.getpid())).touch()
            while len(list(meeting.iterdir())) < int(request.args["of"]):
                time.sleep(0.01)
    return {"number": number, "pid": os.getpid()}
"""
FASTAPI = """
import asyncio, os
from fastapi import FastAPI
from opentelemetry import trace

app = FastAPI()
tracer = trace.get_tracer("app")

@app.get("/ready")
async def ready():
    return {"pid": os.getpid()}

@app.get("/work/{number}")
async def work(number: int, seconds: float = 0.02):
    with tracer.start_as_current_span("work") as span:
        span.set_attributes({"number": number, "pid": os.getpid()})
        await asyncio.sleep(seconds)
    return {"number": number, "pid": os.getpid()}
"""
# The application's own set-up, at import: with preloading in the master, without it in every worker.
AT_IMPORT = """
from pathlib import Path
import otel_loggedmodel
from opentelemetry.instrumentation.flask import FlaskInstrumentor

otel_loggedmodel.instrument()
otel_loggedmodel.set_active_model(name=Path("version.txt").read_text())
FlaskInstrumentor().instrument_app(app)
"""


@dataclass(frozen=True)
class Served:
    """What a server has answered, and every span that was received when it had ended.

    Attributes:
        answered: The process that answered each request, by the request's number.
        spans: Those of the application, and the records.
    """

    answered: Mapping[int, int]
    spans: list[ReceivedSpan]

    def check(self, version: str, *, is_created: bool = False) -> None:
        """See that each request has its span with this version, and each process its own activation.

        Args:
            version: The id.
            is_created: Whether the version was announced, too.
        """
        self.check_work(version)
        check_activations(self.spans)
        if is_created:
            check_created(self.spans, version)

    def check_work(self, version: str) -> None:
        """Of the requests alone."""
        check_work(self.spans, {number: (pid, version) for number, pid in self.answered.items()})


Serve = Callable[[str], Server]


def served(
    serve: Serve,
    work: "Callable[[Server], dict[int, int]] | None" = None,
    *,
    receiver: Callable[[], Any] = OtlpReceiver,
    number: signal.Signals = signal.SIGTERM,
) -> Served:
    """What comes of a server that does some work and is stopped.

    Args:
        serve: Starts it, given where it exports to.
        work: What it is asked; what `work_in_all_workers` asks by default.
        receiver: What it exports to.
        number: The signal that stops it.
    """
    with receiver() as receiving:
        with serve(receiving.endpoint) as server:
            answered = (work or work_in_all_workers)(server)
            stopped(server, number)
        return Served(answered, receiving.spans())


def served_at_the_end(serve: Callable[[str, str], Server], directory: Path, requests: int) -> Served:
    """What comes of a server that is stopped while it serves so many requests.

    Args:
        serve: Starts it, given where it exports to and the source of its application, which is `FLASK` made to note
            that it works.
        directory: For a file.
        requests: How many it can serve at a time.
    """
    begins = directory / "begins"
    application = FLASK.replace("time.sleep(", f"open({str(begins)!r}, 'a').write('.'); time.sleep(")
    with OtlpReceiver() as receiver:
        with serve(receiver.endpoint, application) as server, ThreadPoolExecutor(requests) as threads:
            answers = threads.map(server.get, [f"/work/{number}?seconds=1" for number in range(requests)])
            wait_until(lambda: begins.exists() and begins.stat().st_size == requests, "all of them are being served")
            stopped(server)
            answered = {answer["number"]: answer["pid"] for answer in answers}
        return Served(answered, receiver.spans())


def work_in_all_workers(server: Server, workers: int = 3, first: int = 0) -> dict[int, int]:
    """Requests until every worker has had some; by number, which process answered."""
    answered: dict[int, int] = {}

    def round_of_requests() -> bool:
        start = first + len(answered)
        for answer in server.get_all([f"/work/{number}" for number in range(start, start + 24)]):
            answered[answer["number"]] = answer["pid"]
        return len(set(answered.values())) >= workers

    wait_until(round_of_requests, f"{workers} workers have answered")
    return answered


def work_until_settled(server: Server, answered: dict[int, int], most: int, workers: int = 3) -> dict[int, int]:
    """More requests until no worker is being replaced; all that were answered, by number.

    A worker that is told to stop while it starts, or while it ends already, does not do so in good order: uWSGI's
    runs on until it is killed, or ends without its exit handlers. What stops a server is not what these tests are of.

    Args:
        server: Serves `FLASK`, one request at a time in each of its workers.
        answered: What `work_in_all_workers` returned.
        most: After how many requests a worker is replaced.
        workers: How many there are at a time.
    """
    answered = dict(answered)

    def every_worker_has_one() -> bool:
        first = len(answered)
        paths = [f"/work/{number}?meeting={first}&of={workers}" for number in range(first, first + workers)]
        pids = {number: answer["pid"] for number, answer in enumerate(server.get_all(paths, workers), first)}
        assert len(set(pids.values())) == workers
        answered.update(pids)
        # The question whether it is ready, at the start, is not counted here: it may be one more than that.
        return max(Counter(answered.values())[pid] for pid in pids.values()) + 1 < most

    wait_until(every_worker_has_one, "no worker is at its last request")
    replaced = set(answered.values()) - set(list(answered.values())[-workers:])
    wait_until(lambda: not any(lives(pid) for pid in replaced), "the workers that were replaced have ended")
    return answered


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stopped(server: Server, number: signal.Signals = signal.SIGTERM) -> None:
    """It ends as it should and has said nothing bad."""
    assert server.stop(number) == 0, server.log
    assert "Traceback" not in server.log
    assert "ERROR" not in server.log


def instrumenting(framework: str = "", *, without: Collection[str] = ()) -> dict[str, str]:
    """Variables for an application that uses this one of the large libraries, or none of them.

    With all of them, a start takes three times as long. The tests of the pages as printed, where nobody leaves any out,
    start with all of them.

    Args:
        framework: Which one.
        without: Other instrumentations that it is to do without.
    """
    return {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(sorted((_LARGE - {framework}).union(without)))}


def reference(name: str) -> str:
    return identity.reference_to("0", name)


def command_of(page: Page, server: str) -> list[str]:
    """The command line that a page prints for a server, as one process: signals reach the server itself."""
    (block,) = [block for block in page.console if block.startswith(f"# {server}\n")]
    *lines, last = block.rstrip("\n").split("\n")
    return ["sh", "-c", "\n".join(["set -e", *lines, f"exec {last}"])]
