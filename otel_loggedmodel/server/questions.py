# SPDX-License-Identifier: Apache-2.0
"""Questions to the store, a few at a time, in threads."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from otel_loggedmodel.server.settings import Settings

T = TypeVar("T")


class TooManyQuestionsError(Exception):
    """No further question may wait."""


class Questions:
    """Asks on behalf of clients.

    Args:
        settings: How many are asked at a time, and how many wait.
    """

    def __init__(self, settings: Settings) -> None:
        self._most = settings.readers + settings.waiting_readers
        self._open = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(settings.readers, thread_name_prefix="otel-loggedmodel reader")

    async def ask(self, question: Callable[[], T]) -> T:
        """The answer to a question.

        Raises:
            TooManyQuestionsError: It is one too many.
        """
        with self._lock:
            if self._open >= self._most:
                raise TooManyQuestionsError
            self._open += 1
        asked = self._threads.submit(question)
        # It counts until the thread is done with it, even if the client no longer waits.
        asked.add_done_callback(self._answered)
        return await asyncio.wrap_future(asked)

    def close(self) -> None:
        """Wait for the questions that are being asked."""
        self._threads.shutdown(cancel_futures=True)

    def _answered(self, asked: "Future[T]") -> None:
        with self._lock:
            self._open -= 1
