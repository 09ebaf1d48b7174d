# SPDX-License-Identifier: Apache-2.0
"""Real Celery workers that fork, with a broker in a directory: a version for each task, on every span of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from otlp_receiver import OtlpReceiver, ReceivedSpan

from .applications import ZERO_CODE, command_of, instrumenting, reference
from .ledger import application_spans, check_activations, check_created, version_of
from .servers import telemetry_to
from .situations import Page

PAGE = Page("gunicorn")
# CELERY_LOADER has Celery read this module, and CELERY_BROKER_URL goes before what an application says.
CONFIGURATION = """
import json
broker_transport_options = {"data_folder_in": "broker", "data_folder_out": "broker", "control_folder": "control"}
broker_connection_retry_on_startup = True
"""
IMPORTS = """
import os, time
from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
import otel_loggedmodel

app = Celery("tasks")
"""
TASKS = """
@app.task
def work(number, version):
    with otel_loggedmodel.use_model(name=version), trace.get_tracer("tasks").start_as_current_span("work") as span:
        span.set_attributes({"number": number, "pid": os.getpid()})
        time.sleep(0.02)
    return {"number": number, "pid": os.getpid()}

@app.task
def plain(number):
    with trace.get_tracer("tasks").start_as_current_span("work") as span:
        span.set_attributes({"number": number, "pid": os.getpid()})
        time.sleep(0.02)
    return {"number": number, "pid": os.getpid()}
"""
SHUTDOWN = """
@worker_process_shutdown.connect(weak=False)
def deliver(**_):
    trace.get_tracer_provider().shutdown()
"""
IN_WORKER = """
@worker_process_init.connect(weak=False)
def set_up_tracing(**_):
    otel_loggedmodel.instrument()
    CeleryInstrumentor().instrument()
"""
AT_IMPORT = """
otel_loggedmodel.instrument()
CeleryInstrumentor().instrument()
"""
# Sends tasks, waits for what they return, and prints it.
PRODUCER = """
import json, sys
import otel_loggedmodel
from opentelemetry.instrumentation.celery import CeleryInstrumentor
import tasks

if len(sys.argv) > 1:
    otel_loggedmodel.instrument()
    CeleryInstrumentor().instrument()
    otel_loggedmodel.set_active_model(name="producer-v1")
def send(number):
    if len(sys.argv) > 2:
        return tasks.plain.delay(number)
    return tasks.work.delay(number, f"agent-v{number % 3}")
results = [send(number) for number in range(30)]
print(json.dumps([result.get(timeout=60) for result in results]))
"""


def environment(directory: Path, endpoint: str, **variables: str) -> dict[str, str]:
    return telemetry_to(
        endpoint,
        CELERY_LOADER="default",
        CELERY_BROKER_URL="filesystem://",
        CELERY_RESULT_BACKEND=f"file://{directory}/results",
        PYTHONPATH=str(directory),
        # Whatever is not delivered by the workers' end is not delivered.
        OTEL_BSP_SCHEDULE_DELAY="600000",
        **instrumenting("celery"),
        **variables,
    )


class Workers:
    """A Celery worker with its pool. Its log is for the failure message."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """A warm shutdown; it has to end well."""
        os.kill(self._process.pid, signal.SIGTERM)
        assert self._process.wait(60) == 0, self.log
        assert "Traceback" not in self.log
        assert "ERROR" not in self.log


@contextmanager
def workers(
    directory: Path,
    endpoint: str,
    *options: str,
    tasks: str,
    command: Sequence[str | Path] = ("celery", "--app", "tasks", "worker", "--concurrency", "3"),
    **variables: str,
) -> Iterator[Workers]:
    for name in ("broker", "control", "results"):
        (directory / name).mkdir()
    (directory / "celeryconfig.py").write_text(CONFIGURATION)
    (directory / "tasks.py").write_text(tasks)
    path = directory / "celery.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [*command, *options],
            cwd=directory,
            env=environment(directory, endpoint, **variables),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Workers(process, path)
    try:
        yield running  # what is sent before it is ready waits in the broker
    except BaseException as error:
        error.add_note(f"the worker's log:\n{running.log}")
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def produce(directory: Path, endpoint: str, *arguments: str, program: str = PRODUCER) -> dict[int, int]:
    """Have the tasks done; by number, which process did it."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=False,
        cwd=directory,
        env=environment(directory, endpoint),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr

    return {answer["number"]: answer["pid"] for answer in json.loads(done.stdout)}


