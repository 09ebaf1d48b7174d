# SPDX-License-Identifier: Apache-2.0
"""Servers that die, hang or refuse, processes that are killed or fork: in the end, all traces are linked."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient

from effort import times
from waiting import wait_until

from .conftest import ANNA
from .looking import Looking
from .programs import environment, finish, run, start
from .tracking_servers import MlflowServer

ENOUGH_SECONDS = 120.0


# A process that delivers what others have left, however long the server takes.
NEXT = """
import time
tracer.start_span("next").end()
provider.force_flush()
deadline = time.monotonic() + 100
while exporter.pending and time.monotonic() < deadline:
    time.sleep(0.05)
assert not exporter.pending, exporter.pending
"""


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory, server: MlflowServer) -> Iterator[MlflowServer]:
    """One that a test may stop and start."""
    with MlflowServer(tmp_path_factory.mktemp("own"), workers=2) as own:
        yield own


@pytest.fixture
def own_looking(own_server: MlflowServer) -> Looking:
    return Looking(MlflowClient(own_server.uri), "0")


TRACES = times(full=5000, quick=1200)


@pytest.mark.timeout(900)
def test_every_trace_is_linked_though_the_server_dies_twice(own_server, own_looking: Looking, tmp_path: Path) -> None:
    process = start(
        f"""
        otel_loggedmodel.set_active_model(name="steady")
        import time
        for number in range({TRACES}):
            tracer.start_span("request").end()
            if number % 100 == 99:
                print(number + 1, flush=True)
                time.sleep(0.2)
        sys.stdin.readline()
        deadline = time.monotonic() + 450
        while exporter.pending and time.monotonic() < deadline:
            time.sleep(0.1)
        assert exporter.force_flush()
        """,
        environment(own_server.uri, None, tmp_path),
    )
    for line in process.stdout:
        if int(line) in (TRACES // 4, TRACES // 2):
            own_server.stop()
            time.sleep(1.0)  # long enough for the application to notice, however busy the machine is
            own_server.start()
        if int(line) == TRACES:
            break
    process.stdin.write("deliver now\n")
    finish(process, errors=None, seconds=500)
    assert own_looking.linked("steady") == TRACES


def test_what_a_killed_process_could_not_say_is_said_by_the_next(own_server, own_looking, tmp_path: Path) -> None:
    own_server.stop()
    process = start(
        """
        model = otel_loggedmodel.create_external_model("survivor", params={"k": "1"})
        with otel_loggedmodel.use_model(model):
            for number in range(20):
                tracer.start_span("request").end()
        provider.force_flush()
        print("exported", flush=True)
        sys.stdin.readline()
        """,
        environment(own_server.uri, None, tmp_path),
    )
    assert process.stdout.readline() == "exported\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    own_server.start()
    run(NEXT, own_server, "0", tmp_path)
    wait_until(lambda: own_looking.models() and own_looking.linked("survivor") == 20, "all are linked", ENOUGH_SECONDS)
    assert own_looking.models()["survivor"].params["k"] == "1"
    wait_until(lambda: len(own_looking.traces()) == 21, "all are there", ENOUGH_SECONDS)


def test_in_memory_alone(server, experiment_id: str, looking: Looking, tmp_path: Path) -> None:
    run(
        """
        otel_loggedmodel.set_active_model(name="in-memory")
        for number in range(10):
            tracer.start_span("request").end()
        """,
        server,
        experiment_id,
        tmp_path / "unused",
        OTEL_LOGGEDMODEL_SPOOL="0",
    )
    assert looking.linked("in-memory") == 10
    assert not (tmp_path / "unused").exists()


def test_forks_under_load(server, experiment_id: str, looking: Looking, tmp_path: Path) -> None:
    run(
        """
        import threading
        otel_loggedmodel.set_active_model(name="forking")
        stop = threading.Event()
        made = [0]

        def work():
            while not stop.is_set():
                tracer.start_span("of the parent").end()
                made[0] += 1
                stop.wait(0.01)

        thread = threading.Thread(target=work)
        thread.start()
        children = []
        for _ in range(4):
            stop.wait(0.3)
            child = os.fork()
            if child == 0:
                for number in range(10):
                    tracer.start_span("of a child").end()
                provider.shutdown()
                os._exit(0)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        thread.join()
        provider.force_flush()
        assert exporter.force_flush()
        print(made[0])
        """,
        server,
        experiment_id,
        tmp_path,
    )
    # What a child could not say within the seconds of its end is for the next process.
    run(NEXT, server, experiment_id, tmp_path)
    wait_until(lambda: looking.linked("forking") == len(looking.traces()) - 1, "all are linked", ENOUGH_SECONDS)
    names = [trace.data.spans[0].name for trace in looking.traces("forking")]
    assert names.count("of a child") == 40
    assert names.count("of the parent") == len(names) - 40 > 20


def test_what_is_left_can_be_delivered_by_hand(server, experiment_id: str, looking: Looking, tmp_path: Path) -> None:
    with Refusing((503, {"error_code": "TEMPORARILY_UNAVAILABLE"})) as away:
        variables = environment(away.uri, experiment_id, tmp_path)
        finish(start("with otel_loggedmodel.use_model(name='left'): tracer.start_span('r').end()", variables), None)
        command = [sys.executable, "-m", "otel_loggedmodel", "spool", "drain"]
        other = subprocess.run(command, env=variables | {"MLFLOW_EXPERIMENT_ID": "0"}, capture_output=True, check=False)
        assert other.returncode == 2
        assert looking.models() == {}
        away.forwards_to = server.uri
        drained = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        assert drained.stderr == f"{away.uri}: 3 delivered.\n"
    assert looking.linked("left") == 1


# Servers that refuse


class Refusing:
    """A server that refuses, or does not answer, until it is told to hand everything on to another one."""

    def __init__(self, answer: tuple[int, object] | None) -> None:
        self.asked: list[str] = []
        self.go_on = threading.Event()
        self.forwards_to: str | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.asked.append(self.path)
                if outer.forwards_to is not None:
                    self.forward(content, outer.forwards_to)
                    return
                if answer is None:
                    outer.go_on.wait(60)
                    self.close_connection = True
                    return
                status, document = answer
                self.answer(status, "application/json", json.dumps(document).encode())

            def forward(self, content: bytes, uri: str) -> None:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                answer = requests.request(self.command, uri + self.path, data=content, headers=headers, timeout=60)
                self.answer(answer.status_code, answer.headers.get("content-type", ""), answer.content)

            def answer(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PATCH = do_DELETE = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.port = self._server.server_address[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Refusing":
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


LOGGED = """
        import logging
        logging.basicConfig(format="%(name)s: %(message)s")
