# SPDX-License-Identifier: Apache-2.0
"""Data sets that are kept as records beside the traces: made, added to, and read back from a store.

A data set is a trace: its id follows from its name, and each of its rows is a span of it. A row that is added again,
with the same inputs or the same id, takes the place of the one before. Data sets that are files need none of this:
`evaluate` takes the path of one.
"""

import dataclasses
import hashlib
import importlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from opentelemetry import trace as trace_api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from otel_loggedmodel import attributes
from otel_loggedmodel._checking import check_name, check_texts
from otel_loggedmodel.conventions.messages.transcripts import transcript
from otel_loggedmodel.genai.cells import plain_cell
from otel_loggedmodel.genai.conversations import Conversation
from otel_loggedmodel.genai.kept_rows import DatasetRecord, schema_of
from otel_loggedmodel.genai.recording import Recorder, direct_span
from otel_loggedmodel.genai.rows import MISSING, Row, RowReader, conversation_in
from otel_loggedmodel.genai.sources import is_frame, records_of_frame
from otel_loggedmodel.genai.stored import get_trace
from otel_loggedmodel.genai.texts import text_of_any
from otel_loggedmodel.genai.traces import Trace
from otel_loggedmodel.instrumentor import extended_provider
from otel_loggedmodel.versions import runs
from otel_loggedmodel.versions.identity import random_span_id, span_id_from
from otel_loggedmodel.versions.records import KEPT_BY_SAMPLERS

MAX_ROWS: Final = 20_000
# A store gives the earliest of a trace's spans, so many. Beyond, the newest changes would be missing.
_MOST_SPANS: Final = 50_000
_MAX_ROW_CHARACTERS: Final = 256 * 1024
_SPANS_AT_ONCE: Final = 512
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


