# SPDX-License-Identifier: Apache-2.0
"""A Flask application under real uWSGI, which forks in C and runs Python's hooks only where it is told to."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from otlp_receiver import OtlpReceiver

from .applications import (
    AT_IMPORT,
    FLASK,
    ZERO_CODE,
    command_of,
    instrumenting,
    reference,
    served,
    served_at_the_end,
    stopped,
    work_in_all_workers,
    work_until_settled,
)
from .ledger import application_spans, check_activations, check_answers, check_created, records, version_of
from .servers import BIN, Server, telemetry_to
from .situations import Page

FORK_HOOKS = "--py-call-uwsgi-fork-hooks"
GRACEFUL = "--hook-master-start=unix_signal:15 gracefully_kill_them_all"
PAGE = Page("gunicorn")


def uwsgi(
    directory: Path,
    endpoint: str,
    *options: str,
    application: str,
    under: Sequence[str | Path] = (),
    **environment: str,
) -> Server:
    (directory / "shop.py").write_text(application)
    return Server(
        lambda port: [
            *under,
            BIN / "pyuwsgi",
            f"--http-socket=127.0.0.1:{port}",
            "--master",
            "--processes=3",
            "--enable-threads",
            GRACEFUL,
            "--need-app",
            "--pythonpath=.",
            *options,
            "--module=shop:app",
        ],
        directory,
        telemetry_to(endpoint, **instrumenting("flask"), **environment),
    )


def test_the_page_as_printed(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PAGE.files["shop.py"])
    (tmp_path / "uwsgi.ini").write_text(PAGE.files["uwsgi.ini"])
    with OtlpReceiver() as receiver:
        with Server(
            lambda port: ["env", f"UWSGI_HTTP_SOCKET=127.0.0.1:{port}", *command_of(PAGE, "uWSGI")],
            tmp_path,
            telemetry_to(receiver.endpoint),
            ready="/answer",
        ) as server:
            server.get_all(["/answer"] * 30)
            stopped(server)
        check_answers(receiver.spans(), 31, "my-agent-v1.0")


def test_requests_that_are_served_while_it_stops_are_delivered(tmp_path: Path) -> None:
    def serve(endpoint: str, application: str) -> Server:
        return uwsgi(
            tmp_path,
            endpoint,
            FORK_HOOKS,
            application=application,
            under=ZERO_CODE,
            OTEL_LOGGEDMODEL_NAME="my-agent",
        )

    served_at_the_end(serve, tmp_path, requests=3).check(reference("my-agent"))


@pytest.mark.parametrize("options", [[FORK_HOOKS], ["--lazy-apps"], ["--lazy-apps", FORK_HOOKS]], ids=" ".join)
def test_set_up_at_import(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "version.txt").write_text("my-agent-v1.0")
    served(lambda endpoint: uwsgi(tmp_path, endpoint, *options, application=FLASK + AT_IMPORT)).check(
        reference("my-agent-v1.0"), is_created=True
    )


@pytest.mark.parametrize("options", [[FORK_HOOKS], ["--lazy-apps", FORK_HOOKS]], ids=" ".join)
def test_one_variable_and_no_code(tmp_path: Path, options: list[str]) -> None:
    served(
        lambda endpoint: uwsgi(
            tmp_path,
            endpoint,
            *options,
            application=FLASK,
            under=ZERO_CODE,
            MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0",
        )
    ).check("my-agent-v1.0")


def test_recycled_workers_lose_nothing(tmp_path: Path) -> None:
    served(
        lambda endpoint: uwsgi(
            tmp_path,
            endpoint,
            FORK_HOOKS,
            "--max-requests=10",
            "--min-worker-lifetime=1",
            application=FLASK,
            under=ZERO_CODE,
            OTEL_LOGGEDMODEL_NAME="my-agent",
        ),
        lambda server: work_until_settled(server, work_in_all_workers(server, workers=12), most=10),
    ).check(reference("my-agent"), is_created=True)


@pytest.mark.parametrize("under", [[], ZERO_CODE], ids=["in code", "no code"])
def test_without_the_fork_hooks_every_span_has_its_version_and_the_version_is_announced(
    tmp_path: Path, under: list[Path]
) -> None:
    (tmp_path / "version.txt").write_text("my-agent-v1.0")
    done = served(
        lambda endpoint: uwsgi(
            tmp_path,
            endpoint,
            application=FLASK if under else FLASK + AT_IMPORT,
            under=under,
            OTEL_LOGGEDMODEL_NAME="my-agent-v1.0",
        )
    )
    done.check_work(reference("my-agent-v1.0"))
    check_created(done.spans, reference("my-agent-v1.0"))
    # Nothing has told the workers that they are processes of their own, so they may all send the master's activation.
    assert {version_of(span) for span in records(done.spans, "activated")} == {reference("my-agent-v1.0")}


@pytest.mark.parametrize(
    "options",
    [
        [FORK_HOOKS],
        ["--lazy-apps"],
        [],
    ],
    ids=" ".join,
)
def test_a_sending_thread_of_our_own_works_in_every_worker(tmp_path: Path, options: list[str]) -> None:
    application = FLASK + (
        """
import otel_loggedmodel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.instrumentation.flask import FlaskInstrumentor

provider = TracerProvider()
provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor(OTLPSpanExporter()))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
FlaskInstrumentor().instrument_app(app)

@app.before_request
def choose():
    otel_loggedmodel.set_active_model(name=f"of-{os.getpid()}")
"""
    )
    done = served(lambda endpoint: uwsgi(tmp_path, endpoint, *options, application=application))
    made = {version_of(span) for span in records(done.spans, "created")}
    assert made >= {reference(f"of-{pid}") for pid in done.answered.values()}
    work = [span for span in application_spans(done.spans) if span.name == "work"]
    assert {span.attributes["number"]: version_of(span) for span in work} == {
        number: reference(f"of-{pid}") for number, pid in done.answered.items()
    }
    if options:  # without the hooks the workers count as one process
        check_activations(done.spans)
