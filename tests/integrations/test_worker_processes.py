# SPDX-License-Identifier: Apache-2.0
"""Processes and threads that Python's own libraries start, short lives, and ends where the far end is of no help."""

import json
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otlp_receiver import OtlpReceiver

from .applications import ZERO_CODE, instrumenting, reference
from .ledger import application_spans, check_activations, check_created, records, version_of
from .servers import telemetry_to

# What worker processes run: a module, which spawned processes import.
WORKERS = """
import os
import otel_loggedmodel
from opentelemetry import trace

def set_up():
    otel_loggedmodel.instrument()

def work(number, model):
    with otel_loggedmodel.use_model(model), trace.get_tracer("workers").start_as_current_span("work") as span:
        span.set_attributes({"number": number, "pid": os.getpid()})
    return number, os.getpid()

def work_and_flush(number, model):
    done = work(number, model)
    trace.get_tracer_provider().force_flush()
    return done

def a_process(number, model):
    set_up()
    work(number, model)
    trace.get_tracer_provider().shutdown()
"""
IMPORTS = """
import json, multiprocessing, os, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
import otel_loggedmodel
import workers
from opentelemetry import trace

def models():
    return [otel_loggedmodel.create_external_model("agent", params={"v": str(number)}) for number in range(3)]

if __name__ == "__main__":
"""


