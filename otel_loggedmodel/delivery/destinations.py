# SPDX-License-Identifier: Apache-2.0
"""Where an exporter sends to, and whether two of them send to the same place.

The OTLP exporters of opentelemetry-python keep their headers and sessions private, and each version keeps them in
another way. This module knows these ways; `otlp_sending` knows what else is needed for sending.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any, Final

# Headers that exporters add to the user's own. They do not count: with a newer exporter, the destination is still the
# same.
_EXPORTERS_OWN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-type", "user-agent"}
)
_SPAN_EXPORTER: Final = "OTLPSpanExporter"
_LOG_EXPORTER: Final = "OTLPLogExporter"
_PACKAGE: Final = "opentelemetry.exporter.otlp.proto"
_PROTOCOLS: Final = {
    (f"{_PACKAGE}.http.trace_exporter", _SPAN_EXPORTER): "http/protobuf",
    (f"{_PACKAGE}.grpc.trace_exporter", _SPAN_EXPORTER): "grpc",
    (f"{_PACKAGE}.http._log_exporter", _LOG_EXPORTER): "http/protobuf",
    (f"{_PACKAGE}.grpc._log_exporter", _LOG_EXPORTER): "grpc",
}


@dataclasses.dataclass(frozen=True)
class Destination:
    """Where an exporter sends to.

    Attributes:
        key: A digest of address, protocol and headers. It is equal if two exporters send to the same place as the same
            tenant.
        endpoint: The address, without user, password and query.
        protocol: `http/protobuf`, `grpc`, or the exporter's class if it is neither.
    """

    key: str
    endpoint: str
    protocol: str

    @property
    def server(self) -> dict[str, str | int]:
        """The address in the form that metrics use."""
        parts = urllib.parse.urlsplit(self.endpoint if "//" in self.endpoint else "//" + self.endpoint)
        found: dict[str, str | int] = {}
        with contextlib.suppress(ValueError):
            if parts.hostname:
                found["server.address"] = parts.hostname
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
            if port:
                found["server.port"] = port
        return found


def destination_of(exporter: object) -> Destination | None:
    """Where an OTLP exporter sends to; None if that is not known. The exporters of this library say so themselves."""
    said = getattr(exporter, "destination", None)
    if isinstance(said, Destination):
        return said
    endpoint = getattr(exporter, "_endpoint", None)
    protocol = protocol_of(exporter)
    if protocol is None or not isinstance(endpoint, str):
        return None
    headers = sorted({(name.lower(), value) for name, value in _headers_of(exporter)})
    told_apart: list[object] = [header for header in headers if header[0] not in _EXPORTERS_OWN_HEADERS]
    if _class_of(exporter) == _LOG_EXPORTER:
        # Over gRPC, logs have the same address as spans. But what waits for one service must not go to the other.
        told_apart.append("logs")
    return Destination(_digest([protocol, endpoint, *told_apart]), _without_secrets(endpoint), protocol)


def unnamed_destination_of(exporter: object) -> Destination:
    """The destination of an exporter that does not say where it sends to: its class stands for it."""
    name = f"{type(exporter).__module__}.{type(exporter).__qualname__}"
    return Destination(_digest([name]), "", name)


def destination_named(endpoint: str, protocol: str, told_apart: Sequence[object]) -> Destination:
    """A destination of another protocol, by its address and what tells its tenants apart."""
    return Destination(_digest([protocol, endpoint, *told_apart]), _without_secrets(endpoint), protocol)


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:16]


def _without_secrets(endpoint: str) -> str:
    parts = urllib.parse.urlsplit(endpoint if "//" in endpoint else "//" + endpoint)
    address = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{address}{parts.path}" if parts.scheme else address + parts.path


def protocol_of(exporter: object) -> str | None:
    """Told by the names of the classes, as importing the classes would take longer than importing this library."""
    for kind in type(exporter).__mro__:
        protocol = _PROTOCOLS.get((kind.__module__, kind.__name__))
        if protocol is not None:
            return protocol
    return None


def released_class_of(exporter: object) -> type | None:
    """The class of opentelemetry-python that an OTLP exporter is of."""
    return next((kind for kind in type(exporter).__mro__ if (kind.__module__, kind.__name__) in _PROTOCOLS), None)


def _class_of(exporter: object) -> str:
    released = released_class_of(exporter)
    return "" if released is None else released.__name__


def _headers_of(exporter: object) -> Iterable[tuple[str, str]]:
    """All headers that go with a request."""
    client = getattr(exporter, "_client", None)
    session = session_of(exporter)
    for holder in (session, exporter, client):
        headers: Any = getattr(holder, "headers" if holder is session else "_headers", None)
        for name, value in headers.items() if hasattr(headers, "items") else headers or ():
            yield name, value if isinstance(value, str) else repr(value)


def session_of(exporter: object) -> Any:
    """The session that an exporter sends with over HTTP; None if it has none, or none yet."""
    client = getattr(exporter, "_client", None)
    return getattr(exporter, "_session", None) or getattr(getattr(client, "_transport", None), "_session", None)
