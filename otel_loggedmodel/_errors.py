# SPDX-License-Identifier: Apache-2.0
"""What happens when this library itself fails inside somebody's application: it is logged, and the application goes on.

A defect that fires on every span must not flood the log either, so each kind of failure is logged once a minute. The
tests switch `raise_internal_errors` on, so that a defect which production would swallow fails a test.
"""

import logging
import threading
import time

_logger = logging.getLogger("otel_loggedmodel")
_SECONDS_BETWEEN_REPORTS = 60.0

raise_internal_errors = False
_last_report: dict[str, float] = {}


def swallow(doing: str) -> None:
    """Log the exception being handled, at most once a minute for each `doing`; to be called in an except block."""
    if raise_internal_errors:
        raise  # noqa: PLE0704 - called from an except block by contract
    if _due(doing):
        _logger.exception("otel_loggedmodel failed while %s; the application is not affected", doing)


def warn_rarely(kind: str, message: str, *arguments: object) -> None:
    """Log a warning, at most once a minute for each `kind`."""
    if _due(kind):
        _logger.warning(message, *arguments)


_warned: set[str] = set()
_warned_lock = threading.Lock()


def warn_once(kind: str, message: str, *arguments: object) -> None:
    """Log a warning, once for each `kind` in a process."""
    with _warned_lock:
        if kind in _warned:
            return
        _warned.add(kind)
    _logger.warning(message, *arguments)


def _due(kind: str) -> bool:
    now = time.monotonic()
    last = _last_report.get(kind)
    if last is not None and now - last < _SECONDS_BETWEEN_REPORTS:
        return False
    _last_report[kind] = now
    return True
