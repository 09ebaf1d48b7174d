# SPDX-License-Identifier: Apache-2.0
"""Running functions of every kind inside something: plain functions, async ones, generators and async generators.

The body of a generator must see the Context that surrounds it here, and whoever consumes the generator must not,
although the two take turns. So the body runs in a `contextvars.Context` of its own, as the body of a task does, and is
resumed in it each time. (PEP 568, which would have given every generator its own context, was not accepted.)
"""

import contextvars
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class Around:
    """What surrounds one call, or one whole iteration of a generator. Methods run in the Context of the body."""

    def enter(self) -> None:
        """Before the body runs."""

    def yielded(self, value: object) -> None:
        """The generator yielded a value."""

    def returned(self, value: object) -> None:
        """The body returned a value. Not called where it raised, or where its consumer stopped early."""

    def leave(self, error: BaseException | None) -> None:
        """After the body, with the exception that it raised if it did."""


MakeAround = Callable[[tuple[Any, ...], dict[str, Any]], Around]


def run_inside(function: F, make_around: MakeAround) -> F:
    """A function of the same kind whose every call happens inside what `make_around` makes of its arguments."""
    if inspect.isasyncgenfunction(function):
        wrapper = _async_generator(function, make_around)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(function, make_around)
    elif inspect.iscoroutinefunction(function):
        wrapper = _coroutine(function, make_around)
    else:
        wrapper = _plain(function, make_around)
    return cast(F, functools.wraps(function)(wrapper))


def _plain(function: Callable[..., Any], make_around: MakeAround) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        around = make_around(args, kwargs)
        around.enter()
        try:
            value = function(*args, **kwargs)
            around.returned(value)
        except BaseException as error:
            around.leave(error)
            raise
        around.leave(None)
        return value

    return call


def _coroutine(function: Callable[..., Any], make_around: MakeAround) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        around = make_around(args, kwargs)
        around.enter()
        try:
            value = await function(*args, **kwargs)
            around.returned(value)
        except BaseException as error:
            around.leave(error)
            raise
        around.leave(None)
        return value

    return call


def _generator(function: Callable[..., Any], make_around: MakeAround) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        body_context = contextvars.copy_context()
        around = make_around(args, kwargs)
        body_context.run(around.enter)
        try:
            value = yield from _resumed_in(body_context, function(*args, **kwargs), around.yielded)
            body_context.run(around.returned, value)
        except GeneratorExit:
            body_context.run(around.leave, None)  # the consumer has enough: no error of the body's
            raise
        except BaseException as error:
            body_context.run(around.leave, error)
            raise
        body_context.run(around.leave, None)
        return value

    return call


def _async_generator(function: Callable[..., Any], make_around: MakeAround) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body_context = contextvars.copy_context()
        around = make_around(args, kwargs)
        body_context.run(around.enter)
        body = function(*args, **kwargs)
        step: Awaitable[Any] = body.asend(None)
        try:
            while True:
                try:
                    value = await _AwaitedIn(body_context, step)
                except StopAsyncIteration:
                    break
                body_context.run(around.yielded, value)
                try:
                    sent = yield value
                except GeneratorExit:
                    await _AwaitedIn(body_context, body.aclose())
                    raise
                except BaseException as error:
                    step = body.athrow(error)
                else:
                    step = body.asend(sent)
            body_context.run(around.returned, None)
        except GeneratorExit:
            body_context.run(around.leave, None)
            raise
        except BaseException as error:
            body_context.run(around.leave, error)
            raise
        body_context.run(around.leave, None)

    return call


class _AwaitedIn:
    """An awaitable whose every step runs in a given Context, within the task that awaits it."""

    def __init__(self, context: contextvars.Context, awaitable: Awaitable[Any]) -> None:
        self._context = context
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        return _resumed_in(self._context, self._awaitable.__await__())


def _resumed_in(
    context: contextvars.Context, body: Generator[Any, Any, Any], yielded: Callable[[Any], None] | None = None
) -> Generator[Any, Any, Any]:
    """What `yield from body` does, with each step of the body run in a Context of its own."""
    step = functools.partial(body.send, None)
    while True:
        try:
            value = context.run(step)
        except StopIteration as stop:
            return stop.value
        if yielded is not None:
            context.run(yielded, value)
        try:
            sent = yield value
        except GeneratorExit:
            context.run(body.close)
            raise
        except BaseException as error:
            step = functools.partial(body.throw, error)
        else:
            step = functools.partial(body.send, sent)
