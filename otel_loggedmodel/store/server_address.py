# SPDX-License-Identifier: Apache-2.0
"""Where a ClickHouse server is, from a URL, and how long to wait for it."""

import contextlib
import logging
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError

_logger = logging.getLogger(__name__)

T = TypeVar("T")

SCHEMES: Final = {"clickhouse": ("http", 8123), "clickhouses": ("https", 8443)}
_SECONDS: Final = 5.0
# A service that nobody used for a while is asleep, and takes its time to wake up. Its makers advise one to two minutes:
# https://github.com/ClickHouse/clickhouse-docs/pull/6301
_CLOUD: Final = ".clickhouse.cloud"
_CLOUD_SECONDS: Final = 120.0
_PATIENCE: Final = "connect_timeout"
_PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class ServerAddress:
    """A database on a server.

    Attributes:
        interface: `http` or `https`.
        host: Its name.
        port: The port of the HTTP interface.
        username: Who asks; None for the server's default.
        password: Theirs.
        database: Its name.
        patience: Seconds to wait for the first answer.
        is_patient: Whether the server may be asleep, and is asked again and again during these seconds.
    """

    interface: str
    host: str
    port: int
    username: str | None
    password: str
    database: str
    patience: float
    is_patient: bool

    def when_awake(self, ask: Callable[[float], T]) -> T:
        """What a server answers, once it does.

        Args:
            ask: Asks it, and waits for so many seconds.

        Raises:
            StoreUnavailableError: It did not answer in time.
        """
        if not self.is_patient:
            return ask(self.patience)
        deadline = time.monotonic() + self.patience
        with self._saying_so():
            while True:
                try:
                    return ask(max(_PAUSE_SECONDS, deadline - time.monotonic()))
                except StoreUnavailableError as error:
                    if time.monotonic() + _PAUSE_SECONDS >= deadline or not _may_be_asleep(error):
                        raise
                time.sleep(_PAUSE_SECONDS)

    @contextlib.contextmanager
    def _saying_so(self) -> Iterator[None]:
        text = "waiting for ClickHouse at %s:%d, which may have to wake up: for up to %.0f seconds"
        timer = threading.Timer(_SECONDS, _logger.warning, (text, self.host, self.port, self.patience))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def server_address(url: str, shown: str) -> ServerAddress:
    """Read a URL.

    Args:
        url: As `clickhouses://user:password@host:port/database?connect_timeout=60`.
        shown: What messages call it.

    Raises:
        ReadingError: It is no such URL.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        options = urllib.parse.parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ReadingError(f"{shown!r} is no URL: {error}") from None
    interface, default_port = SCHEMES[parts.scheme]
    host = parts.hostname or "localhost"
    patience, is_patient = (_CLOUD_SECONDS, True) if host.endswith(_CLOUD) else (_SECONDS, False)
    for name, value in options:
        if name != _PATIENCE:
            raise ReadingError(f"{shown!r} has the option {name!r}, and only {_PATIENCE!r} is known, in seconds")
        patience, is_patient = _seconds(value, shown), True
    return ServerAddress(
        interface=interface,
        host=host,
        port=port or default_port,
        username=urllib.parse.unquote(parts.username or "") or None,
        password=urllib.parse.unquote(parts.password or ""),
        database=urllib.parse.unquote(parts.path.strip("/")) or "default",
        patience=patience,
        is_patient=is_patient,
    )


def _seconds(value: str, shown: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (seconds := float(value)) <= 3600:
            return seconds
    raise ReadingError(f"{shown!r} has {_PATIENCE}={value}: expected seconds, more than 0 and at most 3600")


def _may_be_asleep(error: BaseException) -> bool:
    """Whether waiting may help: not against a wrong name, a wrong certificate or a wrong password."""
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "code", None) is not None and not isinstance(cause, OSError):
            return False  # the server's own words
        if isinstance(cause, socket.gaierror | ssl.SSLCertVerificationError):
            return False
        cause = cause.__cause__ or cause.__context__
    return True
