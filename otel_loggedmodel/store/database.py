# SPDX-License-Identifier: Apache-2.0
"""The seam to ClickHouse: one class, on the engine inside this process (chDB) or on a server, by URL.

`clickhouse-connect` is the client of both, so that every query is the same text with server-side parameters. What goes
wrong becomes an error of `store.reading` or `store.writing` that says what to do.

chDB must be opened after any fork, and by one process for each directory. `Database` holds a lock file there, as the
engine's own message for a directory in use does not say that it is.
"""

import contextlib
import logging
import os
import re
import shutil
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from otel_loggedmodel.store import engine_settings, layout, sparing
from otel_loggedmodel.store.directory_lock import DirectoryLock
from otel_loggedmodel.store.engine_errors import DamagedError, first_line, translated
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError
from otel_loggedmodel.store.server_address import SCHEMES, server_address

_logger = logging.getLogger(__name__)

_EMBEDDED_SCHEME: Final = "chdb"
# A host without a scheme: a name with a port, or what can only be a host.
_ADDRESS: Final = re.compile(r"([\w.-]+:\d+|localhost|\d+(\.\d+){3})/?")
_INSERTS_NAME: Final = "otel-loggedmodel-inserts"
_SEND_RECEIVE_SECONDS: Final = 300

# What the engine says when it cannot load the definitions of tables. It says none of these of a lock that is taken.
_CANNOT_LOAD: Final = ("EmbeddedServer: .", "FILE_ALREADY_EXISTS", "SYNTAX_ERROR", "Cannot parse")


class Database:
    """A database of a ClickHouse engine. Safe to use from several threads, which wait for one another.

    Args:
        client: A client of `clickhouse-connect`.
        name: The database, as messages call it.
        directory: Where the engine in this process keeps its files; None for one on a server.
        lock: What is held while the directory of an embedded engine is open.
    """

    def __init__(
        self, client: Any, name: str, *, directory: Path | None = None, lock: "DirectoryLock | None" = None
    ) -> None:
        self.client = client
        self.name = name
        self.directory = directory
        self._lock = lock
        self._closing = threading.Lock()
        # The client has a lock of its own, but releases it before `_forget_answer` runs after a failure.
        self._calling = threading.RLock()
        self._is_closed = False

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The rows that a query finds, by the names of their columns.

        Args:
            sql: One statement; values are written `{name:Type}`.
            parameters: The values.
            settings: The engine's settings for this query.

        Raises:
            StoreUnavailableError: The engine cannot be reached, gave up, or refused.
        """
        with self._called():
            allowed = self._allowed({**engine_settings.of_reading(sql), **(settings or {})})
            return list(self.client.query(sql, parameters=dict(parameters or {}), settings=allowed).named_results())

    def command(self, sql: str, settings: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns nothing.

        Raises:
            StoreUnavailableError: The engine cannot be reached, gave up, or refused.
        """
        with self._called():
            self.client.command(sql, settings=self._allowed({**engine_settings.ALWAYS, **(settings or {})}))

    def raw_query(self, sql: str, settings: Mapping[str, Any]) -> str:
        """The answer to a statement that is no `SELECT`, as a line of JSON for each row.

        Raises:
            StoreUnavailableError: The engine cannot be reached, gave up, or refused.
        """
        with self._called():
            return bytes(self.client.raw_query(sql, fmt="JSONEachRow", settings=dict(settings))).decode()

    def write(
        self, sql: str, parameters: Mapping[str, Any], path: Path, format_name: str, settings: Mapping[str, Any]
    ) -> None:
        """Write the rows that a query finds into a new file on this machine.

        Args:
            sql: One statement; values are written `{name:Type}`.
            parameters: The values.
            path: The file.
            format_name: A format of the engine.
            settings: Of the engine, for this query.

        Raises:
            StoreUnavailableError: The engine cannot be reached, gave up, or refused; or the file cannot be written.
        """
        with self._called():
            allowed = self._allowed({**engine_settings.of_reading(sql), **settings, "max_execution_time": 0})
            if self.directory is not None:
                statement = f"{sql} INTO OUTFILE {text(str(path))} FORMAT {format_name}"
                self.client.command(statement, parameters=dict(parameters), settings=allowed)
                return
            with (
                self.client.raw_stream(sql, parameters=dict(parameters), settings=allowed, fmt=format_name) as answer,
                path.open("xb") as file,
            ):
                shutil.copyfileobj(answer, file)

    def insert_raw(self, table: str, data: Sequence[bytes], format_name: str, settings: Mapping[str, Any]) -> None:
        """Insert data in a format that the engine reads, in pieces that are joined.

        Raises:
            StoreUnavailableError: The engine cannot be reached, or gave up; `StoreFullError` where there is no room.
            RefusedError: The data is not in that format; `TooMuchMemoryError` where it is too much.
        """
        settings = {**self._allowed(engine_settings.QUICKLY_ANALYSED), **settings}
        with self._called(is_insert=True):
            if self.directory is None:
                self.client.raw_insert(table, insert_block=b"".join(data), fmt=format_name, settings=settings)
            else:
                self._insert_file(self.directory / _INSERTS_NAME, table, data, format_name, settings)

    def _allowed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Those settings that this server has and this user may change: one with `readonly=1` may change none."""
        known = self.client.server_settings
        return {name: value for name, value in settings.items() if name in known and not known[name].readonly}

    def _insert_file(
        self, directory: Path, table: str, data: Sequence[bytes], format_name: str, settings: Mapping[str, Any]
    ) -> None:
        """Insert through a file, as `raw_insert` does, but in a directory that others cannot read.

        The next start empties that directory.
        """
        with tempfile.NamedTemporaryFile(dir=directory) as file:
            file.writelines(data)
            file.flush()
            # Settings of a command would be three more statements: to look at those before, to set and to restore them.
            chosen = ", ".join(f"{name} = {_constant(value)}" for name, value in settings.items())
            clause = f" SETTINGS {chosen}" if chosen else ""
            self.client.command(f"INSERT INTO {table} FROM INFILE {text(file.name)}{clause} FORMAT {format_name}")

    @contextlib.contextmanager
    def _called(self, *, is_insert: bool = False) -> Iterator[None]:
        """One call of the client, with our errors."""
        if self.directory is None:
            with translated(self.name, is_insert=is_insert):
                yield
            return
        with self._calling:
            try:
                with translated(self.name, is_insert=is_insert):
                    yield
            except Exception:
                self._forget_answer()
                raise

    def _forget_answer(self) -> None:
        """Read what a failed query had already answered: else chDB gives it with the answer to the next one."""
        with contextlib.suppress(Exception):
            self.client.command("SELECT 1")

    def announce(self, address: str, secret: str) -> None:
        """Say in the lock's file, which only its owner can read, where the backend is that has this store open."""
        if self._lock is not None:
            self._lock.announce(address=address, secret=secret)

    def close(self) -> None:
        """Let go of the engine; a second time does nothing."""
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
        self.client.close()
        if self._lock is not None:
            self._lock.release()


