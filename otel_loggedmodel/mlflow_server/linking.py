# SPDX-License-Identifier: Apache-2.0
"""Picks from an application's spans what a tracking server has to know: where a trace ends, and its version.

The server keeps what it is told last. So a trace is linked by the process that has its true root, the span without a
parent. The trace's version is that of the root. The root has none if the scope is inside a request's handler, for
instance. Then it is the version of the earliest span of this process that has one. That span usually ends before the
root, so versions of open traces are remembered. If a trace has ended without a version, its root is remembered, because
work may outlive it. Both memories are bounded.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from otel_loggedmodel import attributes
from otel_loggedmodel._errors import warn_rarely
from otel_loggedmodel._forking import call_in_forked_child
from otel_loggedmodel._latest import Latest
from otel_loggedmodel.delivery.otlp_payloads import is_record
from otel_loggedmodel.mlflow_server.traces import TraceLink
from otel_loggedmodel.version import __version__
from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.records import SPAN_NAME_PREFIX

MAX_OPEN_TRACES: Final = 10_000
# If two exporters are given the same spans, the later one is behind by what a batch processor holds.
_MAX_ENDED_TRACES: Final = 16_384
LINK: Final = "logged_model.link"
_SCOPE: Final = InstrumentationScope("otel_loggedmodel.mlflow_server", __version__)
_NO_RESOURCE: Final = Resource.get_empty()
_STATUSES: Final = {False: Status(StatusCode.UNSET), True: Status(StatusCode.ERROR)}


def is_result(span: ReadableSpan) -> bool:
    """Whether a span is an evaluation result."""
    return span.name == attributes.EVALUATION_RESULT and attributes.EVALUATION_NAME in (span.attributes or {})


def link_of(span: ReadableSpan) -> TraceLink | None:
    """What a span says of its trace, if it is one that `TraceLinker` has made."""
    values = span.attributes or {}
    model_id, name = values.get(attributes.ID), values.get(attributes.NAME)
    if span.name != LINK or span.context is None or not isinstance(model_id, str):
        return None
    return TraceLink(
        trace_id=span.context.trace_id,
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        is_error=span.status.status_code is StatusCode.ERROR,
        model_id=model_id,
        model_name=name if isinstance(name, str) else None,
    )


@dataclasses.dataclass(frozen=True)
class _Version:
    """The version of a span. `is_continued` says that the span's parent is another process's."""

    trace_id: int
    start_ns: int
    model_id: str
    name: str | None
    is_continued: bool


@dataclasses.dataclass(frozen=True)
class _Root:
    """What is needed of a root after it has ended."""

    context: SpanContext
    start_ns: int | None
    end_ns: int | None
    is_error: bool


class TraceLinker:
    """Picks from exported spans what a tracking server has to know.

    Args:
        max_open_traces: For how many traces the version is remembered until the root has ended.
    """

    def __init__(self, max_open_traces: int = MAX_OPEN_TRACES) -> None:
        self._max_open_traces = max_open_traces
        self._begin()
        call_in_forked_child(self._begin)

    def _begin(self) -> None:
        # A forked child begins anew. Its parent has opened the traces that are open, and links them.
        self._lock = threading.RLock()
        self._open: dict[int, _Version] = {}
        # The roots of traces that have ended without a version; None for traces that were linked.
        self._ended: Latest[int, _Root | None] = Latest(_MAX_ENDED_TRACES)
        self._results: Latest[tuple[int, int], None] = Latest(_MAX_ENDED_TRACES)
        self.forgotten = 0

    def pick(self, spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
        """The links that can be made now, evaluation results, and records of versions that this process does not know.

        Records of versions that it knows are left out, as `shipping` delivers them.
        """
        picked: list[ReadableSpan] = []
        roots: list[ReadableSpan] = []
        with self._lock:
            for span in spans:
                # The name is looked at first, as looking for an attribute that is not there takes longest here.
                if span.name.startswith(SPAN_NAME_PREFIX) and is_record(span):
                    if not catalogue.knows(str((span.attributes or {}).get(attributes.ID))):
                        picked.append(span)
                elif is_result(span):
                    self._add_result(span, picked)
                elif span.parent is None:
                    roots.append(span)
                elif version := _version_of(span):
                    self._note(version, picked)
            # After the others, as spans that end after their root are often in the same batch.
            for root in roots:
                self._end(root, picked)
        return picked

    def _add_result(self, span: ReadableSpan, picked: list[ReadableSpan]) -> None:
        key = (span.context.trace_id, span.context.span_id) if span.context else (0, 0)
        if key not in self._results:
            picked.append(span)
            self._results[key] = None

    def _note(self, version: _Version, picked: list[ReadableSpan]) -> None:
        """Note a span of a version. Its root has not ended yet, or has ended before it."""
        trace_id = version.trace_id
        if trace_id in self._ended:
            root = self._ended[trace_id]
            if root is not None:
                self._ended[trace_id] = None
                picked.append(_link(root, version))
            return
        known = self._open.get(trace_id)
        if known is None or version.start_ns < known.start_ns:
            self._open[trace_id] = version
            if len(self._open) > self._max_open_traces:
                self._forget(self._open.pop(next(iter(self._open))))

    def _end(self, span: ReadableSpan, picked: list[ReadableSpan]) -> None:
        """A root has ended. Its trace can be linked if a version is known."""
        if span.context is None or self._ended.get(span.context.trace_id, span) is None:
            return  # it was linked when another exporter was given the span
        root = _Root(span.context, span.start_time, span.end_time, span.status.status_code is StatusCode.ERROR)
        inside = self._open.pop(span.context.trace_id, None)
        version = _version_of(span) or inside
        if version is not None:
            picked.append(_link(root, version))
        self._ended[span.context.trace_id] = root if version is None else None

    def _forget(self, version: _Version) -> None:
        if version.is_continued:
            return  # its root belongs to another process, and most likely never comes here
        self.forgotten += 1
        warn_rarely(
            "open traces",
            "more than %d traces are open at once, and the versions inside the oldest are forgotten, %d so far; "
            "these traces are linked only if their first span has a version",
            self._max_open_traces,
            self.forgotten,
        )


def _version_of(span: ReadableSpan) -> _Version | None:
    values = span.attributes
    model_id = values.get(attributes.ID) if values else None
    if not isinstance(model_id, str) or not model_id or span.context is None:
        return None
    name = (values or {}).get(attributes.NAME)
    return _Version(
        span.context.trace_id,
        span.start_time or 0,
        model_id,
        name if isinstance(name, str) else None,
        span.parent is not None and span.parent.is_remote,
    )


def _link(root: _Root, version: _Version) -> ReadableSpan:
    """What is kept of a root: enough to link its trace, and nothing that the application put into it."""
    values = {attributes.ID: version.model_id}
    if version.name is not None:
        values[attributes.NAME] = version.name
    return ReadableSpan(
        name=LINK,
        context=root.context,
        resource=_NO_RESOURCE,
        attributes=values,
        kind=SpanKind.INTERNAL,
        status=_STATUSES[root.is_error],
        start_time=root.start_ns,
        end_time=root.end_ns,
        instrumentation_scope=_SCOPE,
    )
