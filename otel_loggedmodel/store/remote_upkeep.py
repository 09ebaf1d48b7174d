# SPDX-License-Identifier: Apache-2.0
"""Looks after the store of a running backend, by asking it to."""

import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from otel_loggedmodel.store.backup import Backup
from otel_loggedmodel.store.exporting import Exported, Wanted
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError
from otel_loggedmodel.store.remote import untrusted
from otel_loggedmodel.store.upkeep import Condition, Repair

_SECRET_HEADER: Final = "X-Otel-Loggedmodel-Secret"  # noqa: S105 - its name
# Reading all of a large store takes its time, and nothing is heard meanwhile.
_TIMEOUT_SECONDS: Final = 6 * 3600.0

T = TypeVar("T")


class RemoteUpkeep:
    """What `Upkeep` does, in a backend.

    Args:
        url: The backend's URL, as `http://localhost:4318`.
        token: What it wants to see, if anything.
        secret: What it wrote into its store's lock file, if that can be read.
        timeout: Seconds to wait for it.
    """

    def __init__(
        self, url: str, token: str | None = None, secret: str | None = None, timeout: float = _TIMEOUT_SECONDS
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._headers = {"Accept": "application/json", "Connection": "close"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        if secret is not None:
            self._headers[_SECRET_HEADER] = secret

    def condition(self) -> Condition:
        """See `Upkeep.condition`."""
        return self._ask("GET", "", Condition)

    def repair(self) -> Repair:
        """See `Upkeep.repair`."""
        return self._ask("POST", "/repair", Repair)

    def backup(self, path: Path) -> Backup:
        """See `Upkeep.backup`."""
        return self._ask("POST", "/backup", Backup, {"path": str(path)})

    def restore(self, path: Path) -> Backup:
        """See `Upkeep.restore`."""
        return self._ask("POST", "/restore", Backup, {"path": str(path)})

    def export(self, wanted: Wanted) -> Exported:
        """See `Upkeep.export`."""
        return self._ask("POST", "/export", Exported, msgspec.to_builtins(wanted))

    def _ask(self, method: str, path: str, answer: type[T], content: Mapping[str, Any] | None = None) -> T:
        parts = urlsplit(self._url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._timeout)
        body = None if content is None else json.dumps(content).encode()
        try:
            connection.request(method, f"{parts.path}/api/v1/store{path}", body, self._headers)
            response = connection.getresponse()
            status, said = response.status, response.read()
        except ssl.SSLCertVerificationError as error:
            raise untrusted(self._url, error) from error
        except (OSError, http.client.HTTPException) as error:
            raise StoreUnavailableError(f"the backend at {self._url} does not answer: {error or error!r}") from error
        finally:
            connection.close()
        try:
            if status == http.HTTPStatus.OK:
                return msgspec.json.decode(said, type=answer)
            message = str(json.loads(said)["error"]["message"])
        except (ValueError, KeyError, TypeError, UnicodeDecodeError, msgspec.DecodeError):
            raise StoreUnavailableError(
                f"what answers at {self._url} is no otel-loggedmodel backend, or one of another version ({status})"
            ) from None
        kind_of_error = ReadingError if status == http.HTTPStatus.BAD_REQUEST else StoreUnavailableError
        raise kind_of_error(message)
