# SPDX-License-Identifier: Apache-2.0
"""Asks a running backend. It imports little, as the command line starts with it each time."""

import http.client
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from otel_loggedmodel.store.chart_results import Activities, Behaviour, Deployment
from otel_loggedmodel.store.reading import (
    ALL_RUNS,
    ALL_VERSIONS,
    EVERYTHING,
    FOUND_BY,
    MOST_CHANGED,
    RECENT,
    AmbiguousVersionError,
    ReadingError,
    RowFilter,
    RunFilter,
    Selection,
    StoreUnavailableError,
    TraceFilter,
    UnknownRunError,
    UnknownTraceError,
    UnknownVersionError,
    VersionFilter,
    Versions,
)
from otel_loggedmodel.store.results import Comparison, Dataset
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.trace_results import Facets, Trace, TraceSummary
from otel_loggedmodel.store.version_results import Version, VersionDetail

T = TypeVar("T")


class _Versions(msgspec.Struct):
    versions: list[Version]


class _Datasets(msgspec.Struct):
    datasets: list[Dataset]


class _Deployments(msgspec.Struct):
    deployments: list[Deployment]


class _Runs(msgspec.Struct):
    runs: list[Run]


class _Rows(msgspec.Struct):
    rows: list[RowChange]


class _Traces(msgspec.Struct):
    traces: list[TraceSummary]


class _Revision(msgspec.Struct):
    revision: str


class _Error(msgspec.Struct):
    code: str
    message: str
    suggestions: list[str] = []


class _ErrorAnswer(msgspec.Struct):
    error: _Error


_ERRORS: Final[Mapping[str, type[ReadingError]]] = {
    "ambiguous_version": AmbiguousVersionError,
    "unknown_trace": UnknownTraceError,
    "unknown_run": UnknownRunError,
    "bad_request": ReadingError,
}


def _instead_of_http(error: http.client.HTTPException) -> str:
    # The first frame of HTTP/2: a length of three bytes, then the type SETTINGS.
    if isinstance(error, http.client.BadStatusLine) and str(error.args[0])[3:4] == "\x04":
        return "speaks gRPC, which is for spans: questions go to the port for HTTP, which is 4318 by default"
    return f"does not speak HTTP: {type(error).__name__}"


