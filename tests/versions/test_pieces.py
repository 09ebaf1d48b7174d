# SPDX-License-Identifier: Apache-2.0
"""Records that are too large for what backends keep: in pieces over real OTLP encoding, and whole again."""

import dataclasses
import hashlib
import json
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from otel_loggedmodel.versions import identity, records
from otel_loggedmodel.versions.arriving import Arrived, events_of
from otel_loggedmodel.versions.model import LoggedModelStatus, ModelEvent
from otel_loggedmodel.versions.pieces import MAX_ATTRIBUTES, MAX_VALUE_BYTES
from otlp_receiver import spans_of

RESOURCE = Resource({"service.name": "shop"})
MODEL = "m-0123456789abcdef0123456789abcdef"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
# Characters of one to four bytes, so that every length of a cut is tried.
long_texts = st.builds(
    lambda text, times: text * times,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=7),
    st.integers(300, 9000),
)
mappings = st.dictionaries(keys, texts | long_texts, max_size=5)
many = st.builds(lambda count, text: {f"k{i}": text for i in range(count)}, st.integers(20, 90), texts)
events = st.builds(
    ModelEvent,
    kind=st.sampled_from(["created", "updated"]),
    model_id=st.just(MODEL) | keys,
    time_ns=st.integers(10**9, 2**62),
    span_id=st.integers(1, 2**64 - 1),
    name=st.none() | keys,
    experiment_id=st.none() | keys,
    model_type=st.none() | keys,
    source_run_id=st.none() | keys,
    status=st.none() | st.sampled_from(list(LoggedModelStatus)),
    params=mappings | many,
    tags=mappings | many,
    tags_deleted=st.lists(st.text(max_size=200, alphabet="abcé"), max_size=60, unique=True).map(tuple),
)


def proper(event: ModelEvent) -> ModelEvent:
    """The event as it can be: a creation's span follows from its id and takes nothing away."""
    if event.kind == "created":
        return dataclasses.replace(event, span_id=None, tags_deleted=())
    return dataclasses.replace(event, tags_deleted=tuple(key for key in event.tags_deleted if key not in event.tags))


def arrived(spans: Sequence[ReadableSpan], *, as_texts: bool = False) -> list[Arrived]:
    """What a receiver of OTLP makes of them; with texts alone, as ClickHouse's map of attributes has."""
    found = spans_of(encode_spans(spans))
    return [
        Arrived(in_texts(span.attributes) if as_texts else span.attributes, span.start_ns, int(span.span_id, 16))
        for span in found
    ]


def in_texts(values: Mapping[str, object]) -> dict[str, str]:
    return {
        name: json.dumps(list(value)) if isinstance(value, list | tuple) else str(value)
        for name, value in values.items()
    }


@given(events, st.booleans(), st.randoms(use_true_random=False))
def test_an_event_of_any_size_comes_back_from_copies_in_any_order(
    event: ModelEvent, as_texts: bool, rng: random.Random
) -> None:
    event = proper(event)
    found = arrived(records.spans_of(event, RESOURCE), as_texts=as_texts)
    again = arrived(records.spans_of(event, RESOURCE, event.time_ns + 10**12), as_texts=as_texts)
    copies = [*found, *rng.sample(again, rng.randint(0, len(again)))]
    rng.shuffle(copies)
    folded = records.fold(events_of(copies))[event.model_id]
    assert folded == records.fold([event])[event.model_id]
    (whole,) = events_of(found)
    assert dataclasses.replace(whole, tags_deleted=()) == dataclasses.replace(event, tags_deleted=())
    assert set(whole.tags_deleted) == set(event.tags_deleted)


@given(events, st.data())
def test_what_has_not_arrived_is_never_taken_for_a_whole_value(event: ModelEvent, data: st.DataObject) -> None:
    event = proper(event)
    spans = arrived(records.spans_of(event, RESOURCE))
    kept = data.draw(st.lists(st.sampled_from(spans), unique_by=id))
    for read in events_of(kept):
        pairs = [(event.params[key], value) for key, value in read.params.items()]
        pairs += [(event.tags[key], value) for key, value in read.tags.items()]
        for original, value in pairs:
            if value != original:
                shown, _, said = value.rpartition("… [cut: ")
                assert original.startswith(shown)
                assert said.endswith(f"sha256 {hashlib.sha256(original.encode()).hexdigest()[:12]}]")


@given(events)
def test_no_span_has_more_than_common_backends_keep(event: ModelEvent) -> None:
    event = proper(event)
    first, *others = records.spans_of(event, RESOURCE)
    for span in (first, *others):
        assert len(span.attributes or {}) <= MAX_ATTRIBUTES
        for value in (span.attributes or {}).values():
            if isinstance(value, str):
                assert len(value.encode()) <= MAX_VALUE_BYTES
            if isinstance(value, tuple):
                assert len(json.dumps(value, ensure_ascii=False)) <= MAX_VALUE_BYTES + 1000
        assert span.end_time == span.start_time + 1000
        assert span.context.trace_id == first.context.trace_id
    assert {span.parent.span_id for span in others} <= {first.context.span_id}
    assert len({span.context.span_id for span in (first, *others)}) == 1 + len(others)


