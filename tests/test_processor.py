# SPDX-License-Identifier: Apache-2.0
"""What the processor puts on spans: which version, on which spans the link, and that it never gets in the way."""

import asyncio
import copy
import logging
import pickle
import random
import threading

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import otel_loggedmodel as mlflow
from effort import times
from otel_loggedmodel import _errors
from otel_loggedmodel.versions import identity


def ref(name: str) -> str:
    return identity.reference_to("0", name)


def remote_parent() -> Context:
    parent = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


# Which version


def test_spans_without_a_version_are_left_alone(traced) -> None:
    traced.tracer.start_span("a").end()
    assert not traced.spans["a"].attributes
    assert traced.memory.get_finished_spans() == (traced.spans["a"],)


def test_scope_wins_over_default_wins_over_environment(monkeypatch, make_traced) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_NAME", "third")
    traced = make_traced()
    traced.tracer.start_span("by name").end()
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "second")
    make_traced().tracer.start_span("unused").end()
    traced.tracer.start_span("by mlflow").end()
    monkeypatch.setenv("OTEL_LOGGEDMODEL_ID", "first")
    make_traced().tracer.start_span("unused").end()
    traced.tracer.start_span("by id").end()
    mlflow.set_active_model("default")
    traced.tracer.start_span("default").end()
    with mlflow.use_model("scope"):
        traced.tracer.start_span("scope").end()
    mlflow.clear_active_model()
    traced.tracer.start_span("cleared").end()
    ids = {name: traced.id_on(name) for name in traced.spans}
    assert ids == {
        "by name": ref("third"),
        "by mlflow": "second",
        "by id": "first",
        "default": ref("default"),
        "scope": ref("scope"),
        "cleared": None,
    }
    assert traced.spans["by name"].attributes["logged_model.name"] == "third"
    assert "logged_model.name" not in traced.spans["by id"].attributes


def test_the_environment_is_read_when_the_processor_is_built(monkeypatch, make_traced) -> None:
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "before")
    traced = make_traced()
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "after")
    traced.tracer.start_span("a").end()
    assert traced.id_on("a") == "before"


@pytest.mark.parametrize("value", ["", "   ", "a\nb", "\x1b[31m", "x" * 257])
def test_hostile_and_empty_ids_in_the_environment_count_as_not_set(monkeypatch, make_traced, caplog, value) -> None:
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", value)
    make_traced()
    traced = make_traced()
    traced.tracer.start_span("a").end()
    assert traced.id_on("a") is None
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == (1 if value.strip() else 0)
    assert all(warning.startswith("MLFLOW_ACTIVE_MODEL_ID ") and "\n" not in warning for warning in warnings)


def test_an_id_from_the_environment_is_known_as_a_model_where_it_was_created(monkeypatch, make_traced) -> None:
    model = mlflow.create_external_model("agent", params={"k": "v"})
    monkeypatch.setenv("OTEL_LOGGEDMODEL_ID", model.model_id)
    traced = make_traced()
    traced.tracer.start_span("a").end()
    assert traced.spans["a"].attributes == {"logged_model.id": model.model_id, "logged_model.name": "agent"}


def test_the_version_comes_from_the_parent_context_that_is_given(traced) -> None:
    with mlflow.use_model("a"), traced.tracer.start_as_current_span("parent") as parent:
        context = trace.set_span_in_context(parent)
    with mlflow.use_model("b"):
        traced.tracer.start_span("child", context=context).end()
    assert traced.id_on("child") == ref("a")


def test_an_explicit_empty_context_means_no_scope(traced) -> None:
    with mlflow.use_model("a"):
        traced.tracer.start_span("empty", context=Context()).end()
        traced.tracer.start_span("current").end()
    assert traced.id_on("empty") is None
    assert traced.id_on("current") == ref("a")
    mlflow.set_active_model("default")
    with mlflow.use_model("a"):
        traced.tracer.start_span("default", context=Context()).end()
    assert traced.id_on("default") == ref("default")


def test_a_version_set_after_the_processor_was_registered_counts(traced) -> None:
    traced.tracer.start_span("before").end()
    mlflow.set_active_model("a")
    traced.tracer.start_span("after").end()
    assert (traced.id_on("before"), traced.id_on("after")) == (None, ref("a"))


# Children of spans of this process


def bare(parent: trace.Span) -> Context:
    return trace.set_span_in_context(parent, Context())


def by_its_context(parent: trace.Span) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(parent.get_span_context()), Context())


