# SPDX-License-Identifier: Apache-2.0
"""`serve`: the backend."""

import enum
import logging
import os
import shlex
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import typer

from otel_loggedmodel.commands import exits, opening, printing
from otel_loggedmodel.presenting.deploying import OTLP_ENDPOINT
from otel_loggedmodel.presenting.texts import without_secrets
from otel_loggedmodel.server.settings import Settings, SettingsError
from otel_loggedmodel.version import __version__

if TYPE_CHECKING:
    from otel_loggedmodel.server.running import Addresses
    from otel_loggedmodel.store.opening import Store
    from otel_loggedmodel.store.upkeep import Condition

EXAMPLES: Final = """
otel-loggedmodel serve
otel-loggedmodel serve --data ./spans --retention-days 30
otel-loggedmodel serve --host 0.0.0.0 --token-file /run/secrets/token
"""
_DEFAULTS: Final = Settings()
_MIB: Final = 1024 * 1024
_LIMITS: Final = "Limits"


class Logs(str, enum.Enum):
    """Which log records are kept."""

    VERSIONED = "versioned"
    ALL = "all"


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = _DEFAULTS.host,
    http_port: Annotated[
        int, typer.Option("--http-port", min=0, max=65535, help="For OTLP/HTTP and the API; 0 for a free one.")
    ] = _DEFAULTS.http_port,
    grpc_port: Annotated[
        int, typer.Option("--grpc-port", min=0, max=65535, help="For OTLP/gRPC; 0 for a free one.")
    ] = _DEFAULTS.grpc_port or 0,
    no_grpc: Annotated[bool, typer.Option("--no-grpc", help="HTTP alone.")] = False,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Where spans are kept. Default: the user's data directory."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URL",
            help="Keep spans in a ClickHouse instead: clickhouse://user:password@host:port/database.",
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            "--prices",
            metavar="FILE",
            help="File of prices in TOML, for models without a list price and for contracts; else that of the "
            "environment variable OTEL_LOGGEDMODEL_PRICES.",
        ),
    ] = None,
    retention_days: Annotated[
        float | None, typer.Option("--retention-days", help="Delete spans after so many days. Default: never")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="File with the token that clients have to present; else the environment variable "
            "OTEL_LOGGEDMODEL_TOKEN. Required beyond loopback.",
        ),
    ] = None,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Listen beyond loopback without a token.")
    ] = False,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help="A web page that may send spans from a browser, as https://app.example. Repeatable.",
        ),
    ] = None,
    max_body: Annotated[
        int, typer.Option("--max-body", metavar="MIB", min=1, help="Largest request.", rich_help_panel=_LIMITS)
    ] = _DEFAULTS.max_body_bytes // _MIB,
    max_decompressed: Annotated[
        int,
        typer.Option(
            "--max-decompressed", metavar="MIB", min=1, help="The same, decompressed.", rich_help_panel=_LIMITS
        ),
    ] = _DEFAULTS.max_decompressed_bytes // _MIB,
    max_memory: Annotated[
        int,
        typer.Option(
            "--max-memory",
            metavar="MIB",
            min=16,
            help="What storing one request may take in memory: its resource is stored with each of its spans.",
            rich_help_panel=_LIMITS,
        ),
    ] = _DEFAULTS.max_memory_bytes // _MIB,
    max_attributes: Annotated[
        int, typer.Option("--max-attributes", min=1, help="On one span; others are dropped.", rich_help_panel=_LIMITS)
    ] = _DEFAULTS.max_attributes,
    logs: Annotated[
        Logs,
        typer.Option(
            "--logs",
            help="Which log records are kept: those that carry a version or are an event that is read, or all.",
        ),
    ] = Logs.VERSIONED,
    dev: Annotated[
        bool, typer.Option("--dev", help="For work on the pages: /design shows their tokens and components.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what goes wrong.")] = False,
    json: Annotated[bool, typer.Option("--json", help="When ready, print the addresses as one line of JSON.")] = False,
) -> None:
    """Run the backend: it receives OTLP over HTTP and gRPC, keeps spans and log records, and answers other commands.

    SIGTERM or Ctrl-C stops it when what it accepted is stored.
    """
    settings = Settings(
        host=host,
        http_port=http_port,
        grpc_port=None if no_grpc else grpc_port,
        token=opening.read_token(token_file),
        allow_anonymous=allow_anonymous,
        allowed_origins=tuple(allow_origin or ()),
        retention_days=retention_days,
        max_body_bytes=max_body * _MIB,
        max_decompressed_bytes=max_decompressed * _MIB,
        max_memory_bytes=max_memory * _MIB,
        max_attributes=max_attributes,
        keep_all_logs=logs is Logs.ALL,
        dev=dev,
    )
    try:
        settings.check()
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    url = _url_of(data, store)
    _log(quiet)
    # The store holds what people asked and what they were answered, so nobody else may read its files.
    os.umask(0o077)
    from otel_loggedmodel.server.listening import CannotListenError
    from otel_loggedmodel.server.running import run
    from otel_loggedmodel.store import open_database

    with printing.progress("Opening the store"):
        database = open_database(url, None if prices is None else str(prices))
    _warn(database.upkeep.condition())
    try:
        code = run(
            settings,
            database.writer,
            database.reader,
            on_ready=lambda addresses: _be_ready(addresses, database, settings, url, quiet=quiet, json=json),
            upkeep=database.upkeep,
            log_writer=database.log_writer,
        )
    except CannotListenError as error:
        printing.complain(f"otel-loggedmodel: {error}")
        raise typer.Exit(exits.STORE_UNAVAILABLE) from None
    finally:
        database.close()
    raise typer.Exit(code)


