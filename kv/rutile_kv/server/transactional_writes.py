"""Percolator over the wire: each method turns its request into one command and the command's result into its answer.

What a command refuses (TxnError) goes where clients look for it; `boundary.unary` sees to that, and to region errors.
Before anything else the keys are held to their bounds and to the region.
"""

from __future__ import annotations

from typing import TypeVar

from rutile_kv.server.boundary import unary
from rutile_kv.server.mutations import mutations_of
from rutile_kv.server.region_store import RegionStore, check_in_region
from rutile_kv.server.validation import check_key, check_keys, check_mutations, check_timestamp
from rutile_kv.txn.commands import (
    BatchRollback,
    CheckSecondaryLocks,
    CheckTxnStatus,
    Cleanup,
    Commit,
    Prewrite,
    ResolveLock,
    TxnHeartBeat,
)
from rutile_kv.txn.model import Command
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import InvalidRequest
from rutile_proto.wire_errors import lock_to_pb

ResultT = TypeVar("ResultT")


class TransactionalWrites:
    """Mixed into the Tikv service; needs `kv`, `scheduler`, `cluster_id` and `max_entry_bytes`."""

    kv: RegionStore
    scheduler: TxnScheduler
    cluster_id: int
    max_entry_bytes: int

    @unary(kvrpcpb.PrewriteResponse)
    async def KvPrewrite(self, request: kvrpcpb.PrewriteRequest) -> kvrpcpb.PrewriteResponse:
        check_key("primary_lock", request.primary_lock)
        check_timestamp("start_version", request.start_version)
        check_mutations(request.mutations, self.max_entry_bytes)
        result = await self._execute(request.context, _prewrite(request))
        return kvrpcpb.PrewriteResponse(min_commit_ts=result.min_commit_ts, one_pc_commit_ts=result.one_pc_commit_ts)

    @unary(kvrpcpb.CommitResponse)
    async def KvCommit(self, request: kvrpcpb.CommitRequest) -> kvrpcpb.CommitResponse:
        check_keys("key", request.keys)
        command = Commit(request.start_version, request.commit_version, tuple(request.keys))
        result = await self._execute(request.context, command)
        return kvrpcpb.CommitResponse(commit_version=result.commit_ts)

    @unary(kvrpcpb.BatchRollbackResponse)
    async def KvBatchRollback(self, request: kvrpcpb.BatchRollbackRequest) -> kvrpcpb.BatchRollbackResponse:
        check_keys("key", request.keys)
        check_timestamp("start_version", request.start_version)
        await self._execute(request.context, BatchRollback(request.start_version, tuple(request.keys)))
        return kvrpcpb.BatchRollbackResponse()

    @unary(kvrpcpb.CleanupResponse)
    async def KvCleanup(self, request: kvrpcpb.CleanupRequest) -> kvrpcpb.CleanupResponse:
        check_key("key", request.key)
        check_timestamp("start_version", request.start_version)
        command = Cleanup(request.key, request.start_version, request.current_ts)
        result = await self._execute(request.context, command)
        return kvrpcpb.CleanupResponse(commit_version=result.commit_ts)

    @unary(kvrpcpb.CheckTxnStatusResponse)
    async def KvCheckTxnStatus(self, request: kvrpcpb.CheckTxnStatusRequest) -> kvrpcpb.CheckTxnStatusResponse:
        """Exactly one of: lock_ttl with lock_info (running), commit_version, neither (rolled back)."""
        check_key("primary_key", request.primary_key)
        check_timestamp("lock_ts", request.lock_ts)
        command = CheckTxnStatus(
            primary_key=request.primary_key,
            lock_ts=request.lock_ts,
            caller_start_ts=request.caller_start_ts,
            current_ts=request.current_ts,
            rollback_if_not_exist=request.rollback_if_not_exist,
            force_sync_commit=request.force_sync_commit,
            resolving_pessimistic_lock=request.resolving_pessimistic_lock,
            verify_is_primary=request.verify_is_primary,
        )
        for read_at in (request.lock_ts, request.caller_start_ts, request.current_ts):
            self.scheduler.max_ts.raise_to(read_at)
        status = await self._execute(request.context, command)
        return kvrpcpb.CheckTxnStatusResponse(
            lock_ttl=status.ttl_ms,
            commit_version=status.commit_ts,
            action=kvrpcpb.Action.Name(status.action),
            lock_info=lock_to_pb(status.lock) if status.lock is not None else None,
        )

    @unary(kvrpcpb.CheckSecondaryLocksResponse)
    async def KvCheckSecondaryLocks(
        self, request: kvrpcpb.CheckSecondaryLocksRequest
    ) -> kvrpcpb.CheckSecondaryLocksResponse:
        check_keys("key", request.keys)
        check_timestamp("start_version", request.start_version)
        self.scheduler.max_ts.raise_to(request.start_version)
        command = CheckSecondaryLocks(request.start_version, tuple(request.keys))
        found = await self._execute(request.context, command)
        return kvrpcpb.CheckSecondaryLocksResponse(
            locks=[lock_to_pb(lock) for lock in found.locks], commit_ts=found.commit_ts
        )

    @unary(kvrpcpb.ResolveLockResponse)
    async def KvResolveLock(self, request: kvrpcpb.ResolveLockRequest) -> kvrpcpb.ResolveLockResponse:
        """Without keys: all locks of the transactions in the region, found by a scan of its lock family."""
        check_keys("key", request.keys)
        if not request.start_version and not request.txn_infos:
            raise InvalidRequest("ResolveLock names no transaction: set start_version or txn_infos")
        command = ResolveLock(
            start_ts=request.start_version,
            commit_ts=request.commit_version,
            keys=tuple(request.keys),
            txn_infos=tuple((info.txn, info.status) for info in request.txn_infos),
        )
        await self._execute(request.context, command)
        return kvrpcpb.ResolveLockResponse()

    @unary(kvrpcpb.TxnHeartBeatResponse)
    async def KvTxnHeartBeat(self, request: kvrpcpb.TxnHeartBeatRequest) -> kvrpcpb.TxnHeartBeatResponse:
        check_key("primary_lock", request.primary_lock)
        check_timestamp("start_version", request.start_version)
        command = TxnHeartBeat(request.primary_lock, request.start_version, request.advise_lock_ttl)
        result = await self._execute(request.context, command)
        return kvrpcpb.TxnHeartBeatResponse(lock_ttl=result.ttl_ms)

    async def _execute(self, context: kvrpcpb.Context, command: Command[ResultT]) -> ResultT:
        check_in_region(self.kv.region(context.region_id), context, command.latch_keys())
        return await self.scheduler.execute(context, command)


def _prewrite(request: kvrpcpb.PrewriteRequest) -> Prewrite:
    """`secondaries` count only with async commit: the Python client fills them always (wire.md 7.5)."""
    return Prewrite(
        mutations=mutations_of(request.mutations, request.pessimistic_actions),
        primary=request.primary_lock,
        start_ts=request.start_version,
        ttl_ms=request.lock_ttl,
        txn_size=request.txn_size,
        min_commit_ts=request.min_commit_ts,
        max_commit_ts=request.max_commit_ts,
        for_update_ts=request.for_update_ts,
        use_async_commit=request.use_async_commit,
        secondaries=tuple(request.secondaries) if request.use_async_commit else (),
        try_one_pc=request.try_one_pc,
        assertion_level=request.assertion_level,
        skip_constraint_check=request.skip_constraint_check,
        is_retry=request.context.is_retry_request,
    )
