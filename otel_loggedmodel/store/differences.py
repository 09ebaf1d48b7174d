# SPDX-License-Identifier: Apache-2.0
"""How the numbers of two versions differ, and whether that is real, from their rows of `samples`.

- latency quantiles: exact, with the confidence limits of order statistics; the median is tested by the Mann-Whitney
  rank test, the others by the interval of their difference;
- means (latency, tokens, cost): Welch's t-test;
- error rate: Fisher's exact test on small counts, else the z-test of two proportions, with Newcombe's interval.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from otel_loggedmodel.store import statistics
from otel_loggedmodel.store.results import Difference
from otel_loggedmodel.store.samples import QUANTILES, Row


def _enough(base: int, candidate: int) -> bool:
    return min(base, candidate) >= statistics.MIN_SAMPLES


def rate_difference(base: Row, candidate: Row) -> Difference:
    """The difference of the shares of traces that failed."""
    counts = (base["errors"], base["traces"], candidate["errors"], candidate["traces"])
    base_rate, rate = counts[0] / counts[1], counts[2] / counts[3]
    if not _enough(counts[1], counts[3]):
        return statistics.difference(base_rate, rate, effect_size=rate - base_rate)
    return statistics.difference(
        base_rate,
        rate,
        interval=statistics.mover(base_rate, statistics.wilson(*counts[:2]), rate, statistics.wilson(*counts[2:])),
        effect_size=rate - base_rate,
        p_value=statistics.rates_differ(*counts),
    )


def quantile_differences(base: Row, candidate: Row) -> dict[str, Difference]:
    """The differences of the quantiles of latency, by metric."""
    return _quantiles_differ(
        "latency_ms",
        (base["quantiles"], candidate["quantiles"]),
        (base["traces"], candidate["traces"]),
        _values(candidate["rank_latencies"]),
    )


def chunk_differences(base: Row, candidate: Row) -> dict[str, Difference]:
    """The differences of the time to the first part of streamed answers, by metric."""
    sizes = (base["chunks"], candidate["chunks"])
    found = _quantiles_differ(
        "first_chunk_ms",
        (base["chunk_quantiles"], candidate["chunk_quantiles"]),
        sizes,
        _values(candidate["rank_chunks"]),
    )
    means = [base["chunk_mean"], candidate["chunk_mean"]]
    found["first_chunk_ms.mean"] = tested(candidate["welch_chunks"], means, sizes)
    return found


def _quantiles_differ(
    name: str, quantiles: tuple[Any, Any], sizes: tuple[int, int], rank_test: tuple[float, ...]
) -> dict[str, Difference]:
    found = {}
    u_statistic, rank_p_value = rank_test
    # Of all pairs, the part where the candidate's value is higher less the part where it is lower.
    effect_size = 1 - 2 * u_statistic / (sizes[0] * sizes[1])
    for place, which in enumerate(QUANTILES):
        before, after = quantiles[0][place], quantiles[1][place]
        interval = p_value = None
        if None not in (*before, *after) and _enough(*sizes):
            interval = statistics.mover(before[0], before[1:], after[0], after[1:])
            by_interval = statistics.p_value_of(after[0] - before[0], interval)
            p_value = rank_p_value if which == "p50" and math.isfinite(rank_p_value) else by_interval
        found[f"{name}.{which}"] = statistics.difference(
            before[0],
            after[0],
            interval=interval,
            effect_size=effect_size if which == "p50" else None,
            p_value=p_value,
        )
    return found


def tested(test: Any, means: Sequence[float | None], sizes: Sequence[int]) -> Difference:
    """The difference of two means, from the result of Welch's test, which says base less candidate.

    Args:
        test: Its result.
        means: Of the base and of the candidate, where they are known.
        sizes: How many values there are of each.
    """
    _, p_value, low, high, *_ = _values(test)
    base_mean, mean = means
    if not _enough(*sizes) or base_mean is None or mean is None:
        return statistics.difference(base_mean, mean)
    interval = (-high, -low)
    if math.isnan(p_value):  # neither side varies
        interval, p_value = (mean - base_mean, mean - base_mean), float(mean == base_mean)
    return statistics.difference(base_mean, mean, interval=interval, p_value=p_value)


def _values(row: Any) -> tuple[float, ...]:
    return tuple(row.values()) if isinstance(row, Mapping) else tuple(row)
