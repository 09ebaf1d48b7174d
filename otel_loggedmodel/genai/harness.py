# SPDX-License-Identifier: Apache-2.0
"""Works on many rows at once in threads. It holds few more rows than there are threads."""

import contextvars
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def worked(items: Iterable[Item], work: Callable[[Item], Result], workers: int) -> Iterator[Result]:
    """The results of work on items, in the order in which they are done.

    Each item is worked on in a copy of the caller's contextvars. Items are taken as they are needed. With one worker,
    everything happens in the caller's thread.

    Args:
        items: What to work on.
        work: The work. What it raises is raised here, after the results that are there by then.
        workers: How many threads.
    """
    context = contextvars.copy_context()
    if workers == 1:
        for item in items:
            yield context.copy().run(work, item)
        return
    pool = _Pool(work, workers, context)
    try:
        in_hand = 0
        for item in items:
            pool.todo.put(item)
            in_hand += 1
            # Two items for each worker: the one that it works on, and the next one.
            while in_hand >= 2 * workers:
                yield pool.result()
                in_hand -= 1
        while in_hand:
            yield pool.result()
            in_hand -= 1
    except GeneratorExit:
        raise
    except BaseException:
        # It ends here, by Ctrl-C for instance. What other threads have done until now is kept.
        yield from pool.done()
        raise
    finally:
        pool.close()


class _Pool(Generic[Item, Result]):
    def __init__(self, work: Callable[[Item], Result], workers: int, context: contextvars.Context) -> None:
        self.todo: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._work = work
        self._context = context
        self._closed = False
        self._workers = workers
        for number in range(workers):
            # Daemons, so that an interrupted evaluation does not wait for calls that hang.
            threading.Thread(target=self._run, name=f"OtelLoggedModelEvaluation-{number}", daemon=True).start()

    def result(self) -> Result:
        result, error = self._done.get()
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def done(self) -> Iterator[Result]:
        while True:
            try:
                result, error = self._done.get_nowait()
            except queue.Empty:
                return
            if error is None:
                yield result

    def close(self) -> None:
        self._closed = True
        for _ in range(self._workers):
            self.todo.put(_END)

    def _run(self) -> None:
        while True:
            item = self.todo.get()
            if item is _END or self._closed:
                return
            try:
                self._done.put((self._context.copy().run(self._work, item), None))
            except BaseException as error:
                self._done.put((None, error))


_END = object()
