from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeadlockRequestType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    Detect: _ClassVar[DeadlockRequestType]
    CleanUpWaitFor: _ClassVar[DeadlockRequestType]
    CleanUp: _ClassVar[DeadlockRequestType]
Detect: DeadlockRequestType
CleanUpWaitFor: DeadlockRequestType
CleanUp: DeadlockRequestType

class WaitForEntry(_message.Message):
    __slots__ = ("txn", "wait_for_txn", "key_hash", "key", "resource_group_tag", "wait_time")
    TXN_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_TXN_FIELD_NUMBER: _ClassVar[int]
    KEY_HASH_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_GROUP_TAG_FIELD_NUMBER: _ClassVar[int]
    WAIT_TIME_FIELD_NUMBER: _ClassVar[int]
    txn: int
    wait_for_txn: int
    key_hash: int
    key: bytes
    resource_group_tag: bytes
    wait_time: int
    def __init__(self, txn: _Optional[int] = ..., wait_for_txn: _Optional[int] = ..., key_hash: _Optional[int] = ..., key: _Optional[bytes] = ..., resource_group_tag: _Optional[bytes] = ..., wait_time: _Optional[int] = ...) -> None: ...

class DeadlockRequest(_message.Message):
    __slots__ = ("tp", "entry")
    TP_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    tp: DeadlockRequestType
    entry: WaitForEntry
    def __init__(self, tp: _Optional[_Union[DeadlockRequestType, str]] = ..., entry: _Optional[_Union[WaitForEntry, _Mapping]] = ...) -> None: ...

class DeadlockResponse(_message.Message):
    __slots__ = ("entry", "deadlock_key_hash", "wait_chain")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    DEADLOCK_KEY_HASH_FIELD_NUMBER: _ClassVar[int]
    WAIT_CHAIN_FIELD_NUMBER: _ClassVar[int]
    entry: WaitForEntry
    deadlock_key_hash: int
    wait_chain: _containers.RepeatedCompositeFieldContainer[WaitForEntry]
    def __init__(self, entry: _Optional[_Union[WaitForEntry, _Mapping]] = ..., deadlock_key_hash: _Optional[int] = ..., wait_chain: _Optional[_Iterable[_Union[WaitForEntry, _Mapping]]] = ...) -> None: ...

class WaitForEntriesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WaitForEntriesResponse(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[WaitForEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[WaitForEntry, _Mapping]]] = ...) -> None: ...
