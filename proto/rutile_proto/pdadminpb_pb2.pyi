from rutile_proto import metapb_pb2 as _metapb_pb2
from rutile_proto import pdpb_pb2 as _pdpb_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChangeResponse(_message.Message):
    __slots__ = ("header",)
    HEADER_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ...) -> None: ...

class ListStoresRequest(_message.Message):
    __slots__ = ("header", "with_tombstones")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    WITH_TOMBSTONES_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    with_tombstones: bool
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., with_tombstones: bool = ...) -> None: ...

class StoreFigures(_message.Message):
    __slots__ = ("store", "stats", "state", "leader_count", "leader_size", "leader_weight", "leader_score", "region_count", "region_size", "region_keys", "region_weight", "region_score", "learner_count", "pending_peer_count", "incoming_peer_count", "silent_seconds", "add_limit", "remove_limit", "leaders_evicted")
    STORE_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LEADER_COUNT_FIELD_NUMBER: _ClassVar[int]
    LEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    LEADER_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    LEADER_SCORE_FIELD_NUMBER: _ClassVar[int]
    REGION_COUNT_FIELD_NUMBER: _ClassVar[int]
    REGION_SIZE_FIELD_NUMBER: _ClassVar[int]
    REGION_KEYS_FIELD_NUMBER: _ClassVar[int]
    REGION_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    REGION_SCORE_FIELD_NUMBER: _ClassVar[int]
    LEARNER_COUNT_FIELD_NUMBER: _ClassVar[int]
    PENDING_PEER_COUNT_FIELD_NUMBER: _ClassVar[int]
    INCOMING_PEER_COUNT_FIELD_NUMBER: _ClassVar[int]
    SILENT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ADD_LIMIT_FIELD_NUMBER: _ClassVar[int]
    REMOVE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LEADERS_EVICTED_FIELD_NUMBER: _ClassVar[int]
    store: _metapb_pb2.Store
    stats: _pdpb_pb2.StoreStats
    state: str
    leader_count: int
    leader_size: int
    leader_weight: float
    leader_score: float
    region_count: int
    region_size: int
    region_keys: int
    region_weight: float
    region_score: float
    learner_count: int
    pending_peer_count: int
    incoming_peer_count: int
    silent_seconds: float
    add_limit: float
    remove_limit: float
    leaders_evicted: bool
    def __init__(self, store: _Optional[_Union[_metapb_pb2.Store, _Mapping]] = ..., stats: _Optional[_Union[_pdpb_pb2.StoreStats, _Mapping]] = ..., state: _Optional[str] = ..., leader_count: _Optional[int] = ..., leader_size: _Optional[int] = ..., leader_weight: _Optional[float] = ..., leader_score: _Optional[float] = ..., region_count: _Optional[int] = ..., region_size: _Optional[int] = ..., region_keys: _Optional[int] = ..., region_weight: _Optional[float] = ..., region_score: _Optional[float] = ..., learner_count: _Optional[int] = ..., pending_peer_count: _Optional[int] = ..., incoming_peer_count: _Optional[int] = ..., silent_seconds: _Optional[float] = ..., add_limit: _Optional[float] = ..., remove_limit: _Optional[float] = ..., leaders_evicted: bool = ...) -> None: ...

class ListStoresResponse(_message.Message):
    __slots__ = ("header", "stores")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    stores: _containers.RepeatedCompositeFieldContainer[StoreFigures]
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ..., stores: _Optional[_Iterable[_Union[StoreFigures, _Mapping]]] = ...) -> None: ...

class StoreRequest(_message.Message):
    __slots__ = ("header", "store_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    store_id: int
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., store_id: _Optional[int] = ...) -> None: ...

class SetStoreRequest(_message.Message):
    __slots__ = ("header", "store_id", "labels", "reset_labels", "leader_weight", "region_weight", "add_limit", "remove_limit")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RESET_LABELS_FIELD_NUMBER: _ClassVar[int]
    LEADER_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    REGION_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    ADD_LIMIT_FIELD_NUMBER: _ClassVar[int]
    REMOVE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    store_id: int
    labels: _containers.RepeatedCompositeFieldContainer[_metapb_pb2.StoreLabel]
    reset_labels: bool
    leader_weight: float
    region_weight: float
    add_limit: float
    remove_limit: float
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., store_id: _Optional[int] = ..., labels: _Optional[_Iterable[_Union[_metapb_pb2.StoreLabel, _Mapping]]] = ..., reset_labels: bool = ..., leader_weight: _Optional[float] = ..., region_weight: _Optional[float] = ..., add_limit: _Optional[float] = ..., remove_limit: _Optional[float] = ...) -> None: ...

