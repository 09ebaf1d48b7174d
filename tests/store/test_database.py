# SPDX-License-Identifier: Apache-2.0
"""Stores by URL: what each names, what is prepared in it, and what is said where it cannot be opened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clickhouse_server import ClickHouseServer
from collector.running import free_ports
from otel_loggedmodel import store
from otel_loggedmodel.store import schema
from otel_loggedmodel.store.database import directory_of, masked, open_database, quoted
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError


def url_of(server: ClickHouseServer, database: str) -> str:
    return f"clickhouse://127.0.0.1:{server.port}/{database}"


def test_the_default_directory_follows_the_xdg_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert store.default_directory() == Path("/home/someone/.local/share/otel-loggedmodel")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert store.default_directory() == Path("/data/otel-loggedmodel")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert store.default_directory() == Path("/home/someone/.local/share/otel-loggedmodel")


def test_passwords_are_not_shown() -> None:
    assert masked("clickhouse://me:secret@host:9/db") == "clickhouse://me:***@host:9/db"
    (port,) = free_ports(1)
    with pytest.raises(StoreUnavailableError) as failure:
        store.open_reader(f"clickhouse://me:secret@127.0.0.1:{port}/db")
    assert "secret" not in str(failure.value)
    assert str(failure.value).endswith(f"127.0.0.1:{port} cannot be reached or opened: Connection refused")


@pytest.mark.parametrize("directory", ["/a?b=c", "/a%3Fb=c", "/a\\b"])
def test_a_directory_that_the_engine_would_misread_is_refused(directory: str) -> None:
    with pytest.raises(ReadingError, match="cannot be the directory of a store"):
        open_database(f"chdb://{directory}", create=True)


@pytest.mark.parametrize("url", ["postgres://host/db", "chdb://", "clickhouse://host:port/db"])
def test_a_url_that_names_no_store_is_said_to(url: str) -> None:
    with pytest.raises(ReadingError) as failure:
        open_database(url)
    assert repr(url) in str(failure.value)


@pytest.mark.parametrize("address", ["localhost:4318", "127.0.0.1", "backend.example:80/", "localhost"])
def test_an_address_without_a_scheme_is_no_directory(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReadingError, match=f"write http://{address}$"):
        open_database(address)
    (tmp_path / address).mkdir()
    assert directory_of(address) == tmp_path / address


def test_identifiers_are_quoted() -> None:
    assert quoted("a`b\\c") == r"`a\`b\\c`"


def test_reading_where_there_is_nothing_says_how_to_begin(
    clickhouse_server: ClickHouseServer, clickhouse_database: str, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnavailableError, match="`otel-loggedmodel serve` starts a backend"):
        store.open_reader(str(tmp_path / "nothing"))
    with pytest.raises(StoreUnavailableError, match=r"has no table otel_traces.*store prepare"):
        store.open_reader(url_of(clickhouse_server, clickhouse_database))
    with pytest.raises(StoreUnavailableError, match="there is no database 'nowhere'"):
        store.open_reader(url_of(clickhouse_server, "nowhere"))


def test_preparing_is_idempotent_and_a_dry_run_does_nothing(
    clickhouse_server: ClickHouseServer, clickhouse_database: str
) -> None:
    url = url_of(clickhouse_server, clickhouse_database)
    planned = store.prepare(url, dry_run=True)
    client = clickhouse_server.client(clickhouse_database)
    assert client.query("SHOW TABLES").result_rows == []
    assert store.prepare(url) == planned
    assert store.prepare(url) == []
    columns = client.query(
        "SELECT name, default_kind, comment FROM system.columns"
        " WHERE database = currentDatabase() AND table = 'otel_traces' AND name LIKE 'LoggedModel%' ORDER BY position"
    ).result_rows
    assert columns == [
        (name, "MATERIALIZED", f"otel-loggedmodel schema {schema.SCHEMA_VERSION}") for name in schema.COLUMNS
    ]


def test_only_what_is_missing_or_older_is_changed(
    clickhouse_server: ClickHouseServer, clickhouse_database: str
) -> None:
    url = url_of(clickhouse_server, clickhouse_database)
    store.prepare(url)
    client = clickhouse_server.client(clickhouse_database)
    client.command("ALTER TABLE otel_traces DROP COLUMN LoggedModelHasScores")
    client.command("ALTER TABLE otel_traces COMMENT COLUMN LoggedModelName 'otel-loggedmodel schema 0'")
    (statement,) = store.prepare(url)
    assert "ADD COLUMN IF NOT EXISTS LoggedModelHasScores" in statement
    assert "MODIFY COLUMN LoggedModelName" in statement
    assert statement.count("COLUMN") == 2
    assert store.prepare(url) == []


def test_columns_are_computed_for_spans_that_were_there(
    clickhouse_server: ClickHouseServer, clickhouse_database: str
) -> None:
    url = url_of(clickhouse_server, clickhouse_database)
    client = clickhouse_server.client(clickhouse_database)
    for statement in store.prepare(url, dry_run=True)[:3]:
        client.command(statement)
    client.command(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanAttributes)"
        " VALUES (now64(9), 't', 's', map('logged_model.id', 'v1'))"
    )
    statements = store.prepare(url, backfill=True)
    assert statements[1].count("MATERIALIZE COLUMN") == len(schema.COLUMNS)
    assert client.query("SELECT LoggedModelId, LoggedModelRole FROM otel_traces").result_rows == [("v1", "entry")]
    client.command(
        "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, SpanAttributes)"
        " VALUES (now64(9), 't2', 's2', map('logged_model.id', 'v2'))"
    )
    assert client.query("SELECT count() FROM otel_traces WHERE LoggedModelId = 'v2'").result_rows == [(1,)]


def test_statements_for_a_cluster_name_it() -> None:
    class Nothing:
        name = "nothing"
        directory = None

        def query(self, sql: str, parameters: object = None) -> list[object]:
            return []

    statements = schema.prepare(Nothing(), cluster="my`cluster", dry_run=True)  # type: ignore[arg-type]
    assert len(statements) == 8
    assert all(" ON CLUSTER `my\\`cluster`" in statement for statement in statements)
    assert sum("ENGINE = ReplicatedMergeTree()" in statement for statement in statements) == 3


def test_a_store_of_a_newer_release_is_left_alone(
    clickhouse_server: ClickHouseServer, clickhouse_database: str
) -> None:
    url = url_of(clickhouse_server, clickhouse_database)
    store.prepare(url)
    client = clickhouse_server.client(clickhouse_database)
    client.command("ALTER TABLE otel_traces COMMENT COLUMN LoggedModelId 'otel-loggedmodel schema 99'")
    for attempt in (store.prepare, store.open_reader, store.open_database):
        with pytest.raises(StoreUnavailableError, match=r"newer otel-loggedmodel \(schema 99.*upgrade"):
            attempt(url)


@pytest.mark.parametrize(
    ("ddl", "message"),
    [
        ("CREATE TABLE otel_traces (a Int8) ENGINE = Memory", "SpanAttributes is missing"),
        (
            "CREATE TABLE otel_traces (SpanAttributes JSON, LoggedModelId String) ENGINE = Memory",
            "SpanAttributes is JSON",
        ),
    ],
)
def test_another_table_of_that_name_is_refused(
    clickhouse_server: ClickHouseServer, clickhouse_database: str, ddl: str, message: str
) -> None:
    clickhouse_server.client(clickhouse_database).command(ddl)
    with pytest.raises(ReadingError, match=message):
        store.open_reader(url_of(clickhouse_server, clickhouse_database))


def test_an_embedded_store_is_of_one_process(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from otel_loggedmodel import store; s = store.open_database(sys.argv[1]);"
            " print('open', flush=True); sys.stdin.read(); s.close(); print('closed', flush=True)",
            str(tmp_path / "store"),
        ],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    reader = [
        sys.executable,
        "-c",
        "import sys; from otel_loggedmodel import store; from otel_loggedmodel.store.reading import *\n"
        "try: print(store.open_reader(sys.argv[1]).versions())\nexcept StoreUnavailableError as error: print(error)",
        str(tmp_path / "store"),
    ]
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        said = subprocess.run(reader, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        assert f"process {holder.pid} has the store at {tmp_path / 'store'} open" in said
        assert "--store http://127.0.0.1:4318" in said
        output, _ = holder.communicate("", timeout=60)
        assert output == "closed\n"
        assert subprocess.run(reader, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "[]\n"
    finally:
        holder.kill()
        holder.wait()
    # Nothing is left where the process happened to run.
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_an_answer_is_not_mixed_with_that_of_a_question_that_failed(tmp_path: Path) -> None:
    """The embedded engine keeps what it had answered before it failed, and gives it with the next answer."""
    program = [sys.executable, "-m", "store.failing_questions", str(tmp_path / "data")]
    tests = Path(__file__).resolve().parents[1]
    said = subprocess.run(program, cwd=tests, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == [[{"one": 1}]] * 3


def test_an_answer_does_not_depend_on_the_questions_before(
    clickhouse_server: ClickHouseServer, clickhouse_database: str
) -> None:
    """ClickHouse remembers which parts have no row for a condition, and takes one condition for another."""
    database = open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{clickhouse_database}")
    try:
        database.command("CREATE TABLE pairs (a UInt8, b UInt8) ENGINE = MergeTree ORDER BY ()")
        database.command("INSERT INTO pairs VALUES (1, 1), (1, 2)")
        client = clickhouse_server.client(database=clickhouse_database)
        # Another program may ask this, with the engine's defaults.
        for asked in (client.query, database.query):
            asked("SELECT * FROM (SELECT * FROM pairs PREWHERE a = 1 LIMIT 5) WHERE b = 9")
            assert len(database.query("SELECT * FROM pairs PREWHERE a = 1")) == 2
    finally:
        database.close()
