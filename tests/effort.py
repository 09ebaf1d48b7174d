# SPDX-License-Identifier: Apache-2.0
"""How much is tested, by the variable OTEL_LOGGEDMODEL_TESTS.

`quick`, the default: what has no natural end (kills, random moments, generated inputs, simulated days) is repeated a
few times. `full`, for .ci/run: it is repeated as often as it takes to find what is rare, and so many times as often as
OTEL_LOGGEDMODEL_TESTS_TIMES says, for whom that is not enough. `library`, for other Pythons
and the oldest OpenTelemetry: as quick, and without what does not depend on these; tests/conftest.py has what that is.
"""

import os
from collections.abc import Sequence
from typing import Final, TypeVar

import pytest

Item = TypeVar("Item")

_ASKED_FOR: Final = os.environ.get("OTEL_LOGGEDMODEL_TESTS", "quick")
if _ASKED_FOR not in ("quick", "full", "library"):
    raise ValueError(f"OTEL_LOGGEDMODEL_TESTS={_ASKED_FOR}: it is quick (the default), full or library")
IS_FULL: Final = _ASKED_FOR == "full"
_AS_OFTEN: Final = int(os.environ.get("OTEL_LOGGEDMODEL_TESTS_TIMES", "1"))
# Only what can differ with the Python and the OpenTelemetry that it runs on.
IS_LIBRARY_ALONE: Final = _ASKED_FOR == "library"


# For what takes seconds and looks for what is rare.
only_in_full: Final = pytest.mark.skipif(not IS_FULL, reason="needs a full run: OTEL_LOGGEDMODEL_TESTS=full make test")


def times(full: int, quick: int) -> int:
    """One of the two, as the run was asked for."""
    return full * _AS_OFTEN if IS_FULL else quick


def some(full: Sequence[Item], quick: int = 1) -> Sequence[Item]:
    """All of these in a full run, and the first few of them otherwise.

    Args:
        full: Kinds that go the same way through what is tested; those that differ most from one another come first.
        quick: How many of them are enough while somebody waits.
    """
    return full if IS_FULL else full[:quick]
