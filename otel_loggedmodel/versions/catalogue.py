# SPDX-License-Identifier: Apache-2.0
"""The models that this process knows, and what happened to them: the one owner of that state.

Every change is an immutable `ModelEvent` with a sequence number. What ships events (see `shipping`) remembers how far
it has read. Nothing here waits for a network, and the lock is held only while a few objects are moved. Everything is
bounded and the oldest is forgotten, so an application that makes a version per request does not run out of memory.
"""

import collections
import dataclasses
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Final

from otel_loggedmodel._checking import MAX_MODEL_BYTES, too_large
from otel_loggedmodel._errors import warn_once
from otel_loggedmodel._latest import Latest
from otel_loggedmodel.versions import identity
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus, ModelEvent

MAX_MODELS: Final = 4096
MAX_EVENTS: Final = 8192
MAX_BYTES: Final = 64 * 1024 * 1024  # 64 models of the largest size, tens of thousands of the usual one
# Without this bound, a model that is updated in a loop would be announced with a long tail of tiny records.
MAX_UPDATES_PER_MODEL: Final = 64

_Numbered = tuple[int, ModelEvent]


class Catalogue:
    """What one process knows of models. Thread-safe. A forked child keeps the models, but not what was left to ship."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: dict[str, LoggedModel] = {}
        self._histories: dict[str, list[ModelEvent]] = {}
        self._newest: dict[tuple[str, str], str] = {}
        self._bytes = 0
        self._journal: collections.deque[_Numbered] = collections.deque(maxlen=MAX_EVENTS)
        self._journal_bytes = 0
        self._last_time_ns = 0
        self.last_number = 0
        # Entry spans read it without the lock. It is written with the lock held.
        self.activated: Latest[str, ModelEvent] = Latest(MAX_MODELS)
        # Set when there is a new event.
        self.listeners: weakref.WeakSet[threading.Event] = weakref.WeakSet()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()  # another thread of the parent may have held it
        self._journal.clear()  # the parent ships these
        self._journal_bytes = 0
        self.listeners = weakref.WeakSet()
        self.activated = Latest(MAX_MODELS)  # the child is a process of its own, so its versions are activated anew

    # Reading

    def get(self, model_id: str) -> LoggedModel | None:
        """The present state of a model; None if this process does not know it."""
        return self._models.get(model_id)

    def models(self) -> list[LoggedModel]:
        """The present states of all models that this process knows."""
        with self._lock:
            return list(self._models.values())

    def knows(self, model_id: str) -> bool:
        """Whether there is anything to announce of a model."""
        return model_id in self._histories or model_id in self.activated

    def newest(self, experiment_id: str, name: str) -> LoggedModel | None:
        """The newest version of a name in an experiment that this process knows."""
        model_id = self._newest.get((experiment_id, name))
        return None if model_id is None else self._models.get(model_id)

    def events_after(self, number: int) -> list[_Numbered]:
        """The events after a sequence number, oldest first, as far as newer ones have not pushed them out."""
        with self._lock:
            found: list[_Numbered] = []
            for numbered in reversed(self._journal):
                if numbered[0] <= number:
                    break
                found.append(numbered)
            return found[::-1]

    def announcement_of(self, model_id: str) -> list[ModelEvent]:
        """The events that tell a backend all about a model again: creation, updates, and activation here."""
        with self._lock:
            events = list(self._histories.get(model_id, ()))
            activation = self.activated.get(model_id)
            return events if activation is None else [*events, activation]

    # Writing

    def create(
        self,
        name: str,
        experiment_id: str,
        *,
        model_type: str | None = None,
        source_run_id: str | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> LoggedModel:
        """The model with this content. A new one is made if none is known."""
        params, tags = params or {}, tags or {}
        model_id = identity.model_id_of(
            experiment_id, name, model_type=model_type, params=params, source_run_id=source_run_id, tags=tags
        )
        return self._create(model_id, name, experiment_id, model_type, source_run_id, params, tags)

    def refer(self, name: str, experiment_id: str) -> LoggedModel:
        """The reference by name, for a name that has no version in this process."""
        return self._create(identity.reference_to(experiment_id, name), name, experiment_id, None, None, {}, {})

    def _create(
        self,
        model_id: str,
        name: str,
        experiment_id: str,
        model_type: str | None,
        source_run_id: str | None,
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> LoggedModel:
        with self._lock:
            known = self._models.get(model_id)
            if known is not None and known.name is not None:
                return known
            event = ModelEvent(
                kind="created",
                model_id=model_id,
                time_ns=self._now(),
                name=name,
                experiment_id=experiment_id,
                model_type=model_type,
                source_run_id=source_run_id,
                status=LoggedModelStatus.READY,
                params=dict(params),
                tags=dict(tags),
            )
            created_at = event.time_ns // 1_000_000
            model = LoggedModel(
                model_id=model_id,
                name=name,
                experiment_id=experiment_id,
                creation_timestamp=created_at,
                last_updated_timestamp=created_at,
                model_type=model_type,
                source_run_id=source_run_id,
                # What was logged to the id before it was created here is kept.
                tags=dict(tags) if known is None else {**tags, **known.tags},
                params=dict(params) if known is None else {**known.params, **params},
            )
            self._newest[experiment_id, name] = model_id
            self._record(model, event)
            return model

    def update(
        self,
        model_id: str,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        tags_deleted: Sequence[str] = (),
        status: LoggedModelStatus | None = None,
    ) -> LoggedModel:
        """The model after a change. An unknown id is accepted, as it may have been made elsewhere.

        Raises:
            ValueError: A param has another value already, or all texts together are too large.
        """
        with self._lock:
            model = self._models.get(model_id) or LoggedModel(model_id=model_id, name=None)
            new_params = _only_new_params(model, params or {})
            new_tags = {key: value for key, value in (tags or {}).items() if model.tags.get(key) != value}
            new_status = status if status != model.status or model.name is None else None
            if not (new_params or new_tags or tags_deleted or new_status):
                return model
            event = ModelEvent(
                kind="updated",
                model_id=model_id,
                time_ns=self._now(),
                span_id=identity.random_span_id(),
                params=new_params,
                tags=new_tags,
                tags_deleted=tuple(tags_deleted),
                status=new_status,
            )
            kept_tags = {key: value for key, value in model.tags.items() if key not in tags_deleted}
            updated = dataclasses.replace(
                model,
                params={**model.params, **new_params},
                tags={**kept_tags, **new_tags},
                status=new_status or model.status,
                last_updated_timestamp=event.time_ns // 1_000_000,
            )
            size = _size_of(updated)
            if size > MAX_MODEL_BYTES:
                raise too_large(f"params and tags of {model_id}", size)
            self._record(updated, event)
            return updated

    def delete(self, model_id: str) -> None:
        """Forget a model and record that it was deleted."""
        with self._lock:
            event = ModelEvent(
                kind="deleted", model_id=model_id, time_ns=self._now(), span_id=identity.random_span_id()
            )
            model = self._forget(model_id)
            if model is not None and model.name is not None:
                others = (other for other in self._models.values() if _family_of(other) == _family_of(model))
                newest = max(others, key=lambda other: other.creation_timestamp, default=None)
                if newest is not None:
                    self._newest[_family_of(newest)] = newest.model_id
            self._append(event)

    def activate(self, model_id: str, name: str | None = None) -> None:
        """Record that a version became active in this process, once for each version."""
        if model_id in self.activated:
            return
        with self._lock:
            if model_id in self.activated:
                return
            event = ModelEvent(
                kind="activated", model_id=model_id, time_ns=self._now(), span_id=identity.random_span_id(), name=name
            )
            self.activated[model_id] = event
            self._append(event)

    # The rest is called with the lock held.

    def _now(self) -> int:
        # Strictly increasing, so that the order of two changes never depends on the clock's resolution.
        self._last_time_ns = max(time.time_ns(), self._last_time_ns + 1)
        return self._last_time_ns

    def _record(self, model: LoggedModel, event: ModelEvent) -> None:
        before = self._models.pop(model.model_id, None)
        self._bytes += _size_of(model) - (0 if before is None else _size_of(before))
        self._models[model.model_id] = model  # at the end: the models changed last are the last to be forgotten
        history = self._histories.setdefault(model.model_id, [])
        if event.kind == "created":
            history.insert(0, event)
        else:
            history.append(event)
            if len(history) > MAX_UPDATES_PER_MODEL:
                oldest = 1 if history[0].kind == "created" else 0
                history[oldest : oldest + 2] = [_merged(history[oldest], history[oldest + 1])]
        self._append(event)
        while len(self._models) > MAX_MODELS or (self._bytes > MAX_BYTES and len(self._models) > 1):
            self._forget(next(iter(self._models)))
            warn_once(
                "catalogue full",
                "this process has made more than %d versions or %d bytes of them and forgets the oldest; "
                "a version is meant to be a state of the application, not a request or a user",
                MAX_MODELS,
                MAX_BYTES,
            )

    def _append(self, event: ModelEvent) -> None:
        self.last_number += 1
        if len(self._journal) == MAX_EVENTS:
            self._journal_bytes -= self._journal[0][1].size
        self._journal.append((self.last_number, event))
        self._journal_bytes += event.size
        while self._journal_bytes > MAX_BYTES and len(self._journal) > 1:
            self._journal_bytes -= self._journal.popleft()[1].size
        for listener in self.listeners:
            listener.set()

    def _forget(self, model_id: str) -> LoggedModel | None:
        model = self._models.pop(model_id, None)
        self._histories.pop(model_id, None)
        if model is not None:
            self._bytes -= _size_of(model)
            if self._newest.get(_family_of(model)) == model_id:
                del self._newest[_family_of(model)]
        return model


def _family_of(model: LoggedModel) -> tuple[str, str]:
    return model.experiment_id, model.name or ""


def _only_new_params(model: LoggedModel, params: Mapping[str, str]) -> dict[str, str]:
    for key, value in params.items():
        if model.params.get(key, value) != value:
            raise ValueError(
                f'param "{key}" of {model.model_id} is {model.params[key]!r} and cannot become {value!r}: '
                "params are write-once; create another version, or use a tag for what changes"
            )
    return {key: value for key, value in params.items() if key not in model.params}


def _merged(older: ModelEvent, newer: ModelEvent) -> ModelEvent:
    """Two updates as one that leaves the same state behind."""
    kept_tags = {key: value for key, value in older.tags.items() if key not in newer.tags_deleted}
    deleted = (*(key for key in older.tags_deleted if key not in newer.tags), *newer.tags_deleted)
    return dataclasses.replace(
        newer,
        params={**older.params, **newer.params},
        tags={**kept_tags, **newer.tags},
        tags_deleted=tuple(dict.fromkeys(deleted)),
        status=newer.status or older.status,
    )


def _size_of(model: LoggedModel) -> int:
    return sum(len(key) + len(value) for texts in (model.params, model.tags) for key, value in texts.items())


catalogue: Final = Catalogue()
