# SPDX-License-Identifier: Apache-2.0
"""Calls of the tracking server's REST API, what it answers to them, and whether trying again makes sense."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_loggedmodel._cleaning import brief, clean
from otel_loggedmodel.delivery.bounded import within
from otel_loggedmodel.delivery.otlp_answers import retry_after_of
from otel_loggedmodel.mlflow_server.settings import Settings
from otel_loggedmodel.uninstrumented import uninstrumented
from otel_loggedmodel.version import __version__

if TYPE_CHECKING:
    import requests

DEFAULT_EXPERIMENT_ID: Final = "0"
_EXPERIMENT_HEADER: Final = "x-mlflow-experiment-id"
_MAX_WORDS: Final = 500
_CONNECT_SECONDS: Final = 10.0
# If the server has closed a kept-alive connection, that shows at once. What takes longer has another reason.
_STALE_SECONDS: Final = 1.0
_STATUSES_THAT_PASS: Final = frozenset({408, 429, 502, 503, 504})
_STATUSES_OF_CONTENT: Final = frozenset({400, 404, 409, 413, 415, 422, 500})
# If its database is locked or away, the server mostly answers 503, but not in all places.
_DATABASE_TROUBLE: Final = re.compile(r"database is locked|deadlock|OperationalError|QueuePool limit", re.IGNORECASE)
# The experiment was deleted, for good or not, after it was asked for.
_EXPERIMENT_TROUBLE: Final = re.compile(r"no experiment with id|experiment .{0,80}must be in the 'active' state", re.I)
_NAME_EXPERIMENT: Final = "set MLFLOW_EXPERIMENT_ID or MLFLOW_EXPERIMENT_NAME to one that is there"
# The workspace is not there, its name cannot be one, or the server has no workspaces and was asked for one.
_WORKSPACE_TROUBLE: Final = re.compile(r"workspace (name )?'|workspace apis are not available", re.IGNORECASE)
_NAME_WORKSPACE: Final = "set MLFLOW_WORKSPACE to one that is there, or unset it where the server has none"

_inherited: Final[list[object]] = []


class ServerError(Exception):
    """The server refused a call, or could not be asked.

    Attributes:
        status: The HTTP status; None if there was no answer.
        error_code: The server's own code, such as `RESOURCE_DOES_NOT_EXIST`, or the name of the exception.
        retry_after: Seconds to wait that the server asked for.
        may_pass: Whether the same call may be taken later.
        is_of_content: Whether this one call was refused for its content, so that others may be taken. If neither holds,
            the server refuses every call: the credentials are wrong, the experiment is unknown, or the server is too
            old.
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
        super().__init__(clean(words))
        self.status = status
        self.error_code = clean(error_code)
        self.retry_after = retry_after
        self.may_pass = may_pass
        self.is_of_content = is_of_content

    @property
    def is_absent(self) -> bool:
        """Whether what the call was about is not there."""
        return self.status == 404 and self.is_of_content

    @property
    def may_be_absent(self) -> bool:
        """Whether it may mean the same. A server with users answers that a thing is forbidden if it is not there."""
        return self.is_absent or self.status == 403


class WorkspaceError(ServerError):
    """There is no such workspace, so that the server refuses every call."""


