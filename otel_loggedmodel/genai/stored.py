# SPDX-License-Identifier: Apache-2.0
"""`search_traces` and `get_trace` find traces that a store has already, to be looked at or scored."""

import importlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, Final

from opentelemetry import trace as trace_api

from otel_loggedmodel import environment
from otel_loggedmodel._checking import check_name, id_of
from otel_loggedmodel._errors import swallow
from otel_loggedmodel.attributes import EVALUATION_RUN
from otel_loggedmodel.genai.filtering import Condition, conditions_of, ordered_by
from otel_loggedmodel.genai.found_traces import trace_of_stored
from otel_loggedmodel.genai.traces import SESSION, USER, Trace

_LOCAL_BACKEND: Final = "http://127.0.0.1:4318"
_MOST_VERSIONS: Final = 10_000
# An exporter that gets no answer is waited for no longer.
_FLUSH_MILLISECONDS: Final = 5000


class StoredTraces:
    """Traces of a store, as `search_traces` returns them: an iterable that reads them a page at a time.

    It has a length, items and slices; for these, all traces are read, once. With a text as index it gives a column, and
    `to_df()` gives the whole table. Whatever else a pandas data frame has (`iloc`, `head()`, `columns`, ...) is that
    table's.
    """

    def __init__(self, read: Any, limit: int | None) -> None:
        self._read = read
        self._limit = limit
        self._all: list[Trace] | None = None
        self._table: Any = None

    def __iter__(self) -> Iterator[Trace]:
        return iter(self._all) if self._all is not None else itertools.islice(self._read(), self._limit)

    def __len__(self) -> int:
        return len(self._traces())

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None

    def __getitem__(self, key: Any) -> Any:
        return self._traces()[key] if isinstance(key, int | slice) else self.to_df()[key]

    def __getattr__(self, name: str) -> Any:
        # Looking whether there is an attribute must not read everything.
        if name.startswith("_") or not (name in _COLUMNS or hasattr(_frame_class(), name)):
            raise AttributeError(f"found traces have no {name!r}")
        return getattr(self.to_df(), name)

    def to_df(self) -> Any:
        """The traces as a pandas data frame, with MLflow's names of columns.

        Raises:
            ImportError: pandas is not installed.
        """
        if self._table is None:
            kind = _frame_class()
            if kind is None:
                raise ImportError("a table needs pandas: pip install 'otel-loggedmodel[evaluation]'")
            self._table = kind([_record(trace) for trace in self._traces()], columns=list(_COLUMNS))
        return self._table

    def _traces(self) -> list[Trace]:
        if self._all is None:
            # Not list(self), which would ask for the length first.
            self._all = [trace for trace in self]  # noqa: C416
        return self._all


def _frame_class() -> Any:
    try:
        import pandas
    except ImportError:
        return None
    return pandas.DataFrame


_COLUMNS: Final = (
    *("trace_id", "trace", "client_request_id", "state", "request_time", "execution_duration", "request", "response"),
    *("inputs", "outputs", "trace_metadata", "tags", "spans", "assessments"),
)


def _record(trace: Trace) -> dict[str, Any]:
    found = {name: getattr(trace, name) for name in _COLUMNS if name not in ("trace", "spans")}
    return {**found, "trace": trace, "spans": [span.to_dict() for span in trace.spans]}


