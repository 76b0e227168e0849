from rutile_proto import metapb_pb2 as _metapb_pb2
from rutile_proto import eraftpb_pb2 as _eraftpb_pb2
from rutile_proto import errorpb_pb2 as _errorpb_pb2
from rutile_proto import kvrpcpb_pb2 as _kvrpcpb_pb2
from rutile_proto import coprocessor_pb2 as _coprocessor_pb2
from rutile_proto import pdpb_pb2 as _pdpb_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WriteOps(_message.Message):
    __slots__ = ("kinds", "keys", "values")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    kinds: bytes
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    values: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, kinds: _Optional[bytes] = ..., keys: _Optional[_Iterable[bytes]] = ..., values: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SplitRequest(_message.Message):
    __slots__ = ("split_key", "new_region_id", "new_peer_ids")
    SPLIT_KEY_FIELD_NUMBER: _ClassVar[int]
    NEW_REGION_ID_FIELD_NUMBER: _ClassVar[int]
    NEW_PEER_IDS_FIELD_NUMBER: _ClassVar[int]
    split_key: bytes
    new_region_id: int
    new_peer_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, split_key: _Optional[bytes] = ..., new_region_id: _Optional[int] = ..., new_peer_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class BatchSplit(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[SplitRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[SplitRequest, _Mapping]]] = ...) -> None: ...

class CompactLog(_message.Message):
    __slots__ = ("index", "term")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    index: int
    term: int
    def __init__(self, index: _Optional[int] = ..., term: _Optional[int] = ...) -> None: ...

class ConfChangeV2Cmd(_message.Message):
    __slots__ = ("changes", "leave_joint")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    LEAVE_JOINT_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[_pdpb_pb2.ChangePeer]
    leave_joint: bool
    def __init__(self, changes: _Optional[_Iterable[_Union[_pdpb_pb2.ChangePeer, _Mapping]]] = ..., leave_joint: bool = ...) -> None: ...

class PrepareMerge(_message.Message):
    __slots__ = ("min_index", "target")
    MIN_INDEX_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    min_index: int
    target: _metapb_pb2.Region
    def __init__(self, min_index: _Optional[int] = ..., target: _Optional[_Union[_metapb_pb2.Region, _Mapping]] = ...) -> None: ...

class CommitMerge(_message.Message):
    __slots__ = ("source", "commit", "entries")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    source: _metapb_pb2.Region
    commit: int
    entries: _containers.RepeatedCompositeFieldContainer[_eraftpb_pb2.Entry]
    def __init__(self, source: _Optional[_Union[_metapb_pb2.Region, _Mapping]] = ..., commit: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[_eraftpb_pb2.Entry, _Mapping]]] = ...) -> None: ...

class RollbackMerge(_message.Message):
    __slots__ = ("commit",)
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    commit: int
    def __init__(self, commit: _Optional[int] = ...) -> None: ...

