# SPDX-License-Identifier: Apache-2.0
"""Receivers of OTLP that read, acknowledge and forget: `python -m benchmarks.receivers http|grpc`.

They decode nothing, so that they take as little as possible of a machine whose exporters are to be measured. They print
the port that they listen on, and stop when their standard input ends.
"""

import concurrent.futures
import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import grpc  # type: ignore[import-untyped,unused-ignore]

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
_BUFFER_BYTES = 1 << 20


@contextlib.contextmanager
def receiver(protocol: str) -> Iterator[int]:
    """A receiver in another process; the port that it listens on, on loopback."""
    command = [sys.executable, "-m", "benchmarks.receivers", protocol]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def _serve_http() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=16)
    threading.Thread(target=_accept, args=(listening,), daemon=True).start()
    _listen_until_told_to_stop(listening.getsockname()[1])


def _accept(listening: socket.socket) -> None:
    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    """Answer the requests of a connection that is kept alive, reading bodies without keeping them."""
    buffer = bytearray(_BUFFER_BYTES)
    head = b""
    with connection:
        while True:
            while (end := head.find(b"\r\n\r\n")) < 0:
                count = connection.recv_into(buffer)
                if count == 0:
                    return
                head += bytes(buffer[:count])
            remaining = _content_length(head[:end]) - (len(head) - end - 4)
            while remaining > 0:
                count = connection.recv_into(buffer, min(remaining, _BUFFER_BYTES))
                if count == 0:
                    return
                remaining -= count
            connection.sendall(_ANSWER)
            head = head[len(head) + remaining :] if remaining < 0 else b""


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


class _AcceptAll(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every call with an empty message, which for OTLP means that all was accepted."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


def _serve_grpc() -> None:
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((_AcceptAll(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    _listen_until_told_to_stop(port)


def _listen_until_told_to_stop(port: int) -> None:
    print(port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    {"http": _serve_http, "grpc": _serve_grpc}[sys.argv[1]]()
