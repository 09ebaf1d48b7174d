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
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.store import measuring, statistics, stray, uncached
from otel_loggedmodel.store.adding import UNKNOWN_COST
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measuring import Query, Scope
from otel_loggedmodel.store.results import (
    Conversations,
    Difference,
    LatencyMs,
    Score,
    Tokens,
    VersionDifferences,
    VersionMetrics,
)
from otel_loggedmodel.store.score_comparison import Match, Scores, match, read, score_of
from otel_loggedmodel.store.scores import groups

_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_VALUES: Final = ("latencies", "inputs", "outputs", "costs", "failures", "chunks")
_MEANS: Final = {
    "latency_ms.mean": "latencies",
    "tokens.input_per_trace": "inputs",
    "tokens.output_per_trace": "outputs",
    "cost_usd_per_trace": "costs",
    "failed_calls": "failures",
}
# Values of which some are not known are not those of all traces: beyond this part of them there is no verdict.
_MOST_UNKNOWN: Final = 0.01
# What is counted over the traces of a version.
_SUMMED: Final = (
    *("input", "output", "cache_read", "cache_write", "reasoning", "cost", "said", "priced", "unpriced"),
    *("unsaid", "unsaid_embeddings", "uncached", "uncosted", "mute"),
    *("odd", "calls", "failed_calls", "tool_calls", "doubled"),
)
_COUNTS: Final = {
    "traces": "length(entries)",
    "errors": "arrayCount(entries.failed)",
    "cut_off": "arrayCount(entries.cut_off)",
    **{name: name for name in _SUMMED},
    # Of traces of which all is known.
    "said_traces": "if(unsaid = 0, length(entries), 0)",
    "said_input": "if(unsaid = 0, input, 0)",
    "said_output": "if(unsaid = 0, output, 0)",
    "priced_traces": f"if({UNKNOWN_COST} = 0, length(entries), 0)",
    "priced_cost": f"if({UNKNOWN_COST} = 0, cost, 0)",
    "turns": "if(conversation = 0, 0, length(entries))",
    "turns_cost": "if(conversation = 0, 0, cost)",
    "turns_ns": "if(conversation = 0, 0, arraySum(entries.end) - arraySum(entries.start))",
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
    rows = {} if scope.is_entangled else _rows(database, scope, model_ids, is_plain=True)
    if scope.is_entangled or any(row["entangled"] for row in rows.values()):
        rows = _rows(database, scope, model_ids, is_plain=False)
    writing = uncached.may_have_written(database, scope) if any(row["uncached"] for row in rows.values()) else ()
    return Measurement(model_ids, rows, _scores(database, scope), names, stray.calls_of(database, scope), writing)


def _rows(database: Database, scope: Scope, model_ids: Sequence[str], *, is_plain: bool) -> dict[str, Row]:
    return {row["version"]: _named(row) for row in _run(database, _measured(scope, model_ids, is_plain=is_plain))}


def _named(row: Row) -> Row:
    """A row with its counts and tests by name: naming them in SQL takes ClickHouse longer than all the rest."""
    return {
        **row,
        **{name: _number(name, total) for name, total in zip((*_COUNTS, "entangled"), row["counts"], strict=True)},
        **{f"welch_{name}": test for name, test in zip(_VALUES, row["welch"], strict=True)},
    }


def _number(name: str, total: float) -> float:
    return total if "cost" in name else round(total)


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
        strays: How many calls in their traces carry no version, by version.
        writing: Versions that may have written tokens to a cache and do not say how many.

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
        strays: Mapping[str, int],
        writing: Collection[str] = (),
    ) -> None:
        self._model_ids = model_ids
        self.strays = strays
        self._writing = writing
        self._rows = rows
        self._scores = scores
        self.matches = _all_matches(model_ids, scores)
        self.versions = [self._metrics(model_id, names.get(model_id)) for model_id in model_ids]

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
        traces, is_said, is_priced = row["traces"], self._is_said(row), self._is_priced(row)
        return VersionMetrics(
            model_id=model_id,
            name=name,
            traces=traces,
            errors=row["errors"],
            error_rate=row["errors"] / traces,
            latency_ms=_latency(row["quantiles"], row["mean"]),
            tokens=Tokens(
                **{kind: self._total(row, kind) for kind in _TOKENS},
                input_per_trace=_each(row["said_input"], row["said_traces"] if is_said else 0),
                output_per_trace=_each(row["said_output"], row["said_traces"] if is_said else 0),
            ),
            cost_usd=row["cost"] if is_priced and self._is_whole(row) else None,
            cost_usd_per_trace=_each(row["priced_cost"], row["priced_traces"] if is_priced else 0),
            scores=scores,
            calls_per_trace=row["calls"] / traces,
            failed_calls=row["failed_calls"] / traces,
            tool_calls_per_trace=row["tool_calls"] / traces,
            first_chunk_ms=_latency(row["chunk_quantiles"], row["chunk_mean"]) if row["chunks"] else LatencyMs(),
            conversations=_conversations(row, is_priced),
            cut_off=row["cut_off"],
        )

    def _is_priced(self, row: Row) -> bool:
        """Whether the cost of a version is known, as far as there is one.

        Without calls of models it is nothing, where versions that it stands beside have any; else it means nothing.
        """
        if row["calls"] == 0:
            return not self._is_stray(row) and any(other["calls"] for other in self._rows.values())
        return bool(row["priced"]) or row["unpriced"] + row["unsaid"] + row["uncosted"] == 0

    def _is_said(self, row: Row) -> bool:
        """Whether tokens of a version are known: some call says them, or there is none that could.

        Where agents ran and no call of any is there, nothing states their calls.
        """
        return bool(row["said"]) or (
            row["unsaid"] == 0 and not self._is_stray(row) and not (row["mute"] and row["calls"] == 0)
        )

    def _is_whole(self, row: Row) -> bool:
        """Whether a total cost is that of nearly all traces, apart from models without a price, which a note names."""
        return _is_known(row, "tokens.input_per_trace") and row["uncosted"] <= _MOST_UNKNOWN * row["calls"]

    def _total(self, row: Row, kind: str) -> int | None:
        """Tokens of a kind, where they are known of nearly all traces; embeddings have input tokens alone."""
        is_embedding = row["unsaid_embeddings"] == row["unsaid"] > 0 and not self._is_stray(row)
        if not (is_embedding and kind != "input") and not (
            self._is_said(row) and _is_known(row, "tokens.input_per_trace")
        ):
            return None
        if row["uncached"] > _MOST_UNKNOWN * row["calls"] and (
            kind == "cache_read" or (kind == "cache_write" and row["version"] in self._writing)
        ):
            return None
        return int(row[kind])

    def _is_stray(self, row: Row) -> bool:
        """Whether the calls of a version carry none, as far as there are any."""
        return row["said"] == 0 and row["version"] in self.strays

    def counted(self, what: str) -> dict[str, int]:
        """One of what is counted besides the metrics, by version, where it is not 0."""
        return {model_id: row[what] for model_id, row in self._rows.items() if row[what]}

    def mute(self) -> int:
        """How many traces there are of agents, in versions without a call of a model."""
        return sum(row["mute"] for row in self._rows.values() if row["calls"] == 0)

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
            found.update(self._mean_differences(base, candidate))
            if base["chunks"] and candidate["chunks"]:
                found.update(_chunk_differences(base, candidate))
        for name, matched in self.matches[candidate_id].items():
            found[f"scores.{name}"] = matched.difference()
        return found

    def _mean_differences(self, base: Row, candidate: Row) -> dict[str, Difference]:
        found = {}
        for metric, values in _MEANS.items():
            known = [self._known_mean(row, metric) for row in (base, candidate)]
            if known == [None, None]:
                continue
            is_known = all(_is_known(row, metric) for row in (base, candidate))
            if None in known or not is_known:
                found[metric] = statistics.difference(*known)
            else:
                found[metric] = _tested(
                    candidate[f"welch_{values}"], known, _enough(base["traces"], candidate["traces"])
                )
        return found

    def _known_mean(self, row: Row, metric: str) -> float | None:
        """The mean that is shown of a version."""
        if metric.startswith("tokens."):
            which = "said_input" if metric == "tokens.input_per_trace" else "said_output"
            return _each(row[which], row["said_traces"] if self._is_said(row) else 0)
        if metric == "cost_usd_per_trace":
            return _each(row["priced_cost"], row["priced_traces"] if self._is_priced(row) else 0)
        if metric == "failed_calls":
            has_calls = any(other["calls"] for other in self._rows.values())
            return row["failed_calls"] / row["traces"] if has_calls else None
        return float(row["mean"])


