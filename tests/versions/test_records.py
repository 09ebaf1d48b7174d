# SPDX-License-Identifier: Apache-2.0
"""A model's events as spans, over real OTLP encoding, and back into the model."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource

import otel_loggedmodel as mlflow
from otel_loggedmodel.versions import identity, records
from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.model import LoggedModelStatus, ModelEvent
from otlp_receiver import spans_of

RESOURCE = Resource({"service.name": "shop"})
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
mappings = st.dictionaries(keys, texts, max_size=4)


def over_the_wire(event: ModelEvent, time_ns: int | None = None) -> ModelEvent | None:
    (span,) = spans_of(encode_spans([records.span_of(event, RESOURCE, time_ns)]))
    return records.event_of(span.attributes, span.start_ns, int(span.span_id, 16))


def history() -> list[ModelEvent]:
    return [event for _, event in catalogue.events_after(0)]


events = st.builds(
    ModelEvent,
    kind=st.sampled_from(["created", "updated", "activated", "deleted"]),
    model_id=st.builds(identity.reference_to, keys, keys),
    time_ns=st.integers(1, 2**62),
    span_id=st.integers(1, 2**64 - 1),
    name=st.none() | keys,
    experiment_id=st.none() | keys,
    model_type=st.none() | keys,
    source_run_id=st.none() | keys,
    status=st.none() | st.sampled_from(list(LoggedModelStatus)),
    params=mappings,
    tags=mappings,
    tags_deleted=st.lists(keys, max_size=3).map(tuple),
)


@given(events)
def test_an_event_comes_back_from_the_wire_as_it_was(event: ModelEvent) -> None:
    if event.kind == "created":
        event = dataclasses.replace(event, span_id=None)
    assert over_the_wire(event) == event


@given(events)
def test_a_repeated_event_keeps_its_time_to_the_millisecond(event: ModelEvent) -> None:
    again = over_the_wire(event, time_ns=event.time_ns + 10**15)
    assert again is not None
    assert again.time_ns == event.time_ns // 1_000_000 * 1_000_000


def test_a_created_record_has_what_the_format_says() -> None:
    model = mlflow.create_external_model(
        "agent", model_type="rag", params={"k": "v"}, tags={"t": "u"}, source_run_id="r", experiment_id="e"
    )
    span = records.span_of(history()[0], RESOURCE)
    assert span.attributes == {
        "logged_model.event": "created",
        "logged_model.id": model.model_id,
        "logged_model.name": "agent",
        "logged_model.experiment_id": "e",
        "logged_model.type": "rag",
        "logged_model.source_run_id": "r",
        "logged_model.status": "READY",
        "logged_model.created_at": model.creation_timestamp,
        "logged_model.param.k": "v",
        "logged_model.tag.t": "u",
        "sampling.priority": 1,
    }
    assert f"{span.context.trace_id:032x}" == model.model_id[2:]
    assert span.context.span_id == identity.root_span_id_of(model.model_id)
    assert span.context.trace_flags.sampled
    assert span.context.trace_state.to_header() == "ot=rv:ffffffffffffff"
    assert span.parent is None
    assert (span.name, span.resource) == ("logged_model.created", RESOURCE)


def test_other_records_are_children_of_the_root_with_only_what_changed() -> None:
    model = mlflow.create_external_model("agent", params={"k": "v"}, tags={"gone": "1", "same": "1"})
    mlflow.log_model_params({"l": "w", "k": "v"}, model.model_id)
    mlflow.set_logged_model_tags(model.model_id, {"new": "2", "same": "1"})
    mlflow.delete_logged_model_tag(model.model_id, "gone")
    mlflow.finalize_logged_model(model.model_id, "FAILED")
    mlflow.set_active_model(model_id=model.model_id)
    mlflow.delete_logged_model(model.model_id)
    root, *rest = [records.span_of(event, RESOURCE) for event in history()]
    own = [
        {key.removeprefix("logged_model."): value for key, value in span.attributes.items() if "time" not in key}
        for span in rest
    ]
    common = {"id": model.model_id, "sampling.priority": 1}
    assert own == [
        {"event": "updated", "param.l": "w", **common},
        {"event": "updated", "tag.new": "2", **common},
        {"event": "updated", "tags_deleted": ("gone",), **common},
        {"event": "updated", "status": "FAILED", **common},
        {"event": "activated", "name": "agent", **common},
        {"event": "deleted", **common},
    ]
    assert {(span.parent.trace_id, span.parent.span_id) for span in rest} == {
        (root.context.trace_id, root.context.span_id)
    }
    assert len({span.context.span_id for span in (root, *rest)}) == 7


def test_a_zero_revision_is_marked_as_a_reference_by_name() -> None:
    mlflow.set_active_model("agent")
    mlflow.create_external_model("agent", params={"k": "v"})
    created = [records.span_of(event, RESOURCE) for event in history() if event.kind == "created"]
    assert [span.attributes.get("logged_model.reference") for span in created] == ["name", None]


def test_folding_gives_back_the_model_that_went_in() -> None:
    model = mlflow.create_external_model("agent", params={"k": "v"}, tags={"a": "1", "b": "1"}, model_type="rag")
    mlflow.log_model_params({"l": "w"}, model.model_id)
    mlflow.set_logged_model_tags(model.model_id, {"a": "2", "c": "3"})
    mlflow.delete_logged_model_tag(model.model_id, "b")
    mlflow.set_logged_model_tags(model.model_id, {"c": "4"})
    mlflow.finalize_logged_model(model.model_id, "PENDING")
    mlflow.set_active_model(model_id=model.model_id)
    arrived = [over_the_wire(event) for event in history()]
    arrived += [over_the_wire(event, event.time_ns + 10**13) for event in history()]
    for seed in range(20):
        random.Random(seed).shuffle(arrived)
        folded = records.fold(arrived)[model.model_id]
        assert folded.model == mlflow.get_logged_model(model.model_id)
        assert not folded.deleted
        assert len(folded.activations) == 1


def test_a_deleted_model_stays_deleted_until_it_is_created_again() -> None:
    model = mlflow.create_external_model("agent", params={"k": "v"})
    mlflow.delete_logged_model(model.model_id)
    repeated = records.event_of(
        records.span_of(history()[0], RESOURCE, time_ns=history()[-1].time_ns + 10**12).attributes, 10**19
    )
    assert records.fold([*history(), repeated])[model.model_id].deleted
    assert mlflow.create_external_model("agent", params={"k": "v"}).model_id == model.model_id
    assert not records.fold(history())[model.model_id].deleted


def test_the_earliest_creation_counts() -> None:
    mlflow.create_external_model("agent", params={"k": "v"})
    (event,) = history()
    later = dataclasses.replace(event, time_ns=event.time_ns + 10**12)
    folded = records.fold([later, event])[event.model_id].model
    assert folded.creation_timestamp == event.time_ns // 1_000_000


def test_events_of_a_model_that_was_never_announced_still_show() -> None:
    mlflow.set_logged_model_tags("made-elsewhere", {"t": "1"})
    mlflow.set_active_model(name="agent", model_id="made-elsewhere")
    model = records.fold(history())["made-elsewhere"].model
    assert (model.name, dict(model.tags), model.creation_timestamp) == ("agent", {"t": "1"}, 0)


def test_attributes_as_a_store_of_texts_keeps_them_are_understood() -> None:
    event = records.event_of(
        {
            "logged_model.event": "updated",
            "logged_model.id": "m",
            "logged_model.event_time": "1700000000000",
            "logged_model.tags_deleted": '["a","b"]',
        },
        5,
        7,
    )
    assert event is not None
    assert (event.time_ns, event.tags_deleted) == (1_700_000_000_000_000_000, ("a", "b"))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"logged_model.event": "created"},
        {"logged_model.event": "exploded", "logged_model.id": "m"},
        {"logged_model.event": "created", "logged_model.id": ""},
        {"logged_model.event": ["created"], "logged_model.id": 3},
    ],
)
def test_spans_that_carry_no_event_are_none(attributes: dict[str, object]) -> None:
    assert records.event_of(attributes, 0) is None


def test_values_that_make_no_sense_are_left_out() -> None:
    event = records.event_of(
        {
            "logged_model.event": "created",
            "logged_model.id": "m",
            "logged_model.created_at": "yesterday",
            "logged_model.status": "DONE",
            "logged_model.name": 7,
            "logged_model.tags_deleted": "{broken",
        },
        5,
    )
    assert event == ModelEvent(kind="created", model_id="m", time_ns=5)
