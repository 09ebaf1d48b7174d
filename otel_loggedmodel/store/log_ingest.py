# SPDX-License-Identifier: Apache-2.0
"""From OTLP to rows of the Collector's table of log records, as `ingest` does with spans.

The table and the view that fills it are made when the first log records arrive: most stores never see any.
"""

import threading
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Final

from otel_loggedmodel.store import layout, log_schema
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.log_schema import LOGS
from otel_loggedmodel.store.otlp_sql import ATTRIBUTES, VALUE, make_input, otlp_settings, text_of, texts, time
from otel_loggedmodel.store.writing import RefusedError

_INPUT: Final = "otel_loggedmodel_otlp_logs_in"

_PROTO: Final = """\
syntax = "proto3";
message Request { repeated ResourceLogs resource_logs = 1; }
message ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; string schema_url = 3; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeLogs { Scope scope = 1; repeated LogRecord log_records = 2; string schema_url = 3; }
message Scope { string name = 1; string version = 2; repeated KeyValue attributes = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; bytes bytes_value = 7;
  }
}
message LogRecord {
  fixed64 time_unix_nano = 1; int32 severity_number = 2; string severity_text = 3; AnyValue body = 5;
  repeated KeyValue attributes = 6; fixed32 flags = 8; bytes trace_id = 9; bytes span_id = 10;
  fixed64 observed_time_unix_nano = 11; string event_name = 12;
}
"""
_RESOURCE_LOGS: Final = f"""\
Array(Tuple(
    resource Tuple(attributes {ATTRIBUTES}),
    schema_url String,
    scope_logs Array(Tuple(
        scope Tuple(name String, version String, attributes {ATTRIBUTES}),
        schema_url String,
        log_records Array(Tuple(
            time_unix_nano UInt64, severity_number Int32, severity_text String, body {VALUE},
            attributes {ATTRIBUTES}, flags UInt32, trace_id String, span_id String,
            observed_time_unix_nano UInt64, event_name String
        ))
    ))
))"""
_SELECT: Final = f"""\
SELECT
    {time("if(record.time_unix_nano = 0, record.observed_time_unix_nano, record.time_unix_nano)")} AS Timestamp,
    lower(hex(record.trace_id)) AS TraceId,
    lower(hex(record.span_id)) AS SpanId,
    toUInt8(bitAnd(record.flags, 255)) AS TraceFlags,
    record.severity_text AS SeverityText,
    toUInt8(bitAnd(record.severity_number, 255)) AS SeverityNumber,
    ResourceAttributes['service.name'] AS ServiceName,
    {text_of("record.body")} AS Body,
    ResourceSchemaUrl,
    ResourceAttributes,
    scope_logs.schema_url AS ScopeSchemaUrl,
    scope_logs.scope.name AS ScopeName,
    scope_logs.scope.version AS ScopeVersion,
    ScopeAttributes,
    {texts("record.attributes")} AS LogAttributes,
    record.event_name AS EventName
FROM (
    SELECT arrayJoin(scope_logs.log_records) AS record, scope_logs, ScopeAttributes, ResourceAttributes,
        ResourceSchemaUrl
    FROM (
        SELECT arrayJoin(resource_logs.scope_logs) AS scope_logs,
            {texts("scope_logs.scope.attributes")} AS ScopeAttributes, ResourceAttributes, ResourceSchemaUrl
        FROM (
            SELECT arrayJoin(resource_logs) AS resource_logs,
                {texts("resource_logs.resource.attributes")} AS ResourceAttributes,
                resource_logs.schema_url AS ResourceSchemaUrl
            FROM {_INPUT}
        )
    )
)"""


class LogWriter:
    """A `LogRecordWriter` on a ClickHouse database.

    Args:
        database: Where to; somebody else closes it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._preparing = threading.Lock()
        self._settings: dict[str, Any] | None = None

    def insert(self, requests: Sequence[bytes]) -> None:
        """Store log records, as `SpanWriter.insert` says of spans."""
        self._database.insert_raw(_INPUT, requests, "ProtobufSingle", self._prepared())

    def delete_before(self, time: datetime) -> int:
        """Delete the days whose log records are all older. Returns how many records there were."""
        if not log_schema.is_there(self._database):
            return 0
        older = {"time": time.astimezone(timezone.utc)}
        days = self._database.query(
            f"SELECT _partition_id AS id, count() AS records FROM {LOGS} GROUP BY id"
            " HAVING max(Timestamp) < {time:DateTime64(9, 'UTC')}",
            older,
        )
        for day in days:
            self._database.command(f"ALTER TABLE {LOGS} DROP PARTITION ID '{day['id']}'")
        return sum(day["records"] for day in days)

    def _prepared(self) -> dict[str, Any]:
        """The settings of inserts, once there is something to insert into."""
        with self._preparing:
            if self._settings is None:
                _prepare(self._database)
                self._settings = otlp_settings(self._database.directory, _PROTO)
            return self._settings


def _prepare(database: Database) -> None:
    database.command(log_schema.exporter_table())
    if not log_schema.is_there(database):
        raise RefusedError(f"{LOGS} of {database.name} has no EventName, or its attributes are not in maps")
    made = make_input(database, _INPUT, f"resource_logs {_RESOURCE_LOGS}", _SELECT, LOGS)
    if made and database.directory is not None:
        layout.keep_definitions(database.directory)
