# SPDX-License-Identifier: Apache-2.0
"""Whether log records go anywhere: newer instrumentations send scores and messages as log records."""

import importlib.metadata
import os
from typing import Final

from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome, Step, within
from otel_loggedmodel.commands.diagnosis.surroundings import captured_warnings
from otel_loggedmodel.presenting.texts import without_secrets

_NAME: Final = "log records"
_SECONDS: Final = 2.0
_EXPORTERS: Final = frozenset({"otlp", "otlp_proto_http", "otlp_proto_grpc", "loggedmodel"})


def look(deadline: Deadline) -> Step | None:
    """Whether what takes spans takes log records; None where nothing says that any are sent.

    An empty request is sent, which is a valid one.
    """
    said = os.environ.get("OTEL_LOGS_EXPORTER", "").strip()
    if not said and not _has_distro():
        return None
    if said and not _EXPORTERS & {part.strip() for part in said.split(",")}:
        text = f"OTEL_LOGS_EXPORTER is {said!r}: scores and messages that are log records are not sent"
        return Step(name=_NAME, outcome=Outcome.OK, text=text)
    from otel_loggedmodel.delivery.destinations import destination_of
    from otel_loggedmodel.delivery.otlp_answers import Outcome as Answered
    from otel_loggedmodel.delivery.otlp_answers import Verdict
    from otel_loggedmodel.delivery.otlp_sending import sender_of
    from otel_loggedmodel.delivery.signals import log_records
    from otel_loggedmodel.log_exporter import otlp_log_exporter_from_environment

    with captured_warnings("opentelemetry") as complaints:
        try:
            exporter = otlp_log_exporter_from_environment()
        except Exception as error:
            text = f"their exporter cannot be made: {type(error).__name__}: {error}"
            return Step(name=_NAME, outcome=Outcome.WARNING, text=text, details=complaints)
        destination = destination_of(exporter)
        address = "the backend" if destination is None else without_secrets(destination.endpoint)
        try:
            answer = within(deadline.at_most(_SECONDS), lambda: sender_of(exporter, log_records()).send(b""))
        except TimeoutError as error:
            answer = Answered(Verdict.LATER, str(error))
        exporter.shutdown()
    if answer.verdict is Verdict.DELIVERED:
        return Step(name=_NAME, outcome=Outcome.OK, text=f"{address} takes them", details=complaints)
    return Step(
        name=_NAME,
        outcome=Outcome.WARNING,
        text=f"{address} does not take them ({answer.words})",
        advice="OTEL_LOGS_EXPORTER=none switches them off; scores and messages that are log records are lost, then.",
        details=complaints,
    )


def _has_distro() -> bool:
    """Whether the distribution is there that exports log records unless told otherwise."""
    try:
        importlib.metadata.version("opentelemetry-distro")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
