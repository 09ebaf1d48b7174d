# SPDX-License-Identifier: Apache-2.0
"""Imports the traces of services from Jaeger, a window of time at a time.

Spans that the store has are left out where it can be asked for them: Jaeger may know their times less exactly, and
those would not be taken for copies.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from otel_loggedmodel.commands.carrying.jaeger_api import Answer, JaegerApi, JaegerError, TooMuchError
from otel_loggedmodel.commands.carrying.jaeger_spans import request_of, trace_id_of
from otel_loggedmodel.commands.carrying.jaeger_windows import Window, windows
from otel_loggedmodel.commands.carrying.positions import Positions
from otel_loggedmodel.commands.carrying.sink import Carried, Sink
from otel_loggedmodel.server.decoding import SPANS

T = TypeVar("T")

_PATIENCE_SECONDS: Final = (0.5, 2.0, 5.0, 10.0)
_MOST_REMEMBERED: Final = 100_000
_IDS_ASKED: Final = 1000
_NOTES: Final = "@jaeger@"
# What is slow is stored before much has come, so that little is asked for again after a kill.
_KEEP_SECONDS: Final = 10.0

Known = Callable[[Sequence[str], int, int], Collection[tuple[str, str]]]


@dataclass
class ImportedServices:
    """What became of the traces of services.

    Attributes:
        services: Whose.
        traces: That were found.
        known: Spans that the store had already.
        carried: What became of the others.
        cut: Times, in microseconds since 1970, of which more traces began at once than are given.
    """

    services: Sequence[str]
    traces: int = 0
    known: int = 0
    carried: Carried = field(default_factory=Carried)
    cut: list[int] = field(default_factory=list)


class JaegerImport:
    """Imports one service after the other.

    Args:
        api: What is asked.
        sink: Where to.
        positions: What is known of earlier imports into the same store.
        known: Says which spans of some traces the store has; None where it cannot be asked.
        limit: How many traces are asked for at once.
        advance: Called after each window with what there is so far, and up to when.
    """

    def __init__(
        self,
        api: JaegerApi,
        sink: Sink,
        positions: Positions,
        advance: Callable[[ImportedServices, int], None],
        *,
        known: Known | None = None,
        limit: int = 1000,
    ) -> None:
        self._api = api
        self._sink = sink
        self._positions = positions
        self._known = known
        self._limit = limit
        self._advance = advance
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._pause = threading.Event()

    def run(self, services: Sequence[str], since_us: int, until_us: int) -> ImportedServices:
        """Import all traces of services that began in some time.

        What an import did that was interrupted is not done again; one that came to its end is forgotten.

        Args:
            services: Whose; all where none is named.
            since_us: Microseconds since 1970.
            until_us: The same.

        Raises:
            JaegerError: It cannot be asked. What was stored until then is remembered.
            StoreUnavailableError: The store takes nothing at the moment.
        """
        chosen = list(services) or self._patiently(self._api.services)
        result = ImportedServices(chosen, carried=self._sink.result)
        for service in chosen:
            self._import(service, since_us, until_us, result)
        for service in chosen:
            self._positions.forget(self._key(service))
        return result

    def _import(self, service: str, since_us: int, until_us: int, result: ImportedServices) -> None:
        done = self._positions.load(self._key(service))
        start = since_us
        if done and done["since"] <= since_us < done["until"]:
            start = min(done["until"], until_us)
        first = done["since"] if start != since_us else since_us

        def ask(start_us: int, end_us: int) -> Answer:
            return self._patiently(lambda: self._api.traces(service, start_us, end_us, self._limit))

        end = start
        kept_at = time.monotonic()
        for window in windows(ask, start, until_us, self._limit):
            self._take(window, result)
            end = window.end_us
            if self._sink.is_due or time.monotonic() > kept_at + _KEEP_SECONDS:
                self._keep(service, first, end)
                kept_at = time.monotonic()
            self._advance(result, end)
        self._keep(service, first, end)

    def _take(self, window: Window, result: ImportedServices) -> None:
        if window.is_cut:
            result.cut.append(window.start_us)
        answer = window.answer
        new = {trace_id for trace_id, spans in answer.ids.items() if self._seen.get(trace_id) != spans}
        result.traces += len(new - self._seen.keys())
        for trace_id in new:
            self._seen[trace_id] = answer.ids[trace_id]
        while len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        if not new:
            return
        known = self._stored(new, window)
        place = f"traces that began at {window.start_us / 1e6:.6f}"
        if answer.otlp is not None:
            kept, left_out = _without(answer.otlp, new, known)
            body = msgspec.json.encode(kept)
        else:
            traces = [trace for trace in answer.traces if trace.get("traceID") in new]
            kept_spans = request_of(traces, known)
            left_out = sum(_is_known(span, known) for trace in traces for span in trace.get("spans") or ())
            body = kept_spans
        result.known += left_out
        if body:
            self._sink.add(body, SPANS, is_json=answer.otlp is not None, place=place)

    def _stored(self, trace_ids: Collection[str], window: Window) -> set[tuple[str, str]]:
        if self._known is None:
            return set()
        ids = sorted(trace_id_of(trace_id).hex() for trace_id in trace_ids)
        found: set[tuple[str, str]] = set()
        for first in range(0, len(ids), _IDS_ASKED):
            found.update(self._known(ids[first : first + _IDS_ASKED], window.start_us, window.end_us))
        return found

    def _keep(self, service: str, since_us: int, until_us: int) -> None:
        self._sink.flush()
        self._positions.save(self._key(service), {"since": since_us, "until": until_us})

    def _key(self, service: str) -> str:
        return f"jaeger {self._api.url} {service}"

    def _patiently(self, call: Callable[[], T]) -> T:
        """What a call returns. Where it fails for a reason that may pass, it is tried again."""
        for pause in _PATIENCE_SECONDS:
            try:
                return call()
            except TooMuchError:
                raise
            except JaegerError as error:
                # What has never answered is not there.
                if not error.may_pass or not self._seen:
                    raise
            self._pause.wait(pause)
        return call()


def _is_known(span: Mapping[str, Any], known: Collection[tuple[str, str]]) -> bool:
    if not known:
        return False
    return (trace_id_of(span.get("traceID")).hex(), str(span.get("spanID", "")).lower().zfill(16)) in known


def _plain(span: Mapping[str, Any]) -> Mapping[str, Any]:
    """A span without what Jaeger has noted on it for itself, such as its warnings."""
    attributes = span.get("attributes")
    if not isinstance(attributes, list) or not any(_is_note(one) for one in attributes):
        return span
    return {**span, "attributes": [one for one in attributes if not _is_note(one)]}


def _is_note(attribute: object) -> bool:
    return isinstance(attribute, dict) and str(attribute.get("key", "")).startswith(_NOTES)


def _without(
    otlp: Mapping[str, Any], wanted: Collection[str], known: Collection[tuple[str, str]]
) -> tuple[dict[str, Any], int]:
    """A request with the spans of some traces that are not known, and how many of these are."""
    left_out = 0
    resources = []
    for resource in otlp.get("resourceSpans") or ():
        scopes = []
        for scope in resource.get("scopeSpans") or ():
            spans = []
            for span in scope.get("spans") or ():
                if span["traceId"] not in wanted:
                    continue
                if (span["traceId"].lower(), str(span.get("spanId", "")).lower()) in known:
                    left_out += 1
                    continue
                spans.append(_plain(span))
            if spans:
                scopes.append({**scope, "spans": spans})
        if scopes:
            resources.append({**resource, "scopeSpans": scopes})
    return {"resourceSpans": resources}, left_out
