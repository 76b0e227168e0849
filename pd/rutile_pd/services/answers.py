"""Protobuf answers from what the cores know."""

from collections.abc import Iterable

from rutile_pd.allocation.safe_points import SafePoints
from rutile_pd.cluster import AlreadyBootstrapped, NotBootstrapped
from rutile_pd.operators.operator import Operator
from rutile_pd.regions.tree import RegionInfo, RegionTree
from rutile_pd.stores.registry import StoreInfo, StoreTombstone
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import PdError
from rutile_proto.timestamps import logical, physical_ms
from rutile_proto.types import Timestamp

NULL_KEYSPACE = 0xFFFFFFFF
"""Where data without a keyspace lives; the only one there is."""


class KeyRangeNotCovered(PdError):
    """Regions are missing in a range that was to be covered whole."""


class NothingDone(PdError):
    """No operator is known for the region."""


class UnknownKeyspace(PdError):
    """There is no keyspace of that name."""


_TYPES: tuple[tuple[type[PdError], pdpb.ErrorType], ...] = (
    (NotBootstrapped, pdpb.NOT_BOOTSTRAPPED),
    (AlreadyBootstrapped, pdpb.ALREADY_BOOTSTRAPPED),
    (StoreTombstone, pdpb.STORE_TOMBSTONE),
    (KeyRangeNotCovered, pdpb.REGIONS_NOT_CONTAIN_ALL_KEY_RANGE),
    (NothingDone, pdpb.REGION_NOT_FOUND),
    (UnknownKeyspace, pdpb.ENTRY_NOT_FOUND),
)


def refusal(error: PdError) -> pdpb.Error:
    """The header error for a refusal; UNKNOWN for one without a type of its own."""
    kind = next((number for known, number in _TYPES if isinstance(error, known)), pdpb.UNKNOWN)
    return pdpb.Error(type=kind, message=str(error))


def timestamp(ts: Timestamp) -> pdpb.Timestamp:
    """A timestamp in its two parts."""
    return pdpb.Timestamp(physical=physical_ms(ts), logical=logical(ts))


def region(info: RegionInfo | None) -> pdpb.GetRegionResponse:
    """One region; nothing when there is none."""
    if info is None:
        return pdpb.GetRegionResponse()
    return pdpb.GetRegionResponse(
        region=info.meta, leader=info.leader_pb(), down_peers=info.down_peers(), pending_peers=info.pending_peers()
    )


def scanned(infos: Iterable[RegionInfo]) -> pdpb.ScanRegionsResponse:
    """Many regions, in the newer form and in the one older clients read."""
    answer = pdpb.ScanRegionsResponse()
    for info in infos:
        answer.regions.append(info.to_pb())
        answer.region_metas.append(info.meta)
        answer.leaders.append(info.leader_pb() or metapb.Peer())
    return answer


def batch_scanned(tree: RegionTree, request: pdpb.BatchScanRegionsRequest) -> pdpb.BatchScanRegionsResponse:
    """The regions of several ranges; KeyRangeNotCovered if the request wants no gaps and there is one."""
    answer = pdpb.BatchScanRegionsResponse()
    seen: dict[int, None] = {}
    for each in request.ranges:
        left = request.limit - len(answer.regions) if request.limit > 0 else 0
        if request.limit > 0 and left <= 0:
            break
        found = tree.scan(each.start_key, each.end_key, left)
        is_cut = request.limit > 0 and len(found) == left
        if request.contain_all_key_range and not is_cut and not covers(found, each.start_key, each.end_key):
            raise KeyRangeNotCovered(f"regions are missing in [{each.start_key.hex()}, {each.end_key.hex()})")
        answer.regions.extend(info.to_pb() for info in found if info.id not in seen)
        seen.update((info.id, None) for info in found)
    return answer


def stores(infos: list[StoreInfo], without_tombstones: bool) -> pdpb.GetAllStoresResponse:
    """All stores, or all that are still members."""
    shown = (info for info in infos if not without_tombstones or info.meta.state != metapb.Tombstone)
    return pdpb.GetAllStoresResponse(stores=[info.to_pb() for info in shown])


def cluster_config(cluster_id: int, max_replicas: int) -> pdpb.GetClusterConfigResponse:
    """The identity of the cluster and the wanted number of replicas."""
    return pdpb.GetClusterConfigResponse(cluster=metapb.Cluster(id=cluster_id, max_peer_count=max_replicas))


def operator(region_id: int, last: tuple[Operator, pdpb.OperatorStatus] | None) -> pdpb.GetOperatorResponse:
    """What is or was last done to a region: `desc` says why, `kind` in which steps."""
    if last is None:
        raise NothingDone(f"nothing was done to region {region_id}")
    done, status = last
    steps = ", ".join(map(str, done.steps))
    return pdpb.GetOperatorResponse(region_id=region_id, desc=done.reason.encode(), status=status, kind=steps.encode())


def service_safe_point(points: SafePoints, wall_s: int) -> pdpb.UpdateServiceGCSafePointResponse:
    """The claim that holds collection back most; without one, the safe point itself under an empty name."""
    lowest = points.lowest()
    if lowest is None:
        return pdpb.UpdateServiceGCSafePointResponse(min_safe_point=points.safe_point)
    return pdpb.UpdateServiceGCSafePointResponse(
        service_id=lowest.service_id, TTL=lowest.ttl_s(wall_s), min_safe_point=lowest.safe_point
    )


def gc_state(safe_point: int) -> pdpb.GetGCStateResponse:
    """The state of garbage collection of the one keyspace."""
    state = pdpb.GCState(
        keyspace_scope=pdpb.KeyspaceScope(keyspace_id=NULL_KEYSPACE),
        txn_safe_point=safe_point,
        gc_safe_point=safe_point,
    )
    return pdpb.GetGCStateResponse(gc_state=state)


def covers(infos: list[RegionInfo], start: bytes, end: bytes) -> bool:
    """Whether regions in key order leave no gap in [start, end)."""
    position: bytes | None = start
    for info in infos:
        if position is None or info.start_key > position:
            return position is None
        position = info.end_key or None
    return position is None or bool(end and position >= end)
