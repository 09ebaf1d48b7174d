# SPDX-License-Identifier: Apache-2.0
"""What real frameworks sent is counted as it was; what their spans do not say is not made up.

`counted/beyond_the_spans.txt` lists the numbers that nothing in the spans tells from others: of a scenario whose only
span is one of the application, as its instrumentation does nothing there, nobody can tell that a model was called.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clickhouse_server import ClickHouseServer
from conventions.scoring import HERE, WRONG, names_of, numbers_of, request_of, scenarios_of
from otel_loggedmodel import store as stores
from otel_loggedmodel.conventions.shape import Form, Place
from otel_loggedmodel.conventions.table import SOURCES
from otel_loggedmodel.conventions.things import Kind, Thing
from otel_loggedmodel.store.counted import TABLE
from otel_loggedmodel.store.opening import Store

BEYOND = frozenset((HERE / "beyond_the_spans.txt").read_text(encoding="utf-8").splitlines())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    with clickhouse_server.new_database() as name:
        opened = stores.open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        yield opened
        opened.close()


@pytest.mark.parametrize("recording", names_of(HERE))
def test_numbers_of_a_recording_are_right_or_not_known(store: Store, recording: str) -> None:
    store.writer.insert([request_of(HERE, recording)])
    found = [number for _, numbers in numbers_of(scenarios_of(HERE, recording), store.reader) for number in numbers]
    wrong = {f"{recording} {one.scenario.name} {one.name}" for one in found if one.outcome == WRONG}
    assert wrong == {line for line in BEYOND if line.startswith(f"{recording} ")}


COUNTED = {
    Thing.INPUT_TOKENS: "input",
    Thing.OUTPUT_TOKENS: "output",
    Thing.REASONING_TOKENS: "reasoning",
    Thing.COST: "cost",
}
PLACES = [
    (source.name, place)
    for source in SOURCES
    for place in source.places
    if place.thing in COUNTED or place.thing is Thing.KIND
]


def written(place: Place, value: object) -> str:
    """The text of an attribute that holds a value in a place."""
    if not place.path:
        return json.dumps(value) if place.form is Form.JSON else str(value)
    for step in reversed(place.path):
        value = {step: value}
    return str(value) if place.form is Form.PYTHON else json.dumps(value)


def read(store: Store, attributes: dict[str, str], what: str) -> object:
    """A part of what the store makes of a span with these attributes."""
    number = read.number = getattr(read, "number", 0) + 1  # type: ignore[attr-defined]
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id = number.to_bytes(16, "big"), number.to_bytes(8, "big")
    span.start_time_unix_nano, span.end_time_unix_nano = 10**18, 10**18 + 10**9
    for key, value in {"logged_model.id": "v1", **attributes}.items():
        attribute = span.attributes.add(key=key)
        attribute.value.string_value = value
    store.writer.insert([request.SerializeToString()])
    (row,) = store.reader._database.query(
        f"SELECT LoggedModelCall.{what} AS found FROM {TABLE} WHERE TraceId = {{trace:String}}",
        {"trace": span.trace_id.hex()},
    )
    return row["found"]


@pytest.mark.parametrize(("source", "place"), PLACES, ids=[f"{s}-{p.attribute}-{p.thing}" for s, p in PLACES])
def test_every_place_of_the_table_is_read(store: Store, source: str, place: Place) -> None:
    if place.thing is Thing.KIND:
        value, kind = next(iter(place.kinds.items()))
        assert read(store, {place.attribute: written(place, value)}, "kind") == str(kind)
    else:
        assert read(store, {place.attribute: written(place, 17)}, COUNTED[place.thing]) == 17


BAD = ["-5", "NaN", "Infinity", "-Infinity", "9223372036854775807", "99999999999999999999", "[17]", '{"a": 17}', "many"]


@pytest.mark.parametrize("bad", BAD)
def test_a_count_that_cannot_be_takes_nothing_with_it(store: Store, bad: str) -> None:
    said = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": bad, "gen_ai.usage.output_tokens": "7"}
    assert read(store, said, "input") == 0
    assert read(store, said, "output") == 7
    assert read(store, {**said, "llm.token_count.prompt": "9"}, "input") == 9


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "inf", "-1", "[1]", "free"])
def test_a_cost_that_cannot_be_is_not_stated(store: Store, bad: str) -> None:
    assert read(store, {"gen_ai.usage.cost": bad}, "cost") == 0
    assert read(store, {"gen_ai.usage.cost": bad, "operation.cost": "0.5"}, "cost") == 0.5


@pytest.mark.parametrize("bad", ['{"usage": {"inputTokens": 1', "[]", "null", '"text"', ""])
def test_json_that_is_cut_or_something_else_holds_nothing(store: Store, bad: str) -> None:
    assert read(store, {"genkit:output": bad, "gen_ai.usage.output_tokens": "3"}, "input") == 0


def test_a_list_is_no_name(store: Store) -> None:
    said = {"gen_ai.operation.name": "chat", "gen_ai.response.model": '["gpt-4o"]', "gen_ai.request.model": "o3"}
    assert read(store, said, "llm") == "/o3"


def test_usage_on_a_span_that_is_no_call_is_that_of_a_sum(store: Store) -> None:
    said = {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": "5"}
    assert (read(store, said, "kind"), read(store, said, "input")) == (str(Kind.AGENT), 5)


def test_cached_tokens_beside_the_input_are_added(store: Store) -> None:
    """They are beside it where there are more of them, or where the total has them so."""
    beside = {
        "gen_ai.usage.input_tokens": "3",
        "gen_ai.usage.cache_read.input_tokens": "7917",
        "gen_ai.usage.cache_write.input_tokens": "350",
    }
    assert read(store, beside, "input") == 3 + 7917 + 350
    total = {"llm.token_count.prompt": "5000", "llm.token_count.prompt_details.cache_read": "4000"}
    assert read(store, {**total, "llm.token_count.completion": "10", "llm.token_count.total": "9010"}, "input") == 9000
    assert read(store, {**total, "llm.token_count.completion": "10", "llm.token_count.total": "5010"}, "input") == 5000


@pytest.mark.parametrize("key", ["gen_ai.input.messages", "input.value", "output.value", "gen_ai.prompt"])
def test_a_recording_has_no_texts(key: str) -> None:
    for path in Path(HERE).glob("*.json"):
        assert f'"{key}"' not in path.read_text(encoding="utf-8")
