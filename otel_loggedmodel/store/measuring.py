# SPDX-License-Identifier: Apache-2.0
"""The SQL that makes one row of each trace of each version; what is listed and compared is made of these rows.

Three things are settled here, once:

- which spans count for a version: those that carry its id, or an id that stands for it (`catalogue`);
- what a trace is: an entry span that is not inside another entry span of the same version and trace. A scope within a
  process that has the same version as default makes such an inner one, and so does a second service of one version;
- how tokens and costs add up: agents and wrappers repeat what the calls below them used. A span that sums up others
  counts with what is more, its own number or that of the calls within it.

Spans may be stored more than once, as a sender that was not answered sends again; copies count once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from typing import Any, Final

from otel_loggedmodel.store import conventions_sql, pricing, schema
from otel_loggedmodel.store.catalogue import Alias
from otel_loggedmodel.store.reading import EVERYTHING, Selection

# How long before and after the time that was asked for the spans of a trace may begin that began in it.
_BEFORE: Final = timedelta(hours=1)
_AFTER: Final = timedelta(days=1)

START: Final = "toUnixTimestamp64Nano(Timestamp)"
# A span that ended before it began has a huge duration, as the Collector subtracts without sign.
_END: Final = f"{START} + greatest(0, toInt64(Duration))"
# On the entry span of a row of a data set, and on results.
DATASET: Final = "logged_model.evaluation.dataset"
DATASET_NAME: Final = "logged_model.evaluation.dataset_name"
FAILED: Final = conventions_sql.FAILED


@dataclass(frozen=True)
class Query:
    """A piece of SQL and its parameters."""

    sql: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scope:
    """Which spans a question is about.

    Attributes:
        columns: How queries write our columns.
        aliases: The ids that stand for a version, by `since_ns`; all of every alias that matters.
        model_ids: The versions; None for all.
        selection: Which traces.
        prices: Of the models that were called.
        trace_ids: Of these traces only.
        has_unclaimed: Whether there are results of evaluations that name no version.
    """

    columns: schema.Columns
    aliases: Sequence[Alias] = ()
    model_ids: Sequence[str] | None = None
    selection: Selection = EVERYTHING
    prices: dict[str, tuple[pricing.Prices, ...]] = field(default_factory=dict)
    trace_ids: Sequence[str] | None = None
    has_unclaimed: bool = False

    @property
    def version(self) -> Query:
        """The version that a span counts for."""
        return self.version_of(self.columns["LoggedModelId"], START)

    def version_of(self, model_id: str, start_ns: str) -> Query:
        """The version that an id stands for at some time, both as SQL."""
        if not self.aliases:
            return Query(model_id)
        place = (
            f"arrayLastIndex((alias, since) -> alias = {model_id} AND since <= {start_ns},"
            " {alias_ids:Array(String)}, {alias_since:Array(Int64)})"
        )
        return Query(
            f"if({model_id} IN {{alias_ids:Array(String)}} AND {place} > 0,"
            f" {{alias_targets:Array(String)}}[{place}], toString({model_id}))",
            {
                "alias_ids": [alias.alias for alias in self.aliases],
                "alias_since": [alias.since_ns for alias in self.aliases],
                "alias_targets": [alias.model_id for alias in self.aliases],
            },
        )

    @property
    def spans(self) -> Query:
        """The condition on spans that may count, entry spans or not: by version, time and trace."""
        conditions: list[str] = []
        parameters: dict[str, Any] = {}
        if self.model_ids is None:
            conditions.append(f"{self.columns['LoggedModelId']} != ''")
        else:
            conditions.append(f"{self.columns['LoggedModelId']} IN {{ids:Array(String)}}")
            parameters["ids"] = sorted({*self.model_ids, *(alias.alias for alias in self.aliases)})
        if self.selection.since is not None:
            conditions.append("Timestamp >= {from:DateTime64(9, 'UTC')}")
            parameters["from"] = self.selection.since.astimezone(timezone.utc) - _BEFORE
        if self.selection.until is not None:
            conditions.append("Timestamp < {to:DateTime64(9, 'UTC')}")
            parameters["to"] = self.selection.until.astimezone(timezone.utc) + _AFTER
        if self.trace_ids is not None:
            conditions.append("TraceId IN {trace_ids:Array(String)}")
            parameters["trace_ids"] = list(self.trace_ids)
        return Query(" AND ".join(conditions), parameters)

    @property
    def entry(self) -> Query:
        """Whether a span is an entry span that was asked for."""
        conditions = [f"{self.columns['LoggedModelRole']} = 'entry'"]
        parameters: dict[str, Any] = {}
        selection = self.selection
        if selection.since is not None:
            conditions.append("Timestamp >= {since:DateTime64(9, 'UTC')}")
            parameters["since"] = selection.since.astimezone(timezone.utc)
        if selection.until is not None:
            conditions.append("Timestamp < {until:DateTime64(9, 'UTC')}")
            parameters["until"] = selection.until.astimezone(timezone.utc)
        if selection.service is not None:
            conditions.append("ServiceName = {service:String}")
            parameters["service"] = selection.service
        for place, (key, value) in enumerate(selection.attributes.items()):
            name = f"{{attribute_{place}:String}}"
            conditions.append(
                f"if(mapContains(SpanAttributes, {name}), SpanAttributes[{name}], ResourceAttributes[{name}])"
                f" = {{attribute_value_{place}:String}}"
            )
            parameters[f"attribute_{place}"] = key
            parameters[f"attribute_value_{place}"] = value
        if selection.dataset is not None:
            conditions.append(f"{{dataset:String}} IN (SpanAttributes['{DATASET}'], SpanAttributes['{DATASET_NAME}'])")
            parameters["dataset"] = selection.dataset
        if selection.production:
            conditions.append(f"SpanAttributes['{DATASET}'] = ''")
        return Query(" AND ".join(conditions), parameters)


def traces(scope: Scope, *, with_usage: bool = True) -> Query:
    """One row for each trace of each version.

    Columns: `version`, `trace` (a hash of its id), `entries` (id, parent, start, end, failed of the entry spans that
    count; times in ns). With usage also `input` and `output` (tokens), `cost` (US dollars; 0 where none is known), and
    how many calls said tokens or cost (`said`), have a cost (`priced`), have tokens but no cost (`unpriced`).
    """
    columns, version, spans, entry = scope.columns, scope.version, scope.spans, scope.entry
    parameters = {**version.parameters, **spans.parameters, **entry.parameters}
    key, wanted = version.sql, "notEmpty(all_entries)"
    if scope.model_ids is not None:
        # Grouping by the place of an id is quicker than by the id, and tells at once which are not wanted. `transform`
        # works on the dictionary of the column.
        key = f"transform({version.sql}, {{model_ids:Array(String)}}, {{places:Array(UInt16)}}, 0)"
        wanted += " AND version != 0"
        parameters["model_ids"] = list(scope.model_ids)
        parameters["places"] = list(range(1, len(scope.model_ids) + 1))
    if with_usage:
        cost, cost_parameters = pricing.cost_sql(scope.prices, columns)
        parameters.update(cost_parameters)
        call_columns, calls, rows = _call_columns(columns, cost), _CALLS, "(is_entry OR is_call)"
    else:
        call_columns, calls, rows = "", "", "is_entry"
    sql = f"""
        SELECT version, trace,
            CAST(
                groupArrayIf((id, parent, start, end, failed), is_entry)
                AS Array(Tuple(id UInt64, parent UInt64, start Int64, end Int64, failed Bool))
            ) AS all_entries{calls}
        FROM (
            SELECT {key} AS version, {columns["LoggedModelTraceKey"]} AS trace,
                {columns["LoggedModelSpanKey"]} AS id, {columns["LoggedModelParentKey"]} AS parent,
                {START} AS start, {_END} AS end, {FAILED} AS failed, {entry.sql} AS is_entry{call_columns}
            FROM {schema.SPANS}
            WHERE {spans.sql} AND {rows}
        )
        GROUP BY version, trace
        HAVING {wanted}"""
    # Each step reads the columns of the one before. In one step, ClickHouse would work a column out again inside of
    # every lambda that uses it.
    for step in (_SEVERAL, _ENTRIES, *((*_ONCE, *_USAGE) if with_usage else ())):
        sql = f"SELECT {step} FROM ({sql})"
    if scope.model_ids is not None:
        sql = f"SELECT * REPLACE ({{model_ids:Array(String)}}[version] AS version) FROM ({sql})"
    return Query(sql, parameters)


# Most traces have one entry span, no copies, and no call that sums up others: for them there is next to nothing to do.
# Looking for copies here is quicker than an aggregate function that keeps a set for each trace.
_SEVERAL: Final = "*, arrayDistinct(if(length(all_entries) = 1, [], all_entries)) AS several"
_ENTRIES: Final = """\
* EXCEPT (all_entries, several), if(empty(several), all_entries, arrayFilter(
    inner -> NOT arrayExists(
        outer -> outer.start <= inner.start AND outer.end >= inner.end AND outer.parent != inner.parent
            AND (outer.start < inner.start OR outer.end > inner.end OR outer.id = inner.parent),
        several),
    several)) AS entries"""


def _call_columns(columns: schema.Columns, cost: str) -> str:
    return f""",
                {columns["LoggedModelUsage"]} != 0 AS is_call, {columns["LoggedModelIsSum"]} AS is_sum,
                {columns["LoggedModelInputTokens"]} AS input, {columns["LoggedModelOutputTokens"]} AS output,
                {cost} AS cost, bitTest({columns["LoggedModelUsage"]}, {schema.TOKENS_BIT}) AS has_tokens"""


_CALLS: Final = """,
            CAST(
                groupArrayIf(
                    (id, parent, start, end, is_sum, input, output, ifNull(cost, 0), cost IS NOT NULL,
                        has_tokens AND cost IS NULL),
                    is_call
                ) AS Array(Tuple(
                    id UInt64, parent UInt64, start Int64, end Int64, sums Bool,
                    input UInt64, output UInt64, cost Float64, priced Bool, unpriced Bool
                ))
            ) AS all_calls"""

_ONCE: Final = (
    "*, if(arrayUniq(all_calls.id) = length(all_calls), [], all_calls) AS copied",
    "* EXCEPT (all_calls, copied), if(empty(copied), all_calls, arrayDistinct(copied)) AS calls",
)
_USAGE: Final = (
    "*, if(hasAny(calls.id, calls.parent) OR length(calls) > 1 AND has(calls.sums, true), calls, []) AS nested,"
    " nested.parent AS parents, arrayEnumerate(nested) AS places",
    # For each call the places of those that it sums up.
    """\
