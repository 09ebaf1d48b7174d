# SPDX-License-Identifier: Apache-2.0
"""Traffic of two versions of which it is known whether they differ: what real traffic does to a comparison."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.sample import Sample

Rng = np.random.Generator
Draw = Callable[[Rng], tuple[Sample, Sample]]
_START = 500_000
# Of log-normal latencies, exp(sigma^2 / 2) of the median.
MEAN_MS = float(800 * np.exp(0.125))


@dataclass(frozen=True)
class Situation:
    """Traffic of two versions.

    Attributes:
        name: What it is like.
        draw: Makes it.
        truth: The true difference of the means of latency in parts of the base, for coverage; None where it has none.
        changed: Metrics that differ in truth, beginning so; what is called of others is false.
        direction: `worse` or `better`, which is true of these.
    """

    name: str
    draw: Draw
    truth: float | None = 0.0
    changed: tuple[str, ...] = ()
    direction: str = "worse"


def traces(
    rng: Rng, count: int, *, slower: float = 1.0, sigma: float = 0.5, errors: float = 0.01, heavy: bool = False
) -> Sample:
    """Independent traces: log-normal latency, or one with a heavy tail, and tokens."""
    latency = (rng.pareto(1.5, count) + 1) * 300 if heavy else np.exp(rng.normal(0, sigma, count)) * 800
    return Sample(latency * slower, rng.random(count) < errors, np.round(rng.lognormal(6, 0.4, count)))


def same(count: int, other: int | None = None, **kind: float | bool) -> Draw:
    return lambda rng: (traces(rng, count, **kind), traces(rng, other or count, **kind))  # type: ignore[arg-type]


def slower(count: int, by: float) -> Draw:
    return lambda rng: (traces(rng, count), traces(rng, count, slower=by))


def more_errors(count: int, before: float, after: float) -> Draw:
    return lambda rng: (traces(rng, count, errors=before), traces(rng, count, errors=after))


def sessions(each: int, correlation: float, count: int = 2000, *, slower: float = 1.0) -> Draw:
    """Users who stay with a version: what is common to a session takes this part of the variance."""

    def one(rng: Rng, factor: float) -> Sample:
        unit = np.repeat(np.arange(count // each), each)

        def common(scale: float) -> np.ndarray:
            own = rng.normal(0, np.sqrt(1 - correlation), count)
            return (rng.normal(0, np.sqrt(correlation), count // each)[unit] + own) * scale

        return Sample(
            np.exp(common(0.5)) * 800 * factor,
            common(1) > 2.326,
            np.round(np.exp(common(0.4)) * 400),
            unit=unit,
        )

    return lambda rng: (one(rng, 1.0), one(rng, slower))


def sampled(*, errors: tuple[float, float] = (0.01, 0.01), both: bool = False, traffic: int = 10_000) -> Draw:
    """All errors were kept of the first version, and one in ten of its other traces; the second was not sampled."""

    def kept(sample: Sample, rng: Rng) -> Sample:
        stays = sample.failed | (rng.random(len(sample.failed)) < 0.1)
        return Sample(
            sample.latency[stays],
            sample.failed[stays],
            sample.tokens[stays],
            weight=np.where(sample.failed[stays], 1.0, 10.0),
        )

    def draw(rng: Rng) -> tuple[Sample, Sample]:
        base, candidate = (traces(rng, traffic, errors=rate) for rate in errors)
        return kept(base, rng), kept(candidate, rng) if both else candidate

    return draw


def thinned(share: float = 0.25, traffic: int = 10_000) -> Draw:
    """A consistent probability sampler on routes: fast ones are kept in part, and say with what threshold."""

    def draw(rng: Rng) -> tuple[Sample, Sample]:
        base, candidate = (_routes(rng, traffic, 0.25) for _ in range(2))
        stays = (base.route == 1) | (rng.random(traffic) < share)
        weight = np.where(base.route == 1, 1.0, 1 / share)[stays]
        whole = np.zeros(len(candidate.latency), int)
        return (
            Sample(base.latency[stays], base.failed[stays], base.tokens[stays], weight=weight),
            Sample(candidate.latency, candidate.failed, candidate.tokens, route=whole),
        )

    return draw


def _routes(rng: Rng, count: int, slow: float, *, slower: float = 1.0) -> Sample:
    route = (rng.random(count) < slow).astype(int)
    latency = np.exp(rng.normal(0, 0.4, count)) * np.where(route == 1, 3000, 600) * slower
    return Sample(
        latency,
        rng.random(count) < np.where(route == 1, 0.03, 0.01),
        np.round(rng.lognormal(6, 0.4, count) * np.where(route == 1, 2, 1)),
        route=route,
    )


def mix(before: float, after: float, *, slower: float = 1.0, count: int = 2000) -> Draw:
    """The share of the slow route changes, and no route does."""
    return lambda rng: (_routes(rng, count, before), _routes(rng, count, after, slower=slower))


def hours(rho: float, *, apart: int = 12, long: int = 24, each: int = 100, slower: float = 1.0) -> Draw:
    """Versions that ran at hours of which half are the same, under a load that changes slowly."""

    def draw(rng: Rng) -> tuple[Sample, Sample]:
        steps = (long + apart) * 60
        noise = rng.normal(0, np.sqrt(1 - rho * rho), steps)
        load = np.zeros(steps)
        load[0] = rng.normal()
        for at in range(1, steps):
            load[at] = rho * load[at - 1] + noise[at]

        def one(begin: int, factor: float) -> Sample:
            minute = np.sort(rng.integers(begin * 60, (begin + long) * 60, each * long))
            latency = np.exp(0.25 * load[minute] + rng.normal(0, 0.4, len(minute))) * 800 * factor
            return Sample(
                latency,
                rng.random(len(minute)) < 0.01,
                np.round(rng.lognormal(6, 0.4, len(minute))),
                hour=_START + minute // 60,
            )

        return one(0, 1.0), one(apart, slower)

    return draw


ALL = (
    Situation("independent traces, 200 each", same(200)),
    Situation("independent traces, 2,000 each", same(2000)),
    Situation("10 % slower, 1,000 each", slower(1000, 1.1), 0.1, ("latency_ms",)),
    Situation("25 % slower, 200 each", slower(200, 1.25), 0.25, ("latency_ms",)),
    Situation("errors 2 to 4.2 %, 1,000 each", more_errors(1000, 0.02, 0.042), 0.0, ("error_rate",)),
    Situation("errors 0.1 to 0.8 %, 20,000 each", more_errors(20_000, 0.001, 0.008), 0.0, ("error_rate",)),
    Situation("errors kept, first version sampled", sampled()),
    Situation("the same, and twice the errors", sampled(errors=(0.01, 0.02)), 0.0, ("error_rate",)),
    Situation("errors kept, both sampled", sampled(both=True)),
    Situation("thresholds in the trace state", thinned()),
    Situation("sessions of 20, correlation 0.1", sessions(20, 0.1)),
    Situation("sessions of 20, correlation 0.3", sessions(20, 0.3)),
    Situation("sessions of 20, correlation 0.5", sessions(20, 0.5)),
    Situation("25 % slower, sessions of 20", sessions(20, 0.3, slower=1.25), 0.25, ("latency_ms",)),
    Situation("slow route from 20 to 30 %", mix(0.2, 0.3)),
    Situation("10 % slower, slow route 30 to 20 %", mix(0.3, 0.2, slower=1.1), None, ("latency_ms",)),
    Situation("half of the hours in common, load 0.9", hours(0.9)),
    Situation("half of the hours in common, load 0.99", hours(0.99)),
    Situation("half of the hours in common, load 0.999", hours(0.999)),
    Situation("canary of 50 against 2,000", same(2000, 50)),
    Situation("canary of 50, heavy tail", same(2000, 50, heavy=True)),
)
