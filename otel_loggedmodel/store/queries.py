# SPDX-License-Identifier: Apache-2.0
"""The `Reader` on ClickHouse."""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from otel_loggedmodel.store import (
    agreement,
    behaving,
    catalogue,
    comparing,
    configuration,
    deployed,
    faceting,
    labelled,
    listed,
    listing,
    log_schema,
    log_scores,
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
from otel_loggedmodel.store.catalogue import Alias, Catalogue
from otel_loggedmodel.store.chart_results import Activities, Behaviour, Deployment
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measured import Measured
from otel_loggedmodel.store.measuring import Scope
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
    UnknownRunError,
    UnknownVersionError,
    VersionFilter,
)
from otel_loggedmodel.store.results import Comparison, Dataset
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.trace_results import Facets, Trace, TraceSummary
from otel_loggedmodel.store.version_results import Version, VersionDetail

# A table whose view was dropped is no longer complete, and one that was being filled is complete at some time.
_INSPECT_SECONDS: Final = 60.0
_WATCH_SECONDS: Final = 5.0
# So many ids fit into one query, of a server's too.
_FEW: Final = 500


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
        self._prices = prices
        self._found = schema.inspect(database)
        self._inspected_at = time.monotonic()
        self._catalogue: tuple[object, Catalogue] | None = None
        self._loading = threading.Lock()
        # Made when the first log record arrives.
        self._has_logs = False
        self._measured = Measured()

    def versions(self, which: VersionFilter = ALL_VERSIONS, selection: Selection = EVERYTHING) -> list[Version]:
        """The versions, as `Reader.versions` says."""
        known, columns = self._load(), self._columns
        called = () if which.name is None else spoken.ids_called(self._database, columns, which.name)
        if columns.is_seen and selection.of_traces == EVERYTHING:
            seen = sightings.seen_among(self._database, columns, known.standing_for)
            scope = self._unscored(known, None, selection, seen)
            found = recent.recent(self._database, scope, known, which, called)
            used: Mapping[str, Mapping[str, Any]] = found.used
            if which.counted:
                asked = self._unscored(known, found.model_ids, selection, seen) if found.are_few else scope
                used = recent.usage(self._database, asked, found, self._measured)
            return self._named(listed.versions(known, found.model_ids, used, found.used, seen), found.names)
        seen = sightings.seen_ids(self._database, columns)
        scope = self._unscored(known, None, selection, seen)
        cut_off = sightings.cut_off_ids(self._database, columns)
        last_seen = sightings.last_seen(self._database, scope, cut_off)
        chosen = listed.newest(known, last_seen, which, called, has_all=selection.of_traces == EVERYTHING)
        # If only a few of many are shown, the queries that take long are limited to these.
        if len(chosen) <= _FEW and len(last_seen) > 2 * len(chosen):
            scope = self._unscored(known, chosen, selection, seen)
        seen_when = sightings.times_and_places(self._database, scope, cut_off)
        used = sightings.usage(self._database, scoping.moved(self._database, scope)) if which.counted else seen_when
        return self._named(listed.versions(known, chosen, used, seen_when, seen))

    def version(self, version: str, selection: Selection = EVERYTHING) -> VersionDetail:
        """One version, as `Reader.version` says."""
        known, seen = self._load(), sightings.seen_ids(self._database, self._columns)
        model_id = self._resolved(known, version, seen)
        scope = self._scope(known, [model_id], selection, seen)
        (metrics,) = comparing.measure(self._database, scope, self._names(known, [model_id])).versions
        used = sightings.usage(self._database, scope).get(model_id)
        history = sightings.history(self._database, self._columns, model_id)
        cut_off = sightings.cut_off_ids(self._database, self._columns)
        sighting = sightings.times_and_places(self._database, scope, cut_off).get(model_id, {})
        services = sorted({*sighting.get("services", ()), *(entry.service for entry in history if entry.service)})
        (shown,) = self._named([listed.version(known, model_id, used, services, seen)])
        return VersionDetail(version=shown, metrics=metrics, history=tuple(history), previous=known.previous(model_id))

    def compare(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Comparison:
        """Versions side by side, as `Reader.compare` says."""
        known, seen = self._load(), sightings.seen_ids(self._database, self._columns)
        asked = self._compared(known, versions, seen)
        model_ids = asked.ids
        scope = self._of_runs(self._scope, known, asked, selection, seen)
        names = self._names(known, model_ids) | self._run_names(known, asked)
        measured = comparing.measure(self._database, scope, names)
        return Comparison(
            versions=tuple(measured.versions),
            differences=tuple(measured.differences()),
            configuration=(
                *configuration.differences([known.model(_version_of(asked, model_id)) for model_id in model_ids]),
                *naming.differences(self._database, scope),
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
        known, seen = self._load(), sightings.seen_ids(self._database, self._columns)
        model_ids = None
        if which.version is not None:
            wanted = self._resolved(known, which.version, seen)
            model_ids = {wanted, *listed.references(known, wanted, seen)}
        found = [
            run
            for run in run_records.load(self._database, self._columns)
            if (model_ids is None or run.model_id in model_ids)
            and (which.dataset is None or which.dataset in (run.dataset, run.dataset_name))
        ]
        return self._with_versions(known, found[: which.limit])

    def run(self, run: str) -> list[Run]:
        """One run, as `Reader.run` says."""
        found = run_records.found(run_records.load(self._database, self._columns), run)
        return self._with_versions(self._load(), found)

    def rows(
        self, versions: Sequence[str], which: RowFilter = MOST_CHANGED, selection: Selection = EVERYTHING
    ) -> list[RowChange]:
        """Rows of data sets, as `Reader.rows` says."""
        if len(versions) < 2:
            raise ReadingError("rows are held against those of the first version: name at least two")
        known, seen = self._load(), sightings.seen_ids(self._database, self._columns)
        asked = self._compared(known, versions, seen)
        scope = self._of_runs(self._unpriced, known, asked, selection, seen)
        matches = matching.matches(self._database, scope)
        return rows.changed(self._database, scope, asked.ids[0], matches, which)

    def traces(
        self, version: str | None = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> list[TraceSummary]:
        """Traces, as `Reader.traces` says."""
        return listing.traces(self._database, self._scope_of_list(self._scope, version, selection), which)

    def facets(
        self, version: str | None = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> Facets:
        """What traces have, as `Reader.facets` says."""
        return faceting.facets(self._database, self._scope_of_list(self._unpriced, version, selection), which)

    def activities(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Activities:
        """How versions did over time, as `Reader.activities` says."""
        known, seen = self._load(), sightings.seen_ids(self._database, self._columns)
        asked = self._asked(known, versions, seen)
        lasting = None
        if not asked.runs:
            scope = self._unscored(known, asked.ids, selection, seen)
            lasting = steady.steady(self._database, scope, self._measured)
        scope = self._of_runs(partial(self._scope, lasting=lasting), known, asked, selection, seen)
        found = behaving.activities(self._database, scope, lasting)
        with_previous = (replace(one, previous=known.previous(one.model_id)) for one in found.versions)
        return replace(found, versions=tuple(with_previous))

    def behaviour(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Behaviour:
        """What is behind the numbers, as `Reader.behaviour` says."""
        known, seen = self._load(), sightings.seen_ids(self._database, self._columns)
        asked = self._asked(known, versions, seen)
        return behaving.behaviour(self._database, self._of_runs(self._scope, known, asked, selection, seen))

    def datasets(self) -> list[Dataset]:
        """The data sets, as `Reader.datasets` says."""
        has_logged = self._has_logged()
        has_results, has_rows = scores.has_datasets(self._database)
        query = scores.datasets(self._columns, has_logged=has_logged)
        rows = self._database.query(query.sql, query.parameters) if has_results or has_logged else []
        query = scores.kept_datasets(self._columns)
        kept = {row["name"]: int(row["rows"]) for row in self._database.query(query.sql)} if has_rows else {}
        found = [
            Dataset(digest=row["digest"], name=row["name"] or None, kept_rows=kept.get(row["name"])) for row in rows
        ]
        known = {one.name for one in found}
        return found + [Dataset(digest="", name=name, kept_rows=kept[name]) for name in kept if name not in known]

    def deployments(self) -> list[Deployment]:
        """What runs now, as `Reader.deployments` says."""
        known, seen = self._load(), sightings.seen_ids(self._database, self._columns)
        return deployed.deployments(self._database, self._unscored(known, None, EVERYTHING, seen))

    def revision(self) -> str:
        """A text that changes when spans are stored or deleted, as `Reader.revision` says."""
        (row,) = self._database.query(f"SELECT count() AS spans FROM {schema.SPANS}")
        if not self._has_log_records():
            return str(row["spans"])
        (logged,) = self._database.query(f"SELECT count() AS records FROM {log_schema.LOGS}")
        return f"{row['spans']}-{logged['records']}"

    def trace(self, trace_id: str, most: int | None = None) -> Trace:
        """One trace, as `Reader.trace` says."""
        found = listing.trace(self._database, self._columns, trace_id, most)
        return trace_logs.with_log_records(self._database, found) if self._has_log_records() else found

    def scope(self, versions: Sequence[str] | None, selection: Selection) -> Scope:
        """Which spans a question of one's own is about, as for the other questions.

        Args:
            versions: As a user names them; all where there are none.
            selection: Which traces.

        Raises:
            UnknownVersionError: One of them is not known.
        """
        known, seen = self._load(), sightings.seen_ids(self._database, self._columns)
        ids = None if versions is None else [self._resolved(known, version, seen) for version in versions]
        return self._scope(known, ids, selection, seen)

    def close(self) -> None:
        """Let go of the store."""
        self._database.close()

    @property
    def _columns(self) -> schema.Columns:
        """How columns are read. This is looked up again now and then, as the table of what counts may be filled in."""
        seconds = _INSPECT_SECONDS if self._found.is_prepared else _WATCH_SECONDS
        if time.monotonic() >= self._inspected_at + seconds:
            self._inspected_at = time.monotonic()
            self._found = schema.inspect(self._database)
        return self._found

    def _resolved(self, known: Catalogue, text: str, seen: Collection[str]) -> str:
        """The id of the version that a user names. A version without records is found by its name on spans."""
        try:
            return known.resolve(text, seen)
        except UnknownVersionError:
            if called := spoken.ids_called(self._database, self._columns, text):
                return called[0]
        # Perhaps only spans that do not count have it.
        return known.resolve(text, sightings.every_id(self._database, self._columns))

    def _load(self) -> Catalogue:
        """The catalogue, read again when a record has arrived."""
        with self._loading:
            fingerprint = catalogue.fingerprint(self._database)
            if self._catalogue is None or self._catalogue[0] != fingerprint:
                self._catalogue = (fingerprint, catalogue.load(self._database, self._columns))
            return self._catalogue[1]

    def _compared(self, known: Catalogue, versions: Sequence[str], seen: Collection[str]) -> run_scope.Asked:
        """The versions, or runs, of these names. There has to be at least one, and no two may be the same."""
        if not versions:
            raise ReadingError("name at least one version to compare")
        asked = self._asked(known, versions, seen)
        for place, found in enumerate(asked.ids):
            if found in asked.ids[:place]:
                other = versions[asked.ids.index(found)]
                kind = "run" if found in asked.run_ids else "version"
                raise ReadingError(f"{other!r} and {versions[place]!r} are the same {kind}, {found}")
        return asked

    def _asked(self, known: Catalogue, versions: Sequence[str], seen: Collection[str]) -> run_scope.Asked:
        """The versions, or runs, of these names."""
        runs: list[Run] | None = None
        ids: list[str] = []
        of_runs: list[Run] = []
        for text in versions:
            try:
                found = self._resolved(known, text, seen)
            except UnknownVersionError:
                runs = run_records.load(self._database, self._columns) if runs is None else runs
                try:
                    parts = run_records.found(runs, text)
                except UnknownRunError:
                    parts = []
                if not parts:
                    raise
                found = parts[0].run_id
                of_runs += parts
            ids.append(found)
        columns = self._columns
        if of_runs:
            versions = [one for one in ids if not any(run.run_id == one for run in of_runs)]
            meant = {*versions, *(alias.alias for alias in _aliases(known, versions, seen))}
            judging = run_scope.judging(self._database, columns, of_runs)
            columns = run_scope.RunColumns(columns, of_runs, meant, judging)
        return run_scope.Asked(ids, of_runs, columns)

    def _of_runs(
        self,
        make: Callable[[Catalogue, Sequence[str] | None, Selection, Collection[str]], Scope],
        known: Catalogue,
        asked: run_scope.Asked,
        selection: Selection,
        seen: Collection[str],
    ) -> Scope:
        """A scope of versions and runs. Its first queries look at the versions of the runs, which have more spans."""
        if not asked.runs:
            return make(known, asked.ids, selection, seen)
        versions = [one for one in asked.ids if one not in asked.run_ids]
        behind = [run.model_id for run in asked.runs if run.model_id]
        scope = make(known, sorted({*versions, *behind}), selection, seen)
        # The ids on spans of a run are replaced by the run's id, so no alias stands for a run.
        aliases = _aliases(known, versions, seen)
        return replace(scope, columns=asked.columns, model_ids=asked.ids, aliases=aliases)

    def _scope_of_list(
        self,
        make: Callable[[Catalogue, Sequence[str] | None, Selection, Collection[str]], Scope],
        version: str | None,
        selection: Selection,
    ) -> Scope:
        """The traces of one version or run, or of all versions."""
        known, seen = self._load(), sightings.seen_ids(self._database, self._columns)
        if version is None:
            return make(known, None, selection, seen)
        return self._of_runs(make, known, self._asked(known, [version], seen), selection, seen)

    def _run_names(self, known: Catalogue, asked: run_scope.Asked) -> dict[str, str | None]:
        """What runs are called: their names, with those of their versions."""
        named = self._with_versions(known, asked.runs)
        return {run.run_id: ": ".join(filter(None, (run.version_name, run.name))) or None for run in reversed(named)}

    def _with_versions(self, known: Catalogue, runs: Sequence[Run]) -> list[Run]:
        return run_records.named(runs, self._names(known, sorted({run.model_id for run in runs if run.model_id})))

    def _scope(
        self,
        known: Catalogue,
        model_ids: Sequence[str] | None,
        selection: Selection,
        seen: Collection[str],
        lasting: steady.Steady | None = None,
    ) -> Scope:
        scope = self._unpriced(known, model_ids, selection, seen)
        return scoping.priced(
            self._database, scope, self._prices, None if lasting is None else partial(lasting.called, self._database)
        )

    def _unpriced(
        self, known: Catalogue, model_ids: Sequence[str] | None, selection: Selection, seen: Collection[str]
    ) -> Scope:
        """The same without prices, for what asks for no cost."""
        (found,) = self._database.query(scores.counted(self._columns).sql)
        has_logged = self._has_logged()
        has_events = bool(self._database.query(scores.on_spans(self._columns).sql))
        scope = self._unscored(known, model_ids, selection, seen)
        return replace(
            scope,
            has_results=bool(found["results"] or has_logged or has_events),
            has_events=has_events,
            has_unclaimed=bool(found["unclaimed"]),
            has_logged=has_logged,
        )

    def _has_logged(self) -> bool:
        """Whether there are results of evaluations among log records."""
        return self._has_log_records() and log_scores.are_there(self._database)

    def _has_log_records(self) -> bool:
        """Whether there is a table of log records."""
        self._has_logs = self._has_logs or log_schema.is_there(self._database)
        return self._has_logs

    def _unscored(
        self, known: Catalogue, model_ids: Sequence[str] | None, selection: Selection, seen: Collection[str]
    ) -> Scope:
        """The same for what asks for neither costs nor scores."""
        return Scope(self._columns, _aliases(known, model_ids, seen), model_ids, selection)

    def _names(self, known: Catalogue, model_ids: Iterable[str]) -> dict[str, str | None]:
        models = {model_id: known.model(model_id) for model_id in model_ids}
        names = {model_id: None if model is None else model.name for model_id, model in models.items()}
        unnamed = [model_id for model_id, name in names.items() if name is None]
        if unnamed:
            names.update(sightings.names(self._database, self._columns, unnamed))
        return names

    def _named(self, versions: Sequence[Version], names: Mapping[str, str] | None = None) -> list[Version]:
        """The same with the names that spans give to those that have none; `names` are these, if they are known."""
        unnamed = [version.model_id for version in versions if version.name is None]
        if names is None:
            names = sightings.names(self._database, self._columns, unnamed) if unnamed else {}
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
        if not self._columns.is_prepared:
            yield f"{self._database.name} is not prepared, which makes this slow: run `otel-loggedmodel store prepare`."


def _version_of(asked: run_scope.Asked, one: str) -> str:
    """The version behind what was asked for, which may be a run."""
    return next((run.model_id for run in asked.runs if run.run_id == one), one)


def _aliases(known: Catalogue, model_ids: Sequence[str] | None, seen: Collection[str]) -> tuple[Alias, ...]:
    """The aliases that matter: those of ids that spans have. Mostly there are none, which makes queries simpler."""
    aliases = known.aliases if model_ids is None else known.aliases_of(model_ids)
    return tuple(alias for alias in aliases if alias.alias in seen)
