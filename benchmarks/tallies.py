# SPDX-License-Identifier: Apache-2.0
"""How often verdicts on traffic of which the truth is known are right and wrong."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.sample import Sample
from benchmarks.situations import MEAN_MS, Situation

SEED = 5
Metrics = Callable[[Sample, Sample], Mapping[str, Any]]


def tallied(situation: Situation, metrics: Metrics, runs: int) -> dict[str, float | None]:
    """The parts of all runs in which it came out so.

    Returns:
        `false`: some metric was called better or worse that is not; `found`: what changed was called so; `same`: what
        changed was called the same; `covered`: the interval of the mean latency holds the true difference.
    """
    rng = np.random.default_rng(SEED)
    false = found = same = covered = intervals = 0
    for _ in range(runs):
        differences = metrics(*situation.draw(rng))
        verdicts = {metric: one.verdict.value for metric, one in differences.items()}
        changed = {metric for metric in verdicts if situation.changed and metric.startswith(situation.changed)}
        right = {metric for metric in changed if verdicts[metric] == situation.direction}
        called = {metric for metric, verdict in verdicts.items() if verdict in ("better", "worse")}
        false += bool(called - right)
        found += bool(right)
        same += any(verdicts[metric] == "same" for metric in changed)
        interval = differences["latency_ms.mean"].interval
        if situation.truth is not None and interval is not None:
            intervals += 1
            covered += bool(interval[0] <= situation.truth * MEAN_MS <= interval[1])
    return {
        "false": false / runs,
        "found": found / runs if situation.changed else None,
        "same": same / runs if situation.changed else None,
        "covered": covered / intervals if intervals else None,
    }
