# SPDX-License-Identifier: Apache-2.0
"""Which version is active: the scope in an OpenTelemetry Context, else the process default, else the environment.

A scope lives in the Context, so it goes wherever the application's spans find their parents: into asyncio tasks,
through `contextvars.copy_context`, and to threads by whatever propagates Context to them. The process default is one
value that every thread reads without a lock.
"""

import functools
import os
import threading
import weakref
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, TraceFlags

from otel_loggedmodel import attributes
from otel_loggedmodel._errors import swallow, warn_once
from otel_loggedmodel.versions import identity


class Version:
    """What stamping a span with a version needs, computed once. Immutable.

    Attributes:
        model_id: The id that goes onto every span.
        name: Its name, where this process knows it.
        entry_attributes: What goes onto an entry span: the id and, when known, the name.
        model_span: The root span of the model's own trace, which entry spans link to.
        link_attributes: The attributes of that link.
    """

    __slots__ = ("__weakref__", "entry_attributes", "link_attributes", "model_id", "model_span", "name")

    def __init__(self, model_id: str, name: str | None = None) -> None:
        self.model_id: Final = model_id
        self.name: Final = name
        self.link_attributes: Final[Mapping[str, str]] = {attributes.ID: model_id}
        self.entry_attributes: Final[Mapping[str, str]] = (
            self.link_attributes if name is None else {attributes.ID: model_id, attributes.NAME: name}
        )
        self.model_span: Final = model_span_of(model_id)


# Making one costs a digest; a server that routes each request to one of a few versions enters a scope each time.
version_of: Final = functools.lru_cache(maxsize=1024)(Version)


