# SPDX-License-Identifier: Apache-2.0
"""The stand-in for a ClickHouse server answers clickhouse-connect, unmodified, as a server would."""

import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

import clickhouse_server as clickhouse_server_module
import clickhouse_wire as wire
from clickhouse_server import ClickHouseServer
from effort import only_in_full

TABLE = """
    CREATE TABLE t (a UInt64, b LowCardinality(String), m Map(LowCardinality(String), String), n Array(Nullable(Int8)))
    ENGINE = MergeTree ORDER BY a
"""
HOSTILE = ["it's", 'a "b"', "back\\slash", "tab\there", "line\nbreak", "\\N", "nul\0", "'; DROP TABLE t; --", "ü🚀", ""]


@pytest.fixture
def client(clickhouse_server: ClickHouseServer, clickhouse_database: str) -> Iterator[Client]:
    with clickhouse_server.client(clickhouse_database) as made:
        made.command(TABLE)
        yield made


def post(url: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    asked = urllib.request.Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=10) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_rows_come_back_as_they_were_inserted(
    clickhouse_server: ClickHouseServer, clickhouse_database: str, client: Client, compress: str | bool
) -> None:
    rows = [(number, text, {text: text}, [None, -1]) for number, text in enumerate(HOSTILE)]
    with clickhouse_server.client(clickhouse_database, compress=compress) as other:
        summary = other.insert("t", rows, column_names=["a", "b", "m", "n"])
        assert summary.written_rows == len(rows)
        assert other.query("SELECT a, b, m, n FROM t ORDER BY a").result_rows == rows


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 100_000])
def test_parameters_arrive_unchanged(client: Client, text: str) -> None:
    result = client.query("SELECT {text:String}, {number:Float64}", parameters={"text": text, "number": 0.1})
    assert result.result_rows == [(text, 0.1)]


def test_large_results_come_in_several_blocks(client: Client) -> None:
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(200000)") as stream:
        blocks = list(stream)
    assert len(blocks) > 1
    assert [row for block in blocks for row in block] == [(number, str(number)) for number in range(200_000)]


def test_results_come_in_every_format_and_command_tells_them_apart(client: Client) -> None:
    assert client.raw_query("SELECT 1 AS a, 'x' AS b", fmt="JSONEachRow") == b'{"a":1,"b":"x"}\n'
    assert client.command("SELECT 7") == 7
    assert client.command("EXISTS TABLE t") == 1
    assert client.query("SELECT 1 AS a, 2 AS b LIMIT 0").column_names == ("a", "b")
    assert client.query("SELECT 1 AS a WHERE 0").result_rows == []
    assert client.command("ALTER TABLE t ADD COLUMN c String MATERIALIZED m['c']").as_query_result() is not None
    assert ("c", "MATERIALIZED") in [row[0:3:2] for row in client.query("DESCRIBE TABLE t").result_rows]


@pytest.mark.parametrize("block", [b"5\n6\n", (part for part in [b"5\n", b"6\n"])], ids=["bytes", "chunks"])
def test_raw_inserts(client: Client, block: object) -> None:
    assert client.raw_insert("t", ["a"], block, fmt="CSV").written_rows == 2
    assert client.query("SELECT a FROM t ORDER BY a").result_rows == [(5,), (6,)]


def test_raw_insert_with_a_schema_among_its_settings(client: Client) -> None:
    schema = 'syntax = "proto3";\nmessage Row { uint64 a = 1; string b = 2; }'
    settings = {"format_schema_source": "string", "format_schema": schema, "format_schema_message_name": "Row"}
    client.raw_insert("t", ["a", "b"], b"\x08\x07\x12\x01z", fmt="ProtobufSingle", settings=settings)
    assert client.query("SELECT a, b FROM t").result_rows == [(7, "z")]


def test_statement_and_data_are_told_apart(client: Client) -> None:
    client.command("CREATE TABLE `odd ) FORMAT CSV` (`a FORMAT b` String) ENGINE = Memory")
    client.raw_insert("`odd ) FORMAT CSV`", ["a FORMAT b"], b"\n1\n", fmt="TSV")
    client.command("INSERT INTO `odd ) FORMAT CSV` VALUES ('x FORMAT CSV\n;')")
    client.command("INSERT INTO `odd ) FORMAT CSV` SETTINGS max_threads = 1 SELECT 'y FORMAT CSV\n'")
    rows = client.query("SELECT * FROM `odd ) FORMAT CSV`").result_rows
    assert sorted(rows) == [("",), ("1",), ("x FORMAT CSV\n;",), ("y FORMAT CSV\n",)]


