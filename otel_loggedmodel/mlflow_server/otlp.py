# SPDX-License-Identifier: Apache-2.0
"""Spans to the tracking server: the stock OTLP exporter over HTTP, with what this server wants beside it.

The server wants the id of an experiment with every request. If only its name is known, the server has to be asked for
the id. It may be away when the exporter is made, so it is asked at the first request. Until the server says the id,
requests fail as if nobody were there.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from requests.adapters import HTTPAdapter

from otel_loggedmodel.delivery.destinations import Destination, destination_named
from otel_loggedmodel.mlflow_server.rest import DEFAULT_EXPERIMENT_ID, Server, ServerError
from otel_loggedmodel.mlflow_server.settings import Settings

# The exporter adds headers of OTEL_EXPORTER_OTLP_HEADERS, and `requests` those of ~/.netrc. Both are for other servers.
_KEPT_HEADERS: Final = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type"),
        *("transfer-encoding", "user-agent"),
    }
)


def span_exporter(settings: Settings) -> OTLPSpanExporter:
    """What exports spans to the server. The server is asked nothing before the first span."""
    session = requests.Session()
    adapter = _Adapter(settings)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    endpoint = f"{settings.uri}/v1/traces"
    exporter = OTLPSpanExporter(endpoint=endpoint, session=session, timeout=settings.timeout)
    vars(exporter)["destination"] = destination_in(settings, endpoint, "http/protobuf")
    return exporter


def destination_in(settings: Settings, endpoint: str, protocol: str) -> Destination:
    """The experiment as a destination.

    Credentials do not count: when wrong ones are put right, what waits is delivered.
    """
    experiment = ("id", settings.experiment_id or DEFAULT_EXPERIMENT_ID)
    if settings.experiment_id is None and settings.experiment_name is not None:
        experiment = ("name", settings.experiment_name)
    workspace = () if settings.workspace is None else (("workspace", settings.workspace),)
    return destination_named(endpoint, protocol, (experiment, *workspace) if workspace else experiment)


class _Adapter(HTTPAdapter):
    """Adds to each request which experiment it is for and who asks, and checks the certificate as the settings say."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._server: Server | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        # In a forked child: see `otlp_sending.forget_connections`.
        super().__setstate__(state)
        if self._server is not None:
            self._server.forget_connections()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        if self._server is None:
            # Waits as long as the exporter does, not as long as a person who asks for a page.
            seconds = timeout if isinstance(timeout, int | float) else self._settings.timeout
            self._server = Server(dataclasses.replace(self._settings, timeout=seconds), connections=1)
        try:
            headers = self._server.otlp_headers()
        except ServerError as error:
            raise requests.exceptions.ConnectionError(str(error), request=request) from error
        for name in [name for name in request.headers if name.lower() not in _KEPT_HEADERS]:
            del request.headers[name]
        request.headers.update(headers)
        if self._settings.verify is not True:
            verify = self._settings.verify
        return super().send(request, stream, timeout, verify, self._settings.client_cert or cert, proxies)

    def close(self) -> None:
        super().close()
        if self._server is not None:
            self._server.close()
