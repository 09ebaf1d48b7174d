# SPDX-License-Identifier: Apache-2.0
"""Where the exporter that the environment configures sends spans to, and with what.

The exporters keep this to themselves, so it is read here by the same rules.
Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from otel_loggedmodel import environment

_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
TRACES_PATH: Final = "/v1/traces"


class EndpointError(ValueError):
    """No span can be sent there. The text says why, and `advice` says what to write instead."""

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(text)
        self.advice = advice


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where spans go.

    Attributes:
        is_grpc: Whether they go over gRPC. Otherwise they go over HTTP.
        url: The URL, for HTTP with its path.
        host: Name or address.
        port: The port.
        has_port: Whether the URL says so.
        is_tls: Whether encrypted.
        variable: The environment variable that says so; None for the default.
        headers: Headers that go along, such as a token.
        certificate: File with the certificates to trust.
        client_certificate: File with the certificate to show.
        client_key: File with its key.
    """

    is_grpc: bool
    url: str
    host: str
    port: int
    is_tls: bool
    has_port: bool = True
    variable: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    @property
    def protocol(self) -> str:
        """The protocol, as in OTEL_EXPORTER_OTLP_PROTOCOL."""
        return "grpc" if self.is_grpc else "http/protobuf"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint_of_environment() -> Endpoint:
    """The endpoint.

    Raises:
        EndpointError: The environment names none that spans can be sent to.
    """
    is_grpc = environment.otlp_traces_protocol() == "grpc"
    variable = next(
        (name for name in (f"{_PREFIX}TRACES_ENDPOINT", f"{_PREFIX}ENDPOINT") if os.environ.get(name)), None
    )
    url = os.environ[variable] if variable else f"http://localhost:{4317 if is_grpc else 4318}"
    if not is_grpc and variable != f"{_PREFIX}TRACES_ENDPOINT":
        url = url.removesuffix("/") + TRACES_PATH
    # gRPC takes a bare host:port as well.
    parts = urlsplit(url if "://" in url or not is_grpc else f"//{url}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise EndpointError(f"{variable} is {os.environ.get(variable or '')!r}: {error}", _example(is_grpc)) from None
    if not host or parts.scheme not in ("http", "https", *([""] if is_grpc else [])):
        raise EndpointError(f"{variable} is {os.environ.get(variable or '')!r}, which is no URL", _example(is_grpc))
    is_tls = _is_tls(is_grpc, parts.scheme)
    return Endpoint(
        is_grpc=is_grpc,
        url=url,
        host=host,
        # The ports of HTTP. gRPC's client takes 443 in either case.
        port=port or (443 if is_tls or is_grpc else 80),
        has_port=port is not None,
        is_tls=is_tls,
        variable=variable,
        headers=_headers(),
        certificate=_setting("CERTIFICATE"),
        client_certificate=_setting("CLIENT_CERTIFICATE"),
        client_key=_setting("CLIENT_KEY"),
    )


def _is_tls(is_grpc: bool, scheme: str) -> bool:
    if not is_grpc or scheme == "https":
        return scheme == "https"
    insecure = _setting("INSECURE")
    return scheme != "http" if insecure is None else insecure.lower() != "true"


def _headers() -> dict[str, str]:
    from opentelemetry.util.re import parse_env_headers

    return dict(parse_env_headers(_setting("HEADERS") or "", liberal=True))


def _setting(name: str) -> str | None:
    return os.environ.get(f"{_PREFIX}TRACES_{name}") or os.environ.get(f"{_PREFIX}{name}") or None


def _example(is_grpc: bool) -> str:
    return f"Set {_PREFIX}ENDPOINT to a URL such as http://localhost:{4317 if is_grpc else 4318}."
