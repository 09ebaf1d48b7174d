# SPDX-License-Identifier: Apache-2.0
"""Answers that are remembered, so that looking at a page again, or at one that is open, costs next to nothing.

An answer is good until something is stored. If spans arrive all the time, that is no time at all. So an answer is also
good for ten times as long as it took. A small store is thus shown as it is. A huge one is shown with a little delay,
and is not read all the time for every page that somebody has left open. After that time, a question that takes long
still gets its old answer at once, and is asked again in the background. A page that is open then fetches the new one.
So does a question for what is beside the point of a page, as the names of versions that the old answer has.
"""

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from otel_loggedmodel._latest import Latest
from otel_loggedmodel.store.chart_results import Activities, Behaviour, Deployment
from otel_loggedmodel.store.reading import (
    ALL_RUNS,
    ALL_VERSIONS,
    EVERYTHING,
    MOST_CHANGED,
    RECENT,
    Reader,
    RowFilter,
    RunFilter,
    Selection,
    TraceFilter,
    VersionFilter,
    Versions,
)
from otel_loggedmodel.store.results import Comparison, Dataset
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.trace_results import Facets, Trace, TraceSummary
from otel_loggedmodel.store.version_results import Version, VersionDetail

T = TypeVar("T")

_MOST_ANSWERS: Final = 128
# At most a tenth of the time is spent on one question, however often it is asked.
_GOOD_FOR_TIMES: Final = 10.0
_GOOD_FOR_MOST_SECONDS: Final = 300.0
# A question that takes longer than this is asked again in the background, if its answer is not older than that.
_LONG_SECONDS: Final = 0.5
_OLDEST_SECONDS: Final = 900.0


def _never(answer: object) -> bool:
    """No old answer is enough."""
    return False


@dataclass
class _Answer:
    """What is remembered of a question; whoever asks it holds the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    revision: str | None = None
    value: object = None
    asked_at: float = 0.0
    took: float = 0.0

    def is_good(self, revision: str, now: float, written_at: float) -> bool:
        """Whether it need not be asked again."""
        lasts = min(_GOOD_FOR_TIMES * self.took, _GOOD_FOR_MOST_SECONDS)
        is_recent = self.asked_at >= written_at and now < self.asked_at + self.took + lasts
        return self.revision == revision or (self.revision is not None and is_recent)

    def is_recent(self, now: float, written_at: float) -> bool:
        """Whether it may be shown where it is beside the point."""
        return self.asked_at >= written_at and now < self.asked_at + _OLDEST_SECONDS

    def is_usable(self, now: float) -> bool:
        """Whether it is better than waiting."""
        return self.revision is not None and self.took > _LONG_SECONDS and now < self.asked_at + _OLDEST_SECONDS

    def renew(self, revision: str, ask: Callable[[], object]) -> None:
        """Ask; the caller holds the lock."""
        began = time.monotonic()
        self.value = ask()
        self.took = time.monotonic() - began
        self.asked_at = began
        self.revision = revision


class Memory:
    """What was answered lately, for all pages.

    Args:
        reader: Who answers.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._answers: Latest[str, _Answer] = Latest(_MOST_ANSWERS)
        self._lock = threading.Lock()
        self._written_at = -math.inf
        # One for all, so that what is asked in the background leaves room for what is waited for.
        self._background = ThreadPoolExecutor(1, thread_name_prefix="otel-loggedmodel pages")

    def was_written(self) -> None:
        """Somebody has said something on a page, and wants to see it: no answer from before is good any more."""
        self._written_at = time.monotonic()

    def close(self) -> None:
        """Wait for what is being asked in the background."""
        self._background.shutdown(cancel_futures=True)

    def answer(
        self, question: str, revision: str, ask: Callable[[], T], is_enough: Callable[[T], bool] = _never
    ) -> tuple[str, T]:
        """The revision that an answer is of, and the answer.

        Args:
            question: The question.
            revision: The store's revision now.
            ask: Asks it. While one asks, others who have the same question wait for the answer.
            is_enough: Whether an answer that may be old is shown at once, until the new one is there.
        """
        with self._lock:
            known = self._answers[question] = self._answers.get(question) or _Answer()
        before = known.revision, known.value
        now = time.monotonic()
        if before[0] is not None and (
            known.is_usable(now) or (known.is_recent(now, self._written_at) and is_enough(cast(T, before[1])))
        ):
            if not known.is_good(revision, now, self._written_at) and not known.lock.locked():
                self._background.submit(self._renewed, known, revision, ask)
            return before[0], cast(T, before[1])
        return self._renewed(known, revision, ask)

    def _renewed(self, known: _Answer, revision: str, ask: Callable[[], T]) -> tuple[str, T]:
        with known.lock:
            if not known.is_good(revision, time.monotonic(), self._written_at):
                known.renew(revision, ask)
            return known.revision or revision, cast(T, known.value)


