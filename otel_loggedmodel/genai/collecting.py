# SPDX-License-Identifier: Apache-2.0
"""Calls the function that is evaluated and collects what it streams.

A function that streams gives back a generator, sync or async, or another iterator, as clients of models do. What it
yields is its output: one text if all of it is text, else a list.
"""

import inspect
import io
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import Any

from otel_loggedmodel.genai.calling import NEVER_AWAITED, CallTimeoutError


class Stream:
    """One call of a function that may stream.

    Args:
        function: What is called.
        timeout: Seconds that the call and the whole stream may take.

    Attributes:
        first_ns: When the first chunk came, in nanoseconds since the epoch; None if nothing was streamed.
    """

    def __init__(self, function: Callable[..., Any], timeout: float | None = None) -> None:
        self._function = function
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self.first_ns: int | None = None

    def outputs(self, inputs: Any) -> Any:
        """What the function returns for inputs, or what is to be awaited for it.

        Args:
            inputs: A dict becomes keyword arguments, anything else the only argument.
        """
        value = self._function(**inputs) if isinstance(inputs, Mapping) else self._function(inputs)
        if type(value) in NEVER_AWAITED:
            return value
        if inspect.isawaitable(value):
            return _Later(value, self._collected)
        return self._collected(value)

    def _collected(self, value: Any) -> Any:
        if isinstance(value, AsyncIterator):
            return self._later(value)
        if isinstance(value, Iterator) and not isinstance(value, io.IOBase):
            return self._now(value)
        return value

    def _now(self, chunks: Iterator[Any]) -> Any:
        found: list[Any] = []
        try:
            for chunk in chunks:
                self._note(chunk, found)
        finally:
            # A stream that is left holds its connection until it is closed.
            close = getattr(chunks, "close", None)
            if callable(close):
                close()
        return joined(found)

    async def _later(self, chunks: AsyncIterator[Any]) -> Any:
        found: list[Any] = []
        try:
            async for chunk in chunks:
                self._note(chunk, found)
        finally:
            close = getattr(chunks, "aclose", None)
            if callable(close):
                await close()
        return joined(found)

    def _note(self, chunk: Any, found: list[Any]) -> None:
        if self.first_ns is None:
            self.first_ns = time.time_ns()
        found.append(chunk)
        # A thread cannot be stopped, but here the stream can: else one without an end would fill the memory.
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise CallTimeoutError(f"took longer than {self._timeout:g} s")


class _Later:
    """What is to be awaited, and then collected."""

    def __init__(self, awaitable: Any, collected: Callable[[Any], Any]) -> None:
        self._awaitable = awaitable
        self._collected = collected

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._outputs().__await__()

    async def _outputs(self) -> Any:
        found = self._collected(await self._awaitable)
        return await found if inspect.isawaitable(found) else found

    def close(self) -> None:
        """Nobody will await it."""
        if inspect.iscoroutine(self._awaitable):
            self._awaitable.close()


def joined(chunks: list[Any]) -> Any:
    """Chunks as one output: a text if all of them are texts, else the list."""
    return "".join(chunks) if chunks and all(isinstance(chunk, str) for chunk in chunks) else chunks
