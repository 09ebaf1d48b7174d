# SPDX-License-Identifier: Apache-2.0
"""What there is of the traces of each version: sums over independent units, and quantiles with their limits.

Every value is read, sorted and added up in ClickHouse; a few dozen numbers come out of it. What they come to is in
`estimates` and `differences`.

The usual case is simple: each trace is a unit of its own and counts once. Where traces belong together (`units`), count
more than once (`weights`), or are compared within parts of the traffic (`strata`), a `Design` says so. The limits of
quantiles then follow from those of the share of values below, which is a ratio of sums over units (Woodruff, 1952,
"Confidence intervals for medians and other position measures").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_loggedmodel.store import measuring, statistics
from otel_loggedmodel.store.adding import UNKNOWN_COST
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.design import SIMPLE, Design
from otel_loggedmodel.store.estimates import Moments
from otel_loggedmodel.store.scope import Query, Scope

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
# What is added up over units, as `Moments` has it: `x` and `y` of one trace.
_SUMS: Final = {
    "failures": ("toFloat64(entered)", "toFloat64(failures)"),
    "latencies": ("toFloat64(length(durations))", "arraySum(durations)"),
    "inputs": ("if(unsaid = 0, toFloat64(entered), 0.)", "if(unsaid = 0, toFloat64(input), 0.)"),
    "outputs": ("if(unsaid = 0, toFloat64(entered), 0.)", "if(unsaid = 0, toFloat64(output), 0.)"),
    "costs": (f"if({UNKNOWN_COST} = 0, toFloat64(entered), 0.)", f"if({UNKNOWN_COST} = 0, cost, 0.)"),
    "failed_calls": ("toFloat64(entered)", "toFloat64(failed_calls)"),
    "chunks": ("toFloat64(length(firsts))", "arraySum(firsts)"),
}
VALUES: Final = tuple(_SUMS)
# What is counted over the traces of a version.
_SUMMED: Final = (
    *("input", "output", "cache_read", "cache_write", "reasoning", "cost", "said", "priced", "unpriced"),
    *("unsaid", "unsaid_embeddings", "uncached", "uncosted", "mute"),
    *("odd", "calls", "failed_calls", "tool_calls", "doubled"),
)
_COUNTS: Final = {
    "traces": "entered",
    "errors": "failures",
    "cut_off": "cut_off",
    **{name: name for name in _SUMMED},
    # How many traces there are of which all tokens, or all costs, are known.
    "said_traces": "if(unsaid = 0, entered, 0)",
    "priced_traces": f"if({UNKNOWN_COST} = 0, entered, 0)",
    "turns": "if(conversation = 0, 0, entered)",
    "turns_cost": "if(conversation = 0, 0, cost)",
    "turns_ns": "if(conversation = 0, 0, spent)",
    "untimed": "entered - length(durations)",
    "unweighted": "toUInt8(is_unweighted)",
}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Quantile:
    """A quantile and its 95 % confidence limits; None where the values are too few for one."""

    value: float
    low: float | None
    high: float | None


def rows(
    database: Database, scope: Scope, model_ids: Sequence[str], design: Design = SIMPLE
) -> dict[str, dict[str, Any]]:
    """One row for each version that has traces, by its id.

    Besides the counts, by name, a row has `moments` (by the name of what is added up), `strata` (the same for each
    stratum), `quantiles` and `chunk_quantiles`. With strata, `within` and `chunks_within` are the same quantiles where
    each stratum has the share that the design gives it.

    Args:
        database: Where.
        scope: Which of their traces.
        model_ids: The versions, in order.
        design: What is independent, what counts how often, and what is compared within which parts.
    """
    found = measuring.answer(database, scope, lambda traces: _measured(traces, design))
    return {row["version"]: named(row) for row in found}


def named(row: Row) -> dict[str, Any]:
    """A row of a query, with its counts and sums by name.

    Naming them in SQL would take ClickHouse longer than all the rest.
    """
    strata: dict[int, dict[str, Moments]] = {int(code): _moments(sums, most) for code, sums, most in row["strata"]}
    together = {name: sum((found[name] for found in strata.values()), Moments()) for name in VALUES}
    counts = zip((*_COUNTS, "entangled"), row["counts"], strict=True)
    return {
        **{name: row[name] for name in ("version", "conversations", "first", "last")},
        **{name: _number(name, total) for name, total in counts},
        "moments": together,
        "strata": strata,
        "quantiles": _quantiles_of(row["quantiles"]),
        "chunk_quantiles": _quantiles_of(row["chunk_quantiles"]),
        "within": _quantiles_of(row.get("within", ())),
        "chunks_within": _quantiles_of(row.get("chunks_within", ())),
    }


def _moments(sums: Sequence[float], most: Sequence[float]) -> dict[str, Moments]:
    size = len(VALUES)
    x, y, xx, xy, yy, units, hits = (sums[start : start + size] for start in range(0, 7 * size, size))
    return {
        name: Moments(x[at], y[at], xx[at], xy[at], yy[at], round(units[at]), most[at], round(hits[at]))
        for at, name in enumerate(VALUES)
    }


def _quantiles_of(found: Sequence[Any]) -> list[Quantile]:
    return [Quantile(*(tuple(one.values()) if isinstance(one, Mapping) else tuple(one))) for one in found]


def _number(name: str, total: float) -> float:
    return total if "cost" in name else round(total)


def values(traces: Query, design: Design) -> Query:
    """One row for each trace: `version`, `trace`, `unit`, `stratum`, `weight`, and what there is of it.

    `parts` are what is added up, first what it is for each of and then how much there is of it, in the order of
    `VALUES`; `durations` and `firsts` are those of its entry spans and chunks, in ms; `counts` are what is counted, and
    last how many traces are not plain.
    """
    parameters = {**traces.parameters, **design.parameters}
    counts = [*_COUNTS.values(), "is_entangled"]
    durations = "arrayMap(one -> one / 1e6, took)"
    if design.broken.sql:
        # If a span ends before it begins, nobody knows how long it took.
        durations = f"arrayFilter(one -> one > 0 OR trace NOT IN ({design.broken.sql}), {durations})"
        parameters.update(design.broken.parameters)
    rows = traces.sql
    if design.marks.sql:
        rows = f"SELECT * FROM ({rows}) AS traces LEFT JOIN ({design.marks.sql}) AS marks USING (trace)"
        parameters.update(design.marks.parameters)
    sums = [of for side in zip(*_SUMS.values(), strict=True) for of in side]
    sql = f"""
        SELECT toString(version) AS version, trace, earliest, latest, conversation, {design.unit} AS unit,
            {design.stratum} AS stratum, {design.weight} AS weight, {design.is_unweighted} AS is_unweighted,
            {durations} AS durations, arrayMap(one -> one * 1000., traces.chunks) AS firsts,
            [{", ".join(sums)}] AS parts, [{", ".join(f"toFloat64({one})" for one in counts)}] AS counts
        FROM ({rows}) AS traces"""
    return Query(sql, parameters)


def _measured(traces: Query, design: Design) -> Query:
    """One row for each version."""
    found = values(traces, design)
    sql = (_by_unit if design.is_complex else _by_trace)(found.sql, design)
    return Query(f"SELECT *, counts[-1] AS entangled FROM ({sql})", found.parameters)


_HALF: Final = len(_SUMS)
# Over units: sums of x and y, of their squares and products, and how many have any of either.
MOMENTS: Final = f"""\
sumForEach(arrayConcat(parts, arrayMap(x -> x * x, arraySlice(parts, 1, {_HALF})),
    arrayMap((x, y) -> x * y, arraySlice(parts, 1, {_HALF}), arraySlice(parts, {_HALF + 1})),
    arrayMap(y -> y * y, arraySlice(parts, {_HALF + 1})),
    arrayMap(one -> toFloat64(one > 0), parts))) AS sums,
    maxForEach(arraySlice(parts, {_HALF + 1})) AS most"""


def _by_trace(traces: str, design: Design) -> str:
    """Where each trace is a unit of its own, and counts once."""
    return f"""
        SELECT version, counts, conversations, first, last, [(toUInt64(0), sums, most)] AS strata,
            {_quantiles("sorted_durations")} AS quantiles, {_quantiles("sorted_firsts")} AS chunk_quantiles
        FROM (
            SELECT version, sumForEach(counts) AS counts, uniqExactIf(conversation, conversation != 0) AS conversations,
                min(earliest) AS first, max(latest) AS last,
                arraySort(groupArrayArray(durations)) AS sorted_durations,
                arraySort(groupArrayArray(firsts)) AS sorted_firsts,
                {MOMENTS}
            FROM ({traces}) GROUP BY version
        )"""


def _by_unit(traces: str, design: Design) -> str:
    """Where traces belong together, count differently, or are compared within strata."""
    shares = "transform(stratum, {strata:Array(UInt64)}, {shares:Array(Float64)}, 0.)"
    units = f"""
            SELECT version, unit, argMin(stratum, earliest) AS stratum, sumForEach(counts) AS counts,
                groupUniqArrayIf(conversation, conversation != 0) AS conversations,
                min(earliest) AS first, max(latest) AS last,
                sumForEach(arrayMap(one -> one * weight, parts)) AS parts,
                groupArrayArray(arrayMap(one -> (one, weight), durations)) AS durations,
                groupArrayArray(arrayMap(one -> (one, weight), firsts)) AS firsts
            FROM ({traces}) GROUP BY version, unit"""
    strata = f"""
            SELECT version, stratum, sumForEach(counts) AS counts, groupUniqArrayArray(conversations) AS talks,
                min(first) AS first, max(last) AS last, {MOMENTS},
                groupArray(durations) AS durations, groupArray(firsts) AS firsts
            FROM ({units}) GROUP BY version, stratum"""
    parts = "stratum, sums, most, durations, firsts"
    if design.strata:
        # Each stratum counts with its share in the design, whatever share it has of the version's own units.
        strata = f"""
            SELECT *, {_shared("durations", VALUES.index("latencies"))} AS shared_durations,
                {_shared("firsts", VALUES.index("chunks"))} AS shared_firsts
            FROM (SELECT *, {shares} AS share FROM ({strata}))"""
        parts += ", shared_durations, shared_firsts"
    sql = f"""
        SELECT version, counts, conversations, first, last, arrayMap(one -> (one.1, one.2, one.3), tuples) AS strata,
            {", ".join(f"arrayMap(one -> one.{place}, tuples) AS {name}" for place, name in _lists(design))}
        FROM (
            SELECT version, sumForEach(counts) AS counts, uniqExactArray(talks) AS conversations, min(first) AS first,
                max(last) AS last, groupArray(({parts})) AS tuples
            FROM ({strata}) GROUP BY version
        )"""
    named = ", ".join(f"arraySort(arrayFlatten({name})) AS sorted_{name}" for _, name in _lists(design))
    cumulated = ", ".join(f"arrayCumSum(one -> one.2, sorted_{name}) AS cumulated_{name}" for _, name in _lists(design))
    quantiles = ", ".join(f"{points(name)} AS points_{name}" for _, name in _lists(design))
    tallies = ", ".join(f"{_tallies(name)} AS tallies_{name}" for _, name in _lists(design))
    errors = ", ".join(f"{_errors(name)} AS errors_{name}" for _, name in _lists(design))
    limits = ", ".join(f"{_limits(name)} AS {_RESULTS[name]}" for _, name in _lists(design))
    for step in (named, cumulated, quantiles, tallies, errors):
        sql = f"SELECT *, {step} FROM ({sql})"
    return f"SELECT version, counts, conversations, first, last, strata, {limits} FROM ({sql})"


_RESULTS: Final = {
    "durations": "quantiles",
    "firsts": "chunk_quantiles",
    "shared_durations": "within",
    "shared_firsts": "chunks_within",
}


def _lists(design: Design) -> list[tuple[int, str]]:
    """Where values are in the tuple of a stratum, and what they are called."""
    names = list(_RESULTS) if design.strata else list(_RESULTS)[:2]
    return list(enumerate(names, 4))


def _shared(name: str, place: int) -> str:
    """The values of the units of a stratum, each with its part of the stratum's share."""
    part = f"if(sums[{place + 1}] > 0, share / sums[{place + 1}], 0.)"
    return (
        f"if(share > 0, arrayMap(unit -> arrayMap(one -> (one.1, one.2 * {part}), unit), {name}),"
        " CAST([] AS Array(Array(Tuple(Float64, Float64)))))"
    )