class ListOperatorsRequest(_message.Message):
    __slots__ = ("header", "history", "region_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    REGION_ID_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    history: int
    region_id: int
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., history: _Optional[int] = ..., region_id: _Optional[int] = ...) -> None: ...

class OperatorState(_message.Message):
    __slots__ = ("region_id", "reason", "kind", "priority", "steps", "status", "seconds")
    REGION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    region_id: int
    reason: str
    kind: str
    priority: str
    steps: _containers.RepeatedScalarFieldContainer[str]
    status: _pdpb_pb2.OperatorStatus
    seconds: float
    def __init__(self, region_id: _Optional[int] = ..., reason: _Optional[str] = ..., kind: _Optional[str] = ..., priority: _Optional[str] = ..., steps: _Optional[_Iterable[str]] = ..., status: _Optional[_Union[_pdpb_pb2.OperatorStatus, str]] = ..., seconds: _Optional[float] = ...) -> None: ...

class ListOperatorsResponse(_message.Message):
    __slots__ = ("header", "running", "finished")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    running: _containers.RepeatedCompositeFieldContainer[OperatorState]
    finished: _containers.RepeatedCompositeFieldContainer[OperatorState]
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ..., running: _Optional[_Iterable[_Union[OperatorState, _Mapping]]] = ..., finished: _Optional[_Iterable[_Union[OperatorState, _Mapping]]] = ...) -> None: ...

class TransferLeaderTo(_message.Message):
    __slots__ = ("store_id",)
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    store_id: int
    def __init__(self, store_id: _Optional[int] = ...) -> None: ...

class AddPeerOn(_message.Message):
    __slots__ = ("store_id", "learner")
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    LEARNER_FIELD_NUMBER: _ClassVar[int]
    store_id: int
    learner: bool
    def __init__(self, store_id: _Optional[int] = ..., learner: bool = ...) -> None: ...

class RemovePeerFrom(_message.Message):
    __slots__ = ("store_id",)
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    store_id: int
    def __init__(self, store_id: _Optional[int] = ...) -> None: ...

class TransferPeerBetween(_message.Message):
    __slots__ = ("from_store_id", "to_store_id")
    FROM_STORE_ID_FIELD_NUMBER: _ClassVar[int]
    TO_STORE_ID_FIELD_NUMBER: _ClassVar[int]
    from_store_id: int
    to_store_id: int
    def __init__(self, from_store_id: _Optional[int] = ..., to_store_id: _Optional[int] = ...) -> None: ...

class SplitAtKeys(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, keys: _Optional[_Iterable[bytes]] = ...) -> None: ...

class MergeIntoRegion(_message.Message):
    __slots__ = ("target_region_id",)
    TARGET_REGION_ID_FIELD_NUMBER: _ClassVar[int]
    target_region_id: int
    def __init__(self, target_region_id: _Optional[int] = ...) -> None: ...

class ScatterInGroup(_message.Message):
    __slots__ = ("group",)
    GROUP_FIELD_NUMBER: _ClassVar[int]
    group: str
    def __init__(self, group: _Optional[str] = ...) -> None: ...

class AddOperatorRequest(_message.Message):
    __slots__ = ("header", "region_id", "transfer_leader", "add_peer", "remove_peer", "transfer_peer", "split", "merge", "scatter")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    REGION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_LEADER_FIELD_NUMBER: _ClassVar[int]
    ADD_PEER_FIELD_NUMBER: _ClassVar[int]
    REMOVE_PEER_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_PEER_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    SCATTER_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    region_id: int
    transfer_leader: TransferLeaderTo
    add_peer: AddPeerOn
    remove_peer: RemovePeerFrom
    transfer_peer: TransferPeerBetween
    split: SplitAtKeys
    merge: MergeIntoRegion
    scatter: ScatterInGroup
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., region_id: _Optional[int] = ..., transfer_leader: _Optional[_Union[TransferLeaderTo, _Mapping]] = ..., add_peer: _Optional[_Union[AddPeerOn, _Mapping]] = ..., remove_peer: _Optional[_Union[RemovePeerFrom, _Mapping]] = ..., transfer_peer: _Optional[_Union[TransferPeerBetween, _Mapping]] = ..., split: _Optional[_Union[SplitAtKeys, _Mapping]] = ..., merge: _Optional[_Union[MergeIntoRegion, _Mapping]] = ..., scatter: _Optional[_Union[ScatterInGroup, _Mapping]] = ...) -> None: ...

class AddOperatorResponse(_message.Message):
    __slots__ = ("header", "operator")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    operator: OperatorState
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ..., operator: _Optional[_Union[OperatorState, _Mapping]] = ...) -> None: ...

