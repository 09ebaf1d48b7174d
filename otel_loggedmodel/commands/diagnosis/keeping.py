# SPDX-License-Identifier: Apache-2.0
"""Whether all that was stored is still there: in the backend that took the span, else in the store of this machine."""

import os
from typing import Final

from otel_loggedmodel.commands import opening, options
from otel_loggedmodel.commands.diagnosis import arriving
from otel_loggedmodel.commands.diagnosis.endpoint import Endpoint
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome, Step, within
from otel_loggedmodel.store.reading import ReadingError

_NAME: Final = "store"
_SECONDS: Final = 2.0
_ADVICE: Final = (
    "Run `otel-loggedmodel store restore` with a backup to bring spans back; docs/backup-and-repair.md tells what else."
)


def look(endpoint: Endpoint | None, deadline: Deadline) -> Step | None:
    """What the store lost; None if it lost nothing, if there is no store, or if other steps tell why it is silent.

    Args:
        endpoint: Where spans go, if that is known.
        deadline: When to stop.
    """
    from otel_loggedmodel.store import default_directory, keeping

    url = os.environ.get(options.STORE_VARIABLE, "")
    token = opening.read_token(None)
    if endpoint is not None and opening.is_backend_running(arriving.address_of_api(endpoint)):
        url = arriving.address_of_api(endpoint)
        token = token or arriving.token_of(endpoint)
    elif url.startswith(("clickhouse://", "clickhouses://")):
        return None
    elif not url:
        if not default_directory().is_dir():
            return None
        url = str(default_directory())
    try:
        condition = within(deadline.at_most(_SECONDS), lambda: keeping.condition(url, token))
    except (ReadingError, TimeoutError):
        return None
    if not condition.warnings:
        return None
    return Step(
        name=_NAME,
        outcome=Outcome.WARNING,
        text=f"{condition.directory} is damaged",
        advice=_ADVICE,
        details=condition.warnings,
    )
