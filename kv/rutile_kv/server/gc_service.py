"""KvGC and UnsafeDestroyRange."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rutile_kv.server.boundary import unary
from rutile_kv.server.garbage_collector import GarbageCollector
from rutile_kv.server.region_store import RegionStore
from rutile_kv.server.validation import check_range
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import InvalidRequest, RegionNotFound, StorageError
from rutile_proto.keys import storage_key

DestroyRange = Callable[[bytes, bytes], Awaitable[None]]
"""Removes a range of storage keys from this store for good. Raises StorageError."""


@dataclass(frozen=True, slots=True)
class SpaceParts:
    """What gives space back."""

    collector: GarbageCollector
    destroy_range: DestroyRange


class GcService:
    """Mixed into the Tikv service; needs `kv`, `scheduler`, `space` and `cluster_id`."""

    kv: RegionStore
    scheduler: TxnScheduler
    cluster_id: int
    space: SpaceParts | None

    @unary(kvrpcpb.GCResponse)
    async def KvGC(self, request: kvrpcpb.GCRequest) -> kvrpcpb.GCResponse:
        """Remove a region's garbage now. Stores do it by themselves after the safe point has risen in PD, and only as
        far as that: readers rely on it."""
        known = self.scheduler.safe_point.ts
        if request.safe_point > known:
            raise InvalidRequest(
                f"safe_point {request.safe_point} is above the cluster's {known}: raise it in PD first"
            )
        region = self.kv.region(request.context.region_id)
        if region is None:
            raise RegionNotFound(request.context.region_id)
        await self._space().collector.collect(request.context, region, request.safe_point)
        return kvrpcpb.GCResponse()

    @unary(kvrpcpb.UnsafeDestroyRangeResponse)
    async def UnsafeDestroyRange(
        self, request: kvrpcpb.UnsafeDestroyRangeRequest
    ) -> kvrpcpb.UnsafeDestroyRangeResponse:
        """Remove [start_key, end_key) (user keys) from this store, whoever leads what is in it, without Raft,
        once the replicas here have applied what is committed. `error` says why it was not done: then do it again."""
        check_range(request.start_key, request.end_key)
        if not request.start_key < request.end_key:
            raise InvalidRequest("a range to be destroyed has a start below its end")
        try:
            await self._space().destroy_range(storage_key(request.start_key), storage_key(request.end_key))
        except StorageError as error:
            return kvrpcpb.UnsafeDestroyRangeResponse(error=str(error))
        return kvrpcpb.UnsafeDestroyRangeResponse()

    def _space(self) -> SpaceParts:
        if self.space is None:
            raise InvalidRequest("this store was assembled without a garbage collector")
        return self.space
