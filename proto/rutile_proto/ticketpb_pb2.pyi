from rutile_proto import coprocessor_pb2 as _coprocessor_pb2
from rutile_proto import rutilepb_pb2 as _rutilepb_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScanTicket(_message.Message):
    __slots__ = ("query_id", "ts", "fragment", "ranges", "plain_columns", "schema", "user", "needs_token")
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    FRAGMENT_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    PLAIN_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    NEEDS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    query_id: bytes
    ts: int
    fragment: _rutilepb_pb2.Fragment
    ranges: _containers.RepeatedCompositeFieldContainer[_coprocessor_pb2.KeyRange]
    plain_columns: _containers.RepeatedScalarFieldContainer[str]
    schema: bytes
    user: str
    needs_token: bool
    def __init__(self, query_id: _Optional[bytes] = ..., ts: _Optional[int] = ..., fragment: _Optional[_Union[_rutilepb_pb2.Fragment, _Mapping]] = ..., ranges: _Optional[_Iterable[_Union[_coprocessor_pb2.KeyRange, _Mapping]]] = ..., plain_columns: _Optional[_Iterable[str]] = ..., schema: _Optional[bytes] = ..., user: _Optional[str] = ..., needs_token: bool = ...) -> None: ...

class UserToken(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: str
    def __init__(self, user: _Optional[str] = ...) -> None: ...
