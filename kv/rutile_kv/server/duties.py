"""What a store does for the cluster beside answering requests: it reports lock waits to the deadlock detector, follows
the garbage collection safe point, and if it leads the first region moves it and destroys what was dropped below it."""

from __future__ import annotations

import asyncio

from rutile_kv.client.backoff import Pace
from rutile_kv.client.cluster import Cluster
from rutile_kv.client.connections import StoreConnections
from rutile_kv.client.delete_ranges import DeleteRanges
from rutile_kv.client.gc import GcWorker
from rutile_kv.client.parallel import cancel_all
from rutile_kv.client.pd import PdClient
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.server.config import StoreConfig
from rutile_kv.server.deadlock_reports import DeadlockReports
from rutile_kv.server.first_region import FirstRegion
from rutile_kv.server.garbage_collector import GarbageCollector
from rutile_kv.server.gc_manager import GcManager
from rutile_kv.server.kv_service import StoreService


class StoreDuties:
    """The tasks behind a running store. `start` once it serves, `close` before the driver stops."""

    def __init__(
        self,
        service: StoreService,
        collector: GarbageCollector,
        driver: StoreDriver,
        pd: PdClient,
        connections: StoreConnections,
        config: StoreConfig,
        pace: Pace | None = None,
    ) -> None:
        self._service = service
        first_region = FirstRegion(driver, pd)
        self._deadlocks = DeadlockReports(service.waiting, service.detector, first_region, connections, pace)
        self._cluster = Cluster(pd, connections, pace)
        self.gc_worker = GcWorker(self._cluster, config.gc_life_time_seconds)
        self._gc = GcManager(
            pd,
            service.scheduler.safe_point,
            collector,
            self.gc_worker,
            DeleteRanges(self._cluster),
            first_region,
            config.gc_poll_seconds,
            config.gc_interval_seconds,
            self._cluster.pace,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns once the safe point is known, or presumed if PD does not answer: before, nobody should read here."""
        await self._gc.poll()
        self._deadlocks.start()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._gc.follow(), name="safe point"),
            loop.create_task(self._gc.collect(), name="garbage collection"),
            loop.create_task(self._gc.work(), name="gc worker"),
        ]

    async def close(self) -> None:
        await cancel_all(self._tasks)
        await self._deadlocks.close()
        await self._service.waiting.close()