class Server:
    """A tracking server. Any thread may call it.

    Args:
        settings: Where it is, and as whom to ask.
        connections: How many calls go on at the same time. Others wait.
    """

    def __init__(self, settings: Settings, connections: int = 4) -> None:
        self.settings = settings
        self.connections = connections
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._experiment_id: str | None = None

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | Sequence[str]] | None = None,
    ) -> dict[str, Any]:
        """Make one call, and return what the server answered. If its connection breaks at once, it is made again.

        Args:
            method: Such as `POST`.
            path: Such as `/api/2.0/mlflow/logged-models`. The caller quotes what comes from outside.
            body: Sent as JSON.
            query: Parameters of the address.

        Raises:
            ServerError: The server refused, or could not be asked.
        """
        import requests

        url = self.settings.uri + path
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        try:
            with uninstrumented():
                # The session's own timeout is for each part of an answer: one that drips would take for ever.
                longest = 2 * self.settings.timeout + _CONNECT_SECONDS
                request = lambda: self._request(method, url, data, query)  # noqa: E731
                response = within(longest, lambda: _twice_if_stale(request), may_run_here=True)
        except TimeoutError as error:
            words = f"{self.settings.uri} has not finished its answer in time"
            raise ServerError(words, error_code="TimeoutError", may_pass=True) from error
        except requests.exceptions.SSLError as error:
            raise self._tls_error(error) from error
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            words = f"{self.settings.uri} cannot be reached: {_reason_of(error)}"
            raise ServerError(words, error_code=type(error).__name__, may_pass=True) from error
        except OSError as error:  # all that requests raises; also if the file of a certificate is not there
            if isinstance(error, requests.exceptions.ChunkedEncodingError):
                raise ServerError(_cut(str(error)), error_code=type(error).__name__, may_pass=True) from error
            raise self._tls_error(error) from error
        return self._answer_of(response, path)

    @property
    def experiment_id(self) -> str:
        """The experiment of the settings on the server. It is asked for once, and made if its name is new.

        Raises:
            ServerError: There is no experiment of that id, or the server could not be asked.
        """
        if self._experiment_id is None:
            # Without a lock: asking twice does no harm, and a fork would inherit the lock.
            if self.settings.experiment_id is None and self.settings.experiment_name is not None:
                self._experiment_id = self._experiment_of_name(self.settings.experiment_name)
            else:
                self._experiment_id = self._experiment_of_id(self.settings.experiment_id or DEFAULT_EXPERIMENT_ID)
        return self._experiment_id

    @property
    def otlp_endpoint(self) -> str:
        """Where the server takes OTLP traces."""
        return f"{self.settings.uri}/v1/traces"

    def otlp_headers(self) -> dict[str, str]:
        """What goes with OTLP requests: the experiment, and who asks.

        Raises:
            ServerError: As of `experiment_id`.
        """
        return {_EXPERIMENT_HEADER: self.experiment_id, **self.settings.headers()}

    def forget_connections(self) -> None:
        """In a forked child: leave the connections to the parent, and make new ones."""
        # The old ones are kept, as closing them takes locks that threads of the parent may have held.
        _inherited.append(self._session)
        self._lock = threading.Lock()
        self._session = None

    def close(self) -> None:
        """Close the connections. A later call makes new ones."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def _request(
        self, method: str, url: str, data: bytes | None, query: Mapping[str, str | Sequence[str]] | None
    ) -> requests.Response:
        settings = self.settings
        headers = settings.headers()

        def authorize(request: Any) -> Any:
            # Passed as `auth`, or else requests would take what ~/.netrc has for the host.
            request.headers.update(headers)
            return request

        return self._connected().request(
            method,
            url,
            params=query,
            data=data,
            headers={} if data is None else {"content-type": "application/json"},
            auth=authorize if headers else None,
            timeout=(min(_CONNECT_SECONDS, settings.timeout), settings.timeout),
            verify=settings.verify,
            cert=settings.client_cert,
            allow_redirects=False,
        )

    def _connected(self) -> requests.Session:
        import requests
        from requests.adapters import HTTPAdapter

        with self._lock:
            if self._session is None:
                self._session = requests.Session()
                self._session.headers["user-agent"] = f"otel-loggedmodel/{__version__}"
                adapter = HTTPAdapter(pool_connections=2, pool_maxsize=self.connections, pool_block=True)
                self._session.mount("http://", adapter)
                self._session.mount("https://", adapter)
            return self._session

    # What it answers

    def _answer_of(self, response: requests.Response, path: str) -> dict[str, Any]:
        document = _document_of(response.content)
        if 200 <= response.status_code < 300:
            if document is None and response.content.strip():
                raise ServerError(
                    f"{self.settings.uri}{path} answers something that is not JSON: is that an MLflow server, "
                    "and does it want a login before?",
                    status=response.status_code,
                )
            return document or {}
        raise self._refusal(response, document, path)

    def _refusal(self, response: requests.Response, document: dict[str, Any] | None, path: str) -> ServerError:
        status = response.status_code
        said = document or {}
        error_code = str(said.get("error_code") or "")
        detail = said.get("message") or said.get("detail") or _text_of(response)
        words = _cut(f"{status} {response.reason or ''}: {error_code} {detail}")
        if 300 <= status < 400:
            address = response.headers.get("location", "elsewhere")
            advice = f"{self.settings.uri} redirects to {address}: set MLFLOW_TRACKING_URI to where the server is"
            return ServerError(advice, status=status, error_code=error_code)
        if status in (401, 403):
            return ServerError(self._advice_on_access(status, words), status=status, error_code=error_code)
        if status == 404 and error_code in ("", "ENDPOINT_NOT_FOUND"):
            advice = (
                f"there is no {path} at {self.settings.uri}, which MLflow has from 3.6 on: upgrade the server, "
                f"or set MLFLOW_TRACKING_URI to where it is ({words})"
            )
            return ServerError(advice, status=status, error_code=error_code)
        if _WORKSPACE_TROUBLE.match(str(detail)):
            self._experiment_id = None
            return WorkspaceError(f"{words}; {_NAME_WORKSPACE}", status=status, error_code=error_code)
        if status in (400, 404) and _EXPERIMENT_TROUBLE.search(str(detail)):
            self._experiment_id = None  # asked for again the next time: it may be restored by then
            return ServerError(f"{words}; {_NAME_EXPERIMENT}", status=status, error_code=error_code)
        if status in _STATUSES_THAT_PASS or (status >= 500 and _DATABASE_TROUBLE.search(str(detail))):
            retry_after = retry_after_of(response.headers.get("retry-after"))
            return ServerError(words, status=status, error_code=error_code, retry_after=retry_after, may_pass=True)
        return ServerError(words, status=status, error_code=error_code, is_of_content=status in _STATUSES_OF_CONTENT)

    def _advice_on_access(self, status: int, words: str) -> str:
        scheme = self.settings.authorization().get("authorization", "").partition(" ")[0]
        sent = {"Basic": "the user name and password were sent", "Bearer": "the token was sent"}.get(scheme)
        if status == 401 or not sent:
            return (
                f"{self.settings.uri} wants to know who asks, and {sent or 'nothing was sent'}: set "
                f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN ({words})"
            )
        return f"{self.settings.uri} does not allow this ({sent}): ask for the right to edit the experiment ({words})"

    def _tls_error(self, error: Exception) -> ServerError:
        return ServerError(
            f"{self.settings.uri} cannot be asked: {_cut(str(error))}; for a certificate of your own authority set "
            "MLFLOW_TRACKING_SERVER_CERT_PATH, and MLFLOW_TRACKING_CLIENT_CERT_PATH where the server wants to see one",
            error_code=type(error).__name__,
        )

    # The experiment

    def _experiment_of_id(self, experiment_id: str) -> str:
        try:
            answer = self.call("GET", "/api/2.0/mlflow/experiments/get", query={"experiment_id": experiment_id})
        except WorkspaceError:
            raise
        except ServerError as error:
            advice = f"{_NAME_EXPERIMENT}, and MLFLOW_WORKSPACE to its workspace where the server has workspaces"
            if error.status == 403:  # to a user who is no administrator, what is not there is forbidden
                words = f"{error}; if it has no experiment {experiment_id!r}, {advice}"
            elif error.status not in (400, 404) or error.may_pass or error.error_code == "":
                raise
            else:
                words = f"{self.settings.uri} has no experiment {experiment_id!r}: {advice}"
            raise ServerError(words, status=error.status, error_code=error.error_code) from error
        return self._active(answer)

    def _experiment_of_name(self, name: str) -> str:
        for _ in range(3):
            try:
                query = {"experiment_name": name}
                return self._active(self.call("GET", "/api/2.0/mlflow/experiments/get-by-name", query=query))
            except ServerError as error:
                if not error.is_absent:
                    raise
            with contextlib.suppress(_AlreadyThere):
                return self._made(name)
        raise ServerError(f"the experiment {name!r} comes and goes", may_pass=True)

    def _made(self, name: str) -> str:
        try:
            return str(self.call("POST", "/api/2.0/mlflow/experiments/create", {"name": name})["experiment_id"])
        except ServerError as error:
            if error.error_code == "RESOURCE_ALREADY_EXISTS":  # by another process, a moment ago
                raise _AlreadyThere from error
            if error.is_of_content:
                words = f"the experiment {name!r} cannot be made: {error}; {_NAME_EXPERIMENT}"
                raise ServerError(words, status=error.status, error_code=error.error_code) from error
            raise

    def _active(self, answer: Mapping[str, Any]) -> str:
        experiment = answer["experiment"]
        if experiment.get("lifecycle_stage", "active") != "active":
            words = f"the experiment {experiment.get('name')!r} is deleted: restore it, or {_NAME_EXPERIMENT}"
            raise ServerError(words, error_code="INVALID_STATE")
        return str(experiment["experiment_id"])


class _AlreadyThere(Exception):
    """Another process was faster."""


def _twice_if_stale(request: Callable[[], requests.Response]) -> requests.Response:
    import requests

    started = time.monotonic()
    try:
        return request()
    except requests.exceptions.ConnectionError as error:
        was_connected = "RemoteDisconnected" in repr(error) or "ConnectionResetError" in repr(error)
        if not was_connected or time.monotonic() - started > _STALE_SECONDS:
            raise
    return request()


def quoted(text: str) -> str:
    """A text as one part of a path."""
    return urllib.parse.quote(text, safe="")


def _reason_of(error: Exception) -> str:
    inner = error.args[0] if error.args else error
    return _cut(str(getattr(inner, "reason", None) or inner))


def _document_of(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text_of(response: requests.Response) -> str:
    text = response.content[: 4 * _MAX_WORDS].decode(errors="replace")
    if "html" in response.headers.get("content-type", ""):
        text = re.sub(r"<[^>]*>", " ", text)
    return text


def _cut(text: str) -> str:
    return brief(text, _MAX_WORDS)
