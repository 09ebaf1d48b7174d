# SPDX-License-Identifier: Apache-2.0
"""Spans and versions in ClickHouse, embedded in this process or on a cluster that a Collector fills.

`reading` and `writing` say what can be asked of a store; `results`, `trace_results` and `chart_results` say what is
answered. This package is imported with little effort; ClickHouse and its client are loaded when a store is opened.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_loggedmodel.store.opening import Store
    from otel_loggedmodel.store.reading import Reader


def default_directory() -> Path:
    """Where the embedded store is unless told otherwise.

    `$XDG_DATA_HOME/otel-loggedmodel`, that is `~/.local/share/otel-loggedmodel`
    (https://specifications.freedesktop.org/basedir-spec/latest/).
    """
    base = os.environ.get("XDG_DATA_HOME", "")
    # The specification has relative paths ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "share") / "otel-loggedmodel"


def open_reader(url: str, token: str | None = None, prices: str | None = None) -> "Reader":
    """Open a store for reading.

    Args:
        url: `http://host:4318` for a running backend, `chdb:///directory` or a directory for an embedded store,
            `clickhouse://user:password@host:port/database` (or `clickhouses://`) for a server.
        token: What the backend wants as bearer token.
        prices: A file of prices; by default that of `OTEL_LOGGEDMODEL_PRICES`, if any.

    Raises:
        StoreUnavailableError: It is not there, or cannot be reached.
        ReadingError: The URL is not valid, or the file of prices cannot be read.
    """
    if url.startswith(("http://", "https://")):
        if prices:
            from otel_loggedmodel.store.reading import ReadingError

            raise ReadingError(
                f"{url} is a running backend, which has prices of its own: start it with `serve --prices {prices}`"
            )
        from otel_loggedmodel.store.remote import RemoteReader

        return RemoteReader(url, token)
    from otel_loggedmodel.store.opening import open_local_reader

    return open_local_reader(url, prices)


def open_database(url: str, prices: str | None = None) -> "Store":
    """Open a store for a receiver, which reads and writes; an embedded one is made where there is none.

    Args:
        url: As for `open_reader`, except a backend.
        prices: As for `open_reader`.

    Raises:
        StoreUnavailableError: It cannot be reached or made, or another process has it open.
        ReadingError: The URL is not valid.
    """
    from otel_loggedmodel.store.opening import open_store

    return open_store(url, prices)


def prepare(
    url: str,
    *,
    cluster: str | None = None,
    backfill: bool = False,
    dry_run: bool = False,
    on_day: Callable[[str, int, int], object] = lambda day, place, days: None,
) -> list[str]:
    """Make what a store lacks: tables, columns, a view, and the days that its table of what counts lacks.

    A call that was stopped is continued by the next one, with the day that it was at. The statements are returned.

    Args:
        url: As for `open_reader`, except a backend.
        cluster: Name of the cluster, for `ON CLUSTER`.
        backfill: Compute the columns for the spans that are there already, too.
        dry_run: Do nothing.
        on_day: Called before a day is filled in: with its name, its place from 1 on, and how many there are.

    Raises:
        StoreUnavailableError: It cannot be reached, is of a newer release, or this user may not make tables.
        ReadingError: The URL is not valid, or the table is of a kind that cannot be altered like this.
    """
    from otel_loggedmodel.store.opening import prepare as prepare_url

    return prepare_url(url, cluster=cluster, backfill=backfill, dry_run=dry_run, on_day=on_day)
