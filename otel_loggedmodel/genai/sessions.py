# SPDX-License-Identifier: Apache-2.0
"""`search_sessions` finds whole conversations that a store has, to be looked at or scored."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from otel_loggedmodel._checking import check_name
from otel_loggedmodel.attributes import EVALUATION_RUN
from otel_loggedmodel.genai.found_traces import trace_of_stored
from otel_loggedmodel.genai.stored import check_times, of_experiments, reader_of, reading, store_module
from otel_loggedmodel.genai.traces import Trace

# A conversation of more turns is cut off.
_MOST_TURNS: Final = 1000


class Session(list[Trace]):
    """The traces of one conversation, by their times. `evaluate` takes a list of these as data.

    Args:
        session_id: The conversation.
        traces: Its traces.
    """

    def __init__(self, session_id: str, traces: Sequence[Trace]) -> None:
        super().__init__(sorted(traces, key=lambda trace: trace.request_time))
        self.id = session_id

    @property
    def traces(self) -> list[Trace]:
        """The same as a plain list."""
        return list(self)

    def __repr__(self) -> str:
        return f"Session(id={self.id!r}, {len(self)} traces)"


def search_sessions(
    max_results: int = 100,
    run_id: str | None = None,
    model_id: str | None = None,
    include_spans: bool = True,
    locations: Sequence[str] | None = None,
    *,
    store: str | None = None,
    token: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    service: str | None = None,
    production: bool = False,
) -> list[Session]:
    """Whole conversations that a store has, the one with the newest trace first. Needs the extra `server`.

    A conversation is what spans say in `gen_ai.conversation.id`, `session.id` or another convention's attribute. All of
    its traces come along, also those that the arguments leave out.

    Args:
        max_results: At most so many.
        run_id: Of this evaluation run.
        model_id: Of this version: its id, the beginning of it, or its name.
        include_spans: Taken for MLflow's sake: spans always come along.
        locations: Of versions of these experiments.
        store: Where, as for `search_traces`.
        token: What a backend wants.
        since: With a trace that begun then or later.
        until: With a trace that begun before.
        service: Of this `service.name`.
        production: Leave out rows of data sets.

    Raises:
        ImportError: The extra `server` is not installed.
        TypeError: An argument has the wrong type.
        ValueError: A time has no time zone, or `max_results` is no positive number.
    """
    if isinstance(max_results, bool) or not isinstance(max_results, int) or max_results < 1:
        raise ValueError(f"max_results is {max_results!r}: pass 1 or more")
    check_times(since, until)
    version = None if model_id is None else check_name(model_id, "model_id")
    attributes = {} if run_id is None else {EVALUATION_RUN: check_name(run_id, "run_id")}
    selection = reading().Selection(
        since=since, until=until, service=service, attributes=attributes, production=production
    )
    with reader_of(store, token) as reader:
        wanted = of_experiments(reader, list(locations or ()))
        ids: dict[str, None] = {}
        for summary in store_module("paging").summaries(reader, version, selection):
            if summary.conversation and (wanted is None or summary.model_id in wanted):
                ids[summary.conversation] = None
            if len(ids) == max_results:
                break
        return [Session(session, list(_turns(reader, session))) for session in ids]


def _turns(reader: Any, session: str) -> Iterator[Trace]:
    given: set[str] = set()
    for summary in reader.traces(None, reading().TraceFilter(conversation=session, limit=_MOST_TURNS)):
        if summary.trace_id in given:
            continue
        given.add(summary.trace_id)
        try:
            yield trace_of_stored(reader.trace(summary.trace_id))
        except reading().UnknownTraceError:
            continue  # it was old, and was deleted since it was listed