def open_database(url: str, *, create: bool = False) -> Database:
    """Open the database that a URL names.

    Args:
        url: `chdb:///directory` or a directory for the engine in this process;
            `clickhouse://user:password@host:port/db` for a server's HTTP interface, `clickhouses://` for HTTPS.
            `?connect_timeout=60` waits so many seconds for a server that has to wake up; in ClickHouse Cloud it is 120.
        create: Make the directory, or the database, where it is not there.

    Raises:
        StoreUnavailableError: It is not there, cannot be reached, or another process has it open.
        ReadingError: The URL is not valid.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme in SCHEMES:
        return _open_remote(url, create=create)
    return _open_embedded(directory_of(url), create=create)


def directory_of(url: str) -> Path:
    """The directory of the embedded store that a URL names.

    Raises:
        ReadingError: It names none.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme in SCHEMES:
        raise ReadingError(f"{masked(url)} is on a server, not in a directory")
    if separator and scheme != _EMBEDDED_SCHEME:
        raise ReadingError(
            f"{masked(url)!r} names no store: use chdb:///directory, clickhouse://host:8123/database, or"
            " http://host:4318 for a running backend"
        )
    directory = urllib.parse.unquote(url.removeprefix("chdb://")) if separator else url
    if not directory:
        raise ReadingError(f"{url!r} names no directory: use chdb:///directory")
    if not separator and _ADDRESS.fullmatch(url) and not Path(url).exists():
        raise ReadingError(f"{url!r} is no directory: for a running backend, write http://{url}")
    if "?" in directory or "\\" in directory:
        # The engine would not take what follows them for a part of the name.
        raise ReadingError(f"{directory!r} cannot be the directory of a store: it has a question mark or a backslash")
    return Path(directory).expanduser().absolute()


