# SPDX-License-Identifier: Apache-2.0
"""Notices an application that makes a version for each request: its lists are long, and its comparisons empty."""

from collections.abc import Sequence
from typing import Final, TypedDict

from otel_loggedmodel.store.version_results import Version

_FEWEST: Final = 20
_SHARE: Final = 0.9
HINT: Final = (
    "Nearly all of these versions have a single trace: is a version made for each request? A version is a build of the"
    " application, with the same params for all its requests. What differs from request to request belongs in"
    " attributes of spans."
)


def hint(traces: Sequence[int | None]) -> str | None:
    """What to say of versions that are listed together; None where nothing is odd.

    Args:
        traces: How many each has; None where that is not known.
    """
    known = [count for count in traces if count]
    if len(known) < _FEWEST or sum(count == 1 for count in known) < _SHARE * len(known):
        return None
    return HINT


class Listed(TypedDict):
    """A list of versions as programs get it.

    Attributes:
        versions: The versions.
        notes: What to say of them, a sentence or two each.
    """

    versions: Sequence[Version]
    notes: Sequence[str]


def with_notes(versions: Sequence[Version]) -> Listed:
    """A list of versions with the hint, where there is one."""
    told = hint([version.traces for version in versions])
    return {"versions": versions, "notes": [] if told is None else [told]}
