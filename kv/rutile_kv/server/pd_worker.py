"""The store's talk with PD: store heartbeats, the stream of region heartbeats and the orders that come back, splits.

The raftstore reports regions as it goes (`PdEvents`); nothing here ever makes it wait. Reports wait in one slot per
region, so what is queued is bounded by the number of regions and a newer report takes the place of an older one. A
stream that breaks is opened again, to whichever PD leads then, and begins with everything this store leads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

from rutile_kv.client.pd import PdClient
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.server.max_ts_sync import MaxTsSync
from rutile_proto import metapb_pb2 as metapb
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)

MAX_SPLITS_ASKED = 64
"""PD gives out ids for so many regions at a time."""
RECONNECT_SECONDS = 0.5
"""Pause before a broken heartbeat stream is opened again."""


class PdWorker:
    """PdEvents for the driver, and the tasks behind it. `start` once the driver exists, `close` before it stops."""

    def __init__(self, pd: PdClient, max_ts: MaxTsSync) -> None:
        self._pd = pd
        self._max_ts = max_ts
        self._pending: dict[int, pdpb.RegionHeartbeatRequest] = {}
        self._latest: dict[int, pdpb.RegionHeartbeatRequest] = {}
        """The last report of each region: what a new stream begins with."""
        self._reported = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], None] = {}

    def start(self, driver: StoreDriver, stats: Callable[[], pdpb.StoreStats], store_period_seconds: float) -> None:
        """Begin to heartbeat: the store every `store_period_seconds`, regions as they are reported."""
        self._spawn(self._store_heartbeats(stats, store_period_seconds), "store heartbeats")
        self._spawn(self._region_heartbeats(driver), "region heartbeats")

    async def close(self) -> None:
        """End all tasks; what is not reported yet is not reported any more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._max_ts.close()

    # --- PdEvents -----------------------------------------------------------------------------------------------------

    def region_heartbeat(self, request: pdpb.RegionHeartbeatRequest) -> None:
        self._max_ts.leads(request.region, request.term)
        self._pending[request.region.id] = request
        self._latest[request.region.id] = request
        self._reported.set()

    def regions_split(self, regions: Sequence[metapb.Region]) -> None:
        self._spawn(self._report_split(list(regions)), "report of a split")

    async def region_by_id(self, region_id: int) -> metapb.Region | None:
        info = await self._pd.get_region_by_id(region_id)
        return None if info is None else info.region

    async def ask_split(self, region: metapb.Region, count: int) -> Sequence[tuple[int, Sequence[int]]]:
        ids: list[tuple[int, Sequence[int]]] = []
        while len(ids) < count:
            some = await self._pd.ask_batch_split(region, min(count - len(ids), MAX_SPLITS_ASKED))
            ids += [(each.new_region_id, list(each.new_peer_ids)) for each in some]
        return ids

    # --- tasks --------------------------------------------------------------------------------------------------------

    async def _store_heartbeats(self, stats: Callable[[], pdpb.StoreStats], period_seconds: float) -> None:
        while True:
            try:
                await self._pd.store_heartbeat(stats())
            except RutileError as error:
                log.warning("PD did not take the store's heartbeat: %s", error)
            await asyncio.sleep(period_seconds)

    async def _region_heartbeats(self, driver: StoreDriver) -> None:
        while True:
            self._report_again(driver)
            try:
                async for order in self._pd.region_heartbeats(self._reports()):
                    driver.on_pd_heartbeat_response(order)
            except RutileError as error:
                log.info("no stream of region heartbeats: %s", error)
            await asyncio.sleep(RECONNECT_SECONDS)

    def _report_again(self, driver: StoreDriver) -> None:
        """Queue the last report of every region still led from here; forget the others'."""
        leads = {info.region.id: info.is_leader for info in driver.region_infos()}
        self._latest = {region_id: report for region_id, report in self._latest.items() if leads.get(region_id)}
        self._pending = {**self._latest, **self._pending}
        self._reported.set()

    async def _reports(self) -> AsyncIterator[pdpb.RegionHeartbeatRequest]:
        while True:
            await self._reported.wait()
            self._reported.clear()
            while self._pending:
                region_id = next(iter(self._pending))
                yield self._pending.pop(region_id)

    async def _report_split(self, regions: list[metapb.Region]) -> None:
        try:
            await self._pd.report_batch_split(regions)
        except RutileError as error:
            log.info("PD did not take the report of a split, heartbeats will tell: %s", error)

    def _spawn(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
