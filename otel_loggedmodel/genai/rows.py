# SPDX-License-Identifier: Apache-2.0
"""The rows of a data set: what they hold, and the key by which another run finds the same row."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from otel_loggedmodel.conventions.messages.transcripts import MESSAGES
from otel_loggedmodel.genai import conversations
from otel_loggedmodel.genai.cells import is_missing
from otel_loggedmodel.genai.conversations import Conversation, Turn, last_text
from otel_loggedmodel.genai.digests import DIGITS, DatasetDigest, digest
from otel_loggedmodel.genai.texts import text_of_any

ID_FIELDS: Final = ("row_id", "id")
_DIGEST: Final = re.compile(f"[0-9a-f]{{{DIGITS}}}")
_FIELDS: Final = frozenset({"inputs", "outputs", "expectations", "trace", "trace_id", "span_id", "tags"})
_NEEDED: Final = frozenset({"inputs", "trace", "trace_id"})
_OF_TRACES: Final = frozenset({"trace", "trace_id", "span_id"})
_OF_CONVERSATIONS: Final = frozenset({*conversations.FIELDS, *conversations.SESSION_FIELDS})
_PREFIXES: Final = ("inputs.", "expectations.", "inputs/", "expectations/")


class _Missing:
    """Says that a row has no outputs. The output None is something else."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        number: Its place, from 0.
        key: The same row has the same key in every run.
        inputs: What goes in. A dict becomes keyword arguments.
        outputs: What came out, or `MISSING`.
        expectations: What should come out.
        trace: The trace in which it came out, or None.
        trace_id: The id of that trace, or None.
        span_id: The id of the span in it that is judged, or None.
        tags: What else is to be said of it.
        group: The same for rows that belong together, as questions on one passage: the record's `group`, or its tag of
            this name, or the key of its conversation, or that of the first row with equal inputs. None if that is the
            row itself.
        session: The conversation that it is a turn of, if the data say so.
    """

    number: int
    key: str
    inputs: Any
    outputs: Any = MISSING
    expectations: Any = None
    trace: Any = None
    trace_id: str | None = None
    span_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    session: str | None = None


class RowReader:
    """Makes rows of records, one at a time. It remembers keys, as rows with equal inputs get a number each.

    Args:
        with_digest: Whether the digest of the data set is wanted, too.

    Attributes:
        digest: Of the data set so far.
        rows: How many rows there were, each turn of a conversation being one.
    """

    def __init__(self, *, with_digest: bool = True) -> None:
        self._with_digest = with_digest
        self._seen: dict[int, int] = {}
        self._number = 0
        self.digest = DatasetDigest()
        self.rows = 0

    def read(self, records: Iterable[Any]) -> Iterator[Row | Conversation]:
        """The rows and conversations of records.

        Raises:
            TypeError: A record is neither a dict nor a trace, or a field of it has the wrong type.
            ValueError: A record has neither inputs nor outputs nor a trace.
        """
        for record in records:
            row = self._row_or_conversation(record)
            self._number += 1
            if type(row) is Row:
                self.rows += 1
                if self._with_digest:
                    self.digest.add(row.key, row.expectations)
            elif isinstance(row, Conversation):
                self.rows += len(row.turns)
                if self._with_digest:
                    self.digest.add(row.key, row.expected)
            yield row

    def _row_or_conversation(self, record: Any) -> Row | Conversation:
        if isinstance(record, Mapping):
            if not _OF_CONVERSATIONS.isdisjoint(record) and (said := conversation_in(record)) is not None:
                return self._conversation(record, said)
        elif isinstance(traces := getattr(record, "traces", record), list | tuple):
            if not traces or not all(map(_is_trace, traces)):
                raise TypeError(f"row {self._number} is a list: pass dicts with `inputs`, traces, or lists of traces")
            return self._session(traces)
        return self._row(record)

    def _conversation(self, record: Mapping[Any, Any], said: Any) -> Conversation:
        number = self._number
        values = _nested(record)
        shared = _parsed(values.get("inputs")) or {}
        if not isinstance(shared, Mapping):
            raise TypeError(f"inputs of row {number} are {type(shared).__name__}: beside a conversation, pass a dict")
        exchanges = conversations.exchanges_of(said, number)
        asked = [one["said"] if "said" in one else one.get("inputs") for one in exchanges]
        own = next((record[name] for name in ID_FIELDS if _is_present(record.get(name))), None)
        key, _ = self._own_key(own) if own is not None else self._digest_key(["conversation", shared, asked])
        # A data set that is kept has the digest as id.
        has_id = own is not None and not _DIGEST.fullmatch(str(own))
        tags = _parsed(values.get("tags"))
        turns = []
        history: list[Any] = []
        for place, one in enumerate(exchanges):
            new = one.get("said", ())
            turn: dict[str, Any] = dict(_nested(one))
            if new:
                history += new
                turn = {"inputs": {**shared, MESSAGES: list(history)}, "outputs": last_text(one["answers"])}
                history += one["answers"]
            elif isinstance(given := _parsed(turn.get("inputs")), Mapping):
                turn["inputs"] = {**shared, **given}
            # A turn that follows what was asked before is the same in another data set, whatever comes after it.
            own_key = f"{key}/{place + 1}" if has_id else digest(["turn", shared, asked[: place + 1]])
            row = self._row({"tags": tags, **turn}, (own_key, has_id))
            turns.append(Turn(replace(row, group=key), tuple(new), shared))
        session = _session_in(record)
        return Conversation(number, key, tuple(turns), _parsed(values.get("expectations")), session)

    def _session(self, traces: Sequence[Any]) -> Conversation:
        """A conversation that is a list of traces."""
        rows = [self._row(trace) for trace in traces]
        found = (conversations.session_of_trace(trace) for trace in traces)
        key = next(filter(None, found), None) or digest([row.key for row in rows])
        turns = tuple(Turn(replace(row, group=key, session=key)) for row in rows)
        return Conversation(self._number, key, turns, None, key)

    def _row(self, record: Any, turn: tuple[str, bool] | None = None) -> Row:
        """The row of a record.

        Args:
            record: The record, or a trace.
            turn: If it is a turn of a conversation: its key, and whether that is an id of the user's.
        """
        number = self._number
        if not isinstance(record, Mapping):
            if not _is_trace(record):
                raise TypeError(f"row {number} is {type(record).__name__}: pass dicts with `inputs`, or traces")
            record = {"trace": record}
        values = _nested(record)
        if values.keys().isdisjoint(_NEEDED) and not values.get("outputs"):
            known = ", ".join(map(repr, list(record)[:8]))
            raise ValueError(
                f"row {number} has the fields {known} and no `inputs`: name them `inputs` and `expectations` (dicts), "
                "or, in a table, `inputs.question` and `expectations.answer`"
            )
        inputs = _parsed(values.get("inputs"))
        trace_id, trace, span_id = self._trace(values)
        tags = _tags(_parsed(values["tags"]), number) if "tags" in values else {}
        if turn is None:
            key, first = self._key(record, inputs, trace_id)
        else:
            key, first = self._own_key(turn[0]) if turn[1] else self._digest_key(None, turn[0])
        session = None if _OF_CONVERSATIONS.isdisjoint(record) else _session_in(record)
        if session is None and trace is not None:
            session = conversations.session_of_trace(trace)
        group = record.get("group")
        if group is None or not _is_present(group):
            group = tags.get("group") or session or (first if first != key else None)
        return Row(
            number=number,
            key=key,
            inputs=inputs,
            outputs=values.get("outputs", MISSING),
            expectations=_parsed(values.get("expectations")),
            trace=trace,
            trace_id=trace_id,
            span_id=span_id,
            tags=tags,
            group=None if group is None else str(group),
            session=session,
        )

    def _trace(self, values: Mapping[str, Any]) -> tuple[str | None, Any, str | None]:
        """The id of a row's trace, that trace, and the id of its span, each as far as the row has it."""
        if _OF_TRACES.isdisjoint(values):
            return None, None, None
        trace_id = _id_text(values.get("trace_id"), "trace_id", self._number)
        trace = values.get("trace")
        if isinstance(trace, str):
            trace_id, trace = _id_text(trace, "trace", self._number), None
        if trace is not None and trace_id is None:
            trace_id = trace_id_of(trace)
        return trace_id, trace, _id_text(values.get("span_id"), "span_id", self._number)

    def _key(self, record: Mapping[Any, Any], inputs: Any, trace_id: Any) -> tuple[str, str]:
        """The key of a row, and that of the first row that is equal to it."""
        own = None
        for name in ID_FIELDS:
            own = record.get(name)
            if own is not None and _is_present(own):
                return self._own_key(own)
        if inputs is None and trace_id is not None:
            return self._own_key(trace_id)
        return self._digest_key(inputs)

    def _digest_key(self, asked: Any, key: str | None = None) -> tuple[str, str]:
        key = digest(asked) if key is None else key
        count = self._count(key)
        return (key if count == 0 else digest([key if asked is None else asked, count])), key

    def _own_key(self, own: Any) -> tuple[str, str]:
        count = self._count(str(own))
        return (str(own) if count == 0 else f"{own}#{count + 1}"), str(own)

    def _count(self, key: str) -> int:
        # A hash of the key takes a third of the key's room.
        place = hash(key)
        count = self._seen.get(place, 0)
        self._seen[place] = count + 1
        return count


