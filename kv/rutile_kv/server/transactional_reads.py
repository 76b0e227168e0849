"""KvGet, KvBatchGet, KvScan, KvScanLock: snapshot reads at the request's version.

Each read first raises the store's max_ts to its version: a transaction that commits asynchronously afterwards gets a
later timestamp than anything that may have missed it. Then it takes a linearizable view and reads it without awaiting,
because a view of the live engine is good only until the next turn of the loop. Locks that are still on their way to
the engine (`TxnScheduler.over`) count like those that are in it.

A lock in a reader's way is looked into first (`lock_fates`): only those of transactions that may still be running are
told to the client.

Requests with Context.stale_read take what this replica has, if it is complete up to their version (`stale_reads`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

from google.protobuf.message import Message

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.server.boundary import unary
from rutile_kv.server.lock_fates import Fates, LockFates
from rutile_kv.server.region_store import RegionStore, UserRange, check_in_region, clip
from rutile_kv.server.stale_reads import EVERYBODY, StaleReads
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
from rutile_proto.errors import KeyIsLocked, LockFacts, RegionNotFound
from rutile_proto.wire_errors import key_error_to_pb, lock_to_pb

MAX_LOOKS = 4
"""Looks of one request at the data: each further one is past locks that were in the way of the one before."""

Response = TypeVar("Response", bound=Message)
Looked: TypeAlias = tuple[Response, list[LockFacts]]
"""A response, and the locks it tells of."""
Look: TypeAlias = Callable[[MvccReader, metapb.Region, Fates], Looked[Response]]
Pair: TypeAlias = tuple[bytes, bytes | KeyIsLocked]


class TransactionalReads:
    """Mixed into the Tikv service; needs `kv`, `scheduler`, `fates`, `stale` and `cluster_id`."""

    kv: RegionStore
    scheduler: TxnScheduler
    fates: LockFates
    stale: StaleReads | None
    cluster_id: int

    @unary(kvrpcpb.GetResponse, timed=True)
    async def KvGet(self, request: kvrpcpb.GetRequest) -> kvrpcpb.GetResponse:
        check_key("key", request.key)

        def look(reader: MvccReader, region: metapb.Region, known: Fates) -> Looked[kvrpcpb.GetResponse]:
            check_in_region(region, request.context, (request.key,))
            try:
                value = reader.get(request.key, request.version, bypass=known.bypass, access=known.access)
            except KeyIsLocked as error:
                return kvrpcpb.GetResponse(error=key_error_to_pb(error)), [error.lock]
            return kvrpcpb.GetResponse(value=value, not_found=value is None), []

        return await self._read(request.context, request.version, look)

    @unary(kvrpcpb.BatchGetResponse, timed=True)
    async def KvBatchGet(self, request: kvrpcpb.BatchGetRequest) -> kvrpcpb.BatchGetResponse:
        """Pairs in the order of the request's keys; missing keys are left out."""
        check_keys("key", request.keys)

        def look(reader: MvccReader, region: metapb.Region, known: Fates) -> Looked[kvrpcpb.BatchGetResponse]:
            check_in_region(region, request.context, request.keys)
            pairs = [(key, _value(reader, key, request.version, known)) for key in request.keys]
            found = [(key, value) for key, value in pairs if value is not None]
            return kvrpcpb.BatchGetResponse(pairs=_pairs_to_pb(found)), _locks_in(found)

        return await self._read(request.context, request.version, look)

    @unary(kvrpcpb.ScanResponse, timed=True)
    async def KvScan(self, request: kvrpcpb.ScanRequest) -> kvrpcpb.ScanResponse:
        """Up to `limit` pairs within the region. Fewer means that the region has no more: never cut by size."""
        low, high = _scan_bounds(request)
        check_range(low, high)

        def look(reader: MvccReader, region: metapb.Region, known: Fates) -> Looked[kvrpcpb.ScanResponse]:
            span = clip(low, high, region)
            if span is None or request.limit == 0:
                return kvrpcpb.ScanResponse(), []
            pairs = _scan(reader, span, request, known)
            return kvrpcpb.ScanResponse(pairs=_pairs_to_pb(pairs)), _locks_in(pairs)

        return await self._read(request.context, request.version, look)

    @unary(kvrpcpb.ScanLockResponse, timed=True)
    async def KvScanLock(self, request: kvrpcpb.ScanLockRequest) -> kvrpcpb.ScanLockResponse:
        """Locks with start_ts <= max_version, in key order. Raises max_ts: nothing commits below it unseen."""
        check_timestamp("max_version", request.max_version)
        check_range(request.start_key, request.end_key)
        reader, region = await self._view(request.context, request.max_version, versions=False, all_locks=True)
        span = clip(request.start_key, request.end_key, region)
        if span is None:
            return kvrpcpb.ScanLockResponse()
        locks = reader.scan_locks(span[0], span[1], request.max_version, request.limit or MAX_LOCK_SCAN)
        return kvrpcpb.ScanLockResponse(locks=[lock_to_pb(lock) for lock in locks])

    async def _read(self, context: kvrpcpb.Context, version: int, look: Look[Response]) -> Response:
        """What `look` makes of the data. Where locks are in its way it looks again, as long as something can be learned
        of their owners; then its answer tells of the locks."""
        if context.stale_read and self.stale is not None:
            check_timestamp("version", version)
            self.scheduler.safe_point.check(version)
            view, region = self.stale.view(context, version)
            return look(MvccReader(view), region, Fates(EVERYBODY))[0]
        known = known_locks(context)
        for _ in range(MAX_LOOKS):
            reader, region = await self._view(context, version)
            response, locks = look(reader, region, known)
            if not locks or not (learned := await self.fates.learn(context, locks, version)):
                break
            known |= learned
        return response

    async def _view(
        self, context: kvrpcpb.Context, version: int, *, versions: bool = True, all_locks: bool = False
    ) -> tuple[MvccReader, metapb.Region]:
        """A reader of the live engine and the region, both valid until the next await. Where `versions` are read, they
        must not be old enough to be gone. `all_locks`: those in memory too, which are in no reader's way."""
        check_timestamp("version", version)
        if versions:
            self.scheduler.safe_point.check(version)
        self.scheduler.max_ts.raise_to(version)
        view = await self.kv.read_view(context)
        region = self.kv.region(context.region_id)
        if region is None:
            raise RegionNotFound(context.region_id)
        if all_locks:
            view = self.scheduler.with_memory_locks(view, context)
        return MvccReader(self.scheduler.over(view)), region