_TOKENS: Final = ("input", "output", "cache_read", "cache_write", "reasoning")


def _is_known(row: Row, metric: str) -> bool:
    known = {"tokens.input_per_trace": "said_traces", "tokens.output_per_trace": "said_traces"}
    which = {**known, "cost_usd_per_trace": "priced_traces"}.get(metric, "traces")
    return bool(row[which] >= (1 - _MOST_UNKNOWN) * row["traces"])


def _each(total: float, number: int) -> float | None:
    return total / number if number else None


def _latency(quantiles: Any, mean: float) -> LatencyMs:
    return LatencyMs(
        **{name: quantile[0] for name, quantile in zip(_QUANTILES, quantiles, strict=True)},
        mean=mean,
    )


def _conversations(row: Row, is_priced: bool) -> Conversations | None:
    count = row["conversations"]
    if not count:
        return None
    return Conversations(
        count=count,
        turns=row["turns"] / count,
        cost_usd=row["turns_cost"] / count if is_priced else None,
        latency_ms=row["turns_ns"] / 1e6 / count,
    )


def _matches(base: Scores, candidate: Scores) -> dict[str, Match]:
    return {name: match(base.get(name, ()), candidate.get(name, ())) for name in sorted({*base, *candidate})}


def _measured(scope: Scope, model_ids: Sequence[str], *, is_plain: bool) -> Query:
    """One row for each version, with the tests of its values against those of the first version that has traces."""
    traces = measuring.traces(scope, is_plain=is_plain)
    names = ", ".join(_VALUES)
    counts = [*_COUNTS.values(), "is_entangled" if is_plain else "0"]
    sql = f"""
        -- The first version is tested against nothing.
        SELECT row.1 AS version, row.2 AS counts, row.8 AS conversations, row.3 AS own,
            row.4 AS quantiles, row.5 AS mean,
            row.6 AS chunk_quantiles, row.7 AS chunk_mean,
            arrayResize(rows[if(place = 1, 0, 1)].3, length(own)) AS base
        FROM (
            SELECT arraySort(row -> indexOf({{model_ids:Array(String)}}, row.1),
                groupArray((version, counts, all_values, quantiles, mean, chunk_quantiles, chunk_mean,
                    conversations))) AS rows
            FROM (
                SELECT version, counts, conversations, [{names}] AS all_values, {_quantiles("latencies")} AS quantiles,
                    arrayAvg(latencies) AS mean, {_quantiles("chunks")} AS chunk_quantiles,
                    arrayAvg(chunks) AS chunk_mean
                FROM (
                    SELECT toString(version) AS version,
                        arraySort(groupArrayArray(arrayMap((start, end) -> (end - start) / 1e6,
                            entries.start, entries.end))) AS latencies,
                        groupArrayIf(input / length(entries), unsaid = 0) AS inputs,
                        groupArrayIf(output / length(entries), unsaid = 0) AS outputs,
                        groupArrayIf(cost / length(entries), {UNKNOWN_COST} = 0) AS costs,
                        groupArray(failed_calls / length(entries)) AS failures,
                        arraySort(groupArrayArray(arrayMap(one -> one * 1000., traces.chunks))) AS chunks,
                        sumForEach([{", ".join(f"toFloat64({one})" for one in counts)}]) AS counts,
                        uniqExactIf(conversation, conversation != 0) AS conversations
                    FROM ({traces.sql}) AS traces
                    GROUP BY version
                )
            )
        )
        ARRAY JOIN rows AS row, arrayEnumerate(rows) AS place"""
    for step in (_VARY, f"{_WELCH}, {_RANK} AS ranks"):
        sql = f"SELECT {step} FROM ({sql})"
    sql = f"""
        SELECT version, counts, conversations, welch,
            quantiles, mean, chunk_quantiles, chunk_mean, length(own[{_VALUES.index("chunks") + 1}]) AS chunks,
            ranks[1] AS rank_latencies, ranks[2] AS rank_chunks
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
    AND (arrayMin(before) < arrayMax(before) OR arrayMin(after) < arrayMax(after)), base, own) AS vary"""
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
    [base[1], base[6]], [own[1], own[6]], [vary[1], vary[6]])"""


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
    return _quantiles_differ(
        "latency_ms",
        (base["quantiles"], candidate["quantiles"]),
        (base["traces"], candidate["traces"]),
        _values(candidate["rank_latencies"]),
    )


def _chunk_differences(base: Row, candidate: Row) -> dict[str, Difference]:
    sizes = (base["chunks"], candidate["chunks"])
    found = _quantiles_differ(
        "first_chunk_ms",
        (base["chunk_quantiles"], candidate["chunk_quantiles"]),
        sizes,
        _values(candidate["rank_chunks"]),
    )
    means = [base["chunk_mean"], candidate["chunk_mean"]]
    found["first_chunk_ms.mean"] = _tested(candidate["welch_chunks"], means, _enough(*sizes))
    return found


def _quantiles_differ(
    name: str, quantiles: tuple[Any, Any], sizes: tuple[int, int], rank_test: tuple[float, ...]
) -> dict[str, Difference]:
    found = {}
    u_statistic, rank_p_value = rank_test
    # Of all pairs, the part where the candidate's value is higher less the part where it is lower.
    effect_size = 1 - 2 * u_statistic / (sizes[0] * sizes[1])
    for place, which in enumerate(_QUANTILES):
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


def _tested(test: Any, means: Sequence[float | None], is_enough: bool) -> Difference:
    """The difference of two means, from the result of Welch's test, which says base less candidate."""
    _, p_value, low, high, *_ = _values(test)
    base_mean, mean = means
    if not is_enough or base_mean is None or mean is None:
        return statistics.difference(base_mean, mean)
    interval = (-high, -low)
    if math.isnan(p_value):  # neither side varies
        interval, p_value = (mean - base_mean, mean - base_mean), float(mean == base_mean)
    return statistics.difference(base_mean, mean, interval=interval, p_value=p_value)


def _values(row: Any) -> tuple[float, ...]:
    return tuple(row.values()) if isinstance(row, Mapping) else tuple(row)