class CancelOperatorRequest(_message.Message):
    __slots__ = ("header", "region_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    REGION_ID_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    region_id: int
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., region_id: _Optional[int] = ...) -> None: ...

class ListSchedulersRequest(_message.Message):
    __slots__ = ("header",)
    HEADER_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ...) -> None: ...

class SchedulerState(_message.Message):
    __slots__ = ("name", "store_ids", "paused_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STORE_IDS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    store_ids: _containers.RepeatedScalarFieldContainer[int]
    paused_seconds: float
    def __init__(self, name: _Optional[str] = ..., store_ids: _Optional[_Iterable[int]] = ..., paused_seconds: _Optional[float] = ...) -> None: ...

class ListSchedulersResponse(_message.Message):
    __slots__ = ("header", "schedulers", "known")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    schedulers: _containers.RepeatedCompositeFieldContainer[SchedulerState]
    known: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ..., schedulers: _Optional[_Iterable[_Union[SchedulerState, _Mapping]]] = ..., known: _Optional[_Iterable[str]] = ...) -> None: ...

class ChangeSchedulerRequest(_message.Message):
    __slots__ = ("header", "name", "change", "store_ids", "pause_seconds")
    class Change(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ADD: _ClassVar[ChangeSchedulerRequest.Change]
        REMOVE: _ClassVar[ChangeSchedulerRequest.Change]
        PAUSE: _ClassVar[ChangeSchedulerRequest.Change]
        RESUME: _ClassVar[ChangeSchedulerRequest.Change]
    ADD: ChangeSchedulerRequest.Change
    REMOVE: ChangeSchedulerRequest.Change
    PAUSE: ChangeSchedulerRequest.Change
    RESUME: ChangeSchedulerRequest.Change
    HEADER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    STORE_IDS_FIELD_NUMBER: _ClassVar[int]
    PAUSE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    name: str
    change: ChangeSchedulerRequest.Change
    store_ids: _containers.RepeatedScalarFieldContainer[int]
    pause_seconds: float
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., name: _Optional[str] = ..., change: _Optional[_Union[ChangeSchedulerRequest.Change, str]] = ..., store_ids: _Optional[_Iterable[int]] = ..., pause_seconds: _Optional[float] = ...) -> None: ...

class GetRulesRequest(_message.Message):
    __slots__ = ("header", "key")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    key: bytes
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., key: _Optional[bytes] = ...) -> None: ...

class GetRulesResponse(_message.Message):
    __slots__ = ("header", "rules_json", "groups_json")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    RULES_JSON_FIELD_NUMBER: _ClassVar[int]
    GROUPS_JSON_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    rules_json: str
    groups_json: str
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ..., rules_json: _Optional[str] = ..., groups_json: _Optional[str] = ...) -> None: ...

class RuleName(_message.Message):
    __slots__ = ("group_id", "id")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    group_id: str
    id: str
    def __init__(self, group_id: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ChangeRulesRequest(_message.Message):
    __slots__ = ("header", "delete_rules", "delete_groups", "set_groups_json", "set_rules_json")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DELETE_RULES_FIELD_NUMBER: _ClassVar[int]
    DELETE_GROUPS_FIELD_NUMBER: _ClassVar[int]
    SET_GROUPS_JSON_FIELD_NUMBER: _ClassVar[int]
    SET_RULES_JSON_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    delete_rules: _containers.RepeatedCompositeFieldContainer[RuleName]
    delete_groups: _containers.RepeatedScalarFieldContainer[str]
    set_groups_json: str
    set_rules_json: str
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., delete_rules: _Optional[_Iterable[_Union[RuleName, _Mapping]]] = ..., delete_groups: _Optional[_Iterable[str]] = ..., set_groups_json: _Optional[str] = ..., set_rules_json: _Optional[str] = ...) -> None: ...

class GetSettingsRequest(_message.Message):
    __slots__ = ("header",)
    HEADER_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ...) -> None: ...

class GetSettingsResponse(_message.Message):
    __slots__ = ("header", "settings_json")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_JSON_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    settings_json: str
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ..., settings_json: _Optional[str] = ...) -> None: ...

class SetSettingRequest(_message.Message):
    __slots__ = ("header", "name", "value_json")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    name: str
    value_json: str
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., name: _Optional[str] = ..., value_json: _Optional[str] = ...) -> None: ...

