# SPDX-License-Identifier: Apache-2.0
"""The `Reader` on ClickHouse."""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from otel_loggedmodel.store import (
    agreement,
    behaving,
    comparing,
    configuration,
    deployed,
    faceting,
    labelled,
    listed,
    listing,
    log_schema,
    lopsided,
    matching,
    naming,
    noting,
    recent,
    rows,
    run_records,
    run_scope,
    schema,
    scoping,
    scores,
    sightings,
    spoken,
    steady,
    trace_logs,
)
from otel_loggedmodel.store.catalogue import Catalogue
from otel_loggedmodel.store.chart_results import Activities, Behaviour, Deployment
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measured import Measured
from otel_loggedmodel.store.once import Once
from otel_loggedmodel.store.price_file import NO_FILE, PriceFile
from otel_loggedmodel.store.reading import (
    ALL_RUNS,
    ALL_VERSIONS,
    EVERYTHING,
    MOST_CHANGED,
    RECENT,
    ReadingError,
    RowFilter,
    RunFilter,
    Selection,
    TraceFilter,
    VersionFilter,
    Versions,
)
from otel_loggedmodel.store.results import Comparison, Dataset
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.scope import Scope
from otel_loggedmodel.store.scopes import Scopes
from otel_loggedmodel.store.trace_results import Facets, Trace, TraceSummary
from otel_loggedmodel.store.version_results import Version, VersionDetail

# So many comparisons are remembered. One within many parts of the traffic takes up to 3 MB.
_MOST_COMPARED: Final = 32


