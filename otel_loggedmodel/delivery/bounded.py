# SPDX-License-Identifier: Apache-2.0
"""Calls of other people's code with a bound on how long anybody waits for them.

Exporters, sessions and far ends may take for ever: an answer can come in drips, and a provider can hold a lock while it
flushes. So such a call is made on a thread of its own, and the caller waits only as long as the caller has time. The
thread is a daemon. It goes on after that, and may still succeed.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

Result = TypeVar("Result")


class Call(Generic[Result]):
    """A call that is under way.

    Args:
        work: What is called, in a copy of the Context of whoever starts it.
        may_run_here: Whether the call keeps to a bound by itself. Then it is made on this thread if no new thread can
            be started: some releases of Python start none once the interpreter is about to end.
    """

    def __init__(self, work: Callable[[], Result], *, may_run_here: bool = False) -> None:
        self._outcome: tuple[Result | None, BaseException | None] | None = None
        self._work = work
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="OtelLoggedModelCall", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            if may_run_here:
                self._run()

    @property
    def is_under_way(self) -> bool:
        """Whether nothing has come of it yet."""
        return self._outcome is None

    def result(self, seconds: float) -> Result:
        """What it returned.

        Raises:
            TimeoutError: It has not returned after so many seconds, or could not be made at all.
            BaseException: Whatever it raised.
        """
        if self._outcome is None and self._thread.ident is not None:
            self._thread.join(max(0.0, seconds))
        if self._outcome is None:
            raise TimeoutError
        result, error = self._outcome
        if error is not None:
            raise error
        return cast(Result, result)

    def _run(self) -> None:
        try:
            self._outcome = (self._work(), None)
        except BaseException as error:
            self._outcome = (None, error)


def within(seconds: float, work: Callable[[], Result], *, may_run_here: bool = False) -> Result:
    """What a call returns, if it does within so many seconds.

    Raises:
        TimeoutError: It did not. The call goes on by itself.
    """
    return Call(work, may_run_here=may_run_here).result(seconds)


def shut_down(exporter: Any, seconds: float) -> None:
    """Shut an exporter down, and tell it how long that may take if it has an argument for that."""
    code = getattr(exporter.shutdown, "__code__", None) or getattr(
        getattr(exporter.shutdown, "__func__", None), "__code__", None
    )
    if code is not None and "timeout_millis" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        exporter.shutdown(timeout_millis=max(0.0, 1000 * seconds))
    else:
        exporter.shutdown()