def points(name: str) -> str:
    """Quantiles of a sorted array of values with weights; with equal weights those of NumPy."""
    values, cumulated = f"sorted_{name}", f"cumulated_{name}"
    # The position of a value is the weight below it, in parts of all other weight.
    at = f"({cumulated}[{{0}}] - {values}[{{0}}].2) / greatest({cumulated}[-1] - {values}[{{0}}].2, 1e-300)"
    place = (
        f"arrayFirstIndex((one, total) -> total - one.2 >= level * ({cumulated}[-1] - one.2), {values}, {cumulated})"
    )
    # Where rounding leaves none, it is the last.
    found = f"arrayMap(level -> (level, if({place} = 0, length({values}), {place})), {list(QUANTILES.values())})"
    below, above = at.format("greatest(pair.2, 2) - 1"), at.format("pair.2")
    first, last = f"{values}[greatest(pair.2, 2) - 1].1", f"{values}[pair.2].1"
    return (
        f"arrayMap(pair -> (pair.1, if(pair.2 <= 1, {values}[1].1, {first} + ({last} - {first})"
        f" * least(greatest((pair.1 - {below}) / greatest({above} - {below}, 1e-300), 0.), 1.))), {found})"
    )


def _tallies(name: str) -> str:
    """For each quantile and stratum: sums over units of what they have below it, of all they have, and of squares."""
    pairs = "arrayMap(unit -> (arraySum(one -> if(one.1 <= point.2, one.2, 0.), unit), arraySum(one -> one.2, unit)),\
        arrayFilter(unit -> notEmpty(unit), units))"
    return f"""\
arrayMap(point -> (point.1, point.2, arrayMap(units -> arrayReduce('sumForEach', arrayConcat([[0., 0., 0., 0., 0., 0.]],
    arrayMap(pair -> [1., pair.1, pair.2, pair.1 * pair.1, pair.1 * pair.2, pair.2 * pair.2], {pairs}))), {name})),
    points_{name})"""


