# SPDX-License-Identifier: Apache-2.0
"""Writes what a store has into files, for whoever wants to ask other tools or to leave: Parquet, or OTLP as JSON lines.

The engine writes the files itself, a day at a time, so that memory is bounded by a day. All of them are in a new
directory that has another name until it is whole.
"""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, BinaryIO, Final

from otel_loggedmodel.store import export_sql, log_schema, schema
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.parquet_rows import rows_of
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import EVERYTHING, ReadingError, Selection, StoreUnavailableError, VersionFilter
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.version_results import Version

FORMATS: Final = ("parquet", "otlp")
# A third of the time goes into what readers of a whole file do not use, and into the last percents of compression. ZSTD
# stays: LZ4 and Snappy save a tenth of the rest, and files are twice as large.
PARQUET: Final = {
    "output_format_parquet_write_bloom_filter": 0,
    "output_format_parquet_write_page_index": 0,
    "output_format_parquet_write_checksums": 0,
    "output_format_parquet_max_dictionary_size": 4096,
    "output_format_parquet_batch_size": 8192,
    # Groups are compressed side by side, so small ones keep all cores busy. DuckDB and the like split a file by them.
    "output_format_parquet_row_group_size": 100_000,
    "output_format_compression_level": 1,
}
_VERSIONS: Final = VersionFilter(deleted=True, limit=10_000)
# A query with ten thousand versions in it is long.
_LONG_QUERY: Final = {"max_query_size": 1 << 30, "max_parser_depth": 10_000}
_ITEMS_OF_A_LINE: Final = 200
_OPEN_LINES: Final = 64
_SPANS_AT_ONCE: Final = 10_000_000


@dataclass(frozen=True)
class Layers:
    """What OTLP calls resources, scopes in them, and items in those, in JSON."""

    resources: str
    scopes: str
    items: str

    def line(self, resource: bytes, scope: bytes, items: Sequence[bytes]) -> bytes:
        """A request with items of one resource and scope, as a line."""
        head = f'{{"{self.resources}":[{{"resource":%b,"{self.scopes}":[{{"scope":%b,"{self.items}":[%b]}}]}}]}}\n'
        return head.encode() % (resource, scope, b",".join(items))


OF_SPANS: Final = Layers("resourceSpans", "scopeSpans", "spans")
OF_LOG_RECORDS: Final = Layers("resourceLogs", "scopeLogs", "logRecords")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be exported.

    Attributes:
        path: A directory that is not there yet.
        format: One of `FORMATS`.
        versions: Of which, as a user names them; of all where none is named.
        since: Begun then or later.
        until: Begun before.
    """

    path: str
    format: str = "parquet"
    versions: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was exported.

    Attributes:
        path: The directory.
        format: One of `FORMATS`.
        rows: How many of each kind: `spans`; for Parquet `traces`, `scores`, `versions` and `resources`; for OTLP
            `log_records`.
    """

    path: str
    format: str
    rows: Mapping[str, int]