def _url_of(data: Path | None, store: str | None) -> str:
    if store is None:
        from otel_loggedmodel.store import default_directory

        return f"chdb://{quote(str((data or default_directory()).expanduser().absolute()))}"
    if data is not None:
        raise typer.BadParameter("give one of --data and --store")
    if not store.startswith(("chdb://", "clickhouse://", "clickhouses://")):
        raise typer.BadParameter("a backend keeps spans in chdb:// or clickhouse://", param_hint="--store")
    return store


def _log(quiet: bool) -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("otel_loggedmodel").setLevel(logging.WARNING if quiet else logging.INFO)


def _warn(condition: "Condition") -> None:
    """Tell what is damaged, and who else can read what is stored."""
    logger = logging.getLogger("otel_loggedmodel")
    for warning in condition.warnings:
        logger.warning("%s", warning)
    if condition.warnings:
        logger.warning(
            "`otel-loggedmodel store restore` brings spans back from a backup: see docs/backup-and-repair.md"
        )
    if condition.directory is not None:
        mode = Path(condition.directory).stat().st_mode & 0o777
        if mode & 0o077:
            logger.warning(
                "others can read what is stored: %s has the mode %o; `chmod 700` closes it", condition.directory, mode
            )


def _be_ready(
    addresses: "Addresses", database: "Store", settings: Settings, url: str, *, quiet: bool, json: bool
) -> None:
    database.announce(addresses.http, addresses.secret)
    _announce(addresses, settings, url, quiet=quiet, json=json)


def _announce(addresses: "Addresses", settings: Settings, url: str, *, quiet: bool, json: bool) -> None:
    shown = without_secrets(url)
    if json:
        import msgspec

        content = {"http": addresses.http, "grpc": addresses.grpc, "store": shown}
        printing.write(msgspec.json.encode(content).decode() + "\n")
    elif not quiet:
        printing.write(_greeting(addresses, settings, shown))


def _greeting(addresses: "Addresses", settings: Settings, url: str) -> str:
    address = _reachable(addresses.http, settings.host)
    keeping = "for ever" if settings.retention_days is None else f"for {settings.retention_days:g} days"
    # If the backend is where it is looked for, nothing has to be said about where it is.
    option = "" if address == opening.LOCAL_BACKEND else f" --store {shlex.quote(address)}"
    lines = [
        f"otel-loggedmodel {__version__} is ready.",
        f"  OTLP/HTTP  {addresses.http}",
        f"  OTLP/gRPC  {addresses.grpc or 'off'}",
        f"  spans      {url}, kept {keeping}",
        "In the environment of an application:",
        f"  export {OTLP_ENDPOINT}={address} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        "  export OTEL_METRICS_EXPORTER=none  # metrics are not stored",
        *(["  export OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20<token>"] if settings.token is not None else []),
        f"Then: otel-loggedmodel models{option}",
        f"In a browser: {address}",
        "Ctrl-C stops it.",
    ]
    return "\n".join(lines) + "\n"


def _reachable(address: str, host: str) -> str:
    """The address that other machines use, if the backend listens on all."""
    for wildcard in ("0.0.0.0", "[::]"):  # noqa: S104 - only looked for
        if f"//{wildcard}:" in address and host in ("0.0.0.0", "::"):  # noqa: S104
            return address.replace(wildcard, socket.gethostname(), 1)
    return address
