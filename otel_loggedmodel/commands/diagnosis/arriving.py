# SPDX-License-Identifier: Apache-2.0
"""Whether the backend kept the span, if it is one of ours and can be asked."""

import os
import time
from typing import Final

from otel_loggedmodel.commands import opening, options
from otel_loggedmodel.commands.diagnosis.endpoint import Endpoint
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome, Step, within
from otel_loggedmodel.presenting import misuse
from otel_loggedmodel.store.reading import ReadingError, UnknownTraceError, VersionFilter

_SECONDS: Final = 4.0
_SECONDS_BETWEEN: Final = 0.2
_HTTP_PORT: Final = 4318
_NEWEST: Final = 50


def look_for(trace_id: str, endpoint: Endpoint, deadline: Deadline) -> Step:
    """Ask the backend for a trace until it is there."""
    name = "stored"
    address = address_of_api(endpoint)
    if not opening.is_backend_running(address):
        text = f"no otel-loggedmodel backend at {address} can be asked: look for the trace {trace_id} where spans go"
        return Step(name=name, outcome=Outcome.SKIPPED, text=text)
    seconds = deadline.at_most(_SECONDS)
    try:
        is_there = within(seconds + 0.5, lambda: _is_there(address, trace_id, endpoint, Deadline(seconds)))
    except (ReadingError, TimeoutError) as error:
        return Step(name=name, outcome=Outcome.FAILED, text=f"{address} does not say: {error}")
    if is_there:
        told = _misuse(address, endpoint, deadline)
        text = f"{address} has the trace {trace_id}"
        if told is not None:
            return Step(name=name, outcome=Outcome.WARNING, text=text, advice=told)
        return Step(name=name, outcome=Outcome.OK, text=text)
    text = f"{address} took the span, and did not show the trace {trace_id} within {seconds:.0f} s"
    # Over gRPC it is only likely that the spans go to this backend.
    outcome = Outcome.WARNING if endpoint.is_grpc else Outcome.FAILED
    return Step(name=name, outcome=outcome, text=text, advice="Look at the log of the backend.")


def _misuse(address: str, endpoint: Endpoint, deadline: Deadline) -> str | None:
    """What is odd about the newest versions, if anything, and as far as there is time to look."""
    reader = opening.reader_at(address, opening.read_token(None) or token_of(endpoint))
    try:
        versions = within(deadline.at_most(_SECONDS), lambda: reader.versions(VersionFilter(limit=_NEWEST)))
    except (ReadingError, TimeoutError):
        return None
    finally:
        reader.close()
    return misuse.hint([version.traces for version in versions])


def address_of_api(endpoint: Endpoint) -> str:
    """Where the JSON API of the backend at an endpoint is. For HTTP it is at the same port."""
    named = os.environ.get(options.STORE_VARIABLE, "")
    if endpoint.is_grpc and named.startswith(("http://", "https://")):
        return named
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    port = _HTTP_PORT if endpoint.is_grpc else endpoint.port
    return f"{'https' if endpoint.is_tls else 'http'}://{host}:{port}"


def _is_there(address: str, trace_id: str, endpoint: Endpoint, deadline: Deadline) -> bool:
    reader = opening.reader_at(address, opening.read_token(None) or token_of(endpoint))
    try:
        while True:
            try:
                reader.trace(trace_id)
            except UnknownTraceError:
                if deadline.seconds_left < _SECONDS_BETWEEN:
                    return False
                time.sleep(_SECONDS_BETWEEN)
            else:
                return True
    finally:
        reader.close()


def token_of(endpoint: Endpoint) -> str | None:
    """The token that goes along with spans, if any."""
    kind, _, token = endpoint.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None
