# SPDX-License-Identifier: Apache-2.0
"""Calls functions that may be async, may hang and may fail, with a time limit and with retries.

The caller's contextvars go along, into the event loop and into the thread that a time limit needs.
"""

import contextvars
import inspect
import random
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

# What ends a program. Any other exception is one call's, also if it is no `Exception`: that of a cancelled task, for
# example, or of `pytest.fail`.
ENDS: Final = (KeyboardInterrupt, SystemExit)

NEVER_AWAITED: Final = frozenset({bool, int, float, str, list, dict, tuple, type(None)})
"""Types of values that are neither awaited nor collected."""

_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 30.0


class CallTimeoutError(TimeoutError):
    """A call took longer than it may."""


class Caller:
    """Calls functions from any thread. Async functions share one event loop in a thread of its own.

    Args:
        sleep: Waits between retries; for tests.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def call(self, function: Callable[[], Any], *, timeout: float | None = None, retries: int = 0) -> Any:
        """What a function returns. It is awaited if needed.

        Args:
            function: Takes nothing.
            timeout: Seconds that each try may take. What runs longer in a thread cannot be stopped, so it is left
                running.
            retries: How often to try again after an exception.

        Raises:
            CallTimeoutError: The last try took too long.
            BaseException: Whatever the last try raised. Nothing is tried again after what ends a program.
        """
        for attempt in range(retries + 1):
            try:
                return self._once(function, timeout)
            except ENDS:
                raise
            except BaseException:
                if attempt == retries:
                    raise
                # Doubled each time, and spread so that many rows do not come back at once.
                wait = min(_FIRST_WAIT_SECONDS * 2**attempt, _LONGEST_WAIT_SECONDS)
                self._sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Stop the event loop, if there was one. Nothing can be called afterwards that has to be awaited."""
        with self._lock:
            self._is_closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _once(self, function: Callable[[], Any], timeout: float | None) -> Any:
        if timeout is None:
            value = function()
            # Nearly all values are of types that need no closer look.
            if type(value) in NEVER_AWAITED or not inspect.isawaitable(value):
                return value
            return self._awaited(value, None)
        deadline = time.monotonic() + timeout
        value = _in_thread(function, timeout)
        return self._awaited(value, deadline - time.monotonic(), timeout) if inspect.isawaitable(value) else value

    def _awaited(self, awaitable: Awaitable[Any], seconds: float | None, limit: float | None = None) -> Any:
        future = self._begun(awaitable)
        try:
            value, end = future.result(None if seconds is None else max(0.0, seconds))
        except FutureTimeoutError:
            if future.done():
                raise  # the function's own
            future.cancel()
            raise CallTimeoutError(f"took longer than {limit:g} s") from None
        if end is not None:
            raise end
        return value

    def _begun(self, awaitable: Awaitable[Any]) -> "Future[tuple[Any, BaseException | None]]":
        import asyncio

        with self._lock:  # whatever begins before `close` is cancelled by it
            if self._is_closed:
                close = getattr(awaitable, "close", None)
                if callable(close):
                    close()
                raise CancelledError("the evaluation has ended")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run_loop, args=(self._loop,), name="OtelLoggedModelEvaluationLoop", daemon=True
                )
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(_wait(awaitable), self._loop)


async def _wait(awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    try:
        return await awaitable, None
    except ENDS as end:
        # Raised here, it would end the event loop, and all others would wait for ever.
        return None, end


def _run_loop(loop: "asyncio.AbstractEventLoop") -> None:
    import asyncio

    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        # A coroutine that was cancelled before it began would complain that nobody awaited it.
        loop.run_until_complete(asyncio.sleep(0))
        remaining = asyncio.all_tasks(loop)
        for task in remaining:
            task.cancel()
        if remaining:
            loop.run_until_complete(asyncio.gather(*remaining, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _in_thread(function: Callable[[], Any], timeout: float) -> Any:
    future: Future[Any] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(function))
        except BaseException as error:
            future.set_exception(error)

    # A daemon, so that a call that hangs for ever does not keep the process from ending.
    threading.Thread(target=run, name="OtelLoggedModelEvaluationCall", daemon=True).start()
    try:
        return future.result(timeout)
    except FutureTimeoutError:
        if future.done():
            raise
        raise CallTimeoutError(f"took longer than {timeout:g} s") from None
