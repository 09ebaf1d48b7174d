# SPDX-License-Identifier: Apache-2.0
"""The table of log records: that of the Collector's `clickhouse` exporter, unchanged.

Source: https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/clickhouseexporter
"""

from typing import Final

from otel_loggedmodel.store.database import Database

LOGS: Final = "otel_logs"
# Resource attributes that the exporter has in columns of their own, too.
_MATERIALIZED: Final = (
    "k8s.cluster.name",
    "k8s.container.name",
    "k8s.deployment.name",
    "k8s.namespace.name",
    "k8s.node.name",
    "k8s.pod.name",
    "k8s.pod.uid",
    "deployment.environment.name",
)


def is_there(database: Database) -> bool:
    """Whether there is such a table that can be read: with its attributes in maps, and with names of events.

    Earlier releases of the exporter have made it without those names, and it can make it with attributes in JSON.
    """
    # Most stores have none, and are asked this with every question: this costs a quarter of looking at columns.
    (found,) = database.query(f"EXISTS TABLE {LOGS}")
    return bool(found["result"]) and bool(
        database.query(
            "SELECT count() AS found FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
            " AND (name = 'LogAttributes' AND startsWith(type, 'Map(') OR name = 'EventName') HAVING found = 2",
            {"table": LOGS},
        )
    )


def exporter_table() -> str:
    """The statement by which the Collector's exporter makes the table, in its release 0.161, without a TTL."""
    materialized = "".join(
        f"    `__otel_materialized_{key}` LowCardinality(String) MATERIALIZED ResourceAttributes['{key}']"
        " CODEC(ZSTD(1)),\n"
        for key in _MATERIALIZED
    )
    indexes = ",\n".join(
        f"    INDEX idx_{short}_attr_{part} map{part.capitalize()}s({column}) TYPE bloom_filter(0.01) GRANULARITY 1"
        for short, column in (("res", "ResourceAttributes"), ("scope", "ScopeAttributes"), ("log", "LogAttributes"))
        for part in ("key", "value")
    )
    return f"""\
CREATE TABLE IF NOT EXISTS {LOGS} (
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8,
    SeverityText LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    Body String CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    EventName String CODEC(ZSTD(1)),
{materialized}\
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
{indexes},
    INDEX idx_lower_body lower(Body) TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8
) ENGINE = MergeTree()
PARTITION BY toDate(Timestamp)
ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1"""
