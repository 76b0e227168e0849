"""A whole cluster in one object: regions over stores, a placement driver, and switches for what goes wrong."""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pyarrow as pa
from client_fake_mvcc import Mvcc
from client_shared_way import InnerStub

from rutile_kv.client.backoff import Pace
from rutile_kv.client.client import Client
from rutile_kv.client.cluster import ClientOptions
from rutile_kv.client.connections import StoreStubs
from rutile_kv.env.clock import ManualClock
from rutile_kv.env.rpc import LocalStub, start_server
from rutile_proto import coprocessor_pb2 as coprocessor
from rutile_proto import errorpb_pb2 as errorpb
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdpb_pb2_grpc, rutilepb_pb2_grpc, tikvpb_pb2_grpc
from rutile_proto import rutilepb_pb2 as rutilepb
from rutile_proto.errors import (
    EpochNotMatch,
    KeyIsLocked,
    KeyNotInRegion,
    NotLeader,
    RegionError,
    RegionNotFound,
    StoreNotMatch,
    TxnError,
)
from rutile_proto.keys import storage_key, user_bound
from rutile_proto.timestamps import compose
from rutile_proto.wire_errors import key_error_to_pb, lock_to_pb, region_error_to_pb

CLUSTER_ID = 7
LONG_S = 1.4
"""Sleeps at least this long wait until the clock gets there; shorter ones (back-offs) push it there themselves."""


