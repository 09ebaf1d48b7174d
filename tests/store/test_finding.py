# SPDX-License-Identifier: Apache-2.0
"""Traces are listed with what people read first of them, and found by what any of their spans has."""

import itertools
import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store import faceting
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.listing import ORDERS
from otel_loggedmodel.store.once import Once
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import FOUND_BY, ReadingError, TraceFilter
from otel_loggedmodel.store.trace_results import Facets
from planted_traces import Value, write_attributes

from .conftest import filled

VERSION = "agent-1"
_RNG = random.Random(11)
_NOW_NS = time.time_ns()


def chat(asked: str, answered: str | None) -> dict[str, Value]:
    """The attributes of a call of a model."""
    said: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": json.dumps(
            [
                {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
                {"role": "user", "parts": [{"type": "text", "content": asked}]},
            ]
        ),
    }
    if answered is not None:
        answer = [{"role": "assistant", "parts": [{"type": "text", "content": answered}], "finish_reason": "stop"}]
        said["gen_ai.output.messages"] = json.dumps(answer)
    return said


class Planted:
    """Traces, each of a name by which tests ask for it."""

    def __init__(self) -> None:
        self.request = ExportTraceServiceRequest()
        self._spans = self.request.resource_spans.add().scope_spans.add().spans
        self.names: dict[str, str] = {}
        self._minute = 0

    def trace(self, name: str, root: Mapping[str, Value], *below: tuple[str, Mapping[str, Value], str | None]) -> None:
        """An entry span and those below it: name, attributes, and the message of the failure of each."""
        self._minute += 1
        trace_id, root_id = _RNG.randbytes(16), _RNG.randbytes(8)
        self.names[trace_id.hex()] = name
        start = _NOW_NS - self._minute * 60 * 10**9
        failed = any(message is not None for _, _, message in below)
        entry = self._span(trace_id, root_id, b"", str(root.get("name", "POST /ask")), start, None)
        if failed:
            entry.status.code = Status.STATUS_CODE_ERROR
        write_attributes(entry.attributes, {"logged_model.id": VERSION, **root})
        for number, (called, attributes, message) in enumerate(below, 1):
            span = self._span(trace_id, _RNG.randbytes(8), root_id, called, start + number * 10**6, message)
            write_attributes(span.attributes, {"logged_model.id": VERSION, **attributes})

    def _span(self, trace_id: bytes, span_id: bytes, parent: bytes, name: str, start: int, message: str | None) -> Span:
        return self._spans.add(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=parent,
            name=name,
            start_time_unix_nano=start,
            end_time_unix_nano=start + 10**8,
            status=None if message is None else Status(code=Status.STATUS_CODE_ERROR, message=message),
        )

    def scored(self, name: str, score: str, value: float, who: str = "", seconds: int = 0) -> None:
        """The result of an evaluation of a trace, or what a person says of it so many seconds later."""
        trace_id = next(trace_id for trace_id, known in self.names.items() if known == name)
        root = next(span for span in self._spans if span.trace_id.hex() == trace_id)
        found = self._span(
            root.trace_id, _RNG.randbytes(8), root.span_id, "gen_ai.evaluation.result", _NOW_NS + seconds * 10**9, None
        )
        result: dict[str, Value] = {"gen_ai.evaluation.name": score, "gen_ai.evaluation.score.value": value}
        said_by: dict[str, Value] = {
            "logged_model.evaluation.source": "human" if who else "code",
            "logged_model.evaluation.source_id": who,
        }
        write_attributes(found.attributes, {"logged_model.id": VERSION, **result, **said_by})


@pytest.fixture(scope="module")
def planted() -> Planted:
    planted = Planted()
    planted.trace("chat", {"http.route": "/ask"}, ("chat gpt-4o", chat("Where is my parcel?", "It is in Graz."), None))
    planted.trace("root says it", {"input.value": '{"question": "How much?"}', "output.value": "Two."})
    planted.trace("failed", {"error.type": "TimeoutError"}, ("chat gpt-4o", chat("Refund me!", None), "no answer came"))
    planted.trace("turn 1", {"session.id": "c-1"}, ("chat gpt-4o", chat("One?", "1"), None))
    planted.trace("turn 2", {"session.id": "c-1", "name": "GET /more"}, ("chat gpt-4o", chat("And two?", "2"), None))
    planted.trace(
        "agent",
        {},
        ("chat gpt-4o", chat("Plan a trip", "First, a search."), None),
        *[("tool", {"n": number}, None) for number in range(9)],
        *[("chat gpt-5", {**chat("Plan a trip", "Take the train."), "gen_ai.request.model": "gpt-5"}, None)] * 2,
    )
    planted.trace("silent", {"name": "tick"})
    planted.scored("chat", "correct", 0.2)
    planted.scored("turn 1", "correct", 0.9)
    planted.scored("agent", "planned", 0.8)
    planted.scored("turn 1", "liked", 0, "eve")
    planted.scored("turn 1", "liked", 1, "eve", seconds=5)
    return planted


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer, planted: Planted) -> Iterator[StoreReader]:
    with filled(clickhouse_server, [planted.request.SerializeToString()]) as reader:
        yield reader