def trace_id_of(trace: Any) -> str | None:
    """The id of a trace (ours, the store's or MLflow's), as 32 hex digits if possible."""
    if isinstance(trace, Mapping):
        found = trace.get("trace_id") or trace.get("info", {}).get("trace_id")
    else:
        found = getattr(trace, "trace_id", None) or getattr(getattr(trace, "info", None), "trace_id", None)
    return None if found is None else str(found).removeprefix("tr-").lower()


def _is_trace(value: Any) -> bool:
    return hasattr(value, "spans") or hasattr(value, "data")


def conversation_in(record: Mapping[Any, Any]) -> Any:
    """The messages or turns of a record that is a conversation; None if it is a row."""
    for name in conversations.FIELDS:
        said = record.get(name)
        if said is None or not _is_present(said):
            continue
        said = _parsed(said)
        if name == MESSAGES and any(_is_present(record.get(key)) for key in ("inputs", "outputs", "trace")):
            continue  # a column that nothing reads
        if not isinstance(said, str):
            return said
    return None


def _session_in(record: Mapping[Any, Any]) -> str | None:
    """The conversation that a record says it is a turn of."""
    for name in conversations.SESSION_FIELDS:
        found = record.get(name)
        if isinstance(found, str | int) and _is_present(found):
            return str(found)
    return None


