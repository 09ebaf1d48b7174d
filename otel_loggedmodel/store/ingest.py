# SPDX-License-Identifier: Apache-2.0
"""From OTLP to rows of the Collector's table, without a Python object for each span.

ClickHouse reads the protobuf itself: requests go into a table that keeps nothing, and a materialized view
makes rows of them. Serialized requests that are joined are one valid request, so a batch is one insert. The values are
those that the Collector's exporter writes: all attributes are texts, numbers and bytes as pdata's `Value.AsString` has
them.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from otel_loggedmodel.store import counted, schema, seen_table
from otel_loggedmodel.store.counts import Counts
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.filling import Filler, is_needed, notice_damage
from otel_loggedmodel.store.otlp_sql import ATTRIBUTES, make_input, otlp_settings, texts, time

_INPUT: Final = "otel_loggedmodel_otlp_in"

# The part of https://github.com/open-telemetry/opentelemetry-proto that is stored. There are neither lists nor maps
# among the values: they come as texts (`SpanWriter.insert`), since reading nested ones costs half of the throughput.
_PROTO: Final = """\
syntax = "proto3";
message Request { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message Scope { string name = 1; string version = 2; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; bytes bytes_value = 7;
  }
}
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5;
  int32 kind = 6; fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9;
  repeated Event events = 11; repeated Link links = 13; Status status = 15;
}
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Link { bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; repeated KeyValue attributes = 4; }
message Status { string message = 2; int32 code = 3; }
"""
_RESOURCE_SPANS: Final = f"""\
Array(Tuple(
    resource Tuple(attributes {ATTRIBUTES}),
    scope_spans Array(Tuple(
        scope Tuple(name String, version String),
        spans Array(Tuple(
            trace_id String, span_id String, trace_state String, parent_span_id String, name String, kind Int32,
            start_time_unix_nano UInt64, end_time_unix_nano UInt64, attributes {ATTRIBUTES},
            events Array(Tuple(time_unix_nano UInt64, name String, attributes {ATTRIBUTES})),
            links Array(Tuple(trace_id String, span_id String, trace_state String, attributes {ATTRIBUTES})),
            status Tuple(message String, code Int32)
        ))
    ))
))"""

# Working these out takes a fifth of an insert, and merging does it again. Until then, what looks for an attribute reads
# the newest spans, as many as a few inserts have.
_INDEXES_LEFT_TO_MERGES: Final = (
    "idx_res_attr_key",
    "idx_res_attr_value",
    "idx_span_attr_key",
    "idx_span_attr_value",
    "idx_duration",
)

_SELECT: Final = f"""\
SELECT
    {time("span.start_time_unix_nano")} AS Timestamp,
    lower(hex(span.trace_id)) AS TraceId,
    lower(hex(span.span_id)) AS SpanId,
    lower(hex(span.parent_span_id)) AS ParentSpanId,
    span.trace_state AS TraceState,
    span.name AS SpanName,
    transform(
        span.kind, [0, 1, 2, 3, 4, 5], ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'], ''
    ) AS SpanKind,
    ResourceAttributes['service.name'] AS ServiceName,
    ResourceAttributes,
    scope_spans.scope.name AS ScopeName,
    scope_spans.scope.version AS ScopeVersion,
    {texts("span.attributes")} AS SpanAttributes,
    span.end_time_unix_nano - span.start_time_unix_nano AS Duration,
    transform(span.status.code, [0, 1, 2], ['Unset', 'Ok', 'Error'], '') AS StatusCode,
    span.status.message AS StatusMessage,
    arrayMap(event -> {time("event.time_unix_nano")}, span.events) AS `Events.Timestamp`,
    arrayMap(event -> event.name, span.events) AS `Events.Name`,
    arrayMap(event -> {texts("event.attributes")}, span.events) AS `Events.Attributes`,
    arrayMap(link -> lower(hex(link.trace_id)), span.links) AS `Links.TraceId`,
    arrayMap(link -> lower(hex(link.span_id)), span.links) AS `Links.SpanId`,
    arrayMap(link -> link.trace_state, span.links) AS `Links.TraceState`,
    arrayMap(link -> {texts("link.attributes")}, span.links) AS `Links.Attributes`
