from otel_loggedmodel.v1 import logged_model_pb2 as _logged_model_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_EVENT_KIND_UNSPECIFIED: _ClassVar[ModelEventKind]
    MODEL_EVENT_KIND_CREATED: _ClassVar[ModelEventKind]
    MODEL_EVENT_KIND_UPDATED: _ClassVar[ModelEventKind]
    MODEL_EVENT_KIND_ACTIVATED: _ClassVar[ModelEventKind]
    MODEL_EVENT_KIND_DELETED: _ClassVar[ModelEventKind]
MODEL_EVENT_KIND_UNSPECIFIED: ModelEventKind
MODEL_EVENT_KIND_CREATED: ModelEventKind
MODEL_EVENT_KIND_UPDATED: ModelEventKind
MODEL_EVENT_KIND_ACTIVATED: ModelEventKind
MODEL_EVENT_KIND_DELETED: ModelEventKind

class ModelEvent(_message.Message):
    __slots__ = ("kind", "model_id", "time_unix_nano", "span_id", "name", "experiment_id", "model_type", "source_run_id", "status", "params", "tags", "tags_deleted")
    class ParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    TAGS_DELETED_FIELD_NUMBER: _ClassVar[int]
    kind: ModelEventKind
    model_id: str
    time_unix_nano: int
    span_id: bytes
    name: str
    experiment_id: str
    model_type: str
    source_run_id: str
    status: _logged_model_pb2.LoggedModelStatus
    params: _containers.ScalarMap[str, str]
    tags: _containers.ScalarMap[str, str]
    tags_deleted: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[_Union[ModelEventKind, str]] = ..., model_id: _Optional[str] = ..., time_unix_nano: _Optional[int] = ..., span_id: _Optional[bytes] = ..., name: _Optional[str] = ..., experiment_id: _Optional[str] = ..., model_type: _Optional[str] = ..., source_run_id: _Optional[str] = ..., status: _Optional[_Union[_logged_model_pb2.LoggedModelStatus, str]] = ..., params: _Optional[_Mapping[str, str]] = ..., tags: _Optional[_Mapping[str, str]] = ..., tags_deleted: _Optional[_Iterable[str]] = ...) -> None: ...
