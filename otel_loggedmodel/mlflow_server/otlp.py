# SPDX-License-Identifier: Apache-2.0
"""Spans to the tracking server: the stock OTLP exporter over HTTP, with what this server wants beside it.

The server wants the id of an experiment with every request. Where only the name of one is known, the server has to be
asked for the id. It may be away when the exporter is made, so it is asked at the first request, and that request fails
as one does that finds nobody, as long as the server does not say.
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

# The exporter adds those of OTEL_EXPORTER_OTLP_HEADERS, and requests what ~/.netrc has, which are for somebody else.
_KEPT_HEADERS: Final = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type"),
        *("transfer-encoding", "user-agent"),
    }
)


def span_exporter(settings: Settings) -> OTLPSpanExporter:
    """What exports spans to the server. Nothing is asked before the first of them."""
    session = requests.Session()
    adapter = _Adapter(settings)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    endpoint = f"{settings.uri}/v1/traces"
    exporter = OTLPSpanExporter(endpoint=endpoint, session=session)
    vars(exporter)["destination"] = destination_in(settings, endpoint, "http/protobuf")
    return exporter


def destination_in(settings: Settings, endpoint: str, protocol: str) -> Destination:
    """The experiment as a destination. Whoever asks: what waits is delivered when wrong credentials are made right."""
    experiment = ("id", settings.experiment_id or DEFAULT_EXPERIMENT_ID)
    if settings.experiment_id is None and settings.experiment_name is not None:
        experiment = ("name", settings.experiment_name)
    return destination_named(endpoint, protocol, experiment)


class _Adapter(HTTPAdapter):
    """Says with each request which experiment it is for and who asks, and checks the certificate as it is to be."""

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
            # As long as the exporter itself waits, and not as long as somebody who asks for a page does.
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
