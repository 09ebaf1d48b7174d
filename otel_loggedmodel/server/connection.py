# SPDX-License-Identifier: Apache-2.0
"""HTTP connections that do not wait for ever, take no headers without end, and answer a client that ended its side.

uvicorn's wait, take, and close without an answer.
"""

import asyncio
import itertools
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 * 1024
# The clock of the loop does not tell moments of one millisecond apart.
_turns = itertools.count()


class Connection(HttpToolsProtocol):
    """One connection of a client.

    Attributes:
        head_seconds: Seconds within which the first line of a request and its headers have to arrive.
        max_connections: How many there may be. A further one takes the place of the one that has waited longest for a
            request, and is closed at once where every one has a request.
    """

    head_seconds: ClassVar[float]
    max_connections: ClassVar[int]

    turn = 0
    """Its place in the order in which connections were opened, or last had all of a request."""

    _is_in_head = True
    _head_bytes = 0
    _heads = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.turn = next(_turns)
        if len(self.connections) <= self.max_connections or self._make_room():
            self._wait_for_head()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and refuse a head that has no end."""
        was_in_head = self._is_in_head
        heads = self._heads
        super().data_received(data)
        if was_in_head and self._is_in_head and heads == self._heads:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that sends no more and waits for the answer to what it has sent whole; then close."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_in_head = True
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._stop_waiting()
        self._is_in_head = False
        self._head_bytes = 0
        self._heads += 1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there."""
        super().on_message_complete()
        self._is_in_head = True
        self.turn = next(_turns)

    def abandon_upload(self) -> None:
        """Close the connection if the body of a request is still on its way."""
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete:
            self.transport.close()

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for a request: slow clients do not keep out the others."""
        waiting = [
            one for one in self.connections if isinstance(one, Connection) and one is not self and one.is_waiting
        ]
        if not waiting:
            return False
        min(waiting, key=lambda one: one.turn).transport.abort()
        return True

    @property
    def is_waiting(self) -> bool:
        """Whether it has no request that is being received or answered, but for one whose head is not complete."""
        return (
            self._is_in_head
            and (self.cycle is None or self.cycle.response_complete)
            and not self.transport.is_closing()
        )

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._head_timer = self.loop.call_later(self.head_seconds, self._give_up_head)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up_head(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def connection_class(head_seconds: float, max_connections: int) -> type[Connection]:
    """A class of connections with these limits, which is what uvicorn takes."""
    attributes: dict[str, Any] = {"head_seconds": head_seconds, "max_connections": max_connections}
    return type("LimitedConnection", (Connection,), attributes)