FROM (
    SELECT arrayJoin(scope_spans.spans) AS span, scope_spans, ResourceAttributes FROM (
        SELECT arrayJoin(resource_spans.scope_spans) AS scope_spans, ResourceAttributes FROM (
            SELECT arrayJoin(resource_spans) AS resource_spans,
                {texts("resource_spans.resource.attributes")} AS ResourceAttributes
            FROM {_INPUT}
        )
    )
)"""


class OtlpWriter:
    """A `SpanWriter` on a ClickHouse database, which it prepares.

    What is acknowledged survives the death of this process. The loss of power can take what the system has not written
    to the disk yet, unless the table has the setting `fsync_after_insert`.

    Args:
        database: Where to; this object closes it.

    Attributes:
        database: Where to.
        counts: How many rows there were.

    Raises:
        StoreUnavailableError: It cannot be prepared.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._deleting = threading.Lock()
        # The columns of an earlier release are computed again for the spans that are there. This waits for the end.
        is_embedded = database.directory is not None
        schema.prepare(database, backfill=is_embedded and schema.is_older(database), fill=False)
        if database.directory is not None:
            notice_damage(database, database.directory)
        make_input(database, _INPUT, f"resource_spans {_RESOURCE_SPANS}", _SELECT, schema.SPANS)
        self._filler = Filler(database) if is_embedded and is_needed(database) else None
        self._settings = otlp_settings(database.directory, _PROTO)
        if is_embedded:
            self._settings["exclude_materialize_skip_indexes_on_insert"] = ",".join(_INDEXES_LEFT_TO_MERGES)
        self.counts = Counts(database)

    def insert(self, requests: Sequence[bytes]) -> None:
        """Store spans, as `SpanWriter.insert` says."""
        self.database.insert_raw(_INPUT, requests, "ProtobufSingle", self._settings)
        self.counts.note_growth()

    def delete_before(self, time: datetime) -> int:
        """Delete days of spans that began before, as `SpanWriter.delete_before` says.

        The tables have a partition for each day, which is dropped at next to no cost when all of it is older. Where
        there are records of versions in it, only the spans are taken out.
        """
        older = {"time": time.astimezone(timezone.utc)}
        with self._deleting:
            days = self.database.query(
                f"""
                SELECT _partition_id AS id, countIf(LoggedModelRole != 'record') AS spans,
                    countIf(LoggedModelRole = 'record') AS records
                FROM {schema.SPANS} GROUP BY id HAVING spans > 0 AND max(Timestamp) < {{time:DateTime64(9, 'UTC')}}""",
                older,
            )
            with self.counts.changing([day["id"] for day in days]):
                self._delete(days)
            for day in self.database.query(
                f"SELECT _partition_id AS id FROM {schema.SPANS}_trace_id_ts GROUP BY id"
                " HAVING max(End) < {time:DateTime64(9, 'UTC')}",
                older,
            ):
                self.database.command(f"ALTER TABLE {schema.SPANS}_trace_id_ts DROP PARTITION ID '{day['id']}'")
            return sum(day["spans"] for day in days)

    def close(self) -> None:
        """Let go of the database."""
        if self._filler is not None:
            self._filler.stop()
        self.database.close()

    def _delete(self, days: Sequence[Mapping[str, Any]]) -> None:
        for day in days:
            # The table of what counts holds no records.
            self.database.command(f"ALTER TABLE {counted.TABLE} DROP PARTITION ID '{day['id']}'")
            self.database.command(f"ALTER TABLE {seen_table.TABLE} DROP PARTITION ID '{day['id']}'")
            if day["records"]:
                self.database.command(
                    f"ALTER TABLE {schema.SPANS} DELETE IN PARTITION ID '{day['id']}'"
                    " WHERE LoggedModelRole != 'record'",
                    {"mutations_sync": 1},
                )
            else:
                self.database.command(f"ALTER TABLE {schema.SPANS} DROP PARTITION ID '{day['id']}'")
