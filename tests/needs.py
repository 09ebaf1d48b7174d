# SPDX-License-Identifier: Apache-2.0
"""Skipping tests for want of something, in words from which the end of a run makes one line."""

import os
import re
from typing import Final, NoReturn

import pytest

_REASON: Final = re.compile(r"(?:Skipped: )?needs (.+): (.+)")


def do_without(what: str, command: str, *, required_by: str | None = None) -> NoReturn:
    """Skip this test.

    Args:
        what: What is missing, for "needs ...".
        command: What brings it.
        required_by: An environment variable that makes a failure of it where it is set: then it should be there.
    """
    reason = f"needs {what}: {command}"
    if required_by is not None and os.environ.get(required_by):
        pytest.fail(f"{required_by} is set, but this {reason}")
    pytest.skip(reason)


def needed(reason: str) -> tuple[str, str] | None:
    """What is missing and what brings it, of the reason for a skip; None for any other reason."""
    found = _REASON.fullmatch(reason)
    return None if found is None else (found[1], found[2])
