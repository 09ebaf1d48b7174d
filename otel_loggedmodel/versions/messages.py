# SPDX-License-Identifier: Apache-2.0
"""Models and their events as protocol buffers, for programs that exchange them without OTLP.

The messages are described in `proto/otel_loggedmodel/v1/`. What is parsed comes from elsewhere. Bytes that are no such
message, and a message without an id, are refused with a `ValueError`.
"""

from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from otel_loggedmodel._checking import check_name, check_texts
from otel_loggedmodel.v1 import logged_model_pb2, model_event_pb2
from otel_loggedmodel.versions.model import EventKind, LoggedModel, LoggedModelStatus, ModelEvent

M = TypeVar("M", bound=Message)

_STATUSES: Final = {
    LoggedModelStatus.PENDING: logged_model_pb2.LOGGED_MODEL_STATUS_PENDING,
    LoggedModelStatus.READY: logged_model_pb2.LOGGED_MODEL_STATUS_READY,
    LoggedModelStatus.FAILED: logged_model_pb2.LOGGED_MODEL_STATUS_FAILED,
    LoggedModelStatus.FAILED_REGISTRATION: logged_model_pb2.LOGGED_MODEL_STATUS_FAILED_REGISTRATION,
}
_KINDS: Final[dict[EventKind, model_event_pb2.ModelEventKind]] = {
    "created": model_event_pb2.MODEL_EVENT_KIND_CREATED,
    "updated": model_event_pb2.MODEL_EVENT_KIND_UPDATED,
    "activated": model_event_pb2.MODEL_EVENT_KIND_ACTIVATED,
    "deleted": model_event_pb2.MODEL_EVENT_KIND_DELETED,
}
_STATUS_OF: Final = {number: status for status, number in _STATUSES.items()}
_KIND_OF: Final = {number: kind for kind, number in _KINDS.items()}


def encode_model(model: LoggedModel) -> bytes:
    """A model as an `otel_loggedmodel.v1.LoggedModel`."""
    return logged_model_pb2.LoggedModel(
        model_id=model.model_id,
        name=model.name,
        experiment_id=model.experiment_id,
        creation_timestamp=model.creation_timestamp,
        last_updated_timestamp=model.last_updated_timestamp,
        model_type=model.model_type,
        source_run_id=model.source_run_id,
        status=_STATUSES[model.status],
        tags=dict(model.tags),
        params=dict(model.params),
    ).SerializeToString(deterministic=True)


def decode_model(data: bytes) -> LoggedModel:
    """The model in an `otel_loggedmodel.v1.LoggedModel`.

    Raises:
        ValueError: The bytes are no such message, or it has no id, or a text that no model can have.
    """
    message = _parsed(logged_model_pb2.LoggedModel, data)
    return LoggedModel(
        model_id=check_name(message.model_id, "model_id"),
        name=check_name(message.name) if message.HasField("name") else None,
        experiment_id=message.experiment_id or "0",
        creation_timestamp=message.creation_timestamp,
        last_updated_timestamp=message.last_updated_timestamp,
        model_type=message.model_type if message.HasField("model_type") else None,
        source_run_id=message.source_run_id if message.HasField("source_run_id") else None,
        status=_STATUS_OF.get(message.status, LoggedModelStatus.READY),
        tags=check_texts(message.tags, "tags"),
        params=check_texts(message.params, "params"),
    )


def encode_event(event: ModelEvent) -> bytes:
    """An event as an `otel_loggedmodel.v1.ModelEvent`."""
    return model_event_pb2.ModelEvent(
        kind=_KINDS[event.kind],
        model_id=event.model_id,
        time_unix_nano=event.time_ns,
        span_id=None if event.span_id is None else event.span_id.to_bytes(8, "big"),
        name=event.name,
        experiment_id=event.experiment_id,
        model_type=event.model_type,
        source_run_id=event.source_run_id,
        status=None if event.status is None else _STATUSES[event.status],
        params=dict(event.params),
        tags=dict(event.tags),
        tags_deleted=event.tags_deleted,
    ).SerializeToString(deterministic=True)


def decode_event(data: bytes) -> ModelEvent:
    """The event in an `otel_loggedmodel.v1.ModelEvent`.

    Raises:
        ValueError: The bytes are no such message, or it has no id or kind, or a text that no model can have.
    """
    message = _parsed(model_event_pb2.ModelEvent, data)
    kind = _KIND_OF.get(message.kind)
    if kind is None:
        raise ValueError(f"not a ModelEvent that this version knows: its kind is {message.kind}")
    if message.HasField("span_id") and len(message.span_id) != 8:
        raise ValueError(f"not a ModelEvent: its span id has {len(message.span_id)} bytes instead of 8")
    return ModelEvent(
        kind=kind,
        model_id=check_name(message.model_id, "model_id"),
        time_ns=message.time_unix_nano,
        span_id=int.from_bytes(message.span_id, "big") if message.HasField("span_id") else None,
        name=message.name if message.HasField("name") else None,
        experiment_id=message.experiment_id if message.HasField("experiment_id") else None,
        model_type=message.model_type if message.HasField("model_type") else None,
        source_run_id=message.source_run_id if message.HasField("source_run_id") else None,
        status=_STATUS_OF.get(message.status),
        params=check_texts(message.params, "params"),
        tags=check_texts(message.tags, "tags"),
        tags_deleted=tuple(message.tags_deleted),
    )


def _parsed(kind: type[M], data: bytes) -> M:
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ValueError(f"these {len(data)} bytes are not an otel_loggedmodel.v1.{kind.__name__}: {error}") from None
    return message
