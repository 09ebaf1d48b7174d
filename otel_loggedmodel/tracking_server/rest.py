# SPDX-License-Identifier: Apache-2.0
"""Calls of the tracking server's REST API, what it answers to them, and whether trying again makes sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_loggedmodel.tracking_server.settings import Settings


class ServerError(Exception):
    """The server refused a call, or could not be asked.

    Attributes:
        status: The HTTP status, or None where there was no answer.
        error_code: The server's own code, such as `RESOURCE_DOES_NOT_EXIST`, or the name of the exception.
        retry_after: Seconds to wait that the server asked for.
        may_pass: Whether the same call may be taken later.
        is_of_content: Whether it was refused for what is in this one call, so that others may be taken. Where neither
            holds, the server refuses, or will refuse, every call: wrong credentials, an unknown experiment, too old.
    """

    def __init__(
        self,
        words: str,
        *,
        status: int | None = None,
        error_code: str = "",
        retry_after: float | None = None,
        may_pass: bool = False,
        is_of_content: bool = False,
    ) -> None:
        super().__init__(words)
        self.status = status
        self.error_code = error_code
        self.retry_after = retry_after
        self.may_pass = may_pass
        self.is_of_content = is_of_content


class Server:
    """A tracking server. Any thread may call it.

    Args:
        settings: Where it is, and as whom to ask.
        connections: How many calls go on at the same time; more than that wait for one another.
    """

    def __init__(self, settings: Settings, connections: int = 4) -> None:
        self.settings = settings
        self.connections = connections

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | Sequence[str]] | None = None,
    ) -> dict[str, Any]:
        """Make one call, and return what the server answered.

        Args:
            method: Such as `POST`.
            path: Such as `/api/2.0/mlflow/logged-models`; ids from outside in it quoted by the caller (`quoted`).
            body: Sent as JSON.
            query: Parameters of the address.

        Raises:
            ServerError: The server refused, or could not be asked.
        """
        raise NotImplementedError

    @property
    def experiment_id(self) -> str:
        """The experiment of the settings on the server; asked for once, and made where a name is new.

        Raises:
            ServerError: There is none of that id, or the server could not be asked.
        """
        raise NotImplementedError

    @property
    def otlp_endpoint(self) -> str:
        """Where the server takes OTLP traces."""
        raise NotImplementedError

    def otlp_headers(self) -> dict[str, str]:
        """What goes with OTLP requests: the experiment, and who asks.

        Raises:
            ServerError: As of `experiment_id`.
        """
        raise NotImplementedError

    def forget_connections(self) -> None:
        """In a forked child: leave the connections to the parent, and make new ones."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections; a call after that makes new ones."""
        raise NotImplementedError