class StoreReader:
    """Answers from a ClickHouse database, embedded or remote. Safe to use from several threads.

    Args:
        database: Where; this object closes it.
        prices: What calls of models cost, before list prices.

    Raises:
        StoreUnavailableError: There is no table of spans, or it is of a newer release.
    """

    def __init__(self, database: Database, prices: PriceFile = NO_FILE) -> None:
        self._database = database
        self._scopes = Scopes(database, prices)
        self._measured = Measured()
        self._compared = Measured(_MOST_COMPARED)

    def at_once(self) -> "StoreReader":
        """The same reader for questions that belong together, as `Reader.at_once` says."""
        other = copy.copy(self)
        other._database = Once(self._database)
        other._scopes = self._scopes.through(other._database)
        return other

    def versions(self, which: VersionFilter = ALL_VERSIONS, selection: Selection = EVERYTHING) -> list[Version]:
        """The versions, as `Reader.versions` says."""
        known, columns = self._scopes.load(), self._scopes.columns
        called = () if which.name is None else spoken.ids_called(self._database, columns, which.name)
        if columns.is_seen and selection.of_traces == EVERYTHING:
            seen = sightings.seen_among(self._database, columns, known.standing_for)
            scope = self._scopes.unscored(known, None, selection, seen)
            found = recent.recent(self._database, scope, known, which, called)
            used: Mapping[str, Mapping[str, Any]] = found.used
            if which.counted:
                asked = self._scopes.unscored(known, found.model_ids, selection, seen) if found.are_few else scope
                used = recent.usage(self._database, asked, found, self._measured)
            return self._named(listed.versions(known, found.model_ids, used, found.used, seen), found.names)
        seen = sightings.seen_ids(self._database, columns)
        scope = self._scopes.unscored(known, None, selection, seen)
        cut_off = sightings.cut_off_ids(self._database, columns)
        last_seen = sightings.last_seen(self._database, scope, cut_off)
        chosen = listed.newest(known, last_seen, which, called, has_all=selection.of_traces == EVERYTHING)
        # If only a few of many are shown, the queries that take long are limited to these.
        if len(chosen) <= sightings.FEW_IDS and len(last_seen) > 2 * len(chosen):
            scope = self._scopes.unscored(known, chosen, selection, seen)
        seen_when = sightings.times_and_places(self._database, scope, cut_off)
        used = sightings.usage(self._database, scoping.moved(self._database, scope)) if which.counted else seen_when
        return self._named(listed.versions(known, chosen, used, seen_when, seen))

    def version(self, version: str, selection: Selection = EVERYTHING) -> VersionDetail:
        """One version, as `Reader.version` says."""
        known, seen = self._scopes.known_and_seen()
        model_id = self._scopes.resolved(known, version, seen)
        lasting = self._lasting(known, [model_id], selection, seen)
        scope = self._scopes.priced(known, [model_id], selection, seen, lasting)
        names = self._names(known, [model_id])
        (metrics,) = comparing.measure(self._database, scope, names, _if_unmoved(lasting, scope)).versions
        used = sightings.usage(self._database, scope).get(model_id)
        history = sightings.history(self._database, self._scopes.columns, model_id)
        cut_off = sightings.cut_off_ids(self._database, self._scopes.columns)
        sighting = sightings.times_and_places(self._database, scope, cut_off).get(model_id, {})
        services = sorted({*sighting.get("services", ()), *(entry.service for entry in history if entry.service)})
        (shown,) = self._named([listed.version(known, model_id, used, services, seen)])
        return VersionDetail(version=shown, metrics=metrics, history=tuple(history), previous=known.previous(model_id))

    def compare(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Comparison:
        """Versions side by side, as `Reader.compare` says."""
        known, seen = self._scopes.known_and_seen()
        asked = self._scopes.compared(known, versions, seen)
        model_ids = asked.ids
        lasting = None if asked.runs else self._lasting(known, model_ids, selection, seen)
        scope = self._scopes.of_runs(partial(self._scopes.priced, lasting=lasting), known, asked, selection, seen)
        lasting = _if_unmoved(lasting, scope)
        names = self._names(known, model_ids) | self._run_names(known, asked)
        measured = comparing.measure(self._database, scope, names, lasting)
        return Comparison(
            versions=tuple(measured.versions),
            differences=tuple(measured.differences()),
            configuration=(
                *configuration.differences([known.model(_version_of(asked, model_id)) for model_id in model_ids]),
                *naming.differences(self._database, scope, lasting),
            ),
            notes=(
                *self._notes(known, [one for one in model_ids if one not in asked.run_ids], seen),
                *noting.notes(self._database, scope, measured),
                *measured.notes(),
                *lopsided.notes(self._database, scope, measured),
                *agreement.notes(self._database, scope, measured.scores),
            ),
            unit=measured.unit,
            labels=labelled.compared(self._database, scope),
        )

    def runs(self, which: RunFilter = ALL_RUNS) -> list[Run]:
        """Evaluation runs, as `Reader.runs` says."""
        known, seen = self._scopes.known_and_seen()
        model_ids = None
        if which.version is not None:
            wanted = self._scopes.resolved(known, which.version, seen)
            model_ids = {wanted, *listed.references(known, wanted, seen)}
        found = [
            run
            for run in run_records.load(self._database, self._scopes.columns)
            if (model_ids is None or run.model_id in model_ids)
            and (which.dataset is None or which.dataset in (run.dataset, run.dataset_name))
        ]
        return self._with_versions(known, found[: which.limit])

    def run(self, run: str) -> list[Run]:
        """One run, as `Reader.run` says."""
        found = run_records.found(run_records.load(self._database, self._scopes.columns), run)
        return self._with_versions(self._scopes.load(), found)

    def rows(
        self, versions: Sequence[str], which: RowFilter = MOST_CHANGED, selection: Selection = EVERYTHING
    ) -> list[RowChange]:
        """Rows of data sets, as `Reader.rows` says."""
        if len(versions) < 2:
            raise ReadingError("rows are held against those of the first version: name at least two")
        known, seen = self._scopes.known_and_seen()
        asked = self._scopes.compared(known, versions, seen)
        scope = self._scopes.of_runs(self._scopes.unpriced, known, asked, selection, seen)
        matches = matching.matches(self._database, scope)
        return rows.changed(self._database, scope, asked.ids[0], matches, which)

    def traces(
        self, version: Versions = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> list[TraceSummary]:
        """Traces, as `Reader.traces` says."""
        return listing.traces(self._database, self._scopes.of_list(self._scopes.priced, version, selection), which)

    def lists(
        self, version: str | None, kinds: Sequence[TraceFilter], selection: Selection = EVERYTHING
    ) -> list[list[TraceSummary]]:
        """Several lists of traces, as `Reader.lists` says."""
        return listing.lists(self._database, self._scopes.of_list(self._scopes.priced, version, selection), kinds)

    def facets(
        self, version: Versions = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> Facets:
        """What traces have, as `Reader.facets` says."""
        return faceting.facets(self._database, self._scopes.of_list(self._scopes.unpriced, version, selection), which)

    def activities(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Activities:
        """How versions did over time, as `Reader.activities` says."""
        known, seen = self._scopes.known_and_seen()
        asked = self._scopes.asked(known, versions, seen)
        lasting = None if asked.runs else self._lasting(known, asked.ids, selection, seen)
        scope = self._scopes.of_runs(partial(self._scopes.priced, lasting=lasting), known, asked, selection, seen)
        found = behaving.activities(self._database, scope, lasting)
        with_previous = (replace(one, previous=known.previous(one.model_id)) for one in found.versions)
        return replace(found, versions=tuple(with_previous))

    def behaviour(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Behaviour:
        """What is behind the numbers, as `Reader.behaviour` says."""
        known, seen = self._scopes.known_and_seen()
        asked = self._scopes.asked(known, versions, seen)
        return behaving.behaviour(
            self._database, self._scopes.of_runs(self._scopes.priced, known, asked, selection, seen)
        )

    def datasets(self) -> list[Dataset]:
        """The data sets, as `Reader.datasets` says."""
        has_logged = self._scopes.has_logged()
        has_results, has_rows = scores.has_datasets(self._database)
        query = scores.datasets(self._scopes.columns, has_logged=has_logged)
        rows = self._database.query(query.sql, query.parameters) if has_results or has_logged else []
        query = scores.kept_datasets(self._scopes.columns)
        kept = {row["name"]: int(row["rows"]) for row in self._database.query(query.sql)} if has_rows else {}
        found = [
            Dataset(digest=row["digest"], name=row["name"] or None, kept_rows=kept.get(row["name"])) for row in rows
        ]
        known = {one.name for one in found}
        return found + [Dataset(digest="", name=name, kept_rows=kept[name]) for name in kept if name not in known]

    def deployments(self) -> list[Deployment]:
        """What runs now, as `Reader.deployments` says."""
        known, seen = self._scopes.known_and_seen()
        return deployed.deployments(self._database, self._scopes.unscored(known, None, EVERYTHING, seen))

    def revision(self) -> str:
        """A text that changes when spans are stored or deleted, as `Reader.revision` says."""
        (row,) = self._database.query(f"SELECT count() AS spans FROM {schema.SPANS}")
        if not self._scopes.has_log_records():
            return str(row["spans"])
        (logged,) = self._database.query(f"SELECT count() AS records FROM {log_schema.LOGS}")
        return f"{row['spans']}-{logged['records']}"

    def trace(self, trace_id: str, most: int | None = None) -> Trace:
        """One trace, as `Reader.trace` says."""
        found = listing.trace(self._database, self._scopes.columns, trace_id, most)
        return trace_logs.with_log_records(self._database, found) if self._scopes.has_log_records() else found

    def scope(self, versions: Sequence[str] | None, selection: Selection) -> Scope:
        """Which spans a question of one's own is about, as for the other questions.

        Args:
            versions: As a user names them; all where there are none.
            selection: Which traces.

        Raises:
            UnknownVersionError: One of them is not known.
        """
        known, seen = self._scopes.known_and_seen()
        ids = None if versions is None else [self._scopes.resolved(known, version, seen) for version in versions]
        return self._scopes.priced(known, ids, selection, seen)

    def close(self) -> None:
        """Let go of the store."""
        self._database.close()

    def _lasting(
        self, known: Catalogue, model_ids: Sequence[str], selection: Selection, seen: Collection[str]
    ) -> steady.Steady | None:
        """The same versions, if what is measured of them may be remembered."""
        scope = self._scopes.unscored(known, model_ids, selection, seen)
        return steady.steady(self._database, scope, self._measured, self._compared)

    def _run_names(self, known: Catalogue, asked: run_scope.Asked) -> dict[str, str | None]:
        """What runs are called: their names, with those of their versions."""
        named = self._with_versions(known, asked.runs)
        return {run.run_id: ": ".join(filter(None, (run.version_name, run.name))) or None for run in reversed(named)}

    def _with_versions(self, known: Catalogue, runs: Sequence[Run]) -> list[Run]:
        return run_records.named(runs, self._names(known, sorted({run.model_id for run in runs if run.model_id})))

    def _names(self, known: Catalogue, model_ids: Iterable[str]) -> dict[str, str | None]:
        models = {model_id: known.model(model_id) for model_id in model_ids}
        names = {model_id: None if model is None else model.name for model_id, model in models.items()}
        unnamed = [model_id for model_id, name in names.items() if name is None]
        if unnamed:
            names.update(sightings.names(self._database, self._scopes.columns, unnamed))
        return names

    def _named(self, versions: Sequence[Version], names: Mapping[str, str] | None = None) -> list[Version]:
        """The same with the names that spans give to those that have none; `names` are these, if they are known."""
        unnamed = [version.model_id for version in versions if version.name is None]
        if names is None:
            names = sightings.names(self._database, self._scopes.columns, unnamed) if unnamed else {}
        return [
            replace(version, name=names.get(version.model_id)) if version.name is None else version
            for version in versions
        ]

    def _notes(self, known: Catalogue, model_ids: Sequence[str], seen: Collection[str]) -> Iterable[str]:
        for model_id in model_ids:
            if not known.is_registered(model_id):
                yield f"{model_id} is not registered: no record of it was received, it is known from its spans alone."
            elif known.models[model_id].deleted:
                yield f"{model_id} was deleted."
        aliases = sorted({alias for model_id in model_ids for alias in listed.references(known, model_id, seen)})
        if aliases:
            yield f"Spans of {', '.join(aliases)} count for the version that was the newest of its name at the time."
        if not self._scopes.columns.is_prepared:
            yield f"{self._database.name} is not prepared, which makes this slow: run `otel-loggedmodel store prepare`."


def _version_of(asked: run_scope.Asked, one: str) -> str:
    """The version behind what was asked for, which may be a run."""
    return next((run.model_id for run in asked.runs if run.run_id == one), one)


def _if_unmoved(lasting: steady.Steady | None, scope: Scope) -> steady.Steady | None:
    """The same, if traces of the scope have no spans but those that carry the id of the version."""
    return None if scope.adopted or scope.moves.sql else lasting
