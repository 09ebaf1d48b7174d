# SPDX-License-Identifier: Apache-2.0
"""What nothing foresaw: it ends a command with an exit code of its own, and the traceback goes into a file.

1 and 2 mean something to a build. A defect must not look like a regression, nor like a wrong option.
"""

import os
import tempfile
import traceback
from datetime import datetime, timezone

from otel_loggedmodel.commands import exits, printing
from otel_loggedmodel.version import __version__


def tell(error: BaseException) -> int:
    """Say that a command failed and where the details are; the exit code."""
    lines = [
        f"otel-loggedmodel failed: {type(error).__name__}. This is a defect of otel-loggedmodel, not of your data."
    ]
    path = _written(error)
    if path is not None:
        lines.append(f"The details are in {path}: please report them.")
    printing.complain("\n".join(lines))
    return exits.DEFECT


def _written(error: BaseException) -> str | None:
    """The file that only its owner can read and that has the traceback; None where none can be written."""
    head = f"otel-loggedmodel {__version__}, {datetime.now(timezone.utc).isoformat(timespec='seconds')}\n"
    try:
        number, path = tempfile.mkstemp(prefix="otel-loggedmodel-", suffix=".log")
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(head + "".join(traceback.format_exception(error)))
    except OSError:
        return None
    return path