@given(events)
def test_a_small_record_is_one_span_and_the_same_as_it_always_was(event: ModelEvent) -> None:
    event = proper(dataclasses.replace(event, params={"k": "v"}, tags={"t": "ü" * 1000}, tags_deleted=("gone",)))
    (span,) = records.spans_of(event, RESOURCE)
    assert span.attributes == records.span_of(event, RESOURCE).attributes


def test_a_version_is_the_same_spans_from_every_process() -> None:
    event = ModelEvent("created", MODEL, 5 * 10**18, name="agent", params={"prompt": "be kind " * 5000})
    other = dataclasses.replace(event, time_ns=event.time_ns + 10**12)
    ids = [[span.context.span_id for span in records.spans_of(one, RESOURCE)] for one in (event, other)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 1 + 1  # 20 pieces of 2,000 bytes, of which the record itself has one


def test_the_beginning_of_a_long_value_stands_in_the_record() -> None:
    prompt = "x" * 1999 + "üü" + "y" * 3000
    first, *others = records.spans_of(ModelEvent("created", MODEL, 1, params={"prompt": prompt}), RESOURCE)
    digest = f"sha256:{hashlib.sha256(prompt.encode()).hexdigest()}:{len(prompt.encode())}"
    assert first.attributes["logged_model.param.prompt"] == "x" * 1999
    assert first.attributes["logged_model.digest.param.prompt"] == digest
    (rest,) = others
    assert rest.name == "logged_model.continued"
    assert {name: value for name, value in rest.attributes.items() if "piece" in name or "continue" in name} == {
        "logged_model.continues": f"{identity.root_span_id_of(MODEL):016x}",
        "logged_model.piece.of": "param.prompt",
        "logged_model.piece.digest": digest,
        "logged_model.piece.first": 1,
        "logged_model.piece.0": "üü" + "y" * 1996,
        "logged_model.piece.1": "y" * 1004,
    }


def test_a_record_that_is_whole_and_one_in_pieces_are_the_same_version() -> None:
    event = ModelEvent("created", MODEL, 10**18, name="agent", params={"prompt": "z" * 70_000, "llm": "small"})
    old = records.span_of(event, RESOURCE)
    new = records.spans_of(event, RESOURCE, event.time_ns + 10**15)
    for spans in ([old, *new], [*new, old], [old, new[0]]):
        folded = records.fold(events_of(arrived(spans)))[MODEL].model
        assert dict(folded.params) == dict(event.params)


def test_a_copy_that_a_backend_has_cut_does_not_spoil_one_that_is_whole() -> None:
    event = ModelEvent("created", MODEL, 10**18, params={"prompt": "z" * 5000})
    spans = arrived(records.spans_of(event, RESOURCE))
    cut = [
        span._replace(values={name: value[:64] if "piece.0" in name else value for name, value in span.values.items()})
        for span in spans[1:]
    ]
    for copies in ([*cut, *spans], [*spans, *cut]):
        assert [read.params["prompt"] for read in events_of(copies)] == ["z" * 5000]


def test_two_long_values_with_the_same_beginning_differ_when_both_are_cut() -> None:
    shown = []
    for end in ("a", "b"):
        event = ModelEvent("created", MODEL, 10**18, params={"prompt": "z" * 5000 + end})
        (read,) = events_of(arrived(records.spans_of(event, RESOURCE)[:1]))
        shown.append(read.params["prompt"])
    assert shown[0] != shown[1]
    assert all("[cut: 2,000 of 5,001 bytes arrived" in text for text in shown)


def test_what_continues_a_lost_record_still_shows() -> None:
    event = ModelEvent("created", MODEL, 10**18, name="agent", params={f"k{i:02}": "v" for i in range(60)})
    _, *others = records.spans_of(event, RESOURCE)
    model = records.fold(events_of(arrived(others)))[MODEL].model
    assert model.name is None
    assert {"k40": "v", "k59": "v"}.items() <= model.params.items()


@pytest.mark.parametrize(
    "values",
    [
        {"logged_model.digest.param.k": 7},
        {"logged_model.digest.param.k": "sha256:abc"},
        {"logged_model.digest.param.": f"sha256:{'0' * 64}:9"},
        {"logged_model.digest.name": f"sha256:{'0' * 64}:9"},
        {"logged_model.event": "continued", "logged_model.piece.digest": "x", "logged_model.piece.first": "one"},
        {"logged_model.event": "continued", "logged_model.piece.digest": "x", "logged_model.piece.first": -3},
        {"logged_model.event": "continued", "logged_model.continues": ["x"], "logged_model.param.k": 7},
        {"logged_model.event": "continued", "logged_model.id": 3},
        {"logged_model.event": "continued"},
    ],
)
def test_attributes_that_make_no_sense_do_no_harm(values: dict[str, object]) -> None:
    common = {"logged_model.event": "created", "logged_model.id": MODEL, "logged_model.name": "agent"}
    sound = Arrived({**common, "logged_model.param.k": "v"}, 5, 7)
    odd = Arrived({**common, **values}, 6, 8)
    for spans in ([sound, odd], [odd, sound]):
        assert records.fold(events_of(spans))[MODEL].model.params["k"] == "v"
