# SPDX-License-Identifier: Apache-2.0
"""What `store.samples` finds of traces, worked out by NumPy, so that thousands of comparisons take a minute.

`tests/store/test_samples.py` holds the two against each other on one store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.sample import Sample
from otel_loggedmodel.store import comparing, samples, strata
from otel_loggedmodel.store.design import Design, stratum_of
from otel_loggedmodel.store.estimates import Moments
from otel_loggedmodel.store.results import Comparison, VersionDifferences
from otel_loggedmodel.store.samples import QUANTILES, Quantile
from otel_loggedmodel.store.statistics import Z
from otel_loggedmodel.store.strata import Plan, Traffic
from otel_loggedmodel.store.traffic import Designs

LEVELS = np.array(list(QUANTILES.values()))


def traffic_of(sample: Sample) -> Traffic:
    """What is looked at to decide within what versions are compared."""
    cells, counts = np.unique(np.stack([sample.route, sample.hour]), axis=1, return_counts=True)
    return Traffic({(int(a), int(b)): int(n) for (a, b), n in zip(cells.T, counts, strict=True)})


def compared(base: Sample, candidate: Sample, made: Plan | None = None) -> Comparison:
    """The comparison of two versions, by the project's own code from the rows on.

    Args:
        base: The first.
        candidate: The other.
        made: What they are compared within; by default what the project plans.
    """
    made = strata.plan(traffic_of(base), traffic_of(candidate)) if made is None else made
    has_units = base.unit is not None
    has_weights = base.weight is not None or candidate.weight is not None
    together = Design(units="conversation" if has_units else "trace", weight="mark_weight" if has_weights else "1.")
    designs = Designs(together=together, plans={"b": made})
    design = designs.of("b")
    rows = {"a": row("a", base, design, made), "b": row("b", candidate, design, made)}
    left = comparing.still_shared(made.shares, list(rows.values()))
    if len(left) < len(made.shares):
        made = replace(made, shares=left, by=made.by if left else "")
        designs = replace(designs, plans={"b": made})
        design = designs.of("b")
        rows = {"a": row("a", base, design, made), "b": row("b", candidate, design, made)}
    within = {"b": rows} if made.shares else {}
    measured = comparing.Measurement(["a", "b"], comparing.Measured(rows, within, designs), {"a": {}, "b": {}}, {}, {})
    return Comparison(versions=tuple(measured.versions), differences=tuple(measured.differences()), unit=measured.unit)


def row(version: str, sample: Sample, design: Design, made: Plan) -> dict[str, Any]:
    """A row of `samples.rows`."""
    count = len(sample.latency)
    weight = np.ones(count) if sample.weight is None else sample.weight
    unit = np.arange(count) if sample.unit is None else np.unique(sample.unit, return_inverse=True)[1]
    units = int(unit.max()) + 1
    # A unit is in the stratum of its first trace.
    first = np.full(units, count)
    np.minimum.at(first, unit, np.arange(count))
    codes = np.zeros(units, np.uint64)
    if made.shares:
        route = sample.route if made.route else np.zeros(count, int)
        hour = sample.hour if made.hour else np.zeros(count, int)
        codes = np.array([stratum_of(int(route[at]), int(hour[at])) for at in first], np.uint64)
    ones = np.ones(count)
    columns = {
        "failures": (ones, sample.failed * 1.0),
        "latencies": (ones, sample.latency),
        "inputs": (ones, sample.tokens),
        "outputs": (ones, np.round(sample.tokens / 10)),
        "costs": (ones, sample.tokens * 1e-5),
        "failed_calls": (ones, sample.failed_calls * 1.0),
        "chunks": (ones * 0, ones * 0),
    }
    found: dict[int, dict[str, Moments]] = {int(code): {} for code in np.unique(codes)}
    for name, (x, y) in columns.items():
        x_of, y_of = (np.bincount(unit, weight * values, units) for values in (x, y))
        for code, one in found.items():
            here = codes == np.uint64(code)
            one[name] = _moments(x_of[here], y_of[here])
    together = {name: sum((one[name] for one in found.values()), Moments()) for name in columns}
    if design.is_complex:
        plain = weighted_quantiles(sample.latency, weight, unit, codes)
    else:
        plain = simple_quantiles(sample.latency)
    within: Sequence[Quantile] = ()
    if made.shares:
        share = np.zeros(units)
        for code, part in made.shares.items():
            here = codes == np.uint64(code)
            if here.any():
                share[here] = part / found[code]["latencies"].x
        counts = share[unit] > 0
        within = weighted_quantiles(sample.latency[counts], (weight * share[unit])[counts], unit[counts], codes)
    return {
        **dict.fromkeys(samples._COUNTS, 0),
        "version": version,
        "traces": count,
        "errors": int(sample.failed.sum()),
        "calls": count,
        "said": count,
        "priced": count,
        "said_traces": count,
        "priced_traces": count,
        "conversations": 0,
        "first": int(sample.hour.min()) * 3600 * 10**9,
        "last": int(sample.hour.max() + 1) * 3600 * 10**9,
        "moments": together,
        "strata": found,
        "quantiles": plain,
        "chunk_quantiles": [],
        "within": within,
        "chunks_within": (),
    }


def _moments(x: np.ndarray, y: np.ndarray) -> Moments:
    return Moments(
        x.sum(), y.sum(), (x * x).sum(), (x * y).sum(), (y * y).sum(), int((x > 0).sum()), y.max(), int((y > 0).sum())
    )


def simple_quantiles(values: np.ndarray) -> list[Quantile]:
    """Those of traces that are units of their own."""
    values = np.sort(values)
    count = len(values)
    spread = Z * np.sqrt(count * LEVELS * (1 - LEVELS))
    low, high = np.ceil(count * LEVELS - spread).astype(int), np.ceil(count * LEVELS + spread).astype(int)
    return [
        Quantile(float(point), values[a - 1] if a >= 1 else None, values[b - 1] if b <= count else None)
        for point, a, b in zip(np.quantile(values, LEVELS), low, high, strict=True)
    ]


def weighted_quantiles(values: np.ndarray, weight: np.ndarray, unit: np.ndarray, codes: np.ndarray) -> list[Quantile]:
    """Those of traces that belong together, count differently, or are in strata."""
    order = np.lexsort((weight, values))
    ordered, weights = values[order], weight[order]
    total = np.cumsum(weights)
    whole = total[-1]
    position = (total - weights) / np.maximum(whole - weights, 1e-300)
    units = len(codes)
    of_unit = np.bincount(unit, weight, units)
    used = of_unit > 0
    strata_of = np.unique(codes[used], return_inverse=True)[1]
    members = np.bincount(strata_of)
    found = []
    for level in LEVELS:
        at = int(np.argmax(total - weights >= level * (whole - weights)))
        if not total[at] - weights[at] >= level * (whole - weights[at]):
            at = len(ordered) - 1
        if at == 0:
            point = ordered[0]
        else:
            part = (level - position[at - 1]) / max(position[at] - position[at - 1], 1e-300)
            point = ordered[at - 1] + (ordered[at] - ordered[at - 1]) * min(max(part, 0.0), 1.0)
        below = np.bincount(unit, weight * (values <= point), units)[used]
        all_of = of_unit[used]
        share = np.bincount(strata_of, below) / np.bincount(strata_of, all_of)
        residual = (below - share[strata_of] * all_of) ** 2
        squares = np.sum(np.bincount(strata_of, residual) * members / np.maximum(members - 1, 1))
        part = below.sum() / all_of.sum()
        variance = squares / whole**2 / (part * (1 - part)) if part < 1 - 1e-9 else 1 / used.sum()
        critical = Z + (Z**3 + Z) / 4 / max(used.sum() - 1, 4)
        error = critical * np.sqrt(max(variance, 0) * level * (1 - level))
        low, high = level - error, level + error
        found.append(
            Quantile(
                float(point),
                float(ordered[np.argmax(total >= low * whole * (1 - 1e-12))]) if low > 0 else None,
                float(ordered[np.argmax(total >= high * whole * (1 - 1e-12))]) if high <= 1 else None,
            )
        )
    return found


def metrics(comparison: Comparison) -> Mapping[str, Any]:
    """The differences of the second version."""
    (differences,) = comparison.differences
    assert isinstance(differences, VersionDifferences)
    return differences.metrics