def search_traces(
    model_id: str | Sequence[str] | None = None,
    filter_string: str | None = None,
    max_results: int | None = None,
    order_by: Sequence[str] | None = None,
    *,
    experiment_ids: Sequence[str] | None = None,
    locations: Sequence[str] | None = None,
    run_id: str | None = None,
    return_type: str | None = None,
    include_spans: bool = True,
    store: str | None = None,
    token: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    service: str | None = None,
    attributes: Mapping[str, str] | None = None,
    dataset: str | None = None,
    production: bool = False,
    limit: int | None = None,
    page: int = 200,
) -> Any:
    """The traces that a store has, newest first, to be looked at or handed to `evaluate`.

    Needs the extra `server`. The store is opened when the traces are iterated over.

    Args:
        model_id: The version: its id, the beginning of it, or its name. By default all versions. A list is taken for
            `experiment_ids`, which stand first in MLflow.
        filter_string: Conditions joined by AND on `status`, `name`, `timestamp_ms`, `execution_time_ms`, `trace_id`,
            `run_id`, and on tags.<key>, metadata.<key>, attributes.<key> and feedback.<name>; as in `"status = 'ERROR'
            AND tags.team = 'support'"`.
        max_results: At most so many.
        order_by: Such as `["execution_time_ms DESC"]`. Then all that match are read before the first is given.
        experiment_ids: Of versions of these experiments.
        locations: The same.
        run_id: Of this evaluation run, by its id.
        return_type: `"list"` or `"pandas"`, read at once. By default an object that is either, read when needed.
        include_spans: Taken for MLflow's sake: spans always come along.
        store: Where: a running backend, a directory or a cluster, as for the command line. By default
            OTEL_LOGGEDMODEL_STORE, else the backend on this machine.
        token: What a backend wants; by default OTEL_LOGGEDMODEL_TOKEN.
        since: Begun then or later.
        until: Begun before.
        service: Of this `service.name`.
        attributes: Whose entry span has these.
        dataset: Of rows of this data set, by name or digest.
        production: Leave out rows of data sets.
        limit: The same as `max_results`.
        page: How many are read at once.

    Raises:
        ImportError: The extra `server` is not installed.
        TypeError: An argument has the wrong type.
        ValueError: A time has no time zone, or the filter cannot be read.
    """
    if model_id is not None and not isinstance(model_id, str):
        experiment_ids, model_id = list(model_id), None
    check_times(since, until)
    if return_type not in (None, "list", "pandas"):
        raise ValueError(f"return_type is {return_type!r}: pass 'list' or 'pandas'")
    conditions = conditions_of(filter_string)
    for condition in conditions:
        _check(condition)
    wanted = dict(attributes or {})
    if run_id is not None:
        wanted[EVALUATION_RUN] = check_name(run_id, "run_id")
    selection = reading().Selection(
        since=since, until=until, service=service, attributes=wanted, dataset=dataset, production=production
    )
    selection = _narrowed(selection, conditions)
    experiments = [*(experiment_ids or ()), *(locations or ())]
    version = None if model_id is None else check_name(model_id, "model_id")

    def read() -> Iterator[Trace]:
        with reader_of(store, token) as reader:
            ids = of_experiments(reader, experiments)
            found = store_module("paging").traces_to_score(reader, version, selection, page=page)
            traces = (
                trace
                for trace in map(trace_of_stored, found)
                if all(_holds(condition, trace) for condition in conditions) and (ids is None or trace.model_id in ids)
            )
            yield from ordered_by(list(traces), order_by, _place) if order_by else traces

    found = StoredTraces(read, limit if max_results is None else max_results)
    if return_type is None:
        return found
    return list(found) if return_type == "list" else found.to_df()


def get_trace(trace_id: str, *, store: str | None = None, token: str | None = None) -> Trace | None:
    """One trace of a store, or None if it is not there. Needs the extra `server`.

    Args:
        trace_id: 32 hex digits, also with MLflow's `tr-` before them.
        store: Where, as for `search_traces`.
        token: What a backend wants.

    Raises:
        ImportError: The extra `server` is not installed.
        ValueError: The id is not valid.
    """
    bare = f"{id_of(trace_id, 32, 'trace_id'):032x}"
    with reader_of(store, token) as reader:
        try:
            return trace_of_stored(reader.trace(bare))
        except reading().UnknownTraceError:
            return None


def find_trace(trace_id: str) -> Trace | None:
    """The same, and None too if there is no store to ask."""
    try:
        return get_trace(trace_id)
    except (ImportError, ValueError):
        return None
    except Exception as error:
        if isinstance(error, reading().ReadingError):
            return None
        raise


def _flush() -> None:
    flush = getattr(trace_api.get_tracer_provider(), "force_flush", None)
    try:
        if flush is not None:
            flush(_FLUSH_MILLISECONDS)
    except Exception:
        swallow("exporting spans before the store is read")


@contextmanager
def reader_of(store: str | None, token: str | None) -> Iterator[Any]:
    """A reader of the store that is meant. It is closed afterwards.

    Spans of this process that wait to be exported are exported first, so that what was done is found.

    Raises:
        ImportError: The extra `server` is not installed.
    """
    reading()
    _flush()
    address = store or os.environ.get(environment.OTEL_LOGGEDMODEL_STORE, "").strip() or _LOCAL_BACKEND
    secret = token or os.environ.get(environment.OTEL_LOGGEDMODEL_TOKEN, "").strip() or None
    reader = importlib.import_module("otel_loggedmodel.store").open_reader(address, token=secret)
    try:
        yield reader
    finally:
        reader.close()


def versions_filter(limit: int) -> Any:
    """Asks a reader for so many versions, without what takes long."""
    return reading().VersionFilter(limit=limit, counted=False)


