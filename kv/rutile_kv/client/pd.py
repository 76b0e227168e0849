"""The placement driver's client: timestamps, routing, the store registry, ids, heartbeats, safe points.

Every call is bounded twice: each try by a time-out, all tries together by a budget. A try that fails, for whatever
reason but a refusal, makes the client look for the leader again. Keys given to this module and boundaries returned by
it are in storage (memcomparable) form; empty means -infinity as a start and +infinity as an end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import grpc

from rutile_kv.client.backoff import PD_FAILED, Backoff, Pace
from rutile_kv.client.calls import RequestStream, Stub, answer_of, close_stream, kind_of
from rutile_kv.client.parallel import cancel_all
from rutile_kv.client.pd_leader import PdConnection, PdDialer, PdLeader, PdRefused, PdUnreachable, dial_grpc
from rutile_kv.client.tso import TimestampOracle
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import PdError
from rutile_proto.types import Timestamp

CALL_TIMEOUT_S = 3.0
BUDGET_S = 15.0
T = TypeVar("T")
SCAN_LIMIT = 1024
"""Regions in one ScanRegions answer unless told otherwise."""


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """A region as the placement driver knows it."""

    region: metapb.Region
    leader: metapb.Peer | None
    """None while no leader has reported."""


class PdClient:
    """Talks to whichever placement driver leads.

    >>> pd = PdClient.connect(["127.0.0.1:2379"])      # or PdClient.local(stub)
    >>> ts = await pd.timestamp()
    >>> info = await pd.get_region(storage_key(b"row"))
    """

    def __init__(self, leader: PdLeader, pace: Pace | None = None, budget_s: float = BUDGET_S) -> None:
        self._leader = leader
        self._pace = pace or Pace()
        self._budget_s = budget_s
        self._oracle = TimestampOracle(leader, self._pace, budget_s)

    @classmethod
    def connect(
        cls,
        addresses: Sequence[str],
        *,
        dial: PdDialer = dial_grpc,
        pace: Pace | None = None,
        budget_s: float = BUDGET_S,
    ) -> Self:
        """A client of the cluster whose members (at least one of them) live at `addresses`. Nothing is sent yet."""
        return cls(PdLeader(addresses, dial), pace, budget_s)

    @classmethod
    def local(cls, stub: Stub, *, pace: Pace | None = None, budget_s: float = BUDGET_S) -> Self:
        """A client of a placement driver in this process."""
        connection = PdConnection(stub, _nothing)
        return cls(PdLeader(["local"], lambda address: connection), pace, budget_s)

    async def close(self) -> None:
        """End the timestamp stream and close the connections."""
        await self._oracle.close()
        await self._leader.close()

    # --- who and when ---------------------------------------------------------------------------------------------

    @property
    def cluster_id(self) -> int:
        """The cluster's id; 0 until the first call was answered (`ready` makes one)."""
        return self._leader.cluster_id

    async def ready(self) -> int:
        """Wait until a leader is known; the cluster id. RetriesExhausted when there is none within the budget."""
        backoff = self._backoff("find the placement driver")
        while True:
            try:
                await self._leader.stub()
                return self.cluster_id
            except PdUnreachable as error:
                await backoff.wait(PD_FAILED, error)

    async def timestamp(self) -> Timestamp:
        """A timestamp above all handed out before. Concurrent callers share a request."""
        return await self._oracle.take(1)

    async def timestamps(self, count: int) -> list[Timestamp]:
        """`count` consecutive timestamps in rising order."""
        first = await self._oracle.take(count)
        return [Timestamp(first + i) for i in range(count)]

    @property
    def last_timestamp(self) -> Timestamp:
        """The newest timestamp this client has been given; 0 before the first. No call is made."""
        return self._oracle.last

    # --- routing --------------------------------------------------------------------------------------------------

    async def get_region(self, key: bytes, backoff: Backoff | None = None) -> RegionInfo | None:
        """The region that holds the storage key, or None when nobody has reported one."""
        return _info(await self.call("GetRegion", pdpb.GetRegionRequest(region_key=key), backoff))

    async def get_prev_region(self, key: bytes, backoff: Backoff | None = None) -> RegionInfo | None:
        """The region before the one that holds the storage key, or None when that is the first."""
        return _info(await self.call("GetPrevRegion", pdpb.GetRegionRequest(region_key=key), backoff))

    async def get_region_by_id(self, region_id: int, backoff: Backoff | None = None) -> RegionInfo | None:
        """The region with this id, or None."""
        return _info(await self.call("GetRegionByID", pdpb.GetRegionByIDRequest(region_id=region_id), backoff))

    async def scan_regions(
        self, start: bytes, end: bytes = b"", limit: int = SCAN_LIMIT, backoff: Backoff | None = None
    ) -> list[RegionInfo]:
        """The regions that meet [start, end), in key order, at most `limit`."""
        request = pdpb.ScanRegionsRequest(start_key=start, end_key=end, limit=limit)
        answer = await self.call("ScanRegions", request, backoff)
        return [RegionInfo(each.region, _peer(each.leader)) for each in answer.regions]

    # --- stores ---------------------------------------------------------------------------------------------------

    async def get_store(self, store_id: int, backoff: Backoff | None = None) -> metapb.Store:
        """The store's address, labels and state. PdError when it was never registered."""
        answer = await self.call("GetStore", pdpb.GetStoreRequest(store_id=store_id), backoff)
        if not answer.HasField("store"):
            raise PdError(f"store {store_id} is not registered")
        store: metapb.Store = answer.store
        return store

    async def all_stores(self, *, with_tombstones: bool = False, backoff: Backoff | None = None) -> list[metapb.Store]:
        """Every registered store, in the order of their ids."""
        request = pdpb.GetAllStoresRequest(exclude_tombstone_stores=not with_tombstones)
        return sorted((await self.call("GetAllStores", request, backoff)).stores, key=lambda store: store.id)

    async def put_store(self, store: metapb.Store) -> None:
        """Register a store, or change its address and labels."""
        await self.call("PutStore", pdpb.PutStoreRequest(store=store))

    async def store_heartbeat(self, stats: pdpb.StoreStats) -> pdpb.StoreHeartbeatResponse:
        """Say that a store lives and how full it is; what the placement driver wants of it."""
        answer: pdpb.StoreHeartbeatResponse = await self.call("StoreHeartbeat", pdpb.StoreHeartbeatRequest(stats=stats))
        return answer

    async def region_heartbeats(
        self, reports: AsyncIterator[pdpb.RegionHeartbeatRequest]
    ) -> AsyncIterator[pdpb.RegionHeartbeatResponse]:
        """One heartbeat stream: send the reports (headers are filled in here), yield the orders that come back.

        Ends with PdError when the stream breaks, or when another call finds that the leader is gone (one that stands
        still breaks no stream); the caller waits and opens the next one, which goes to whoever leads then. Nothing is
        repeated: a leader reports all its regions again on a new stream.
        """
        stub = await self._leader.stub()
        requests: RequestStream[pdpb.RegionHeartbeatRequest] = RequestStream(bound=1)
        pump = asyncio.ensure_future(self._forward(reports, requests))
        stream = stub.RegionHeartbeat(requests)
        left = asyncio.ensure_future(self._leader.left(stub))
        orders = aiter(stream)
        try:
            while (order := await _next_unless(left, orders)) is not None:
                yield order
        except grpc.RpcError as error:
            raise PdError(f"the region heartbeat stream broke: {error.details()}") from error
        finally:
            self._leader.forget(stub)
            await cancel_all([pump, left])
            requests.end()
            await close_stream(stream)
        raise PdError("the placement driver ended the region heartbeat stream, or does not lead any more")

    # --- cluster life ---------------------------------------------------------------------------------------------

    async def is_bootstrapped(self) -> bool:
        """Whether the cluster has its first region."""
        return bool((await self.call("IsBootstrapped", pdpb.IsBootstrappedRequest())).bootstrapped)

    async def bootstrap(self, store: metapb.Store, region: metapb.Region) -> None:
        """Found the cluster with its first store and region. `PdRefused` ALREADY_BOOTSTRAPPED if another was faster."""
        await self.call("Bootstrap", pdpb.BootstrapRequest(store=store, region=region))

    async def alloc_id(self) -> int:
        """An id no other store, region or peer has or had."""
        return int((await self.call("AllocID", pdpb.AllocIDRequest(count=1))).id)

    async def ask_batch_split(self, region: metapb.Region, count: int) -> list[pdpb.SplitID]:
        """Ids for `count` new regions split off `region`, and for their peers."""
        request = pdpb.AskBatchSplitRequest(region=region, split_count=count)
        return list((await self.call("AskBatchSplit", request)).ids)

    async def report_batch_split(self, regions: Sequence[metapb.Region]) -> None:
        """Tell what a split made, in key order, before the heartbeats do."""
        await self.call("ReportBatchSplit", pdpb.ReportBatchSplitRequest(regions=regions))

    async def gc_safe_point(self) -> Timestamp:
        """Versions overwritten before this timestamp may be gone."""
        return Timestamp((await self.call("GetGCSafePoint", pdpb.GetGCSafePointRequest())).safe_point)

    async def update_gc_safe_point(self, safe_point: int) -> Timestamp:
        """Raise the safe point; the one in force afterwards, which never goes back."""
        answer = await self.call("UpdateGCSafePoint", pdpb.UpdateGCSafePointRequest(safe_point=safe_point))
        return Timestamp(answer.new_safe_point)

    async def update_service_gc_safe_point(self, service: bytes, ttl_s: int, safe_point: int) -> Timestamp:
        """Hold collection back at `safe_point` for `ttl_s` seconds in the name of `service`; the lowest held by any."""
        request = pdpb.UpdateServiceGCSafePointRequest(service_id=service, TTL=ttl_s, safe_point=safe_point)
        return Timestamp((await self.call("UpdateServiceGCSafePoint", request)).min_safe_point)

    # --- one call -------------------------------------------------------------------------------------------------

    async def call(self, method: str, request: Any, backoff: Backoff | None = None) -> Any:
        """The leader's answer. `PdRefused` if it says no, RetriesExhausted if nobody answers in time."""
        backoff = backoff or self._backoff(method)
        while True:
            stub = None
            try:
                stub = await self._leader.stub()
                request.header.cluster_id = self.cluster_id
                answer = await answer_of(getattr(stub, method)(request, timeout=backoff.clip(CALL_TIMEOUT_S)))
            except (grpc.RpcError, PdUnreachable) as error:
                if isinstance(error, grpc.RpcError):
                    kind_of(error)  # raises what asking again cannot change
                self._leader.forget(stub)
                await backoff.wait(PD_FAILED, error)
                continue
            if answer.header.HasField("error") and answer.header.error.type != pdpb.OK:
                raise PdRefused(answer.header.error.type, answer.header.error.message)
            return answer

    def _backoff(self, what: str) -> Backoff:
        return Backoff(what, self._budget_s, self._pace)

    async def _forward(
        self,
        reports: AsyncIterator[pdpb.RegionHeartbeatRequest],
        requests: RequestStream[pdpb.RegionHeartbeatRequest],
    ) -> None:
        async for report in reports:
            report.header.cluster_id = self.cluster_id
            await requests.send(report)
        requests.end()


def _info(answer: pdpb.GetRegionResponse) -> RegionInfo | None:
    return RegionInfo(answer.region, _peer(answer.leader)) if answer.HasField("region") else None


def _peer(leader: metapb.Peer) -> metapb.Peer | None:
    return leader if leader.id else None


async def _next_unless(end: asyncio.Future[None], items: AsyncIterator[T]) -> T | None:
    """The next item; None if there is none, or if `end` comes first."""
    coming = asyncio.ensure_future(_next(items))
    both: list[asyncio.Future[Any]] = [coming, end]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else None
    finally:
        await cancel_all([coming])


async def _next(items: AsyncIterator[T]) -> T | None:
    return await anext(items, None)


async def _nothing() -> None:
    """A local stub needs no closing."""