# Where a flush comes between a version's first use and the export of its first span.
def run(directory: Path, endpoint: str, program: str, *arguments: str, under=(), seconds: float = 60, **variables: str):
    """What a program printed, as JSON; it ends well and says nothing else."""
    (directory / "workers.py").write_text(WORKERS)
    (directory / "program.py").write_text(IMPORTS + textwrap.indent(textwrap.dedent(program), "    "))
    done = subprocess.run(
        [*under, sys.executable, "-W", "ignore:This process:DeprecationWarning", "program.py", *arguments],
        check=False,
        cwd=directory,
        env=telemetry_to(endpoint, **instrumenting(), **variables),
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return json.loads(done.stdout)


def check_done(spans, done, model_ids) -> None:
    work = {
        span.attributes["number"]: (span.attributes["pid"], version_of(span)) for span in spans if span.name == "work"
    }
    assert work == {number: (pid, model_ids[number % 3]) for number, pid in done}
    assert [span.name for span in application_spans(spans)].count("work") == len(done)
    check_activations(spans)
    check_created(spans, *model_ids)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_for_each_task(tmp_path: Path, method: str) -> None:
    program = """
        workers.set_up()  # what a version is made of is announced by the process that created it
        versions = models()
        context = multiprocessing.get_context(sys.argv[1])
        processes = [context.Process(target=workers.a_process, args=(n, versions[n % 3])) for n in range(6)]
        for process in processes: process.start()
        for process in processes: process.join()
        assert [process.exitcode for process in processes] == [0] * 6
        print(json.dumps([[[n, process.pid] for n, process in enumerate(processes)], [m.model_id for m in versions]]))
    """
    with OtlpReceiver() as receiver:
        done, model_ids = run(tmp_path, receiver.endpoint, program, method)
        check_done(receiver.spans(), done, model_ids)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_pool(tmp_path: Path, method: str) -> None:
    program = """
        workers.set_up()
        versions = models()
        context = multiprocessing.get_context(sys.argv[1])
        with ProcessPoolExecutor(3, mp_context=context, initializer=workers.set_up) as pool:
            done = list(pool.map(workers.work_and_flush, range(30), [versions[n % 3] for n in range(30)]))
        print(json.dumps([done, [m.model_id for m in versions]]))
    """
    with OtlpReceiver() as receiver:
        done, model_ids = run(tmp_path, receiver.endpoint, program, method)
        check_done(receiver.spans(), done, model_ids)


def test_activations_of_a_forked_child_are_of_the_child_where_its_parent_exported_before(tmp_path: Path) -> None:
    program = """
        workers.set_up()
        versions = models()
        done = [workers.work_and_flush(number, versions[number]) for number in range(3)]
        # One child, while its parent exports nothing: the exporter's open connection is theirs together.
        with multiprocessing.get_context("fork").Pool(1) as pool:
            done += pool.starmap(workers.work_and_flush, [(n, versions[n % 3]) for n in range(3, 9)])
            pool.close()
            pool.join()
        print(json.dumps([done, [m.model_id for m in versions]]))
    """
    with OtlpReceiver() as receiver:
        done, model_ids = run(tmp_path, receiver.endpoint, program)
        check_done(receiver.spans(), done, model_ids)


def test_a_version_made_elsewhere_is_activated_once_though_a_flush_comes_before_its_spans(tmp_path: Path) -> None:
    program = """
        workers.set_up()
        for number in range(3):
            workers.work_and_flush(number, otel_loggedmodel.LoggedModel(model_id="made-elsewhere", name=None))
        print("null")
    """
    with OtlpReceiver() as receiver:
        run(tmp_path, receiver.endpoint, program)
        spans = receiver.spans()
    assert [version_of(span) for span in records(spans, "activated")] == ["made-elsewhere"]
    check_activations(spans)


def test_no_code_with_a_pool_that_forks(tmp_path: Path) -> None:
    program = """
        def work(number):
            with trace.get_tracer("workers").start_as_current_span("work") as span:
                span.set_attributes({"number": number, "pid": os.getpid()})
            trace.get_tracer_provider().force_flush()
            return number, os.getpid()
        with multiprocessing.get_context("fork").Pool(3) as pool:
            done = pool.map(work, range(30), chunksize=1)
            pool.close()
            pool.join()
        print(json.dumps(done))
    """
    with OtlpReceiver() as receiver:
        done = run(tmp_path, receiver.endpoint, program, under=ZERO_CODE, MLFLOW_ACTIVE_MODEL_ID="agent-v1")
        spans = receiver.spans()
    work = {
        span.attributes["number"]: (span.attributes["pid"], version_of(span)) for span in spans if span.name == "work"
    }
    assert work == {number: (pid, "agent-v1") for number, pid in done}
    check_activations(spans)


# Threads


IN_THREADS = """
    workers.set_up()
    {instrumented}
    otel_loggedmodel.set_active_model(name="default")
    def step(name):
        trace.get_tracer("threads").start_span(name).end()
    with otel_loggedmodel.use_model(name="scope"), trace.get_tracer("threads").start_as_current_span("request"):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(step, [f"pool-{{number}}" for number in range(8)]))
        thread = threading.Thread(target=step, args=("thread",))
        thread.start()
        thread.join()
        timer = threading.Timer(0.01, step, args=("timer",))
        timer.start()
        timer.join()
    print("null")
"""


@pytest.mark.parametrize(
    ("instrumented", "version"),
    [
        (
            "from opentelemetry.instrumentation.threading import ThreadingInstrumentor as T; T().instrument()",
            reference("scope"),
        ),
        ("", reference("default")),
    ],
    ids=["instrumented", "not instrumented"],
)
def test_threads_have_the_scope_where_context_is_carried_and_the_default_elsewhere(
    tmp_path: Path, instrumented: str, version: str
) -> None:
    with OtlpReceiver() as receiver:
        run(tmp_path, receiver.endpoint, IN_THREADS.format(instrumented=instrumented))
        spans = {span.name: span for span in application_spans(receiver.spans())}
    request = spans.pop("request")
    assert version_of(request) == reference("scope")
    assert len(spans) == 10
    assert {version_of(span) for span in spans.values()} == {version}
    is_carried = version == reference("scope")
    assert {span.parent_span_id for span in spans.values()} == {request.span_id if is_carried else None}


def test_under_zero_code_threads_have_the_scope(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        run(tmp_path, receiver.endpoint, IN_THREADS.format(instrumented=""), under=ZERO_CODE)
        spans = application_spans(receiver.spans())
    assert len(spans) == 11
    assert {version_of(span) for span in spans} == {reference("scope")}


# Short lives and hard ends


SHORT = """
    with trace.get_tracer("script").start_as_current_span("work"):
        time.sleep(0.05)
    print("null")
"""


def test_a_script_of_50_ms_without_code(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        run(tmp_path, receiver.endpoint, SHORT, under=ZERO_CODE, OTEL_LOGGEDMODEL_NAME="agent")
        spans = receiver.spans()
    assert [span.name for span in application_spans(spans)] == ["work"]
    assert {version_of(span) for span in spans} == {reference("agent")}
    assert [len(records(spans, event)) for event in ("created", "activated")] == [1, 1]


@pytest.mark.parametrize("ending", ["sys.exit(0)", "raise SystemExit", "sys.exit(main() or 0)"])
def test_however_a_script_ends_in_order(tmp_path: Path, ending: str) -> None:
    program = "def main():\n    return 0\n" + textwrap.dedent(SHORT) + ending
    with OtlpReceiver() as receiver:
        run(tmp_path, receiver.endpoint, program, under=ZERO_CODE, MLFLOW_ACTIVE_MODEL_ID="agent-v1")
        assert sorted(span.name for span in receiver.spans()) == ["logged_model.activated", "work"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_spans_of_exit_handlers_are_delivered_where_the_provider_is_older_than_they_are(
    tmp_path: Path, when: str
) -> None:
    # Exit handlers run newest first. Those that are older than the provider find it shut down: that is the SDK's.
    handler = """
        import atexit
        def last_words():
            with otel_loggedmodel.use_model(name="farewell"):
                trace.get_tracer("script").start_span("last words").end()
            otel_loggedmodel.create_external_model("made-at-exit")
        """
    register, set_up = "atexit.register(last_words)\n", "workers.set_up()\n"
    order = register + set_up if when == "before" else set_up + register
    program = textwrap.dedent(handler) + order + 'otel_loggedmodel.set_active_model(name="agent")\n'
    program += 'trace.get_tracer("script").start_span("work").end()\nprint("null")\n'
    with OtlpReceiver() as receiver:
        run(tmp_path, receiver.endpoint, program)
        spans = receiver.spans()
    names = {"work": reference("agent")}
    if when == "after":
        names["last words"] = reference("farewell")
        made = {span.attributes["logged_model.name"] for span in records(spans, "created")}
        assert made == {"agent", "farewell", "made-at-exit"}
    assert {span.name: version_of(span) for span in application_spans(spans)} == names


@contextmanager
def a_far_end(kind: str) -> Iterator[str]:
    """Something that refuses connections, or takes requests and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if kind == "hangs":
            listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["refuses", "hangs"])
@pytest.mark.parametrize("under", [ZERO_CODE, []], ids=["no code", "in code"])
def test_an_end_that_does_not_answer_delays_the_exit_by_no_more_than_it_does_without_us(
    tmp_path: Path, kind: str, under: list[Path]
) -> None:
    program = SHORT if under else "workers.set_up()\n" + textwrap.dedent(SHORT)
    (tmp_path / "workers.py").write_text(WORKERS)
    took = {}
    with a_far_end(kind) as endpoint:

        def end(who: str, text: str, **variables: str) -> None:
            path = tmp_path / f"{who}.py"
            path.write_text(IMPORTS + textwrap.indent(textwrap.dedent(text), "    "))
            begun = time.monotonic()
            done = subprocess.run(
                [*under, sys.executable, path],
                check=False,
                cwd=tmp_path,
                env=telemetry_to(endpoint, **variables),
                capture_output=True,
                text=True,
                timeout=150,
            )
            took[who] = time.monotonic() - begun
            assert (done.returncode, done.stdout) == (0, "null\n")
            assert "otel_loggedmodel failed" not in done.stderr

        without = """
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            trace.set_tracer_provider(TracerProvider())
            trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        """
        alone = SHORT if under else textwrap.dedent(without) + textwrap.dedent(SHORT)
        # They run side by side, so that a busy machine is as slow for both. A wait of ours would be ten seconds or so.
        # On a very busy one, the exporting thread may come to its work twice, with us or without: that seldom happens
        # again, and a wait of ours does.
        for _ in range(3):
            threads = [
                threading.Thread(
                    target=end,
                    args=("with_us", program),
                    kwargs={"OTEL_LOGGEDMODEL_NAME": "agent", **instrumenting()},
                ),
                threading.Thread(target=end, args=("without_us", alone), kwargs=instrumenting(without=["loggedmodel"])),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert set(took) == {"with_us", "without_us"}
            if took["with_us"] < 1.5 * took["without_us"] + 5:
                return
    raise AssertionError(took)


def test_a_fork_under_a_hanging_end_does_not_hang(tmp_path: Path) -> None:
    program = """
        workers.set_up()
        otel_loggedmodel.set_active_model(name="agent")
        process = multiprocessing.get_context("fork").Process(target=workers.work, args=(0, "agent"))
        process.start()
        process.join(30)
        assert process.exitcode == 0
        print("null")
        sys.stdout.flush()
        os._exit(0)
    """
    with a_far_end("hangs") as endpoint:
        run(tmp_path, endpoint, program)