@pytest.mark.parametrize("made", [bare, by_its_context])
def test_a_child_is_of_its_parents_version_however_its_context_was_made(traced, made) -> None:
    with mlflow.use_model("a"):
        parent = traced.tracer.start_span("parent")
        child = traced.tracer.start_span("child", context=made(parent))
    grandchild = traced.tracer.start_span("grandchild", context=made(child))
    for span in (grandchild, child, parent):
        span.end()
    assert {name: traced.id_on(name) for name in traced.spans} == dict.fromkeys(
        ("parent", "child", "grandchild"), ref("a")
    )
    assert [traced.is_entry(name) for name in ("parent", "child", "grandchild")] == [True, False, False]


def test_a_child_in_another_thread_is_of_its_parents_version(traced) -> None:
    with mlflow.use_model("a"), traced.tracer.start_as_current_span("parent") as parent:
        thread = threading.Thread(target=lambda: traced.tracer.start_span("child", context=bare(parent)).end())
        thread.start()
        thread.join()
    assert (traced.id_on("child"), traced.is_entry("child")) == (ref("a"), False)


def test_a_child_that_ends_up_under_an_ended_parent_is_of_its_version(traced) -> None:
    with mlflow.use_model("a"):
        parent = traced.tracer.start_span("parent")
        parent.end()
    traced.tracer.start_span("late", context=bare(parent)).end()
    assert traced.id_on("late") == ref("a")


def test_a_parents_version_wins_over_the_default_and_loses_to_a_scope_in_the_childs_own_context(traced) -> None:
    with mlflow.use_model("parents"):
        parent = traced.tracer.start_span("parent")
    mlflow.set_active_model("default")
    traced.tracer.start_span("child", context=bare(parent)).end()
    with mlflow.use_model("scope"):
        scoped = trace.set_span_in_context(parent)
    traced.tracer.start_span("scoped", context=scoped).end()
    parent.end()
    assert (traced.id_on("child"), traced.id_on("scoped")) == (ref("parents"), ref("scope"))
    assert [traced.is_entry(name) for name in ("child", "scoped")] == [False, True]


def test_a_parents_version_outlasts_a_change_of_the_default(traced) -> None:
    mlflow.set_active_model("a")
    with traced.tracer.start_as_current_span("parent"):
        mlflow.set_active_model("b")
        traced.tracer.start_span("child").end()
        mlflow.clear_active_model()
        traced.tracer.start_span("later").end()
    traced.tracer.start_span("other trace").end()
    assert [traced.id_on(name) for name in ("child", "later", "other trace")] == [ref("a"), ref("a"), None]


def test_a_remote_parent_has_no_version_to_give(traced) -> None:
    with mlflow.use_model("a"):
        traced.tracer.start_span("unused").end()
    traced.tracer.start_span("server", context=remote_parent()).end()
    assert traced.id_on("server") is None


def test_a_version_from_baggage_is_that_of_children_in_a_bare_context_too(make_traced) -> None:
    traced = make_traced(accept_baggage=True)
    parent = traced.tracer.start_span("parent", context=with_baggage("v1"))
    traced.tracer.start_span("child", context=bare(parent)).end()
    assert (traced.id_on("child"), traced.is_entry("child")) == ("v1", False)


def test_a_span_context_can_be_copied_and_sent_to_another_process(traced) -> None:
    with mlflow.use_model("a"), traced.tracer.start_as_current_span("parent") as parent:
        sent = pickle.loads(pickle.dumps(parent.get_span_context()))
    assert sent == copy.deepcopy(parent.get_span_context()) == parent.get_span_context()


# Entry spans


def test_two_processors_make_one_link(traced, make_traced) -> None:
    """As after running the cell of a notebook twice that sets everything up."""
    traced.provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    mlflow.set_active_model("agent")
    with traced.tracer.start_as_current_span("root"), mlflow.use_model("routed"):
        traced.tracer.start_span("first").end()
        traced.tracer.start_span("second").end()
    assert {name: len(span.links) for name, span in traced.spans.items()} == {"root": 1, "first": 1, "second": 0}
    assert [traced.is_entry(name) for name in traced.spans] == [True, False, True]