@dataclasses.dataclass
class EvaluationDataset:
    """A data set. Iterating over it gives its rows, as dicts that `evaluate` takes.

    Attributes:
        name: What it is called.
        dataset_id: Follows from the name.
        experiment_ids: The experiments that it belongs to.
        tags: What else is said of it.
        created_time: When its first row was added, in ms since the epoch; now, if it has none.
        last_update_time: When it was changed last.
    """

    name: str
    dataset_id: str
    experiment_ids: list[str] = dataclasses.field(default_factory=list)
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    created_time: int = dataclasses.field(default_factory=lambda: time.time_ns() // 1_000_000, compare=False)
    last_update_time: int = dataclasses.field(default_factory=lambda: time.time_ns() // 1_000_000, compare=False)
    _rows: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict, repr=False)
    _provider: trace_api.TracerProvider | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def records(self) -> list[DatasetRecord]:
        """The rows, in the order in which they were added first."""
        return [DatasetRecord(row) for row in self._rows.values()]

    @property
    def schema(self) -> str:
        """The fields of its rows and their types, as JSON."""
        return schema_of(self._rows.values())

    @property
    def profile(self) -> str:
        """How many rows there are, as JSON."""
        return json.dumps({"num_records": len(self._rows)})

    @property
    def digest(self) -> str:
        """Of its rows and what is expected of them, as results carry it."""
        reader = RowReader()
        for _ in reader.read(self._rows.values()):
            pass
        return str(reader.digest)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[DatasetRecord]:
        return iter(self.records)

    def merge_records(self, records: Any) -> "EvaluationDataset":
        """Add rows, and have them delivered. This waits for the exporter.

        Args:
            records: Dicts with `inputs`, and with `expectations`, `outputs`, `tags`, `group`, `source` and `id` if
                there are any; dicts with `conversation`; a pandas or polars data frame of them; traces, of which
                inputs and expectations are taken; or lists of traces, each a conversation.

        Raises:
            TypeError: They are none of these.
            ValueError: One is not valid, one is too large, or there are too many.
        """
        before = dict(self._rows)
        changed = {key: kept for key, kept in rows_of(records).items() if before.get(key) != kept}
        if len(before | changed) > MAX_ROWS:
            raise ValueError(
                f"a data set has at most {MAX_ROWS} rows here: keep larger ones in a file, and evaluate that"
            )
        self._rows.update(changed)
        _deliver(self, changed)
        self.last_update_time = time.time_ns() // 1_000_000
        return self

    def delete_records(self, ids: Iterable[str]) -> int:
        """Take rows away by their keys, and return how many there were."""
        gone = [key for key in ids if self._rows.pop(key, None) is not None]
        _deliver(self, dict.fromkeys(gone, None))
        return len(gone)

    def to_df(self) -> Any:
        """The rows as a pandas data frame.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("a table needs pandas: pip install 'otel-loggedmodel[evaluation]'") from None
        columns = ["id", "inputs", "outputs", "expectations", "tags", "source", "source_type", "source_id"]
        if any("conversation" in row for row in self._rows.values()):
            columns.insert(1, "conversation")
        return pandas.DataFrame([row.cells() for row in self.records], columns=columns)


def create_dataset(
    name: str | None = None,
    experiment_id: str | Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None,
    *,
    uc_table_name: str | None = None,
    tracer_provider: trace_api.TracerProvider | None = None,
) -> EvaluationDataset:
    """Make a data set without rows. If there is one of that name, `get_dataset` has its rows.

    Args:
        name: What it is called.
        experiment_id: The experiment that it belongs to, or several; by default that of `set_experiment`.
        tags: What else is to be said of it.
        uc_table_name: What Databricks' older pages call the name.
        tracer_provider: Exports its rows; the global one by default.

    Raises:
        TypeError: An argument has the wrong type, or there is no name.
    """
    called = _called(name, uc_table_name)
    given = runs.default_experiment_id() if experiment_id is None else experiment_id
    experiments = [given] if isinstance(given, str) else list(given)
    return EvaluationDataset(
        name=check_name(called),
        dataset_id=dataset_id_of(str(called)),
        experiment_ids=[check_name(one, "experiment_id") for one in experiments],
        tags=check_texts(tags, "tags"),
        _provider=tracer_provider,
    )


def get_dataset(
    name: str | None = None,
    dataset_id: str | None = None,
    *,
    uc_table_name: str | None = None,
    store: str | None = None,
    token: str | None = None,
) -> EvaluationDataset:
    """A data set with its rows, read from a store. Needs the extra `server`.

    Args:
        name: What it is called.
        dataset_id: Or its id.
        uc_table_name: What Databricks' older pages call the name.
        store: Where, as for `search_traces`.
        token: What a backend wants.

    Raises:
        TypeError: Neither or both are given.
        LookupError: The store has no such data set.
        ValueError: It was changed too often to be read whole.
        ImportError: The extra `server` is not installed.
    """
    name = _called(name, uc_table_name)
    if (name is None) == (dataset_id is None):
        raise TypeError('pass the name or the id of a data set, as in get_dataset("support-2024")')
    wanted = dataset_id_of(check_name(name)) if name is not None else check_name(str(dataset_id), "dataset_id")
    try:
        trace = get_trace(_trace_of(wanted), store=store, token=token)
    except ValueError:
        trace = None
    spans = [] if trace is None else [span for span in trace.spans if span.name == attributes.DATASET_ROW]
    if not spans:
        raise LookupError(f"the store has no rows of a data set {name or dataset_id!r}")
    if len(spans) >= _MOST_SPANS:
        raise ValueError(
            f"the data set {name or dataset_id!r} was changed too often to be read: make one of another name"
        )
    rows: dict[str, dict[str, Any]] = {}
    for span in spans:
        key, text = str(span.attributes[attributes.EVALUATION_ROW]), span.attributes.get(attributes.DATASET_VALUES)
        if text:
            rows[key] = json.loads(str(text))
        else:
            rows.pop(key, None)
    said = spans[-1].attributes
    return EvaluationDataset(
        name=str(said.get(attributes.EVALUATION_DATASET_NAME) or wanted),
        dataset_id=wanted,
        experiment_ids=list(filter(None, str(said.get(attributes.EXPERIMENT_ID) or "").split(","))),
        tags={
            key[len(attributes.TAG_PREFIX) :]: str(value)
            for key, value in said.items()
            if key.startswith(attributes.TAG_PREFIX)
        },
        created_time=spans[0].start_time_ns // 1_000_000,
        last_update_time=spans[-1].start_time_ns // 1_000_000,
        _rows=rows,
    )


def rows_of(records: Any) -> dict[str, dict[str, Any]]:
    """Rows as they are kept, by their keys.

    Args:
        records: As `EvaluationDataset.merge_records` takes them.

    Raises:
        TypeError: They are none.
        ValueError: One is none, or too large.
    """
    found: dict[str, dict[str, Any]] = {}
    reader = RowReader()
    for record in _records(records):
        (row,) = reader.read([record])
        kept = _kept_conversation(row, record) if isinstance(row, Conversation) else _kept(row, record)
        if len(json.dumps(kept, default=text_of_any)) > _MAX_ROW_CHARACTERS:
            raise ValueError(f"row {row.number} is larger than {_MAX_ROW_CHARACTERS} characters: keep it in a file")
        found[row.key] = kept
    return found


def _called(name: str | None, uc_table_name: str | None) -> str | None:
    """The one name of the two.

    Raises:
        TypeError: Both are given.
    """
    if name is not None and uc_table_name is not None:
        raise TypeError("name and uc_table_name are the same: pass name alone")
    return uc_table_name if name is None else name


def dataset_id_of(name: str) -> str:
    """The id of the data set of a name."""
    return "d-" + hashlib.sha256(b"dataset:" + name.encode(errors="replace")).hexdigest()[:32]


def _trace_of(dataset_id: str) -> str:
    return dataset_id.removeprefix("d-")


def _records(records: Any) -> Iterator[Any]:
    if is_frame(records):
        records = records_of_frame(records)
    elif isinstance(records, Mapping | str) or not isinstance(records, Iterable):
        raise TypeError(f"records are {type(records).__name__}: pass a list of dicts, a data frame, or traces")
    for record in records:
        trace = record.get("trace") if isinstance(record, Mapping) else record
        if isinstance(record, list | tuple) and record and all(isinstance(one, Trace) for one in record):
            yield _conversation_of(record)
        elif isinstance(trace, Trace):
            if trace.inputs is None:
                raise ValueError(
                    f"trace {trace.trace_id} does not say what went in: leave it out, or evaluate it as it is"
                )
            yield {"inputs": trace.inputs, "expectations": trace.expectations or None, "source": trace.trace_id}
        else:
            yield record


def _conversation_of(traces: Sequence[Trace]) -> dict[str, Any]:
    """What was said in a session, as a record that can be held again."""
    turns = sorted(traces, key=lambda trace: trace.request_time)
    expectations = {name: value for trace in turns for name, value in trace.expectations.items()}
    said = transcript((trace.inputs, trace.outputs) for trace in turns)
    return {"conversation": said, "expectations": expectations or None}


def _kept_conversation(row: Conversation, record: Mapping[str, Any]) -> dict[str, Any]:
    said = {
        "conversation": conversation_in(record),
        "inputs": dict(row.turns[0].shared) or None,
        "expectations": row.expectations,
        "tags": dict(row.turns[0].row.tags) or None,
    }
    return _as_read({"id": row.key, **{key: plain_cell(value) for key, value in said.items() if value is not None}})


def _kept(row: Row, record: Any) -> dict[str, Any]:
    values = {
        "inputs": row.inputs,
        "outputs": None if row.outputs is MISSING else row.outputs,
        "expectations": row.expectations,
        "tags": dict(row.tags) or None,
        "group": row.group,
        "source": record.get("source") if isinstance(record, Mapping) else None,
    }
    known = {key: plain_cell(value) for key, value in values.items() if value is not None}
    return _as_read({"id": row.key, **known})


def _as_read(record: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it will be read back."""
    kept: dict[str, Any] = json.loads(json.dumps(record, ensure_ascii=False, default=text_of_any))
    return kept


def spans_of_rows(
    name: str,
    rows: Mapping[str, Mapping[str, Any] | None],
    resource: Resource,
    *,
    experiment_ids: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
) -> list[ReadableSpan]:
    """The spans that keep rows.

    Args:
        name: What the data set is called.
        rows: As `rows_of` has them; None for one that is taken away.
        resource: Whose spans they are.
        experiment_ids: The experiments that the data set belongs to.
        tags: What else is said of it.
    """
    dataset_id = dataset_id_of(name)
    trace_id = int(_trace_of(dataset_id), 16)
    parent = SpanContext(trace_id, span_id_from(dataset_id), True, _SAMPLED)
    spans: list[ReadableSpan] = []
    for key, row in rows.items():
        # Later rows have later times, as the newest of a key counts.
        now_ns = time.time_ns() + len(spans)
        values = {
            attributes.EVENT: "dataset_row",
            attributes.EVALUATION_DATASET_NAME: name,
            attributes.EVALUATION_ROW: key,
            attributes.EXPERIMENT_ID: ",".join(experiment_ids),
            **{attributes.TAG_PREFIX + tag: text for tag, text in (tags or {}).items()},
            attributes.SAMPLING_PRIORITY: 1,
        }
        if row is not None:
            values[attributes.DATASET_VALUES] = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        context = SpanContext(trace_id, random_span_id(), False, _SAMPLED, KEPT_BY_SAMPLERS)
        spans.append(direct_span(attributes.DATASET_ROW, context, parent, resource, values, now_ns, now_ns))
    return spans


def _deliver(dataset: EvaluationDataset, rows: Mapping[str, Mapping[str, Any] | None]) -> None:
    recorder = Recorder(extended_provider(dataset._provider))
    spans = spans_of_rows(
        dataset.name, rows, recorder.resource, experiment_ids=dataset.experiment_ids, tags=dataset.tags
    )
    for start in range(0, len(spans), _SPANS_AT_ONCE):
        recorder.record(spans[start : start + _SPANS_AT_ONCE])
        # The SDK's batch processor drops what its queue does not hold.
        recorder.flush()


def __getattr__(name: str) -> Any:
    # Names of MLflow's that are not here. The room that knows them is above this one.
    return importlib.import_module("otel_loggedmodel.interface.elsewhere").found(__name__, name)
