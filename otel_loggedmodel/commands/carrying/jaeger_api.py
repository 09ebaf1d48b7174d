# SPDX-License-Identifier: Apache-2.0
"""Asks the query API of Jaeger, or of what answers like it, for the traces of a service that began in some time.

Two forms of answers are read: OTLP as JSON, which Jaeger gives under `/api/v3` with all it knows; else the JSON of its
own pages under `/api`, of which `jaeger_spans` makes OTLP. VictoriaTraces has the latter under `/select/jaeger`.
Source: https://www.jaegertracing.io/docs/latest/architecture/apis/
"""

import html
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec
import requests

from otel_loggedmodel._cleaning import clean
from otel_loggedmodel.uninstrumented import uninstrumented

MAX_ANSWER: Final = 64 * 1024 * 1024
_PIECE: Final = 256 * 1024
_CONNECT_SECONDS: Final = 10.0
_STATUSES_THAT_PASS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOST_WORDS: Final = 300
_TITLE: Final = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_HEX_ID: Final = re.compile("[0-9a-fA-F]{32}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ADDRESS: Final = (
    "name the address of Jaeger's query service, such as http://jaeger:16686, with the path before /api where there is"
    " one; VictoriaTraces has it under http://host:10428/select/jaeger"
)


class JaegerError(Exception):
    """The other side does not give traces; the text says why, and what to do.

    Attributes:
        may_pass: Whether it may give them when it is asked again.
    """

    def __init__(self, text: str, *, may_pass: bool = False) -> None:
        super().__init__(clean(text))
        self.may_pass = may_pass


class TooMuchError(JaegerError):
    """It is too much, or takes too long, to be answered at once; less may be answered."""


@dataclass(frozen=True)
class Answer:
    """Traces.

    Attributes:
        traces: As Jaeger's pages get them; empty where there is `otlp`.
        otlp: What is in a request of OTLP, as JSON.
        ids: How many spans there are of each trace, by its id.
    """

    traces: list[dict[str, Any]]
    otlp: dict[str, Any] | None
    ids: Mapping[str, int]


