# SPDX-License-Identifier: Apache-2.0
"""Looks at the way to the endpoint: its name, its port, and whether both sides speak the same protocol."""

import contextlib
import enum
import os
import socket
import ssl
from typing import Final

from otel_loggedmodel.commands.diagnosis.endpoint import Endpoint
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome, Step, within

# The exporter for HTTP uses `requests`, which prefers these to what the exporter tells it.
CA_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SECONDS: Final = 2.0
_SECONDS_TO_SPEAK: Final = 1.0
_STANDARD_PORTS: Final = {4317: 4318, 4318: 4317}
# The connection preface and an empty SETTINGS frame: https://www.rfc-editor.org/rfc/rfc9113#section-3.4
_HTTP2_HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_SETTINGS_FRAME: Final = b"\x04"


class Speech(enum.Enum):
    """What listens on a port."""

    HTTP = "HTTP/1"
    HTTP2 = "HTTP/2 without TLS, which is gRPC"
    TLS = "TLS"
    UNKNOWN = "neither HTTP nor gRPC"
    SILENCE = "nothing, for a second"


def proxy_for(endpoint: Endpoint) -> str | None:
    """The proxy that the exporter goes through, if any."""
    from urllib.request import getproxies_environment, proxy_bypass

    proxies = getproxies_environment()
    if proxy_bypass(endpoint.host):
        return None
    if endpoint.is_grpc:
        return proxies.get("grpc") or proxies.get("https") or proxies.get("http")
    return proxies.get("https" if endpoint.is_tls else "http") or proxies.get("all")


def resolve(endpoint: Endpoint, deadline: Deadline) -> Step:
    """Whether the name has an address."""
    name = "name"
    try:
        found = within(
            deadline.at_most(_SECONDS),
            lambda: socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM),
        )
    except (OSError, UnicodeError) as error:
        # A time-out is an OSError, too.
        advice = f"Is {endpoint.host!r} spelt right, and does this machine (or container) know it?"
        return Step(
            name=name, outcome=Outcome.FAILED, text=f"{endpoint.host} cannot be resolved: {error}", advice=advice
        )
    addresses = sorted({str(entry[4][0]) for entry in found})
    return Step(name=name, outcome=Outcome.OK, text=f"{endpoint.host} is {', '.join(addresses)}")


def connect(endpoint: Endpoint, deadline: Deadline) -> Step:
    """Whether something listens on the port."""
    name = "port"
    try:
        socket.create_connection((endpoint.host, endpoint.port), timeout=max(deadline.at_most(_SECONDS), 0.01)).close()
    except OSError as error:
        advice = "Start a backend with `otel-loggedmodel serve`, or set OTEL_EXPORTER_OTLP_ENDPOINT to where one runs."
        other = _STANDARD_PORTS.get(endpoint.port)
        if other is not None and _listens(endpoint.host, other, deadline):
            protocol, kind = ("grpc", "gRPC") if other == 4317 else ("http/protobuf", "HTTP")
            advice = (
                f"Port {other}, which is OTLP over {kind}, is open: set OTEL_EXPORTER_OTLP_PROTOCOL={protocol} and "
                f"OTEL_EXPORTER_OTLP_ENDPOINT=http://{endpoint.host}:{other}."
            )
        reason = "timed out" if isinstance(error, TimeoutError) else (error.strerror or str(error))
        return Step(
            name=name, outcome=Outcome.FAILED, text=f"nothing listens on {endpoint.address}: {reason}", advice=advice
        )
    return Step(name=name, outcome=Outcome.OK, text=f"{endpoint.address} is open")


def check_speech(endpoint: Endpoint, deadline: Deadline) -> Step:
    """Whether both sides speak the same: HTTP or gRPC, with TLS or without."""
    name = "protocol"
    if endpoint.is_tls:
        return _check_tls(endpoint, deadline)
    speech = speech_of(endpoint, deadline)
    if speech is (Speech.HTTP2 if endpoint.is_grpc else Speech.HTTP):
        return Step(name=name, outcome=Outcome.OK, text=f"{endpoint.address} speaks {speech.value}")
    if speech is Speech.SILENCE:
        # It may be slow. The next steps show that.
        return Step(name=name, outcome=Outcome.WARNING, text=f"{endpoint.address} says {speech.value}")
    wanted = "gRPC" if endpoint.is_grpc else "HTTP"
    text = f"{wanted} is wanted, and {endpoint.address} speaks {speech.value}"
    return Step(name=name, outcome=Outcome.FAILED, text=text, advice=_advice_on(endpoint, speech))