class FakeTime:
    """Virtual time: nothing ever really sleeps."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._counter = 0

    async def sleep(self, seconds: float) -> None:
        if seconds < LONG_S:
            self.advance(seconds)
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._counter += 1
        heapq.heappush(self._sleepers, (self.clock.monotonic() + seconds, self._counter, future))
        await future

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        while self._sleepers and self._sleepers[0][0] <= self.clock.monotonic():
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)

    @property
    def pace(self) -> Pace:
        return Pace(self.clock, self.sleep, lambda: 0.25)


@dataclass
class FakeRegion:
    meta: metapb.Region
    leader_store: int

    @property
    def leader(self) -> metapb.Peer:
        return next(p for p in self.meta.peers if p.store_id == self.leader_store)

    def holds(self, key: bytes) -> bool:
        place = storage_key(key)
        return self.meta.start_key <= place and (not self.meta.end_key or place < self.meta.end_key)


LOSE_ANSWER = "lose answer"
"""Execute the request, then fail the call."""
DROP = "drop"
"""Fail the call without executing the request."""
Fault = errorpb.Error | str | grpc.StatusCode | Callable[[Any], Awaitable[Any] | Any]


@dataclass(repr=False)
class FakeCluster:
    store_ids: tuple[int, ...] = (1, 2, 3)
    mvcc: Mvcc = field(default_factory=Mvcc)
    time: FakeTime = field(default_factory=FakeTime)
    regions: dict[int, FakeRegion] = field(default_factory=dict)
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    down: set[int] = field(default_factory=set)
    grants_one_phase: bool = True
    open_streams: int = 0
    bulk: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    addresses: dict[int, str] = field(default_factory=dict)
    on_call: Callable[[str, Any], None] | None = None
    _next_id: int = 100
    _logical: int = 0

    def __post_init__(self) -> None:
        peers = [metapb.Peer(id=10 + store, store_id=store) for store in self.store_ids]
        epoch = metapb.RegionEpoch(conf_ver=1, version=1)
        self.regions[1] = FakeRegion(metapb.Region(id=1, region_epoch=epoch, peers=peers), self.store_ids[0])

    # --- switches -------------------------------------------------------------------------------------------------

    def new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def split(self, *user_keys: bytes) -> None:
        """The original region keeps the last range, as in the real thing; leaders stay on their store."""
        for key in user_keys:
            place = storage_key(key)
            old = self.region_at(place)
            if old.meta.start_key == place:
                continue
            left, right = metapb.Region(), metapb.Region()
            left.CopyFrom(old.meta)
            right.CopyFrom(old.meta)
            left.id, left.end_key, right.start_key = self.new_id(), place, place
            for peer in left.peers:
                peer.id = self.new_id()
            left.region_epoch.version += 1
            right.region_epoch.version += 1
            old.meta = right
            self.regions[left.id] = FakeRegion(left, old.leader_store)

    def move_leader(self, key: bytes, store: int) -> None:
        self.region_at(storage_key(key)).leader_store = store

    def region_at(self, place: bytes) -> FakeRegion:
        return max(
            (r for r in self.regions.values() if r.meta.start_key <= place), key=lambda region: region.meta.start_key
        )

    def inject(self, method: str, *faults: Fault) -> None:
        """The next calls of `method` meet these, one each."""
        self.faults.setdefault(method, deque()).extend(faults)

    def count(self, method: str) -> int:
        return sum(name == method for name, _ in self.calls)

    def ordered(self) -> list[FakeRegion]:
        return sorted(self.regions.values(), key=lambda region: region.meta.start_key)

    def ts(self) -> int:
        """A timestamp as PD would give it."""
        self._logical += 1
        return compose(self.time.clock.wall_ms(), 0) + self._logical

    def write(self, **pairs: bytes) -> int:
        """Commit pairs straight into the dict."""
        return self.write_all({key.encode(): value for key, value in pairs.items()})

    def write_all(self, pairs: dict[bytes, bytes]) -> int:
        start_ts, commit_ts = self.ts(), self.ts()
        request = kvrpcpb.PrewriteRequest(
            mutations=[kvrpcpb.Mutation(op=kvrpcpb.Put, key=k, value=v) for k, v in pairs.items()],
            primary_lock=min(pairs),
            start_version=start_ts,
        )
        self.mvcc.prewrite(request, False)
        self.mvcc.commit(list(pairs), start_ts, commit_ts)
        return commit_ts

    def leave_locks(self, *keys: bytes, ttl_ms: int = 3000, txn_size: int = 3, min_commit: bool = False) -> int:
        """Prewrite without commit, primary first; the start timestamp."""
        start_ts = self.ts()
        request = kvrpcpb.PrewriteRequest(
            mutations=[kvrpcpb.Mutation(op=kvrpcpb.Put, key=k, value=b"locked") for k in keys],
            primary_lock=keys[0],
            start_version=start_ts,
            lock_ttl=ttl_ms,
            txn_size=txn_size,
            min_commit_ts=start_ts + 1 if min_commit else 0,
        )
        self.mvcc.prewrite(request, False)
        return start_ts


async def fault_or(cluster: FakeCluster, method: str, request: Any, context: Any, serve: Callable[[], Any]) -> Any:
    """The answer of `serve`, unless a fault was injected for the method."""
    cluster.calls.append((method, request))
    if cluster.on_call is not None:
        cluster.on_call(method, request)
    queue = cluster.faults.get(method)
    fault = queue.popleft() if queue else None
    if fault == DROP:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "dropped")
    if isinstance(fault, grpc.StatusCode):
        await context.abort(fault, "injected")
    if isinstance(fault, errorpb.Error):
        return fault
    if callable(fault):
        answer = fault(request)
        answer = await answer if asyncio.iscoroutine(answer) else answer
        if answer is not None:
            return answer
    result = serve()
    if fault == LOSE_ANSWER:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
    return result


class FakeStore(tikvpb_pb2_grpc.TikvServicer, rutilepb_pb2_grpc.RutileKvServicer):
    """One store's services. All stores look into the same dict; only leaders do so on request."""

    def __init__(self, cluster: FakeCluster, store_id: int) -> None:
        self.cluster = cluster
        self.store_id = store_id
        self.mvcc = cluster.mvcc

    async def _serve(self, method: str, request: Any, context: Any, answer: Any, keys: list[bytes], work: Any) -> Any:
        if self.store_id in self.cluster.down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"store {self.store_id} is down")

        def serve() -> Any:
            try:
                region = self._check(request.context, keys)
                work(answer, region)
            except RegionError as error:
                answer.region_error.CopyFrom(region_error_to_pb(error))
            except TxnError as error:
                if hasattr(answer, "errors"):
                    answer.errors.append(key_error_to_pb(error))
                else:
                    answer.error.CopyFrom(key_error_to_pb(error))
            return answer

        result = await fault_or(self.cluster, method, request, context, serve)
        if isinstance(result, errorpb.Error):
            answer.region_error.CopyFrom(result)
            return answer
        return result

    def _check(self, context: kvrpcpb.Context, keys: list[bytes]) -> FakeRegion:
        if context.peer.store_id != self.store_id:
            raise StoreNotMatch(context.peer.store_id, self.store_id)
        region = self._region(context.region_id, context.region_epoch, context.replica_read)
        for key in keys:
            if not region.holds(key):
                meta = region.meta
                raise KeyNotInRegion(key, meta.id, meta.start_key, meta.end_key)
        return region

    def _region(self, region_id: int, epoch: metapb.RegionEpoch, replica_read: bool) -> FakeRegion:
        region = self.cluster.regions.get(region_id)
        if region is None or all(peer.store_id != self.store_id for peer in region.meta.peers):
            raise RegionNotFound(region_id)
        if region.leader_store != self.store_id and not replica_read:
            raise NotLeader(region_id, region.leader)
        if epoch.version != region.meta.region_epoch.version:
            raise EpochNotMatch(region_id, [each.meta for each in self._descendants(region)])
        return region

    def _descendants(self, region: FakeRegion) -> list[FakeRegion]:
        """The region and its left neighbours that were split off it: here, simply the neighbour."""
        ordered = self.cluster.ordered()
        at = ordered.index(region)
        return ordered[max(0, at - 1) : at + 1]

    # --- reads ----------------------------------------------------------------------------------------------------

    async def KvGet(self, request: kvrpcpb.GetRequest, context: Any) -> kvrpcpb.GetResponse:
        def work(answer: kvrpcpb.GetResponse, region: FakeRegion) -> None:
            value = self.mvcc.get(request.key, request.version, set(request.context.resolved_locks))
            answer.not_found = value is None
            answer.value = value or b""

        return await self._serve("KvGet", request, context, kvrpcpb.GetResponse(), [request.key], work)

    async def KvBatchGet(self, request: kvrpcpb.BatchGetRequest, context: Any) -> kvrpcpb.BatchGetResponse:
        def work(answer: kvrpcpb.BatchGetResponse, region: FakeRegion) -> None:
            answer.pairs.extend(self._pairs(list(request.keys), request.version, request.context))

        answer = kvrpcpb.BatchGetResponse()
        return await self._serve("KvBatchGet", request, context, answer, list(request.keys), work)

    async def KvScan(self, request: kvrpcpb.ScanRequest, context: Any) -> kvrpcpb.ScanResponse:
        def work(answer: kvrpcpb.ScanResponse, region: FakeRegion) -> None:
            low, high = request.start_key, request.end_key
            if request.reverse:
                low, high = high, low
            low = max(low, user_bound(region.meta.start_key))
            ends = [end for end in (high, user_bound(region.meta.end_key)) if end]
            keys = self.mvcc.keys(low, min(ends, default=b""))
            keys.sort(reverse=request.reverse)
            pairs = self._pairs(keys, request.version, request.context)[: request.limit]
            if request.key_only:
                for pair in pairs:
                    pair.value = b""
            answer.pairs.extend(pairs)

        return await self._serve("KvScan", request, context, kvrpcpb.ScanResponse(), [], work)

    def _pairs(self, keys: list[bytes], ts: int, context: kvrpcpb.Context) -> list[kvrpcpb.KvPair]:
        pairs = []
        for key in keys:
            try:
                value = self.mvcc.get(key, ts, set(context.resolved_locks))
            except KeyIsLocked as error:
                pairs.append(kvrpcpb.KvPair(error=key_error_to_pb(error)))
                continue
            if value is not None:
                pairs.append(kvrpcpb.KvPair(key=key, value=value))
        return pairs

    # --- writes ---------------------------------------------------------------------------------------------------

    async def KvPrewrite(self, request: kvrpcpb.PrewriteRequest, context: Any) -> kvrpcpb.PrewriteResponse:
        def work(answer: kvrpcpb.PrewriteResponse, region: FakeRegion) -> None:
            one_phase = request.try_one_pc and self.cluster.grants_one_phase
            answer.one_pc_commit_ts = self.mvcc.prewrite(request, one_phase)

        keys = [mutation.key for mutation in request.mutations]
        return await self._serve("KvPrewrite", request, context, kvrpcpb.PrewriteResponse(), keys, work)

    async def KvCommit(self, request: kvrpcpb.CommitRequest, context: Any) -> kvrpcpb.CommitResponse:
        def work(answer: kvrpcpb.CommitResponse, region: FakeRegion) -> None:
            self.mvcc.commit(list(request.keys), request.start_version, request.commit_version)
            answer.commit_version = self.mvcc.committed_at(request.keys[0], request.start_version)

        return await self._serve("KvCommit", request, context, kvrpcpb.CommitResponse(), list(request.keys), work)

    async def KvBatchRollback(
        self, request: kvrpcpb.BatchRollbackRequest, context: Any
    ) -> kvrpcpb.BatchRollbackResponse:
        def work(answer: Any, region: FakeRegion) -> None:
            self.mvcc.rollback(list(request.keys), request.start_version)

        answer = kvrpcpb.BatchRollbackResponse()
        return await self._serve("KvBatchRollback", request, context, answer, list(request.keys), work)

    async def KvCheckTxnStatus(
        self, request: kvrpcpb.CheckTxnStatusRequest, context: Any
    ) -> kvrpcpb.CheckTxnStatusResponse:
        def work(answer: kvrpcpb.CheckTxnStatusResponse, region: FakeRegion) -> None:
            answer.CopyFrom(self.mvcc.check_txn_status(request))

        answer = kvrpcpb.CheckTxnStatusResponse()
        return await self._serve("KvCheckTxnStatus", request, context, answer, [request.primary_key], work)

    async def KvResolveLock(self, request: kvrpcpb.ResolveLockRequest, context: Any) -> kvrpcpb.ResolveLockResponse:
        def work(answer: Any, region: FakeRegion) -> None:
            low, high = user_bound(region.meta.start_key), user_bound(region.meta.end_key)
            keys = list(request.keys) or self.mvcc.keys(low, high)
            self.mvcc.resolve(keys, request.start_version, request.commit_version)

        answer = kvrpcpb.ResolveLockResponse()
        return await self._serve("KvResolveLock", request, context, answer, list(request.keys), work)

    async def KvTxnHeartBeat(self, request: kvrpcpb.TxnHeartBeatRequest, context: Any) -> kvrpcpb.TxnHeartBeatResponse:
        def work(answer: kvrpcpb.TxnHeartBeatResponse, region: FakeRegion) -> None:
            held = self.mvcc.locks.get(request.primary_lock)
            if held is not None and held.start_ts == request.start_version:
                held.ttl_ms = answer.lock_ttl = max(held.ttl_ms, request.advise_lock_ttl)

        answer = kvrpcpb.TxnHeartBeatResponse()
        return await self._serve("KvTxnHeartBeat", request, context, answer, [request.primary_lock], work)

    # --- the rest -------------------------------------------------------------------------------------------------

    async def SplitRegion(self, request: kvrpcpb.SplitRegionRequest, context: Any) -> kvrpcpb.SplitRegionResponse:
        def work(answer: kvrpcpb.SplitRegionResponse, region: FakeRegion) -> None:
            before = set(self.cluster.regions)
            self.cluster.split(*request.split_keys)
            made = [r.meta for r in self.cluster.ordered() if r.meta.id not in before or r is region]
            answer.regions.extend(made)

        answer = kvrpcpb.SplitRegionResponse()
        return await self._serve("SplitRegion", request, context, answer, list(request.split_keys), work)

    async def BulkWrite(self, request: rutilepb.BulkWriteRequest, context: Any) -> rutilepb.BulkWriteResponse:
        def work(answer: Any, region: FakeRegion) -> None:
            for kind, key, value in zip(request.ops.kinds, request.ops.keys, request.ops.values, strict=True):
                place = key[:-8]
                meta = region.meta
                if not (meta.start_key <= place and (not meta.end_key or place < meta.end_key)):
                    raise KeyNotInRegion(key, meta.id, meta.start_key, meta.end_key)
                self.cluster.bulk[kind, key] = value

        return await self._serve("BulkWrite", request, context, rutilepb.BulkWriteResponse(), [], work)

    async def Coprocessor(self, request: coprocessor.Request, context: Any) -> coprocessor.Response:
        def work(answer: coprocessor.Response, region: FakeRegion) -> None:
            [wanted] = request.ranges
            rows, end = [], wanted.end
            for key in self._rows(wanted, region):
                if len(rows) == request.paging_size:
                    end = key
                    break
                try:
                    value = self.mvcc.get(key, request.start_ts, set(request.context.resolved_locks))
                except KeyIsLocked as error:
                    answer.locked.CopyFrom(lock_to_pb(error.lock))
                    return
                if value is not None:
                    rows.append((key, value))
            answer.range.CopyFrom(coprocessor.KeyRange(start=wanted.start, end=end))
            answer.data = rutilepb.FragmentPage(arrow_ipc=ipc(rows)).SerializeToString()

        return await self._serve("Coprocessor", request, context, coprocessor.Response(), [], work)

    async def BatchCoprocessor(
        self, request: coprocessor.BatchRequest, context: Any
    ) -> AsyncIterator[coprocessor.BatchResponse]:
        if self.store_id in self.cluster.down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"store {self.store_id} is down")
        self.cluster.open_streams += 1
        try:
            pages = await fault_or(self.cluster, "BatchCoprocessor", request, context, lambda: self._fragment(request))
            for page in pages:
                if isinstance(page, Exception):
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "the stream broke")
                if asyncio.isfuture(page):
                    await page
                    continue
                yield page
        finally:
            self.cluster.open_streams -= 1

    def _fragment(self, request: coprocessor.BatchRequest) -> list[coprocessor.BatchResponse]:
        """One page a region, the summary on the last; or only what has to be retried; or only a lock."""
        rows, retry = [], []
        for info in request.regions:
            try:
                region = self._region(info.region_id, info.region_epoch, request.context.replica_read)
            except RegionError:
                known = self.cluster.regions.get(info.region_id)
                retry.append(known.meta if known else metapb.Region(id=info.region_id))
                continue
            try:
                found = []
                for wanted in info.ranges:
                    for key in self._rows(wanted, region):
                        value = self.mvcc.get(key, request.start_ts, set(request.context.resolved_locks))
                        if value is not None:
                            found.append((key, value))
                rows.append(found)
            except KeyIsLocked as error:
                page = rutilepb.FragmentPage(locked=lock_to_pb(error.lock))
                return [coprocessor.BatchResponse(data=page.SerializeToString())]
        if retry:
            return [coprocessor.BatchResponse(retry_regions=retry)]
        summary = rutilepb.FragmentSummary(
            store_id=self.store_id,
            rows_out=sum(len(each) for each in rows),
            region_ids=[info.region_id for info in request.regions],
        )
        pages = [rutilepb.FragmentPage(arrow_ipc=ipc(each)) for each in rows or [[]]]
        pages[-1].summary.CopyFrom(summary)
        return [coprocessor.BatchResponse(data=page.SerializeToString()) for page in pages]

    def _rows(self, wanted: coprocessor.KeyRange, region: FakeRegion) -> list[bytes]:
        low = max(wanted.start, user_bound(region.meta.start_key))
        ends = [end for end in (wanted.end, user_bound(region.meta.end_key)) if end]
        return self.mvcc.keys(low, min(ends, default=b""))


