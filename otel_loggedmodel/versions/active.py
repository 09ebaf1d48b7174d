# SPDX-License-Identifier: Apache-2.0
"""Which version is active: the scope in an OpenTelemetry Context, else the process default, else the environment.

A scope lives in the Context. So it goes wherever the application's spans find their parents: into asyncio tasks,
through `contextvars.copy_context`, and to threads if something propagates Context to them. The process default is one
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
        name: Its name, if this process knows it.
        entry_attributes: What goes onto an entry span: the id, and the name if it is known.
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


# Making a Version costs a digest. A server that routes requests to a few versions enters a scope for each request.
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
# What a span was stamped with is also noted under this name on the span's own context. No other object of a span stays
# the same until the exporter has it. So if the SDK's limits take the stamp, it can be put back. And children know this
# object as their parent, however the Context was made in which they start.
NOTE: Final = "_otel_loggedmodel_stamp"
# The same for entry spans. Their link can be put back, too.
_ENTRY_NOTE: Final = "_otel_loggedmodel_entry"


class Scope:
    """A version that is active in a Context.

    Attributes:
        version: The active version; None if no version is active, whatever the process default is.
        propagate: Whether the version goes out with requests to other services; None if nobody said.
        undecided: Not empty until the scope's first span with a local parent has started. It is a list because only one
            of the tasks that share a scope may empty it.
    """

    __slots__ = ("propagate", "undecided", "version")

    def __init__(self, version: Version | None, propagate: bool | None = None, *, has_begun: bool = False) -> None:
        self.version: Final = version
        self.propagate: Final = propagate
        self.undecided = [] if has_begun else [None]

    def begins_under(self, parent_context: Context | None) -> bool:
        """Whether the version starts with a span that has a local parent.

        It starts with the first such span, if the parent is of another version. The parent need not be the span that
        was current when the scope was entered. Instrumentations that work by callbacks, such as LangChain's, do not
        make their spans current.
        """
        try:
            self.undecided.pop()
        except IndexError:
            return False
        return self.version is not None and (
            _version_id_on(trace.get_current_span(parent_context)) != self.version.model_id
        )


class _Entered:
    """One entry into a scope, remembered by the Context in which it happened."""

    __slots__ = ("context_token", "home_token", "left", "owner", "stack_token")

    def __init__(self, owner: object, context_token: Token[Context]) -> None:
        self.owner = owner
        self.context_token = context_token
        self.home_token: Token[object] = _home.set(None)
        self.stack_token: Token[tuple[_Entered, ...]] = _stack.set((*_stack.get(), self))
        self.left = False


_stack: Final[ContextVar[tuple[_Entered, ...]]] = ContextVar("otel_loggedmodel_stack", default=())
# Its value is never read. A token of it tells whether we are in the Context where a scope was entered, because no other
# Context takes the token back. The OpenTelemetry Context would log this refusal as an error.
_home: Final[ContextVar[object]] = ContextVar("otel_loggedmodel_home", default=None)


def enter_scope(version: Version, owner: object, propagate: bool | None = None) -> None:
    """Make a version active in the current Context until `leave_scope` with the same owner.

    If `propagate` is None, the enclosing scope says whether the version goes out with requests.

    If a recording span is current and has no version, it is stamped too, as an entry span. So if a handler chooses the
    version, the server's own span belongs to it.
    """
    has_begun = _has_begun(version)
    if propagate is None:
        propagate = is_propagated()
    scope = Scope(version, propagate, has_begun=has_begun)
    process.has_several = True
    _Entered(owner, context_api.attach(context_api.set_value(SCOPE_KEY, scope)))


def _has_begun(version: Version) -> bool:
    """Whether the current span is of this version. If it is of none, it is stamped with this one."""
    try:
        enclosing = trace.get_current_span()
        if not enclosing.get_span_context().is_valid:
            return False
        stamped = _version_id_on(enclosing)
        if stamped is None and enclosing.is_recording():
            stamp_entry(enclosing, version)
            return True
        return stamped == version.model_id
    except Exception:  # the span is not the SDK's
        swallow("looking at the span around a scope")
        return False


def with_version(context: Context, version: Version | None) -> Context:
    """A Context in which a version is active. With None, no version is active, whatever the process default says.

    For code that makes Contexts instead of entering and leaving scopes. Spans that are started in it without a parent
    are entry spans.
    """
    process.has_several = True
    propagate = False if version is None else is_propagated(context)
    return context_api.set_value(SCOPE_KEY, Scope(version, propagate), context)


def leave_scope(owner: object, kind: type[BaseException] | None = None) -> None:
    """Undo the newest `enter_scope` of an owner in this Context.

    Does nothing if the scope was entered in another Context. This happens when another task finishes a generator or a
    context manager, and that task's own version must not change. If scopes are left out of order, a scope ends when
    those entered after it have ended.

    Args:
        owner: Who entered it.
        kind: Class of the exception with which it is left.
    """
    if not _is_left(owner) and kind is GeneratorExit:
        # If its consumer leaves an async generator early, a task of the event loop finishes it.
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
    for key, value in version.entry_attributes.items():  # in less than half the time of set_attributes
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
    """Handle of one value that the process default was given. Whoever may want to take the value back keeps it."""

    __slots__ = ("__weakref__",)


class Process:
    """The process default and the environment's version behind it.

    Attributes:
        version: What is active if no scope is. Reading it takes no lock.
        has_several: Whether spans of different versions may be open at the same time: a scope was entered, the default
            was another one before, or requests bring theirs. Until then, neither Context nor parent has to be looked
            at.
        environment_was_read: Whether the environment's version is known yet.
        accepts_baggage: Whether spans take the version of a request's baggage if there is no other.
        has_processor: Whether something that stamps spans was made in this process.
    """

    def __init__(self) -> None:
        self.version: Version | None = None
        self.has_several = False
        self._lock = threading.Lock()
        self.environment_was_read = False
        self.accepts_baggage = False
        self.has_processor = False
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
        """Undo a `give`, whatever else was given since. A second call does nothing."""
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
        """Set what is active as long as no default was given and none was cleared."""
        with self._lock:
            self._environment = version
            self.environment_was_read = True
            self._settle()

    def _drop_unreachable(self) -> None:
        # If nobody can take a value back any more, what lies below it never comes up again.
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
    """Context manager of `set_active_model`. When it is entered, the default that the call gave becomes a scope."""

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
    """The version that a span would carry if it was started now, or in the given Context."""
    scope = context_api.get_value(SCOPE_KEY, context)
    if isinstance(scope, Scope):
        return scope.version
    return process.version


def is_propagated(context: Context | None = None) -> bool | None:
    """Whether the active scope says that its version goes out with requests; None if no scope says."""
    scope = context_api.get_value(SCOPE_KEY, context)
    return scope.propagate if isinstance(scope, Scope) else None