class ComputeHash(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VerifyHash(_message.Message):
    __slots__ = ("index", "hash")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    index: int
    hash: bytes
    def __init__(self, index: _Optional[int] = ..., hash: _Optional[bytes] = ...) -> None: ...

class AdminCommand(_message.Message):
    __slots__ = ("batch_split", "compact_log", "conf_change", "prepare_merge", "commit_merge", "rollback_merge", "compute_hash", "verify_hash")
    BATCH_SPLIT_FIELD_NUMBER: _ClassVar[int]
    COMPACT_LOG_FIELD_NUMBER: _ClassVar[int]
    CONF_CHANGE_FIELD_NUMBER: _ClassVar[int]
    PREPARE_MERGE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_MERGE_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_MERGE_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_HASH_FIELD_NUMBER: _ClassVar[int]
    VERIFY_HASH_FIELD_NUMBER: _ClassVar[int]
    batch_split: BatchSplit
    compact_log: CompactLog
    conf_change: ConfChangeV2Cmd
    prepare_merge: PrepareMerge
    commit_merge: CommitMerge
    rollback_merge: RollbackMerge
    compute_hash: ComputeHash
    verify_hash: VerifyHash
    def __init__(self, batch_split: _Optional[_Union[BatchSplit, _Mapping]] = ..., compact_log: _Optional[_Union[CompactLog, _Mapping]] = ..., conf_change: _Optional[_Union[ConfChangeV2Cmd, _Mapping]] = ..., prepare_merge: _Optional[_Union[PrepareMerge, _Mapping]] = ..., commit_merge: _Optional[_Union[CommitMerge, _Mapping]] = ..., rollback_merge: _Optional[_Union[RollbackMerge, _Mapping]] = ..., compute_hash: _Optional[_Union[ComputeHash, _Mapping]] = ..., verify_hash: _Optional[_Union[VerifyHash, _Mapping]] = ...) -> None: ...

class RaftCommand(_message.Message):
    __slots__ = ("epoch", "term", "write", "admin")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    ADMIN_FIELD_NUMBER: _ClassVar[int]
    epoch: _metapb_pb2.RegionEpoch
    term: int
    write: WriteOps
    admin: AdminCommand
    def __init__(self, epoch: _Optional[_Union[_metapb_pb2.RegionEpoch, _Mapping]] = ..., term: _Optional[int] = ..., write: _Optional[_Union[WriteOps, _Mapping]] = ..., admin: _Optional[_Union[AdminCommand, _Mapping]] = ...) -> None: ...

class BulkWriteRequest(_message.Message):
    __slots__ = ("context", "ops")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    OPS_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    ops: WriteOps
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ..., ops: _Optional[_Union[WriteOps, _Mapping]] = ...) -> None: ...

