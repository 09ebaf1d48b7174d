# SPDX-License-Identifier: Apache-2.0
"""Every number of a comparison equals the truth of the synthetic data set, through an unmodified network client."""

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from clickhouse_server import ClickHouseServer
from effort import only_in_full, some
from otel_loggedmodel.store import open_reader, schema
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import Selection, VersionFilter
from otel_loggedmodel.store.results import LatencyMs, Verdict, VersionMetrics
from planted_traces import ENVIRONMENT, TENANT, WORKER
from truth import Traffic, make_traffic

from .conftest import filled


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return make_traffic()


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer, traffic: Traffic) -> Iterator[StoreReader]:
    with filled(clickhouse_server, traffic.requests) as reader:
        yield reader


def approximately(metrics: VersionMetrics) -> Mapping[str, Any]:
    """The numbers by dotted names, to compare with `pytest.approx`."""
    return {
        name: value if value is None or isinstance(value, str) else pytest.approx(value, rel=1e-9, abs=1e-12)
        for name, value in plainly(metrics).items()
    }


def plainly(metrics: VersionMetrics) -> Mapping[str, Any]:
    flat: dict[str, Any] = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping | tuple):
            for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
                add(f"{prefix}.{key}", part)
        else:
            flat[prefix] = value

    add("", dataclasses.asdict(metrics))
    return flat


def planted(metrics: VersionMetrics) -> VersionMetrics:
    """The numbers that the data set was planted with; `tests/conventions` has the others."""
    return dataclasses.replace(
        metrics,
        tokens=dataclasses.replace(metrics.tokens, cache_read=0, cache_write=0, reasoning=0),
        calls_per_trace=None,
        failed_calls=None,
        tool_calls_per_trace=None,
        first_chunk_ms=LatencyMs(),
        conversations=None,
        cut_off=0,
        units=0,
        first_ms=None,
        last_ms=None,
        # Beside versions that call models, one that calls none costs nothing.
        **({} if metrics.calls_per_trace else {"cost_usd": None, "cost_usd_per_trace": None}),
    )


SELECTIONS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "service": {"service": WORKER},
    "resource's attribute": {"attributes": {ENVIRONMENT: "staging", TENANT: "globex"}},
    "since": {"since": 0},
    "attribute": {"attributes": {TENANT: "acme"}},
    "an attribute that no trace has": {"attributes": {"http.route": "/nothing"}},
    "until": {"until": 0},
    "an hour": {"since": 0, "until": 3600},
}


@pytest.mark.parametrize("selected", some(list(SELECTIONS)))
def test_numbers_of_every_version_are_true(reader: StoreReader, traffic: Traffic, selected: str) -> None:
    arguments = {
        key: traffic.middle + timedelta(seconds=value) if key in {"since", "until"} else value
        for key, value in SELECTIONS[selected].items()
    }
    ids = [version.model_id for version in traffic.versions.values()]
    found = map(planted, reader.compare(ids, Selection(**arguments)).versions)
    assert [plainly(metrics) for metrics in found] == [
        approximately(traffic.truth(model_id, **arguments)) for model_id in ids
    ]


def test_planted_differences_are_found_and_planted_sames_are_not_called(reader: StoreReader, traffic: Traffic) -> None:
    base, *others = [version for version in traffic.versions.values() if version.is_comparable]
    comparison = reader.compare([version.model_id for version in (base, *others)])
    called = {
        version.role: {
            metric: difference.verdict
            for metric, difference in found.metrics.items()
            if difference.verdict in {Verdict.BETTER, Verdict.WORSE}
        }
        for version, found in zip(others, comparison.differences, strict=True)
    }
    assert called == {version.role: dict(version.changed) for version in others}


@only_in_full
def test_a_store_without_our_columns_gives_the_same_numbers(
    reader: StoreReader, traffic: Traffic, clickhouse_server: ClickHouseServer
) -> None:
    with clickhouse_server.new_database() as name:
        client = clickhouse_server.client(name)
        prepared = reader._database.client.database
        client.command(f"CREATE TABLE otel_traces AS {prepared}.otel_traces")
        client.command(
            "ALTER TABLE otel_traces " + ", ".join(f"DROP COLUMN {column}" for column in reversed(schema.COLUMNS))
        )
        client.command(f"INSERT INTO otel_traces SELECT * FROM {prepared}.otel_traces")
        bare = open_reader(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        ids = [version.model_id for version in traffic.versions.values()]
        slow, quick = bare.compare(ids), reader.compare(ids)
        assert [plainly(metrics) for metrics in slow.versions] == [approximately(metrics) for metrics in quick.versions]
        assert any("store prepare" in note for note in slow.notes)
        assert not any("store prepare" in note for note in quick.notes)
        assert bare.versions() == reader.versions()
        bare.close()


def test_versions_are_listed_with_their_use(reader: StoreReader, traffic: Traffic) -> None:
    listed = {version.model_id: version for version in reader.versions(VersionFilter(limit=1000))}
    expected = {version.model_id: traffic.truth(version.model_id) for version in traffic.versions.values()}
    assert set(listed) == set(expected)
    for model_id, truth in expected.items():
        version = listed[model_id]
        assert (version.traces, version.errors) == (truth.traces, truth.errors)
        assert version.p95_ms == pytest.approx(truth.latency_ms.p95)
        entries = traffic.entries(model_id)
        assert (version.first_seen_ms, version.last_seen_ms) == (
            entries[0].start_ns // 1_000_000,
            entries[-1].start_ns // 1_000_000,
        )
        assert set(version.services) == {entry.service for entry in entries}
    for planted in traffic.versions.values():
        version = listed[planted.model_id]
        assert (version.name, version.registered) == (planted.name, planted.registered)
        assert version.params == planted.params
        assert planted.tags.items() <= version.tags.items()
