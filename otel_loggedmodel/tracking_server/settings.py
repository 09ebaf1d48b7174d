# SPDX-License-Identifier: Apache-2.0
"""Where the tracking server is, as whom to ask it, and in which experiment: MLflow's own variables, or arguments."""

from __future__ import annotations

import dataclasses
from typing import Final

DEFAULT_TIMEOUT_SECONDS: Final = 30.0


class SettingsError(ValueError):
    """The settings name no server that can be reached over HTTP; the words say what to set."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What there is to know of a tracking server.

    Attributes:
        uri: `http(s)://host[:port][/prefix]`, without user, password, query and trailing slash.
        experiment_id: The experiment that traces and LoggedModels belong to; wins over the name.
        experiment_name: The same by name; made where there is none of that name. Neither means experiment `0`.
        username: For Basic authentication, with `password`.
        password: Likewise.
        token: For Bearer authentication, where there is no user name and password.
        verify: Whether the server's certificate is checked, or the file of the authorities to check it against.
        client_cert: The file of the certificate and key that are shown to the server.
        timeout: Seconds that the server may take to answer.

    Raises:
        SettingsError: The URI is not one of a server that speaks HTTP.
    """

    uri: str
    experiment_id: str | None = None
    experiment_name: str | None = None
    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    token: str | None = dataclasses.field(default=None, repr=False)
    verify: bool | str = True
    client_cert: str | None = None
    timeout: float = DEFAULT_TIMEOUT_SECONDS

    @classmethod
    def from_environment(cls, uri: str | None = None) -> Settings:
        """The settings in MLflow's own variables.

        Args:
            uri: The server, if it is not the one that `MLFLOW_TRACKING_URI` names.

        Raises:
            SettingsError: There is no URI, or none of a server that speaks HTTP.
        """
        raise NotImplementedError

    def authorization(self) -> dict[str, str]:
        """The header that says who asks: Basic where there is a user name or password, else Bearer, else none."""
        raise NotImplementedError
