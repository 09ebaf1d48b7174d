# SPDX-License-Identifier: Apache-2.0
"""What real frameworks sent is counted as it was; what their spans do not say is not made up.

`counted/beyond_the_spans.txt` lists the numbers that nothing in the spans tells from others: of a scenario whose only
span is one of the application, as its instrumentation does nothing there, nobody can tell that a model was called.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clickhouse_server import ClickHouseServer
from conventions.scoring import HERE, RECORDED, WRONG, names_of, numbers_of, request_of, scenarios_of
from effort import IS_FULL
from otel_loggedmodel.conventions.shape import Form, Place
from otel_loggedmodel.conventions.table import SOURCES
from otel_loggedmodel.conventions.things import Kind, Thing
from otel_loggedmodel.store.counted import TABLE
from otel_loggedmodel.store.opening import Store
from store.conftest import empty_store, filled

BEYOND = frozenset((HERE / "beyond_the_spans.txt").read_text(encoding="utf-8").splitlines())


@pytest.fixture(scope="module")
def store(clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    with empty_store(clickhouse_server) as opened:
        yield opened


# Those of `make record` have texts, the others numbers alone.
FOLDERS = {name: folder for folder in (HERE, RECORDED) for name in names_of(folder)}
RECORDINGS = list(FOLDERS)
# What is compared with what: each recording by itself, or all of them at once.
TOGETHER = [[name] for name in RECORDINGS] if IS_FULL else [RECORDINGS]


@pytest.fixture(scope="module")
def wrong(clickhouse_server: ClickHouseServer) -> set[str]:
    """What is wrong in the answers about all recordings."""
    with filled(clickhouse_server, [request_of(folder, name) for name, folder in FOLDERS.items()]) as reader:
        found = [
            number
            for names in TOGETHER
            for _, numbers in numbers_of([one for name in names for one in scenarios_of(FOLDERS[name], name)], reader)
            for number in numbers
        ]
    return {f"{one.scenario.recording} {one.scenario.name} {one.name}" for one in found if one.outcome == WRONG}


@pytest.mark.parametrize("recording", RECORDINGS)
def test_numbers_of_a_recording_are_right_or_not_known(wrong: set[str], recording: str) -> None:
    of_it = f"{recording} "
    assert {line for line in wrong if line.startswith(of_it)} == {line for line in BEYOND if line.startswith(of_it)}


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


CALL = {"gen_ai.operation.name": "chat"}


def written(place: Place, value: object) -> str:
    """The text of an attribute that holds a value in a place."""
    if not place.path:
        return json.dumps(value) if place.form is Form.JSON else str(value)
    for step in reversed(place.path):
        value = {step: value}
    return str(value) if place.form is Form.PYTHON else json.dumps(value)


READ = ("kind", "llm", "input", "output", "reasoning", "cost")


def read_all(store: Store, said: Sequence[Mapping[str, str]]) -> list[dict[str, object]]:
    """What the store makes of a span with these attributes, of each of them."""
    earlier = read_all.number = getattr(read_all, "number", 0) + 1  # type: ignore[attr-defined]
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, attributes in enumerate(said, 1):
        span = spans.add(trace_id=earlier.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"))
        span.start_time_unix_nano, span.end_time_unix_nano = 10**18 + number, 10**18 + 10**9
        for key, value in {"logged_model.id": "v1", **attributes}.items():
            span.attributes.add(key=key).value.string_value = value
    store.writer.insert([request.SerializeToString()])
    parts = ", ".join(f"LoggedModelCall.{part} AS {part}" for part in READ)
    return store.reader._database.query(
        f"SELECT {parts} FROM {TABLE} WHERE TraceId = {{trace:String}} ORDER BY Timestamp", {"trace": f"{earlier:032x}"}
    )


def read(store: Store, attributes: Mapping[str, str], what: str) -> object:
    """A part of what the store makes of a span with these attributes."""
    (found,) = read_all(store, [attributes])
    return found[what]


@pytest.fixture(scope="module")
def found_in_places(store: Store) -> list[dict[str, object]]:
    """What is found of a span for each place, with one value in it."""
    values = [next(iter(place.kinds)) if place.thing is Thing.KIND else 17 for _, place in PLACES]
    return read_all(
        store,
        [
            {**({} if place.thing is Thing.KIND else CALL), place.attribute: written(place, value)}
            for (_, place), value in zip(PLACES, values, strict=True)
        ],
    )


@pytest.mark.parametrize("number", range(len(PLACES)), ids=[f"{s}-{p.attribute}-{p.thing}" for s, p in PLACES])
def test_every_place_of_the_table_is_read(found_in_places: list[dict[str, object]], number: int) -> None:
    _, place = PLACES[number]
    if place.thing is Thing.KIND:
        assert found_in_places[number]["kind"] == str(next(iter(place.kinds.values())))
    else:
        assert found_in_places[number][COUNTED[place.thing]] == 17


BAD = ["-5", "NaN", "Infinity", "-Infinity", "9223372036854775807", "99999999999999999999", "[17]", '{"a": 17}', "many"]


@pytest.mark.parametrize("bad", BAD)
def test_a_count_that_cannot_be_takes_nothing_with_it(store: Store, bad: str) -> None:
    said = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": bad, "gen_ai.usage.output_tokens": "7"}
    alone, beside_another = read_all(store, [said, {**said, "llm.token_count.prompt": "9"}])
    assert (alone["input"], alone["output"]) == (0, 7)
    assert beside_another["input"] == 9


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "inf", "-1", "[1]", "free"])
def test_a_cost_that_cannot_be_is_not_stated(store: Store, bad: str) -> None:
    alone, beside_another = read_all(
        store, [{"gen_ai.usage.cost": bad}, {"gen_ai.usage.cost": bad, "operation.cost": "0.5"}]
    )
    assert (alone["cost"], beside_another["cost"]) == (0, 0.5)


@pytest.mark.parametrize("bad", ['{"usage": {"inputTokens": 1', "[]", "null", '"text"', ""])
def test_json_that_is_cut_or_something_else_holds_nothing(store: Store, bad: str) -> None:
    assert read(store, {"genkit:output": bad, "gen_ai.usage.output_tokens": "3"}, "input") == 0


def test_a_list_is_no_name(store: Store) -> None:
    said = {"gen_ai.operation.name": "chat", "gen_ai.response.model": '["gpt-4o"]', "gen_ai.request.model": "o3"}
    assert read(store, said, "llm") == "/o3"


def test_usage_on_a_span_that_is_no_call_is_that_of_a_sum(store: Store) -> None:
    said = {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": "5"}
    (found,) = read_all(store, [said])
    assert (found["kind"], found["input"]) == (str(Kind.AGENT), 5)


def test_what_an_application_counts_itself_is_no_usage(store: Store) -> None:
    bare = {"input_tokens": "5", "output_tokens": "3"}
    alone, with_kind, with_model = read_all(store, [bare, {**bare, **CALL}, {**bare, "gen_ai.request.model": "gpt-4o"}])
    assert (alone["input"], alone["output"]) == (0, 0)
    assert (with_kind["input"], with_model["input"]) == (5, 5)


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