def speech_of(endpoint: Endpoint, deadline: Deadline) -> Speech:
    """What the other side speaks. It is asked first in what it should understand."""
    greetings = (_is_http2, _is_http) if endpoint.is_grpc else (_is_http, _is_http2)
    answers = []
    for greet in greetings:
        speech, answer = greet(endpoint, deadline)
        if speech is not None:
            return speech
        answers.append(answer)
    if _speaks_tls(endpoint, deadline):
        return Speech.TLS
    return Speech.UNKNOWN if any(answers) else Speech.SILENCE


def _is_http(endpoint: Endpoint, deadline: Deadline) -> tuple[Speech | None, bytes]:
    hello = f"GET / HTTP/1.1\r\nHost: {endpoint.address}\r\nConnection: close\r\n\r\n"
    answer = _said(endpoint, hello.encode(), deadline)
    if not answer.startswith(b"HTTP/1"):
        return None, answer
    # A server that expects TLS says so in plain text.
    return (Speech.TLS if b"HTTPS" in answer else Speech.HTTP), answer


def _is_http2(endpoint: Endpoint, deadline: Deadline) -> tuple[Speech | None, bytes]:
    answer = _said(endpoint, _HTTP2_HELLO, deadline)
    return (Speech.HTTP2 if answer[3:4] == _SETTINGS_FRAME else None), answer


def _check_tls(endpoint: Endpoint, deadline: Deadline) -> Step:
    name = "protocol"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(_trusted(endpoint))
        if endpoint.client_certificate:
            context.load_cert_chain(endpoint.client_certificate, endpoint.client_key)
    except (OSError, ssl.SSLError) as error:
        return Step(
            name=name,
            outcome=Outcome.FAILED,
            text=f"the certificates cannot be read: {error}",
            advice="See OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY.",
        )
    try:
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout=deadline.at_most(_SECONDS)) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host) as encrypted,
        ):
            return Step(name=name, outcome=Outcome.OK, text=f"{endpoint.address} speaks {encrypted.version()}")
    except ssl.SSLCertVerificationError as error:
        text = f"the certificate of {endpoint.address} is not trusted: {error.verify_message}"
        advice = (
            "Name the certificates to trust in OTEL_EXPORTER_OTLP_CERTIFICATE, and use the name that it was made for."
        )
        return Step(name=name, outcome=Outcome.FAILED, text=text, advice=advice)
    except OSError as error:
        speech = speech_of(endpoint, deadline)
        if speech in (Speech.HTTP, Speech.HTTP2):
            plain_url = f"http://{endpoint.address}"
            text = f"TLS is wanted, and {endpoint.address} speaks {speech.value}"
            advice = f"Set OTEL_EXPORTER_OTLP_ENDPOINT={plain_url}."
        else:
            text, advice = f"no TLS with {endpoint.address}: {error}", "Look at the log of the other side."
        return Step(name=name, outcome=Outcome.FAILED, text=text, advice=advice)


def _advice_on(endpoint: Endpoint, speech: Speech) -> str:
    if speech is Speech.TLS:
        return f"Set OTEL_EXPORTER_OTLP_ENDPOINT=https://{endpoint.address}."
    other = _STANDARD_PORTS.get(endpoint.port)
    port = f", or send to port {other} where it listens by default" if other else ""
    if speech is Speech.HTTP2:
        return f"Set OTEL_EXPORTER_OTLP_PROTOCOL=grpc{port}."
    if speech is Speech.HTTP:
        return f"Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf{port}."
    return "Something else listens there: set OTEL_EXPORTER_OTLP_ENDPOINT to where the backend runs."


def _said(endpoint: Endpoint, greeting: bytes, deadline: Deadline) -> bytes:
    with contextlib.suppress(OSError):
        seconds = max(deadline.at_most(_SECONDS_TO_SPEAK), 0.01)
        with socket.create_connection((endpoint.host, endpoint.port), timeout=seconds) as connection:
            connection.sendall(greeting)
            return connection.recv(512)
    return b""


def _speaks_tls(endpoint: Endpoint, deadline: Deadline) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        seconds = max(deadline.at_most(_SECONDS_TO_SPEAK), 0.01)
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout=seconds) as plain,
            context.wrap_socket(plain),
        ):
            return True
    except OSError:
        return False


def _listens(host: str, port: int, deadline: Deadline) -> bool:
    try:
        socket.create_connection((host, port), timeout=max(deadline.at_most(_SECONDS_TO_SPEAK), 0.01)).close()
    except OSError:
        return False
    return True


def _trusted(endpoint: Endpoint) -> str:
    """File with the certificates that the exporter trusts."""
    import certifi

    overriding = None if endpoint.is_grpc else next(filter(None, map(os.environ.get, CA_BUNDLES)), None)
    return overriding or endpoint.certificate or certifi.where()
