# SPDX-License-Identifier: Apache-2.0
"""Differences that may be looked at as often as one likes while traffic arrives.

A test at 5 % that is asked 144 times during a rollout is wrong far more often than it says. The p-values and intervals
here hold at all times together, whenever one stops. They are those of the mixture sequential probability ratio test:
with `R`, the variance of the effects that matter divided by the variance of the estimate,

    p = sqrt(1 + R) exp(-z^2 R / (2 (1 + R)))        half = se sqrt((1 + R) / R log((1 + R) / alpha^2))

(Robbins, 1970; Johari, Koomen, Pekelis and Walsh, 2022, "Always valid inference", https://arxiv.org/abs/1512.04922;
Lindon, Sanden and Shirikian, 2022, "Rapid regression detection in software deployments through sequential testing",
https://arxiv.org/abs/2205.14762, who watch canaries so). Estimates are taken to be normal, which they nearly are from a
few dozen units on.
"""

import math
from dataclasses import replace
from statistics import NormalDist
from typing import Final

from otel_loggedmodel.store.results import Difference
from otel_loggedmodel.store.statistics import SIGNIFICANCE, Interval, Z

# Effects that are looked for are of about twice the margin.
_OF_MARGIN: Final = 2.0
# They are at least this part of the values, as the margin may be 0.
_OF_VALUES: Final = 0.01
_LEAST_RATIO: Final = 1e-9
# The inverse of the normal distribution cannot take a smaller p-value.
_LEAST: Final = 1e-300


def always_valid(one: Difference, margin: float) -> Difference:
    """A difference whose interval and p-value hold however often it is looked at.

    Args:
        one: With an interval and a p-value that hold once.
        margin: The largest difference that hardly matters.
    """
    if one.interval is None or one.p_value is None or one.delta is None or one.interval[0] == one.interval[1]:
        return one
    error = (one.interval[1] - one.interval[0]) / 2 / Z
    # The effect must not depend on how much was seen, or the result holds for only one look.
    looked_for = max(_OF_MARGIN * margin, _OF_VALUES * max(abs(one.base or 0.0), abs(one.candidate or 0.0)))
    ratio = max((looked_for / error) ** 2, _LEAST_RATIO)
    wider = math.sqrt((1 + ratio) / ratio * (math.log1p(ratio) - 2 * math.log(SIGNIFICANCE))) / Z
    z = -NormalDist().inv_cdf(max(one.p_value, _LEAST) / 2)
    p_value = min(1.0, math.exp(math.log1p(ratio) / 2 - z * z * ratio / (2 * (1 + ratio))))
    return replace(
        one,
        interval=_widened(one.interval, one.delta, wider),
        p_value=p_value,
        base_interval=_widened(one.base_interval, one.base, wider),
        candidate_interval=_widened(one.candidate_interval, one.candidate, wider),
    )


def _widened(interval: Interval | None, value: float | None, times: float) -> Interval | None:
    if interval is None or value is None:
        return interval
    return value - times * (value - interval[0]), value + times * (interval[1] - value)
