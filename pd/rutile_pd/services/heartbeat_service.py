"""RegionHeartbeat: leaders' reports in, orders out."""

import asyncio
import logging
from collections.abc import AsyncIterator

import grpc

from rutile_kv.env.clock import Clock
from rutile_kv.env.rpc import RpcContext
from rutile_pd.cluster import Cluster
from rutile_pd.regions.tree import StaleRegion
from rutile_pd.services.boundary import WrongCluster, abort
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)

MAX_WAITING_ORDERS = 1024
"""Orders to one store not yet sent; more are dropped, the next heartbeat brings them again."""

SHARE_OF_DEADLINE = 0.8
"""Who waits gives up early enough for the answer to arrive before the client's deadline."""
LOAD_WAIT_S = 10.0
"""How long a request waits for a new leader's regions; shorter if the client's deadline is."""

Outbox = asyncio.Queue[pdpb.RegionHeartbeatResponse | None]


def patience_s(wanted_s: float, context: RpcContext) -> float:
    """How long to wait, so that the answer arrives before the client's deadline."""
    left_s = context.time_remaining()
    return wanted_s if left_s is None else min(wanted_s, left_s * SHARE_OF_DEADLINE)


class HeartbeatService:
    """Mixed into the PD service; needs `cluster` and `clock`."""

    cluster: Cluster
    clock: Clock

    def __init__(self) -> None:
        self.region_news = asyncio.Event()
        """Set, and replaced by another, when anything was learned of a region."""
        self._loaded = asyncio.Event()
        self._streams: dict[int, Outbox] = {}

    async def RegionHeartbeat(
        self, request_iterator: AsyncIterator[pdpb.RegionHeartbeatRequest], context: RpcContext
    ) -> AsyncIterator[pdpb.RegionHeartbeatResponse]:
        """Reports in, orders out: at once when a report calls for one, or later when the patrol finds work."""
        outbox: Outbox = asyncio.Queue()
        reader = asyncio.create_task(self._read_reports(request_iterator, outbox), name="region heartbeats")
        try:
            while (order := await outbox.get()) is not None:
                yield order
            if reader.done():
                await reader
        except RutileError as error:
            await abort(context, error)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            self._streams = {store_id: queue for store_id, queue in self._streams.items() if queue is not outbox}

    def send(self, order: pdpb.RegionHeartbeatResponse | None) -> None:
        """Put an order on its leader's stream; lost if there is none, or if it is full."""
        outbox = None if order is None else self._streams.get(order.target_peer.store_id)
        if order is not None and outbox is not None and outbox.qsize() < MAX_WAITING_ORDERS:
            order.header.cluster_id = self.cluster.id
            outbox.put_nowait(order)

    def tell_waiters(self) -> None:
        """Regions have changed: who waits for that looks again."""
        self.region_news.set()
        self.region_news = asyncio.Event()

    def regions_loaded(self) -> None:
        """All regions that were kept are in the tree: decisions begin, and who waited for `all_regions` goes on."""
        self.cluster.is_loaded = True
        self._loaded.set()

    async def all_regions(self, context: RpcContext) -> None:
        """Wait for what a new leader has yet to load. Aborts with UNAVAILABLE when the client would not wait longer."""
        try:
            async with asyncio.timeout(patience_s(LOAD_WAIT_S, context)):
                await self._loaded.wait()
        except TimeoutError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "a new leader is loading the regions: ask again")

    def close_streams(self) -> None:
        for outbox in self._streams.values():
            outbox.put_nowait(None)

    def check_cluster(self, header: pdpb.RequestHeader) -> None:
        """WrongCluster if the request names another cluster than this; 0 names none."""
        if header.cluster_id and header.cluster_id != self.cluster.id:
            raise WrongCluster(f"the request is for cluster {header.cluster_id}, this is cluster {self.cluster.id}")

    def now_ms(self) -> int:
        """The monotonic clock's."""
        return round(self.clock.monotonic() * 1000)

    async def _read_reports(self, reports: AsyncIterator[pdpb.RegionHeartbeatRequest], outbox: Outbox) -> None:
        try:
            async for report in reports:
                self.check_cluster(report.header)
                self._streams[report.leader.store_id] = outbox
                self.send(self._take_report(report))
        finally:
            outbox.put_nowait(None)

    def _take_report(self, report: pdpb.RegionHeartbeatRequest) -> pdpb.RegionHeartbeatResponse | None:
        try:
            self.cluster.require_bootstrapped()
            order = self.cluster.region_heartbeat(report, self.now_ms())
        except StaleRegion as error:
            log.info("heartbeat ignored: %s", error)
            return None
        self.tell_waiters()
        return order
