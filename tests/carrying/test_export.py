# SPDX-License-Identifier: Apache-2.0
"""`export`: what is in a store, whole and once, as Parquet and as OTLP, or nothing."""

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource

from backend.sending import Traces
from backend.serving import Serving, command
from clickhouse_server import ClickHouseServer
from effort import only_in_full
from otel_loggedmodel.commands.carrying.otlp_files import FileImport
from otel_loggedmodel.commands.carrying.positions import Positions
from otel_loggedmodel.commands.carrying.sink import Sink
from otel_loggedmodel.commands.exchange.filling import Filled
from otel_loggedmodel.store import schema
from otel_loggedmodel.store.database import open_database, quoted
from otel_loggedmodel.store.exporting import FORMATS, Exporter, Wanted
from otel_loggedmodel.store.parquet_rows import rows_of
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError, UnknownVersionError
from otel_loggedmodel.versions import identity, records
from otel_loggedmodel.versions.model import ModelEvent
from store.conftest import empty_store

NOW_NS = time.time_ns() // 86_400_000_000_000 * 86_400_000_000_000 + 1_000_000_123
DAY_NS = 86_400_000_000_000
RECORDED = "m-0123456789abcdef0123456789abcdef"
OLD = identity.model_id_of("0", "exported", params={"llm": "o'b\\c"})


@pytest.fixture(scope="module")
def kept(clickhouse_server: ClickHouseServer) -> Iterator[Filled]:
    """A store with spans of two days, some of them twice, a version with its record, and a score."""
    event = ModelEvent(
        kind="created",
        model_id=OLD,
        time_ns=NOW_NS - DAY_NS,
        name="exported",
        experiment_id="0",
        params={"llm": "o'b\\c"},
    )
    record = encode_spans([records.span_of(event, Resource({"service.name": "load"}))]).SerializeToString()
    _, yesterday = Traces(OLD, 1).request(3, start_ns=NOW_NS - DAY_NS, attributes={"text": 'a "b"\n\t\\ ü'})
    _, today = Traces("plain", 2).request(4, start_ns=NOW_NS)
    with empty_store(clickhouse_server) as store:
        store.writer.insert([record, yesterday, today])
        store.writer.insert([yesterday])
        filled = Filled(store.reader, store.writer, store.log_writer)
        import_into(filled, Path(__file__).parent / "recorded" / "lines.jsonl")
        yield filled


def import_into(filled: Filled, *paths: Path) -> None:
    for path in paths:
        work = FileImport(
            lambda: Sink(filled, all_logs=True), Positions("chdb:///nowhere"), lambda *_: None, again=True
        )
        work._positions = _Forgetful()  # type: ignore[assignment]
        assert work.run(path).is_whole


class _Forgetful:
    def save(self, *_: object) -> None:
        pass


def exporter_of(filled: Filled) -> Exporter:
    return Exporter(filled.writer.database, filled.reader)  # type: ignore[union-attr, arg-type]


def read(path: Path) -> list[dict[str, Any]]:
    return polars.read_parquet(path).to_dicts()