def known_locks(context: kvrpcpb.Context) -> Fates:
    """What the caller has found out about transactions."""
    return Fates(frozenset(context.resolved_locks), frozenset(context.committed_locks))


def _value(reader: MvccReader, key: bytes, version: int, known: Fates) -> bytes | KeyIsLocked | None:
    try:
        return reader.get(key, version, bypass=known.bypass, access=known.access)
    except KeyIsLocked as error:
        return error


def _scan_bounds(request: kvrpcpb.ScanRequest) -> UserRange:
    """(low, high): a reverse scan names its exclusive upper bound `start_key` and its lower one `end_key`."""
    if request.reverse:
        return request.end_key, request.start_key
    return request.start_key, request.end_key


def _scan(reader: MvccReader, span: UserRange, request: kvrpcpb.ScanRequest, known: Fates) -> list[Pair]:
    return reader.scan(
        span[0],
        span[1],
        request.version,
        request.limit,
        reverse=request.reverse,
        key_only=request.key_only,
        bypass=known.bypass,
        access=known.access,
    )


def _locks_in(pairs: Iterable[Pair]) -> list[LockFacts]:
    return [value.lock for _, value in pairs if isinstance(value, KeyIsLocked)]


def _pairs_to_pb(pairs: Iterable[Pair]) -> list[kvrpcpb.KvPair]:
    """A key that is locked stands in its place with the lock."""
    return [
        kvrpcpb.KvPair(key=key, error=key_error_to_pb(value))
        if isinstance(value, KeyIsLocked)
        else kvrpcpb.KvPair(key=key, value=value)
        for key, value in pairs
    ]
