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

from otel_loggedmodel.otlp_sending import Destination, destination_named
from otel_loggedmodel.tracking_server.rest import DEFAULT_EXPERIMENT_ID, Server, ServerError
from otel_loggedmodel.tracking_server.settings import Settings

EXPERIMENT_HEADER: Final = "x-mlflow-experiment-id"


def span_exporter(settings: Settings) -> OTLPSpanExporter:
    """What exports spans to the server. Nothing is asked before the first of them."""
    session = requests.Session()
    adapter = _Adapter(settings)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    # Never without any, or the exporter takes those of OTEL_EXPORTER_OTLP_HEADERS, which are for somebody else.
    headers = {EXPERIMENT_HEADER: settings.experiment_id or DEFAULT_EXPERIMENT_ID, **settings.authorization()}
    endpoint = f"{settings.uri}/v1/traces"
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=headers, session=session)
    vars(exporter)["destination"] = destination_in(settings, endpoint, "http/protobuf")
    return exporter


def destination_in(settings: Settings, endpoint: str, protocol: str) -> Destination:
    """The experiment as a destination. Whoever asks: what waits is delivered when wrong credentials are made right."""
    experiment = ("id", settings.experiment_id or DEFAULT_EXPERIMENT_ID)
    if settings.experiment_id is None and settings.experiment_name is not None:
        experiment = ("name", settings.experiment_name)
    return destination_named(endpoint, protocol, experiment)


class _Adapter(HTTPAdapter):
    """Adds the experiment to each request, and has the server's certificate checked as the settings say."""

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
            request.headers[EXPERIMENT_HEADER] = self._server.experiment_id
        except ServerError as error:
            raise requests.exceptions.ConnectionError(str(error), request=request) from error
        if self._settings.verify is not True:
            verify = self._settings.verify
        return super().send(request, stream, timeout, verify, self._settings.client_cert or cert, proxies)

    def close(self) -> None:
        super().close()
        if self._server is not None:
            self._server.close()
