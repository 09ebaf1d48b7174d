# SPDX-License-Identifier: Apache-2.0
"""Versions, comparisons and texts for a reader to answer with."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from otel_loggedmodel.store.results import (
    Comparison,
    Difference,
    LatencyMs,
    Score,
    Tokens,
    Verdict,
    VersionDifferences,
    VersionMetrics,
)

V1 = "m-" + "1" * 32
V2 = "m-" + "2" * 32
V3 = "m-" + "3" * 32
# Moves the cursor, recolours, forges a line, reverses the order, looks like markup, and is wide.
HOSTILE = "\x1b[31mev\x1b]0;title\x07il\nFORGED [red]x[/red] \u202eabc\u2028\x9b1m 名前 </td>|`$(id)` %0A::error::"


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
