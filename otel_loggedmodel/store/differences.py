# SPDX-License-Identifier: Apache-2.0
"""How the numbers of two versions differ, and how certain that is, from their rows of `samples`.

The value that is shown, its interval and its p-value are of one quantity:

- means (latency, tokens, cost, failed calls) are ratios of sums over independent units (`estimates`);
- the error rate is one, too, with Wilson's interval for the number of independent tries that would say as much;
- quantiles have the limits of order statistics, and the p-value that belongs to the interval of their difference.

Within strata (`Design.strata`), all of these are of the traffic that both versions have, and a stratum has the same
share in both.
"""

from dataclasses import replace

from otel_loggedmodel.store import statistics
from otel_loggedmodel.store.design import SIMPLE, Design
from otel_loggedmodel.store.estimates import Estimate, estimate, means_differ, rates_contrast, stratified
from otel_loggedmodel.store.results import Difference, Reason
from otel_loggedmodel.store.samples import QUANTILES, Quantile, Row


def rate_difference(base: Row, candidate: Row, design: Design = SIMPLE) -> Difference:
    """The difference of the shares of traces that failed."""
    return _tested("failures", base, candidate, design, is_rate=True)


def mean_difference(name: str, base: Row, candidate: Row, design: Design = SIMPLE) -> Difference:
    """The difference of two means, by the name of what is added up."""
    return _tested(name, base, candidate, design)


def quantile_differences(base: Row, candidate: Row, design: Design = SIMPLE) -> dict[str, Difference]:
    """The differences of the quantiles of latency, by metric."""
    return _quantiles_differ("latency_ms", ("quantiles", "within", "latencies"), base, candidate, design)


def chunk_differences(base: Row, candidate: Row, design: Design = SIMPLE) -> dict[str, Difference]:
    """The differences of the time to the first part of streamed answers, by metric."""
    found = _quantiles_differ("first_chunk_ms", ("chunk_quantiles", "chunks_within", "chunks"), base, candidate, design)
    found["first_chunk_ms.mean"] = mean_difference("chunks", base, candidate, design)
    return found


def _tested(name: str, base: Row, candidate: Row, design: Design, *, is_rate: bool = False) -> Difference:
    found = _adjusted(name, base, candidate, design)
    by = design.by if found else None
    before, after = found or (estimate(base["moments"][name]), estimate(candidate["moments"][name]))
    if before is None or after is None:
        return statistics.difference(None, None)
    units = _units(name, base, candidate, design if by else SIMPLE)
    plain = replace(
        statistics.difference(before.value, after.value, effect_size=after.value - before.value if is_rate else None),
        base_units=units[0],
        candidate_units=units[1],
        adjusted=by,
    )
    if min(units) < statistics.MIN_SAMPLES:
        return replace(plain, reason=Reason.TOO_FEW)
    contrast = (rates_contrast if is_rate else means_differ)(before, after)
    return replace(
        plain,
        interval=contrast.interval,
        p_value=contrast.p_value,
        base_interval=contrast.base_interval,
        candidate_interval=contrast.candidate_interval,
    )


def _adjusted(name: str, base: Row, candidate: Row, design: Design) -> tuple[Estimate, Estimate] | None:
    """The estimates within strata; None where no stratum has values of both versions."""
    shares = {
        code: share
        for code, share in design.strata.items()
        if all(code in row["strata"] and row["strata"][code][name].x > 0 for row in (base, candidate))
    }
    if not shares:
        return None
    before, after = (
        stratified({code: found[name] for code, found in row["strata"].items()}, shares) for row in (base, candidate)
    )
    return None if before is None or after is None else (before, after)


def _units(name: str, base: Row, candidate: Row, design: Design) -> tuple[int, int]:
    """How many units there are of each version: within strata, of those that count."""
    if not design.strata:
        return base["moments"][name].units, candidate["moments"][name].units
    before, after = (
        sum(row["strata"][code][name].units for code in design.strata if code in row["strata"])
        for row in (base, candidate)
    )
    return before, after


def _quantiles_differ(
    metric: str, names: tuple[str, str, str], base: Row, candidate: Row, design: Design
) -> dict[str, Difference]:
    plain, within, counted = names
    is_adjusted = bool(base[within]) and bool(candidate[within])
    units = _units(counted, base, candidate, design if is_adjusted else SIMPLE)
    found = {}
    before: Quantile
    after: Quantile
    for before, after, which in zip(
        *(row[within if is_adjusted else plain] for row in (base, candidate)), QUANTILES, strict=True
    ):
        one = replace(
            statistics.difference(before.value, after.value),
            base_units=units[0],
            candidate_units=units[1],
            adjusted=design.by if is_adjusted else None,
            reason=Reason.TOO_FEW,
        )
        limits = (before.low, before.high, after.low, after.high)
        if min(units) >= statistics.MIN_SAMPLES and None not in limits:
            base_interval, candidate_interval = (before.low, before.high), (after.low, after.high)
            interval = statistics.mover(before.value, base_interval, after.value, candidate_interval)  # type: ignore[arg-type]
            one = replace(
                one,
                interval=interval,
                p_value=statistics.p_value_of(after.value - before.value, interval),
                base_interval=base_interval,  # type: ignore[arg-type]
                candidate_interval=candidate_interval,  # type: ignore[arg-type]
                reason=None,
            )
        found[f"{metric}.{which}"] = one
    return found