def masked(url: str) -> str:
    """A URL without its password."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return url.partition("://")[0] + "://..."  # wherever its password is
    if not parts.password:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))


def _open_embedded(directory: Path, *, create: bool) -> Database:
    if create:
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreUnavailableError(f"the directory {directory} cannot be made: {error.strerror}") from None
    elif not directory.is_dir():
        raise StoreUnavailableError(
            f"there is no store at {directory}; `otel-loggedmodel serve` starts a backend that makes one"
        )
    lock = DirectoryLock(directory)
    lock.acquire()
    try:
        fault = layout.fault(directory)
        if fault is not None:
            raise DamagedError(f"{fault}. {_advice(directory)}")
        _make_empty(directory / _INSERTS_NAME)
        client = _embedded_client(directory)
    except BaseException:
        lock.release()
        raise
    return Database(client, str(directory), directory=directory, lock=lock)


def _embedded_client(directory: Path) -> Any:
    try:
        return _client(interface="chdb", path=str(directory), chdb_options=_options(directory))
    except StoreUnavailableError as error:
        if not any(mark in str(error) for mark in _CANNOT_LOAD):
            raise
        # The engine names the file, but only on standard error.
        raise DamagedError(f"the store at {directory} cannot be opened: it is damaged. {_advice(directory)}") from error


def _advice(directory: Path) -> str:
    return f"Run `otel-loggedmodel store repair --store chdb://{urllib.parse.quote(str(directory))}`"


def _make_empty(directory: Path) -> None:
    """Empty the directory of inserts. What a dying process left there was not acknowledged, and is sent again."""
    try:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreUnavailableError(f"the store at {directory.parent} cannot be opened: {error.strerror}") from None


def second(database: Database) -> Database:
    """Another client of the same database: calls do not wait for those of the first. Close it before the first."""
    if database.directory is None:
        return Database(database.client, database.name)
    options = _options(database.directory)
    client = _client(interface="chdb", path=database.name, chdb_options=options)
    return Database(client, database.name, directory=database.directory)


def _options(directory: Path) -> dict[str, str]:
    """The engine's configuration, as a file beside its data."""
    path = directory / engine_settings.CONFIGURATION_NAME
    if not path.exists() or path.read_text(encoding="utf-8") != engine_settings.CONFIGURATION:
        path.write_text(engine_settings.CONFIGURATION, encoding="utf-8")
    return {"config-file": str(path)}


def _open_remote(url: str, *, create: bool) -> Database:
    shown = masked(url)
    address = server_address(url, shown)
    arguments = {
        "interface": address.interface,
        "host": address.host,
        "port": address.port,
        "username": address.username,
        "password": address.password,
        # Queries of several threads run side by side; a session would make them wait and fail.
        "autogenerate_session_id": False,
        "query_limit": 0,
    }

    def greet(seconds: float) -> None:
        _client(**arguments, connect_timeout=seconds, send_receive_timeout=seconds).close()

    # A server that takes connections and never answers is found out here, in seconds. Queries may take minutes later.
    address.when_awake(greet)
    client = _client(**arguments, connect_timeout=address.patience, send_receive_timeout=_SEND_RECEIVE_SECONDS)
    database = Database(client, shown)
    name = address.database
    if name != "default":
        if create:
            database.command(f"CREATE DATABASE IF NOT EXISTS {quoted(name)}")
        elif not database.query("SELECT 1 FROM system.databases WHERE name = {name:String}", {"name": name}):
            raise StoreUnavailableError(f"{shown}: there is no database {name!r}")
    client.database = name
    return database


def quoted(identifier: str) -> str:
    """An identifier as SQL has it."""
    return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`") + "`"


def text(value: str) -> str:
    """A text as SQL has it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def comments(database: Database, *tables: str) -> dict[str, str]:
    """What is noted at tables and views, by the names of those that there are."""
    rows = database.query(
        "SELECT name, comment FROM system.tables WHERE database = currentDatabase() AND name IN {names:Array(String)}",
        {"names": list(tables)},
    )
    return {row["name"]: row["comment"] for row in rows}


def _constant(value: str | int) -> str:
    """A setting's value as SQL has it."""
    return text(value) if isinstance(value, str) else str(value)


def _client(**arguments: Any) -> Any:
    try:
        import clickhouse_connect
    except ImportError:
        raise StoreUnavailableError("the store needs: pip install 'otel-loggedmodel[server]'") from None
    # They log what they also raise.
    for name in ("clickhouse_connect", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    where = arguments.get("path") or f"{arguments.get('host')}:{arguments.get('port')}"
    if "path" in arguments:
        # Else a text that begins with an expression would be run as a query. Servers have this setting by default.
        arguments["settings"] = {"implicit_select": 0, **engine_settings.ALWAYS, **engine_settings.NOT_COMPILED}
    with translated(str(where)):
        try:
            if "path" in arguments:
                sparing.import_chdb()
            return clickhouse_connect.get_client(**arguments)
        except ImportError as error:
            raise StoreUnavailableError(_why_there_is_no_engine(error)) from error


def _why_there_is_no_engine(error: BaseException) -> str:
    """Why the engine did not start: it says itself that it is not installed, whatever the reason."""
    cause: BaseException | None = error
    while cause is not None:
        if "Cannot load time zone" in str(cause):
            return (
                f"TZ is {os.environ.get('TZ', '')!r}, which is no time zone that ClickHouse knows: set it to a name "
                "such as Europe/Berlin or UTC, or unset it"
            )
        cause = cause.__cause__ or cause.__context__
    return f"the store needs: pip install 'otel-loggedmodel[server]' ({first_line(str(error))})"


def one(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The only row of a query that finds one."""
    (row,) = rows
    return row
