# SPDX-License-Identifier: Apache-2.0
"""Flask and FastAPI under real Gunicorn: every worker class, preloading or not, reloading, recycling, stopping."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from otel_loggedmodel.versions import identity
from otlp_grpc_receiver import OtlpGrpcReceiver
from otlp_receiver import OtlpReceiver
from waiting import wait_until

from .applications import (
    AT_IMPORT,
    FASTAPI,
    FLASK,
    ZERO_CODE,
    command_of,
    instrumenting,
    lives,
    reference,
    served,
    served_at_the_end,
    stopped,
    work_in_all_workers,
    work_until_settled,
)
from .ledger import check_activations, check_answers, check_created, check_work, version_of
from .servers import BIN, Server, Traffic, telemetry_to
from .situations import Page

# Only the instrumentation: the rest is in gunicorn.conf.py.
INSTRUMENTED = """
from opentelemetry.instrumentation.flask import FlaskInstrumentor

FlaskInstrumentor().instrument_app(app)
"""
POST_FORK = """
from pathlib import Path
import otel_loggedmodel

def post_fork(server, worker):
    otel_loggedmodel.instrument()
    otel_loggedmodel.set_active_model(name=Path("version.txt").read_text())
"""

# A worker that gets SIGTERM before it has set its own handlers, while `post_fork` still runs, does not end by it, and
# the master waits for thirty seconds.
READY = """
def post_worker_init(worker):
    open(f"{worker.pid}.ready", "w").close()