def check_tasks(spans: list[ReceivedSpan], done: dict[int, int]) -> None:
    """Each task left its two spans, from the process that did it, with its version."""
    expected = {number: (pid, reference(f"agent-v{number % 3}")) for number, pid in done.items()}
    work = [span for span in spans if span.name == "work"]
    assert len(work) == len(done)
    assert {span.attributes["number"]: (span.attributes["pid"], version_of(span)) for span in work} == expected
    runs = {span.span_id: span for span in spans if span.name == "run/tasks.work"}
    assert len(runs) == len(done)
    assert {version_of(runs[span.parent_span_id]) == version_of(span) for span in work} == {True}


@pytest.mark.parametrize("set_up", [IN_WORKER, AT_IMPORT], ids=["worker_process_init", "import"])
def test_a_version_for_each_task(tmp_path: Path, set_up: str) -> None:
    with OtlpReceiver() as receiver:
        with workers(tmp_path, receiver.endpoint, tasks=IMPORTS + set_up + TASKS + SHUTDOWN) as running:
            # The tasks' module sets up the producer, too, where it does that at import.
            done = produce(tmp_path, receiver.endpoint)
            running.stop()
        spans = receiver.spans()
    assert len(set(done.values())) == 3
    check_tasks(spans, done)
    check_activations(spans)
    check_created(spans, *(reference(f"agent-v{number}") for number in range(3)))


def test_the_producers_spans_have_the_producers_version_and_are_the_parents_of_the_workers(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        with workers(tmp_path, receiver.endpoint, tasks=IMPORTS + IN_WORKER + TASKS + SHUTDOWN) as running:
            done = produce(tmp_path, receiver.endpoint, "traced")
            running.stop()
        spans = receiver.spans()
    check_tasks(spans, done)
    sent = {span.span_id: span for span in spans if span.name == "apply_async/tasks.work"}
    assert len(sent) == len(done)
    assert {(span.kind, version_of(span)) for span in sent.values()} == {("PRODUCER", reference("producer-v1"))}
    runs = [span for span in spans if span.name == "run/tasks.work"]
    assert {span.parent_span_id for span in runs} == set(sent)
    assert {span.kind for span in runs} == {"CONSUMER"}
    check_activations(spans)


def test_workers_with_one_version_that_are_replaced_after_five_tasks(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        with workers(
            tmp_path,
            receiver.endpoint,
            "--max-tasks-per-child=5",
            tasks=IMPORTS + IN_WORKER + TASKS + SHUTDOWN,
        ) as running:
            done = produce(tmp_path, receiver.endpoint)
            running.stop()
        spans = receiver.spans()
    assert len(set(done.values())) >= 6
    check_tasks(spans, done)
    check_activations(spans)


def test_no_code_but_the_shutdown(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        with workers(
            tmp_path,
            receiver.endpoint,
            tasks=IMPORTS + TASKS + SHUTDOWN,
            command=[*ZERO_CODE, "celery", "--app", "tasks", "worker", "--concurrency", "3"],
            MLFLOW_ACTIVE_MODEL_ID="agent-v1",
        ) as running:
            done = produce(tmp_path, receiver.endpoint, "traced", "plain")
            running.stop()
        spans = receiver.spans()
    work = [span for span in spans if span.name == "work"]
    assert {span.attributes["number"]: span.attributes["pid"] for span in work} == done
    of_workers = [span for span in application_spans(spans) if span.name in ("work", "run/tasks.plain")]
    assert len(of_workers) == 2 * len(done)
    assert {version_of(span) for span in of_workers} == {"agent-v1"}
    check_activations(spans)


def test_the_page_as_printed(tmp_path: Path) -> None:
    program = """
import tasks
assert [result.get(timeout=60) for result in [tasks.summarize.delay("a long story")] * 1] == ["a long sto"]
print("[]")
"""
    with OtlpReceiver() as receiver:
        with workers(
            tmp_path, receiver.endpoint, tasks=PAGE.files["tasks.py"], command=command_of(PAGE, "Celery")
        ) as running:
            produce(tmp_path, receiver.endpoint, program=program)
            running.stop()
        spans = receiver.spans()
    assert {(span.name, version_of(span)) for span in application_spans(spans)} == {
        ("summarize", reference("summarizer-v1.0")),
        ("run/tasks.summarize", reference("summarizer-v1.0")),
    }
    check_created(spans, reference("summarizer-v1.0"))
