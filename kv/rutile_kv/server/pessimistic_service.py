"""KvPessimisticLock, KVPessimisticRollback, GetLockWaitInfo: locks taken while a transaction runs, and who waits."""

from __future__ import annotations

from rutile_kv.env.rpc import RpcContext
from rutile_kv.server.boundary import unary
from rutile_kv.server.deadlock_service import wait_to_pb
from rutile_kv.server.mutations import mutations_of
from rutile_kv.server.region_store import RegionStore, check_in_region
from rutile_kv.server.validation import check_key, check_keys, check_mutations, check_timestamp
from rutile_kv.txn.commands import PessimisticLock, PessimisticLockResult, PessimisticRollback
from rutile_kv.txn.lock_waiting import LockWaiting
from rutile_kv.txn.model import Op
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import InvalidRequest


class PessimisticService:
    """Mixed into the Tikv service; needs `kv`, `scheduler`, `waiting`, `cluster_id` and `max_entry_bytes`."""

    kv: RegionStore
    scheduler: TxnScheduler
    waiting: LockWaiting
    cluster_id: int
    max_entry_bytes: int

    @unary(kvrpcpb.PessimisticLockResponse)
    async def KvPessimisticLock(self, request: kvrpcpb.PessimisticLockRequest) -> kvrpcpb.PessimisticLockResponse:
        """Waits for keys that others hold, up to a second (wire.md 7.6), then tells of the lock that is in the way.

        What is read under the lock is read at for_update_ts, so that raises max_ts like any read.
        """
        command = _command(request)
        check_key("primary_lock", request.primary_lock)
        check_timestamp("start_version", request.start_version)
        check_timestamp("for_update_ts", request.for_update_ts)
        check_mutations(request.mutations, self.max_entry_bytes)
        check_in_region(self.kv.region(request.context.region_id), request.context, command.latch_keys())
        self.scheduler.max_ts.raise_to(request.for_update_ts)
        found = await self.waiting.lock(
            request.context, command, request.wait_timeout, holds_locks=not request.is_first_lock
        )
        return _answer(request, found)

    @unary(kvrpcpb.PessimisticRollbackResponse)
    async def KVPessimisticRollback(
        self, request: kvrpcpb.PessimisticRollbackRequest
    ) -> kvrpcpb.PessimisticRollbackResponse:
        check_keys("key", request.keys)
        check_timestamp("start_version", request.start_version)
        check_in_region(self.kv.region(request.context.region_id), request.context, request.keys)
        command = PessimisticRollback(request.start_version, request.for_update_ts, tuple(request.keys))
        await self.scheduler.execute(request.context, command)
        return kvrpcpb.PessimisticRollbackResponse()

    async def GetLockWaitInfo(
        self, request: kvrpcpb.GetLockWaitInfoRequest, context: RpcContext
    ) -> kvrpcpb.GetLockWaitInfoResponse:
        """Who waits for whom on this store now."""
        return kvrpcpb.GetLockWaitInfoResponse(entries=[wait_to_pb(wait) for wait in self.waiting.waits()])


def _command(request: kvrpcpb.PessimisticLockRequest) -> PessimisticLock:
    if request.wake_up_mode != kvrpcpb.WakeUpModeNormal:
        raise InvalidRequest("wake_up_mode WakeUpModeForceLock is not built in this version of Rutile")
    for mutation in request.mutations:
        if mutation.op != Op.PESSIMISTIC_LOCK:
            raise InvalidRequest(f"a mutation of kind {mutation.op} is no PessimisticLock")
    return PessimisticLock(
        mutations=mutations_of(request.mutations, ()),
        primary=request.primary_lock,
        start_ts=request.start_version,
        for_update_ts=request.for_update_ts,
        ttl_ms=request.lock_ttl,
        min_commit_ts=request.min_commit_ts,
        return_values=request.return_values,
        check_existence=request.check_existence,
        lock_only_if_exists=request.lock_only_if_exists,
    )


def _answer(request: kvrpcpb.PessimisticLockRequest, found: PessimisticLockResult) -> kvrpcpb.PessimisticLockResponse:
    """One value and one not_found per key, in request order, as far as they were asked for."""
    response = kvrpcpb.PessimisticLockResponse()
    for key in found.keys:
        if request.return_values:
            response.values.append(key.value or b"")
        if request.return_values or request.check_existence:
            response.not_founds.append(not key.exists)
    return response
