# SPDX-License-Identifier: Apache-2.0
"""How processes that know nothing of one another come to use one LoggedModel for a version.

The server gives out the ids, and two processes that ask at the same time get two LoggedModels. Only params can be set
at most once there: a LoggedModel takes one value for a key. So the param `logged_model.id` settles what becomes of a
LoggedModel. If it gets our id, it is the LoggedModel of that version for good. If it gets `duplicate`, it is deleted.
Any process may settle this. So no process waits for another, and a process that dies on the way keeps nobody waiting.

A process settles on a LoggedModel only after all others that its search has found are settled to be duplicates. Assume
that two were settled on, each by a process whose search did not find the other. Then each of the two was made after the
search that found the other, which is impossible. This needs neither a clock nor luck, only that a search finds what was
made before it.
"""

from __future__ import annotations

import contextlib
from typing import Final

from otel_loggedmodel.mlflow_server.documents import DUPLICATE, ID
from otel_loggedmodel.mlflow_server.registry import Registry
from otel_loggedmodel.mlflow_server.rest import ServerError
from otel_loggedmodel.versions.model import LoggedModel

_MAX_ROUNDS: Final = 20  # one is enough, unless others settle things at the same time


def agreed_on(registry: Registry, model_id: str) -> LoggedModel | None:
    """The one LoggedModel of a version; None if there is none. It is settled on now, if that was not done before.

    Raises:
        ServerError: The server refused, or could not be asked.
    """
    for _ in range(_MAX_ROUNDS):
        found = sorted(registry.tagged(model_id), key=_age)
        settled = next(filter(is_settled, found), None)
        for model in found:
            if is_duplicate(model):  # the process that found that out did not get to deleting it
                _delete(registry, model)
            elif settled is not None and not is_settled(model):
                _settle(registry, model, DUPLICATE)
        if settled is not None:
            return settled
        candidates = [model for model in found if not is_duplicate(model)]
        if not candidates:
            return None
        first, *others = candidates
        if all(_settle(registry, other, DUPLICATE) for other in others) and _settle(registry, first, model_id):
            return first
        # Another process has settled it otherwise in between, and now that can be seen.
    raise ServerError(f"the LoggedModels for {model_id} change all the time", may_pass=True)


def is_settled(model: LoggedModel) -> bool:
    """Whether a LoggedModel of the server is the one of a version."""
    return ID in model.params and not is_duplicate(model)


def is_duplicate(model: LoggedModel) -> bool:
    """Whether it is to be deleted."""
    return model.params.get(ID) == DUPLICATE


def _settle(registry: Registry, model: LoggedModel, what: str) -> bool:
    """Settle that of it. Returns whether it is settled now."""
    try:
        registry.add_params(model.model_id, {ID: what})
    except ServerError as error:
        if not (error.is_of_content or error.may_be_absent):
            raise
        present = registry.get(model.model_id)
        if present is None:
            return what == DUPLICATE
        if ID not in present.params:
            raise
        return present.params[ID] == what
    if what == DUPLICATE:
        _delete(registry, model)
    return True


def _age(model: LoggedModel) -> tuple[int, str]:
    return model.creation_timestamp, model.model_id


def _delete(registry: Registry, model: LoggedModel) -> None:
    with contextlib.suppress(ServerError):  # this hides a duplicate from people, and nothing else depends on it
        registry.delete(model.model_id)