def _is_present(value: Any) -> bool:
    # A cell of a CSV file that has nothing in it is an empty text.
    kind = type(value)
    if kind is dict or kind is list:
        return True
    return bool(value != "") if kind is str else not is_missing(value)


def _id_text(value: Any, field: str, number: int) -> str | None:
    if not _is_present(value):
        return None
    if not isinstance(value, str):
        raise TypeError(f"{field} of row {number} is {type(value).__name__}: pass hex digits as a text")
    return value.removeprefix("tr-").lower()


def _tags(tags: Any, number: int) -> dict[str, str]:
    if not _is_present(tags):
        return {}
    if not isinstance(tags, Mapping):
        raise TypeError(f"tags of row {number} are {type(tags).__name__}: pass a dict, as in {{'topic': 'travel'}}")
    for key in tags:
        if not isinstance(key, str):
            raise TypeError(f"tags of row {number} have the key {key!r}, which is {type(key).__name__}: pass a text")
    return {key: text_of_any(value) for key, value in tags.items() if not is_missing(value)}


def _nested(record: Mapping[Any, Any]) -> dict[str, Any]:
    """A record with `inputs.question` and the like put into `inputs`."""
    values: dict[str, Any] = {}
    for key, value in record.items():
        if key in _FIELDS:
            # An empty text is an output.
            if _is_present(value) or (key == "outputs" and not is_missing(value)):
                values[key] = value
        elif isinstance(key, str) and key.startswith(_PREFIXES):
            outer, inner = key.replace("/", ".", 1).split(".", 1)
            if _is_present(value) and isinstance(values.setdefault(outer, {}), dict):
                values[outer][inner] = value
    return values


def _parsed(value: Any) -> Any:
    """Inputs and expectations that are texts of JSON objects, as tables keep them."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
