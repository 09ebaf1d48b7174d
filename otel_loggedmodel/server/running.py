# SPDX-License-Identifier: Apache-2.0
"""Runs the backend: starts it, and stops it without losing what it accepted."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from otel_loggedmodel.server.access import Access
from otel_loggedmodel.server.api import Api, answer_http_exception
from otel_loggedmodel.server.batching import Inserter
from otel_loggedmodel.server.connection import Connection, connection_class
from otel_loggedmodel.server.cors import NamedOrigins
from otel_loggedmodel.server.declining import DeclinedMetrics
from otel_loggedmodel.server.decoding import LOG_RECORDS, SPANS
from otel_loggedmodel.server.intake import LOGS, TRACES, Intake, Lane
from otel_loggedmodel.server.keeping import Keeping
from otel_loggedmodel.server.listening import listen_grpc, listen_http, show_address
from otel_loggedmodel.server.metrics import Metrics
from otel_loggedmodel.server.otlp_grpc import OtlpGrpc, make_server
from otel_loggedmodel.server.otlp_http import OtlpHttp, answer_at_wrong_path
from otel_loggedmodel.server.questions import Questions
from otel_loggedmodel.server.retention import Retention
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.server.site import Site
from otel_loggedmodel.store.reading import Reader
from otel_loggedmodel.store.upkeep import Upkeep
from otel_loggedmodel.store.writing import LogRecordWriter, SpanWriter

_logger = logging.getLogger(__name__)

# A body that is on its way gets this long on shutdown: long for a network, short for somebody who waits.
_UPLOAD_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Addresses:
    """Where a backend listens.

    Attributes:
        http: As `http://127.0.0.1:4318`.
        grpc: As `127.0.0.1:4317`, or None.
        secret: What lets a client on this machine change the store.
    """

    http: str
    grpc: str | None
    secret: str = field(default="", repr=False)


def run(
    settings: Settings,
    writer: SpanWriter,
    reader: Reader,
    on_ready: Callable[[Addresses], object] | None = None,
    upkeep: Upkeep | None = None,
    log_writer: LogRecordWriter | None = None,
) -> int:
    """Run a backend until SIGTERM or SIGINT; a second one ends this process at once, with 1.

    Args:
        settings: How.
        writer: Where spans go. It is the caller's to close, as is the reader, when this has returned.
        reader: Who answers questions; it is called from several threads.
        on_ready: Called when the backend can be reached.
        upkeep: Who looks after the store, if anybody.
        log_writer: Where log records go; None to take none.

    Returns:
        An exit code: 0 where all that was accepted was stored.

    Raises:
        SettingsError: It may not be run like this.
        CannotListenError: A port is taken.
    """
    server = Server(settings, writer, reader, upkeep, log_writer)
    with _signals(server):
        return server.run(on_ready)


class Server:
    """A backend; `run` runs it once, in its thread, until `stop` is called from another.

    Args:
        settings: How.
        writer: Where spans go.
        reader: Who answers questions.
        upkeep: Who looks after the store, if anybody.
        log_writer: Where log records go; None to take none.

    Raises:
        SettingsError: It may not be run like this.
    """

    def __init__(
        self,
        settings: Settings,
        writer: SpanWriter,
        reader: Reader,
        upkeep: Upkeep | None = None,
        log_writer: LogRecordWriter | None = None,
    ) -> None:
        settings.check()
        self._settings = settings
        self._writer = writer
        self._metrics = Metrics()
        if upkeep is not None:
            self._metrics.watch_store(upkeep)
        self._log_writer = log_writer
        spans = Inserter(writer, settings, self._metrics)
        lanes = {TRACES: Lane(SPANS, spans, self._metrics)}
        self._inserters = [spans]
        if log_writer is not None:
            records = Inserter(log_writer, settings, self._metrics.logs, LOG_RECORDS.shape.plural)
            self._inserters.append(records)
            lanes[LOGS] = Lane(LOG_RECORDS, records, self._metrics.logs)
        self._intake = Intake(settings, lanes)
        self._questions = Questions(settings)
        access = Access(settings)
        declined = DeclinedMetrics()
        self._grpc = OtlpGrpc(access, self._intake, self._metrics, self.trouble, declined)
        otlp = OtlpHttp(settings, access, self._intake, self._metrics, declined)
        api = Api(reader, self._questions, access, self._metrics, self.trouble)
        self._keeping = Keeping(upkeep, access)
        self._site = Site(reader, self._questions, access, settings, self._metrics, api, self._intake)
        self._app = Starlette(
            routes=[*otlp.routes(), *api.routes(), *self._keeping.routes(), *self._site.routes()],
            exception_handlers={HTTPException: self._answer_http_exception},
            middleware=[Middleware(NamedOrigins, settings.origins)] if settings.origins else [],
        )
        self._app.router.redirect_slashes = False
        self.is_stopping = False
        self._give_up_at = 0.0

    def trouble(self) -> str | None:
        """Why nothing can be stored at the moment, or None."""
        if self.is_stopping:
            return "the backend is shutting down"
        return next((trouble for inserter in self._inserters if (trouble := inserter.trouble) is not None), None)

    async def _answer_http_exception(self, request: Request, error: Exception) -> Response:
        """The answer to a request for what is not there, in a form for an exporter, a person or a program."""
        told = answer_at_wrong_path(request)
        if told is None and isinstance(error, HTTPException) and error.status_code == 404:
            told = self._site.not_there(request)
        return told or await answer_http_exception(request, error)

    def stop(self) -> None:
        """Take nothing new, store what was accepted, and let `run` return; safe in any thread or signal handler."""
        self.is_stopping = True

    def run(self, on_ready: Callable[[Addresses], object] | None = None) -> int:
        """Run until `stop`.

        Args:
            on_ready: Called when the backend can be reached.

        Returns:
            An exit code: 0 where all that was accepted was stored.

        Raises:
            CannotListenError: A port is taken.
        """
        settings = self._settings
        # What is begun below is ended in the opposite order: whatever waits for the inserter ends after it.
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(listen_http(settings.host, settings.http_port))
            http = "http://" + show_address(settings.host, listener.getsockname()[1])
            stack.callback(self._questions.close)
            stack.callback(self._intake.close)
            grpc, grpc_server = self._listen_grpc(stack)
            if settings.retention_days is not None:
                retention = Retention(self._writer, settings.retention_days, self._metrics, log_writer=self._log_writer)
                retention.start()
                stack.callback(retention.close)
            for inserter in self._inserters:
                inserter.start()
            self._site.start()
            stack.callback(self._site.close)
            try:
                if grpc_server is not None:
                    grpc_server.start()
                config = self._http_config()
                ready = Addresses(http, grpc, self._keeping.secret)
                http_server = _HttpServer(
                    config, self, lambda: on_ready and on_ready(ready), lambda: self._begin_to_stop(grpc_server)
                )
                _run_loop(http_server.serve(sockets=[listener]))
                if grpc_server is not None:
                    grpc_server.wait_for_termination()
            finally:
                were_stored = [inserter.close(self._give_up_at - time.monotonic()) for inserter in self._inserters]
        return 0 if all(were_stored) else 1

    def _listen_grpc(self, stack: contextlib.ExitStack) -> tuple[str | None, Any]:
        """The address and the server, which is not started; or nothing where none is wanted."""
        settings = self._settings
        if settings.grpc_port is None:
            return None, None
        server, threads = make_server(settings, self._grpc)
        stack.callback(threads.shutdown)
        stack.callback(lambda: server.stop(None).wait())
        return show_address(settings.host, listen_grpc(server, settings.host, settings.grpc_port)), server

    def _http_config(self) -> uvicorn.Config:
        settings = self._settings
        return uvicorn.Config(
            self._app,
            http=connection_class(settings.request_seconds, settings.max_connections),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
        )

    def _begin_to_stop(self, grpc_server: Any) -> None:
        self.is_stopping = True
        self._give_up_at = time.monotonic() + self._settings.grace_seconds
        self._intake.refuse_more()
        for inserter in self._inserters:
            inserter.hurry()
        if grpc_server is not None:
            grpc_server.stop(self._settings.grace_seconds)


class _HttpServer(uvicorn.Server):
    """uvicorn, told when to stop by the backend instead of by signals."""

    def __init__(
        self,
        config: uvicorn.Config,
        backend: Server,
        on_started: Callable[[], object],
        on_stopping: Callable[[], object],
    ) -> None:
        super().__init__(config)
        self._backend = backend
        self._on_started = on_started
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        try:
            self._on_started()
        except BaseException:
            # uvloop does not end before its listeners do.
            for server in self.servers:
                server.close()
            raise

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to stop; asked ten times a second."""
        return await super().on_tick(counter) or self._backend.is_stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was begun, but wait only briefly for what is still on its way."""
        self._on_stopping()
        asyncio.get_running_loop().call_later(_UPLOAD_SECONDS, self._abandon_uploads)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the backend."""
        yield

    def _abandon_uploads(self) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.abandon_upload()


@contextlib.contextmanager
def _signals(server: Server) -> Iterator[None]:
    """SIGINT and SIGTERM stop the backend, where it is this process's main business."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if server.is_stopping:
            # Nothing is waited for, neither threads nor destructors. What was acknowledged is stored.
            os._exit(1)
        server.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_loop(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        asyncio.run(main)
    else:
        uvloop.run(main)
