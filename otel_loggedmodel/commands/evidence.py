# SPDX-License-Identifier: Apache-2.0
"""What a comparison could have found, and how much traffic a decision takes.

The smallest difference that a test finds in four of five cases is `(z + 0.84) / 1.96` half-widths of the 95 % interval,
where `z` belongs to the corrected level: 1.43 of them for a single metric (Cohen, 1988, "Statistical power analysis").
The interval narrows with the square root of the traffic.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.metrics import Metric
from otel_loggedmodel.store.results import Difference, Reason, VersionMetrics
from otel_loggedmodel.store.statistics import SIGNIFICANCE, Z

_POWER: Final = NormalDist().inv_cdf(0.8)
_MOST_TRACES: Final = 10**9


@dataclass(frozen=True)
class Evidence:
    """What would have been found, and what it takes to find more.

    Attributes:
        smallest: The smallest difference that is found in four of five cases.
        traces: About how many traces of the candidate a decision takes.
        seconds: How long they take to arrive.
    """

    smallest: float
    traces: int | None = None
    seconds: float | None = None


def of(one: Difference, tests: int, candidate: VersionMetrics, limit: float | None = None) -> Evidence | None:
    """What would have been found where there is no verdict, and what it takes to find more.

    Args:
        one: The difference.
        tests: How many tests are corrected together.
        candidate: The version that is judged.
        limit: The difference from which on it would fail; by default the margin.

    Returns:
        None where it has no interval, or nothing of it varies.
    """
    if one.interval is None or one.delta is None or one.reason in (Reason.NOT_KNOWN, Reason.NOT_COMPARABLE):
        return None
    half = (one.interval[1] - one.interval[0]) / 2
    if half <= 0:
        return None
    smallest = (NormalDist().inv_cdf(1 - SIGNIFICANCE / 2 / max(tests, 1)) + _POWER) / Z * half
    # A large difference has to be told from none at all, and one that is near the limit from that.
    border = (one.margin or 0.0) if limit is None else limit
    wanted = abs(one.delta - border) if limit is not None else max(abs(one.delta), border)
    if wanted <= 0 or not candidate.traces:
        return Evidence(smallest)
    traces = math.ceil(candidate.traces * max((smallest / wanted) ** 2, 1.0))
    if traces > _MOST_TRACES or traces <= candidate.traces:
        return Evidence(smallest)
    seconds = None
    if candidate.first_ms is not None and candidate.last_ms is not None and candidate.last_ms > candidate.first_ms:
        each = (candidate.last_ms - candidate.first_ms) / 1000 / candidate.traces
        seconds = (traces - candidate.traces) * each
    return Evidence(smallest, traces, seconds)


def text(found: Evidence | None, metric: Metric, base: float | None) -> str:
    """The same in words, to stand behind what was found."""
    if found is None:
        return ""
    write = formatting.points if metric.is_rate else metric.write_by_key
    smallest = f"+{write(found.smallest)}".replace("++", "+")
    part = f" ({formatting.roughly(100 * found.smallest / abs(base))} %)" if base and not metric.is_rate else ""
    said = f"; the smallest change that would have been found is {smallest}{part}"
    if found.traces is not None:
        said += f"; a decision takes some {_rounded(found.traces):,} traces of each"
        if found.seconds is not None:
            said += f", {formatting.duration(found.seconds)} more at the present rate"
    return said


def _rounded(number: int) -> int:
    """To two digits, as it is an estimate."""
    scale = int(10 ** max(len(str(number)) - 2, 0))
    return math.ceil(number / scale) * scale