def reading() -> Any:
    """The module that says what can be asked of a store.

    Raises:
        ImportError: The extra `server` is not installed.
    """
    try:
        found = store_module("reading")
        importlib.import_module("msgspec")
    except ImportError as error:
        raise ImportError(
            f"reading traces from a store needs: pip install 'otel-loggedmodel[server]' ({error})"
        ) from None
    return found


def store_module(name: str) -> Any:
    """A module of the store."""
    # The store needs an extra. So only its interface is known here, and it is loaded when it is asked for.
    return importlib.import_module(f"otel_loggedmodel.store.{name}")


def check_times(*times: datetime | None) -> None:
    """Check that times say their zone.

    Raises:
        ValueError: One does not.
    """
    for time in times:
        if time is not None and time.tzinfo is None:
            raise ValueError(f"{time} has no time zone: pass datetime(..., tzinfo=timezone.utc) or .astimezone()")


# Filters

_STATUS: Final = ("status", "state")
_TIME: Final = ("timestamp_ms", "timestamp", "request_time")
_DURATION: Final = ("execution_time_ms", "execution_time", "execution_duration", "execution_duration_ms")
_OWN: Final = (*_STATUS, *_TIME, *_DURATION, "name", "trace_id", "request_id", "run_id", "client_request_id")
_KINDS: Final = ("tags", "tag", "metadata", "request_metadata", "attributes", "attribute", "trace", "feedback")


def _check(condition: Condition) -> None:
    is_known = condition.key in _OWN if condition.kind in ("", "trace") else condition.kind in (*_KINDS, "assessment")
    if not is_known:
        name = f"{condition.kind}.{condition.key}" if condition.kind else condition.key
        raise ValueError(
            f"traces cannot be searched by {name!r}: there are {', '.join(_OWN)}, tags.<key>, metadata.<key>, "
            "attributes.<key> and feedback.<name>"
        )


def _narrowed(selection: Any, conditions: Sequence[Condition]) -> Any:
    """The selection, narrowed by what conditions say of the time: the rest is looked at trace by trace."""
    import dataclasses

    for condition in conditions:
        if condition.key not in _TIME or not isinstance(condition.value, int | float):
            continue
        moment = datetime.fromtimestamp(condition.value / 1000, timezone.utc)
        if condition.comparison in (">", ">=") and (selection.since is None or moment > selection.since):
            selection = dataclasses.replace(selection, since=moment)
    return selection


def of_experiments(reader: Any, experiments: Sequence[str]) -> frozenset[str] | None:
    """The ids of the versions of experiments; None if none is named."""
    if not experiments:
        return None
    which = versions_filter(_MOST_VERSIONS)
    return frozenset(
        model_id
        for version in reader.versions(which)
        if version.experiment_id in experiments
        for model_id in (version.model_id, *version.references)
    )


def _holds(condition: Condition, trace: Trace) -> bool:
    found = _found(condition.kind, condition.key, trace)
    if condition.kind == "" and condition.key in _STATUS and isinstance(condition.value, str):
        return condition.holds(None if found is None else found) or (
            condition.comparison == "=" and str(found) == condition.value.rpartition(".")[2].upper()
        )
    return condition.holds(found)


def _found(kind: str, key: str, trace: Trace) -> Any:
    if kind in ("tags", "tag"):
        return trace.tags.get(key)
    if kind in ("metadata", "request_metadata"):
        return trace.trace_metadata.get(key)
    if kind in ("feedback", "assessment"):
        return next((said.value for said in trace.search_assessments(key)), None)
    if kind in ("attributes", "attribute") and key not in _OWN:
        return None if trace.root is None else trace.root.get_attribute(key)
    return _value(trace, key)


def _place(trace: Trace, key: str) -> Any:
    """What a trace is sorted by. Many begin in one millisecond."""
    return trace.root.start_time_ns if key in _TIME and trace.root is not None else _value(trace, key)


def _value(trace: Trace, key: str) -> Any:
    key = key.rpartition(".")[2]
    if key in _STATUS:
        return trace.state
    if key in _TIME:
        return trace.request_time
    if key in _DURATION:
        return trace.execution_duration
    if key == "name":
        return None if trace.root is None else trace.root.name
    if key in ("trace_id", "request_id"):
        return trace.trace_id
    if key == "run_id":
        return None if trace.root is None else trace.root.get_attribute(EVALUATION_RUN)
    if key in ("session", SESSION, "user", USER):
        return trace.trace_metadata.get(f"mlflow.trace.{key.partition('.')[0]}")
    return trace.trace_metadata.get(key)