class CheckRegionsRequest(_message.Message):
    __slots__ = ("header", "trouble", "limit")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    trouble: str
    limit: int
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., trouble: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class RegionFigures(_message.Message):
    __slots__ = ("region", "size", "keys", "written_bytes", "read_bytes", "operator")
    REGION_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_BYTES_FIELD_NUMBER: _ClassVar[int]
    READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    region: _pdpb_pb2.Region
    size: int
    keys: int
    written_bytes: int
    read_bytes: int
    operator: OperatorState
    def __init__(self, region: _Optional[_Union[_pdpb_pb2.Region, _Mapping]] = ..., size: _Optional[int] = ..., keys: _Optional[int] = ..., written_bytes: _Optional[int] = ..., read_bytes: _Optional[int] = ..., operator: _Optional[_Union[OperatorState, _Mapping]] = ...) -> None: ...

class DescribeRegionsRequest(_message.Message):
    __slots__ = ("header", "region_ids")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    REGION_IDS_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    region_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., region_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class DescribeRegionsResponse(_message.Message):
    __slots__ = ("header", "regions")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    regions: _containers.RepeatedCompositeFieldContainer[RegionFigures]
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ..., regions: _Optional[_Iterable[_Union[RegionFigures, _Mapping]]] = ...) -> None: ...

class CheckRegionsResponse(_message.Message):
    __slots__ = ("header", "counts", "regions")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    HEADER_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    counts: _containers.ScalarMap[str, int]
    regions: _containers.RepeatedCompositeFieldContainer[RegionFigures]
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ..., counts: _Optional[_Mapping[str, int]] = ..., regions: _Optional[_Iterable[_Union[RegionFigures, _Mapping]]] = ...) -> None: ...

class HotRegionsRequest(_message.Message):
    __slots__ = ("header", "flow", "limit")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    FLOW_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    flow: str
    limit: int
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., flow: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class HotRegion(_message.Message):
    __slots__ = ("region_id", "store_ids", "bytes_per_second", "keys_per_second", "cpu_percent", "degree")
    REGION_ID_FIELD_NUMBER: _ClassVar[int]
    STORE_IDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    KEYS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    DEGREE_FIELD_NUMBER: _ClassVar[int]
    region_id: int
    store_ids: _containers.RepeatedScalarFieldContainer[int]
    bytes_per_second: float
    keys_per_second: float
    cpu_percent: float
    degree: int
    def __init__(self, region_id: _Optional[int] = ..., store_ids: _Optional[_Iterable[int]] = ..., bytes_per_second: _Optional[float] = ..., keys_per_second: _Optional[float] = ..., cpu_percent: _Optional[float] = ..., degree: _Optional[int] = ...) -> None: ...

class HotRegionsResponse(_message.Message):
    __slots__ = ("header", "regions")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    regions: _containers.RepeatedCompositeFieldContainer[HotRegion]
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ..., regions: _Optional[_Iterable[_Union[HotRegion, _Mapping]]] = ...) -> None: ...

class RangeStatisticsRequest(_message.Message):
    __slots__ = ("header", "start_key", "end_key")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    START_KEY_FIELD_NUMBER: _ClassVar[int]
    END_KEY_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.RequestHeader
    start_key: bytes
    end_key: bytes
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.RequestHeader, _Mapping]] = ..., start_key: _Optional[bytes] = ..., end_key: _Optional[bytes] = ...) -> None: ...

class StoreShare(_message.Message):
    __slots__ = ("leader_count", "leader_size", "peer_count", "peer_size")
    LEADER_COUNT_FIELD_NUMBER: _ClassVar[int]
    LEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    PEER_COUNT_FIELD_NUMBER: _ClassVar[int]
    PEER_SIZE_FIELD_NUMBER: _ClassVar[int]
    leader_count: int
    leader_size: int
    peer_count: int
    peer_size: int
    def __init__(self, leader_count: _Optional[int] = ..., leader_size: _Optional[int] = ..., peer_count: _Optional[int] = ..., peer_size: _Optional[int] = ...) -> None: ...

class RangeStatisticsResponse(_message.Message):
    __slots__ = ("header", "region_count", "empty_count", "size", "keys", "stores")
    class StoresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: StoreShare
        def __init__(self, key: _Optional[int] = ..., value: _Optional[_Union[StoreShare, _Mapping]] = ...) -> None: ...
    HEADER_FIELD_NUMBER: _ClassVar[int]
    REGION_COUNT_FIELD_NUMBER: _ClassVar[int]
    EMPTY_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    header: _pdpb_pb2.ResponseHeader
    region_count: int
    empty_count: int
    size: int
    keys: int
    stores: _containers.MessageMap[int, StoreShare]
    def __init__(self, header: _Optional[_Union[_pdpb_pb2.ResponseHeader, _Mapping]] = ..., region_count: _Optional[int] = ..., empty_count: _Optional[int] = ..., size: _Optional[int] = ..., keys: _Optional[int] = ..., stores: _Optional[_Mapping[int, StoreShare]] = ...) -> None: ...
