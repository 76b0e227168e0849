"""Garbage collection, seen from above: moving the safe point, and what has to be done before it moves.

    1. the safe point wanted is now less the life time, but not above what any service holds in PD: backups, and clients
       with old transactions (`gc_hold`)
    2. every transaction that began at or before it is ended: its locks are scanned for and settled, whatever their time
       to live. After that no commit at or below the safe point can happen any more
    3. the safe point is raised in PD, whence the stores take it: each removes old versions of the regions it leads

One worker in the cluster is enough (the store that leads the first region runs it), two do no harm. `destroy_range`
removes all data of a range at once, on every store, without a trace in the logs; `delete_ranges` keeps the list of the
ranges that dropped tables and indexes have left.
"""

from __future__ import annotations

import grpc

from rutile_kv.client.backoff import Backoff
from rutile_kv.client.calls import answer_of, kind_of
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.connections import StoreGone
from rutile_kv.client.outcome import find_out
from rutile_kv.client.region_cache import CachedRegion
from rutile_kv.client.sender import Missed
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import InvalidRequest, LockFacts, StorageError, TxnLockNotFound
from rutile_proto.keys import storage_bound
from rutile_proto.timestamps import compose, physical_ms
from rutile_proto.types import Timestamp
from rutile_proto.wire_errors import key_error_from_pb, lock_from_pb

LIFE_TIME_S = 600.0
"""How long a version lives on after it was overwritten, and so how old a snapshot can be."""
WORKER_SERVICE = b"gc_worker"
WORKER_TTL_S = 24 * 3600
LOCKS_AT_ONCE = 1024
"""Locks in one ScanLock answer (TiDB's number)."""
REGION_BUDGET_S = 60.0
"""For the locks of one region."""
DESTROY_TIMEOUT_S = 300.0
"""For one store to remove a range and give its space back."""


class GcWorker:
    """Moves the cluster's safe point."""

    def __init__(self, cluster: Cluster, life_time_s: float = LIFE_TIME_S) -> None:
        self._cluster = cluster
        self.life_time_s = life_time_s

    async def run_once(self) -> Timestamp:
        """Raise the safe point as far as it may go; the one in force afterwards. Raises RutileError."""
        now = await self._cluster.pd.timestamp()
        wanted = compose(max(0, physical_ms(now) - round(self.life_time_s * 1000)), 0)
        return await self.raise_to(wanted)

    async def raise_to(self, wanted: int) -> Timestamp:
        """The same for a given safe point."""
        pd = self._cluster.pd
        current = await pd.gc_safe_point()
        if wanted <= current:
            return current
        held = await pd.update_service_gc_safe_point(WORKER_SERVICE, WORKER_TTL_S, wanted)
        safe_point = min(wanted, held)
        if safe_point <= current:
            return current
        await self.end_transactions(safe_point)
        return await pd.update_gc_safe_point(safe_point)

    async def end_transactions(self, safe_point: int) -> int:
        """End every transaction that began at or before `safe_point` and still has locks; how many locks there were."""
        count, place, backoff = 0, b"", self._backoff()
        while True:
            region = await self._cluster.regions.locate(storage_bound(place), backoff)
            locks = await self._scan_locks(region, place, safe_point, backoff)
            if isinstance(locks, Missed):
                await locks.wait(backoff)
                continue
            missed = await self._settle(region, locks, backoff)
            if missed is not None:
                await missed.wait(backoff)
                continue
            count += len(locks)
            if len(locks) == LOCKS_AT_ONCE:
                place = locks[-1].key + b"\0"
                continue
            if not region.user_end:
                return count
            place, backoff = region.user_end, self._backoff()

    async def _scan_locks(
        self, region: CachedRegion, start: bytes, safe_point: int, backoff: Backoff
    ) -> list[LockFacts] | Missed:
        request = kvrpcpb.ScanLockRequest(
            context=region.context(),
            max_version=safe_point,
            start_key=start,
            end_key=region.user_end,
            limit=LOCKS_AT_ONCE,
        )
        answer = await self._cluster.sender.send(region, "KvScanLock", request, backoff)
        if isinstance(answer, Missed):
            return answer
        if answer.HasField("error"):
            raise key_error_from_pb(answer.error)
        return [lock_from_pb(lock) for lock in answer.locks]

    async def _settle(self, region: CachedRegion, locks: list[LockFacts], backoff: Backoff) -> Missed | None:
        """Find out about each transaction for good, then carry it out on the locks found."""
        infos = {}
        for lock in locks:
            if lock.start_ts not in infos:
                infos[lock.start_ts] = await self._fate(lock)
        if not infos:
            return None
        request = kvrpcpb.ResolveLockRequest(context=region.context(), keys=[lock.key for lock in locks])
        for start_ts, commit_ts in infos.items():
            request.txn_infos.add(txn=start_ts, status=commit_ts)
        answer = await self._cluster.sender.send(region, "KvResolveLock", request, backoff)
        if isinstance(answer, Missed):
            return answer
        if answer.HasField("error"):
            raise key_error_from_pb(answer.error)
        return None

    async def _fate(self, lock: LockFacts) -> int:
        """The commit_ts, or 0: rolled back by asking."""
        why = InvalidRequest(f"transaction {lock.start_ts} is older than the safe point")
        try:
            return await find_out(self._cluster, lock.primary, lock.start_ts, why)
        except TxnLockNotFound:
            return 0

    def _backoff(self) -> Backoff:
        return Backoff("end old transactions", REGION_BUDGET_S, self._cluster.pace)


async def destroy_range(cluster: Cluster, start: bytes, end: bytes) -> None:
    """Remove everything in [start, end) (user keys), versions and locks, from every store at once.

    Only for ranges nobody reads or writes any more, also not at older timestamps: readers are not protected. Raises
    InvalidRequest for an empty or open range, StorageError if a store could not do it, after the others were told; then
    do it again.
    """
    if not start < end:
        raise InvalidRequest("a range to be destroyed has a start below its end")
    failed = list[str]()
    for store in await cluster.pd.all_stores():
        try:
            await _destroy_on(cluster, store.id, kvrpcpb.UnsafeDestroyRangeRequest(start_key=start, end_key=end))
        except StorageError as error:
            failed.append(f"store {store.id}: {error}")
    if failed:
        raise StorageError("the range was not destroyed on every store: " + "; ".join(failed))


async def _destroy_on(cluster: Cluster, store_id: int, request: kvrpcpb.UnsafeDestroyRangeRequest) -> None:
    """A store that was removed meanwhile has nothing any more. Raises StorageError for one that cannot be reached."""
    backoff = Backoff("destroy a range", DESTROY_TIMEOUT_S, cluster.pace)
    try:
        stub = await cluster.sender.stub(store_id, backoff)
        answer = await answer_of(stub.UnsafeDestroyRange(request, timeout=DESTROY_TIMEOUT_S))
    except StoreGone:
        return
    except grpc.RpcError as error:
        kind_of(error)  # raises what the store refuses to understand
        cluster.sender.doubt(store_id)
        raise StorageError(f"it did not answer: {error.details()}") from error
    if answer.error:
        raise StorageError(answer.error)
