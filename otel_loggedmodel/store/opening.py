# SPDX-License-Identifier: Apache-2.0
"""Stores by URL, with everything that is needed to read and write them."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

from otel_loggedmodel.environment import OTEL_LOGGEDMODEL_PRICES
from otel_loggedmodel.store import layout, price_file, pricing, schema
from otel_loggedmodel.store.database import Database, open_database, second
from otel_loggedmodel.store.exporting import Exported, Exporter, Wanted
from otel_loggedmodel.store.ingest import OtlpWriter
from otel_loggedmodel.store.log_ingest import LogWriter
from otel_loggedmodel.store.price_file import NO_FILE, PriceFile
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import StoreUnavailableError
from otel_loggedmodel.store.upkeep import Upkeep


@dataclass(frozen=True)
class Store:
    """A store that is open.

    Attributes:
        writer: Takes spans.
        log_writer: Takes log records.
        reader: Answers questions, beside the writer.
        upkeep: Says what is damaged, repairs, makes backups.
        name: What messages call it.
    """

    writer: OtlpWriter
    log_writer: LogWriter
    reader: StoreReader
    upkeep: Upkeep
    name: str

    def announce(self, address: str, secret: str) -> None:
        """Write into the store's lock file where the backend is that has the store open."""
        self.writer.database.announce(address, secret)

    def close(self) -> None:
        """Let go of it."""
        with contextlib.suppress(StoreUnavailableError):
            self.writer.counts.note_growth(at_once=True)
        self.reader.close()
        self.writer.close()


def open_store(url: str, prices: str | None = None) -> Store:
    """Open a store for a receiver; see `store.open_database`."""
    own = _prices(prices)
    database = open_database(url, create=True)
    try:
        writer = OtlpWriter(database)
        pricing.warm_up()
        if database.directory is not None:
            layout.keep_definitions(database.directory)
        other = second(database)
        reader = StoreReader(other, own)
        upkeep = Upkeep(other, writer.counts, reader)
        return Store(writer, LogWriter(database), reader, upkeep, database.name)
    except BaseException:
        database.close()
        raise


def open_local_reader(url: str, prices: str | None = None) -> StoreReader:
    """Open a store for reading; see `store.open_reader`."""
    own = _prices(prices)
    database = open_database(url)
    try:
        return StoreReader(database, own)
    except BaseException:
        database.close()
        raise


def export(url: str, wanted: Wanted, on_spans: Callable[[int, int], object] = lambda done, total: None) -> Exported:
    """Export from a store that nobody else has open, or from one on a server; see `exporting.Exporter.run`."""
    database = open_database(url)
    try:
        return Exporter(database, StoreReader(database, _prices(None))).run(wanted, on_spans)
    finally:
        database.close()


def _prices(path: str | None) -> PriceFile:
    path = path or os.environ.get(OTEL_LOGGEDMODEL_PRICES)
    return price_file.read(path) if path else NO_FILE


def prepare(
    url: str, *, cluster: str | None, backfill: bool, dry_run: bool, on_day: Callable[[str, int, int], object]
) -> list[str]:
    """Make what a store lacks; see `store.prepare`."""
    database: Database = open_database(url, create=not dry_run)
    try:
        if database.directory is not None and cluster is not None:
            raise StoreUnavailableError("an embedded store is not on a cluster: leave the cluster's name out")
        return schema.prepare(database, cluster=cluster, backfill=backfill, dry_run=dry_run, on_day=on_day)
    finally:
        database.close()