*, arrayMap(upper -> if(NOT (upper.sums OR has(parents, upper.id)), [], arrayFilter(
    (place, lower) -> lower.id != upper.id AND (
        lower.parent = upper.id
        OR upper.parent != lower.id
        AND intDiv(lower.start + lower.end, 2) BETWEEN upper.start AND upper.end
        AND (upper.end - upper.start, upper.id) > (lower.end - lower.start, lower.id)
    ),
    places, nested)), nested) AS below""",
    "*, arrayDistinct(arrayFlatten(below)) AS covered",
    # Sums that nothing sums up, and calls that sum up nothing.
    """\
*, arrayFilter((place, lower) -> notEmpty(lower) AND NOT has(covered, place), places, below) AS tops,
arrayFilter((place, lower) -> empty(lower), places, below) AS leaf_places""",
    # In which of these sums a call is, by its number from 1 on.
    """\
*, arrayMap(place -> arrayFirstIndex(top -> has(below[top], place), tops), leaf_places) AS owners,
arrayMap(place -> nested[place], leaf_places) AS nested_leaves""",
    # What each sum says beyond the calls in it.
    """\
*, arrayMap((top, number) -> (
    greatest(0, toInt64(nested[top].input)
        - toInt64(arraySum((leaf, owner) -> if(owner = number, leaf.input, 0), nested_leaves, owners))),
    greatest(0, toInt64(nested[top].output)
        - toInt64(arraySum((leaf, owner) -> if(owner = number, leaf.output, 0), nested_leaves, owners))),
    greatest(0, nested[top].cost - arraySum((leaf, owner) -> if(owner = number, leaf.cost, 0), nested_leaves, owners))
), tops, arrayEnumerate(tops)) AS extras, if(empty(nested), calls, nested_leaves) AS leaves""",
    """\
version, trace, entries,
arraySum(leaves.input) + arraySum(extras.1) AS input,
arraySum(leaves.output) + arraySum(extras.2) AS output,
arraySum(leaves.cost) + arraySum(extras.3) AS cost,
length(calls) AS said, arrayCount(calls.priced) AS priced, arrayCount(leaves.unpriced) AS unpriced""",
)
