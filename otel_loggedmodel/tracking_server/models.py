# SPDX-License-Identifier: Apache-2.0
"""Our versions as LoggedModels of the server: the one place where the ids of the two sides meet."""

from __future__ import annotations

import dataclasses

from otel_loggedmodel.model import LoggedModel, ModelEvent
from otel_loggedmodel.tracking_server.rest import Server


class UnknownModelError(LookupError):
    """The server has no LoggedModel for an id, and too little is known here to make one: its name is not."""


@dataclasses.dataclass(frozen=True)
class Page:
    """Some of the server's LoggedModels.

    Attributes:
        models: As they are on the server, with its ids; `model_id_of` has ours.
        next_token: For the next page, or None at the end.
    """

    models: tuple[LoggedModel, ...]
    next_token: str | None = None


class Models:
    """The LoggedModels of a server's experiment. Any thread may call it.

    Args:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def id_of(self, model_id: str, model: LoggedModel | None = None) -> str:
        """The server's id for a version, whose LoggedModel is made if there is none.

        Args:
            model_id: Our id, the server's, or a model's name where somebody had that stamped as an id.
            model: What is known of the version. Without it, what `apply` was told of it counts.

        Raises:
            UnknownModelError: There is none, and its name is not known.
            ServerError: The server refused, or could not be asked.
        """
        raise NotImplementedError

    def apply(self, event: ModelEvent) -> None:
        """Bring the server up to date with something that happened to a version. A repetition changes nothing.

        Raises:
            UnknownModelError: As of `id_of`.
            ServerError: The server refused, or could not be asked.
        """
        raise NotImplementedError

    def list(self, page_token: str | None = None) -> Page:
        """The LoggedModels of the experiment, newest first.

        Raises:
            ServerError: The server refused, or could not be asked.
        """
        raise NotImplementedError


def model_id_of(model: LoggedModel) -> str:
    """Our id for a LoggedModel of the server: the one that it was made for, else its own."""
    raise NotImplementedError


def without_bookkeeping(model: LoggedModel) -> LoggedModel:
    """A LoggedModel of the server under our id and name, without the tags and params that this library adds there."""
    raise NotImplementedError
