# SPDX-License-Identifier: Apache-2.0
"""The aggregations of many scores that scorers can ask for by name."""

import statistics
from collections.abc import Callable, Mapping
from typing import Final


def _p90(values: list[float]) -> float:
    # Interpolated as by NumPy.
    return statistics.quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]


_AGGREGATIONS: Final[Mapping[str, Callable[[list[float]], float]]] = {
    "min": min,
    "max": max,
    "mean": statistics.fmean,
    "median": statistics.median,
    "variance": statistics.pvariance,
    "p90": _p90,
}


def aggregated(name: str, values: list[float]) -> float:
    """The aggregation of that name."""
    return float(_AGGREGATIONS[name](values))