def test_a_root_span_is_an_entry_span_and_its_children_are_not(traced) -> None:
    mlflow.set_active_model("agent")
    with traced.tracer.start_as_current_span("root"), traced.tracer.start_as_current_span("child"):
        traced.tracer.start_span("grandchild").end()
    root = traced.spans["root"]
    assert root.attributes == {"logged_model.id": ref("agent"), "logged_model.name": "agent"}
    (link,) = root.links
    assert link.context.trace_id == identity.trace_id_of(ref("agent"))
    assert link.context.span_id == identity.root_span_id_of(ref("agent"))
    assert link.attributes == {"logged_model.id": ref("agent")}
    for name in ("child", "grandchild"):
        assert traced.spans[name].attributes == {"logged_model.id": ref("agent")}
        assert not traced.is_entry(name)


def test_the_link_leads_to_the_models_root_record(traced) -> None:
    mlflow.set_active_model(model_id=mlflow.create_external_model("agent", params={"k": "v"}).model_id)
    traced.tracer.start_span("root").end()
    (created,) = [record for record in traced.records if record.attributes["logged_model.event"] == "created"]
    linked = traced.spans["root"].links[0].context
    assert (linked.trace_id, linked.span_id) == (created.context.trace_id, created.context.span_id)


def test_a_span_with_a_remote_parent_is_an_entry_span(traced) -> None:
    mlflow.set_active_model("agent")
    traced.tracer.start_span("server", context=remote_parent()).end()
    assert traced.is_entry("server")
    assert traced.spans["server"].parent.span_id == 2


def test_the_first_span_inside_a_scope_is_an_entry_span(traced) -> None:
    mlflow.set_active_model("server")
    with traced.tracer.start_as_current_span("root"):
        with mlflow.use_model("routed"):
            with traced.tracer.start_as_current_span("first"):
                traced.tracer.start_span("below").end()
            traced.tracer.start_span("second").end()
        traced.tracer.start_span("outside").end()
    assert {name: (traced.id_on(name), traced.is_entry(name)) for name in traced.spans} == {
        "root": (ref("server"), True),
        "first": (ref("routed"), True),
        "below": (ref("routed"), False),
        "second": (ref("routed"), False),
        "outside": (ref("server"), False),
    }


def test_a_scope_of_the_same_version_starts_nothing_new(traced) -> None:
    mlflow.set_active_model("agent")
    with traced.tracer.start_as_current_span("root"), mlflow.use_model("agent"):
        traced.tracer.start_span("child").end()
    assert traced.is_entry("root")
    assert not traced.is_entry("child")


def test_a_scope_inside_a_handler_covers_the_servers_own_span(traced) -> None:
    with traced.tracer.start_as_current_span("server", context=remote_parent()):
        with mlflow.use_model("routed"):
            traced.tracer.start_span("work").end()
        with mlflow.use_model("other"):
            traced.tracer.start_span("more").end()
    assert traced.id_on("server") == ref("routed")
    assert traced.spans["server"].attributes["logged_model.name"] == "routed"
    assert traced.is_entry("server")
    assert (traced.id_on("work"), traced.is_entry("work")) == (ref("routed"), False)
    assert (traced.id_on("more"), traced.is_entry("more")) == (ref("other"), True)


def test_set_active_model_as_a_block_covers_the_servers_span_too(traced) -> None:
    with traced.tracer.start_as_current_span("server"), mlflow.set_active_model("routed"):
        pass
    # Between the call and the block the default was the new version, but the span had started before.
    assert traced.is_entry("server")


def test_a_scope_that_stamped_a_span_with_an_evicted_stamp_does_not_stamp_it_again(traced) -> None:
    with traced.tracer.start_as_current_span("server") as span:
        with mlflow.use_model("first"):
            span.set_attributes({f"k{number}": number for number in range(200)})
        with mlflow.use_model("second"):
            pass
    assert traced.id_on("server") == ref("first")


# Baggage


def with_baggage(value: object) -> Context:
    return baggage.set_baggage("logged_model.id", value, context=Context())


def test_baggage_is_ignored_unless_switched_on(make_traced) -> None:
    make_traced().tracer.start_span("a", context=with_baggage("v1")).end()
    off, on = make_traced(), make_traced(accept_baggage=True)
    off.tracer.start_span("a", context=with_baggage("v1")).end()
    on.tracer.start_span("a", context=with_baggage("v1")).end()
    assert (off.id_on("a"), on.id_on("a")) == (None, "v1")
    assert on.is_entry("a")


def test_baggage_comes_after_everything_else(make_traced) -> None:
    traced = make_traced(accept_baggage=True)
    mlflow.set_active_model("default")
    traced.tracer.start_span("a", context=with_baggage("v1")).end()
    assert traced.id_on("a") == ref("default")


