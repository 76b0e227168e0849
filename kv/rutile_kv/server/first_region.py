"""The region that holds the empty key: its leader's store is where things happen that the cluster has one of (the
deadlock detector, the garbage collector's clock)."""

from __future__ import annotations

from rutile_kv.client.pd import PdClient
from rutile_kv.raftstore.driver import StoreDriver


class FirstRegion:
    """What this store knows of it."""

    def __init__(self, driver: StoreDriver, pd: PdClient) -> None:
        self._driver = driver
        self._pd = pd

    def led_term(self) -> int:
        """The term in which this store leads it; 0 if it does not."""
        region = self._driver.store.find_region(b"")
        return 0 if region is None else self._driver.store.led_term(region.id)

    async def leader_store(self) -> int | None:
        """The store that leads it: as its replica here knows, else as PD does. None while nobody does. Raises PdError
        and RetriesExhausted."""
        region = self._driver.store.find_region(b"")
        info = None if region is None else self._driver.store.region_info(region.id)
        if info is not None and info.leader is not None:
            return info.leader.store_id
        known = await self._pd.get_region(b"")
        return None if known is None or known.leader is None else known.leader.store_id
