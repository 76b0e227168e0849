"""The pdpb.PD servicer: requests to the cores, answers and refusals back, and the waiting that cores do not do.

Refusals go into the response header (typed, wire.md 5.7), except where clients cannot read them there: a request for
another cluster ends with FAILED_PRECONDITION, a malformed one with INVALID_ARGUMENT, and trouble in the timestamp
stream always ends the stream with a status: clients wait for ever on an error inside a TsoResponse (wire.md 3.1).

Requests that change what must not be lost are answered when it is on disk. Methods missing here answer UNIMPLEMENTED.
"""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc

from rutile_kv.env.clock import Clock
from rutile_kv.env.rpc import RpcContext
from rutile_pd import answers
from rutile_pd.cluster import Cluster
from rutile_pd.config import PdConfig
from rutile_pd.regions import RegionInfo, StaleRegion
from rutile_pd.reserves import Reserves
from rutile_pd.safe_points import SafePoints
from rutile_pd.storage import PdStorage
from rutile_pd.tso import TimestampOracle
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdpb_pb2_grpc
from rutile_proto.errors import InvalidRequest, PdError, RutileError

log = logging.getLogger(__name__)

MAX_WAITING_ORDERS = 1024
"""Orders to one store not yet sent; more are dropped, the next heartbeat brings them again."""
_SHARE_OF_DEADLINE = 0.8
"""GetRegion gives up waiting for a leader early enough for its answer to arrive."""


class WrongCluster(RutileError):
    """The request was meant for another cluster."""


def _answered(
    response_type: Any, *, any_cluster: bool = False, bootstrapped: bool = True, durable: bool = False
) -> Callable[[Any], Any]:
    """Makes `async method(self, request, context) -> response` an RPC: checks before, header and refusals after."""

    def decorate(method: Callable[[Any, Any, RpcContext], Awaitable[Any]]) -> Any:
        @functools.wraps(method)
        async def serve(self: "PdServicer", request: Any, context: RpcContext) -> Any:
            try:
                if not any_cluster:
                    self.check_cluster(request.header)
                if bootstrapped:
                    self.cluster.require_bootstrapped()
                response = await method(self, request, context)
                if durable:
                    await self.sync()
            except PdError as error:
                response = response_type(header=pdpb.ResponseHeader(error=answers.refusal(error)))
            except RutileError as error:
                await _abort(context, error)
            response.header.cluster_id = self.cluster.id
            return response

        return serve

    return decorate