class JaegerApi:
    """The query API at some address.

    Args:
        url: The address, as a browser has it; user and password may be in it.
        token: To be sent as `Authorization: Bearer`, if any.
        timeout: Seconds for an answer.

    Attributes:
        url: The address without user and password.
        has_otlp: Whether it answers in OTLP; None where that is not known yet.

    Raises:
        JaegerError: It is no address.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 60.0) -> None:
        try:
            parts = urlsplit(url)
            host = parts.netloc.rpartition("@")[2]
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError
        except ValueError:
            raise JaegerError(f"{url.rpartition('@')[2]!r} is no URL: {_ADDRESS}") from None
        self.url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        self.has_otlp: bool | None = None
        self._timeout = timeout
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        elif parts.username is not None:
            self._session.auth = (unquote(parts.username), unquote(parts.password or ""))

    def services(self) -> list[str]:
        """The services that it has traces of.

        Raises:
            JaegerError: It cannot be asked.
        """
        found = self._ask("/api/services", {})
        services = found.get("data", found)
        if services is None:
            return []
        if not isinstance(services, list):
            raise self._strange("/api/services")
        return sorted(str(service) for service in services)

    def traces(self, service: str, start_us: int, end_us: int, limit: int) -> Answer:
        """Traces of which a span of a service began in some time, its ends included; no more than a limit.

        Args:
            service: Whose.
            start_us: Microseconds since 1970.
            end_us: The same.
            limit: How many at most. Which are left out then nobody says.

        Raises:
            TooMuchError: The answer is too large, or does not come in time.
            JaegerError: It cannot be asked.
        """
        if self.has_otlp is not False:
            found = self._traces_as_otlp(service, start_us, end_us, limit)
            if found is not None:
                return found
        query = {"service": service, "start": start_us, "end": end_us, "limit": limit, "raw": "true"}
        found_traces = self._ask("/api/traces", query)
        traces = found_traces.get("data", found_traces)
        traces = [] if traces is None else traces
        if not isinstance(traces, list) or not all(isinstance(trace, dict) for trace in traces):
            raise self._strange("/api/traces")
        ids = {str(trace.get("traceID", "")): len(trace.get("spans") or ()) for trace in traces}
        return Answer(traces, None, ids)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _traces_as_otlp(self, service: str, start_us: int, end_us: int, limit: int) -> Answer | None:
        """The same in OTLP; None where it does not answer so."""
        query = {
            "query.service_name": service,
            "query.start_time_min": _time(start_us),
            "query.start_time_max": _time(end_us),
            "query.num_traces": limit,
            "query.search_depth": limit,
            "query.raw_traces": "true",
        }
        try:
            found = self._ask("/api/v3/traces", query, may_be_absent=True)
        except JaegerError as error:
            if self.has_otlp or error.may_pass or isinstance(error, TooMuchError):
                raise
            found = {}
        if "error" in found:  # its way to say that there are none
            self.has_otlp = True
            return Answer([], {}, {})
        result = found.get("result")
        ids = _ids_in(result) if isinstance(result, dict) else None
        if ids is None or not all(map(_HEX_ID.fullmatch, ids)):
            if self.has_otlp:
                raise self._strange("/api/v3/traces")
            self.has_otlp = False
            return None
        self.has_otlp = True
        return Answer([], result, ids)

    def _ask(self, path: str, query: Mapping[str, object], *, may_be_absent: bool = False) -> dict[str, Any]:
        try:
            with (
                uninstrumented(),
                self._session.get(
                    self.url + path,
                    params={key: str(value) for key, value in query.items()},
                    timeout=(_CONNECT_SECONDS, self._timeout),
                    stream=True,
                ) as response,
            ):
                body = self._body_of(response)
        except requests.exceptions.SSLError as error:
            raise JaegerError(
                f"the certificate of {self.url} is not trusted: {error}. Name a file with those to trust in"
                " REQUESTS_CA_BUNDLE"
            ) from error
        except requests.exceptions.ReadTimeout as error:
            raise TooMuchError(f"{self.url} does not answer within {self._timeout:g} s", may_pass=True) from error
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            raise JaegerError(f"{self.url} cannot be reached: {_reason_of(error)}", may_pass=True) from error
        except requests.exceptions.RequestException as error:
            raise JaegerError(f"{self.url} does not answer as HTTP servers do: {error}", may_pass=True) from error
        return self._document_of(response, body, path, may_be_absent=may_be_absent)

    def _body_of(self, response: requests.Response) -> bytes:
        deadline = time.monotonic() + self._timeout
        body = bytearray()
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > MAX_ANSWER:
                raise TooMuchError(f"an answer of {self.url} has more than {MAX_ANSWER // 1024**2} MiB")
            if time.monotonic() > deadline:
                raise TooMuchError(f"{self.url} has not finished its answer within {self._timeout:g} s", may_pass=True)
        return bytes(body)

    def _document_of(
        self, response: requests.Response, body: bytes, path: str, *, may_be_absent: bool
    ) -> dict[str, Any]:
        status = response.status_code
        if status in (401, 403, 407):
            raise JaegerError(
                f"{self.url} wants to know who asks ({status}): write user and password into the URL, as"
                " https://user:password@host, or name a file with a token: --jaeger-token-file"
            )
        if body.lstrip()[:1] == b"<" or "html" in response.headers.get("content-type", ""):
            title = _TITLE.search(body)
            said = f", {html.unescape(title[1].decode(errors='replace')).strip()!r}" if title else ""
            raise JaegerError(
                f"{self.url}{path} answers with a web page{said} ({status}): {_ADDRESS}. A login that stands before it"
                " gives such pages, too",
                may_pass=status in _STATUSES_THAT_PASS,
            )
        try:
            document = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if status < 400:
                raise self._strange(path) from None
            document = {}
        words = _words_in(document) or body.decode(errors="replace").strip()
        if status == 404 and may_be_absent and isinstance(document, dict):
            return document
        if status >= 400:
            # In memory, Jaeger refuses to be asked for more traces than it keeps.
            is_limit = "search depth" in words
            advice = f": {_ADDRESS}" if status in (404, 405) else ": say a lower --limit" if is_limit else ""
            raise JaegerError(
                f"{self.url}{path} answers {status} ({words[:_MOST_WORDS]}){advice}",
                may_pass=status in _STATUSES_THAT_PASS and not is_limit,
            )
        if not isinstance(document, dict):
            raise self._strange(path)
        if document.get("errors") and not document.get("data"):
            raise JaegerError(f"{self.url}{path} says: {words[:_MOST_WORDS]}")
        return document

    def _strange(self, path: str) -> JaegerError:
        return JaegerError(f"{self.url}{path} does not answer as Jaeger does: {_ADDRESS}")


def _ids_in(result: Mapping[str, Any]) -> dict[str, int] | None:
    ids: dict[str, int] = {}
    try:
        for resource in result.get("resourceSpans") or ():
            for scope in resource.get("scopeSpans") or ():
                for span in scope.get("spans") or ():
                    trace_id = span["traceId"]
                    ids[trace_id] = ids.get(trace_id, 0) + 1
    except (AttributeError, KeyError, TypeError):
        return None
    return ids


def _words_in(document: object) -> str:
    if not isinstance(document, dict):
        return ""
    for error in (document.get("error"), *(document.get("errors") or ())):
        if isinstance(error, dict):
            return str(error.get("message") or error.get("msg") or "")
        if error:
            return str(error)
    return ""


def _reason_of(error: requests.exceptions.RequestException) -> str:
    """What is said at the end of a chain of messages that repeat one another."""
    return str(error).rpartition(": ")[2].rstrip("')\"") or type(error).__name__


def _time(microseconds: int) -> str:
    return f"{(_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None).isoformat()}Z"
