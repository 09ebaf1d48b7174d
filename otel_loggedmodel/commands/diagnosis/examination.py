# SPDX-License-Identifier: Apache-2.0
"""The steps in order, and when to stop."""

from collections.abc import Iterator
from typing import Final

from otel_loggedmodel.commands.diagnosis import (
    arriving,
    backends,
    keeping,
    log_records,
    reaching,
    sending,
    stating,
    surroundings,
    tracking,
)
from otel_loggedmodel.commands.diagnosis.endpoint import Endpoint, EndpointError, endpoint_of_environment
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome, Step
from otel_loggedmodel.presenting.texts import without_secrets

SECONDS: Final = 9.0  # ten with starting and ending


def examine(seconds: float = SECONDS) -> Iterator[Step]:
    """Look at everything from here to the backend.

    Yields each step when it is done. Steps that depend on a broken one are left out.

    Args:
        seconds: Seconds that all of it may take.
    """
    deadline = Deadline(seconds)
    yield surroundings.packages()
    yield from surroundings.variables()
    yield surroundings.active_version()
    yield surroundings.zero_code()
    yield from stating.doubled()
    if tracking.is_wanted():
        yield tracking.ask(deadline)
        if tracking.takes_spans():
            return
    store = _store(deadline)
    if store is not None:
        yield store
    try:
        endpoint = endpoint_of_environment()
    except EndpointError as error:
        yield Step(name="endpoint", outcome=Outcome.FAILED, text=str(error), advice=error.advice)
        return
    yield _described(endpoint)
    proxy = reaching.proxy_for(endpoint)
    if proxy is not None:
        text = f"the exporter goes through a proxy, {without_secrets(proxy)}"
        advice = f"Add {endpoint.host} to NO_PROXY if it should not."
        yield Step(name="proxy", outcome=Outcome.WARNING, text=text, advice=advice)
    else:
        for look in (reaching.resolve, reaching.connect, reaching.check_speech):
            step = look(endpoint, deadline)
            yield step
            if step.outcome is Outcome.FAILED:
                return
    span = sending.make_span()
    step = sending.ask(endpoint, span, deadline)
    yield step
    if step.outcome is Outcome.FAILED:
        return
    step = sending.export(span, deadline)
    yield step
    if proxy is None:
        yield backends.recognise(endpoint, deadline)
    logged = log_records.look(deadline)
    if logged is not None:
        yield logged
    if step.outcome is Outcome.OK:
        yield arriving.look_for(f"{span.context.trace_id:032x}", endpoint, deadline)


def _store(deadline: Deadline) -> Step | None:
    try:
        endpoint = endpoint_of_environment()
    except EndpointError:
        endpoint = None
    return keeping.look(endpoint, deadline)


def _described(endpoint: Endpoint) -> Step:
    source = endpoint.variable or "the default"
    text = f"{without_secrets(endpoint.url)} over {endpoint.protocol}, from {source}"
    if endpoint.has_port or endpoint.is_tls:
        return Step(name="endpoint", outcome=Outcome.OK, text=text)
    advice = f"It names no port, so it is {endpoint.port}; OTLP's is {4317 if endpoint.is_grpc else 4318}."
    return Step(name="endpoint", outcome=Outcome.WARNING, text=text, advice=advice)
