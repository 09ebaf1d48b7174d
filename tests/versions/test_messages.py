# SPDX-License-Identifier: Apache-2.0
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.v1 import comparison_pb2, logged_model_pb2, model_event_pb2, span_link_pb2
from otel_loggedmodel.versions import messages
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus, ModelEvent

from .test_records import events, keys, mappings

names = st.from_regex(r"[a-z🚀ü/:.-]{1,20}", fullmatch=True)
models = st.builds(
    LoggedModel,
    model_id=names,
    name=st.none() | names,
    experiment_id=keys,
    creation_timestamp=st.integers(0, 2**50),
    last_updated_timestamp=st.integers(0, 2**50),
    model_type=st.none() | keys,
    source_run_id=st.none() | keys,
    status=st.sampled_from(list(LoggedModelStatus)),
    tags=mappings,
    params=mappings,
)


@given(models)
def test_a_model_comes_back_as_it_was(model: LoggedModel) -> None:
    assert messages.decode_model(messages.encode_model(model)) == model


@given(events, names)
def test_an_event_comes_back_as_it_was(event: ModelEvent, name: str) -> None:
    assert messages.decode_event(messages.encode_event(event)) == event


@given(st.binary(max_size=200))
def test_bytes_that_are_not_ours_are_refused_and_nothing_else_happens(data: bytes) -> None:
    for decode in (messages.decode_model, messages.decode_event):
        with contextlib.suppress(ValueError):  # and no other exception
            assert decode(data).model_id


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "model_id is empty"),
        (b"not protobuf at all", "these 19 bytes are not an otel_loggedmodel.v1.LoggedModel"),
        (
            span_link_pb2.SpanLink(trace_id=b"\xff" * 16, span_id=b"\xff" * 8).SerializeToString(),
            "not an otel_loggedmodel",
        ),
        (logged_model_pb2.LoggedModel(model_id="a\nb").SerializeToString(), "control character"),
        (logged_model_pb2.LoggedModel(model_id="m", tags={"": "x"}).SerializeToString(), "key of 0 characters"),
    ],
)
def test_models_that_cannot_be(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        messages.decode_model(data)


def test_events_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="its kind is 0"):
        messages.decode_event(model_event_pb2.ModelEvent(model_id="m").SerializeToString())
    with pytest.raises(ValueError, match="its kind is 99"):
        messages.decode_event(model_event_pb2.ModelEvent(model_id="m", kind=99).SerializeToString())
    short = model_event_pb2.ModelEvent(model_id="m", kind="MODEL_EVENT_KIND_UPDATED", span_id=b"123")
    with pytest.raises(ValueError, match="3 bytes instead of 8"):
        messages.decode_event(short.SerializeToString())


def test_a_status_of_a_newer_version_is_taken_as_ready() -> None:
    data = logged_model_pb2.LoggedModel(model_id="m", status=77).SerializeToString()
    assert messages.decode_model(data).status is LoggedModelStatus.READY


def test_a_comparison_tells_absent_from_zero() -> None:
    known = comparison_pb2.VersionMetrics(model_id="m", cost_usd=0.0)
    unknown = comparison_pb2.VersionMetrics(model_id="m")
    assert known.HasField("cost_usd")
    assert not unknown.HasField("cost_usd")
    assert comparison_pb2.Difference().verdict == comparison_pb2.Difference.unknown
