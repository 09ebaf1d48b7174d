# SPDX-License-Identifier: Apache-2.0
"""LoggedModels of the server as ours, and what a catalogue of ours lacks of them."""

import dataclasses
from typing import Final

from otel_loggedmodel.mlflow_server import documents
from otel_loggedmodel.versions.identity import random_span_id
from otel_loggedmodel.versions.model import LoggedModel, ModelEvent

_NANOSECONDS_PER_MILLISECOND: Final = 1_000_000


def as_ours(model: LoggedModel) -> LoggedModel:
    """A LoggedModel of the server without our bookkeeping. If this library made it, it has our id and name."""
    return dataclasses.replace(
        model,
        model_id=model.tags.get(documents.ID) or model.model_id,
        name=documents.original_name(model),
        source_run_id=model.tags.get(documents.SOURCE_RUN) or model.source_run_id,
        tags={key: value for key, value in model.tags.items() if key not in documents.BOOKKEEPING_TAGS},
        params={key: value for key, value in model.params.items() if key not in documents.BOOKKEEPING_PARAMS},
    )


def missing(found: LoggedModel, known: LoggedModel | None, now_ns: int) -> ModelEvent | None:
    """What has to be told of a LoggedModel; None if nothing has to be told.

    Its creation is the same event and the same span however often it is told. Tags that are known only here are left,
    as they may have been set here. A param that has another value here is left, too, as params are write-once.

    Args:
        found: As it is on the server, under our id and name.
        known: What the catalogue knows of it; None if no record of its creation was received.
        now_ns: When this is found out. MLflow does not keep when a tag was set.
    """
    if known is None:
        return ModelEvent(
            kind="created",
            model_id=found.model_id,
            time_ns=found.creation_timestamp * _NANOSECONDS_PER_MILLISECOND,
            name=found.name,
            experiment_id=found.experiment_id,
            model_type=found.model_type,
            source_run_id=found.source_run_id,
            status=found.status,
            params=dict(found.params),
            tags=dict(found.tags),
        )
    return lacking(known, found, now_ns, random_span_id())


def lacking(present: LoggedModel, wanted: LoggedModel, time_ns: int, span_id: int | None = None) -> ModelEvent | None:
    """The change that brings one side up to date with the other; None if it lacks nothing.

    Args:
        present: What is known on the side that is told, under our id.
        wanted: What it is to know. Params are added, and a tag that both have gets this value. Nothing is taken away.
        time_ns: When the change counts as made.
        span_id: The span id of the record of the change, if there is to be one.
    """
    params = {key: value for key, value in wanted.params.items() if key not in present.params}
    tags = {key: value for key, value in wanted.tags.items() if present.tags.get(key) != value}
    status = wanted.status if wanted.status != present.status else None
    if not (params or tags or status):
        return None
    return ModelEvent(
        kind="updated",
        model_id=wanted.model_id,
        time_ns=time_ns,
        span_id=span_id,
        status=status,
        params=params,
        tags=tags,
    )
