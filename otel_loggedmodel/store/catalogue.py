# SPDX-License-Identifier: Apache-2.0
"""Which versions there are: their records folded, and the ids on spans that stand for another.

Two kinds of ids may stand for another. A reference by name means the newest version of that name that was created
before the span began. An id that is no version's id but a version's name, as people set in `MLFLOW_ACTIVE_MODEL_ID`,
means the same.
"""

import dataclasses
import difflib
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel._checking import has_id_shape
from otel_loggedmodel.store import schema
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.numbering import Numbering
from otel_loggedmodel.store.reading import AmbiguousVersionError, UnknownVersionError
from otel_loggedmodel.store.span_times import START
from otel_loggedmodel.versions import identity, records
from otel_loggedmodel.versions.arriving import Arrived, numbered_events_of
from otel_loggedmodel.versions.model import LoggedModel, ModelEvent

# The table is sorted by span name, so that this reads little of it.
_RECORD_NAMES: Final = (
    "SpanName IN ('logged_model.created', 'logged_model.updated', 'logged_model.deleted', 'logged_model.activated',"
    " 'logged_model.continued')"
)
_NANOSECONDS_PER_MILLISECOND: Final = 1_000_000
_SHOWN_MATCHES: Final = 5
_SHOWN_DIGITS: Final = 8
# The first of these tags that a version has labels it.
RELEASE_TAGS: Final = ("release", "service.version", "version")
# With fewer characters, the end of an id is too likely to be a word instead.
_FEWEST_DIGITS: Final = 4
_MOST_LIKENED: Final = 5000
# References by name ended so in stores of schema 1 and 2. No id that is made today does.
_OLD_REFERENCE: Final = "0" * 16


@dataclasses.dataclass(frozen=True)
class Alias:
    """An id on spans that stands for a version, from a time on until the next alias of the same id.

    Attributes:
        alias: The id on the spans.
        since_ns: Spans are meant that begin then or later; in ns since the epoch.
        model_id: The version.
    """

    alias: str
    since_ns: int
    model_id: str


class Catalogue:
    """The versions that there are records of.

    Args:
        models: The versions by id, folded.
        created: When each was created first, in ns since the epoch; without those that only an activation tells of.

    Attributes:
        aliases: The ids that stand for another, in the order in which they begin to.
        standing_for: The ids of these aliases.
        references: The ids that stand for a version at some time, by the id of the version.
    """

    def __init__(self, models: Mapping[str, records.FoldedModel], created: Mapping[str, int]) -> None:
        self.models = models
        self._created = created
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for model_id in sorted(created, key=lambda model_id: (created[model_id], model_id)):
            name = models[model_id].model.name
            if name is not None:
                self._by_name[name].append(model_id)
        self._numbering = Numbering(self._by_name)
        self.aliases: tuple[Alias, ...] = tuple(
            sorted(self._aliases(), key=lambda alias: (alias.since_ns, alias.alias))
        )
        self.standing_for: frozenset[str] = frozenset(alias.alias for alias in self.aliases)
        self.references: dict[str, set[str]] = defaultdict(set)
        for alias in self.aliases:
            self.references[alias.model_id].add(alias.alias)

    def model(self, model_id: str) -> LoggedModel | None:
        """What is known of a version, if there is any record of it."""
        folded = self.models.get(model_id)
        return None if folded is None else folded.model

    def is_registered(self, model_id: str) -> bool:
        """Whether a record of its creation was received."""
        return model_id in self._created

    def aliases_of(self, model_ids: Iterable[str]) -> tuple[Alias, ...]:
        """All aliases of every id that stands for one of these versions at some time."""
        wanted = set(model_ids)
        ids = {alias.alias for alias in self.aliases if alias.model_id in wanted}
        return tuple(alias for alias in self.aliases if alias.alias in ids)

    def newest(self, name: str) -> str | None:
        """The newest version of a name; a deleted one, or a reference, only if there is no other."""
        ids = self._by_name.get(name, ())
        return max(
            ids,
            key=lambda model_id: (
                not self.models[model_id].deleted,
                not self._is_pure_reference(model_id),
                self._created[model_id],
            ),
            default=None,
        )

    def previous(self, model_id: str) -> str | None:
        """The version before this one: of its name, else of the name that differs only in a lower number.

        Deleted versions are left out, and so are references by name where the name is the same.
        """
        if model_id not in self._created or (name := self.models[model_id].model.name) is None:
            return None
        ids = self._by_name[name]
        earlier = (
            other
            for other in reversed(ids[: ids.index(model_id)])
            if not self.models[other].deleted and not self._is_pure_reference(other)
        )
        return next(earlier, None) or self._newest_before(name)

    def _newest_before(self, name: str) -> str | None:
        newest = (self.newest(other) for other in self._numbering.before(name))
        return next((other for other in newest if other is not None and not self.models[other].deleted), None)

    def resolve(self, text: str, seen: Collection[str]) -> str:
        """The id of the version that a user names.

        Args:
            text: An id, the beginning or the end of one as it is shown, or a name.
            seen: The ids that spans have.

        Raises:
            UnknownVersionError: There is no such version.
            AmbiguousVersionError: Several ids begin or end so.
        """
        if text in self._created and not self._is_pure_reference(text):
            return text
        meant = self.newest(text)
        if meant is not None:
            return meant
        known = {*self.models, *seen}
        if text in known:
            return max(
                (alias for alias in self.aliases if alias.alias == text),
                key=lambda alias: alias.since_ns,
                default=Alias(text, 0, text),
            ).model_id
        matches = sorted(model_id for model_id in known if _is_part(text, model_id))
        if len(matches) == 1:
            return matches[0]
        if matches:
            shown = ", ".join(matches[:_SHOWN_MATCHES]) + (", ..." if len(matches) > _SHOWN_MATCHES else "")
            raise AmbiguousVersionError(f"{len(matches)} versions have ids that begin or end with {text!r}: {shown}")
        # Looking for similar ones among a hundred thousand would take minutes.
        names = sorted(itertools.islice((*self._by_name, *known), _MOST_LIKENED))
        suggestions = difflib.get_close_matches(text, dict.fromkeys(names), n=3)
        told = f"there is no version {text!r}: no id, beginning or end of an id, or name"
        if released := self._released_as(text):
            told += f". It is the release of {' and '.join(released)}: name the version by its id"
        raise UnknownVersionError(told, suggestions)

    def _released_as(self, label: str) -> Sequence[str]:
        """The ends of the ids of some versions that have it in a tag which labels them."""
        found = (
            model_id[-_SHOWN_DIGITS:]
            for model_id, folded in itertools.islice(self.models.items(), _MOST_LIKENED)
            if any(folded.model.tags.get(tag) == label for tag in RELEASE_TAGS)
        )
        return list(itertools.islice(found, _SHOWN_MATCHES))

    def _is_pure_reference(self, model_id: str) -> bool:
        """Whether it is a reference by name; one with params of its own stands for itself."""
        is_reference = identity.is_reference(model_id) or _is_old_reference(model_id)
        return is_reference and not self.models[model_id].model.params

    def _aliases(self) -> Iterable[Alias]:
        for name, ids in self._by_name.items():
            proper = [model_id for model_id in ids if not self._is_pure_reference(model_id)]
            for model_id in proper:
                reference = identity.reference_to(self.models[model_id].model.experiment_id, name)
                old = reference[: -len(_OLD_REFERENCE)] + _OLD_REFERENCE
                for alias in (reference, old) if old in ids else (reference,):
                    if alias not in proper:
                        yield Alias(alias, self._created[model_id], model_id)
            if name not in self._created:
                if proper:
                    yield from (Alias(name, self._created[model_id], model_id) for model_id in proper)
                else:
                    yield from (Alias(name, 0, model_id) for model_id in ids)