class Remembering:
    """A `Reader` for one page, with the memory of all.

    Args:
        memory: What was answered lately.

    Attributes:
        shown: The revision of the store that the answers so far are of. If any of them is older, an older revision.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._reader = memory.reader.at_once()
        self._now = self._reader.revision()
        self.shown = self._now

    def versions(self, which: VersionFilter = ALL_VERSIONS, selection: Selection = EVERYTHING) -> list[Version]:
        """See `Reader.versions`."""
        return self._ask(lambda: self._reader.versions(which, selection), "versions", which, selection)

    def versions_with(self, which: VersionFilter, model_ids: Collection[str]) -> list[Version]:
        """The same, perhaps as they were a while ago, if these are among them."""
        wanted = frozenset(model_ids)
        return self._ask(
            lambda: self._reader.versions(which),
            *("versions", which, EVERYTHING),
            is_enough=lambda found: wanted <= {version.model_id for version in found},
        )

    def version(self, version: str, selection: Selection = EVERYTHING) -> VersionDetail:
        """See `Reader.version`."""
        return self._ask(lambda: self._reader.version(version, selection), "version", version, selection)

    def compare(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Comparison:
        """See `Reader.compare`."""
        return self._ask(lambda: self._reader.compare(versions, selection), "compare", versions, selection)

    def rows(
        self, versions: Sequence[str], which: RowFilter = MOST_CHANGED, selection: Selection = EVERYTHING
    ) -> list[RowChange]:
        """See `Reader.rows`."""
        return self._ask(lambda: self._reader.rows(versions, which, selection), "rows", versions, which, selection)

    def activities(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Activities:
        """See `Reader.activities`."""
        return self._ask(lambda: self._reader.activities(versions, selection), "activities", versions, selection)

    def behaviour(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Behaviour:
        """See `Reader.behaviour`."""
        return self._ask(lambda: self._reader.behaviour(versions, selection), "behaviour", versions, selection)

    def runs(self, which: RunFilter = ALL_RUNS) -> list[Run]:
        """See `Reader.runs`."""
        return self._ask(lambda: self._reader.runs(which), "runs", which)

    def run(self, run: str) -> list[Run]:
        """See `Reader.run`."""
        return self._ask(lambda: self._reader.run(run), "run", run)

    def datasets(self) -> list[Dataset]:
        """See `Reader.datasets`; perhaps as they were a while ago, as pages only offer them to choose from."""
        return self._ask(self._reader.datasets, "datasets", is_enough=lambda found: True)

    def deployments(self) -> list[Deployment]:
        """See `Reader.deployments`."""
        return self._ask(self._reader.deployments, "deployments")

    def traces(
        self, version: Versions = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> list[TraceSummary]:
        """See `Reader.traces`."""
        return self._ask(lambda: self._reader.traces(version, which, selection), "traces", version, which, selection)

    def lists(
        self, version: str | None, kinds: Sequence[TraceFilter], selection: Selection = EVERYTHING
    ) -> list[list[TraceSummary]]:
        """See `Reader.lists`."""
        return self._ask(lambda: self._reader.lists(version, kinds, selection), "lists", version, kinds, selection)

    def facets(
        self, version: Versions = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> Facets:
        """See `Reader.facets`."""
        return self._ask(lambda: self._reader.facets(version, which, selection), "facets", version, which, selection)

    def trace(self, trace_id: str, most: int | None = None) -> Trace:
        """See `Reader.trace`; it is quick, and large, so that it is not remembered."""
        return self._reader.trace(trace_id, most)

    def at_once(self) -> "Remembering":
        """Itself."""
        return self

    def revision(self) -> str:
        """See `Reader.revision`."""
        return self._now

    def close(self) -> None:
        """Nothing: the reader is another's."""

    def _ask(self, ask: Callable[[], T], *question: Any, is_enough: Callable[[T], bool] = _never) -> T:
        revision, answer = self._memory.answer(repr(question), self._now, ask, is_enough)
        if revision != self._now:
            self.shown = revision
        return answer