class RemoteReader:
    """A `Reader` that asks a backend over HTTP; safe to use from several threads.

    Args:
        url: The backend's URL, as `http://localhost:4318`.
        token: What it wants to see, if anything.
        timeout: Seconds to wait for it, each time it is silent.

    Raises:
        ValueError: It is no such URL.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 30.0) -> None:
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
            if parts.scheme not in ("http", "https") or not self._host:
                raise ValueError(url)
        except ValueError:
            raise ValueError(f"{url!r} is no URL of a backend: expected one like http://localhost:4318") from None
        self._url = url.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        self._is_tls = parts.scheme == "https"
        self._timeout = timeout
        self._headers = {"Accept": "application/json", "Connection": "close"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def versions(self, which: VersionFilter = ALL_VERSIONS, selection: Selection = EVERYTHING) -> list[Version]:
        """The versions; see `Reader.versions`."""
        parameters = [
            *_given("name", which.name),
            *_pairs("tag", which.tags),
            *_pairs("param", which.params),
            ("deleted", "true" if which.deleted else "false"),
            ("limit", str(which.limit)),
        ]
        return self._ask("versions", _Versions, parameters, selection).versions

    def version(self, version: str, selection: Selection = EVERYTHING) -> VersionDetail:
        """One version; see `Reader.version`."""
        return self._ask("versions/" + _quote(version), VersionDetail, [], selection)

    def compare(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Comparison:
        """Versions side by side; see `Reader.compare`."""
        return self._ask("compare", Comparison, [("version", version) for version in versions], selection)

    def rows(
        self, versions: Sequence[str], which: RowFilter = MOST_CHANGED, selection: Selection = EVERYTHING
    ) -> list[RowChange]:
        """Rows of data sets; see `Reader.rows`."""
        parameters = [
            *(("version", version) for version in versions),
            *_given("score", which.score),
            ("limit", str(which.limit)),
            *_given("change", which.change),
            *([("with_others", "true")] if which.with_others else []),
        ]
        return self._ask("compare/rows", _Rows, parameters, selection).rows

    def traces(
        self, version: Versions = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> list[TraceSummary]:
        """Traces of a version, or of all; see `Reader.traces`."""
        parameters = [
            *_found(version, which),
            ("order", which.order),
            ("limit", str(which.limit)),
            ("offset", str(which.offset)),
        ]
        return self._ask("traces", _Traces, parameters, selection).traces

    def lists(
        self, version: str | None, kinds: Sequence[TraceFilter], selection: Selection = EVERYTHING
    ) -> list[list[TraceSummary]]:
        """Several lists of traces; see `Reader.lists`."""
        return [self.traces(version, which, selection) for which in kinds]

    def facets(
        self, version: Versions = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> Facets:
        """What traces have; see `Reader.facets`."""
        return self._ask("traces/facets", Facets, _found(version, which), selection)

    def trace(self, trace_id: str, most: int | None = None) -> Trace:
        """One trace; see `Reader.trace`."""
        found = self._ask("traces/" + _quote(trace_id), Trace, [], EVERYTHING)
        if most is None or len(found.spans) <= most:
            return found
        return replace(found, spans=found.spans[:most], left_out=found.left_out + len(found.spans) - most)

    def activities(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Activities:
        """How versions did over time; see `Reader.activities`."""
        return self._ask("activities", Activities, [("version", version) for version in versions], selection)

    def behaviour(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Behaviour:
        """What is behind the numbers; see `Reader.behaviour`."""
        return self._ask("behaviour", Behaviour, [("version", version) for version in versions], selection)

    def runs(self, which: RunFilter = ALL_RUNS) -> list[Run]:
        """Evaluation runs; see `Reader.runs`."""
        given = (*_given("version", which.version), *_given("dataset", which.dataset), ("limit", str(which.limit)))
        return self._ask("runs", _Runs, given, EVERYTHING).runs

    def run(self, run: str) -> list[Run]:
        """One run; see `Reader.run`."""
        return self._ask("runs/" + _quote(run), _Runs, [], EVERYTHING).runs

    def datasets(self) -> list[Dataset]:
        """The data sets; see `Reader.datasets`."""
        return self._ask("datasets", _Datasets, [], EVERYTHING).datasets

    def deployments(self) -> list[Deployment]:
        """What runs now; see `Reader.deployments`."""
        return self._ask("deployments", _Deployments, [], EVERYTHING).deployments

    def at_once(self) -> "RemoteReader":
        """Itself; see `Reader.at_once`."""
        return self

    def revision(self) -> str:
        """See `Reader.revision`."""
        return self._ask("revision", _Revision, [], EVERYTHING).revision

    def close(self) -> None:
        """Nothing: no connection is kept."""

    def _ask(self, path: str, answer: type[T], parameters: Iterable[tuple[str, str]], selection: Selection) -> T:
        query = urlencode([*parameters, *_selected(selection)], quote_via=quote, errors="replace")
        target = f"{self._prefix}/api/v1/{path}" + (f"?{query}" if query else "")
        status, body = self._get(target)
        try:
            if status == 200:
                return msgspec.json.decode(body, type=answer)
            error = msgspec.json.decode(body, type=_ErrorAnswer).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise StoreUnavailableError(
                f"what answers at {self._url} is not an otel-loggedmodel backend, or one of another version "
                f"(it answered {status})"
            ) from None
        raise self._exception_of(error)

    def _get(self, target: str) -> tuple[int, bytes]:
        connection_class = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        connection = connection_class(self._host, self._port, timeout=self._timeout)
        try:
            connection.request("GET", target, headers=self._headers)
            response = connection.getresponse()
            return response.status, response.read()
        except TimeoutError:
            raise StoreUnavailableError(
                f"{self._url} did not answer within {self._timeout:g} seconds: ask for less time, or try again"
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise untrusted(self._url, error) from error
        except ssl.SSLError as error:
            if error.reason != "WRONG_VERSION_NUMBER":
                raise StoreUnavailableError(f"no TLS with {self._url}: {error.reason or error}") from error
            without = self._url.replace("https://", "http://", 1)
            raise StoreUnavailableError(f"what answers at {self._url} does not speak TLS: try {without}") from error
        except OSError as error:
            raise StoreUnavailableError(
                f"nothing answers at {self._url} ({error.strerror or error}): start a backend with "
                "`otel-loggedmodel serve`"
            ) from error
        except http.client.HTTPException as error:
            raise StoreUnavailableError(f"what answers at {self._url} {_instead_of_http(error)}") from error
        finally:
            connection.close()

    def _exception_of(self, error: _Error) -> ReadingError:
        if error.code == "unknown_version":
            return UnknownVersionError(error.message, error.suggestions)
        if error.code == "unauthorized":
            if "Authorization" in self._headers:
                return StoreUnavailableError(f"the backend at {self._url} does not take this token")
            return StoreUnavailableError(f"the backend at {self._url} wants a token: set OTEL_LOGGEDMODEL_TOKEN")
        if error.code == "not_found" and self._prefix:
            address = self._url.removesuffix(self._prefix)
            return StoreUnavailableError(f"there is no backend at {self._url}: its address may be {address}")
        return _ERRORS.get(error.code, StoreUnavailableError)(error.message)


def untrusted(url: str, error: ssl.SSLCertVerificationError) -> StoreUnavailableError:
    """What to say of a certificate that proves nothing."""
    return StoreUnavailableError(
        f"the certificate of {url} is not trusted ({error.verify_message}): name a file with those to trust in"
        " SSL_CERT_FILE, and use the name that it was made for"
    )


def _quote(text: str) -> str:
    # Characters that UTF-8 cannot encode cannot be in a URL. With replacements, the text names nothing that exists.
    return quote(text, safe="", errors="replace")


def _found(versions: Versions, which: TraceFilter) -> list[tuple[str, str]]:
    """What a filter finds traces by."""
    return [
        *(("version", one) for one in ([versions] if isinstance(versions, str) else versions or ())),
        *((name, value) for name in FOUND_BY if (value := getattr(which, name)) is not None),
        ("errors_only", "true" if which.errors_only else "false"),
    ]


def _given(name: str, value: str | None) -> list[tuple[str, str]]:
    return [] if value is None else [(name, value)]


def _pairs(name: str, pairs: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in pairs.items():
        if "=" in key:
            raise ReadingError(f"{key!r} has an equals sign: a backend cannot be asked for such a {name}")
        yield name, f"{key}={value}"


def _selected(selection: Selection) -> Iterator[tuple[str, Any]]:
    if selection.since is not None:
        yield "since", selection.since.isoformat()
    if selection.until is not None:
        yield "until", selection.until.isoformat()
    yield from _given("service", selection.service)
    yield from _pairs("attribute", selection.attributes)
    yield from _given("dataset", selection.dataset)
    if selection.production:
        yield "production", "true"
    if selection.prompt is not None:
        yield "prompt", selection.prompt.replace("\n", "@")
    if selection.agent is not None:
        yield "agent", selection.agent
    if selection.by is not None:
        yield "by", selection.by
    if selection.runs != EVERYTHING.runs:
        yield "runs", selection.runs
    if selection.failed_rows != EVERYTHING.failed_rows:
        yield "failed_rows", selection.failed_rows
    if selection.pass_at is not None:
        yield "pass_at", selection.pass_at
