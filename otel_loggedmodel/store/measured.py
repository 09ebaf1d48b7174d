# SPDX-License-Identifier: Apache-2.0
"""Remembers what was measured of versions, so that lists and trends measure only those that have new spans.

A version's stamp is a sum over its rows in the table of what was seen. It changes with every insert of a span that
counts for the version, and when a day of it is deleted. What is measured of a version follows from these spans alone,
if no id stands for it and its traces are not parts of others. So it holds as long as the stamp does.
"""

import threading
import time
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, Final, TypeVar

from otel_loggedmodel._latest import Latest
from otel_loggedmodel.store import seen_table

T = TypeVar("T")

STAMP: Final = f"sum({seen_table.WEIGHT})"
"""The stamp of a version, as SQL over its rows in the table of what was seen."""
_MOST: Final = 4000
# Spans that somebody deletes by hand in the middle of a day do not change the stamp.
_GOOD_FOR_SECONDS: Final = 600.0


class Measured:
    """What was measured of versions. Safe to use from several threads.

    Args:
        most: Of how many things it is remembered.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._known: Latest[tuple[str, Hashable], tuple[Hashable, float, Any]] = Latest(most)
        self._lock = threading.Lock()
        self._most = most

    def of(
        self, stamps: Mapping[str, Hashable], what: Hashable, measure: Callable[[Collection[str]], Mapping[str, T]]
    ) -> dict[str, T]:
        """What is measured of versions; those of which nothing is found are left out.

        Args:
            stamps: The stamps of the versions, read before anything is measured, by their ids.
            what: What is measured.
            measure: Measures the versions of which it is not known. It is not called if there are none.
        """
        now = time.monotonic()
        found: dict[str, T] = {}
        missing: list[str] = []
        with self._lock:
            for model_id, stamp in stamps.items():
                known = self._known.get((model_id, what))
                if known is None or known[0] != stamp or now - known[1] > _GOOD_FOR_SECONDS:
                    missing.append(model_id)
                elif known[2] is not None:
                    found[model_id] = known[2]
        if missing:
            measured = measure(missing)
            found.update(measured)
            # What is more than there is room for would only push out itself.
            if len(missing) <= self._most:
                with self._lock:
                    for model_id in missing:
                        self._known[model_id, what] = (stamps[model_id], now, measured.get(model_id))
        return found
