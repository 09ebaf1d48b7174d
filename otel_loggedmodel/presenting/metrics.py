# SPDX-License-Identifier: Apache-2.0
"""The metrics of a version: how they are named, where they are in the results, how they are written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.store.results import Difference, ScoreComparison, VersionMetrics

SCORE_PREFIX: Final = "scores."
# Shown where a version has any.
_OPTIONAL: Final = (
    "calls_per_trace",
    "failed_calls",
    "first_chunk_ms.",
    "tokens.cache_",
    "tokens.reasoning",
    "tool_calls_per_trace",
)
_TESTS: Final = {
    "mcnemar": "McNemar",
    "paired_t": "paired t",
    "grouped_t": "t by group",
    "welch": "Welch",
    "rates": "rates",
}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        key: Its name in rules and in JSON, a path into `VersionMetrics`.
        label: What it is called in tables.
        write: Makes a value readable, under its label.
        write_own: The same in the metric's own unit, beside its key as rules have it; None where that is alike.
        has_verdict: Whether comparisons say what a difference in it amounts to.
        is_rate: Whether it lies between 0 and 1, and differences are best read in percentage points.
    """

    key: str
    label: str
    write: Callable[[float | None], str]
    has_verdict: bool = True
    is_rate: bool = False
    write_own: Callable[[float | None], str] | None = None

    @property
    def write_by_key(self) -> Callable[[float | None], str]:
        """Makes a value readable beside the metric's key."""
        return self.write_own or self.write


METRICS: Final = (
    Metric(key="traces", label="traces", write=formatting.count, has_verdict=False),
    Metric(key="errors", label="errors", write=formatting.count, has_verdict=False),
    Metric(key="error_rate", label="error rate", write=formatting.rate, is_rate=True),
    *(
        Metric(key=f"latency_ms.{which}", label=f"latency {which}", write=formatting.milliseconds)
        for which in ("p50", "p90", "p95", "p99", "mean")
    ),
    Metric(key="tokens.input_per_trace", label="tokens in per trace", write=formatting.per_trace),
    Metric(key="tokens.output_per_trace", label="tokens out per trace", write=formatting.per_trace),
    Metric(key="tokens.input", label="tokens in", write=formatting.count, has_verdict=False),
    Metric(key="tokens.output", label="tokens out", write=formatting.count, has_verdict=False),
    Metric(
        key="cost_usd_per_trace",
        label="cost per 1,000 traces",
        write=formatting.dollars_per_thousand,
        write_own=formatting.dollars,
    ),
    Metric(key="failed_calls", label="failed calls per trace", write=formatting.per_trace),
    *(
        Metric(key=f"first_chunk_ms.{which}", label=f"first chunk {which}", write=formatting.milliseconds)
        for which in ("p50", "p90", "p95", "p99", "mean")
    ),
    Metric(key="calls_per_trace", label="calls per trace", write=formatting.per_trace, has_verdict=False),
    Metric(key="tool_calls_per_trace", label="tool calls per trace", write=formatting.per_trace, has_verdict=False),
    Metric(key="tokens.cache_read", label="tokens read from cache", write=formatting.count, has_verdict=False),
    Metric(key="tokens.cache_write", label="tokens written to cache", write=formatting.count, has_verdict=False),
    Metric(key="tokens.reasoning", label="tokens of reasoning", write=formatting.count, has_verdict=False),
    Metric(key="cost_usd", label="cost", write=formatting.dollars, has_verdict=False),
)
BY_KEY: Final = {metric.key: metric for metric in METRICS}


def metrics_of(versions: Sequence[VersionMetrics]) -> list[Metric]:
    """The metrics to show for these versions: the fixed ones, then each score that one of them has."""
    names = sorted({name for version in versions for name in version.scores})
    fixed = [
        metric
        for metric in METRICS
        if not metric.key.startswith(_OPTIONAL) or any(value_of(version, metric.key) for version in versions)
    ]
    return [*fixed, *(metric_named(SCORE_PREFIX + name) for name in names)]


def metric_named(key: str) -> Metric:
    """A metric by its name.

    Raises:
        KeyError: There is none of this name.
    """
    if key.startswith(SCORE_PREFIX):
        return Metric(key=key, label=f"score {key[len(SCORE_PREFIX) :]}", write=formatting.score)
    return BY_KEY[key]


def value_of(version: VersionMetrics, key: str) -> float | None:
    """The value of a metric, None where the version has none."""
    if key.startswith(SCORE_PREFIX):
        score = version.scores.get(key[len(SCORE_PREFIX) :])
        return None if score is None else score.mean
    value: object = version
    for part in key.split("."):
        value = getattr(value, part)
    return None if value is None else float(value)  # type: ignore[arg-type]


def change_of(metric: Metric, difference: Difference) -> str:
    """How much a metric changed, for reading."""
    if metric.is_rate:
        return formatting.points(difference.delta)
    if metric.key.startswith(SCORE_PREFIX) and difference.delta is not None:
        # A score is on a scale of its own; of twice as much it says nothing.
        return f"{difference.delta:+.3g}"
    if difference.ratio is not None and (difference.base or 0) > 0:
        return formatting.change(difference.ratio)
    # Against zero or a negative score there is no percentage.
    if difference.delta is None:
        return formatting.ABSENT
    return ("+" if difference.delta >= 0 else "") + metric.write(difference.delta)


def written_range(metric: Metric, interval: tuple[float, float], *, is_change: bool = False) -> str:
    """An interval of values, or of changes of them, beside the metric's key: `812 ms to 1,490 ms`."""
    write = formatting.points if metric.is_rate and is_change else metric.write_by_key
    return f"{write(interval[0])} to {write(interval[1])}"


def compared_of(evaluation: ScoreComparison | None) -> str:
    """What of a score was compared, and how: `30 rows, 3 higher, 9 lower (McNemar)`."""
    if evaluation is None:
        return ""
    if evaluation.pairs:
        changes = f", {evaluation.higher} higher, {evaluation.lower} lower" if evaluation.test else ""
        what = f"{formatting.count(evaluation.pairs)} rows{changes}"
    elif evaluation.base_count:
        what = f"{formatting.count(evaluation.base_count)} and {formatting.count(evaluation.candidate_count)} values"
    else:
        return "nothing"
    return f"{what} ({_TESTS[evaluation.test]})" if evaluation.test in _TESTS else f"{what}, too few"
