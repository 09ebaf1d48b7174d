# SPDX-License-Identifier: Apache-2.0
"""Our versions as LoggedModels of the server: the one place where the ids of the two sides meet."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Mapping
from typing import Final

from otel_loggedmodel._checking import has_id_shape
from otel_loggedmodel._latest import Latest
from otel_loggedmodel.mlflow_server import documents
from otel_loggedmodel.mlflow_server.agreeing import agreed_on, is_duplicate, is_settled
from otel_loggedmodel.mlflow_server.registry import Registry
from otel_loggedmodel.mlflow_server.rest import Server, ServerError
from otel_loggedmodel.versions.identity import is_reference, reference_to
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus, ModelEvent

DEFAULT_JITTER_SECONDS: Final = 0.3
# For so long it may go unnoticed that somebody has deleted a LoggedModel on the server.
RECHECK_SECONDS: Final = 300.0
_MAX_REMEMBERED: Final = 10_000
_MAX_TRIES: Final = 5
# Stands for the status in the record of changes, among the keys of tags, which are never empty.
_STATUS: Final = ""


class UnknownModelError(LookupError):
    """The server has no LoggedModel for an id, and none can be made, as its name is not known here."""


class Models:
    """The LoggedModels of a server's experiment. Any thread may call it.

    Args:
        server: The server.
        jitter: Seconds, at most, to wait before a LoggedModel is made. So if processes start together, fewer of them
            make one that they have to delete again.
    """

    def __init__(self, server: Server, jitter: float = DEFAULT_JITTER_SECONDS) -> None:
        self._server = server
        self._registry = Registry(server)
        self._jitter = jitter
        # One thread at a time asks what is not known yet, as all of them wait for the same answer.
        self._lock = threading.RLock()
        self._ids: Latest[str, tuple[str, float]] = Latest(_MAX_REMEMBERED)  # with when it was last seen
        self._told: Latest[str, LoggedModel] = Latest(_MAX_REMEMBERED)
        self._deleted: Latest[str, tuple[str, int]] = Latest(_MAX_REMEMBERED)  # with when, in nanoseconds

    def reset_after_fork(self) -> None:
        """In a forked child: nobody holds the lock here."""
        self._lock = threading.RLock()

    def id_of(self, model_id: str, model: LoggedModel | None = None) -> str:
        """The server's id for a version. If it has no LoggedModel yet, one is made.

        Args:
            model_id: Our id, the server's, or a model's name if somebody had that stamped as an id.
            model: What is known of the version. Without it, what `apply` was told of it counts.

        Raises:
            UnknownModelError: It has no LoggedModel, and its name is not known.
            ServerError: The server refused, or could not be asked.
        """
        known = self._ids.get(model_id)
        if known is not None and time.monotonic() - known[1] < RECHECK_SECONDS:
            return known[0]
        deleted = self._deleted.get(model_id)
        if deleted is not None:
            return deleted[0]  # what ended after that still belongs to it
        with self._lock:
            return self._resolved(model_id, model).model_id

    def find(self, model_id: str, model: LoggedModel | None = None) -> str | None:
        """The same, or None if a LoggedModel would have to be made.

        Raises:
            ServerError: The server refused, or could not be asked.
        """
        with self._lock:
            found = self._found(model_id, model or self._told.get(model_id))
            return None if found is None else found.model_id

    def apply(self, event: ModelEvent) -> None:
        """Bring the server up to date with something that happened to a version. A repetition changes nothing.

        Raises:
            UnknownModelError: As of `id_of`; not for an activation, which changes nothing.
            ServerError: The server refused, or could not be asked.
        """
        with self._lock:
            if event.kind == "deleted":
                self._delete(event)
                return
            deleted = self._deleted.get(event.model_id)
            if deleted is not None:
                if event.kind != "created" or event.time_ns <= deleted[1]:
                    return  # told again by a process that does not know of the deletion
                del self._deleted[event.model_id]
            if event.kind == "created":
                self._create(event)
            elif event.kind == "updated":
                self._update(event)
            else:
                self._activate(event)

    # An id; with the lock held

    def _resolved(self, model_id: str, model: LoggedModel | None) -> LoggedModel:
        model = model or self._told.get(model_id)
        known = self._ids.get(model_id)
        found = self._registry.get(known[0]) if known is not None else None
        if found is None:
            self._ids.pop(model_id, None)
            found = self._found(model_id, model) or self._made(model_id, model)
        self._finish(found, LoggedModelStatus.READY if model is None else model.status)
        self._ids[model_id] = (found.model_id, time.monotonic())
        return found

    def _found(self, model_id: str, model: LoggedModel | None) -> LoggedModel | None:
        if _is_by_name(model_id, model):
            name = _name_of(model_id, model)
            return self._newest(name) if name else agreed_on(self._registry, model_id)
        return self._registry.get(model_id) or agreed_on(self._registry, model_id)

    def _newest(self, name: str) -> LoggedModel | None:
        for found in self._registry.named(name):
            if is_duplicate(found):
                continue
            made_for = found.tags.get(documents.ID)
            if made_for is None or is_settled(found):
                return found
            # It is being made. Somebody may have set the tag to another text, which is not searched for.
            if has_id_shape(made_for) and (agreed := agreed_on(self._registry, made_for)) is not None:
                return agreed
        return None

    def _made(self, model_id: str, model: LoggedModel | None) -> LoggedModel:
        name = _name_of(model_id, model)
        if not name:
            raise UnknownModelError(f"the server has no LoggedModel for {model_id}, and its name is not known here")
        model = model or LoggedModel(model_id=model_id, name=name)
        # Processes that know only the name share one tag. It is always an id, as other texts cannot be searched for
        # safely.
        tag = model_id if has_id_shape(model_id) else reference_to(self._server.experiment_id, name)
        time.sleep(random.uniform(0, self._jitter))  # noqa: S311 - not a secret
        for _ in range(_MAX_TRIES):
            found = self._found(model_id, model)
            if found is None:
                self._registry.create(tag, model, name)
                found = agreed_on(self._registry, tag)
            if found is not None:
                return found
        raise ServerError(f"the LoggedModel for {model_id} is deleted as often as it is made", may_pass=True)

    def _finish(self, found: LoggedModel, status: LoggedModelStatus) -> None:
        """Say that it is ready, unless somebody has said something else of it."""
        unsaid = found.status is LoggedModelStatus.PENDING and _STATUS not in documents.changes_of(found)
        if unsaid and status is not LoggedModelStatus.PENDING and is_made_here(found):
            self._registry.set_status(found.model_id, status)

    # An event; with the lock held

    def _create(self, event: ModelEvent) -> None:
        told = self._told.get(event.model_id)
        model = LoggedModel(
            model_id=event.model_id,
            name=event.name or (told.name if told else None),
            model_type=event.model_type,
            source_run_id=event.source_run_id,
            status=event.status or LoggedModelStatus.READY,
            params={**event.params, **(told.params if told else {})},
            tags=event.tags,
        )
        self._told[event.model_id] = model
        found = self._resolved(event.model_id, model)
        if is_made_here(found):
            # It may have been made when less was known of it. Its tags are left, as they may have been changed since.
            self._add_params(found, event.params)

    def _update(self, event: ModelEvent) -> None:
        if event.params and is_reference(event.model_id):
            told = self._told.get(event.model_id) or LoggedModel(model_id=event.model_id, name=None)
            if not told.params:
                self._ids.pop(event.model_id, None)  # from now on it stands for itself and not for its name
            params = {**event.params, **told.params}
            self._told[event.model_id] = dataclasses.replace(told, params=params)
        found = self._resolved(event.model_id, None)
        self._add_params(found, event.params)
        changes = documents.changes_of(found)
        tags = {key: value for key, value in event.tags.items() if changes.get(key, 0) < event.time_ns}
        deleted = [key for key in event.tags_deleted if changes.get(key, 0) < event.time_ns and key not in tags]
        changed = [*tags, *deleted]
        if event.status is not None and changes.get(_STATUS, 0) < event.time_ns:
            self._registry.set_status(found.model_id, event.status)
            changed.append(_STATUS)
        for key in deleted:
            self._registry.delete_tag(found.model_id, key)
        if changed:
            # Last, as a change that is not noted here is made again.
            tags[documents.CHANGES] = documents.changes_tag(changes, changed, event.time_ns)
            self._registry.set_tags(found.model_id, tags)

    def _activate(self, event: ModelEvent) -> None:
        if event.name and event.model_id not in self._told:
            self._told[event.model_id] = LoggedModel(model_id=event.model_id, name=event.name)
        try:
            self.id_of(event.model_id)
        except UnknownModelError:
            return

    def _delete(self, event: ModelEvent) -> None:
        found = self._found(event.model_id, self._told.get(event.model_id))
        self._ids.pop(event.model_id, None)
        if found is None:
            return
        if _is_by_name(event.model_id, None) and found.tags.get(documents.ID) != event.model_id:
            return  # a name was deleted, not the version that it stands for
        self._deleted[event.model_id] = (found.model_id, event.time_ns)
        self._registry.delete(found.model_id)

    def _add_params(self, found: LoggedModel, params: Mapping[str, str]) -> None:
        for tries_left in reversed(range(_MAX_TRIES)):
            present_keys = {*found.params, *documents.BOOKKEEPING_PARAMS}
            missing = {key: value for key, value in params.items() if key not in present_keys}
            if not missing:
                return
            try:
                self._registry.add_params(found.model_id, missing)
                return
            except ServerError as error:
                # Another process has added one of them in between.
                present = self._registry.get(found.model_id) if error.is_of_content and tries_left else None
                if present is None or present.params == found.params:
                    raise
                found = present


def is_made_here(found: LoggedModel) -> bool:
    """Whether a LoggedModel of the server was made by this library."""
    return documents.ID in found.tags


def _is_by_name(model_id: str, model: LoggedModel | None) -> bool:
    """Whether an id stands for the newest version of a name."""
    # A reference that was given params of its own stands for itself.
    return not has_id_shape(model_id) or (is_reference(model_id) and not (model is not None and model.params))


def _name_of(model_id: str, model: LoggedModel | None) -> str | None:
    if model is not None and model.name:
        return model.name
    return None if has_id_shape(model_id) else model_id