@pytest.mark.parametrize("value", ["a b", "a\r\nX-Evil: 1", "x" * 129, "'; DROP TABLE", "ü", "", "a/b", 7, None])
def test_hostile_baggage_never_reaches_a_span(make_traced, value: object) -> None:
    traced = make_traced(accept_baggage=True)
    traced.tracer.start_span("a", context=with_baggage(value)).end()
    assert not traced.spans["a"].attributes


def test_versions_from_baggage_cause_no_records(make_traced) -> None:
    traced = make_traced(accept_baggage=True)
    for number in range(100):
        traced.tracer.start_span("a", context=with_baggage(f"v{number}")).end()
    assert traced.records == []


# Never in the way


def test_unsampled_spans_cost_nothing_and_break_nothing() -> None:
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("a") as span, mlflow.use_model("m"):
        assert not span.is_recording()
        with tracer.start_as_current_span("b") as inner:
            assert not inner.is_recording()


@pytest.mark.parametrize("names", [(), ("_on_ending",), ("on_ending",), ("_on_ending", "on_ending")])
def test_whatever_an_sdk_calls_at_a_spans_end_no_stamp_is_lost(traced, names: tuple[str, ...], monkeypatch) -> None:
    """The specification's name for it is OnEnding; releases of the SDK have none, a private one, or may have both."""

    def on_ending(self, span) -> None:
        for processor in self._span_processors:
            for name in names:
                getattr(processor, name, lambda _: None)(span)

    monkeypatch.setattr(SynchronousMultiSpanProcessor, "_on_ending", on_ending, raising=False)
    mlflow.set_active_model("a")
    with traced.tracer.start_as_current_span("root"), traced.tracer.start_as_current_span("child") as child:
        child.set_attributes({f"k{number}": number for number in range(200)})
    assert traced.id_on("child") == ref("a")


def test_an_error_of_ours_is_logged_once_and_not_raised(monkeypatch, traced, caplog) -> None:
    monkeypatch.setattr(_errors, "raise_internal_errors", False)
    mlflow.set_active_model("a")

    def broken(*_: object) -> None:
        raise RuntimeError("defect")

    monkeypatch.setattr("otel_loggedmodel.processor.stamp_entry", broken)
    for _ in range(3):
        traced.tracer.start_span("a").end()
    assert "a" in traced.spans
    (record,) = caplog.records
    assert "failed while stamping a span; the application is not affected" in record.getMessage()


def test_scopes_and_calls_work_without_any_set_up() -> None:
    with mlflow.use_model("a"), trace.get_tracer("x").start_as_current_span("nothing"):
        assert mlflow.get_active_model_id() == ref("a")


def test_force_flush_says_true_so_that_later_processors_are_flushed(traced) -> None:
    assert traced.provider.force_flush() is True


def test_concurrent_switching_mislinks_no_span(make_traced) -> None:
    """64 threads, each with 16 asyncio tasks that switch versions at random: every span has its own task's version."""
    spans_per_task, threads, tasks = times(full=196, quick=24), 64, 16
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
    tracer = provider.get_tracer("test")
    wrong: list[object] = []
    counted: list[int] = []

    async def task(seed: int) -> None:
        count = 0
        choose = random.Random(seed)
        while count < spans_per_task:
            name = f"m{choose.randrange(23)}"
            scope = mlflow.set_active_model(name) if choose.random() < 0.3 else mlflow.use_model(name)
            with scope as model, tracer.start_as_current_span("outer") as outer:
                if choose.random() < 0.3:
                    await asyncio.sleep(0)
                with mlflow.use_model(f"n{seed % 5}") as inner_model, tracer.start_as_current_span("inner") as inner:
                    if choose.random() < 0.2:
                        await asyncio.sleep(0)
                after = tracer.start_span("after")
                for span, expected, links in ((outer, model, 1), (inner, inner_model, 1), (after, model, 0)):
                    count += 1
                    if span.attributes["logged_model.id"] != expected.model_id or len(span.links) != links:
                        wrong.append((span.name, span.attributes, span.links, expected))
        counted.append(count)

    async def run_tasks(seed: int) -> None:
        await asyncio.gather(*(task(seed * tasks + number) for number in range(tasks)))

    workers = [threading.Thread(target=lambda seed=seed: asyncio.run(run_tasks(seed))) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert sum(counted) >= spans_per_task * threads * tasks
    assert mlflow.get_active_model_id() is None
