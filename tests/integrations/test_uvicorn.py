# SPDX-License-Identifier: Apache-2.0
"""FastAPI under real Uvicorn: a version for each request, chosen in ASGI middleware, with many requests at once."""

import random
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otlp_receiver import OtlpReceiver, ReceivedSpan
from waiting import wait_until

from .applications import ZERO_CODE, command_of, instrumenting, reference
from .ledger import (
    application_spans,
    check_activations,
    check_created,
    instance_of,
    version_of,
)
from .servers import BIN, Server, telemetry_to
from .situations import Page

PAGE = Page("gunicorn")
VERSIONS = ("agent-a", "agent-b", "agent-c")
# One request has spans of the server, the handler, tasks, a thread pool, a generator and a background task.
ROUTED = """
import asyncio, os
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from opentelemetry import trace
from starlette.datastructures import Headers

import otel_loggedmodel

tracer = trace.get_tracer("app")

class Route:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        version = Headers(scope=scope).get("x-version") if scope["type"] == "http" else None
        if version is None:
            await self.app(scope, receive, send)
            return
        with otel_loggedmodel.use_model(name=version):
            await self.app(scope, receive, send)

@asynccontextmanager
async def lifespan(app):
    SET_UP
    yield
    trace.get_tracer_provider().force_flush()

app = FastAPI(lifespan=lifespan)

def step(name, number):
    with tracer.start_as_current_span(name) as span:
        span.set_attribute("number", number)

async def task(number, part):
    await asyncio.sleep(0.001 * (number % 7))
    with tracer.start_as_current_span(f"task-{part}") as span:
        span.set_attribute("number", number)
        await asyncio.sleep(0.001 * ((number + part) % 5))
        await run_in_threadpool(step, f"thread-of-task-{part}", number)

async def dependency(number: int):
    step("dependency", number)

@app.get("/ready")
async def ready():
    return {"pid": os.getpid()}

@app.get("/work/{number}", dependencies=[Depends(dependency)])
async def work(number: int, background: BackgroundTasks):
    background.add_task(step, "background", number)
    with tracer.start_as_current_span("work") as span:
        span.set_attributes({"number": number, "pid": os.getpid()})
        await asyncio.gather(*(task(number, part) for part in range(3)))
        await asyncio.to_thread(step, "to-thread", number)
        version = otel_loggedmodel.get_active_model_id()
    return {"number": number, "pid": os.getpid(), "version": version}

@app.get("/plain/{number}")
def plain(number: int):
    step("plain", number)
    return {"number": number, "pid": os.getpid(), "version": otel_loggedmodel.get_active_model_id()}

@app.get("/stream/{number}")
async def stream(number: int):
    async def parts():
        yield f'{{"number": {number}, "pid": {os.getpid()}, '
        for part in range(3):
            await asyncio.sleep(0.001 * (number % 5))
            step(f"part-{part}", number)
        yield f'"version": "{otel_loggedmodel.get_active_model_id()}"}}'
    return StreamingResponse(parts())

app.add_middleware(Route)
"""
IN_CODE = ROUTED.replace("SET_UP", "otel_loggedmodel.instrument()") + (
    """
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
FastAPIInstrumentor.instrument_app(app)
"""
)
NO_CODE = ROUTED.replace("SET_UP", "pass")
PROGRAMMATIC = """
import sys
import uvicorn

if __name__ == "__main__":
    from service import app
    uvicorn.Server(uvicorn.Config(app, port=int(sys.argv[1]))).run()
"""
OF_WORK = {
    "dependency",
    "work",
    "to-thread",
    "background",
    *(f"{kind}-{part}" for part in range(3) for kind in ("task", "thread-of-task")),
}
OF_STREAM = {f"part-{part}" for part in range(3)}


def commands(directory: Path, application: str, launch: str):
    """How to start the application on a port."""
    (directory / "service.py").write_text(application)
    (directory / "program.py").write_text(PROGRAMMATIC)
    under = ZERO_CODE if application == NO_CODE else []
    if launch == "program":
        return lambda port: [*under, BIN / "python", "program.py", str(port)]
    return lambda port: [*under, BIN / "uvicorn", "--workers=2", f"--port={port}", "service:app"]


@pytest.mark.parametrize("launch", ["workers", "program"])
@pytest.mark.parametrize("application", [IN_CODE, NO_CODE], ids=["in code", "no code"])
def test_all_spans_of_a_request_have_its_version(tmp_path: Path, application: str, launch: str) -> None:
    numbers = range(240)
    version_for = {number: random.Random(number).choice(VERSIONS) for number in numbers}
    kinds = ("work", "plain", "stream")

    with OtlpReceiver() as receiver:
        environment = telemetry_to(receiver.endpoint, **instrumenting("fastapi"))
        with Server(commands(tmp_path, application, launch), tmp_path, environment) as server:
            wait_for_workers(server, 2 if launch == "workers" else 1)
            with ThreadPoolExecutor(24) as threads:
                answers = list(
                    threads.map(
                        lambda number: server.get(
                            f"/{kinds[number % 3]}/{number}", **{"X-Version": version_for[number]}
                        ),
                        numbers,
                    )
                )
            pids = {answer["pid"] for answer in answers}
            end(server)
        spans = receiver.spans()

    assert {answer["number"]: answer["version"] for answer in answers} == {
        number: reference(name) for number, name in version_for.items()
    }
    assert len(pids) == (2 if launch == "workers" else 1)
    traces: dict[str, list[ReceivedSpan]] = {}
    for span in application_spans(spans):
        traces.setdefault(span.trace_id, []).append(span)
    seen = []
    for trace in traces.values():
        (number,) = {span.attributes["number"] for span in trace if "number" in span.attributes}
        assert {version_of(span) for span in trace} == {reference(version_for[number])}
        assert [span.kind for span in trace].count("SERVER") == 1
        own = {span.name for span in trace if span.scope_name == "app"}
        assert own == (OF_WORK, {"plain"}, OF_STREAM)[number % 3]
        # One span is the entry: where the version starts to be responsible.
        entries = [span for span in trace if "logged_model.name" in span.attributes]
        assert [span.kind for span in entries] == ["SERVER"]
        seen.append(number)
    assert sorted(seen) == list(numbers)
    check_created(spans, *(reference(name) for name in VERSIONS))
    check_activations(spans)
    assert len({instance_of(span) for span in application_spans(spans)}) == len(pids)


def wait_for_workers(server: Server, number: int) -> None:
    wait_until(lambda: server.log.count("Application startup complete") == number, f"{number} workers are ready")


def end(server: Server) -> None:
    """A graceful stop. Uvicorn lets itself die of the signal after it has shut down."""
    assert server.stop() in (0, -signal.SIGTERM), server.log
    assert "Traceback" not in server.log
    assert "ERROR" not in server.log


def test_the_page_as_printed(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(PAGE.files["service.py"])
    answers = 40
    with OtlpReceiver() as receiver:
        with Server(
            lambda port: ["env", f"UVICORN_PORT={port}", *command_of(PAGE, "Uvicorn")],
            tmp_path,
            telemetry_to(receiver.endpoint),
            ready="/answer",
        ) as server:
            wait_for_workers(server, 2)
            server.get_all(["/answer"] * answers)
            end(server)
        spans = receiver.spans()
    of_servers = [span for span in spans if span.kind == "SERVER"]
    assert len(of_servers) == answers + 1
    assert {version_of(span) for span in application_spans(spans)} == {"my-agent-v1.0"}
    assert len({instance_of(span) for span in of_servers}) == 2
