# SPDX-License-Identifier: Apache-2.0
"""Versions side by side: their numbers, and which of their differences are real.

Every value is read, sorted and tested in ClickHouse; a few dozen numbers come out of it, and the scores of rows of data
sets. For each metric:

- latency quantiles: exact, with the confidence limits of order statistics; the median is tested by the Mann-Whitney
  rank test, the others by the interval of their difference;
- means (latency, tokens, cost): Welch's t-test;
- error rate: Fisher's exact test on small counts, else the z-test of two proportions, with Newcombe's interval;
- scores: see `score_comparison`.

P-values are corrected by Holm's method over all metrics that are shown.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.store import measuring, statistics
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measuring import Query, Scope
from otel_loggedmodel.store.results import Difference, LatencyMs, Score, Tokens, VersionDifferences, VersionMetrics
from otel_loggedmodel.store.score_comparison import Match, Scores, match, read, score_of
from otel_loggedmodel.store.scores import groups

_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_VALUES: Final = ("latencies", "inputs", "outputs", "costs")
_MEANS: Final = {
    "latency_ms.mean": "latencies",
    "tokens.input_per_trace": "inputs",
    "tokens.output_per_trace": "outputs",
    "cost_usd_per_trace": "costs",
}

Row = Mapping[str, Any]


def measure(database: Database, scope: Scope, names: Mapping[str, str | None]) -> "Measurement":
    """Measure versions.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces.
        names: The name of each version, by its id, where it has one.
    """
    model_ids = list(scope.model_ids or ())
    rows = {row["version"]: row for row in _run(database, _measured(scope, model_ids))}
    return Measurement(model_ids, rows, _scores(database, scope), names)


def matches(database: Database, scope: Scope) -> dict[str, dict[str, Match]]:
    """What is compared of the scores of each version but the first, by its id and their names.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces.
    """
    return _all_matches(list(scope.model_ids or ()), _scores(database, scope))


def scores(database: Database, scope: Scope) -> dict[str, dict[str, Score]]:
    """The scores of versions, by their ids and by name; the arguments are those of `measure`."""
    return {model_id: _shown(found) for model_id, found in _scores(database, scope).items()}


def _shown(found: Scores) -> dict[str, Score]:
    return {name: score_of(groups) for name, groups in sorted(found.items())}


def _scores(database: Database, scope: Scope) -> dict[str, Scores]:
    scores: dict[str, list[Row]] = {model_id: [] for model_id in scope.model_ids or ()}
    for row in _run(database, groups(scope)):
        scores[row["version"]].append(row)
    return {model_id: read(found) for model_id, found in scores.items()}


def _all_matches(model_ids: Sequence[str], scores: Mapping[str, Scores]) -> dict[str, dict[str, Match]]:
    base, *candidates = model_ids
    return {candidate: _matches(scores[base], scores[candidate]) for candidate in candidates}


def _run(database: Database, query: Query) -> list[dict[str, Any]]:
    return database.query(query.sql, query.parameters)


class Measurement:
    """What was measured of some versions.

    Args:
        model_ids: The versions, in order.
        rows: Their numbers, by version, where there are traces.
        scores: Their scores, by version and name.
        names: Their names, by version.

    Attributes:
        versions: Their numbers.
        matches: What is compared of the scores of each version but the first, by their names.
    """

    def __init__(
        self,
        model_ids: Sequence[str],
        rows: Mapping[str, Row],
        scores: Mapping[str, Scores],
        names: Mapping[str, str | None],
    ) -> None:
        self._model_ids = model_ids
        self._rows = rows
        self._scores = scores
        self.matches = _all_matches(model_ids, scores)
        self.versions = [self._metrics(model_id, names.get(model_id)) for model_id in model_ids]

    @property
    def unpriced(self) -> int:
        """How many calls of models have tokens but no price."""
        return sum(row["unpriced"] for row in self._rows.values())

    def differences(self) -> list[VersionDifferences]:
        """How each version but the first differs from it."""
        base, *candidates = self._model_ids
        found = statistics.judged([self._differences(base, candidate) for candidate in candidates])
        return [
            VersionDifferences(model_id=candidate, metrics=metrics)
            for candidate, metrics in zip(candidates, found, strict=True)
        ]

    def _metrics(self, model_id: str, name: str | None) -> VersionMetrics:
        scores = _shown(self._scores[model_id])
        row = self._rows.get(model_id)
        if row is None:
            return VersionMetrics(model_id=model_id, name=name, scores=scores)
        traces, priced = row["traces"], row["priced"] > 0
        return VersionMetrics(
            model_id=model_id,
            name=name,
            traces=traces,
            errors=row["errors"],
            error_rate=row["errors"] / traces,
            latency_ms=LatencyMs(
                **{name: quantile[0] for name, quantile in zip(_QUANTILES, row["quantiles"], strict=True)},
                mean=row["mean"],
            ),
            tokens=Tokens(
                input=row["input"],
                output=row["output"],
                input_per_trace=row["input"] / traces,
                output_per_trace=row["output"] / traces,
            ),
            cost_usd=row["cost"] if priced else None,
            cost_usd_per_trace=row["cost"] / traces if priced else None,
            scores=scores,
        )

    def notes(self) -> Iterator[str]:
        """What a reader of the scores has to know."""
        for candidate in self._model_ids[1:]:
            for name, matched in self.matches[candidate].items():
                yield from matched.notes(name, candidate)

    def _differences(self, base_id: str, candidate_id: str) -> dict[str, Difference]:
        base, candidate = self._rows.get(base_id), self._rows.get(candidate_id)
        found: dict[str, Difference] = {}
        if base is not None and candidate is not None:
            found["error_rate"] = _rate_difference(base, candidate)
            found.update(_quantile_differences(base, candidate))
            found.update(_mean_differences(base, candidate))
        for name, matched in self.matches[candidate_id].items():
            found[f"scores.{name}"] = matched.difference()
        return found


def _matches(base: Scores, candidate: Scores) -> dict[str, Match]:
    return {name: match(base.get(name, ()), candidate.get(name, ())) for name in sorted({*base, *candidate})}


def _measured(scope: Scope, model_ids: Sequence[str]) -> Query:
    """One row for each version, with the tests of its values against those of the first version that has traces."""
    traces = measuring.traces(scope)
    sql = f"""
        -- The first version is tested against nothing.
        SELECT row.1 AS version, row.2 AS counts, row.3 AS own, row.4 AS quantiles, row.5 AS mean,
            arrayResize(rows[if(place = 1, 0, 1)].3, length(own)) AS base
        FROM (
            SELECT arraySort(row -> indexOf({{model_ids:Array(String)}}, row.1),
                groupArray((version, counts, all_values, quantiles, mean))) AS rows
            FROM (
                SELECT version, counts, [latencies, inputs, outputs, costs] AS all_values,
                    {_quantiles("latencies")} AS quantiles, arrayAvg(latencies) AS mean
                FROM (
                    SELECT toString(version) AS version,
                        arraySort(groupArrayArray(arrayMap((start, end) -> (end - start) / 1e6,
                            entries.start, entries.end))) AS latencies,
                        groupArray(input / length(entries)) AS inputs,
                        groupArray(output / length(entries)) AS outputs,
                        groupArrayIf(cost / length(entries), priced > 0) AS costs,
                        (sum(length(entries)), sum(arrayCount(entries.failed)), sum(input), sum(output), sum(cost),
                            sum(priced), sum(unpriced)) AS counts
                    FROM ({traces.sql})
                    GROUP BY version
                )
            )
        )
        ARRAY JOIN rows AS row, arrayEnumerate(rows) AS place"""
    for step in (_VARY, f"{_WELCH}, {_RANK} AS rank_latencies"):
        sql = f"SELECT {step} FROM ({sql})"
    counts = ("traces", "errors", "input", "output", "cost", "priced", "unpriced")
    sql = f"""
        SELECT version, {", ".join(f"counts.{place} AS {name}" for place, name in enumerate(counts, 1))},
            {", ".join(f"welch[{place}] AS welch_{name}" for place, name in enumerate(_VALUES, 1))},
            quantiles, mean, rank_latencies
        FROM ({sql})"""
    return Query(sql, {**traces.parameters, "model_ids": list(model_ids)})


def _quantiles(values: str) -> str:
    """Quantiles of a sorted array, interpolated as NumPy does, and their confidence limits.

    The limits are order statistics, by the normal approximation to the binomial distribution of their ranks (Conover,
    "Practical Nonparametric Statistics"); where there is no such rank, there is no limit.
    """
    position = f"level * (length({values}) - 1)"
    spread = f"{statistics.Z} * sqrt(length({values}) * (level * (1 - level)))"
    low = f"ceil(length({values}) * level - {spread})"
    high = f"ceil(length({values}) * level + {spread})"
    below = f"{values}[toUInt64(floor({position})) + 1]"
    above = f"{values}[toUInt64(ceil({position})) + 1]"
    return (
        f"arrayMap(level -> ({below} + ({above} - {below}) * ({position} - floor({position})),"
        f" if({low} >= 1, {values}[toInt64(greatest({low}, 1))], NULL),"
        f" if({high} <= length({values}), {values}[toInt64({high})], NULL)), {list(_QUANTILES.values())})"
    )


# Tests of pairs of arrays, which are in the arrays `base` and `own`. One lambda for all pairs: how long ClickHouse
# takes to analyse a query grows with the number of columns that its outer parts name, times the size of its inner ones.
#
# NaN where there is nothing to test: too few values, or all the same. ClickHouse works out both sides of an `if`, and
# its tests raise errors on such values, so they get others then.
_VARY: Final = """\
*, arrayMap((before, after) -> length(before) > 1 AND length(after) > 1
    AND (arrayMin(before), arrayMax(before)) != (arrayMax(after), arrayMin(after)), base, own) AS vary"""
_PAIR: Final = """\
if(varies, arrayConcat(before, after), [0., 1., 0., 1.]),
if(varies, arrayResize(arrayWithConstant(length(before), 0), length(before) + length(after), 1), [0, 0, 1, 1])"""
_WELCH: Final = f"""\
*, arrayMap((before, after, varies) -> tupleConcat(
    if(varies, arrayReduce('welchTTest({statistics.CONFIDENCE})', {_PAIR}), (nan, nan, nan, nan)),
    (arrayAvg(before), arrayAvg(after))), base, own, vary) AS welch"""
_RANK: Final = f"""\
arrayMap((before, after, varies) ->
    if(varies, arrayReduce('mannWhitneyUTest(\\'two-sided\\')', {_PAIR}), (nan, nan)),
    [base[1]], [own[1]], [vary[1]])[1]"""


def _enough(base: int, candidate: int) -> bool:
    return min(base, candidate) >= statistics.MIN_SAMPLES


def _rate_difference(base: Row, candidate: Row) -> Difference:
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


def _quantile_differences(base: Row, candidate: Row) -> dict[str, Difference]:
    found = {}
    u_statistic, rank_p_value = _values(candidate["rank_latencies"])
    # Of all pairs, the part where the candidate's value is higher less the part where it is lower.
    effect_size = 1 - 2 * u_statistic / (base["traces"] * candidate["traces"])
    for place, name in enumerate(_QUANTILES):
        before, after = base["quantiles"][place], candidate["quantiles"][place]
        interval = p_value = None
        if None not in (*before, *after) and _enough(base["traces"], candidate["traces"]):
            interval = statistics.mover(before[0], before[1:], after[0], after[1:])
            by_interval = statistics.p_value_of(after[0] - before[0], interval)
            p_value = rank_p_value if name == "p50" and math.isfinite(rank_p_value) else by_interval
        found[f"latency_ms.{name}"] = statistics.difference(
            before[0],
            after[0],
            interval=interval,
            effect_size=effect_size if name == "p50" else None,
            p_value=p_value,
        )
    return found


def _mean_differences(base: Row, candidate: Row) -> dict[str, Difference]:
    found = {}
    for metric, values in _MEANS.items():
        if metric == "cost_usd_per_trace" and not (base["priced"] and candidate["priced"]):
            known = [row["cost"] / row["traces"] if row["priced"] else None for row in (base, candidate)]
            if known != [None, None]:
                found[metric] = statistics.difference(*known)
            continue
        found[metric] = _tested(candidate[f"welch_{values}"], _enough(base["traces"], candidate["traces"]))
    return found


def _tested(test: Any, is_enough: bool) -> Difference:
    """The difference of two means, from the result of Welch's test, which says base less candidate."""
    _, p_value, low, high, base_mean, mean = _values(test)
    if not is_enough:
        return statistics.difference(base_mean, mean)
    interval = (-high, -low)
    if math.isnan(p_value):  # neither side varies
        interval, p_value = (mean - base_mean, mean - base_mean), float(mean == base_mean)
    return statistics.difference(base_mean, mean, interval=interval, p_value=p_value)


def _values(row: Any) -> tuple[float, ...]:
    return tuple(row.values()) if isinstance(row, Mapping) else tuple(row)