@pytest.mark.parametrize(
    ("statement", "code", "name"),
    [
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR"),
        ("1", 62, "SYNTAX_ERROR"),
        ("SELECT * FROM missing", 60, "UNKNOWN_TABLE"),
        ("SELECT throwIf(number = 1000000) FROM numbers(2000000)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("INSERT INTO missing FORMAT CSV\n1", 60, "UNKNOWN_TABLE"),
        ("INSERT INTO t (a) FORMAT CSV\nx", 117, "INCORRECT_DATA"),
    ],
)
def test_errors_are_those_of_a_server(client: Client, statement: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        client.command(statement)
    assert (raised.value.code, raised.value.name) == (code, name)
    assert str(raised.value).count("DB::Exception") == 1


def test_what_is_not_a_second_statement(client: Client) -> None:
    assert client.command("SELECT ';' AS a -- ; a comment\n; /* ; */ ;") == ";"


def test_settings_hold_for_one_request(client: Client) -> None:
    read = "SELECT value FROM system.settings WHERE name = 'max_block_size'"
    assert client.query(read, settings={"max_block_size": 123}).first_row == ("123",)
    assert client.query(read).first_row != ("123",)
    with pytest.raises(DatabaseError, match="Unknown setting"):
        client.query(read, settings={"nonsense": 1})


def test_databases_are_apart(clickhouse_server: ClickHouseServer, client: Client) -> None:
    with clickhouse_server.new_database() as name, clickhouse_server.client(name) as other:
        assert other.command("EXISTS TABLE t") == 0
    assert client.command(f"EXISTS DATABASE {name}") == 0
    with pytest.raises(DatabaseError) as raised, clickhouse_server.client("missing") as other:
        other.command("SELECT 1")
    assert raised.value.code == 81


def test_requests_run_side_by_side(clickhouse_server: ClickHouseServer) -> None:
    began = threading.Barrier(2)
    times = []

    def sleep() -> None:
        with clickhouse_server.client() as client:
            began.wait()
            started = time.monotonic()
            client.command("SELECT sleep(1)")
            times.append((started, time.monotonic()))

    threads = [threading.Thread(target=sleep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(start for start, _ in times) < min(end for _, end in times)


def test_plain_http(clickhouse_server: ClickHouseServer) -> None:
    url = clickhouse_server.url
    assert post(f"{url}/?query=SELECT%201", b"")[::2] == (200, b"1\n")
    status, headers, body = post(f"{url}/?query=SELECT+%7Bx:String%7D&param_x=a%5Ctb&default_format=CSV", b"")
    assert (status, headers["X-ClickHouse-Format"], body) == (200, "CSV", b'"a\tb"\n')
    status, headers, body = post(url, b"SELECT nothing")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (404, "47")
    assert body.startswith(b"Code: 47. DB::Exception: Unknown expression identifier")
    assert post(url, b"SELECT 1", Content_Encoding="snappy")[0] == 500
    with urllib.request.urlopen(f"{url}/ping", timeout=10) as response:
        assert response.read() == b"Ok.\n"
    with pytest.raises(urllib.error.HTTPError, match="500") as raised:  # GET is for reading
        urllib.request.urlopen(f"{url}/?query=CREATE+DATABASE+x", timeout=10)
    with raised.value as error:
        assert error.headers["X-ClickHouse-Exception-Code"] == "164"


def test_results_at_the_revision_and_in_the_blocks_that_are_asked_for(clickhouse_server: ClickHouseServer) -> None:
    statement = b"SELECT toLowCardinality('x') AS a, [1, 2]::Array(UInt8) AS b FORMAT Native"
    first = b"\x01\x00\x02\xff\xff\xff\xff\x00\x02\x01\x01a\x16LowCardinality(String)"
    second = b"\x01b\x0cArray(UInt8)"
    _, _, old = post(f"{clickhouse_server.url}/?client_protocol_version=54405", statement)
    assert old.startswith(first)
    _, _, new = post(f"{clickhouse_server.url}/?client_protocol_version=54485", statement)
    assert new == old.replace(first, first + b"\0").replace(second, second + b"\0")
    _, _, blocks = post(f"{clickhouse_server.url}/?client_protocol_version=54485&compress=1", statement)
    assert wire.from_blocks(blocks) == new


@pytest.mark.parametrize("size", [1, 7, 8, 91, 92, 100, 101, 250])
def test_compressed_blocks(size: int) -> None:
    content = bytes(range(size))
    assert wire.from_blocks(wire.to_blocks(content)) == content


def test_acknowledged_rows_survive_a_kill_and_the_port_stays(tmp_path: Path) -> None:
    with ClickHouseServer(tmp_path / "server") as server:
        with server.client() as client:
            client.command(TABLE)
            client.insert("t", [[1], [2]], column_names=["a"])
        url = server.url
        server.kill()
        server.start()
        assert server.url == url
        with server.client() as client:
            assert client.command("SELECT sum(a) FROM t") == 3


@only_in_full
def test_stopping_waits_for_what_runs(tmp_path: Path) -> None:
    with ClickHouseServer(tmp_path / "server") as server, server.client() as client:
        results = []
        thread = threading.Thread(target=lambda: results.append(client.command("SELECT sleep(3), 'slept'")))
        thread.start()
        time.sleep(1.5)
        server.stop()
        thread.join()
        assert results == [["0", "slept"]]
        assert server.log == ""


def test_a_server_does_not_outlive_the_process_that_started_it(tmp_path: Path) -> None:
    program = f"""
import os, sys
sys.path.insert(0, {str(Path(clickhouse_server_module.__file__).parent)!r})
from pathlib import Path
from clickhouse_server import ClickHouseServer
server = ClickHouseServer(Path({str(tmp_path)!r}) / "server")
server.start()
print(server.pid, flush=True)
os._exit(1)
"""
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    pid = int(output.stdout)
    deadline = time.monotonic() + 20
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Whoever inherited it may not have taken note of its end.
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
