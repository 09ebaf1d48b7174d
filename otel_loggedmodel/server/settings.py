# SPDX-License-Identifier: Apache-2.0
"""What can be chosen about the backend; importing this imports nothing heavy."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_MIB: Final = 1024 * 1024
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*]+")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
# What may follow "Bearer " in a header, less the blanks that proxies trim.
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class SettingsError(ValueError):
    """The backend cannot be run like this; the text says what to change."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the backend listens, what it takes, and how it stores.

    Attributes:
        host: The address to listen on.
        http_port: The port for OTLP/HTTP and the JSON API; 0 for a free one.
        grpc_port: The port for OTLP/gRPC; 0 for a free one, None for none.
        token: What clients have to present as `Authorization: Bearer`; None for no check.
        allow_anonymous: Listen beyond this machine without a token.
        allowed_origins: Web pages, as `https://host`, whose scripts may send traces; no others may.
        retention_days: After how many days spans are deleted; None for never.
        max_body_bytes: The most bytes of one request, as it is sent.
        max_decompressed_bytes: The most bytes of one request, decompressed.
        max_json_bytes: The same in JSON, which takes fifty times its size in memory and much longer.
        max_spans: The most spans in one request, with what they are in.
        max_messages: The same, with the attributes, events and links of spans, and the values of attributes.
        max_attributes: The most on one span, event, link, resource or scope; others are dropped and counted.
        max_value_bytes: The most bytes of one text in a span; longer ones are cut.
        max_memory_bytes: The most memory that storing one request, or one batch, may take, as `weighing` estimates it.
        request_seconds: Seconds within which the head of a request has to arrive, and then its body.
        max_connections: The most connections over HTTP at a time.
        max_in_flight: The most requests with traces at a time, over HTTP and gRPC.
        max_in_flight_bytes: The most bytes that these may take, as they were sent.
        queue_bytes: The most bytes of decompressed requests that wait to be stored, or are being stored.
        queue_spans: The most spans in these.
        batch_spans: The most spans stored in one insert, unless one request has more.
        batch_bytes: The same in bytes.
        linger_seconds: How long the first request of a batch waits for others.
        remember_seconds: How long a request that was stored is known, so that a repetition of it is not stored again.
        keep_all_logs: Keep every log record, not only those that carry a version or are an event that is read.
        decoders: How many threads decompress and check requests.
        readers: The most questions to the store at a time.
        waiting_readers: The most questions that wait for their turn.
        grace_seconds: Seconds for storing what was accepted, on shutdown.
        dev: Whether `/design` shows the components of the pages.
    """

    host: str = "127.0.0.1"
    http_port: int = 4318
    grpc_port: int | None = 4317
    token: str | None = None
    allow_anonymous: bool = False
    allowed_origins: Sequence[str] = ()
    retention_days: float | None = None
    max_body_bytes: int = 16 * _MIB
    max_decompressed_bytes: int = 32 * _MIB
    max_json_bytes: int = 8 * _MIB
    max_spans: int = 120_000
    max_messages: int = 2_000_000
    max_attributes: int = 1024
    max_value_bytes: int = _MIB
    max_memory_bytes: int = 256 * _MIB
    request_seconds: float = 30.0
    max_connections: int = 768
    max_in_flight: int = 256
    max_in_flight_bytes: int = 128 * _MIB
    queue_bytes: int = 64 * _MIB
    queue_spans: int = 250_000
    batch_spans: int = 10_000
    batch_bytes: int = 32 * _MIB
    linger_seconds: float = 0.1
    remember_seconds: float = 600.0
    keep_all_logs: bool = False
    decoders: int = 2
    readers: int = 4
    waiting_readers: int = 64
    grace_seconds: float = 30.0
    dev: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False  # a name may mean anything

    @property
    def origins(self) -> frozenset[str]:
        """The allowed origins as browsers write them, in lower case and without the port that is the scheme's own."""
        return frozenset(
            origin.removesuffix(_DEFAULT_PORTS.get(origin.partition(":")[0], "-"))
            for origin in (allowed.strip().lower().rstrip("/") for allowed in self.allowed_origins)
        )

    def check(self) -> None:
        """See that the backend may be run like this.

        Raises:
            SettingsError: It may not.
        """
        if self.token is None and not self.is_loopback and not self.allow_anonymous:
            raise SettingsError(
                f"listening on {self.host} without a token would let everyone on the network read and write traces: "
                "set OTEL_LOGGEDMODEL_TOKEN to a secret, or say --allow-anonymous if that is meant"
            )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise SettingsError("the token has to be of printable ASCII characters without blanks, and not empty")
        for origin in sorted(self.origins):
            if not _ORIGIN.fullmatch(origin):
                raise SettingsError(
                    f"--allow-origin {origin!r} is not the origin of a page: write it as https://app.example or "
                    "http://localhost:5173, with its scheme and without a path, once for each"
                )
        for name, port in (("--http-port", self.http_port), ("--grpc-port", self.grpc_port)):
            if port is not None and not 0 <= port <= 65535:
                raise SettingsError(f"{name} is {port}: a port is between 0 and 65535")
        if self.grpc_port is not None and self.http_port == self.grpc_port != 0:
            raise SettingsError(f"--http-port and --grpc-port are both {self.http_port}: they have to differ")
        if self.retention_days is not None and self.retention_days <= 0:
            raise SettingsError(f"spans cannot be kept for {self.retention_days:g} days: more than 0, or for ever")
