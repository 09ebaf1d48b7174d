# SPDX-License-Identifier: Apache-2.0
"""What a backend has of each version, held against what was sent. Nothing here looks into the application."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.store.reading import Reader, TraceFilter, UnknownVersionError
from otel_loggedmodel.store.trace_results import Span, Trace, TraceSummary

_AT_ONCE: Final = 4


@dataclass(frozen=True)
class Arrived:
    """One version, as the backend has it.

    Attributes:
        name: Its name.
        traces: How many traces there are.
        errors: How many of them failed.
        linked: How many have an entry span that links to the root span of the version's own trace, which is there, too.
        spans: How many spans the traces have.
        stamped: How many of these carry the version's id.
    """

    name: str
    traces: int
    errors: int
    linked: int
    spans: int
    stamped: int

    def problems(self, sent: Mapping[int, int]) -> list[str]:
        """What is not as it should be.

        Args:
            sent: How many requests were answered with which HTTP status.
        """
        requests, failed = sum(sent.values()), sum(number for status, number in sent.items() if status >= 500)
        found = []
        if self.traces != requests:
            found.append(f"{self.name} was sent {requests} requests, and the backend has {self.traces} traces of it")
        if self.errors != failed:
            found.append(f"{self.name} failed {failed} times, and the backend has {self.errors} errors of it")
        if self.linked != self.traces:
            found.append(f"{self.traces - self.linked} entry spans of {self.name} do not link to it")
        if self.stamped != self.spans:
            found.append(f"{self.spans - self.stamped} spans of {self.name} do not carry its id")
        return found


def look_up(reader: Reader, names: Mapping[str, str]) -> dict[str, Arrived]:
    """What the backend has of each release.

    Args:
        reader: Of the backend; it has to be safe to use from several threads.
        names: What the version of each release is called, or its id.
    """
    return {release: _look_up(reader, name) for release, name in names.items()}


def _look_up(reader: Reader, name: str) -> Arrived:
    try:
        model_id = reader.version(name).version.model_id
    except UnknownVersionError:
        return Arrived(name, 0, 0, 0, 0, 0)
    roots = {
        (span.trace_id, span.span_id)
        for span in reader.trace(model_id.removeprefix("m-")).spans
        if span.attributes.get("logged_model.event") == "created"
    }
    summaries = reader.traces(name, TraceFilter(limit=10_000))
    linked = spans = stamped = 0
    threads = ThreadPoolExecutor(max_workers=_AT_ONCE)
    try:
        traces = threads.map(reader.trace, (summary.trace_id for summary in summaries))
        for summary, trace in zip(summaries, traces, strict=True):
            linked += any((link.trace_id, link.span_id) in roots for link in _entry_of(trace, summary).links)
            spans += len(trace.spans)
            stamped += sum(span.model_id == model_id for span in trace.spans)
    finally:
        threads.shutdown(cancel_futures=True)
    errors = sum(summary.error for summary in summaries)
    return Arrived(name, len(summaries), errors, linked, spans, stamped)


def _entry_of(trace: Trace, summary: TraceSummary) -> Span:
    return next(span for span in trace.spans if span.span_id == summary.span_id)