@pytest.mark.parametrize(
    ("name", "asked", "answered", "reason", "conversation"),
    [
        ("chat", "Where is my parcel?", "It is in Graz.", "", None),
        ("root says it", "How much?", "Two.", "", None),
        ("failed", "Refund me!", None, "no answer came", None),
        ("turn 2", "And two?", "2", "", "c-1"),
        ("agent", "Plan a trip", "Take the train.", "", None),
        ("silent", None, None, "", None),
    ],
)
def test_a_list_says_what_was_asked_and_answered_or_why_it_failed(
    reader: StoreReader,
    planted: Planted,
    name: str,
    asked: str | None,
    answered: str | None,
    reason: str,
    conversation: str | None,
) -> None:
    (found,) = [one for one in reader.traces() if planted.names[one.trace_id] == name]
    assert (found.input, found.output, found.reason, found.conversation) == (asked, answered, reason, conversation)


@pytest.mark.parametrize(
    ("which", "names"),
    [
        (TraceFilter(text="PARCEL"), ["chat"]),
        (TraceFilter(text="no answer"), ["failed"]),
        (TraceFilter(text="gpt-5"), ["agent"]),
        (TraceFilter(text="nothing has this"), []),
        (TraceFilter(model="gpt-5"), ["agent"]),
        (TraceFilter(error_type="TimeoutError"), ["failed"]),
        (TraceFilter(error_type="no answer came"), ["failed"]),
        (TraceFilter(route="/ask"), ["chat"]),
        (TraceFilter(route="GET /more"), ["turn 2"]),
        (TraceFilter(conversation="c-1"), ["turn 1", "turn 2"]),
        (TraceFilter(score="correct<0.5"), ["chat"]),
        (TraceFilter(score="correct >= 0.5"), ["turn 1"]),
        (TraceFilter(score="correct=0.9", conversation="c-1"), ["turn 1"]),
        (TraceFilter(score="correct<0.5", conversation="c-1"), []),
        (TraceFilter(errors_only=True, model="gpt-4o"), ["failed"]),
        (TraceFilter(text="gpt-4o", order="slowest", limit=1, offset=4), ["agent"]),
        (TraceFilter(model="gpt-4o", order="worst", limit=1), ["chat"]),
        # Of one person, what was said last counts.
        (TraceFilter(score="liked=1"), ["turn 1"]),
        (TraceFilter(score="liked<1"), []),
        (TraceFilter(errors_only=True, order="worst"), []),
    ],
)
def test_traces_are_found_by_what_their_spans_have(
    reader: StoreReader, planted: Planted, which: TraceFilter, names: list[str]
) -> None:
    for version in (None, VERSION):
        found = [planted.names[one.trace_id] for one in reader.traces(version, which)]
        if which.order == "slowest":
            assert len(found) == len(names)
        else:
            assert found == names


@pytest.mark.parametrize("order", ORDERS)
def test_a_longer_list_begins_as_a_shorter_one_does(reader: StoreReader, planted: Planted, order: str) -> None:
    found = [[planted.names[one.trace_id] for one in reader.traces(None, one)] for one in each_limit(order)]
    assert all(longer[: len(shorter)] == shorter for shorter, longer in itertools.pairwise(found))
    if order == "worst":
        assert found[-1] == ["chat", "agent", "turn 1"]


