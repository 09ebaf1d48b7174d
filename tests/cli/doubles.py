# SPDX-License-Identifier: Apache-2.0
"""A reader that answers from memory: one more implementation of `Reader`, and comparisons to answer with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from otel_loggedmodel.store.chart_results import Activities, Activity, Behaviour, Point
from otel_loggedmodel.store.reading import (
    ALL_VERSIONS,
    EVERYTHING,
    MOST_CHANGED,
    RECENT,
    RowFilter,
    Selection,
    TraceFilter,
    UnknownTraceError,
    UnknownVersionError,
    VersionFilter,
)
from otel_loggedmodel.store.results import (
    Comparison,
    Dataset,
    Difference,
    LatencyMs,
    RowChange,
    Score,
    Tokens,
    Verdict,
    Version,
    VersionDetail,
    VersionDifferences,
    VersionMetrics,
)
from otel_loggedmodel.store.trace_results import Trace, TraceSummary

V1 = "m-" + "1" * 32
V2 = "m-" + "2" * 32
V3 = "m-" + "3" * 32
# Moves the cursor, recolours, forges a line, reverses the order, looks like markup, and is wide.
HOSTILE = "\x1b[31mev\x1b]0;title\x07il\nFORGED [red]x[/red] \u202eabc\u2028\x9b1m 名前 </td>|`$(id)` %0A::error::"


@dataclass
class MemoryReader:
    """Answers with what it was given, and remembers what it was asked."""

    listed: Sequence[Version] = ()
    details: Mapping[str, VersionDetail] = field(default_factory=dict)
    comparison: Comparison | None = None
    changed_rows: Sequence[RowChange] = ()
    summaries: Sequence[TraceSummary] = ()
    whole_traces: Mapping[str, Trace] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[tuple[object, ...]] = field(default_factory=list)
    is_closed: bool = False

    def versions(self, which: VersionFilter = ALL_VERSIONS, selection: Selection = EVERYTHING) -> list[Version]:
        self._ask("versions", which, selection)
        return list(self.listed)[: which.limit]

    def version(self, version: str, selection: Selection = EVERYTHING) -> VersionDetail:
        self._ask("version", version, selection)
        if version not in self.details:
            raise UnknownVersionError(f"there is no version {version!r}", [*self.details])
        return self.details[version]

    def compare(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Comparison:
        self._ask("compare", tuple(versions), selection)
        assert self.comparison is not None
        return self.comparison

    def rows(
        self, versions: Sequence[str], which: RowFilter = MOST_CHANGED, selection: Selection = EVERYTHING
    ) -> list[RowChange]:
        self._ask("rows", tuple(versions), which, selection)
        return list(self.changed_rows)

    def traces(
        self, version: str | None = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> list[TraceSummary]:
        self._ask("traces", version, which, selection)
        if version is not None and version not in self.details:
            raise UnknownVersionError(f"there is no version {version!r}")
        return list(self.summaries)[: which.limit]

    def trace(self, trace_id: str) -> Trace:
        self._ask("trace", trace_id)
        if trace_id not in self.whole_traces:
            raise UnknownTraceError(f"there is no trace {trace_id}")
        return self.whole_traces[trace_id]

    def activities(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Activities:
        self._ask("activities", tuple(versions), selection)
        total = Point(start_ms=0)
        known = tuple(Activity(model_id=version, total=total) for version in versions)
        return Activities(start_ms=0, step_ms=60_000, parts=1, versions=known)

    def behaviour(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Behaviour:
        self._ask("behaviour", tuple(versions), selection)
        return Behaviour(model_ids=tuple(versions), latency_bins=tuple({} for _ in versions))

    def datasets(self) -> list[Dataset]:
        self._ask("datasets")
        return []

    def revision(self) -> str:
        return "1"

    def close(self) -> None:
        self.is_closed = True

    def _ask(self, *question: object) -> None:
        assert not self.is_closed
        self.asked.append(question)
        if self.error is not None:
            raise self.error


def metrics(model_id: str = V1, name: str | None = "support-agent", **changes: object) -> VersionMetrics:
    """A version with every metric; `changes` are fields of `VersionMetrics`."""
    whole = VersionMetrics(
        model_id=model_id,
        name=name,
        traces=1204,
        errors=24,
        error_rate=24 / 1204,
        latency_ms=LatencyMs(p50=812.4, p90=1490.0, p95=2000.0, p99=12_345.0, mean=901.5),
        tokens=Tokens(input=1_204_000, output=60_200, input_per_trace=1000.0, output_per_trace=50.0),
        cost_usd=14.448,
        cost_usd_per_trace=0.012,
        scores={"correctness": Score(mean=0.91, count=600)},
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def difference(base: float | None, candidate: float | None, verdict: Verdict, **more: object) -> Difference:
    """A difference with its change computed."""
    known = base is not None and candidate is not None
    return Difference(
        base=base,
        candidate=candidate,
        delta=candidate - base if known else None,  # type: ignore[operator]
        ratio=candidate / base if known and base else None,  # type: ignore[operator]
        verdict=verdict,
        **more,  # type: ignore[arg-type]
    )


def compared(
    baseline: VersionMetrics,
    candidate: VersionMetrics,
    verdicts: Mapping[str, Verdict] | Callable[[str], Verdict] | None = None,
) -> Comparison:
    """A comparison of two versions, where each metric is judged `same` unless told otherwise."""
    from otel_loggedmodel.presenting.metrics import metrics_of, value_of

    judge = verdicts if callable(verdicts) else lambda key: (verdicts or {}).get(key, Verdict.SAME)  # type: ignore[union-attr]
    differences = {
        metric.key: difference(
            value_of(baseline, metric.key), value_of(candidate, metric.key), judge(metric.key), p_value=0.02
        )
        for metric in metrics_of([baseline, candidate])
        if metric.has_verdict
    }
    return Comparison(
        versions=[baseline, candidate],
        differences=[VersionDifferences(model_id=candidate.model_id, metrics=differences)],
    )
