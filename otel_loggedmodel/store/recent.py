# SPDX-License-Identifier: Apache-2.0
"""The versions that were used last, from the table of what was seen, so that a list costs what it shows.

An id that stands for another one by name means one version now and another one later. Such ids, and the versions that
they stand for, are looked up in the table of what counts instead.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from otel_loggedmodel.store import call_column, listed, measured, scoping, seen_table, sightings, torn
from otel_loggedmodel.store.catalogue import Catalogue
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measured import Measured
from otel_loggedmodel.store.reading import VersionFilter
from otel_loggedmodel.store.scope import Scope

_MS: Final = 1_000_000
# A version has a row for each day and service, and may be deleted. So more rows are looked at than versions are wanted:
# twice as many and so many more at first, and then so many times as many.
_AT_FIRST: Final = 1000
_TIMES: Final = 8
_MOST_SERVICES: Final = 100


@dataclass(frozen=True)
class Recent:
    """The versions of a list, and when and where they were used.

    Attributes:
        model_ids: The versions, the one used or made last first.
        used: When each was used first and last, in ns since the epoch, and by which services; by its id.
        are_few: Whether they are a small part of all that there are.
        since_ns: No span of these began before; in ns since the epoch.
        may_be_sampled: Whether a trace of these may stand for several, or end before it began.
        may_be_moved: Whether traces of these may be parts of other traces.
    """

    model_ids: Sequence[str]
    used: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    are_few: bool = False
    since_ns: int | None = None
    may_be_sampled: bool = True
    may_be_moved: bool = True

    @property
    def stamps(self) -> dict[str, int] | None:
        """The stamps of the versions (`measured`); None if what is measured of them follows from more than that."""
        shown = self.model_ids if self.are_few else self.used
        rows = {model_id: self.used[model_id] for model_id in shown if model_id in self.used}
        if self.may_be_sampled or self.may_be_moved or any("stamp" not in row for row in rows.values()):
            return None
        return {model_id: row["stamp"] for model_id, row in rows.items()}

    @property
    def names(self) -> dict[str, str] | None:
        """The names that spans give them; None if that is not known of all."""
        if any("name" not in row for row in self.used.values()):
            return None
        return {model_id: str(row["name"]) for model_id, row in self.used.items() if row["name"]}


def recent(database: Database, scope: Scope, known: Catalogue, which: VersionFilter, called: Collection[str]) -> Recent:
    """The versions that are to be listed.

    Args:
        database: Where.
        scope: All traces of all versions.
        known: The versions that there are records of.
        which: Which are wanted.
        called: The ids that have the wanted name on spans alone.
    """
    tangled = {one for alias in scope.aliases for one in (alias.alias, alias.model_id)}
    of_tangled = _used_by_name(database, scope, sorted(tangled)) if tangled else {}
    most = 2 * which.limit + _AT_FIRST
    while True:
        rows, since_ms = _rows(database, tangled, most)
        rows = _with_times(database, scope, rows)
        are_all = since_ms is None
        used = {**{row["id"]: row for row in rows}, **of_tangled}
        last_seen = {model_id: row["last_ns"] for model_id, row in used.items()}
        chosen = listed.newest(known, last_seen, which, called, has_all=True, since_ms=since_ms or 0)
        is_enough = len(chosen) == which.limit and listed.age_ms(known, last_seen, chosen[-1]) > (since_ms or 0)
        if are_all or is_enough:
            break
        most *= _TIMES
    are_few = len(chosen) <= sightings.FEW_IDS and (not are_all or len(used) > 2 * len(chosen))
    shown = used.keys() & set(chosen) if are_few else used.keys()
    marks = [used[model_id] for model_id in shown]
    is_known = are_few or are_all
    return Recent(
        model_ids=chosen,
        used=used,
        are_few=are_few,
        since_ns=min((row["earliest_ns"] for row in marks), default=0) if is_known and not of_tangled else None,
        may_be_sampled=not is_known or any(row["is_odd"] for row in marks),
        may_be_moved=not is_known or _may_be_moved(marks),
    )


def _may_be_moved(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether traces may be parts of others, as `scoping.moved` would find."""
    is_alone = any(row["usage"] >> call_column.ALONE_BIT & 1 for row in rows)
    scopes = {one for row in rows for one in row["scopes"]}
    return (is_alone and len(scopes) > 1) or any(row["is_torn"] for row in rows)


