"""The PD servicer: requests to the cores, answers and refusals back, and the waiting that cores do not do.

`PdServicer` is made of classes that serve what belongs together; here are timestamps, stores and ids. Trouble in the
timestamp stream always ends the stream with a status: clients wait for ever on an error inside a TsoResponse (wire.md
3.1). What no class serves is answered with UNIMPLEMENTED.

A servicer is of one leadership (`consensus.leadership`) and ends with it; `door` is what stays.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from rutile_kv.env.clock import Clock
from rutile_kv.env.rpc import RpcContext
from rutile_pd.allocation.safe_points import SafePoints
from rutile_pd.allocation.tso import TimestampOracle
from rutile_pd.cluster import Cluster
from rutile_pd.config import PdConfig
from rutile_pd.consensus.leadership import Leadership
from rutile_pd.services import answers
from rutile_pd.services.admin_service import AdminService
from rutile_pd.services.boundary import abort, answered
from rutile_pd.services.gc_service import GcService
from rutile_pd.services.keyspace_service import KeyspaceService
from rutile_pd.services.membership import MembershipService
from rutile_pd.services.region_service import RegionService
from rutile_pd.services.reserves import Reserves
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto import pdpb_pb2_grpc
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PdState:
    """The cores a servicer speaks for."""

    cluster: Cluster
    oracle: TimestampOracle
    safe_points: SafePoints


class PdServicer(RegionService, AdminService, GcService, KeyspaceService, MembershipService, pdpb_pb2_grpc.PDServicer):
    """pdpb.PD, and what else clients call at its address, as the leader answers it."""

    def __init__(self, state: PdState, leadership: Leadership, clock: Clock, config: PdConfig) -> None:
        super().__init__()
        self.cluster = state.cluster
        self.leadership = leadership
        self.storage = leadership.storage
        self.safe_points = state.safe_points
        self.reserves = Reserves(leadership, state.oracle, state.cluster, clock)
        self.clock = clock
        self.config = config

    # --- timestamps -----------------------------------------------------------------------------------------------

    async def Tso(
        self, request_iterator: AsyncIterator[pdpb.TsoRequest], context: RpcContext
    ) -> AsyncIterator[pdpb.TsoResponse]:
        """Answers in the order of the requests; the largest timestamp of each batch."""
        async for request in request_iterator:
            try:
                self.check_cluster(request.header)
                last = await self.reserves.timestamp(request.count)
            except RutileError as error:
                await abort(context, error)
            header = pdpb.ResponseHeader(cluster_id=self.cluster.id)
            yield pdpb.TsoResponse(header=header, count=request.count, timestamp=answers.timestamp(last))

    @answered(pdpb.GetMinTSResponse, bootstrapped=False)
    async def GetMinTS(self, request: pdpb.GetMinTSRequest, context: RpcContext) -> pdpb.GetMinTSResponse:
        return pdpb.GetMinTSResponse(timestamp=answers.timestamp(await self.reserves.timestamp(1)))

    # --- bootstrap, stores, ids -----------------------------------------------------------------------------------

    @answered(pdpb.BootstrapResponse, bootstrapped=False)
    async def Bootstrap(self, request: pdpb.BootstrapRequest, context: RpcContext) -> pdpb.BootstrapResponse:
        self.cluster.bootstrap(request.store, request.region, self.now_ms())
        log.info("cluster %d bootstrapped by store %d", self.cluster.id, request.store.id)
        return pdpb.BootstrapResponse()

    @answered(pdpb.IsBootstrappedResponse, bootstrapped=False)
    async def IsBootstrapped(self, request: pdpb.IsBootstrappedRequest, context: RpcContext) -> Any:
        return pdpb.IsBootstrappedResponse(bootstrapped=self.cluster.bootstrapped)

    @answered(pdpb.AllocIDResponse, bootstrapped=False)
    async def AllocID(self, request: pdpb.AllocIDRequest, context: RpcContext) -> pdpb.AllocIDResponse:
        count = request.count or 1
        last = await self.reserves.with_ids(count, lambda: self.cluster.take_ids(count))
        return pdpb.AllocIDResponse(id=last, count=count)

    @answered(pdpb.PutStoreResponse)
    async def PutStore(self, request: pdpb.PutStoreRequest, context: RpcContext) -> pdpb.PutStoreResponse:
        self.cluster.put_store(request.store, self.now_ms())
        return pdpb.PutStoreResponse()

    @answered(pdpb.StoreHeartbeatResponse)
    async def StoreHeartbeat(self, request: pdpb.StoreHeartbeatRequest, context: RpcContext) -> Any:
        store = self.cluster.store_heartbeat(request.stats, self.now_ms(), self.clock.wall_ms())
        return pdpb.StoreHeartbeatResponse(cluster_version=store.meta.version, state=store.meta.node_state)

    @answered(pdpb.GetStoreResponse)
    async def GetStore(self, request: pdpb.GetStoreRequest, context: RpcContext) -> pdpb.GetStoreResponse:
        store = self.cluster.stores.get(request.store_id)
        return pdpb.GetStoreResponse(store=store.to_pb(), stats=store.stats)

    @answered(pdpb.GetAllStoresResponse)
    async def GetAllStores(self, request: pdpb.GetAllStoresRequest, context: RpcContext) -> Any:
        return answers.stores(self.cluster.stores.all(), request.exclude_tombstone_stores)

    @answered(pdpb.GetClusterConfigResponse)
    async def GetClusterConfig(self, request: pdpb.GetClusterConfigRequest, context: RpcContext) -> Any:
        return answers.cluster_config(self.cluster.id, self.cluster.config.max_replicas)

    # --- the node's side ----------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Keep reserves ahead, send what the patrol orders, save hints. The node calls this regularly."""
        await self.reserves.refresh()
        for order in self.cluster.tick(self.now_ms()):
            self.send(order)
        await self.tend_members()
        await self.leadership.settle()
        await self.leadership.give_hints()

    def close(self) -> None:
        """End the heartbeat streams."""
        self.close_streams()
