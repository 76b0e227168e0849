"""Regions on request: where they are, ids for splits, and changes that somebody asks for."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from rutile_kv.env.rpc import RpcContext
from rutile_pd.cluster import Cluster
from rutile_pd.config import PdConfig
from rutile_pd.regions.split_request import SplitRequest
from rutile_pd.regions.tree import RegionInfo
from rutile_pd.services import answers
from rutile_pd.services.boundary import answered
from rutile_pd.services.heartbeat_service import HeartbeatService, patience_s
from rutile_pd.services.reserves import Reserves
from rutile_proto import pdpb_pb2 as pdpb

SPLIT_WAIT_S = 10.0
"""How long SplitRegions waits for its regions; shorter if the client's deadline is."""
SPLIT_RETRY_S = 0.5
"""After so long without news an order to split is given again."""


class RegionService(HeartbeatService):
    """Mixed into the PD service."""

    cluster: Cluster
    reserves: Reserves
    config: PdConfig

    # --- where they are -------------------------------------------------------------------------------------------

    @answered(pdpb.GetRegionResponse)
    async def GetRegion(self, request: pdpb.GetRegionRequest, context: RpcContext) -> pdpb.GetRegionResponse:
        if self.cluster.regions.find(request.region_key) is None:
            await self.all_regions(context)
        return await self._led_region(lambda: self.cluster.regions.find(request.region_key), context)

    @answered(pdpb.GetRegionResponse)
    async def GetPrevRegion(self, request: pdpb.GetRegionRequest, context: RpcContext) -> pdpb.GetRegionResponse:
        """The region that ends where the key's region begins; absent for the first."""
        await self.all_regions(context)
        return await self._led_region(lambda: self.cluster.regions.find_previous(request.region_key), context)

    @answered(pdpb.GetRegionResponse)
    async def GetRegionByID(self, request: pdpb.GetRegionByIDRequest, context: RpcContext) -> pdpb.GetRegionResponse:
        return await self._led_region(lambda: self.cluster.region(request.region_id), context)

    @answered(pdpb.ScanRegionsResponse)
    async def ScanRegions(self, request: pdpb.ScanRegionsRequest, context: RpcContext) -> pdpb.ScanRegionsResponse:
        await self.all_regions(context)
        return answers.scanned(self.cluster.regions.scan(request.start_key, request.end_key, request.limit))

    @answered(pdpb.BatchScanRegionsResponse)
    async def BatchScanRegions(self, request: pdpb.BatchScanRegionsRequest, context: RpcContext) -> Any:
        await self.all_regions(context)
        return answers.batch_scanned(self.cluster.regions, request)

    async def _led_region(self, find: Callable[[], RegionInfo | None], context: RpcContext) -> pdpb.GetRegionResponse:
        """The region with its leader, waiting a little for one; then UNAVAILABLE. Clients break on a missing leader."""
        try:
            async with asyncio.timeout(patience_s(self.config.leader_wait_s, context)):
                while (info := find()) is not None and info.leader is None:
                    await self.region_news.wait()
        except TimeoutError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the region's leader is not known yet: ask again")
        return answers.region(info)

    # --- splits ---------------------------------------------------------------------------------------------------

    @answered(pdpb.AskBatchSplitResponse)
    async def AskBatchSplit(self, request: pdpb.AskBatchSplitRequest, context: RpcContext) -> Any:
        def take() -> list[pdpb.SplitID]:
            return self.cluster.ask_split(request.region, request.split_count)

        ids = await self.reserves.with_ids(request.split_count * (1 + len(request.region.peers)), take)
        return pdpb.AskBatchSplitResponse(ids=ids)

    @answered(pdpb.ReportBatchSplitResponse)
    async def ReportBatchSplit(self, request: pdpb.ReportBatchSplitRequest, context: RpcContext) -> Any:
        self.cluster.report_split(list(request.regions), self.now_ms())
        self.tell_waiters()
        return pdpb.ReportBatchSplitResponse()

    @answered(pdpb.SplitRegionsResponse)
    async def SplitRegions(self, request: pdpb.SplitRegionsRequest, context: RpcContext) -> pdpb.SplitRegionsResponse:
        """Have the leaders split at the keys (storage form), and wait until regions begin there; what there is by the
        deadline is told as a percentage."""
        await self.all_regions(context)
        split = SplitRequest(request.split_keys, self.cluster.regions)
        try:
            async with asyncio.timeout(patience_s(SPLIT_WAIT_S, context)):
                while not split.is_done():
                    for order in self.cluster.split_orders(split.missing()):
                        self.send(order)
                    await self._news_within(SPLIT_RETRY_S)
        except TimeoutError:
            pass  # the percentage says it
        return pdpb.SplitRegionsResponse(finished_percentage=split.percentage(), regions_id=split.region_ids())

    async def _news_within(self, seconds: float) -> None:
        waiting = asyncio.ensure_future(self.region_news.wait())
        try:
            await asyncio.wait([waiting], timeout=seconds)
        finally:
            waiting.cancel()

    # --- operators ------------------------------------------------------------------------------------------------

    @answered(pdpb.ScatterRegionResponse)
    async def ScatterRegion(self, request: pdpb.ScatterRegionRequest, context: RpcContext) -> Any:
        """Begin to spread the regions, each by an operator that GetOperator tells of."""
        await self.all_regions(context)
        wanted = list(request.regions_id) or [request.region_id]
        failed = await self.reserves.with_ids(len(wanted), lambda: self._scatter(wanted, request.group))
        done = len(wanted) - len(failed)
        return pdpb.ScatterRegionResponse(finished_percentage=100 * done // len(wanted), failed_regions_id=failed)

    def _scatter(self, region_ids: list[int], group: str) -> list[int]:
        failed, orders = self.cluster.scatter(region_ids, group, self.now_ms())
        for order in orders:
            self.send(order)
        return failed

    @answered(pdpb.GetOperatorResponse)
    async def GetOperator(self, request: pdpb.GetOperatorRequest, context: RpcContext) -> pdpb.GetOperatorResponse:
        return answers.operator(request.region_id, self.cluster.operators.last(request.region_id))
