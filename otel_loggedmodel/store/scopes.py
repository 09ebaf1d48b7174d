# SPDX-License-Identifier: Apache-2.0
"""What a question is about: the versions and runs that a user names, and the spans that count for them."""

import copy
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from otel_loggedmodel.store import (
    catalogue,
    log_schema,
    log_scores,
    run_records,
    run_scope,
    schema,
    scoping,
    scores,
    sightings,
    spoken,
    steady,
)
from otel_loggedmodel.store.catalogue import Alias, Catalogue
from otel_loggedmodel.store.counted import IS_FIRST
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.price_file import PriceFile
from otel_loggedmodel.store.reading import ReadingError, Selection, UnknownRunError, UnknownVersionError, Versions
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.scope import Scope

# A table whose view was dropped is no longer complete, and one that was being filled is complete at some time.
_INSPECT_SECONDS: Final = 60.0
_WATCH_SECONDS: Final = 5.0


class _Known:
    """What was found out about a store, for all who ask it.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._found = schema.inspect(database)
        self._inspected_at = time.monotonic()
        self._catalogue: tuple[object, Catalogue] | None = None
        self._loading = threading.Lock()
        # Made when the first log record arrives.
        self._has_logs = False

    def columns(self, database: Database) -> schema.Columns:
        seconds = _INSPECT_SECONDS if self._found.is_prepared else _WATCH_SECONDS
        if time.monotonic() >= self._inspected_at + seconds:
            self._inspected_at = time.monotonic()
            self._found = schema.inspect(database)
        return self._found

    def catalogue(self, database: Database) -> Catalogue:
        with self._loading:
            fingerprint = catalogue.fingerprint(database)
            if self._catalogue is None or self._catalogue[0] != fingerprint:
                self._catalogue = (fingerprint, catalogue.load(database, self.columns(database)))
            return self._catalogue[1]

    def has_log_records(self, database: Database) -> bool:
        self._has_logs = self._has_logs or log_schema.is_there(database)
        return self._has_logs


class Scopes:
    """Makes scopes of what users ask for. Safe to use from several threads.

    Args:
        database: Where.
        prices: What calls of models cost, before list prices.

    Raises:
        StoreUnavailableError: There is no table of spans, or it is of a newer release.
    """

    def __init__(self, database: Database, prices: PriceFile) -> None:
        self._database = database
        self._prices = prices
        self._known = _Known(database)

    def through(self, database: Database) -> "Scopes":
        """The same scopes of the same store, asked through another object."""
        other = copy.copy(self)
        other._database = database
        return other

    @property
    def columns(self) -> schema.Columns:
        """How columns are read. This is looked up again now and then, as the table of what counts may be filled in."""
        return self._known.columns(self._database)

    def resolved(self, known: Catalogue, text: str, seen: Collection[str]) -> str:
        """The id of the version that a user names. A version without records is found by its name on spans."""
        try:
            return known.resolve(text, seen)
        except UnknownVersionError:
            if called := spoken.ids_called(self._database, self.columns, text):
                return called[0]
        # Perhaps only spans that do not count have it.
        return known.resolve(text, sightings.every_id(self._database, self.columns))

    def load(self) -> Catalogue:
        """The catalogue, read again when a record has arrived."""
        return self._known.catalogue(self._database)

    def known_and_seen(self) -> tuple[Catalogue, frozenset[str]]:
        """The catalogue, and the ids that spans have which count, and results."""
        return self.load(), sightings.seen_ids(self._database, self.columns)

    def compared(self, known: Catalogue, versions: Sequence[str], seen: Collection[str]) -> run_scope.Asked:
        """The versions, or runs, of these names. There has to be at least one, and no two may be the same."""
        if not versions:
            raise ReadingError("name at least one version to compare")
        asked = self.asked(known, versions, seen)
        for place, found in enumerate(asked.ids):
            if found in asked.ids[:place]:
                other = versions[asked.ids.index(found)]
                kind = "run" if found in asked.run_ids else "version"
                raise ReadingError(f"{other!r} and {versions[place]!r} are the same {kind}, {found}")
        return asked

    def asked(self, known: Catalogue, versions: Sequence[str], seen: Collection[str]) -> run_scope.Asked:
        """The versions, or runs, of these names."""
        runs: list[Run] | None = None
        ids: list[str] = []
        of_runs: list[Run] = []
        for text in versions:
            try:
                found = self.resolved(known, text, seen)
            except UnknownVersionError:
                runs = run_records.load(self._database, self.columns) if runs is None else runs
                try:
                    parts = run_records.found(runs, text)
                except UnknownRunError:
                    parts = []
                if not parts:
                    raise
                found = parts[0].run_id
                of_runs += parts
            ids.append(found)
        columns = self.columns
        if of_runs:
            versions = [one for one in ids if not any(run.run_id == one for run in of_runs)]
            meant = {*versions, *(alias.alias for alias in aliases_of(known, versions, seen))}
            judging = run_scope.judging(self._database, columns, of_runs)
            unnamed = run_scope.has_unnamed(self._database, columns, of_runs)
            columns = run_scope.RunColumns(columns, of_runs, meant, judging, has_unnamed=unnamed)
        return run_scope.Asked(ids, of_runs, columns)

    def of_runs(
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
        aliases = aliases_of(known, versions, seen)
        return replace(scope, columns=asked.columns, model_ids=asked.ids, aliases=aliases)

    def of_list(
        self,
        make: Callable[[Catalogue, Sequence[str] | None, Selection, Collection[str]], Scope],
        versions: Versions,
        selection: Selection,
    ) -> Scope:
        """The traces of versions or runs, or of all versions."""
        known, seen = self.known_and_seen()
        if versions is None:
            return self._looked_at(make(known, None, selection, seen))
        asked = self.asked(known, [versions] if isinstance(versions, str) else versions, seen)
        if len(set(asked.ids)) < len(asked.ids):
            asked = replace(asked, ids=list(dict.fromkeys(asked.ids)))
        return self._looked_at(self.of_runs(make, known, asked, selection, seen))

    def _looked_at(self, scope: Scope) -> Scope:
        """The same, with what is known of cut-off traces: lists ask for their traces again and again."""
        if not scope.columns.is_counted:
            return scope
        spans = scope.spans
        found = f"SELECT 1 FROM {scope.source} WHERE {spans.sql} AND {IS_FIRST} LIMIT 1"
        return replace(scope, may_be_cut_off=bool(self._database.query(found, spans.parameters)))

    def priced(
        self,
        known: Catalogue,
        model_ids: Sequence[str] | None,
        selection: Selection,
        seen: Collection[str],
        lasting: steady.Steady | None = None,
    ) -> Scope:
        """The spans of versions, or of all, with what calls of models cost, and with scores."""
        scope = self.unpriced(known, model_ids, selection, seen)
        return scoping.priced(
            self._database, scope, self._prices, None if lasting is None else partial(lasting.called, self._database)
        )

    def unpriced(
        self, known: Catalogue, model_ids: Sequence[str] | None, selection: Selection, seen: Collection[str]
    ) -> Scope:
        """The same without prices, for what asks for no cost."""
        (found,) = self._database.query(scores.counted(self.columns).sql)
        has_logged = self.has_logged()
        has_events = bool(self._database.query(scores.on_spans(self.columns).sql))
        scope = self.unscored(known, model_ids, selection, seen)
        return replace(
            scope,
            has_results=bool(found["results"] or has_logged or has_events),
            has_events=has_events,
            has_unclaimed=bool(found["unclaimed"]),
            has_logged=has_logged,
        )

    def unscored(
        self, known: Catalogue, model_ids: Sequence[str] | None, selection: Selection, seen: Collection[str]
    ) -> Scope:
        """The same for what asks for neither costs nor scores."""
        return Scope(self.columns, aliases_of(known, model_ids, seen), model_ids, selection)

    def has_logged(self) -> bool:
        """Whether there are results of evaluations among log records."""
        return self.has_log_records() and log_scores.are_there(self._database)

    def has_log_records(self) -> bool:
        """Whether there is a table of log records."""
        return self._known.has_log_records(self._database)


def aliases_of(known: Catalogue, model_ids: Sequence[str] | None, seen: Collection[str]) -> tuple[Alias, ...]:
    """The aliases that matter: those of ids that spans have. Mostly there are none, which makes queries simpler."""
    aliases = known.aliases if model_ids is None else known.aliases_of(model_ids)
    return tuple(alias for alias in aliases if alias.alias in seen)
