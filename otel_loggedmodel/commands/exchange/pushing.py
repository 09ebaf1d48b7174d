# SPDX-License-Identifier: Apache-2.0
"""Tells a server the versions of a store, which traces belong to them, and their scores."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from otel_loggedmodel._checking import has_id_shape
from otel_loggedmodel.commands.exchange import far_traces
from otel_loggedmodel.commands.exchange.asking import Asked
from otel_loggedmodel.commands.exchange.far_traces import FarTrace
from otel_loggedmodel.commands.exchange.judging import assessments_of, responsible_span, root_of
from otel_loggedmodel.mlflow_server.agreeing import is_duplicate
from otel_loggedmodel.mlflow_server.importing import as_ours, lacking
from otel_loggedmodel.mlflow_server.models import Models, UnknownModelError
from otel_loggedmodel.mlflow_server.registry import Registry
from otel_loggedmodel.mlflow_server.rest import ServerError
from otel_loggedmodel.mlflow_server.traces import Traces
from otel_loggedmodel.store.logged_models import model_of
from otel_loggedmodel.store.paging import summaries
from otel_loggedmodel.store.reading import Reader, Selection, UnknownTraceError
from otel_loggedmodel.store.trace_results import Trace, TraceSummary
from otel_loggedmodel.store.version_results import Version
from otel_loggedmodel.versions.identity import is_reference
from otel_loggedmodel.versions.model import LoggedModel

T = TypeVar("T")

_PAGE: Final = 100
_SHOWN_REFUSALS: Final = 10


@dataclass
class Pushed:
    """What became of versions, their traces, and the scores of these.

    Attributes:
        versions: How many there are.
        made: LoggedModels that were made.
        found: LoggedModels that were there.
        nameless: Versions whose name neither side knows, so that no LoggedModel can be made of them.
        traces: Traces of these versions in the store. If a trace is the work of several versions, that of its root
            counts.
        absent: Those that the server does not have.
        linked: Those that were linked.
        already: Those that were linked already.
        otherwise: Those that are linked to another LoggedModel, and were left so.
        other_experiments: Those of them that are in another experiment than the LoggedModels.
        scores: Assessments that were added.
        scores_already: Assessments that were there already.
        refused: How many of all these the server does not take.
        refusals: The first of them, with what the server said.
    """

    versions: int = 0
    made: int = 0
    found: int = 0
    nameless: int = 0
    traces: int = 0
    absent: int = 0
    linked: int = 0
    already: int = 0
    otherwise: int = 0
    other_experiments: int = 0
    scores: int = 0
    scores_already: int = 0
    refused: int = 0
    refusals: dict[str, str] = field(default_factory=dict)


class Push:
    """Tells a server what it lacks of versions, a page of traces at a time.

    Args:
        asked: The server. As many traces are under way at once as it has connections.
        reader: The store's reader.
        relink: Link traces, too, that are linked to another LoggedModel.
        dry_run: Change nothing.
        advance: Called after each page.

    Attributes:
        seen: How many entry spans were looked at.
        result: What there is so far.
    """

    def __init__(
        self, asked: Asked, reader: Reader, *, relink: bool, dry_run: bool, advance: Callable[["Push"], None]
    ) -> None:
        self._asked = asked
        self._server = server = asked.server
        self._models = Models(server, jitter=0.0)
        self._registry = Registry(server)
        self._traces = Traces(server, self._models)
        self._reader = reader
        self._relink = relink
        self._dry_run = dry_run
        self._advance = advance
        self._lock = threading.Lock()
        self.seen = 0
        self.result = Pushed()

    def run(self, versions: Iterable[Version], selection: Selection) -> Pushed:
        """Push versions and those of their traces that are selected.

        Raises:
            ServerError: The server refused, or cannot be asked. What was pushed until then is.
            ReadingError: The store cannot be read.
        """
        pool = ThreadPoolExecutor(self._server.connections, "OtelLoggedModelPush")
        try:
            for version in versions:
                self.result.versions += 1
                server_id = self._model(version)
                if server_id is None and not self._dry_run:
                    continue
                for page in _paged(summaries(self._reader, version.model_id, selection, page=_PAGE)):
                    self._page(pool, page, server_id)
                    self.seen += len(page)
                    self._advance(self)
        except BaseException:
            self._asked.give_up()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return self.result

    def _model(self, version: Version) -> str | None:
        """The server's id for a version, which is brought up to date; None if there is none."""
        model = None if version.name is None else model_of(version)
        look_up = self._look_up if self._dry_run else self._models.find
        try:
            server_id = there = self._asked.patiently(lambda: look_up(version.model_id, model))
            if self._dry_run and there is None and model is None and has_id_shape(version.model_id):
                raise UnknownModelError(version.model_id)
            if not self._dry_run:
                server_id = self._asked.patiently(lambda: self._models.id_of(version.model_id, model))
                if there is not None and version.registered:
                    self._bring_up_to_date(version, there)
        except UnknownModelError:
            self.result.nameless += 1
            return None
        except ServerError as error:
            self._refused(version.model_id, error)
            return None
        if there is None:
            self.result.made += 1
        else:
            self.result.found += 1
        return server_id

    def _look_up(self, model_id: str, model: LoggedModel | None) -> str | None:
        """For a dry run. `Models.find` would settle which LoggedModel is that of a version."""
        if has_id_shape(model_id):
            found = self._registry.get(model_id)
            tagged = [found] if found is not None else self._registry.tagged(model_id)
            if tagged or not is_reference(model_id):
                return next((one.model_id for one in tagged if not is_duplicate(one)), None)
        name = model_id if model is None or model.name is None else model.name
        return next((one.model_id for one in self._registry.named(name) if not is_duplicate(one)), None)

    def _bring_up_to_date(self, version: Version, server_id: str) -> None:
        """Tell a LoggedModel that was there already what it lacks."""
        present = self._asked.patiently(lambda: self._registry.get(server_id))
        wanted, time_ns = model_of(version), version.last_updated_timestamp * 1_000_000
        event = None if present is None else lacking(as_ours(present), wanted, time_ns)
        if event is not None:
            self._asked.patiently(lambda: self._models.apply(event))

    def _page(self, pool: ThreadPoolExecutor, page: Sequence[TraceSummary], server_id: str | None) -> None:
        ids = {summary.trace_id for summary in page}
        infos = self._asked.patiently(lambda: self._traces.infos([int(trace_id, 16) for trace_id in ids]))
        there = {f"{trace_id:032x}": FarTrace(info) for trace_id, info in infos.items()}
        absent = len(ids) - len(there)
        self._count(traces=absent, absent=absent)
        wanted = [summary for summary in page if summary.trace_id in there]
        # Errors other than the refusal of one trace are raised here.
        list(pool.map(lambda summary: self._trace(summary, there[summary.trace_id], server_id), wanted))

    def _trace(self, summary: TraceSummary, far: FarTrace, server_id: str | None) -> None:
        try:
            trace = self._reader.trace(summary.trace_id)
        except UnknownTraceError:  # the trace is old, and was deleted after it was listed
            return
        responsible = responsible_span(trace)
        if responsible is None or responsible.span_id != summary.span_id:
            return  # this is part of a trace that is the work of another version
        self._count(traces=1)
        try:
            self._link(trace, far, server_id)
            self._assess(trace, far)
        except ServerError as error:
            self._refused(summary.trace_id, error)

    def _link(self, trace: Trace, far: FarTrace, server_id: str | None) -> None:
        if far.experiment_id != self._server.experiment_id:
            self._count(other_experiments=1)
        if server_id is not None and far.model_id == server_id:
            self._count(already=1)
        elif far.model_id is not None and not self._relink:
            self._count(otherwise=1)
        else:
            if server_id is not None and not self._dry_run:
                self._asked.patiently(lambda: far_traces.link(self._server, far, server_id, root_of(trace)))
            self._count(linked=1)

    def _assess(self, trace: Trace, far: FarTrace) -> None:
        for assessment in assessments_of(trace):
            if far.has(assessment):
                self._count(scores_already=1)
                continue
            if not self._dry_run:
                self._asked.patiently(partial(self._traces.assess, assessment))
            self._count(scores=1)

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                setattr(self.result, name, getattr(self.result, name) + number)

    def _refused(self, what: str, error: ServerError) -> None:
        if not error.is_of_content:
            raise error
        with self._lock:
            self.result.refused += 1
            if len(self.result.refusals) < _SHOWN_REFUSALS:
                self.result.refusals[what] = str(error)


def _paged(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while page := list(itertools.islice(iterator, _PAGE)):
        yield page
