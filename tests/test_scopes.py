# SPDX-License-Identifier: Apache-2.0
"""Where a version is active: scopes across tasks, threads, generators; the process default; who gets what back."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import gc
import inspect
import logging
import threading

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace

import otel_loggedmodel as mlflow
from otel_loggedmodel.versions import identity
from otel_loggedmodel.versions.active import process


def ref(name: str) -> str:
    return identity.reference_to("0", name)


def active() -> str | None:
    return mlflow.get_active_model_id()


def test_a_bare_call_is_seen_by_every_thread() -> None:
    mlflow.set_active_model("a")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: active(), range(8))) == {ref("a")}


def test_with_gives_the_process_default_back() -> None:
    mlflow.set_active_model("default")
    with mlflow.set_active_model("a") as outer:
        assert active() == outer.model_id == ref("a")
        with mlflow.set_active_model("b"):
            assert active() == ref("b")
        assert active() == ref("a")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert pool.submit(active).result() == ref("default")
    assert active() == ref("default")


def test_with_gives_the_default_back_after_an_exception() -> None:
    with pytest.raises(RuntimeError), mlflow.set_active_model("a"):
        raise RuntimeError
    assert active() is None


def test_many_threads_turning_defaults_into_scopes_leave_the_default_as_it_was() -> None:
    mlflow.set_active_model("default")
    barrier = threading.Barrier(16)

    def work(number: int) -> None:
        barrier.wait()
        for _ in range(200):
            with mlflow.set_active_model(f"m{number}") as model:
                assert active() == model.model_id

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert active() == ref("default")


def test_defaults_are_taken_back_in_any_order() -> None:
    mlflow.set_active_model("default")
    first, second = mlflow.set_active_model("first"), mlflow.set_active_model("second")
    assert active() == ref("second")
    with first:
        assert active() == ref("first")
        assert process.version is not None
        assert process.version.model_id == ref("second")
    with second:
        pass
    assert active() == ref("default")


def test_bare_calls_in_a_loop_do_not_pile_up() -> None:
    for number in range(1000):
        mlflow.set_active_model(f"m{number % 7}")
    gc.collect()
    assert len(process._given) <= 2


def test_an_active_model_can_be_entered_again_and_by_many_threads() -> None:
    shared = mlflow.set_active_model("shared")

    def work(_: int) -> None:
        for _ in range(50):
            with shared, mlflow.use_model("inner"), shared:
                assert active() == ref("shared")

    with shared:
        pass
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert active() is None


async def test_scopes_of_concurrent_tasks_do_not_mix() -> None:
    async def work(name: str) -> None:
        with mlflow.use_model(name):
            for _ in range(5):
                await asyncio.sleep(0)
                assert active() == ref(name)
                with mlflow.set_active_model(name + "-inner"):
                    await asyncio.sleep(0)
                    assert active() == ref(name + "-inner")

    await asyncio.gather(*(work(f"m{number}") for number in range(20)))
    assert active() is None


async def test_a_task_inherits_the_scope_in_which_it_was_made() -> None:
    async def later() -> str | None:
        await asyncio.sleep(0.01)
        return active()

    with mlflow.use_model("a"):
        task = asyncio.create_task(later())
    assert active() is None
    assert await task == ref("a")


def test_a_thread_has_the_scope_where_context_is_propagated_to_it() -> None:
    with mlflow.use_model("a"):
        context = contextvars.copy_context()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert pool.submit(context.run, active).result() == ref("a")
            assert pool.submit(active).result() is None


async def test_a_scope_left_in_another_task_changes_nothing_there(caplog) -> None:
    scope = mlflow.use_model("a")
    entered = asyncio.Event()

    async def enter() -> None:
        scope.__enter__()
        entered.set()
        await asyncio.sleep(0.01)
        assert active() == ref("a")

    async def leave() -> None:
        await entered.wait()
        with mlflow.use_model("own"):
            scope.__exit__(None, None, None)
            assert active() == ref("own")

    with caplog.at_level(logging.DEBUG):
        await asyncio.gather(enter(), leave())
    assert active() is None
    assert caplog.records == []


async def test_a_child_task_that_leaves_an_inherited_scope_does_not_end_it_for_its_parent(caplog) -> None:
    scope = mlflow.use_model("a")

    async def child() -> None:
        with mlflow.use_model("b"):
            scope.__exit__(None, None, None)
            assert active() == ref("b")
        assert active() == ref("a")

    with scope:
        await asyncio.create_task(child())
        assert active() == ref("a")
    assert active() is None
    assert caplog.records == []


def test_scopes_left_out_of_order_end_when_the_inner_one_does() -> None:
    outer, inner = mlflow.use_model("outer"), mlflow.use_model("inner")
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert active() == ref("inner")
    inner.__exit__(None, None, None)
    assert active() is None


def test_leaving_what_was_never_entered_does_nothing() -> None:
    mlflow.use_model("a").__exit__(None, None, None)
    with mlflow.use_model("b"):
        mlflow.use_model("a").__exit__(None, None, None)
        assert active() == ref("b")


def test_use_model_leaves_the_process_default_alone() -> None:
    with mlflow.use_model("a"):
        assert process.version is None


def test_names_are_resolved_when_the_scope_is_entered() -> None:
    scope = mlflow.use_model(name="agent")
    model = mlflow.create_external_model("agent", params={"k": "v"})
    with scope as used:
        assert used == model


# Decorated functions


def test_a_decorated_function_runs_inside_the_scope() -> None:
    @mlflow.use_model("a")
    def work(x: int, *, y: int) -> tuple[int, str | None]:
        """Doc."""
        return x + y, active()

    assert work(1, y=2) == (3, ref("a"))
    assert (work.__name__, work.__doc__) == ("work", "Doc.")
    assert active() is None


def test_a_decorated_function_may_raise_and_recurse() -> None:
    @mlflow.use_model("a")
    def work(depth: int) -> None:
        assert active() == ref("a")
        if depth == 0:
            raise KeyError("bottom")
        work(depth - 1)

    with pytest.raises(KeyError, match="bottom"):
        work(5)
    assert active() is None


async def test_a_decorated_coroutine_function_runs_inside_the_scope() -> None:
    @mlflow.use_model("a")
    async def work() -> str | None:
        await asyncio.sleep(0)
        return active()

    assert inspect.iscoroutinefunction(work)
    assert await asyncio.gather(work(), work()) == [ref("a")] * 2
    assert active() is None


def test_a_decorated_generator_has_the_scope_and_its_consumer_does_not() -> None:
    @mlflow.use_model("a")
    def work(first: int):
        got = yield first, active()
        try:
            got = yield got, active()
        except KeyError as error:
            got = yield error, active()
        return got

    assert inspect.isgeneratorfunction(work)
    generator = work(1)
    assert next(generator) == (1, ref("a"))
    assert active() is None
    with mlflow.use_model("consumer"):
        assert generator.send("two") == ("two", ref("a"))
        assert active() == ref("consumer")
    error = KeyError("x")
    assert generator.throw(error) == (error, ref("a"))
    with pytest.raises(StopIteration) as stop:
        generator.send("done")
    assert stop.value.value == "done"


def test_a_decorated_generator_that_is_closed_early_cleans_up_inside_the_scope() -> None:
    seen = []

    @mlflow.use_model("a")
    def work():
        try:
            yield 1
        finally:
            seen.append(active())

    generator = work()
    next(generator)
    generator.close()
    assert seen == [ref("a")]
    assert active() is None


async def test_a_decorated_async_generator_has_the_scope_and_its_consumer_does_not() -> None:
    seen = []

    @mlflow.use_model("a")
    async def work():
        try:
            await asyncio.sleep(0)
            got = yield active()
            await asyncio.sleep(0)
            try:
                yield got, active()
            except KeyError:
                yield "caught", active()
        finally:
            await asyncio.sleep(0)
            seen.append(active())

    assert inspect.isasyncgenfunction(work)
    generator = work()
    assert await anext(generator) == ref("a")
    assert active() is None
    assert await generator.asend("x") == ("x", ref("a"))
    assert await generator.athrow(KeyError()) == ("caught", ref("a"))
    await generator.aclose()
    assert seen == [ref("a")]
    assert [value async for value in work()] == [ref("a"), (None, ref("a"))]
    assert active() is None


async def test_a_decorated_async_generator_that_is_cancelled_is_cancelled() -> None:
    seen = []

    @mlflow.use_model("a")
    async def work():
        try:
            yield 1
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append(active())
            raise

    async def consume() -> None:
        async for _ in work():
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [ref("a")]


async def test_an_async_generator_that_is_left_early_inside_of_a_block_is_told_of_once(caplog) -> None:
    def entering(scope):
        async def work():
            with scope:
                yield 1
                yield 2

        return work

    for scope in (mlflow.use_model("a"), mlflow.set_active_model("b")):
        work = entering(scope)

        async def consume(work=work) -> None:
            async for _ in work():
                break

        await asyncio.create_task(consume())
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)  # for the event loop to finish the generator
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        "decorate the generator, @use_model(...), or iterate over contextlib.aclosing(generator)"
    ]


async def test_what_that_says_helps(caplog) -> None:
    async def inside():
        with mlflow.use_model("a"):
            yield active()
            yield 2

    @mlflow.use_model("a")
    async def around():
        yield active()
        yield 2

    async with contextlib.aclosing(inside()) as values:
        async for value in values:
            assert value == ref("a")
            break
    assert active() is None
    async for value in around():
        assert value == ref("a")
        break
    assert active() is None
    gc.collect()
    await asyncio.sleep(0)
    assert caplog.messages == []


def test_interleaved_decorated_generators_keep_their_versions(traced) -> None:
    def stream(name: str):
        @mlflow.use_model(name)
        def work():
            for number in range(3):
                with traced.tracer.start_as_current_span(f"{name}{number}"):
                    yield active()

        return work()

    pairs = list(zip(stream("a"), stream("b"), strict=True))
    assert pairs == [(ref("a"), ref("b"))] * 3
    assert {traced.id_on(f"a{number}") for number in range(3)} == {ref("a")}
    assert {traced.id_on(f"b{number}") for number in range(3)} == {ref("b")}
    assert context_api.get_current() == {}


@pytest.mark.parametrize("enclosing", [False, True])
def test_a_scope_begins_under_a_span_that_is_not_current_too(traced, enclosing: bool) -> None:
    """Instrumentations that work by callbacks make spans, and children of them, without making them current."""
    mlflow.set_active_model("a")
    with traced.tracer.start_as_current_span("request") if enclosing else contextlib.nullcontext():
        callback = traced.tracer.start_span("callback")
        with mlflow.use_model(name="b"):
            for name in ("first", "second"):
                traced.tracer.start_span(name, trace.set_span_in_context(callback)).end()
        callback.end()
    assert {traced.id_on(name) for name in ("first", "second")} == {ref("b")}
    assert [traced.is_entry(name) for name in ("callback", "first", "second")] == [not enclosing, True, False]
