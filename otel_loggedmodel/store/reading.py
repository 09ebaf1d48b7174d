# SPDX-License-Identifier: Apache-2.0
"""The questions that a store of traces answers, wherever it is.

`Reader` is the seam between those who ask (command line, gate, server) and those who answer: `store.queries` on
ClickHouse, embedded or remote, and `store.remote` on a running backend. A question that cannot be answered raises a
`ReadingError`, whose text says what to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Final, Protocol, TypeAlias

from otel_loggedmodel.store.chart_results import Activities, Behaviour, Deployment
from otel_loggedmodel.store.results import Comparison, Dataset
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.trace_results import Facets, Trace, TraceSummary
from otel_loggedmodel.store.version_results import Version, VersionDetail


class ReadingError(Exception):
    """A question cannot be answered; the text says why and what to do."""


class UnknownVersionError(ReadingError):
    """No version has this id, beginning or end of an id, or name.

    Attributes:
        suggestions: Ids and names that are close to it.
    """

    def __init__(self, text: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.suggestions = tuple(suggestions)


class AmbiguousVersionError(ReadingError):
    """Several versions have ids that begin or end so."""


class UnknownRunError(ReadingError):
    """No run has this id, beginning of an id or name."""


class UnknownTraceError(ReadingError):
    """No span of this trace is stored."""


class StoreUnavailableError(ReadingError):
    """The store cannot be reached, is locked, full, or of a newer schema."""


# Nanoseconds since 1970 end in April 2262, and questions look for spans a little before and after what was asked for.
EARLIEST = datetime(1970, 1, 2, tzinfo=timezone.utc)
LATEST = datetime(2262, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which traces count; by default all.

    A time before `EARLIEST` or after `LATEST` is taken for these: no span that a store can hold lies beyond them.

    Attributes:
        since: Entry spans that began then or later; aware.
        until: Entry spans that began before; aware.
        service: `service.name` of the entry span.
        attributes: What the entry span, or else its resource, has to have.
        dataset: Digest or name of the data set that was evaluated. Only scores on this data set count then.
        production: Leave out what was evaluated on data sets.
        prompt: Traces that use this prompt; with its version after a line feed, this version of it.
        agent: Traces in which this agent takes part.
        by: Which traces are one unit where versions are compared: those of one session (`session`), each by itself
            (`trace`), or those with one value of an attribute of this name. By default those of one conversation.
        runs: If a version was evaluated on a data set several times, whose scores count: those of the `latest` whole
            run, or of `all`.
        failed_rows: Whether rows of a data set that failed are left out of scores (`skip`), or count as 0 (`zero`).
        pass_at: The `k` of pass@k, which scores are then that pass or fail, over all runs; None for the rate of passes.
    """

    since: datetime | None = None
    until: datetime | None = None
    service: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    dataset: str | None = None
    production: bool = False
    prompt: str | None = None
    agent: str | None = None
    by: str | None = None
    runs: str = "latest"
    failed_rows: str = "skip"
    pass_at: int | None = None

    @property
    def of_traces(self) -> "Selection":
        """The same without what says how they are compared."""
        return replace(self, by=None, runs="latest", failed_rows="skip", pass_at=None)

    @property
    def pools_runs(self) -> bool:
        """Whether all runs of a data set count together."""
        return self.runs == "all" or self.pass_at is not None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            time = getattr(self, name)
            if time is not None and time.tzinfo is not None and not EARLIEST <= time <= LATEST:
                object.__setattr__(self, name, EARLIEST if time < EARLIEST else LATEST)


EVERYTHING = Selection()
MOST_TRIES = 1000
BY_SESSION = "session"
BY_TRACE = "trace"


@dataclass(frozen=True, kw_only=True)
class VersionFilter:
    """Which versions to list; by default all that are not deleted.

    Attributes:
        name: Of this name.
        tags: That have these tags.
        params: That have these params.
        deleted: Deleted ones too.
        limit: At most so many, newest first.
        counted: With traces, errors and latency. These take longest, and may be left out where they are not needed.
    """

    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    deleted: bool = False
    limit: int = 100
    counted: bool = True


ALL_VERSIONS = VersionFilter()


@dataclass(frozen=True, kw_only=True)
class TraceFilter:
    """Which traces to list, and in what order.

    Attributes:
        errors_only: Failed ones.
        text: In which any span has this text in its name, an attribute, an event or its status; upper or lower case.
        model: In which this model was called.
        error_type: That failed with this type of error, as `Behaviour` has it; if none did, in which any span did.
        route: Of this route, or if there is no such route, whose entry span has this name.
        conversation: That are turns of this conversation.
        score: Whose score is within a bound: `correct<0.5`, `correct>=0.5`, `correct=1`.
        order: `newest`, `slowest`, `costliest`, or `worst` (by the mean of their scores).
        limit: At most so many.
        offset: Leave out so many.
    """

    errors_only: bool = False
    text: str | None = None
    model: str | None = None
    error_type: str | None = None
    route: str | None = None
    conversation: str | None = None
    score: str | None = None
    order: str = "newest"
    limit: int = 20
    offset: int = 0


FOUND_BY = ("text", "model", "error_type", "route", "conversation", "score")
"""What traces are found by: names of fields of `TraceFilter`, parameters of addresses and options of commands."""

