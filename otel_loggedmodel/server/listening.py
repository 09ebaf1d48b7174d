# SPDX-License-Identifier: Apache-2.0
"""Taking the ports, with an error that says what to do where they are taken already."""

import socket
from typing import Any


class CannotListenError(Exception):
    """The backend cannot listen; the text says where, why, and what to do."""


def listen_http(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        CannotListenError: It cannot.
    """
    try:
        family, _, _, _, address = _resolve(host, port)
        # A socket by default cannot take a port with connections that were closed a moment ago. This one can, unless
        # somebody listens there.
        return socket.create_server(
            address[:2], family=family, backlog=1024, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
        )
    except OSError as error:
        raise _cannot_listen(host, port, "--http-port", error.strerror or str(error)) from error


def listen_grpc(server: Any, host: str, port: int) -> int:
    """Let a gRPC server listen; the port.

    Raises:
        CannotListenError: It cannot.
    """
    try:
        address = _resolve(host, port)[4][0]
        return int(server.add_insecure_port(f"[{address}]:{port}" if ":" in address else f"{address}:{port}"))
    except OSError as error:
        raise _cannot_listen(host, port, "--grpc-port", error.strerror or str(error)) from error
    except RuntimeError as error:
        raise _cannot_listen(host, port, "--grpc-port", "it is taken, or not allowed") from error


def show_address(host: str, port: int) -> str:
    """Host and port as they are in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolve(host: str, port: int) -> tuple[Any, ...]:
    """The first address of a host, one of IPv4 before others: that is where clients of `localhost` look in the end."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return min(found, key=lambda address: address[0] != socket.AF_INET)


def _cannot_listen(host: str, port: int, option: str, why: str) -> CannotListenError:
    return CannotListenError(
        f"cannot listen on {show_address(host, port)}: {why}. Is another backend or a Collector running there? "
        f"Choose another port with {option}"
    )
