# SPDX-License-Identifier: Apache-2.0
"""The same for the last commit whose verdicts took every trace for independent, run as a program with its sources.

It prints a line of JSON for each situation: what `benchmarks.verdicts` tallies.

    python replica_before.py OLD_TREE RUNS
"""

import json
import sys
from pathlib import Path
from typing import Any


def main(old: str, runs: int) -> None:
    """Run all situations."""
    sys.path.insert(0, old)
    # From here on the package is the old one, and the benchmarks are those beside this file.
    from otel_loggedmodel.store import comparing

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import numpy as np
    from scipy import stats

    from benchmarks import situations, tallies
    from benchmarks.sample import Sample

    z = 1.959963984540054
    levels = np.array([0.5, 0.9, 0.95, 0.99])

    def welch(base: Any, candidate: Any) -> tuple[float, ...]:
        if np.ptp(base) == 0 and np.ptp(candidate) == 0:
            return (float("nan"),) * 4
        found = stats.ttest_ind(base, candidate, equal_var=False)
        interval = found.confidence_interval()
        return (found.statistic, found.pvalue, interval.low, interval.high, base.mean(), candidate.mean())

    def quantiles(values: Any) -> list[tuple[float, float | None, float | None]]:
        values, count = np.sort(values), len(values)
        spread = z * np.sqrt(count * levels * (1 - levels))
        low, high = np.ceil(count * levels - spread).astype(int), np.ceil(count * levels + spread).astype(int)
        return [
            (float(point), values[a - 1] if a >= 1 else None, values[b - 1] if b <= count else None)
            for point, a, b in zip(np.quantile(values, levels), low, high, strict=True)
        ]

    def row(version: str, sample: Sample, base: Sample) -> dict[str, Any]:
        count = len(sample.latency)
        outputs, base_outputs = np.round(sample.tokens / 10), np.round(base.tokens / 10)
        ranks = stats.mannwhitneyu(base.latency, sample.latency)
        return {
            **dict.fromkeys((*comparing.samples._COUNTS, "chunks"), 0),
            "version": version,
            "traces": count,
            "errors": int(sample.failed.sum()),
            **dict.fromkeys(("calls", "said", "priced", "said_traces", "priced_traces"), count),
            "said_input": float(sample.tokens.sum()),
            "said_output": float(outputs.sum()),
            "priced_cost": float(sample.tokens.sum() * 1e-5),
            "conversations": 0,
            "quantiles": quantiles(sample.latency),
            "mean": float(sample.latency.mean()),
            "chunk_quantiles": [],
            "chunk_mean": 0.0,
            "welch_latencies": welch(base.latency, sample.latency),
            "welch_inputs": welch(base.tokens, sample.tokens),
            "welch_outputs": welch(base_outputs, outputs),
            "welch_costs": welch(base.tokens * 1e-5, sample.tokens * 1e-5),
            "welch_failures": (float("nan"),) * 4,
            "rank_latencies": (float(ranks.statistic), float(ranks.pvalue)),
        }

    def metrics(base: Sample, candidate: Sample) -> Any:
        rows = {"a": row("a", base, base), "b": row("b", candidate, base)}
        measured = comparing.Measurement(["a", "b"], rows, {"a": {}, "b": {}}, {}, {})
        return measured.differences()[0].metrics

    for situation in situations.ALL:
        print(json.dumps(tallies.tallied(situation, metrics, runs)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
