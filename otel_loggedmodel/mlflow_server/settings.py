# SPDX-License-Identifier: Apache-2.0
"""Where the tracking server is, as whom to ask it, and in which experiment.

MLflow's own variables or arguments say so.
"""

from __future__ import annotations

import base64
import dataclasses
import re
import urllib.parse
from typing import Final

from otel_loggedmodel import environment

DEFAULT_TIMEOUT_SECONDS: Final = 30.0
# MLflow's client sends it where the variable is set; its server reads it on REST and on /v1/traces.
_WORKSPACE_HEADER: Final = "X-MLFLOW-WORKSPACE"
# What a header can hold without being taken for something else. Which names there are is the server's to say.
_WORKSPACE: Final = re.compile(r"[!-~]{1,256}")
# Experiment 0 belongs to the workspace `default`, and no other one can reach it.
_WORKSPACE_OF_EXPERIMENT_0: Final = "default"
_EXPERIMENT_OF_WORKSPACES: Final = "Default"


class SettingsError(ValueError):
    """The settings name no server that can be reached over HTTP. The message says what to set."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What there is to know of a tracking server.

    Attributes:
        uri: `http(s)://host[:port][/prefix]`, without user, password, query and trailing slash.
        experiment_id: The experiment that traces and LoggedModels belong to. It wins over the name.
        experiment_name: The same by name. It is made if there is none of that name. Without id and name it is
            experiment `0`, or in a workspace of its own, where that is not, the one named `Default`.
        username: The user name for Basic authentication, with `password`.
        password: The password for Basic authentication, with `username`.
        token: The token for Bearer authentication, if there is no user name and password.
        verify: Whether the server's certificate is checked, or the file of the authorities to check it against.
        client_cert: The file of the certificate and key that are shown to the server.
        timeout: Seconds that the server may take to answer.
        workspace: The workspace that everything is asked of and sent to, if the server has workspaces.

    Raises:
        SettingsError: The URI is not one of a server that speaks HTTP, or the workspace can be none.
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
    workspace: str | None = None

    def __post_init__(self) -> None:
        uri, username, password = _taken_apart(self.uri)
        object.__setattr__(self, "uri", uri)
        if username is not None and self.username is None and self.password is None:
            object.__setattr__(self, "username", username)
            object.__setattr__(self, "password", password)
        if self.timeout <= 0:
            raise SettingsError(f"timeout is {self.timeout}: pass seconds, as in 30")
        if self.workspace is not None and not _WORKSPACE.fullmatch(self.workspace):
            raise SettingsError(f"MLFLOW_WORKSPACE is {self.workspace!r}: write the name of a workspace, as in team-a")
        if (
            self.experiment_id is None
            and self.experiment_name is None
            and self.workspace not in (None, _WORKSPACE_OF_EXPERIMENT_0)
        ):
            object.__setattr__(self, "experiment_name", _EXPERIMENT_OF_WORKSPACES)

    @classmethod
    def from_environment(cls, uri: str | None = None) -> Settings:
        """The settings in MLflow's own variables.

        Args:
            uri: The server, if it is not the one that `MLFLOW_TRACKING_URI` names.

        Raises:
            SettingsError: There is no URI, or none of a server that speaks HTTP; or variables contradict each other.
        """
        uri = uri or environment.tracking_uri()
        if not uri:
            raise SettingsError("no MLflow server is named: set MLFLOW_TRACKING_URI, as in http://localhost:5000")
        authorities = environment.tracking_server_cert()
        is_insecure = environment.is_tracking_insecure()
        if is_insecure and authorities:
            raise SettingsError(
                "MLFLOW_TRACKING_INSECURE_TLS takes any certificate, and MLFLOW_TRACKING_SERVER_CERT_PATH has it "
                "checked: unset one"
            )
        experiment_id, experiment_name = environment.tracking_experiment()
        username, password = environment.tracking_user()
        return cls(
            uri,
            experiment_id=experiment_id,
            experiment_name=experiment_name,
            username=username,
            password=password,
            token=environment.tracking_token(),
            verify=False if is_insecure else authorities or True,
            client_cert=environment.tracking_client_cert(),
            timeout=environment.tracking_timeout() or DEFAULT_TIMEOUT_SECONDS,
            workspace=environment.tracking_workspace(),
        )

    def headers(self) -> dict[str, str]:
        """The headers of every request: who asks, and of which workspace."""
        return self.authorization() | ({} if self.workspace is None else {_WORKSPACE_HEADER: self.workspace})

    def authorization(self) -> dict[str, str]:
        """The header that says who asks: Basic if there is a user name or password, else Bearer, else none."""
        if self.username is not None or self.password is not None:
            user = f"{self.username or ''}:{self.password or ''}"
            return {"authorization": "Basic " + base64.b64encode(user.encode()).decode()}
        return {"authorization": f"Bearer {self.token}"} if self.token else {}


def _taken_apart(uri: str) -> tuple[str, str | None, str | None]:
    """The address alone, and the user name and password that were in it."""
    uri = uri.strip()
    try:
        parts = urllib.parse.urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"{_shown(uri)} is no address: {error}; write http://host:port") from None
    if uri == "databricks" or parts.scheme in ("databricks", "databricks-uc", "uc"):
        raise SettingsError(
            f"{uri!r} is MLflow on Databricks, which is not supported: name an MLflow server, http(s)://..."
        )
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError(_advice_on(uri, parts.scheme))
    if parts.query or parts.fragment:
        raise SettingsError(f"{_shown(uri)} has more than an address: leave out what begins with ? or #")
    shown_host = f"[{host}]" if ":" in host else host
    address = f"{parts.scheme}://{shown_host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"
    if parts.username is None and parts.password is None:
        return address, None, None
    return address, urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or "")


def _advice_on(uri: str, scheme: str) -> str:
    if re.match(r"[\w.-]+:[0-9]+(/|$)", uri):
        return f"{_shown(uri)} does not say how to speak to the server: write http://{uri} or https://{uri}"
    if scheme in ("http", "https"):
        return f"{_shown(uri)} names no host: write {scheme}://host:port"
    return (
        f"{_shown(uri)} is no address of an MLflow server: start one, "
        f"`mlflow server --backend-store-uri {_shown(uri)}`, and set MLFLOW_TRACKING_URI to its http(s)://host:port"
    )


def _shown(uri: str) -> str:
    """Without user and password, as it goes into messages."""
    head, separator, rest = uri.partition("//")
    return f"{head}{separator}{rest.rpartition('@')[2]}"