SCHEMA = pa.schema([("k", pa.binary()), ("v", pa.binary())])


def ipc(rows: list[tuple[bytes, bytes]]) -> bytes:
    batch = pa.record_batch([[k for k, _ in rows], [v for _, v in rows]], schema=SCHEMA)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


class FakePd(pdpb_pb2_grpc.PDServicer):
    """The placement driver of a FakeCluster; always knows the truth about regions unless told to be `stale`."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.header = pdpb.ResponseHeader(cluster_id=CLUSTER_ID)
        self.urls = ["http://pd:1"]
        self.tso_streams = 0
        self.stale: list[tuple[metapb.Region, metapb.Peer]] | None = None

    def freeze(self) -> None:
        """Keep answering what is true now."""
        self.stale = self._known()

    def _known(self) -> list[tuple[metapb.Region, metapb.Peer]]:
        return self.stale or [(region.meta, region.leader) for region in self.cluster.ordered()]

    async def _serve(self, method: str, request: Any, context: Any, serve: Any) -> Any:
        return await fault_or(self.cluster, method, request, context, serve)

    async def GetMembers(self, request: pdpb.GetMembersRequest, context: Any) -> pdpb.GetMembersResponse:
        def serve() -> pdpb.GetMembersResponse:
            member = pdpb.Member(member_id=1, name="pd", client_urls=self.urls)
            return pdpb.GetMembersResponse(header=self.header, members=[member], leader=member)

        return await self._serve("GetMembers", request, context, serve)

    async def Tso(self, requests: AsyncIterator[pdpb.TsoRequest], context: Any) -> AsyncIterator[pdpb.TsoResponse]:
        self.tso_streams += 1
        async for request in requests:

            def serve(request: pdpb.TsoRequest = request) -> pdpb.TsoResponse:
                last = [self.cluster.ts() for _ in range(request.count)][-1]
                stamp = pdpb.Timestamp(physical=last >> 18, logical=last & ((1 << 18) - 1))
                return pdpb.TsoResponse(header=self.header, count=request.count, timestamp=stamp)

            yield await self._serve("Tso", request, context, serve)

    def _answer(self, at: int | None) -> pdpb.GetRegionResponse:
        if at is None or at < 0:
            return pdpb.GetRegionResponse(header=self.header)
        region, leader = self._known()[at]
        return pdpb.GetRegionResponse(header=self.header, region=region, leader=leader)

    def _index(self, key: bytes) -> int:
        return max(i for i, (region, _) in enumerate(self._known()) if region.start_key <= key)

    async def GetRegion(self, request: pdpb.GetRegionRequest, context: Any) -> pdpb.GetRegionResponse:
        return await self._serve("GetRegion", request, context, lambda: self._answer(self._index(request.region_key)))

    async def GetPrevRegion(self, request: pdpb.GetRegionRequest, context: Any) -> pdpb.GetRegionResponse:
        return await self._serve(
            "GetPrevRegion", request, context, lambda: self._answer(self._index(request.region_key) - 1)
        )

    async def GetRegionByID(self, request: pdpb.GetRegionByIDRequest, context: Any) -> pdpb.GetRegionResponse:
        def serve() -> pdpb.GetRegionResponse:
            ids = [region.id for region, _ in self._known()]
            return self._answer(ids.index(request.region_id) if request.region_id in ids else None)

        return await self._serve("GetRegionByID", request, context, serve)

    async def ScanRegions(self, request: pdpb.ScanRegionsRequest, context: Any) -> pdpb.ScanRegionsResponse:
        def serve() -> pdpb.ScanRegionsResponse:
            first = self._index(request.start_key)
            wanted = [
                pdpb.Region(region=region, leader=leader)
                for region, leader in self._known()[first:]
                if not request.end_key or region.start_key < request.end_key
            ]
            return pdpb.ScanRegionsResponse(header=self.header, regions=wanted[: request.limit])

        return await self._serve("ScanRegions", request, context, serve)

    async def GetStore(self, request: pdpb.GetStoreRequest, context: Any) -> pdpb.GetStoreResponse:
        def serve() -> pdpb.GetStoreResponse:
            address = self.cluster.addresses.get(request.store_id, "")
            store = metapb.Store(id=request.store_id, address=address)
            return pdpb.GetStoreResponse(header=self.header, store=store)

        return await self._serve("GetStore", request, context, serve)

    async def GetAllStores(self, request: pdpb.GetAllStoresRequest, context: Any) -> pdpb.GetAllStoresResponse:
        stores = [metapb.Store(id=store, address="") for store in reversed(self.cluster.store_ids)]
        return pdpb.GetAllStoresResponse(header=self.header, stores=stores)

    async def AllocID(self, request: pdpb.AllocIDRequest, context: Any) -> pdpb.AllocIDResponse:
        return await self._serve(
            "AllocID", request, context, lambda: pdpb.AllocIDResponse(header=self.header, id=self.cluster.new_id())
        )

    async def Bootstrap(self, request: pdpb.BootstrapRequest, context: Any) -> pdpb.BootstrapResponse:
        error = pdpb.Error(type=pdpb.ALREADY_BOOTSTRAPPED, message="already bootstrapped")
        return pdpb.BootstrapResponse(header=pdpb.ResponseHeader(cluster_id=CLUSTER_ID, error=error))

    async def RegionHeartbeat(
        self, requests: AsyncIterator[pdpb.RegionHeartbeatRequest], context: Any
    ) -> AsyncIterator[pdpb.RegionHeartbeatResponse]:
        async for request in requests:
            assert request.header.cluster_id == CLUSTER_ID
            yield pdpb.RegionHeartbeatResponse(header=self.header, region_id=request.region.id)


@dataclass
class World:
    """What a test body gets."""

    cluster: FakeCluster
    pd: FakePd
    client: Client


Body = Callable[[World], Awaitable[None]]


def run(
    transport: str, body: Body, *, options: ClientOptions | None = None, cluster: FakeCluster | None = None
) -> None:
    """Run `body` against a fresh cluster; afterwards no task may be left."""

    async def main() -> None:
        async with world(transport, options, cluster) as made:
            await body(made)
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})  # the server's tasks end a turn later

    asyncio.run(main())


@asynccontextmanager
async def world(
    transport: str, options: ClientOptions | None = None, cluster: FakeCluster | None = None
) -> AsyncIterator[World]:
    cluster = cluster or FakeCluster()
    pd = FakePd(cluster)
    stores = {store: FakeStore(cluster, store) for store in cluster.store_ids}
    start = {"local": _local, "shared": _shared, "grpc": _over_grpc}[transport]
    async with start(cluster, pd, stores, options) as client:
        try:
            yield World(cluster, pd, client)
        finally:
            await client.close()


@asynccontextmanager
async def _local(
    cluster: FakeCluster, pd: FakePd, stores: dict[int, FakeStore], options: ClientOptions | None
) -> AsyncIterator[Client]:
    stubs = {store: StoreStubs(LocalStub(each), LocalStub(each)) for store, each in stores.items()}
    yield Client.local(LocalStub(pd), stubs, options=options, pace=cluster.time.pace)


@asynccontextmanager
async def _shared(
    cluster: FakeCluster, pd: FakePd, stores: dict[int, FakeStore], options: ClientOptions | None
) -> AsyncIterator[Client]:
    stubs = {store: StoreStubs(InnerStub(LocalStub(each)), LocalStub(each)) for store, each in stores.items()}
    yield Client.local(LocalStub(pd), stubs, options=options, pace=cluster.time.pace)


@asynccontextmanager
async def _over_grpc(
    cluster: FakeCluster, pd: FakePd, stores: dict[int, FakeStore], options: ClientOptions | None
) -> AsyncIterator[Client]:
    servers = []
    for store_id, store in stores.items():
        server, cluster.addresses[store_id] = await start_server("127.0.0.1:0", [_register(store)])
        servers.append(server)
    pd_server, address = await start_server(
        "127.0.0.1:0", [lambda server: pdpb_pb2_grpc.add_PDServicer_to_server(pd, server)]
    )
    pd.urls = [f"http://{address}"]
    try:
        yield await Client.connect([address], options=options, pace=cluster.time.pace)
    finally:
        for server in [*servers, pd_server]:
            await server.stop(None)


def _register(store: FakeStore) -> Callable[[grpc.aio.Server], None]:
    def register(server: grpc.aio.Server) -> None:
        tikvpb_pb2_grpc.add_TikvServicer_to_server(store, server)
        rutilepb_pb2_grpc.add_RutileKvServicer_to_server(store, server)

    return register


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.001)