def test_several_lists_at_once_are_those_of_each(reader: StoreReader) -> None:
    kinds = [
        *(TraceFilter(order=order, limit=2, offset=1) for order in ORDERS),
        TraceFilter(errors_only=True),
        TraceFilter(text="nothing has this"),
        TraceFilter(score="correct<0.5", order="costliest"),
    ]
    apart = [reader.traces(VERSION, which) for which in kinds]
    assert reader.lists(VERSION, kinds) == apart
    assert [len(listed) for listed in apart[:5]] == [2, 2, 0, 2, 1]
    assert reader.lists(VERSION, []) == []
    assert reader.lists(VERSION, [TraceFilter(text="nothing has this")]) == [[]]


def test_questions_that_belong_together_are_asked_once(reader: StoreReader, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    query = Database.query

    def note(database: Database, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        if not isinstance(database, Once):
            asked.append(f"{sql} {arguments}")
        return query(database, sql, *arguments)

    def answers(of: StoreReader) -> list[object]:
        answered = [of.version(VERSION), of.traces(VERSION), of.facets(VERSION), of.deployments(), of.datasets()]
        return [*answered, [version.model_id for version in of.versions()], of.revision()]

    apart = answers(reader)
    monkeypatch.setattr(Database, "query", note)
    together = reader.at_once()
    assert answers(together) == apart
    assert len(asked) == len(set(asked)) > 10
    # Whoever changes an answer changes it for nobody else.
    database = Once(reader._database)
    database.query("SELECT 1 AS one")[0]["one"] = 2
    assert database.query("SELECT 1 AS one") == [{"one": 1}]
    # Another parameter is another question.
    assert database.query("SELECT {one:UInt8} AS one", {"one": 7}) == [{"one": 7}]
    assert database.query("SELECT {one:UInt8} AS one", {"one": 8}) == [{"one": 8}]


def each_limit(order: str) -> list[TraceFilter]:
    return [TraceFilter(order=order, limit=limit) for limit in (1, 2, 20)]


@pytest.mark.parametrize("which", [TraceFilter(), TraceFilter(errors_only=True, order="worst", limit=1)])
def test_a_count_is_how_many_traces_the_narrower_list_has(reader: StoreReader, which: TraceFilter) -> None:
    found = reader.facets(VERSION, which)
    everything = reader.traces(VERSION, replace(which, order="newest", limit=100))
    assert (found.traces, found.errors) == (len(everything), sum(one.error for one in everything))
    assert sum(part.traces for part in found.parts) == found.traces
    assert sum(part.errors for part in found.parts) == found.errors
    assert not found.is_cut
    for name in FOUND_BY:
        for one in found.values.get(name, ()):
            narrower = replace(which, order="newest", limit=100, **{name: one.value})
            assert len(reader.traces(VERSION, narrower)) == one.traces, (name, one.value)


def test_what_traces_can_be_narrowed_to(reader: StoreReader) -> None:
    values = {name: {one.value: one.traces for one in found} for name, found in reader.facets().values.items()}
    assert values == {
        "version": {VERSION: 7},
        "route": {"POST /ask": 4, "/ask": 1, "GET /more": 1, "tick": 1},
        "model": {"gpt-4o": 5, "gpt-5": 1},
        "error_type": {"TimeoutError": 1},
        "conversation": {"c-1": 2},
        "score": {"correct<0.5": 1, "correct>=0.5": 1, "liked=1": 1, "planned>=0.8": 1},
    }


def test_of_very_many_traces_the_newest_are_counted(reader: StoreReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faceting, "MOST_TRACES", 3)
    found = reader.facets()
    assert (found.traces, found.errors, found.is_cut) == (3, 1, True)
    # Those that were planted first are the newest.
    assert {one.value: one.traces for one in found.values["route"]} == {"POST /ask": 2, "/ask": 1}
    assert "conversation" not in found.values


def test_what_no_trace_has_is_not_counted(reader: StoreReader) -> None:
    assert reader.facets(None, TraceFilter(text="nothing has this")) == Facets()


def test_a_score_of_another_range_is_split_in_its_middle() -> None:
    assert faceting._middle(0.0, 1.0) == "0.5"
    assert faceting._middle(1, 5) == "3"
    assert faceting._middle(-120, 33.3) == "-43"
    assert faceting._middle(0.0, 3e-6) == "0.000002"
    assert faceting._middle(0.0, 3e12) == "1500000000000"


@pytest.mark.parametrize("score", ["correct", "<0.5", "correct<half", ""])
def test_a_bound_that_cannot_be_understood_says_what_to_write(reader: StoreReader, score: str) -> None:
    with pytest.raises(ReadingError, match=r"write NAME<0\.5"):
        reader.traces(None, TraceFilter(score=score))
