"""KvGet, KvBatchGet, KvScan, KvScanLock: snapshot reads at the request's version.

Each read first raises the store's max_ts to its version: a transaction that commits asynchronously afterwards gets a
later timestamp than anything that may have missed it. Then it takes a linearizable view and reads it without awaiting,
because a view of the live engine is good only until the next turn of the loop. Locks that are still on their way to
the engine (`TxnScheduler.over`) count like those that are in it.
"""

from __future__ import annotations

from typing import TypedDict

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.server.boundary import unary
from rutile_kv.server.region_store import RegionStore, UserRange, check_in_region, clip
from rutile_kv.server.validation import (
    MAX_LOCK_SCAN,
    check_key,
    check_keys,
    check_range,
    check_timestamp,
)
from rutile_kv.txn.shell import TxnScheduler
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import KeyIsLocked, RegionNotFound
from rutile_proto.wire_errors import key_error_to_pb, lock_to_pb


class TransactionalReads:
    """Mixed into the Tikv service; needs `kv`, `scheduler`, `max_ts` and `cluster_id`."""

    kv: RegionStore
    scheduler: TxnScheduler
    cluster_id: int

    @unary(kvrpcpb.GetResponse, timed=True)
    async def KvGet(self, request: kvrpcpb.GetRequest) -> kvrpcpb.GetResponse:
        check_key("key", request.key)
        reader, region = await self._view(request.context, request.version)
        check_in_region(region, request.context, (request.key,))
        value = reader.get(request.key, request.version, **known_locks(request.context))
        if value is None:
            return kvrpcpb.GetResponse(not_found=True)
        return kvrpcpb.GetResponse(value=value)

    @unary(kvrpcpb.BatchGetResponse, timed=True)
    async def KvBatchGet(self, request: kvrpcpb.BatchGetRequest) -> kvrpcpb.BatchGetResponse:
        """Pairs in the order of the request's keys; missing keys are left out."""
        check_keys("key", request.keys)
        reader, region = await self._view(request.context, request.version)
        check_in_region(region, request.context, request.keys)
        known = known_locks(request.context)
        response = kvrpcpb.BatchGetResponse()
        for key in request.keys:
            _add_pair(response, reader, key, request.version, known)
        return response

    @unary(kvrpcpb.ScanResponse, timed=True)
    async def KvScan(self, request: kvrpcpb.ScanRequest) -> kvrpcpb.ScanResponse:
        """Up to `limit` pairs within the region. Fewer means that the region has no more: never cut by size."""
        low, high = _scan_bounds(request)
        check_range(low, high)
        reader, region = await self._view(request.context, request.version)
        span = clip(low, high, region)
        if span is None or request.limit == 0:
            return kvrpcpb.ScanResponse()
        return _scan(reader, span, request)

    @unary(kvrpcpb.ScanLockResponse, timed=True)
    async def KvScanLock(self, request: kvrpcpb.ScanLockRequest) -> kvrpcpb.ScanLockResponse:
        """Locks with start_ts <= max_version, in key order. Raises max_ts: nothing commits below it unseen."""
        check_timestamp("max_version", request.max_version)
        check_range(request.start_key, request.end_key)
        reader, region = await self._view(request.context, request.max_version)
        span = clip(request.start_key, request.end_key, region)
        if span is None:
            return kvrpcpb.ScanLockResponse()
        locks = reader.scan_locks(span[0], span[1], request.max_version, request.limit or MAX_LOCK_SCAN)
        return kvrpcpb.ScanLockResponse(locks=[lock_to_pb(lock) for lock in locks])

    async def _view(self, context: kvrpcpb.Context, version: int) -> tuple[MvccReader, metapb.Region]:
        """A reader of the live engine and the region, both valid until the next await."""
        check_timestamp("version", version)
        self.scheduler.max_ts.raise_to(version)
        view = await self.kv.read_view(context)
        region = self.kv.region(context.region_id)
        if region is None:
            raise RegionNotFound(context.region_id)
        return MvccReader(self.scheduler.over(view)), region


class KnownLocks(TypedDict):
    """What the caller has found out about transactions, as MvccReader's arguments."""

    bypass: frozenset[int]
    access: frozenset[int]


def known_locks(context: kvrpcpb.Context) -> KnownLocks:
    return KnownLocks(bypass=frozenset(context.resolved_locks), access=frozenset(context.committed_locks))


def _add_pair(
    response: kvrpcpb.BatchGetResponse, reader: MvccReader, key: bytes, version: int, known: KnownLocks
) -> None:
    try:
        value = reader.get(key, version, **known)
    except KeyIsLocked as error:
        response.pairs.add(key=key, error=key_error_to_pb(error))
        return
    if value is not None:
        response.pairs.add(key=key, value=value)


def _scan_bounds(request: kvrpcpb.ScanRequest) -> UserRange:
    """(low, high): a reverse scan names its exclusive upper bound `start_key` and its lower one `end_key`."""
    if request.reverse:
        return request.end_key, request.start_key
    return request.start_key, request.end_key


def _scan(reader: MvccReader, span: UserRange, request: kvrpcpb.ScanRequest) -> kvrpcpb.ScanResponse:
    pairs = reader.scan(
        span[0],
        span[1],
        request.version,
        request.limit,
        reverse=request.reverse,
        key_only=request.key_only,
        **known_locks(request.context),
    )
    response = kvrpcpb.ScanResponse()
    for key, value in pairs:
        if isinstance(value, KeyIsLocked):
            response.pairs.add(key=key, error=key_error_to_pb(value))
        else:
            response.pairs.add(key=key, value=value)
    return response
