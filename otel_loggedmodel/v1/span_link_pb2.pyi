from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class SpanLink(_message.Message):
    __slots__ = ("trace_id", "span_id", "model_id", "is_entry")
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SPAN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    IS_ENTRY_FIELD_NUMBER: _ClassVar[int]
    trace_id: bytes
    span_id: bytes
    model_id: str
    is_entry: bool
    def __init__(self, trace_id: _Optional[bytes] = ..., span_id: _Optional[bytes] = ..., model_id: _Optional[str] = ..., is_entry: bool = ...) -> None: ...