async def _abort(context: RpcContext, error: RutileError) -> NoReturn:
    """End the RPC with the status for an error that has no place in a response."""
    match error:
        case WrongCluster():
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        case InvalidRequest():
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        case PdError():
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        case _:
            log.error("the placement driver cannot serve", exc_info=error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{type(error).__name__}: {error}")


@dataclass(frozen=True, slots=True)
class PdState:
    """The cores a servicer speaks for."""

    cluster: Cluster
    oracle: TimestampOracle
    safe_points: SafePoints
    storage: PdStorage


class PdServicer(pdpb_pb2_grpc.PDServicer):
    """pdpb.PD, for a gRPC server or a LocalStub."""

    def __init__(self, state: PdState, member: pdpb.Member, clock: Clock, config: PdConfig) -> None:
        self.cluster = state.cluster
        self.member = member
        self.reserves = Reserves(state.storage, state.oracle, state.cluster, clock, self.sync)
        self._safe_points = state.safe_points
        self._storage = state.storage
        self._clock = clock
        self._config = config
        self._streams: dict[int, asyncio.Queue[pdpb.RegionHeartbeatResponse | None]] = {}
        self._region_news = asyncio.Event()

    # --- who and when ---------------------------------------------------------------------------------------------

    @_answered(pdpb.GetMembersResponse, any_cluster=True, bootstrapped=False)
    async def GetMembers(self, request: pdpb.GetMembersRequest, context: RpcContext) -> pdpb.GetMembersResponse:
        return pdpb.GetMembersResponse(members=[self.member], leader=self.member, etcd_leader=self.member)

    @_answered(pdpb.GetClusterInfoResponse, any_cluster=True, bootstrapped=False)
    async def GetClusterInfo(self, request: pdpb.GetClusterInfoRequest, context: RpcContext) -> Any:
        return pdpb.GetClusterInfoResponse(serviceModes=[pdpb.PD_SVC_MODE])

    async def Tso(
        self, request_iterator: AsyncIterator[pdpb.TsoRequest], context: RpcContext
    ) -> AsyncIterator[pdpb.TsoResponse]:
        """Answers in the order of the requests; the largest timestamp of each batch."""
        async for request in request_iterator:
            try:
                self.check_cluster(request.header)
                last = await self.reserves.timestamp(request.count)
            except RutileError as error:
                await _abort(context, error)
            header = pdpb.ResponseHeader(cluster_id=self.cluster.id)
            yield pdpb.TsoResponse(header=header, count=request.count, timestamp=answers.timestamp(last))

    @_answered(pdpb.GetMinTSResponse, bootstrapped=False)
    async def GetMinTS(self, request: pdpb.GetMinTSRequest, context: RpcContext) -> pdpb.GetMinTSResponse:
        return pdpb.GetMinTSResponse(timestamp=answers.timestamp(await self.reserves.timestamp(1)))

    # --- bootstrap, stores, ids -----------------------------------------------------------------------------------

    @_answered(pdpb.BootstrapResponse, bootstrapped=False, durable=True)
    async def Bootstrap(self, request: pdpb.BootstrapRequest, context: RpcContext) -> pdpb.BootstrapResponse:
        self.cluster.bootstrap(request.store, request.region, self._now_ms())
        log.info("cluster %d bootstrapped by store %d", self.cluster.id, request.store.id)
        return pdpb.BootstrapResponse()

    @_answered(pdpb.IsBootstrappedResponse, bootstrapped=False)
    async def IsBootstrapped(self, request: pdpb.IsBootstrappedRequest, context: RpcContext) -> Any:
        return pdpb.IsBootstrappedResponse(bootstrapped=self.cluster.bootstrapped)

    @_answered(pdpb.AllocIDResponse, bootstrapped=False)
    async def AllocID(self, request: pdpb.AllocIDRequest, context: RpcContext) -> pdpb.AllocIDResponse:
        count = request.count or 1
        last = await self.reserves.with_ids(count, lambda: self.cluster.take_ids(count))
        return pdpb.AllocIDResponse(id=last, count=count)

    @_answered(pdpb.PutStoreResponse, durable=True)
    async def PutStore(self, request: pdpb.PutStoreRequest, context: RpcContext) -> pdpb.PutStoreResponse:
        self.cluster.put_store(request.store, self._now_ms())
        return pdpb.PutStoreResponse()

    @_answered(pdpb.StoreHeartbeatResponse)
    async def StoreHeartbeat(self, request: pdpb.StoreHeartbeatRequest, context: RpcContext) -> Any:
        store = self.cluster.store_heartbeat(request.stats, self._now_ms(), self._clock.wall_ms())
        return pdpb.StoreHeartbeatResponse(cluster_version=store.meta.version, state=store.meta.node_state)

    @_answered(pdpb.GetStoreResponse)
    async def GetStore(self, request: pdpb.GetStoreRequest, context: RpcContext) -> pdpb.GetStoreResponse:
        store = self.cluster.stores.get(request.store_id)
        return pdpb.GetStoreResponse(store=store.to_pb(), stats=store.stats)

    @_answered(pdpb.GetAllStoresResponse)
    async def GetAllStores(self, request: pdpb.GetAllStoresRequest, context: RpcContext) -> Any:
        return answers.stores(self.cluster.stores.all(), request.exclude_tombstone_stores)

    @_answered(pdpb.GetClusterConfigResponse)
    async def GetClusterConfig(self, request: pdpb.GetClusterConfigRequest, context: RpcContext) -> Any:
        return answers.cluster_config(self.cluster.id, self._config.max_replicas)

    # --- regions --------------------------------------------------------------------------------------------------

    @_answered(pdpb.GetRegionResponse)
    async def GetRegion(self, request: pdpb.GetRegionRequest, context: RpcContext) -> pdpb.GetRegionResponse:
        return await self._led_region(lambda: self.cluster.regions.find(request.region_key), context)

    @_answered(pdpb.GetRegionResponse)
    async def GetPrevRegion(self, request: pdpb.GetRegionRequest, context: RpcContext) -> pdpb.GetRegionResponse:
        return await self._led_region(lambda: self.cluster.regions.find_previous(request.region_key), context)

    @_answered(pdpb.GetRegionResponse)
    async def GetRegionByID(self, request: pdpb.GetRegionByIDRequest, context: RpcContext) -> pdpb.GetRegionResponse:
        return await self._led_region(lambda: self.cluster.regions.by_id(request.region_id), context)

    @_answered(pdpb.ScanRegionsResponse)
    async def ScanRegions(self, request: pdpb.ScanRegionsRequest, context: RpcContext) -> pdpb.ScanRegionsResponse:
        return answers.scanned(self.cluster.regions.scan(request.start_key, request.end_key, request.limit))

    @_answered(pdpb.BatchScanRegionsResponse)
    async def BatchScanRegions(self, request: pdpb.BatchScanRegionsRequest, context: RpcContext) -> Any:
        return answers.batch_scanned(self.cluster.regions, request)

    @_answered(pdpb.AskBatchSplitResponse)
    async def AskBatchSplit(self, request: pdpb.AskBatchSplitRequest, context: RpcContext) -> Any:
        def take() -> list[pdpb.SplitID]:
            return self.cluster.ask_split(request.region, request.split_count)

        ids = await self.reserves.with_ids(request.split_count * (1 + len(request.region.peers)), take)
        return pdpb.AskBatchSplitResponse(ids=ids)

    @_answered(pdpb.ReportBatchSplitResponse)
    async def ReportBatchSplit(self, request: pdpb.ReportBatchSplitRequest, context: RpcContext) -> Any:
        self.cluster.report_split(list(request.regions))
        self._tell_waiters()
        return pdpb.ReportBatchSplitResponse()

    @_answered(pdpb.GetOperatorResponse)
    async def GetOperator(self, request: pdpb.GetOperatorRequest, context: RpcContext) -> pdpb.GetOperatorResponse:
        return answers.operator(request.region_id, self.cluster.operators.last(request.region_id))

    async def _led_region(self, find: Callable[[], RegionInfo | None], context: RpcContext) -> pdpb.GetRegionResponse:
        """The region with its leader, waiting a little for one; then UNAVAILABLE. Clients break on a missing leader."""
        left_s = context.time_remaining()
        wait_s = self._config.leader_wait_s
        try:
            async with asyncio.timeout(wait_s if left_s is None else min(wait_s, left_s * _SHARE_OF_DEADLINE)):
                while (info := find()) is not None and info.leader is None:
                    await self._region_news.wait()
        except TimeoutError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the region's leader is not known yet: ask again")
        return answers.region(info)

    def _tell_waiters(self) -> None:
        self._region_news.set()
        self._region_news = asyncio.Event()

    # --- region heartbeats ----------------------------------------------------------------------------------------

    async def RegionHeartbeat(
        self, request_iterator: AsyncIterator[pdpb.RegionHeartbeatRequest], context: RpcContext
    ) -> AsyncIterator[pdpb.RegionHeartbeatResponse]:
        """Reports in, orders out: at once when a report calls for one, or later when the patrol finds work."""
        outbox: asyncio.Queue[pdpb.RegionHeartbeatResponse | None] = asyncio.Queue()
        reader = asyncio.create_task(self._read_reports(request_iterator, outbox), name="region heartbeats")
        try:
            while (order := await outbox.get()) is not None:
                yield order
            if reader.done():
                await reader
        except RutileError as error:
            await _abort(context, error)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            self._streams = {store_id: queue for store_id, queue in self._streams.items() if queue is not outbox}

    async def _read_reports(
        self,
        reports: AsyncIterator[pdpb.RegionHeartbeatRequest],
        outbox: asyncio.Queue[pdpb.RegionHeartbeatResponse | None],
    ) -> None:
        try:
            async for report in reports:
                self.check_cluster(report.header)
                self._streams[report.leader.store_id] = outbox
                self._send(self._take_report(report))
        finally:
            outbox.put_nowait(None)

    def _take_report(self, report: pdpb.RegionHeartbeatRequest) -> pdpb.RegionHeartbeatResponse | None:
        try:
            self.cluster.require_bootstrapped()
            order = self.cluster.region_heartbeat(report, self._now_ms())
        except StaleRegion as error:
            log.info("heartbeat ignored: %s", error)
            return None
        self._tell_waiters()
        return order

    def _send(self, order: pdpb.RegionHeartbeatResponse | None) -> None:
        """Put an order on its leader's stream; lost if there is none, or if it is full."""
        outbox = None if order is None else self._streams.get(order.target_peer.store_id)
        if order is not None and outbox is not None and outbox.qsize() < MAX_WAITING_ORDERS:
            order.header.cluster_id = self.cluster.id
            outbox.put_nowait(order)

    # --- garbage collection ---------------------------------------------------------------------------------------

    @_answered(pdpb.GetGCSafePointResponse)
    async def GetGCSafePoint(self, request: pdpb.GetGCSafePointRequest, context: RpcContext) -> Any:
        return pdpb.GetGCSafePointResponse(safe_point=self._safe_points.safe_point)

    @_answered(pdpb.UpdateGCSafePointResponse, durable=True)
    async def UpdateGCSafePoint(self, request: pdpb.UpdateGCSafePointRequest, context: RpcContext) -> Any:
        safe_point = self._safe_points.advance(request.safe_point)
        self._storage.save_safe_point(safe_point)
        return pdpb.UpdateGCSafePointResponse(new_safe_point=safe_point)

    @_answered(pdpb.UpdateServiceGCSafePointResponse, durable=True)
    async def UpdateServiceGCSafePoint(self, request: pdpb.UpdateServiceGCSafePointRequest, context: RpcContext) -> Any:
        wall_s = self._clock.wall_ms() // 1000
        for service_id in self._safe_points.expire(wall_s):
            self._storage.delete_service(service_id)
        if request.TTL > 0:
            claim = self._safe_points.claim(request.service_id, request.TTL, request.safe_point, wall_s)
            if claim is not None:
                self._storage.save_service(claim)
        elif self._safe_points.release(request.service_id):
            self._storage.delete_service(request.service_id)
        return answers.service_safe_point(self._safe_points, wall_s)

    @_answered(pdpb.GetGCStateResponse)
    async def GetGCState(self, request: pdpb.GetGCStateRequest, context: RpcContext) -> pdpb.GetGCStateResponse:
        return answers.gc_state(self._safe_points.safe_point)

    # --- the node's side ------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Keep reserves ahead and send what the patrol orders. The node calls this regularly."""
        await self.reserves.refresh()
        for order in self.cluster.tick(self._now_ms()):
            self._send(order)

    async def sync(self) -> None:
        """Everything written so far is on disk when this returns."""
        await asyncio.to_thread(self._storage.sync)

    def close(self) -> None:
        """End the heartbeat streams."""
        for outbox in self._streams.values():
            outbox.put_nowait(None)

    def check_cluster(self, header: pdpb.RequestHeader) -> None:
        """WrongCluster if the request names another cluster than this; 0 names none."""
        if header.cluster_id and header.cluster_id != self.cluster.id:
            raise WrongCluster(f"the request is for cluster {header.cluster_id}, this is cluster {self.cluster.id}")

    def _now_ms(self) -> int:
        return round(self._clock.monotonic() * 1000)
