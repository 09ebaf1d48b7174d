# SPDX-License-Identifier: Apache-2.0
"""A program that inserts into an embedded store, and says as JSON what parts it has before and after merging."""

import json
import sys
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_loggedmodel.store import schema
from otel_loggedmodel.store.database import open_database
from otel_loggedmodel.store.ingest import OtlpWriter

PARTS = f"""
SELECT part_type AS type, rows, secondary_indices_compressed_bytes AS indexes FROM system.parts
WHERE active AND table = '{schema.SPANS}' AND database = currentDatabase() ORDER BY name"""
FOUND = f"SELECT SpanAttributes['key 7'] AS said FROM {schema.SPANS} WHERE SpanAttributes['key 0'] = 'value 1042 0'"
CHANGED = (
    "SELECT name FROM system.settings WHERE changed AND (name LIKE 'format_schema%' OR name LIKE '%skip_indexes%')"
)


def request(first: int) -> bytes:
    made = ExportTraceServiceRequest()
    spans = made.resource_spans.add().scope_spans.add().spans
    for number in range(first, first + 500):
        span = spans.add(name="answer", trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"))
        span.start_time_unix_nano = span.end_time_unix_nano = time.time_ns()
        for key in range(20):
            span.attributes.add(key=f"key {key}").value.string_value = f"value {number} {key}"
    return made.SerializeToString()


def main(directory: str) -> None:
    database = open_database(directory, create=True)
    writer = OtlpWriter(database)
    database.command(f"SYSTEM STOP MERGES {schema.SPANS}")
    writer.insert([request(1), request(1001)])
    writer.insert([request(2001)])
    inserted, changed = database.query(PARTS), database.query(CHANGED)
    database.command(f"SYSTEM START MERGES {schema.SPANS}")
    database.command(f"OPTIMIZE TABLE {schema.SPANS} FINAL")
    merged = database.query(PARTS)
    found = database.query(FOUND)
    writer.close()
    print(json.dumps({"inserted": inserted, "changed": changed, "merged": merged, "found": found}))


if __name__ == "__main__":
    main(sys.argv[1])