def _is_part(text: str, model_id: str) -> bool:
    """Whether a text is the beginning of an id, with or without its `m-`, or the end, as short forms are."""
    digits = text.removeprefix("…")
    if digits and model_id.startswith((digits, f"m-{digits}")):
        return True
    return len(digits) >= _FEWEST_DIGITS and has_id_shape(model_id) and model_id.endswith(digits)


def _is_old_reference(model_id: str) -> bool:
    return has_id_shape(model_id) and model_id.endswith(_OLD_REFERENCE)


def load(database: Database, columns: schema.Columns) -> Catalogue:
    """The catalogue of a store.

    Processes send the same record again and again. The earliest copy of each event is read. Of a creation, the time of
    the latest copy is read, too: it tells whether a version was made again after it was deleted.
    """
    rows = database.query(f"""
        SELECT
            argMin(SpanAttributes, (said_ms, Timestamp)) AS attributes,
            argMin({START}, (said_ms, Timestamp)) AS time_ns,
            argMin(SpanId, (said_ms, Timestamp)) AS span_id,
            max(said_ms) AS latest_ms
        FROM (
            SELECT *, SpanAttributes['logged_model.event'] AS event, LoggedModelId AS model_id,
                toInt64OrZero(SpanAttributes['logged_model.created_at']) AS said_ms
            FROM {columns.spans}
            WHERE {_RECORD_NAMES} AND LoggedModelRole = 'record'
        )
        GROUP BY model_id, event, if(event IN ('created', 'activated'), '', SpanId)
    """)
    events = list(_events_of(rows))
    created: dict[str, int] = {}
    for event in events:
        if event.kind == "created":
            created[event.model_id] = min(created.get(event.model_id, event.time_ns), event.time_ns)
    return Catalogue(records.fold(events), created)


def fingerprint(database: Database) -> tuple[Any, ...]:
    """Changes when a record arrives."""
    (row,) = database.query(
        f"SELECT count() AS records, toUnixTimestamp64Nano(max(Timestamp)) AS newest"
        f" FROM {schema.SPANS} WHERE {_RECORD_NAMES}"
    )
    return (row["records"], row["newest"])


def _events_of(rows: Sequence[Mapping[str, Any]]) -> Iterable[ModelEvent]:
    found = [(row, span) for row in rows if (span := _span_of(row)) is not None]
    for number, event in numbered_events_of(span for _, span in found):
        yield event
        latest_ns = found[number][0]["latest_ms"] * _NANOSECONDS_PER_MILLISECOND
        if event.kind == "created" and latest_ns > event.time_ns:
            yield dataclasses.replace(event, time_ns=latest_ns)


def _span_of(row: Mapping[str, Any]) -> Arrived | None:
    try:
        return Arrived(row["attributes"], row["time_ns"], int(row["span_id"], 16))
    except ValueError:
        return None