def model_span_of(model_id: str) -> SpanContext:
    """The context of a model's root span. Remote, because any process may have announced it."""
    return SpanContext(
        identity.trace_id_of(model_id),
        identity.root_span_id_of(model_id),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


# Scopes

SCOPE_KEY: Final = context_api.create_key("otel_loggedmodel.scope")
# What a span was stamped with is noted besides, under this name, on the span's own context. That is the one object of a
# span that stays the same until the exporter has it, so a stamp that the SDK's limits took can be put back. And it is
# the object that children know as their parent, however the Context was made in which they start.
NOTE: Final = "_otel_loggedmodel_stamp"
# The same for entry spans, whose link can be put back, too.
_ENTRY_NOTE: Final = "_otel_loggedmodel_entry"


class Scope:
    """A version that is active in a Context.

    Attributes:
        version: The active version; None where no version is active, whatever the process default is.
        propagate: Whether the version goes out with requests to other services; None where nobody said.
        undecided: Not empty until the scope's first span with a local parent has started. A list, because of the tasks
            that share a scope only one may empty it.
    """

    __slots__ = ("propagate", "undecided", "version")

    def __init__(self, version: Version | None, propagate: bool | None = None, *, has_begun: bool = False) -> None:
        self.version: Final = version
        self.propagate: Final = propagate
        self.undecided = [] if has_begun else [None]

    def begins_under(self, parent_context: Context | None) -> bool:
        """Whether a span with a local parent is where the version starts: the first, under one of another version.

        The parent need not be the span that was current when the scope was entered: instrumentations that work by
        callbacks, as those of LangChain do, do not make their spans current.
        """
        try:
            self.undecided.pop()
        except IndexError:
            return False
        return self.version is not None and (
            _version_id_on(trace.get_current_span(parent_context)) != self.version.model_id
        )


class _Entered:
    """One entry into a scope, as the Context in which it happened remembers it."""

    __slots__ = ("context_token", "home_token", "left", "owner", "stack_token")

    def __init__(self, owner: object, context_token: Token[Context]) -> None:
        self.owner = owner
        self.context_token = context_token
        self.home_token: Token[object] = _home.set(None)
        self.stack_token: Token[tuple[_Entered, ...]] = _stack.set((*_stack.get(), self))
        self.left = False


_stack: Final[ContextVar[tuple[_Entered, ...]]] = ContextVar("otel_loggedmodel_stack", default=())
# Never read: a token of it answers whether we are in the Context where a scope was entered, because no other Context
# takes the token back. Asking the OpenTelemetry Context instead would log the refusal as an error.
_home: Final[ContextVar[object]] = ContextVar("otel_loggedmodel_home", default=None)


def enter_scope(version: Version, owner: object, propagate: bool | None = None) -> None:
    """Make a version active in the current Context until `leave_scope` with the same owner.

    Where `propagate` is None, whether the version goes out with requests is as in the enclosing scope.

    A recording span that is current and has no version is stamped too, as an entry span: routing inside a handler then
    covers the server's own span.
    """
    has_begun = _has_begun(version)
    if propagate is None:
        propagate = is_propagated()
    scope = Scope(version, propagate, has_begun=has_begun)
    process.has_several = True
    _Entered(owner, context_api.attach(context_api.set_value(SCOPE_KEY, scope)))


def _has_begun(version: Version) -> bool:
    """Whether the span that is current is of this version; one that is of none becomes so."""
    try:
        enclosing = trace.get_current_span()
        if not enclosing.get_span_context().is_valid:
            return False
        stamped = _version_id_on(enclosing)
        if stamped is None and enclosing.is_recording():
            stamp_entry(enclosing, version)
            return True
        return stamped == version.model_id
    except Exception:  # of a span that is not the SDK's
        swallow("looking at the span around a scope")
        return False


def with_version(context: Context, version: Version | None) -> Context:
    """A Context in which a version is active; with None none is, whatever the process default says.

    For whoever makes Contexts instead of entering and leaving scopes. Spans that are started in it without a parent are
    entry spans.
    """
    process.has_several = True
    propagate = False if version is None else is_propagated(context)
    return context_api.set_value(SCOPE_KEY, Scope(version, propagate), context)


def leave_scope(owner: object, kind: type[BaseException] | None = None) -> None:
    """Undo the newest `enter_scope` of an owner in this Context.

    Does nothing where the Context is another one than the scope was entered in, as happens when a generator or a
    context manager is finished by another task: that task's own version is not ours to change. Left out of order, a
    scope ends when those entered after it have ended.

    Args:
        owner: Who entered it.
        kind: Of the exception with which it is left.
    """
    if not _is_left(owner) and kind is GeneratorExit:
        # An async generator that its consumer has left early is finished by a task of the event loop's.
        warn_once(
            "generator left early",
            "a generator that was left early had entered a version with `with`. Its consumer is in that version until "
            "its task ends: decorate the generator, @use_model(...), or iterate over contextlib.aclosing(generator)",
        )


def _is_left(owner: object) -> bool:
    entered = next((entered for entered in reversed(_stack.get()) if entered.owner is owner and not entered.left), None)
    if entered is None:
        return False
    try:
        _home.reset(entered.home_token)
    except (ValueError, RuntimeError):
        return False
    entered.left = True
    while (stack := _stack.get()) and stack[-1].left:
        _stack.reset(stack[-1].stack_token)
        context_api.detach(stack[-1].context_token)
    return True


def stamp_entry(span: trace.Span, version: Version) -> None:
    """Put onto a recording span what an entry span carries: id, name and a link to the model's root span."""
    for key, value in version.entry_attributes.items():  # one by one takes less than half the time of set_attributes
        span.set_attribute(key, value)
    span.add_link(version.model_span, version.link_attributes)
    notes = span.get_span_context().__dict__
    notes[NOTE] = version.entry_attributes
    notes[_ENTRY_NOTE] = True


def noted_stamp(span: SpanContext) -> Mapping[str, str] | None:
    """The attributes that a span was stamped with, if they were noted on its context."""
    return span.__dict__.get(NOTE)


def is_noted_entry(span: SpanContext) -> bool:
    """Whether a span was stamped as an entry span."""
    return _ENTRY_NOTE in span.__dict__


def _version_id_on(span: trace.Span) -> object:
    noted = noted_stamp(span.get_span_context()) or getattr(span, "attributes", None)
    return noted.get(attributes.ID) if noted else None


# The process default


class Default:
    """Handle of one value that the process default was given; kept by whoever may want to take it back."""

    __slots__ = ("__weakref__",)


class Process:
    """The process default and the environment's version behind it.

    Attributes:
        version: What is active where no scope is: one read, no lock.
        has_several: Whether spans that are open at one time may be of different versions: a scope was entered, the
            default was another one before, or requests bring theirs. Until then, no Context and no parent needs to be
            looked at.
        environment_was_read: Whether the environment's version is known yet.
        accepts_baggage: Whether spans take the version of a request's baggage where there is no other.
    """

    def __init__(self) -> None:
        self.version: Version | None = None
        self.has_several = False
        self._lock = threading.Lock()
        self.environment_was_read = False
        self.accepts_baggage = False
        self._environment: Version | None = None
        self._cleared = False
        # Oldest first. Several may be waiting to be taken back, in any order and by any thread.
        self._given: list[tuple[Version, weakref.ref[Default]]] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()  # another thread of the parent may have held it

    def give(self, version: Version) -> Default:
        """Make a version the process default."""
        handle = Default()
        with self._lock:
            self._given.append((version, weakref.ref(handle)))
            self._drop_unreachable()
            self._settle()
        return handle

    def take_back(self, handle: Default) -> None:
        """Undo a `give`, whatever else was given since. A second time it does nothing."""
        with self._lock:
            self._given = [given for given in self._given if given[1]() is not handle]
            self._settle()

    def clear(self) -> None:
        """Have no process default, not even the environment's, until one is given again."""
        with self._lock:
            self._given.clear()
            self._cleared = True
            self._settle()

    def set_environment(self, version: Version | None) -> None:
        """What is active as long as no default was given and none was cleared."""
        with self._lock:
            self._environment = version
            self.environment_was_read = True
            self._settle()

    def _drop_unreachable(self) -> None:
        # What lies below a value that nobody can take back any more never comes up again.
        for index in range(len(self._given) - 2, -1, -1):
            if self._given[index][1]() is None:
                del self._given[:index]
                return

    def _settle(self) -> None:
        before = self.version
        if self._given:
            self.version = self._given[-1][0]
        else:
            self.version = None if self._cleared else self._environment
        if before is not None and before is not self.version:
            self.has_several = True


process: Final = Process()


class ProcessDefault:
    """Context manager of `set_active_model`: entered, it turns the default that the call gave into a scope."""

    def __init__(self, version: Version) -> None:
        self._version = version
        self._handle = process.give(version)

    def __enter__(self) -> None:
        process.take_back(self._handle)
        enter_scope(self._version, self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leave_scope(self, kind)


def current_version(context: Context | None = None) -> Version | None:
    """The version that a span started now, or in the given Context, would carry."""
    scope = context_api.get_value(SCOPE_KEY, context)
    if isinstance(scope, Scope):
        return scope.version
    return process.version


def is_propagated(context: Context | None = None) -> bool | None:
    """Whether the scope that is active says that its version goes out with requests; None where no scope says."""
    scope = context_api.get_value(SCOPE_KEY, context)
    return scope.propagate if isinstance(scope, Scope) else None
