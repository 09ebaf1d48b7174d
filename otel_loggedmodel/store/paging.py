# SPDX-License-Identifier: Apache-2.0
"""Every trace of a version, a page at a time, for scorers that judge stored traces."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Final

from otel_loggedmodel.store.reading import EVERYTHING, Reader, Selection, TraceFilter, UnknownTraceError
from otel_loggedmodel.store.trace_results import Trace, TraceSummary

PAGE: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def traces_to_score(
    reader: Reader, version: str | None = None, selection: Selection = EVERYTHING, *, page: int = PAGE
) -> Iterator[Trace]:
    """Traces with all their spans, newest first, each once; those that arrive meanwhile are left out.

    Args:
        reader: A reader of any store.
        version: Whose traces; None for those of every version.
        selection: Which of its traces.
        page: How many are asked for at once.

    Raises:
        UnknownVersionError: There is no such version.
        AmbiguousVersionError: Several ids begin or end so.
        StoreUnavailableError: The store cannot be asked any more.
    """
    given: set[str] = set()
    for summary in summaries(reader, version, selection, page=page):
        if summary.trace_id in given:
            continue
        given.add(summary.trace_id)
        try:
            yield reader.trace(summary.trace_id)
        except UnknownTraceError:
            # It was old, and was deleted since it was listed.
            continue


def summaries(
    reader: Reader, version: str | None = None, selection: Selection = EVERYTHING, *, page: int = PAGE
) -> Iterator[TraceSummary]:
    """Entry spans, newest first. Pages are cut by time: an offset would count again what arrives meanwhile.

    Args and errors are those of `traces_to_score`.
    """
    offset = 0
    while True:
        found = reader.traces(version, TraceFilter(limit=page, offset=offset), selection)
        yield from found
        if len(found) < page:
            return
        # A datetime has whole microseconds. So the next page begins with the rest of this page's last microsecond.
        last = found[-1].start_ns // 1000
        until = _EPOCH + timedelta(microseconds=last + 1)
        offset = sum(summary.start_ns // 1000 == last for summary in found) + (
            offset if until == selection.until else 0
        )
        selection = replace(selection, until=until)
