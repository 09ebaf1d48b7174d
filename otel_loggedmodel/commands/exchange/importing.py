# SPDX-License-Identifier: Apache-2.0
"""Makes LoggedModels of a server versions of a store of ours."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.sdk.resources import Resource

from otel_loggedmodel.commands.exchange.asking import Asked
from otel_loggedmodel.commands.exchange.filling import Writer
from otel_loggedmodel.commands.exchange.finding import Experiment, models_of
from otel_loggedmodel.delivery import otlp_payloads
from otel_loggedmodel.mlflow_server.importing import as_ours, missing
from otel_loggedmodel.store.logged_models import model_of
from otel_loggedmodel.store.reading import Reader, VersionFilter
from otel_loggedmodel.store.writing import RefusedError
from otel_loggedmodel.versions import records
from otel_loggedmodel.versions.model import LoggedModel, ModelEvent

# Each record may take a megabyte (`MAX_MODEL_BYTES`), and a backend takes sixteen at once.
_BYTES_AT_ONCE: Final = 1024 * 1024
_EVERY_VERSION: Final = VersionFilter(deleted=True, limit=10_000)
_SHOWN_REFUSALS: Final = 10


@dataclass
class Imported:
    """What became of the LoggedModels that were found.

    Attributes:
        found: How many there are.
        created: Those that were not known.
        updated: Those that have changed since.
        unchanged: Those about which everything was known.
        deleted: Those that were deleted in the store, which an import does not undo.
        repeated: Those that stand for a version for which another LoggedModel was read before.
        refused: How many the store does not take.
        refusals: The first of them, by id, with what the store said.
    """

    found: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    repeated: int = 0
    refused: int = 0
    refusals: dict[str, str] = field(default_factory=dict)


class Import:
    """Reads LoggedModels a page at a time, and tells a store what it lacks.

    Args:
        asked: The server that has the LoggedModels.
        reader: The store's reader.
        writer: The store's writer; None to write nothing.
        advance: Called after each page with what there is so far.
    """

    def __init__(
        self, asked: Asked, reader: Reader, writer: Writer | None, advance: Callable[[Imported], None]
    ) -> None:
        self._asked = asked
        self._writer = writer
        self._advance = advance
        self._resource = Resource({"service.name": "mlflow", "server.address": asked.server.settings.uri})
        self._known = {version.model_id: version for version in reader.versions(_EVERY_VERSION)}
        self._read: set[str] = set()
        self.result = Imported()

    def run(self, experiments: Iterable[Experiment], filter_text: str | None = None) -> Imported:
        """Import the LoggedModels of experiments.

        Args:
            experiments: Which.
            filter_text: Which of their LoggedModels, in the filter language of MLflow's `search_logged_models`.

        Raises:
            ServerError: The server refused, or cannot be asked.
            StoreUnavailableError: The store cannot be filled. What was stored until then is.
        """
        for experiment in experiments:
            for page in models_of(self._asked, experiment, filter_text):
                self._take([as_ours(model) for model in page])
                self._advance(self.result)
        return self.result

    def _take(self, models: Sequence[LoggedModel]) -> None:
        events = [event for model in models if (event := self._event_of(model)) is not None]
        for batch in _batches(events):
            self._store(batch)

    def _event_of(self, model: LoggedModel) -> ModelEvent | None:
        self.result.found += 1
        if model.model_id in self._read:
            self.result.repeated += 1
            return None
        self._read.add(model.model_id)
        known = self._known.get(model.model_id)
        if known is not None and known.deleted:
            self.result.deleted += 1
            return None
        event = missing(model, model_of(known) if known is not None and known.registered else None, time.time_ns())
        if event is None:
            self.result.unchanged += 1
        return event

    def _store(self, events: Sequence[ModelEvent]) -> None:
        try:
            if self._writer is not None:
                self._writer.insert([self._request(events)])
        except RefusedError as error:
            if len(events) > 1:
                for event in events:
                    self._store([event])
                return
            self.result.refused += 1
            if len(self.result.refusals) < _SHOWN_REFUSALS:
                self.result.refusals[events[0].model_id] = str(error)
            return
        self.result.created += sum(event.kind == "created" for event in events)
        self.result.updated += sum(event.kind == "updated" for event in events)

    def _request(self, events: Sequence[ModelEvent]) -> bytes:
        # Sent with the present time, as every repeated record is: stores drop what is old, and take only few days at
        # once.
        now = time.time_ns()
        return otlp_payloads.encoded([records.span_of(event, self._resource, now) for event in events])


def _batches(events: Iterable[ModelEvent]) -> Iterator[list[ModelEvent]]:
    batch: list[ModelEvent] = []
    size = 0
    for event in events:
        if batch and size + event.size > _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event.size
    if batch:
        yield batch