"""

PAGE = Page("gunicorn")
PRELOAD = pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])


def gunicorn(
    directory: Path,
    endpoint: str,
    *options: str,
    application: str,
    configuration: str = "",
    under: Sequence[str | Path] = (),
    **environment: str,
) -> Server:
    (directory / "shop.py").write_text(application)
    # Its default is one place for all Gunicorns of a user.
    (directory / "gunicorn.conf.py").write_text(configuration + '\ncontrol_socket = "gunicorn.ctl"\n')
    return Server(
        lambda port: [
            *under,
            BIN / "gunicorn",
            f"--bind=127.0.0.1:{port}",
            "--workers=3",
            *options,
            "shop:app",
        ],
        directory,
        telemetry_to(endpoint, **instrumenting("fastapi" if application == FASTAPI else "flask"), **environment),
    )


@PRELOAD
@pytest.mark.parametrize(
    ("worker_class", "application"),
    [
        ("sync", FLASK),
        ("gthread", FLASK),
        ("asgi", FASTAPI),
    ],
)
def test_one_variable_and_no_code(tmp_path: Path, worker_class: str, application: str, preload: list[str]) -> None:
    done = served(
        lambda endpoint: gunicorn(
            tmp_path,
            endpoint,
            f"--worker-class={worker_class}",
            *(["--threads=4"] if worker_class == "gthread" else []),
            *preload,
            application=application,
            under=ZERO_CODE,
            MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0",
        )
    )
    done.check("my-agent-v1.0")
    assert {version_of(span) for span in done.spans} == {"my-agent-v1.0"}


@PRELOAD
def test_over_grpc_which_is_the_distros_default(tmp_path: Path, preload: list[str]) -> None:
    done = served(
        lambda endpoint: gunicorn(
            tmp_path,
            endpoint,
            *preload,
            application=FLASK,
            under=ZERO_CODE,
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0",
        ),
        receiver=OtlpGrpcReceiver,
    )
    done.check("my-agent-v1.0")


@PRELOAD
def test_uvicorns_worker_class_needs_a_signal_handler_to_end_properly(tmp_path: Path, preload: list[str]) -> None:
    done = served(
        lambda endpoint: gunicorn(
            tmp_path,
            endpoint,
            *preload,
            application=FASTAPI,
            configuration=PAGE.files["uvicorn_workers.conf.py"],
            under=ZERO_CODE,
            MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0",
        )
    )
    done.check("my-agent-v1.0")


def test_the_page_without_code_as_printed(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PAGE.files["shop.py"])
    (tmp_path / "gunicorn.conf.py").write_text(READY)
    with OtlpReceiver() as receiver:
        with Server(
            lambda port: [
                "env",
                f"GUNICORN_CMD_ARGS=--bind=127.0.0.1:{port} --control-socket=gunicorn.ctl",
                *command_of(PAGE, "Gunicorn"),
            ],
            tmp_path,
            telemetry_to(receiver.endpoint),
            ready="/answer",
        ) as server:
            server.get_all(["/answer"] * 30)
            wait_until(lambda: len([*tmp_path.glob("*.ready")]) == 3, "all workers are up")
            stopped(server)
        check_answers(receiver.spans(), 31, "my-agent-v1.0")


@PRELOAD
def test_the_page_in_code_as_printed(tmp_path: Path, preload: list[str]) -> None:
    (tmp_path / "shop.py").write_text(PAGE.files["shop.py"])
    (tmp_path / "gunicorn.conf.py").write_text(PAGE.files["gunicorn.conf.py"] + READY)
    with OtlpReceiver() as receiver:
        with Server(
            lambda port: [
                BIN / "gunicorn",
                f"--bind=127.0.0.1:{port}",
                "--control-socket=gunicorn.ctl",
                *preload,
                "shop:app",
            ],
            tmp_path,
            telemetry_to(receiver.endpoint),
            ready="/answer",
        ) as server:
            server.get_all(["/answer"] * 30)
            wait_until(lambda: len([*tmp_path.glob("*.ready")]) == 3, "all workers are up")
            stopped(server)
        check_answers(receiver.spans(), 31, reference("my-agent-v1.0"))


@PRELOAD
def test_a_version_described_by_the_environment(tmp_path: Path, preload: list[str]) -> None:
    done = served(
        lambda endpoint: gunicorn(
            tmp_path,
            endpoint,
            *preload,
            application=FLASK,
            under=ZERO_CODE,
            OTEL_LOGGEDMODEL_NAME="my-agent",
            OTEL_LOGGEDMODEL_PARAMS="llm=gpt-4o",
        )
    )
    model_id = identity.model_id_of("0", "my-agent", params={"llm": "gpt-4o"})
    done.check(model_id, is_created=True)


@PRELOAD
@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
@pytest.mark.parametrize("place", ["import", "post_fork"])
def test_a_provider_in_code(tmp_path: Path, worker_class: str, place: str, preload: list[str]) -> None:
    (tmp_path / "version.txt").write_text("my-agent-v1.0")
    done = served(
        lambda endpoint: gunicorn(
            tmp_path,
            endpoint,
            f"--worker-class={worker_class}",
            *preload,
            application=FLASK + (AT_IMPORT if place == "import" else INSTRUMENTED),
            configuration="" if place == "import" else POST_FORK,
        )
    )
    done.check(reference("my-agent-v1.0"), is_created=True)


@pytest.mark.parametrize(
    ("place", "preload", "after"),
    [
        ("import", [], "my-agent-v2.0"),
        ("import", ["--preload"], "my-agent-v1.0"),
        ("post_fork", [], "my-agent-v2.0"),
        ("post_fork", ["--preload"], "my-agent-v2.0"),
        ("no code", [], "my-agent-v1.0"),
    ],
)
def test_a_reload_takes_the_new_version_where_it_is_read_again_and_loses_nothing(
    tmp_path: Path, place: str, preload: list[str], after: str
) -> None:
    application, configuration, under = {
        "import": (FLASK + AT_IMPORT, "", []),
        "post_fork": (FLASK + INSTRUMENTED, POST_FORK, []),
        "no code": (FLASK, "", ZERO_CODE),
    }[place]
    (tmp_path / "version.txt").write_text("my-agent-v1.0")
    with OtlpReceiver() as receiver:
        with gunicorn(
            tmp_path,
            receiver.endpoint,
            *preload,
            application=application,
            configuration=configuration,
            under=under,
            OTEL_LOGGEDMODEL_NAME="my-agent-v1.0",
        ) as server:
            old = work_in_all_workers(server)
            (tmp_path / "version.txt").write_text("my-agent-v2.0")
            with Traffic(lambda number: server.get(f"/work/{1000 + number}")["pid"]) as traffic:
                server.send_signal(signal.SIGHUP)
                wait_until(
                    lambda: (
                        len(set(list(traffic.answers.values())[-40:]) - set(old.values())) >= 3
                        and not any(lives(pid) for pid in old.values())
                    ),
                    "new workers have taken over",
                )
            stopped(server)
        spans = receiver.spans()
    expected = {number: (pid, reference("my-agent-v1.0")) for number, pid in old.items()}
    old_workers = set(old.values())
    for number, pid in traffic.answers.items():
        expected[1000 + number] = (pid, reference("my-agent-v1.0" if pid in old_workers else after))
    check_work(spans, expected)
    check_activations(spans)
    check_created(spans, *{reference("my-agent-v1.0"), reference(after)})


@PRELOAD
def test_recycled_workers_lose_nothing(tmp_path: Path, preload: list[str]) -> None:
    done = served(
        lambda endpoint: gunicorn(
            tmp_path,
            endpoint,
            "--max-requests=10",
            *preload,
            application=FLASK,
            under=ZERO_CODE,
            OTEL_LOGGEDMODEL_NAME="my-agent",
        ),
        lambda server: work_until_settled(server, work_in_all_workers(server, workers=9), most=10),
    )
    done.check(reference("my-agent"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_stopping_delivers_what_was_done_at_the_last_moment(tmp_path: Path, number: signal.Signals) -> None:
    def work(server: Server) -> dict[int, int]:
        answered = work_in_all_workers(server)
        # SIGINT ends a worker wherever it is, and who got the answer is before the worker that sent it.
        wait_until(lambda: server.log.count('"GET /work/') == len(answered), "the workers are done with every request")
        return answered

    # The batch processor waits for five seconds: what has come when all is over came because the workers ended.
    served(
        lambda endpoint: gunicorn(
            tmp_path,
            endpoint,
            "--access-logfile=-",
            application=FLASK,
            under=ZERO_CODE,
            OTEL_LOGGEDMODEL_NAME="my-agent",
        ),
        work,
        number=number,
    ).check(reference("my-agent"))


def test_requests_that_are_served_while_it_stops_are_delivered(tmp_path: Path) -> None:
    def serve(endpoint: str, application: str) -> Server:
        return gunicorn(
            tmp_path,
            endpoint,
            "--worker-class=gthread",
            "--threads=4",
            application=application,
            under=ZERO_CODE,
            OTEL_LOGGEDMODEL_NAME="my-agent",
        )

    served_at_the_end(serve, tmp_path, requests=6).check(reference("my-agent"))