"""
TEN = (
    LOGGED
    + """
        otel_loggedmodel.set_active_model(name="patient")
        for number in range(10):
            tracer.start_span("request").end()
            provider.force_flush()
        exporter.force_flush()
        assert exporter.pending.models + exporter.pending.spans > 0
"""
)


def of_ours(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("otel_loggedmodel: ")]


def warnings_of(variables: dict[str, str], advice: str) -> None:
    """Run what makes ten traces and cannot deliver them: one warning of links and one of spans, with advice."""
    process = start(TEN, variables)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    warnings = of_ours(said)
    assert [line for line in warnings if "refuses what waits" in line and advice in line], said
    assert len([line for line in warnings if "refuses what waits" in line]) == 1, said
    assert len(warnings) <= 2, said


def test_wrong_credentials_are_warned_of_and_with_the_right_ones_it_goes_on(
    guarded_server: MlflowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = f"guarded-{time.time_ns()}"
    right = {"MLFLOW_TRACKING_USERNAME": ANNA[0], "MLFLOW_TRACKING_PASSWORD": ANNA[1]}
    for variable, value in right.items():
        monkeypatch.setenv(variable, value)
    client = MlflowClient(guarded_server.uri)
    experiment_id = client.create_experiment(name)
    variables = environment(guarded_server.uri, experiment_id, tmp_path, **right)
    warnings_of(variables | {"MLFLOW_TRACKING_PASSWORD": "wrong"}, "MLFLOW_TRACKING_PASSWORD")
    finish(start(NEXT, variables))
    looking = Looking(client, experiment_id)
    wait_until(lambda: looking.models() and looking.linked("patient") == 10, "all are linked", ENOUGH_SECONDS)
    wait_until(lambda: len(looking.traces()) == 11, "no span is lost", ENOUGH_SECONDS)


def test_an_old_server_is_warned_of_and_told_when_it_is_upgraded(
    server, experiment_id: str, looking: Looking, tmp_path: Path
) -> None:
    with Refusing((404, {"detail": "Not Found"})) as refusing:
        warnings_of(environment(refusing.uri, experiment_id, tmp_path), "upgrade the server")
        refusing.forwards_to = server.uri
        run(NEXT, refusing, experiment_id, tmp_path)
    wait_until(lambda: looking.models() and looking.linked("patient") == 10, "all are linked", ENOUGH_SECONDS)
    wait_until(lambda: len(looking.traces()) == 11, "no span is lost", ENOUGH_SECONDS)


def test_an_experiment_that_is_made_later(own_server, tmp_path: Path) -> None:
    """Experiments get their ids one after the other, so the next one is known where nobody else makes any."""
    client = MlflowClient(own_server.uri)
    missing = str(int(client.create_experiment(f"before-{time.time_ns()}")) + 1)
    warnings_of(environment(own_server.uri, missing, tmp_path), "MLFLOW_EXPERIMENT_ID")
    assert client.create_experiment(f"after-{time.time_ns()}") == missing
    looking = Looking(client, missing)
    run(NEXT, own_server, missing, tmp_path)
    wait_until(lambda: looking.models() and looking.linked("patient") == 10, "all are linked", ENOUGH_SECONDS)
    wait_until(lambda: len(looking.traces()) == 11, "no span is lost", ENOUGH_SECONDS)


def test_a_server_that_hangs_does_not_hold_up_exporting(tmp_path: Path) -> None:
    with Refusing(None) as hanging:
        process = start(
            """
            import time
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            took = []
            spans = []
            class Noting:
                def export(self, batch):
                    spans.extend(batch)
                def shutdown(self): pass
                def force_flush(self, timeout_millis=0): return True
            noting = otel_loggedmodel.LoggedModelExporter(Noting(), mlflow=True)
            otel_loggedmodel.set_active_model(name="a")
            for number in range(200):
                span = tracer.start_span("request")
                span.end()
                began = time.monotonic()
                noting.export([span])
                took.append(time.monotonic() - began)
            assert sum(took) < 30, sum(took)
            assert len(spans) == 202
            assert noting.pending.spans == 200
            began = time.monotonic()
            noting.shutdown()
            assert exporter._tracking._users == 1
            exporter._tracking.shutdown()
            assert time.monotonic() - began < 25
            os._exit(0)
            """,
            environment(hanging.uri, "1", tmp_path, MLFLOW_HTTP_REQUEST_TIMEOUT="60", OTEL_BSP_SCHEDULE_DELAY="60000"),
        )
        finish(process, errors=None)
        assert hanging.asked
