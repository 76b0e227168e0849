"""What a store does for the cluster beside answering requests: it reports lock waits to the deadlock detector."""

from __future__ import annotations

from rutile_kv.client.connections import StoreConnections
from rutile_kv.client.pd import PdClient
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.server.deadlock_reports import DeadlockReports
from rutile_kv.server.first_region import FirstRegion
from rutile_kv.server.kv_service import StoreService


class StoreDuties:
    """The tasks behind a running store. `start` once it serves, `close` before the driver stops."""

    def __init__(self, service: StoreService, driver: StoreDriver, pd: PdClient, connections: StoreConnections) -> None:
        self._service = service
        first_region = FirstRegion(driver, pd)
        self._deadlocks = DeadlockReports(service.waiting, service.detector, first_region, connections)

    def start(self) -> None:
        self._deadlocks.start()

    async def close(self) -> None:
        await self._deadlocks.close()
        await self._service.waiting.close()