RECENT = TraceFilter()


@dataclass(frozen=True, kw_only=True)
class RowFilter:
    """Which rows of data sets to list; by default those that changed most under each evaluation.

    Attributes:
        score: Under this evaluation only, by its name.
        limit: At most so many of each version and evaluation.
        change: `higher` or `lower` if only rows whose value is that are wanted.
        with_others: Whether how these rows changed under the other evaluations is told, too.
    """

    score: str | None = None
    limit: int = 10
    change: str | None = None
    with_others: bool = False


ROW_CHANGES: Final = ("higher", "lower")
MOST_CHANGED = RowFilter()


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which evaluation runs to list; by default all.

    Attributes:
        version: Of this version, by its id, the beginning of it, or its name.
        dataset: Of this data set, by name or digest.
        limit: At most so many, the newest first.
    """

    version: str | None = None
    dataset: str | None = None
    limit: int = 50


ALL_RUNS = RunFilter()


Versions: TypeAlias = str | Sequence[str] | None
"""The version whose traces are meant, or several; by default all versions."""


class Reader(Protocol):
    """Answers about versions and traces; safe to use from several threads.

    A version is named by its id, by the beginning or the end of its id if no other id has that, or by its name.
    """

    def versions(self, which: VersionFilter = ALL_VERSIONS, selection: Selection = EVERYTHING) -> list[Version]:
        """The versions, the one used or made last first. Those that only spans tell of are among them."""
        ...

    def version(self, version: str, selection: Selection = EVERYTHING) -> VersionDetail:
        """One version.

        Raises:
            UnknownVersionError: There is no such version.
            AmbiguousVersionError: Several ids begin or end so.
        """
        ...

    def compare(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Comparison:
        """Versions side by side, against the first.

        Raises:
            UnknownVersionError: No version has one of these names.
            AmbiguousVersionError: Several ids begin or end so.
        """
        ...

    def rows(
        self, versions: Sequence[str], which: RowFilter = MOST_CHANGED, selection: Selection = EVERYTHING
    ) -> list[RowChange]:
        """The rows of data sets on which versions differ from the first, as far as `compare` compares them.

        Raises:
            UnknownVersionError: No version has one of these names.
            AmbiguousVersionError: Several ids begin or end so.
            ReadingError: There is no such evaluation, or fewer than two versions.
        """
        ...

    def traces(
        self, version: Versions = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> list[TraceSummary]:
        """Traces of a version, of several, or of every version.

        Raises:
            UnknownVersionError: There is no such version.
            AmbiguousVersionError: Several ids begin or end so.
        """
        ...

    def lists(
        self, version: str | None, kinds: Sequence[TraceFilter], selection: Selection = EVERYTHING
    ) -> list[list[TraceSummary]]:
        """Several lists of traces of a version, as `traces` gives each; it costs less than to ask for them in turn."""
        ...

    def facets(
        self, version: Versions = None, which: TraceFilter = RECENT, selection: Selection = EVERYTHING
    ) -> Facets:
        """What the traces that a filter finds have, with how many have it; order and limit do not matter.

        Raises:
            UnknownVersionError: There is no such version.
            AmbiguousVersionError: Several ids begin or end so.
        """
        ...

    def activities(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Activities:
        """How versions did over time, in a few dozen parts of it that are the same for all of them.

        Raises:
            UnknownVersionError: No version has one of these names.
            AmbiguousVersionError: Several ids begin or end so.
        """
        ...

    def behaviour(self, versions: Sequence[str], selection: Selection = EVERYTHING) -> Behaviour:
        """What is behind the numbers of versions: how latencies are distributed, errors, what takes the time.

        Raises:
            UnknownVersionError: No version has one of these names.
            AmbiguousVersionError: Several ids begin or end so.
        """
        ...

    def runs(self, which: RunFilter = ALL_RUNS) -> list[Run]:
        """Evaluation runs, the newest first.

        Raises:
            UnknownVersionError: There is no such version.
            AmbiguousVersionError: It is the prefix of several ids.
        """
        ...

    def run(self, run: str) -> list[Run]:
        """One run, as one entry for each version and data set that it evaluated.

        Args:
            run: Its id, the beginning of it, or its name: the newest of that name.

        Raises:
            UnknownRunError: There is no such run.
            ReadingError: It is the beginning of several ids.
        """
        ...

    def datasets(self) -> list[Dataset]:
        """The data sets of which there are results of evaluations, those that were used last first."""
        ...

    def deployments(self) -> list[Deployment]:
        """Which versions the services that still send run now, by service; the newest of each first."""
        ...

    def trace(self, trace_id: str, most: int | None = None) -> Trace:
        """One trace.

        Args:
            trace_id: 32 hex digits.
            most: At most so many spans, the earliest; by default as many as a store gives at once.

        Raises:
            UnknownTraceError: Nothing of it is stored.
        """
        ...

    def at_once(self) -> "Reader":
        """The same reader for questions that belong together, as those of a page: what they share is asked once.

        It is for as long as a page takes, as it answers from what it has asked. It need not be closed.
        """
        ...

    def revision(self) -> str:
        """A text that changes when spans are stored or deleted; it is cheap to ask for."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...