class BulkWriteResponse(_message.Message):
    __slots__ = ("region_error", "error")
    REGION_ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    region_error: _errorpb_pb2.Error
    error: str
    def __init__(self, region_error: _Optional[_Union[_errorpb_pb2.Error, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...

class MergeRegionRequest(_message.Message):
    __slots__ = ("context", "target")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    target: _metapb_pb2.Region
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ..., target: _Optional[_Union[_metapb_pb2.Region, _Mapping]] = ...) -> None: ...

class MergeRegionResponse(_message.Message):
    __slots__ = ("region_error", "error", "region")
    REGION_ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    region_error: _errorpb_pb2.Error
    error: str
    region: _metapb_pb2.Region
    def __init__(self, region_error: _Optional[_Union[_errorpb_pb2.Error, _Mapping]] = ..., error: _Optional[str] = ..., region: _Optional[_Union[_metapb_pb2.Region, _Mapping]] = ...) -> None: ...

class CheckConsistencyRequest(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ...) -> None: ...

class CheckConsistencyResponse(_message.Message):
    __slots__ = ("region_error", "error")
    REGION_ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    region_error: _errorpb_pb2.Error
    error: str
    def __init__(self, region_error: _Optional[_Union[_errorpb_pb2.Error, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...

class WatchPosition(_message.Message):
    __slots__ = ("region", "index")
    REGION_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    region: _metapb_pb2.Region
    index: int
    def __init__(self, region: _Optional[_Union[_metapb_pb2.Region, _Mapping]] = ..., index: _Optional[int] = ...) -> None: ...

class WatchTransactional(_message.Message):
    __slots__ = ("from_ts",)
    FROM_TS_FIELD_NUMBER: _ClassVar[int]
    from_ts: int
    def __init__(self, from_ts: _Optional[int] = ...) -> None: ...

class WatchRaw(_message.Message):
    __slots__ = ("cf", "with_state", "after")
    CF_FIELD_NUMBER: _ClassVar[int]
    WITH_STATE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    cf: str
    with_state: bool
    after: WatchPosition
    def __init__(self, cf: _Optional[str] = ..., with_state: bool = ..., after: _Optional[_Union[WatchPosition, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("context", "start_key", "end_key", "transactional", "raw")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    START_KEY_FIELD_NUMBER: _ClassVar[int]
    END_KEY_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONAL_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    context: _kvrpcpb_pb2.Context
    start_key: bytes
    end_key: bytes
    transactional: WatchTransactional
    raw: WatchRaw
    def __init__(self, context: _Optional[_Union[_kvrpcpb_pb2.Context, _Mapping]] = ..., start_key: _Optional[bytes] = ..., end_key: _Optional[bytes] = ..., transactional: _Optional[_Union[WatchTransactional, _Mapping]] = ..., raw: _Optional[_Union[WatchRaw, _Mapping]] = ...) -> None: ...

class WatchToken(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[WatchRequest]
    def __init__(self, parts: _Optional[_Iterable[_Union[WatchRequest, _Mapping]]] = ...) -> None: ...

class WatchChange(_message.Message):
    __slots__ = ("key", "value", "deleted", "start_ts", "commit_ts", "index", "expires_at_s", "state")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    START_TS_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    deleted: bool
    start_ts: int
    commit_ts: int
    index: int
    expires_at_s: int
    state: bool
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., deleted: bool = ..., start_ts: _Optional[int] = ..., commit_ts: _Optional[int] = ..., index: _Optional[int] = ..., expires_at_s: _Optional[int] = ..., state: bool = ...) -> None: ...

class WatchEnd(_message.Message):
    __slots__ = ("fell_behind", "below_safe_point", "history_gone")
    FELL_BEHIND_FIELD_NUMBER: _ClassVar[int]
    BELOW_SAFE_POINT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_GONE_FIELD_NUMBER: _ClassVar[int]
    fell_behind: int
    below_safe_point: int
    history_gone: WatchPosition
    def __init__(self, fell_behind: _Optional[int] = ..., below_safe_point: _Optional[int] = ..., history_gone: _Optional[_Union[WatchPosition, _Mapping]] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("region_error", "changes", "resolved_ts", "held_by", "position", "successors", "end")
    REGION_ERROR_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_TS_FIELD_NUMBER: _ClassVar[int]
    HELD_BY_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SUCCESSORS_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    region_error: _errorpb_pb2.Error
    changes: _containers.RepeatedCompositeFieldContainer[WatchChange]
    resolved_ts: int
    held_by: _kvrpcpb_pb2.LockInfo
    position: WatchPosition
    successors: _containers.RepeatedCompositeFieldContainer[WatchPosition]
    end: WatchEnd
    def __init__(self, region_error: _Optional[_Union[_errorpb_pb2.Error, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[WatchChange, _Mapping]]] = ..., resolved_ts: _Optional[int] = ..., held_by: _Optional[_Union[_kvrpcpb_pb2.LockInfo, _Mapping]] = ..., position: _Optional[_Union[WatchPosition, _Mapping]] = ..., successors: _Optional[_Iterable[_Union[WatchPosition, _Mapping]]] = ..., end: _Optional[_Union[WatchEnd, _Mapping]] = ...) -> None: ...

class FragmentScan(_message.Message):
    __slots__ = ("name", "schema", "columns", "ranges", "rows_only", "table_ids")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    ROWS_ONLY_FIELD_NUMBER: _ClassVar[int]
    TABLE_IDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    schema: bytes
    columns: _containers.RepeatedScalarFieldContainer[str]
    ranges: _containers.RepeatedCompositeFieldContainer[_coprocessor_pb2.KeyRange]
    rows_only: bool
    table_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., schema: _Optional[bytes] = ..., columns: _Optional[_Iterable[str]] = ..., ranges: _Optional[_Iterable[_Union[_coprocessor_pb2.KeyRange, _Mapping]]] = ..., rows_only: bool = ..., table_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class FragmentInput(_message.Message):
    __slots__ = ("name", "arrow_ipc")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    name: str
    arrow_ipc: bytes
    def __init__(self, name: _Optional[str] = ..., arrow_ipc: _Optional[bytes] = ...) -> None: ...

class Fragment(_message.Message):
    __slots__ = ("sql", "scans", "memory_limit_bytes", "page_rows", "rowwise", "inputs")
    SQL_FIELD_NUMBER: _ClassVar[int]
    SCANS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAGE_ROWS_FIELD_NUMBER: _ClassVar[int]
    ROWWISE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    sql: str
    scans: _containers.RepeatedCompositeFieldContainer[FragmentScan]
    memory_limit_bytes: int
    page_rows: int
    rowwise: bool
    inputs: _containers.RepeatedCompositeFieldContainer[FragmentInput]
    def __init__(self, sql: _Optional[str] = ..., scans: _Optional[_Iterable[_Union[FragmentScan, _Mapping]]] = ..., memory_limit_bytes: _Optional[int] = ..., page_rows: _Optional[int] = ..., rowwise: bool = ..., inputs: _Optional[_Iterable[_Union[FragmentInput, _Mapping]]] = ...) -> None: ...

class ScanSummary(_message.Message):
    __slots__ = ("name", "rows_read", "rows_out", "regions", "seconds", "path", "chunks", "chunks_pruned")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROWS_READ_FIELD_NUMBER: _ClassVar[int]
    ROWS_OUT_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_PRUNED_FIELD_NUMBER: _ClassVar[int]
    name: str
    rows_read: int
    rows_out: int
    regions: int
    seconds: float
    path: str
    chunks: int
    chunks_pruned: int
    def __init__(self, name: _Optional[str] = ..., rows_read: _Optional[int] = ..., rows_out: _Optional[int] = ..., regions: _Optional[int] = ..., seconds: _Optional[float] = ..., path: _Optional[str] = ..., chunks: _Optional[int] = ..., chunks_pruned: _Optional[int] = ...) -> None: ...

class FragmentSummary(_message.Message):
    __slots__ = ("store_id", "scans", "rows_out", "wait_seconds", "run_seconds", "region_ids", "note")
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    SCANS_FIELD_NUMBER: _ClassVar[int]
    ROWS_OUT_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RUN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REGION_IDS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    store_id: int
    scans: _containers.RepeatedCompositeFieldContainer[ScanSummary]
    rows_out: int
    wait_seconds: float
    run_seconds: float
    region_ids: _containers.RepeatedScalarFieldContainer[int]
    note: str
    def __init__(self, store_id: _Optional[int] = ..., scans: _Optional[_Iterable[_Union[ScanSummary, _Mapping]]] = ..., rows_out: _Optional[int] = ..., wait_seconds: _Optional[float] = ..., run_seconds: _Optional[float] = ..., region_ids: _Optional[_Iterable[int]] = ..., note: _Optional[str] = ...) -> None: ...

class FragmentPage(_message.Message):
    __slots__ = ("arrow_ipc", "summary", "locked")
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    arrow_ipc: bytes
    summary: FragmentSummary
    locked: _kvrpcpb_pb2.LockInfo
    def __init__(self, arrow_ipc: _Optional[bytes] = ..., summary: _Optional[_Union[FragmentSummary, _Mapping]] = ..., locked: _Optional[_Union[_kvrpcpb_pb2.LockInfo, _Mapping]] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("null", "int64", "uint64", "double", "string", "bytes", "decimal", "date_days", "datetime_us", "time_us", "boolean")
    NULL_FIELD_NUMBER: _ClassVar[int]
    INT64_FIELD_NUMBER: _ClassVar[int]
    UINT64_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_FIELD_NUMBER: _ClassVar[int]
    STRING_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DECIMAL_FIELD_NUMBER: _ClassVar[int]
    DATE_DAYS_FIELD_NUMBER: _ClassVar[int]
    DATETIME_US_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    null: bool
    int64: int
    uint64: int
    double: float
    string: str
    bytes: bytes
    decimal: str
    date_days: int
    datetime_us: int
    time_us: int
    boolean: bool
    def __init__(self, null: bool = ..., int64: _Optional[int] = ..., uint64: _Optional[int] = ..., double: _Optional[float] = ..., string: _Optional[str] = ..., bytes: _Optional[bytes] = ..., decimal: _Optional[str] = ..., date_days: _Optional[int] = ..., datetime_us: _Optional[int] = ..., time_us: _Optional[int] = ..., boolean: bool = ...) -> None: ...

class SqlHello(_message.Message):
    __slots__ = ("user", "password", "database")
    USER_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    user: str
    password: str
    database: str
    def __init__(self, user: _Optional[str] = ..., password: _Optional[str] = ..., database: _Optional[str] = ...) -> None: ...

class SqlExecute(_message.Message):
    __slots__ = ("sql", "params", "dialect", "stream")
    SQL_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    DIALECT_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    sql: str
    params: _containers.RepeatedCompositeFieldContainer[Value]
    dialect: str
    stream: bool
    def __init__(self, sql: _Optional[str] = ..., params: _Optional[_Iterable[_Union[Value, _Mapping]]] = ..., dialect: _Optional[str] = ..., stream: bool = ...) -> None: ...

class SqlRequest(_message.Message):
    __slots__ = ("id", "hello", "execute", "cancel")
    ID_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    EXECUTE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    id: int
    hello: SqlHello
    execute: SqlExecute
    cancel: bool
    def __init__(self, id: _Optional[int] = ..., hello: _Optional[_Union[SqlHello, _Mapping]] = ..., execute: _Optional[_Union[SqlExecute, _Mapping]] = ..., cancel: bool = ...) -> None: ...

class SqlDone(_message.Message):
    __slots__ = ("affected_rows", "last_insert_id", "warnings", "in_transaction", "info", "has_result")
    AFFECTED_ROWS_FIELD_NUMBER: _ClassVar[int]
    LAST_INSERT_ID_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    IN_TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    HAS_RESULT_FIELD_NUMBER: _ClassVar[int]
    affected_rows: int
    last_insert_id: int
    warnings: int
    in_transaction: bool
    info: str
    has_result: bool
    def __init__(self, affected_rows: _Optional[int] = ..., last_insert_id: _Optional[int] = ..., warnings: _Optional[int] = ..., in_transaction: bool = ..., info: _Optional[str] = ..., has_result: bool = ...) -> None: ...

class SqlError(_message.Message):
    __slots__ = ("code", "sqlstate", "message", "retryable", "in_transaction")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SQLSTATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    IN_TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    code: int
    sqlstate: str
    message: str
    retryable: bool
    in_transaction: bool
    def __init__(self, code: _Optional[int] = ..., sqlstate: _Optional[str] = ..., message: _Optional[str] = ..., retryable: bool = ..., in_transaction: bool = ...) -> None: ...

class SqlResponse(_message.Message):
    __slots__ = ("id", "arrow_ipc", "done", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    ARROW_IPC_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    arrow_ipc: bytes
    done: SqlDone
    error: SqlError
    def __init__(self, id: _Optional[int] = ..., arrow_ipc: _Optional[bytes] = ..., done: _Optional[_Union[SqlDone, _Mapping]] = ..., error: _Optional[_Union[SqlError, _Mapping]] = ...) -> None: ...

class HealthCheckRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class HealthCheckResponse(_message.Message):
    __slots__ = ("status",)
    class ServingStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[HealthCheckResponse.ServingStatus]
        SERVING: _ClassVar[HealthCheckResponse.ServingStatus]
        NOT_SERVING: _ClassVar[HealthCheckResponse.ServingStatus]
        SERVICE_UNKNOWN: _ClassVar[HealthCheckResponse.ServingStatus]
    UNKNOWN: HealthCheckResponse.ServingStatus
    SERVING: HealthCheckResponse.ServingStatus
    NOT_SERVING: HealthCheckResponse.ServingStatus
    SERVICE_UNKNOWN: HealthCheckResponse.ServingStatus
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: HealthCheckResponse.ServingStatus
    def __init__(self, status: _Optional[_Union[HealthCheckResponse.ServingStatus, str]] = ...) -> None: ...