def _errors(name: str) -> str:
    """For each quantile how far its limits are from it, in shares of the values.

    Where many values are equal, the share below a quantile is not its level, and varies less: the design effect is that
    of the share, and the variance that of the level. Where all values are equal, each unit counts as one.
    """
    squares = """\
arraySum(s -> if(s[3] > 0, greatest(0., s[4] - 2 * s[2] / s[3] * s[5] + s[2] / s[3] * s[2] / s[3] * s[6])
        * if(s[1] > 1, s[1] / (s[1] - 1), 1.), 0.), tally.3)"""
    inner = f"""\
arrayMap(tally -> (tally.1, tally.2, {squares}, arraySum(s -> s[2], tally.3), arraySum(s -> s[3], tally.3),
        arraySum(s -> s[1], tally.3)), tallies_{name})"""
    share, units = "(one.4 / one.5)", "greatest(one.6 - 1, 4)"
    variance = f"if({share} < 1 - 1e-9, one.3 / (one.5 * one.5) / ({share} * (1 - {share})), 1. / one.6)"
    critical = f"({statistics.Z} + {(statistics.Z**3 + statistics.Z) / 4} / {units})"
    return (
        f"arrayMap(one -> (one.1, one.2, {critical} * sqrt(greatest({variance}, 0.) * one.1 * (1 - one.1))), {inner})"
    )


def _limits(name: str) -> str:
    """Quantiles with their limits: the values at the ends of the interval of the share of values below."""
    values, total = f"sorted_{name}", f"cumulated_{name}[-1]"
    place = f"arrayFirstIndex(one -> one >= {{0}} * {total} * (1 - 1e-12), cumulated_{name})"
    low, high = "(point.1 - point.3)", "(point.1 + point.3)"
    return (
        f"arrayMap(point -> (point.2, if({low} > 0, {values}[{place.format(low)}].1, NULL),"
        f" if({high} <= 1, {values}[{place.format(high)}].1, NULL)), errors_{name})"
    )


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
        f" if({high} <= length({values}), {values}[toInt64({high})], NULL)), {list(QUANTILES.values())})"
    )
