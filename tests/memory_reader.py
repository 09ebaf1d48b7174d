# SPDX-License-Identifier: Apache-2.0
"""A reader that answers from memory: one more implementation of `Reader`, for the commands and for the server."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from otel_loggedmodel.store.chart_results import Activities, Activity, Behaviour, Deployment, Point
from otel_loggedmodel.store.reading import (
    ALL_RUNS,
    ALL_VERSIONS,
    EVERYTHING,
    MOST_CHANGED,
    RECENT,
    RowFilter,
    RunFilter,
    Selection,
    TraceFilter,
    UnknownRunError,
    UnknownTraceError,
    UnknownVersionError,
    VersionFilter,
    Versions,
)
from otel_loggedmodel.store.results import Comparison, Dataset, VersionMetrics
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.trace_results import Facets, Trace, TraceSummary
from otel_loggedmodel.store.version_results import Version, VersionDetail


def _listed(versions: Versions) -> tuple[str, ...]:
    return (versions,) if isinstance(versions, str) else tuple(versions or ())


@dataclass
class MemoryReader:
    """Answers with what it was given, and notes what it was asked. It waits while `gate` is shut.

    With `knows_all`, no version is unknown to it.
    """

    listed: Sequence[Version] = ()
    details: Mapping[str, VersionDetail] = field(default_factory=dict)
    comparison: Comparison | None = None
    changed_rows: Sequence[RowChange] = ()
    summaries: Sequence[TraceSummary] = ()
    found_facets: Facets = field(default_factory=Facets)
    whole_traces: Mapping[str, Trace] = field(default_factory=dict)
    active: Activities | None = None
    behaved: Behaviour | None = None
    known_datasets: Sequence[Dataset] = ()
    deployed: Sequence[Deployment] = ()
    known_runs: Sequence[Run] = ()
    revised: str = "1"
    error: Exception | None = None
    knows_all: bool = False
    asked: list[tuple[object, ...]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    is_closed: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    def versions(self, which: VersionFilter = ALL_VERSIONS, selection: Selection = EVERYTHING) -> list[Version]:
        self._ask("versions", which, selection)
        return list(self.listed)[: which.limit]

    def version(self, version: str, selection: Selection = EVERYTHING) -> VersionDetail:
        self._ask("version", version, selection)
        if version not in self.details:
            raise UnknownVersionError(f"there is no version {version!r}", sorted(self.details)[:3])
        return self.details[version]

    def compare(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Comparison:
        self._ask("compare", tuple(versions), selection)
        return self.comparison or Comparison(versions=tuple(VersionMetrics(model_id=version) for version in versions))

    def rows(
        self, versions: Sequence[str], which: RowFilter = MOST_CHANGED, selection: Selection = EVERYTHING
    ) -> list[RowChange]:
        self._ask("rows", tuple(versions), which, selection)
        return list(self.changed_rows)

    def traces(
        self, version: Versions = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> list[TraceSummary]:
        self._ask("traces", _listed(version), which, selection)
        unknown = [one for one in _listed(version) if one not in self.details]
        if unknown and not self.knows_all and not self.summaries:
            raise UnknownVersionError(f"there is no version {unknown[0]!r}")
        return list(self.summaries)[: which.limit]

    def lists(
        self, version: str | None, kinds: Sequence[TraceFilter], selection: Selection = EVERYTHING
    ) -> list[list[TraceSummary]]:
        return [self.traces(version, which, selection) for which in kinds]

    def facets(
        self, version: Versions = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> Facets:
        self._ask("facets", _listed(version), which, selection)
        return self.found_facets

    def trace(self, trace_id: str, most: int | None = None) -> Trace:
        self._ask("trace", trace_id)
        if trace_id not in self.whole_traces:
            raise UnknownTraceError(f"there is no trace {trace_id}")
        return self.whole_traces[trace_id]

    def activities(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Activities:
        self._ask("activities", tuple(versions), selection)
        total = Point(start_ms=0)
        known = tuple(Activity(model_id=version, total=total) for version in versions)
        return self.active or Activities(start_ms=0, step_ms=60_000, parts=1, versions=known)

    def behaviour(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Behaviour:
        self._ask("behaviour", tuple(versions), selection)
        return self.behaved or Behaviour(model_ids=tuple(versions), latency_bins=tuple({} for _ in versions))

    def deployments(self) -> list[Deployment]:
        self._ask("deployments")
        return list(self.deployed)

    def runs(self, which: RunFilter = ALL_RUNS) -> list[Run]:
        self._ask("runs", which)
        return list(self.known_runs)[: which.limit]

    def run(self, run: str) -> list[Run]:
        self._ask("run", run)
        found = [one for one in self.known_runs if run in (one.run_id, one.name)]
        if not found:
            raise UnknownRunError(f"there is no run {run!r}")
        return found

    def datasets(self) -> list[Dataset]:
        self._ask("datasets")
        return list(self.known_datasets)

    def at_once(self) -> "MemoryReader":
        return self

    def revision(self) -> str:
        return self.revised

    def close(self) -> None:
        self.is_closed = True

    def _ask(self, *question: object) -> None:
        assert not self.is_closed
        self.asked.append(question)
        assert self.gate.wait(60)
        if self.error is not None:
            raise self.error
