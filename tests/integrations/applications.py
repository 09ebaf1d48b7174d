# SPDX-License-Identifier: Apache-2.0
"""The application that the servers serve, and what every test of a server with worker processes does with it.

It knows nothing of versions. `AT_IMPORT` is the set-up in code, for the end of its module.
"""

import signal
from typing import Final

from otel_loggedmodel import identity
from waiting import wait_until

from .servers import BIN, Server
from .situations import Page

ZERO_CODE: Final = [BIN / "opentelemetry-instrument"]

FLASK = """
import os, time
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


def stopped(server: Server, number: signal.Signals = signal.SIGTERM) -> None:
    """It ends as it should and has said nothing bad."""
    assert server.stop(number) == 0, server.log
    assert "Traceback" not in server.log
    assert "ERROR" not in server.log


def reference(name: str) -> str:
    return identity.reference_to("0", name)


def command_of(page: Page, server: str) -> list[str]:
    """The command line that a page prints for a server, as one process: signals reach the server itself."""
    (block,) = [block for block in page.console if block.startswith(f"# {server}\n")]
    *lines, last = block.rstrip("\n").split("\n")
    return ["sh", "-c", "\n".join(["set -e", *lines, f"exec {last}"])]
