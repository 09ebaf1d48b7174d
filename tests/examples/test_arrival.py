# SPDX-License-Identifier: Apache-2.0
"""What is looked up of what arrived, and how long the demo waits for it."""

import dataclasses
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from otel_loggedmodel.store import results, trace_results, version_results
from otel_loggedmodel.store.reading import UnknownVersionError

from .arrived import look_up

MODEL = "m-" + "1" * 16 + "2" * 16


class Stored:
    """A reader of what a test has put into it: each trace a server's span and one inside it."""

    def __init__(self, number: int) -> None:
        self.version_is_known = True
        root = trace_results.Span(**span_fields(MODEL[2:], "root", None), attributes={"logged_model.event": "created"})
        self.found = {root.trace_id: [root]}
        link = trace_results.SpanLink(trace_id=MODEL[2:], span_id="root", attributes={"logged_model.id": MODEL})
        for place in range(number):
            trace_id = f"{place:032x}"
            entry = trace_results.Span(
                **span_fields(trace_id, "entry", None), model_id=MODEL, is_entry=True, links=[link]
            )
            inside = trace_results.Span(**span_fields(trace_id, "inside", "entry"), model_id=MODEL)
            self.found[trace_id] = [entry, inside]

    def versions(self) -> list[version_results.Version]:
        return [version_results.Version(model_id=MODEL, traces=len(self.traces("v1")))]

    def version(self, name: str) -> version_results.VersionDetail:
        if not self.version_is_known:
            raise UnknownVersionError(name)
        version = version_results.Version(model_id=MODEL, name=name)
        return version_results.VersionDetail(version=version, metrics=results.VersionMetrics(model_id=MODEL))

    def traces(self, name: str, which: object = None) -> list[trace_results.TraceSummary]:
        entries = [span for spans in self.found.values() for span in spans if span.is_entry]
        return [
            trace_results.TraceSummary(
                trace_id=span.trace_id,
                span_id=span.span_id,
                model_id=MODEL,
                span_name=span.name,
                service="",
                start_ns=0,
                duration_ms=1,
                error=span.status == "Error",
            )
            for span in entries
        ]

    def trace(self, trace_id: str, most: int | None = None) -> trace_results.Trace:
        return trace_results.Trace(trace_id=trace_id, spans=self.found[trace_id])


def span_fields(trace_id: str, span_id: str, parent: str | None) -> dict[str, Any]:
    return {
        **{"trace_id": trace_id, "span_id": span_id, "parent_span_id": parent, "name": span_id, "kind": "Internal"},
        **{"service": "", "start_ns": 0, "duration_ns": 1, "status": "Unset"},
    }


def test_what_is_not_linked_is_noticed() -> None:
    def problems(stored: Stored, sent: dict[int, int]) -> list[str]:
        found = look_up(stored, {"v1": "agent-v1"})
        return list(found["v1"].problems(sent))

    def changed(place: int, **changes: object) -> Stored:
        stored = Stored(3)
        spans = stored.found[f"{1:032x}"]
        spans[place] = dataclasses.replace(spans[place], **changes)
        return stored

    assert problems(Stored(3), {200: 3}) == []
    assert problems(Stored(3), {200: 4}) == ["agent-v1 was sent 4 requests, and the backend has 3 traces of it"]
    assert problems(Stored(3), {200: 2, 503: 1}) == ["agent-v1 failed 1 times, and the backend has 0 errors of it"]
    assert problems(changed(0, status="Error"), {200: 2, 503: 1}) == []
    assert problems(changed(0, links=[]), {200: 3}) == ["1 entry spans of agent-v1 do not link to it"]
    elsewhere = trace_results.SpanLink(trace_id=MODEL[2:], span_id="other")
    assert problems(changed(0, links=[elsewhere]), {200: 3}) == ["1 entry spans of agent-v1 do not link to it"]
    assert problems(changed(1, model_id=None), {200: 3}) == ["1 spans of agent-v1 do not carry its id"]
    unknown = Stored(3)
    unknown.version_is_known = False
    assert problems(unknown, {200: 3}) == ["agent-v1 was sent 3 requests, and the backend has 0 traces of it"]


def test_the_demo_waits_for_what_is_on_its_way(
    import_from_demo: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrival = import_from_demo("arrival")
    monkeypatch.setattr(arrival, "_PATIENCE_SECONDS", 0.5)
    stored = Stored(2)
    counts: list[int] = []

    def more_comes(number: int) -> None:
        counts.append(number)
        if number < 4:
            stored.found.update(Stored(number + 1).found)

    arrival.wait_for(stored, 4, more_comes)
    assert counts == [2, 3, 4]
    began = time.monotonic()
    arrival.wait_for(stored, 5, lambda number: None)  # what never comes is not waited for
    assert 0.5 <= time.monotonic() - began < 60
