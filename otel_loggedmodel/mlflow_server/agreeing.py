# SPDX-License-Identifier: Apache-2.0
"""How processes that know nothing of one another come to use one LoggedModel for a version.

The server gives out the ids, and two processes that ask at the same time get two LoggedModels. Nothing there makes one
thing at most once except params: a LoggedModel takes a value for a key one time. So the param `logged_model.id` settles
what becomes of a LoggedModel. It gets our id, and is the one of that version for good, or `duplicate`, and is deleted.
Any process may settle it, so none waits for another, and none that dies on the way keeps others waiting.

A process settles on a LoggedModel only after all others that its search has found are settled to be duplicates. Were
two settled on, each by a process whose search did not find the other one, then each would have been made after the
search that found the other, which cannot be. That takes neither a clock nor luck, only that a search finds what was
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
    """The one LoggedModel of a version, which is settled now if it was not; None where there is none.

    Raises:
        ServerError: The server refused, or could not be asked.
    """
    for _ in range(_MAX_ROUNDS):
        found = sorted(registry.tagged(model_id), key=_age)
        settled = next(filter(is_settled, found), None)
        for model in found:
            if is_duplicate(model):  # whoever found that out did not come to deleting it
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
        # Another process settled it in another way in between: now it can be seen.
    raise ServerError(f"the LoggedModels for {model_id} change all the time", may_pass=True)


def is_settled(model: LoggedModel) -> bool:
    """Whether a LoggedModel of the server is the one of a version."""
    return ID in model.params and not is_duplicate(model)


def is_duplicate(model: LoggedModel) -> bool:
    """Whether it is to be deleted."""
    return model.params.get(ID) == DUPLICATE


def _settle(registry: Registry, model: LoggedModel, what: str) -> bool:
    """Whether that is settled of it now."""
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
    with contextlib.suppress(ServerError):  # it hides a duplicate from people; nothing depends on it
        registry.delete(model.model_id)
