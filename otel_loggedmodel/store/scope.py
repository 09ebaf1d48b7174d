# SPDX-License-Identifier: Apache-2.0
"""Which spans a question is about: those that carry the id of a version, or an id that stands for it (`catalogue`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from otel_loggedmodel.attributes import EVALUATION_DATASET, EVALUATION_DATASET_NAME
from otel_loggedmodel.store import pricing, schema
from otel_loggedmodel.store.catalogue import Alias
from otel_loggedmodel.store.counted import COUNTS, IS_FIRST, QUARTER_SECONDS, STANDS_IN
from otel_loggedmodel.store.reading import EVERYTHING, Selection
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.span_times import START

# A trace that began in the time that was asked for may have spans that began so long before it, or after it.
_BEFORE: Final = timedelta(hours=1)
_AFTER: Final = timedelta(days=1)


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
        aliases: The ids that stand for a version, in the order of `since_ns`; every alias of each id that matters.
        model_ids: The versions; None for all.
        selection: Which traces.
        prices: The prices of the models that were called.
        trace_ids: Only the spans of these traces.
        has_results: Whether there are results of evaluations at all; looking for them takes as long as all the rest.
        has_unclaimed: Whether there are results of evaluations that name no version.
        adopted: The versions of calls that carry none, by the hashes of their ids (`stray`).
        is_entangled: Whether some of the traces are taken not to be plain (`plain`).
        moves: The traces that are only a call of another trace, and these other traces, as two arrays; empty where
            there are none (`doubling`).
        torn: How many of the moved traces are steps of runs that time alone puts together (`torn`).
        is_wide: Whether all spans are asked, and not only what counts.
        has_events: Whether there are results of evaluations that are events of spans.
        has_logged: Whether there are results of evaluations among log records (`log_scores`).
        since_ns: No span of these versions began before, if that is known; in ns since the epoch.
        may_be_cut_off: Whether there may be traces without an entry span.
    """

    columns: schema.Columns
    aliases: Sequence[Alias] = ()
    model_ids: Sequence[str] | None = None
    selection: Selection = EVERYTHING
    prices: pricing.PriceTable = pricing.NO_PRICES
    trace_ids: Sequence[str] | None = None
    has_results: bool = True
    has_unclaimed: bool = False
    adopted: Mapping[int, str] = field(default_factory=dict)
    is_entangled: bool = True
    moves: Query = Query("")
    torn: int = 0
    has_logged: bool = False
    has_events: bool = True
    is_wide: bool = False
    since_ns: int | None = None
    may_be_cut_off: bool = True

    @property
    def wide(self) -> "Scope":
        """The same for a question about all spans, also those that do not count, and with all of their columns."""
        return replace(self, is_wide=True)

    @property
    def source(self) -> str:
        """What is asked, as it stands after FROM."""
        return self.columns.spans if self.is_wide else self.columns.counted

    @property
    def span(self) -> str:
        """The hash of a span's id, as SQL."""
        return "cityHash64(SpanId)" if self.is_wide else call("span")

    @property
    def trace(self) -> str:
        """The hash of a trace's id, as SQL."""
        return "cityHash64(TraceId)" if self.is_wide else call("trace")

    @property
    def version(self) -> Query:
        """The version that a span counts for."""
        if not self.adopted:
            return self.version_of("LoggedModelId", START)
        owner = f"transform({self.span}, {{adopted:Array(UInt64)}}, {{owners:Array(String)}}, '')"
        found = self.version_of(f"if(LoggedModelId = '', {owner}, toString(LoggedModelId))", START)
        own = {"adopted": list(self.adopted), "owners": list(self.adopted.values())}
        return Query(found.sql, {**found.parameters, **own})

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
            conditions.append("LoggedModelId != ''")
        else:
            conditions.append("LoggedModelId IN {ids:Array(String)}")
            parameters["ids"] = sorted({*self.model_ids, *(alias.alias for alias in self.aliases)})
        if self.adopted:
            wanted = parameters.get("ids")
            parameters["kept"] = [key for key, owner in self.adopted.items() if wanted is None or owner in wanted]
            conditions[0] = f"({conditions[0]} OR {self.span} IN {{kept:Array(UInt64)}} AND LoggedModelId = '')"
        if self.selection.since is not None:
            conditions.append("Timestamp >= {from:DateTime64(9, 'UTC')}")
            # Of what stands for traces, the first of each quarter of an hour is there (`counted`).
            seconds = self.selection.since.timestamp() // QUARTER_SECONDS * QUARTER_SECONDS
            parameters["from"] = datetime.fromtimestamp(seconds, timezone.utc) - _BEFORE
        if self.selection.until is not None:
            conditions.append("Timestamp < {to:DateTime64(9, 'UTC')}")
            parameters["to"] = self.selection.until.astimezone(timezone.utc) + _AFTER
        if self.since_ns is not None:
            conditions.append("Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})")
            parameters["since_ns"] = self.since_ns
        if self.trace_ids is not None:
            conditions.append("TraceId IN {trace_ids:Array(String)}")
            parameters["trace_ids"] = list(self.trace_ids)
        return Query(" AND ".join(conditions), parameters)

    @property
    def entry(self) -> Query:
        """Whether a span is an entry span that was asked for."""
        selected = self.selected
        return Query(f"LoggedModelRole = 'entry' AND {selected.sql}", selected.parameters)

    @property
    def begins(self) -> Query:
        """Whether a span is an entry span that was asked for, or could stand for one where the trace is cut off."""
        entry = self.entry
        if not self.may_be_cut_off:
            return entry
        spans, selected, version, trace = self.spans, self.selected, self.version, call("trace")
        counted, role, lone = f"{self.columns.counted} WHERE {spans.sql}", "LoggedModelRole", call("lone")
        key = f"toString({version.sql}), {trace}"
        # A trace of which an entry span came counts as that one. Of the others, the first span is wanted.
        firsts = (
            f"SELECT {key}, if(countIf({lone} = 0) > 0, minIf(Timestamp, {lone} = 0), minIf(Timestamp, {STANDS_IN}))"
            f" FROM {counted} AND {COUNTS} AND {trace} IN (SELECT {trace} FROM {counted} AND {IS_FIRST})"
            f" GROUP BY {key} HAVING countIf({role} = 'entry') = 0"
            f" AND (countIf({lone} = 0) > 0 OR countIf({role} = 'build') = 0)"
        )
        return Query(
            f"{selected.sql} AND ({role} = 'entry' OR {role} != 'build' AND {COUNTS}"
            f" AND ({key}, Timestamp) IN ({firsts}))",
            {**spans.parameters, **selected.parameters, **version.parameters},
        )

    @property
    def settled(self) -> str:
        """The condition by which only the first of what stands for a trace is left, where ids stand for others.

        Such an id means one version now and another one later. The versions of a trace must not follow from which of
        its spans are stored.
        """
        if not self.aliases:
            return COUNTS
        key = f"LoggedModelId, {self.trace}"
        firsts = (
            f"SELECT {key}, min(Timestamp) FROM {self.source} WHERE {self.spans.sql} AND {STANDS_IN} GROUP BY {key}"
        )
        return f"{COUNTS} AND (NOT {STANDS_IN} OR ({key}, Timestamp) IN ({firsts}))"

    @property
    def selected(self) -> Query:
        """Whether a span is one that was asked for, if it is an entry span."""
        conditions: list[str] = []
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
        if selection.attributes:
            having, parameters_of_those = self._having_attributes()
            conditions.append(having)
            parameters.update(parameters_of_those)
        dataset, dataset_name = "LoggedModelDataset", "LoggedModelDatasetName"
        if self.is_wide:
            dataset, dataset_name = (
                f"SpanAttributes['{EVALUATION_DATASET}']",
                f"SpanAttributes['{EVALUATION_DATASET_NAME}']",
            )
        if selection.dataset is not None:
            conditions.append(f"{{dataset:String}} IN ({dataset}, {dataset_name})")
            parameters["dataset"] = selection.dataset
        if selection.production:
            conditions.append(f"{dataset} = ''")
        for part, wanted in (("prompt", selection.prompt), ("agent", selection.agent)):
            if wanted is not None:
                # A prompt's version is on a line of its own; without one, all of them are meant.
                said = f"{call(part)} = {{{part}:String}}"
                if part == "prompt" and "\n" not in wanted:
                    said = f"splitByChar('\n', {call(part)})[1] = {{{part}:String}}"
                said += f" AND {call('lone')} = 0"
                conditions.append(f"TraceId IN (SELECT TraceId FROM {self.columns.counted} WHERE {said})")
                parameters[part] = wanted
        return Query(" AND ".join(conditions) or "1", parameters)

    def _having_attributes(self) -> tuple[str, dict[str, Any]]:
        """The condition on attributes, which are in the table of spans alone, and its parameters."""
        conditions: list[str] = []
        parameters: dict[str, Any] = {}
        for place, (key, value) in enumerate(self.selection.attributes.items()):
            name = f"{{attribute_{place}:String}}"
            conditions.append(
                f"if(mapContains(SpanAttributes, {name}), SpanAttributes[{name}], ResourceAttributes[{name}])"
                f" = {{attribute_value_{place}:String}}"
            )
            parameters[f"attribute_{place}"] = key
            parameters[f"attribute_value_{place}"] = value
        having = " AND ".join(conditions)
        if self.is_wide:
            return having, parameters
        spans = self.wide.spans
        found = f"SELECT cityHash64(SpanId) FROM {self.columns.spans} WHERE {spans.sql} AND {having}"
        return f"{call('span')} IN ({found})", {**parameters, **spans.parameters}