class Exporter:
    """Exports from a ClickHouse database, embedded or remote.

    Args:
        database: What is asked for rows.
        reader: What is asked for versions.
    """

    def __init__(self, database: Database, reader: StoreReader) -> None:
        self._database = database
        self._reader = reader

    def run(self, wanted: Wanted, on_spans: Callable[[int, int], object] = lambda done, total: None) -> Exported:
        """Export.

        Args:
            wanted: What, and where to.
            on_spans: Called after each day with how many spans are written, of how many; copies are among these.

        Raises:
            ReadingError: There is something at that path already, or one of the versions is not known.
            StoreUnavailableError: The store cannot be asked, or a file cannot be written.
        """
        if wanted.format not in FORMATS:
            raise ReadingError(f"{wanted.format!r} is no format of exports: use one of {', '.join(FORMATS)}")
        path = Path(wanted.path)
        if path.exists():
            raise ReadingError(f"{path} is there already: name a directory that is not")
        if not path.parent.is_dir():
            raise ReadingError(f"{path.parent} is no directory: make it first")
        selection = Selection(since=_in_utc(wanted.since), until=_in_utc(wanted.until))
        scope = self._reader.scope(wanted.versions or None, selection)
        # Under another name until it is whole: what is left of one that was killed is not taken for an export.
        partial = path.with_name(f".partial-{uuid.uuid4().hex}-{path.name}")
        try:
            partial.mkdir(mode=0o700)
            rows = _Writing(self._database, self._reader, scope, partial, on_spans).run(wanted.format)
            partial.rename(path)
        except OSError as error:
            raise StoreUnavailableError(f"{path} cannot be written: {error.strerror or error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return Exported(path=str(path), format=wanted.format, rows=rows)


class _Writing:
    """One export."""

    def __init__(
        self,
        database: Database,
        reader: StoreReader,
        scope: Scope,
        directory: Path,
        on_spans: Callable[[int, int], object],
    ) -> None:
        self._database = database
        self._reader = reader
        self._scope = scope
        self._directory = directory
        self._on_spans = on_spans

    def run(self, format_name: str) -> dict[str, int]:
        """Write everything; returns how many rows there are of each kind."""
        return self._all_otlp() if format_name == "otlp" else self._all_parquet()

    def _all_parquet(self) -> dict[str, int]:
        days = self._days(schema.SPANS)
        for kind in ("spans", "traces"):
            (self._directory / kind).mkdir(mode=0o700)
        rows = {"spans": 0, "traces": 0}
        for day in self._told(days):
            rows["spans"] += self._parquet(f"spans/{day}.parquet", export_sql.spans(self._scope, day))
        for several in _together(days):
            found = self._traces(self._scope_of(several[0], several[-1]))
            rows["traces"] += self._parquet(f"traces/{several[0]}.parquet", found)
        rows["scores"] = self._parquet("scores.parquet", export_sql.scores_of(self._scope))
        rows["versions"] = self._parquet("versions.parquet", export_sql.versions(list(self._versions())))
        if days:
            rows["resources"] = self._parquet("resources.parquet", export_sql.resources(self._scope))
        return rows

    def _all_otlp(self) -> dict[str, int]:
        rows = {"spans": 0}
        for day in self._told(self._days(schema.SPANS)):
            rows["spans"] += self._otlp(f"spans-{day}.jsonl", export_sql.otlp(self._scope, day), OF_SPANS)
        if log_schema.is_there(self._database):
            rows["log_records"] = 0
            for day in self._days(log_schema.LOGS):
                found = export_sql.otlp_logs(self._scope, day)
                rows["log_records"] += self._otlp(f"logs-{day}.jsonl", found, OF_LOG_RECORDS)
        return rows

    def _told(self, days: Mapping[str, int]) -> Iterator[str]:
        """Days, with how far that is after each."""
        done, total = 0, sum(days.values())
        for day, spans in days.items():
            yield day
            done += spans
            self._on_spans(done, total)

    def _days(self, table: str) -> dict[str, int]:
        """The days with rows of what was asked for, and how many rows there are."""
        where = export_sql.of_time(self._scope.selection)
        found = self._database.query(
            f"SELECT toString(toDate(Timestamp)) AS day, count() AS rows FROM {table}"
            f" WHERE {where.sql} GROUP BY day ORDER BY day",
            where.parameters,
        )
        return {row["day"]: row["rows"] for row in found}

    def _scope_of(self, first: str, last: str) -> Scope:
        """The traces that began from one day to another and were asked for."""
        start = datetime.fromisoformat(first).replace(tzinfo=timezone.utc)
        since, until = self._scope.selection.since, self._scope.selection.until
        end = datetime.fromisoformat(last).replace(tzinfo=timezone.utc) + timedelta(days=1)
        selection = replace(
            EVERYTHING, since=max(start, since) if since else start, until=min(end, until) if until else end
        )
        return replace(self._scope, selection=selection)

    def _traces(self, scope: Scope) -> Query:
        """What finds traces, in the quickest way that holds for all of them, as `measuring.answer` has it."""
        if scope.moves.sql:
            return export_sql.traces(scope, are_plain=False)
        query = export_sql.entangled(scope)
        (found,) = self._database.query(query.sql, query.parameters)
        return export_sql.traces(scope, are_plain=not found["entangled"])

    def _parquet(self, name: str, query: Query) -> int:
        """Write the rows that a query finds; returns how many there are."""
        path = self._directory / name
        settings = {**PARQUET, **(_LONG_QUERY if name == "versions.parquet" else {})}
        self._database.write(query.sql, query.parameters, path, "Parquet", settings)
        path.chmod(0o600)
        return rows_of(path)

    def _otlp(self, name: str, query: Query, layers: Layers) -> int:
        """Write requests of what a query finds; returns how many spans or log records there are."""
        path = self._directory / name
        rows = path.with_suffix(".rows")
        self._database.write(query.sql, query.parameters, rows, "TSVRaw", {})
        try:
            with rows.open("rb") as read, path.open("wb") as written:
                path.chmod(0o600)
                return _write_lines(read, written, layers)
        finally:
            rows.unlink()

    def _versions(self) -> Iterator[str]:
        """Each version as a line of JSON."""
        wanted = None if self._scope.model_ids is None else set(self._scope.model_ids)
        for version in self._reader.versions(_VERSIONS):
            if wanted is None or version.model_id in wanted:
                yield json.dumps(_row_of(version))


def _together(days: Mapping[str, int]) -> Iterator[list[str]]:
    """Days of which traces are measured at once: a few million spans, as each question has a cost of its own."""
    several: list[str] = []
    spans = 0
    for day, number in days.items():
        if several and spans + number > _SPANS_AT_ONCE:
            yield several
            several, spans = [], 0
        several.append(day)
        spans += number
    if several:
        yield several


def _row_of(version: Version) -> dict[str, Any]:
    return {
        "version": version.model_id,
        "name": version.name,
        "registered": version.registered,
        "deleted": version.deleted,
        "experiment_id": version.experiment_id,
        "model_type": version.model_type,
        "source_run_id": version.source_run_id,
        "status": version.status,
        "created": _time(version.creation_timestamp),
        "updated": _time(version.last_updated_timestamp),
        "params": dict(version.params),
        "tags": dict(version.tags),
        "traces": version.traces,
        "errors": version.errors,
        "p95_ms": version.p95_ms,
        "first_seen": _time(version.first_seen_ms),
        "last_seen": _time(version.last_seen_ms),
        "services": version.services,
        "references": version.references,
    }


def _time(milliseconds: int | None) -> str | None:
    """As the engine reads it: seconds, with digits behind a point."""
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}" if milliseconds else None


def _write_lines(rows: BinaryIO, lines: BinaryIO, layers: Layers) -> int:
    """Put what has one resource and scope into one request, some at a time; returns how many items there are."""
    items = 0
    waiting: dict[tuple[bytes, bytes], list[bytes]] = {}
    for row in rows:
        resource, scope, item = row.rstrip(b"\n").split(b"\t")
        items += 1
        together = waiting.setdefault((resource, scope), [])
        together.append(item)
        if len(together) == _ITEMS_OF_A_LINE:
            lines.write(layers.line(resource, scope, together))
            del waiting[resource, scope]
        elif len(waiting) > _OPEN_LINES:
            first = next(iter(waiting))
            lines.write(layers.line(*first, waiting.pop(first)))
    for (resource, scope), together in waiting.items():
        lines.write(layers.line(resource, scope, together))
    return items


def _in_utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(timezone.utc)
