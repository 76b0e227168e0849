"""SplitRegion, MergeRegion, CheckConsistency, ReadIndex, MvccGetByKey, GetStoreSafeTS: what tools ask of a store."""

from __future__ import annotations

from rutile_kv.mvcc.bulk import first_lock
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import Lock, LockKind, Write, WriteKind
from rutile_kv.server.boundary import unary
from rutile_kv.server.region_store import RegionStore, check_in_region, clip
from rutile_kv.server.validation import check_key, check_keys, check_range
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.boundaries import boundaries_before
from rutile_proto.errors import InvalidRequest
from rutile_proto.keys import storage_bound, storage_key
from rutile_proto.wire_errors import lock_to_pb

MAX_SPLIT_KEYS = 1024
"""Keys in one SplitRegion request; all its regions come into being with one log entry."""
MAX_VERSIONS = 1024
"""Versions of a key in one MvccGetByKey answer, newest first."""

_OP_OF_WRITE = {
    WriteKind.PUT: kvrpcpb.Put,
    WriteKind.DELETE: kvrpcpb.Del,
    WriteKind.LOCK: kvrpcpb.Lock,
    WriteKind.ROLLBACK: kvrpcpb.Rollback,
}
_OP_OF_LOCK = {
    LockKind.PUT: kvrpcpb.Put,
    LockKind.DELETE: kvrpcpb.Del,
    LockKind.LOCK: kvrpcpb.Lock,
    LockKind.PESSIMISTIC: kvrpcpb.PessimisticLock,
}


class AdminService:
    """Mixed into the Tikv service; needs `kv`, `scheduler` and `cluster_id`."""

    kv: RegionStore
    scheduler: TxnScheduler
    cluster_id: int

    @unary(kvrpcpb.SplitRegionResponse)
    async def SplitRegion(self, request: kvrpcpb.SplitRegionRequest) -> kvrpcpb.SplitRegionResponse:
        """Cut the region at the keys: `regions` are all parts in key order.

        Raw keys (is_raw_kv) are rounded to where regions can begin, see `rutile_proto.boundaries`.
        """
        keys = sorted({*request.split_keys, *([request.split_key] if request.split_key else ())})
        check_keys("split_key", keys)
        if not keys or len(keys) > MAX_SPLIT_KEYS:
            raise InvalidRequest(f"SplitRegion takes 1 to {MAX_SPLIT_KEYS} keys, not {len(keys)}")
        if not request.is_raw_kv:
            check_in_region(self.kv.region(request.context.region_id), request.context, keys)
        borders = boundaries_before(keys) if request.is_raw_kv else [storage_key(key) for key in keys]
        regions = await self.kv.split(request.context, borders)
        return kvrpcpb.SplitRegionResponse(regions=regions, left=regions[0], right=regions[-1])

    @unary(rutilepb.MergeRegionResponse)
    async def MergeRegion(self, request: rutilepb.MergeRegionRequest) -> rutilepb.MergeRegionResponse:
        """Begin to merge a region into its right neighbour, as the placement driver would order it."""
        return rutilepb.MergeRegionResponse(region=await self.kv.merge(request.context, request.target))

    @unary(rutilepb.CheckConsistencyResponse)
    async def CheckConsistency(self, request: rutilepb.CheckConsistencyRequest) -> rutilepb.CheckConsistencyResponse:
        """Begin to compare the region's replicas; what differs shows later, on the store that has it."""
        await self.kv.check_consistency(request.context)
        return rutilepb.CheckConsistencyResponse()

    @unary(kvrpcpb.ReadIndexResponse, timed=True)
    async def ReadIndex(self, request: kvrpcpb.ReadIndexRequest) -> kvrpcpb.ReadIndexResponse:
        """The index that a linearizable read at start_ts has to have applied, or the lock it has to resolve first."""
        for bounds in request.ranges:
            check_range(bounds.start_key, bounds.end_key)
        self.scheduler.max_ts.raise_to(request.start_ts)
        snapshot, region, index = await self.kv.snapshot(request.context)
        with snapshot:
            reader = self.scheduler.over(snapshot)
            for bounds in request.ranges:
                span = clip(bounds.start_key, bounds.end_key, region)
                if span is None:
                    continue
                lock = first_lock(reader, storage_bound(span[0]), storage_bound(span[1]) or None, request.start_ts)
                if lock is not None:
                    return kvrpcpb.ReadIndexResponse(locked=lock_to_pb(lock))
        return kvrpcpb.ReadIndexResponse(read_index=index)

    @unary(kvrpcpb.MvccGetByKeyResponse, timed=True)
    async def MvccGetByKey(self, request: kvrpcpb.MvccGetByKeyRequest) -> kvrpcpb.MvccGetByKeyResponse:
        """What there is of one key: its lock, in memory or not, and its newest MAX_VERSIONS versions."""
        check_key("key", request.key)
        check_in_region(self.kv.region(request.context.region_id), request.context, (request.key,))
        view = await self.kv.read_view(request.context)
        reader = MvccReader(self.scheduler.with_memory_locks(view, request.context))
        info = kvrpcpb.MvccInfo()
        lock = reader.load_lock(request.key)
        if lock is not None:
            info.lock.CopyFrom(_lock_to_pb(lock))
        for (commit_ts, write), _ in zip(reader.writes(request.key), range(MAX_VERSIONS), strict=False):
            info.writes.append(_write_to_pb(commit_ts, write))
            value = reader.value_of(request.key, write) if write.short_value is None else None
            if value is not None:
                info.values.add(start_ts=write.start_ts, value=value)
        return kvrpcpb.MvccGetByKeyResponse(info=info)

    async def GetStoreSafeTS(self, request: kvrpcpb.StoreSafeTSRequest, context: object) -> kvrpcpb.StoreSafeTSResponse:
        """0: not known for the store as a whole; each region tells in DataIsNotReady. client-go asks every two
        seconds."""
        return kvrpcpb.StoreSafeTSResponse(safe_ts=0)


def _lock_to_pb(lock: Lock) -> kvrpcpb.MvccLock:
    return kvrpcpb.MvccLock(
        type=_OP_OF_LOCK[lock.kind],
        start_ts=lock.start_ts,
        primary=lock.primary,
        short_value=lock.short_value or b"",
        ttl=lock.ttl_ms,
        for_update_ts=lock.for_update_ts,
        txn_size=lock.txn_size,
        use_async_commit=lock.use_async_commit,
        secondaries=lock.secondaries,
        rollback_ts=lock.rollback_ts,
    )


def _write_to_pb(commit_ts: int, write: Write) -> kvrpcpb.MvccWrite:
    return kvrpcpb.MvccWrite(
        type=_OP_OF_WRITE[write.kind],
        start_ts=write.start_ts,
        commit_ts=commit_ts,
        short_value=write.short_value or b"",
        has_overlapped_rollback=write.overlapped_rollback,
    )