def _rows(database: Database, without: Collection[str], most: int) -> tuple[list[dict[str, Any]], int | None]:
    """What was seen of the ids that were used last, and when the others were used at most.

    That time is in ms since the epoch. It is None if there are no others.

    Args:
        database: Where.
        without: Leave these ids out.
        most: How many rows of the table are looked at.
    """
    is_cut = "max(LastEntry) IS NULL"
    others = " AND LoggedModelId NOT IN {without:Array(String)}" if without else ""
    # Rows are found by one number, which is quick. An id that is not among them was used then or before. Ids that no
    # entry span has are few, and are all looked at.
    newest = f"""
            SELECT LoggedModelId FROM (
                SELECT LoggedModelId, LastEntry FROM {seen_table.TABLE} WHERE LoggedModelId != ''{others}
                ORDER BY LastEntry DESC LIMIT {{most:UInt64}})
            UNION ALL SELECT LoggedModelId FROM {seen_table.TABLE} WHERE LoggedModelId IN (
                SELECT LoggedModelId FROM {seen_table.TABLE} WHERE LastEntry IS NULL AND LoggedModelId != ''{others})
            GROUP BY LoggedModelId HAVING {is_cut}"""
    services = f"groupUniqArrayIf({_MOST_SERVICES})(toString(ServiceName), ServiceName != ''"
    rows = database.query(
        f"""
        SELECT toString(LoggedModelId) AS id, toUnixTimestamp64Nano(ifNull(max(LastEntry), max(Last))) AS last_ns,
            toUnixTimestamp64Nano(ifNull(min(FirstEntry), min(First))) AS first_ns,
            arraySort(if({is_cut}, {services}), {services} AND LastEntry IS NOT NULL))) AS services,
            {is_cut} AS is_cut, toUnixTimestamp64Nano(min(First)) AS earliest_ns, max(Name) AS name,
            {measured.STAMP} AS stamp, max(IsOdd) AS is_odd,
            groupBitOr(Usage) AS usage, groupUniqArrayArray(Scopes) AS scopes,
            arrayExists(one -> one IN ({torn.SCOPES}), scopes) AS is_torn
        FROM {seen_table.TABLE} WHERE LoggedModelId IN ({newest})
        GROUP BY LoggedModelId""",
        {"most": most, "without": sorted(without)},
    )
    (found,) = database.query(f"SELECT count() AS rows FROM {seen_table.TABLE}")
    if found["rows"] <= most:
        return rows, None
    return rows, min((row["last_ns"] for row in rows if not row["is_cut"]), default=0) // _MS


def _with_times(database: Database, scope: Scope, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, with the times and services of versions that no entry span has looked up.

    Which of their spans are in the tables depends on what arrived together. Only the first of each trace matters.
    """
    cut_off = sorted(row["id"] for row in rows if row["is_cut"])
    if not cut_off:
        return [*rows]
    asked = replace(scope, model_ids=cut_off) if len(cut_off) <= sightings.FEW_IDS else scope
    found = sightings.times_and_places(database, asked, cut_off)
    return [
        {**row, **(found[row["id"]] if row["is_cut"] else {})}
        for row in rows
        if not row["is_cut"] or row["id"] in found
    ]


def _used_by_name(database: Database, scope: Scope, model_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The same of ids that stand for others, and of those others. Whether their traces are odd is not looked up."""
    cut_off = sightings.cut_off_ids(database, scope.columns)
    found = sightings.times_and_places(database, replace(scope, model_ids=model_ids), cut_off)
    marks = {"is_odd": 1, "usage": 1 << call_column.ALONE_BIT, "scopes": [], "is_torn": 1}
    return {model_id: {**row, "id": model_id, **marks} for model_id, row in found.items()}


def usage(database: Database, scope: Scope, found: Recent, memory: Measured) -> Mapping[str, Mapping[str, Any]]:
    """How much the versions of a list were used, by their ids.

    Args:
        database: Where.
        scope: The versions, or all if they are not few.
        found: The versions.
        memory: What was measured before.
    """
    if found.stamps is None:
        scope = scoping.moved(database, scope) if found.may_be_moved else scope
        return sightings.usage(database, scope, may_be_sampled=found.may_be_sampled)

    def measure(model_ids: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
        some = sorted(model_ids) if len(model_ids) <= sightings.FEW_IDS else scope.model_ids
        asked = replace(scope, model_ids=some, since_ns=found.since_ns)
        return sightings.usage(database, asked, may_be_sampled=False)

    return memory.of(found.stamps, "usage", measure)
