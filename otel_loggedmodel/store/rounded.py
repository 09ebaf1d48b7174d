# SPDX-License-Identifier: Apache-2.0
"""What `samples` finds, of so many traces that the engine would need too much memory to hold a value of each.

Sums are exact. Latencies are rounded to four digits, and counted by value: they are off by 0.05 % at most, and so are
quantiles and their limits. Whatever number of traces there is, there are some ten thousand such values. The number of
conversations is estimated if units are no conversations.

Values of one trace, and of one conversation, are put together on disk where there are more than memory takes
(`measuring.BOUNDED`).

If traces are not just units that count once, there are three queries: for the sums; for the values, as the share of a
stratum has to be known to weigh them; and for what each unit has below each quantile, as the limits follow from it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.store import histograms, measuring, samples
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.design import Design
from otel_loggedmodel.store.histograms import Histogram, Limits, Tally
from otel_loggedmodel.store.measuring import BOUNDED
from otel_loggedmodel.store.scope import Query, Scope

MOST_EXACT: Final = 400_000
"""Up to so many traces of all versions that are compared, each value is held."""
ERROR: Final = 0.0005
"""How far a rounded value may be from the value, as a part of it."""

_NS: Final = 1e6  # of a millisecond
_LEVELS: Final = tuple(samples.QUANTILES.values())
# The columns of values that have quantiles: what these are called, those of all values and those within strata.
_RESULTS: Final = {"durations": ("quantiles", "within"), "firsts": ("chunk_quantiles", "chunks_within")}
# Where the number of the values is among the sums.
_PLACES: Final = {"durations": samples.VALUES.index("latencies"), "firsts": samples.VALUES.index("chunks")}
# Makes one number of a version's place and a stratum, in 64 bits.
_SPREAD: Final = 0xC2B2AE3D27D4EB4F

Row = Mapping[str, Any]
# By the version's place and the stratum: what the weight of a value counts there, so that the stratum has its share.
Parts = Mapping[tuple[int, int], float]


def rows(database: Database, scope: Scope, design: Design) -> dict[str, dict[str, Any]]:
    """One row for each version that has traces, by its id; as `samples.rows` has it.

    Args:
        database: Where.
        scope: Which versions, and which of their traces.
        design: What is independent, what counts how often, and what is compared within which parts.
    """
    build = _sums if design.is_complex else _all
    found, way = measuring.answer_and_way(database, scope, lambda traces: build(traces, design), settings=BOUNDED)
    if design.is_complex:
        traces = _traces(measuring.traces(scope, way=way), design)
        quantiles = _of_units(database, scope.model_ids or (), traces, design, found)
    else:
        quantiles = {row["version"]: _of_traces(row) for row in found}
    return {row["version"]: samples.named({**row, **quantiles[row["version"]]}) for row in found}


def notes(design: Design, *, has_conversations: bool) -> Iterator[str]:
    """What a reader of those rows has to know."""
    yield (
        f"These versions have more than {MOST_EXACT:,} traces: latencies were rounded to four digits to be counted, so"
        f" that quantiles and their limits are off by {100 * ERROR:g} % at most. Means and rates are exact."
    )
    if has_conversations and _is_estimated(design):
        yield "The number of conversations is estimated, and may be off by some 2 %."


def _is_estimated(design: Design) -> bool:
    """Whether the number of conversations is not exact: where they are the units, it is."""
    return "conversation != 0" not in design.unit


def _rounded(name: str) -> str:
    """An array of ms as ns of four digits, as SQL."""
    digits = f"3 - toInt8(floor(log10(greatest(one * {_NS}, 1.))))"
    return f"arrayMap(one -> toUInt64(round(one * {_NS}, {digits})), {name})"


def _counted(name: str, weights: str) -> str:
    """How often each of the values in arrays comes, as SQL of an aggregate function."""
    return f"sumMap(CAST(({name}, {weights}), 'Map(UInt64, Float64)'))"


def _traces(traces: Query, design: Design) -> Query:
    """The rows of `samples.values` with rounded values."""
    found = samples.values(traces, design)
    values = ", ".join(f"{_rounded(name)} AS {name}" for name in _RESULTS)
    return Query(f"SELECT * REPLACE ({values}) FROM ({found.sql})", found.parameters)


def _histogram(row: Row, name: str) -> Histogram:
    return Histogram(row[f"values_{name}"], row[f"count_{name}"])


def _quantile(histogram: Histogram, level: float, limits: Callable[[float], Limits]) -> tuple[float | None, ...]:
    if not histogram.count:
        return (0.0, None, None)
    return (histogram.at(level) / _NS, *(None if one is None else one / _NS for one in limits(level)))


# Traces that are units of their own, and count once


def _all(traces: Query, design: Design) -> Query:
    """All that there is of traces that are units of their own and count once."""
    found = _traces(traces, design)
    histogram = ", ".join(
        f"{_counted(name, f'arrayWithConstant(length({name}), 1.)')} AS values_{name},"
        f" sum(length({name})) AS count_{name}"
        for name in _RESULTS
    )
    return Query(
        f"""
        SELECT *, [(toUInt64(0), sums, most)] AS strata, counts[-1] AS entangled
        FROM (
            SELECT version, sumForEach(counts) AS counts,
                uniqCombined64If(17)(conversation, conversation != 0) AS conversations,
                min(earliest) AS first, max(latest) AS last, {histogram}, {samples.MOMENTS}
            FROM ({found.sql}) GROUP BY version
        )""",
        found.parameters,
    )


def _of_traces(row: Row) -> dict[str, Any]:
    found = {}
    for name, (result, _) in _RESULTS.items():
        histogram = _histogram(row, name)
        found[result] = [_quantile(histogram, level, histogram.by_ranks) for level in _LEVELS]
    return found


# Units, weights and strata


def _sums(traces: Query, design: Design) -> Query:
    """What is added up over units, by stratum."""
    found = samples.values(traces, design)
    talks, together = "sum(length(talks))", "sum(talks)"
    if _is_estimated(design):
        talks, together = "uniqCombined64ArrayState(14)(talks)", "uniqCombined64ArrayMerge(14)(talks)"
    return Query(
        f"""
        SELECT version, sumForEach(counts) AS counts, counts[-1] AS entangled, {together} AS conversations,
            min(first) AS first, max(last) AS last, groupArray((stratum, sums, most)) AS strata
        FROM (
            SELECT version, stratum, sumForEach(counts) AS counts, {talks} AS talks, min(first) AS first,
                max(last) AS last, {samples.MOMENTS}
            FROM (
                SELECT version, unit, argMin(stratum, earliest) AS stratum, sumForEach(counts) AS counts,
                    groupUniqArrayIf(conversation, conversation != 0) AS talks, min(earliest) AS first,
                    max(latest) AS last, sumForEach(arrayMap(one -> one * weight, parts)) AS parts
                FROM ({found.sql}) GROUP BY version, unit
            )
            GROUP BY version, stratum
        )
        GROUP BY version""",
        found.parameters,
    )


def _of_units(
    database: Database, model_ids: Sequence[str], traces: Query, design: Design, found: Sequence[Row]
) -> dict[str, dict[str, Any]]:
    """The quantiles of each version, in whose limits units count."""
    parts = {name: _parts(design, place, model_ids, found) for name, place in _PLACES.items()}
    values = _values(traces, design, model_ids, parts)
    lists: dict[str, dict[str, Histogram]] = {
        row["version"]: {
            result: _histogram(row, result)
            for results in _RESULTS.values()
            for result in results[: 1 + bool(design.strata)]
        }
        for row in database.query(values.sql, values.parameters, BOUNDED)
    }
    tallied = _tallied(traces, design, lists)
    tallies: dict[str, list[Row]] = defaultdict(list)
    for row in database.query(tallied.sql, tallied.parameters, BOUNDED):
        tallies[row["version"]].append(row)
    quantiles: dict[str, dict[str, Any]] = {}
    for version, histograms_of in lists.items():
        place = model_ids.index(version)
        quantiles[version] = {}
        for name, results in _RESULTS.items():
            for result in results:
                if result not in histograms_of:
                    continue
                counted = [
                    (row, parts[name].get((place, row["stratum"]), 0.0) if result == results[1] else 1.0)
                    for row in tallies[version]
                ]
                quantiles[version][result] = _limited(name, result, histograms_of[result], counted)
    return quantiles


def _parts(design: Design, place: int, model_ids: Sequence[str], found: Sequence[Row]) -> Parts:
    return {
        (model_ids.index(row["version"]), stratum): design.strata[stratum] / sums[place]
        for row in found
        for stratum, sums, _ in row["strata"]
        if design.strata.get(stratum, 0.0) > 0 and sums[place] > 0
    }


def _by_unit(traces: str, design: Design, columns: Mapping[str, tuple[str, str]]) -> str:
    """One row for each unit, with columns that follow from its traces, as SQL.

    Args:
        traces: The query of traces.
        design: What is a unit.
        columns: What a column is of one trace, and the aggregate function for those of several, by its name.
    """
    if design.units == "trace":
        own = ", ".join(f"{one} AS {name}" for name, (one, _) in columns.items())
        return f"SELECT version, stratum, {own} FROM ({traces})"
    several = ", ".join(f"{function}({one}) AS {name}" for name, (one, function) in columns.items())
    return f"""
        SELECT version, argMin(stratum, earliest) AS stratum, {several} FROM ({traces}) GROUP BY version, unit"""


def _values(traces: Query, design: Design, model_ids: Sequence[str], parts: Mapping[str, Parts]) -> Query:
    """How often each value comes in each version, and how often within strata."""
    parameters = dict(traces.parameters)
    columns = {}
    for name in _RESULTS:
        columns[f"own_{name}"] = (name, "groupArrayArray")
        columns[f"weights_{name}"] = (f"arrayWithConstant(length({name}), toFloat64(weight))", "groupArrayArray")
    selected = []
    for name, (result, within) in _RESULTS.items():
        own, weights = f"own_{name}", f"weights_{name}"
        selected += [f"{_counted(own, weights)} AS values_{result}", f"sum(length({own})) AS count_{result}"]
        if design.strata:
            parameters[f"cells_{name}"] = [_cell(*cell) for cell in parts[name]]
            parameters[f"parts_{name}"] = list(parts[name].values())
            parameters["compared"] = list(model_ids)
            part = (
                f"transform(bitXor(stratum, toUInt64(indexOf({{compared:Array(String)}}, version) - 1) * {_SPREAD}),"
                f" {{cells_{name}:Array(UInt64)}}, {{parts_{name}:Array(Float64)}}, 0.)"
            )
            selected += [
                f"{_counted(own, f'arrayMap(one -> one * {part}, {weights})')} AS values_{within}",
                f"sumIf(length({own}), {part} > 0) AS count_{within}",
            ]
    return Query(
        f"SELECT version, {', '.join(selected)} FROM ({_by_unit(traces.sql, design, columns)}) GROUP BY version",
        parameters,
    )


def _cell(place: int, stratum: int) -> int:
    return stratum ^ (place * _SPREAD) % 2**64


def _tallied(traces: Query, design: Design, lists: Mapping[str, Mapping[str, Histogram]]) -> Query:
    """For each version and stratum what `Tally` is made of, at each quantile."""
    parameters = dict(traces.parameters)
    columns = {}
    selected = []
    for name, results in _RESULTS.items():
        cases = []
        for place, (version, histograms_of) in enumerate(lists.items()):
            parameters[f"version_{place}"] = version
            parameters[f"points_{name}_{place}"] = [
                histograms_of[result].at(level) if histograms_of[result].count else 0.0
                for result in results
                if result in histograms_of
                for level in _LEVELS
            ]
            cases.append(f"version = {{version_{place}:String}}, {{points_{name}_{place}:Array(Float64)}}")
        below = f"toFloat64(weight) * arrayCount(one -> one <= point, {name})"
        columns[f"whole_{name}"] = (f"toFloat64(weight) * length({name})", "sum")
        columns[f"below_{name}"] = (f"arrayMap(point -> {below}, multiIf({', '.join(cases)}, []))", "sumForEach")
        selected.append(
            f"toFloat64(countIf(whole_{name} > 0)) AS units_{name}, sum(whole_{name}) AS total_{name},"
            f" sum(whole_{name} * whole_{name}) AS squared_{name}, sumForEach(below_{name}) AS belows_{name},"
            f" sumForEach(arrayMap(one -> one * one, below_{name})) AS squares_{name},"
            f" sumForEach(arrayMap(one -> one * whole_{name}, below_{name})) AS products_{name}"
        )
    return Query(
        f"SELECT version, stratum, {', '.join(selected)} FROM ({_by_unit(traces.sql, design, columns)})"
        " GROUP BY version, stratum",
        parameters,
    )


def _limited(
    name: str, result: str, histogram: Histogram, counted: Sequence[tuple[Row, float]]
) -> list[tuple[float | None, ...]]:
    """The quantiles of a version with their limits.

    Args:
        name: Of what, one of `_RESULTS`.
        result: What they are called.
        histogram: The values.
        counted: What is known of each stratum, and the part that counts of a weight in it.
    """
    first = _RESULTS[name].index(result) * len(_LEVELS)

    def limits(level: float) -> Limits:
        tallies = (_tally(row, name, first + _LEVELS.index(level)).times(part) for row, part in counted if part > 0)
        return histogram.by_shares(level, histograms.error(level, tallies))

    return [_quantile(histogram, level, limits) for level in _LEVELS]


def _tally(row: Row, name: str, place: int) -> Tally:
    return Tally(
        row[f"units_{name}"],
        row[f"belows_{name}"][place],
        row[f"total_{name}"],
        row[f"squares_{name}"][place],
        row[f"products_{name}"][place],
        row[f"squared_{name}"],
    )
