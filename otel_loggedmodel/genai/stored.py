# SPDX-License-Identifier: Apache-2.0
"""`search_traces` finds traces that a store has already, to be scored."""

import importlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from otel_loggedmodel import environment
from otel_loggedmodel._checking import check_name

_LOCAL_BACKEND: Final = "http://127.0.0.1:4318"


class StoredTraces:
    """Traces of a store, as `search_traces` returns them. Each iteration reads them a page at a time."""

    def __init__(
        self, store: str, token: str | None, version: str | None, selection: Any, page: int, limit: int | None
    ):
        self._store = store
        self._token = token
        self._version = version
        self._selection = selection
        self._page = page
        self._limit = limit

    def __iter__(self) -> Iterator[Any]:
        reader = _module("store").open_reader(self._store, token=self._token)
        try:
            traces = _module("store.paging").traces_to_score(reader, self._version, self._selection, page=self._page)
            for number, trace in enumerate(traces):
                if number == self._limit:
                    return
                yield trace
        finally:
            reader.close()


def search_traces(
    model_id: str | None = None,
    *,
    store: str | None = None,
    token: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    service: str | None = None,
    attributes: Mapping[str, str] | None = None,
    dataset: str | None = None,
    production: bool = False,
    limit: int | None = None,
    page: int = 200,
) -> StoredTraces:
    """The traces of a version that a store has, newest first, to be handed to `evaluate`.

    Needs the extra `server`. The store is opened when the traces are iterated over.

    Args:
        model_id: The version: its id, the beginning of it, or its name. By default all versions.
        store: Where: a running backend, a directory or a cluster, as for the command line. By default
            OTEL_LOGGEDMODEL_STORE, else the backend on this machine.
        token: What a backend wants; by default OTEL_LOGGEDMODEL_TOKEN.
        since: Begun then or later.
        until: Begun before.
        service: Of this `service.name`.
        attributes: Whose entry span has these.
        dataset: Of rows of this data set, by name or digest.
        production: Leave out rows of data sets.
        limit: At most so many.
        page: How many are read at once.

    Raises:
        ImportError: The extra `server` is not installed.
        ValueError: A time has no time zone.
    """
    for time in (since, until):
        if time is not None and time.tzinfo is None:
            raise ValueError(f"{time} has no time zone: pass datetime(..., tzinfo=timezone.utc) or .astimezone()")
    try:
        reading = _module("store.reading")
        importlib.import_module("msgspec")
    except ImportError as error:
        raise ImportError(
            f"reading traces from a store needs: pip install 'otel-loggedmodel[server]' ({error})"
        ) from None
    selection = reading.Selection(
        since=since,
        until=until,
        service=service,
        attributes=dict(attributes or {}),
        dataset=dataset,
        production=production,
    )
    return StoredTraces(
        store or os.environ.get(environment.OTEL_LOGGEDMODEL_STORE, "").strip() or _LOCAL_BACKEND,
        token or os.environ.get(environment.OTEL_LOGGEDMODEL_TOKEN, "").strip() or None,
        None if model_id is None else check_name(model_id, "model_id"),
        selection,
        page,
        limit,
    )


def _module(name: str) -> Any:
    # The store needs an extra. So only its interface is known here, and it is loaded when it is asked for.
    return importlib.import_module(f"otel_loggedmodel.{name}")