def test_parquet_has_everything_once(kept: Filled, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    done = exporter_of(kept).run(Wanted(path=str(tmp_path / "out")), lambda *counted: told.append(counted))
    assert done.rows == {"spans": 10, "traces": 8, "scores": 1, "versions": 3, "resources": 2}
    assert told[-1] == (13, 13)
    spans = {(row["trace_id"], row["span_id"]): row for row in read(tmp_path / "out" / "spans")}
    assert len(spans) == 10
    for trace in kept.reader.traces():
        for span in kept.reader.trace(trace.trace_id).spans:
            row = spans[span.trace_id, span.span_id]
            assert {pair["key"]: pair["value"] for pair in _pairs(row["attributes"])} == dict(span.attributes)
            assert (row["name"], row["kind"], row["status"], row["service"]) == (
                span.name,
                span.kind,
                span.status,
                span.service,
            )
            assert row["duration_ns"] == span.duration_ns
    traces = {row["trace_id"]: row for row in read(tmp_path / "out" / "traces")}
    for summary in kept.reader.traces():
        row = traces[summary.trace_id]
        assert (row["version"], row["service"]) == (summary.model_id, summary.service)
        assert (row["error"], row["input_tokens"]) == (summary.error, summary.input_tokens)
        assert row["duration_ns"] == summary.duration_ms * 1e6
    (score,) = read(tmp_path / "out" / "scores.parquet")
    assert (score["version"], score["name"], score["value"]) == (RECORDED, "helpful", 0.5)
    versions = {row["version"]: row for row in read(tmp_path / "out" / "versions.parquet")}
    assert {version.model_id for version in kept.reader.versions()} == versions.keys()
    assert _pairs(versions[OLD]["params"]) == [{"key": "llm", "value": "o'b\\c"}]
    assert (versions[OLD]["name"], versions[OLD]["traces"]) == ("exported", 3)
    assert versions[OLD]["created"].timestamp() * 1000 == (NOW_NS - DAY_NS) // 1_000_000
    resources = {row["resource"]: row for row in read(tmp_path / "out" / "resources.parquet")}
    assert {resources[row["resource"]]["service"] for row in spans.values()} == {"load", "shop"}


def _pairs(value: Any) -> list[dict[str, str]]:
    return [{"key": key, "value": text} for key, text in value.items()] if isinstance(value, dict) else value


def test_otlp_comes_back_as_it_was(kept: Filled, clickhouse_server: ClickHouseServer, tmp_path: Path) -> None:
    done = exporter_of(kept).run(Wanted(path=str(tmp_path / "out"), format="otlp"))
    assert done.rows == {"spans": 10, "log_records": 1}
    files = sorted((tmp_path / "out").iterdir())
    assert all(file.suffix == ".jsonl" for file in files)
    with empty_store(clickhouse_server) as store:
        import_into(Filled(store.reader, store.writer, store.log_writer), *files)
        for trace in kept.reader.traces():
            found = store.reader.trace(trace.trace_id)
            assert found.spans == kept.reader.trace(trace.trace_id).spans
        assert store.reader.version("exported").version.params == {"llm": "o'b\\c"}


def test_what_is_asked_for_is_exported(kept: Filled, tmp_path: Path) -> None:
    exporter = exporter_of(kept)
    of_version = exporter.run(Wanted(path=str(tmp_path / "version"), versions=["exported"]))
    assert (of_version.rows["spans"], of_version.rows["traces"], of_version.rows["versions"]) == (4, 3, 1)
    start = datetime.fromtimestamp(NOW_NS // 10**9, timezone.utc)
    until = exporter.run(Wanted(path=str(tmp_path / "until"), until=start - timedelta(hours=1)))
    assert (until.rows["traces"], [file.name for file in (tmp_path / "until" / "spans").iterdir()][-1:]) >= (3, [])
    since = exporter.run(
        Wanted(path=str(tmp_path / "since"), since=start - timedelta(seconds=1), until=start + timedelta(hours=1))
    )
    assert (since.rows["spans"], since.rows["traces"]) == (4, 4)
    nothing = exporter.run(Wanted(path=str(tmp_path / "nothing"), until=datetime(1999, 1, 1, tzinfo=timezone.utc)))
    assert (nothing.rows["spans"], nothing.rows["traces"]) == (0, 0)


@only_in_full
def test_a_store_that_only_a_collector_fills_is_exported(
    kept: Filled, clickhouse_server: ClickHouseServer, tmp_path: Path
) -> None:
    # Without columns of ours, and without the table of what counts.
    columns = (
        "Timestamp, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, ResourceAttributes,"
        " ScopeName, ScopeVersion, SpanAttributes, Duration, StatusCode, StatusMessage"
    )
    with clickhouse_server.new_database() as name:
        database = open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        tables, *_ = schema.prepare(database, dry_run=True)
        database.command(tables)
        filled_from = quoted(kept.writer.database.client.database)  # type: ignore[union-attr]
        database.command(f"INSERT INTO {schema.SPANS} ({columns}) SELECT {columns} FROM {filled_from}.{schema.SPANS}")
        done = Exporter(database, StoreReader(database)).run(Wanted(path=str(tmp_path / "out")))
        database.close()
    assert (done.rows["spans"], done.rows["traces"], done.rows["versions"]) == (10, 8, 3)


def test_kinds_and_statuses_of_older_collectors_are_exported_as_what_they_are(
    kept: Filled, clickhouse_server: ClickHouseServer, tmp_path: Path
) -> None:
    spelled = (
        "* REPLACE (concat('SPAN_KIND_', upper(SpanKind)) AS SpanKind,"
        " concat('STATUS_CODE_', upper(StatusCode)) AS StatusCode)"
    )
    with empty_store(clickhouse_server) as store:
        database = store.writer.database
        filled_from = quoted(kept.writer.database.client.database)  # type: ignore[union-attr]
        # Columns that follow from others are not among these.
        database.command(f"INSERT INTO {schema.SPANS} SELECT {spelled} FROM {filled_from}.{schema.SPANS}")
        written = [
            exporter.run(Wanted(path=str(tmp_path / name), format="otlp")).path
            for exporter, name in ((exporter_of(kept), "new"), (Exporter(database, StoreReader(database)), "old"))
        ]
    new, old = ([line for path in sorted(Path(one).glob("spans-*")) for line in said_in(path)] for one in written)
    assert old == new
    assert {(span["kind"], span["status"]["code"]) for span in new} >= {(1, 0), (1, 2)}


def test_two_sides_of_a_call_that_have_one_id_are_two_spans(
    clickhouse_server: ClickHouseServer, tmp_path: Path
) -> None:
    with empty_store(clickhouse_server) as store:
        _, body = Traces("plain", 2).request(2, start_ns=NOW_NS)
        store.writer.insert([body, body])
        database = store.writer.database
        database.command(
            f"INSERT INTO {schema.SPANS} SELECT * REPLACE ('Consumer' AS SpanKind) FROM {schema.SPANS} LIMIT 1"
        )
        exporter = Exporter(database, StoreReader(database))
        for format_name in FORMATS:
            assert exporter.run(Wanted(path=str(tmp_path / format_name), format=format_name)).rows["spans"] == 3


def said_in(path: Path) -> list[dict[str, Any]]:
    """The spans of a file of OTLP, by their ids."""
    requests = [json.loads(line) for line in path.read_text().splitlines()]
    scopes = [scope for one in requests for resource in one["resourceSpans"] for scope in resource["scopeSpans"]]
    return sorted((span for scope in scopes for span in scope["spans"]), key=lambda span: span["spanId"])


def test_it_is_there_whole_or_not_at_all(kept: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = exporter_of(kept)
    for wanted, kind in (
        (Wanted(path=str(tmp_path)), ReadingError),
        (Wanted(path=str(tmp_path / "no" / "such")), ReadingError),
        (Wanted(path=str(tmp_path / "out"), versions=["nobody"]), UnknownVersionError),
        (Wanted(path=str(tmp_path / "out"), format="csv"), ReadingError),
    ):
        with pytest.raises(kind):
            exporter.run(wanted)
    monkeypatch.setattr("otel_loggedmodel.store.exporting.rows_of", _no_room)
    with pytest.raises(StoreUnavailableError, match="cannot be written: No space left"):
        exporter.run(Wanted(path=str(tmp_path / "out")))
    assert list(tmp_path.iterdir()) == []


def _no_room(path: Path) -> int:
    raise OSError(28, "No space left on device")


@only_in_full
def test_a_directory_and_a_backend_that_has_it_open_export(tmp_path: Path, recorded: Path) -> None:
    directory = tmp_path / "data"
    store = f"chdb://{directory}"
    assert command("import", "otlp", recorded / "lines.jsonl", store=store).returncode == 0
    done = command("export", tmp_path / "alone", "--json", store=store)
    assert json.loads(done.stdout)["rows"]["spans"] == 2
    with Serving(tmp_path / "log", "--data", directory) as serving:
        done = command("export", tmp_path / "with", store=store)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (
            0,
            f"2 spans, 1 trace, 1 score, 1 version, 1 resource are in {tmp_path / 'with'}.",
        )
        done = command("export", tmp_path / "over", store=serving.http)
        assert (done.returncode, "this backend has no token" in done.stderr) == (3, True)
        done = command("export", tmp_path / "otlp", "--format", "otlp", "--version", "0123", store=store)
        assert done.returncode == 0, done
    assert read(tmp_path / "with" / "spans") == read(tmp_path / "alone" / "spans")
    assert [path.name[:5] for path in sorted((tmp_path / "otlp").iterdir())] == ["logs-", "spans"]
    assert not list(tmp_path.glob(".partial-*"))


@given(st.lists(st.integers() | st.text(max_size=3) | st.none(), max_size=20))
def test_rows_are_counted_as_any_writer_has_them(values: list[object]) -> None:
    import io
    import tempfile

    frame = polars.DataFrame({"text": [str(value) for value in values], "list": [[1, 2]] * len(values)})
    written = io.BytesIO()
    frame.write_parquet(written)
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        file.write(written.getvalue())
        file.flush()
        assert rows_of(Path(file.name)) == len(values)
        file.truncate(max(0, len(written.getvalue()) - 3))
        with pytest.raises(StoreUnavailableError):
            rows_of(Path(file.name))
