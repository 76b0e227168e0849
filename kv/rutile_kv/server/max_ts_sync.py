"""Keeps `MaxTs` honest over changes of leadership, and over merges.

What a region's former leader let read is not known here. So the region's max_ts is unknown (async commit falls back to
two phases) from the moment this store begins to lead it until a timestamp has come from PD: that one is above every
read there was. Heartbeats tell of a new term before anything can be proposed in it, because a leader serves nothing
until an entry of its own term is applied. The same goes for the keys of a region that merged into one led here: its
reads were another leader's. That heartbeat comes in the turn in which the merge is applied.
"""

from __future__ import annotations

import asyncio
import logging

from rutile_kv.client.pd import PdClient
from rutile_kv.txn.max_ts import MaxTs
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)


class MaxTsSync:
    """Follows the regions this store leads. Belongs to one event loop."""

    def __init__(self, max_ts: MaxTs, pd: PdClient) -> None:
        self._max_ts = max_ts
        self._pd = pd
        self._led: dict[int, tuple[int, metapb.Region]] = {}
        self._asked: dict[int, int] = {}
        """How often each region's reads have become unknown: an answer counts for the last time only."""
        self._tasks: dict[asyncio.Task[None], None] = {}

    def leads(self, region: metapb.Region, term: int) -> None:
        """This store leads the region in `term`. Cheap when that is not news."""
        known = self._led.get(region.id)
        self._led[region.id] = (term, region)
        if known is not None and known[0] == term and known[1].start_key <= region.start_key:
            return
        number = self._asked[region.id] = self._asked.get(region.id, 0) + 1
        self._max_ts.forget_region(region.id)
        sync = self._sync(region.id, number)
        task = asyncio.get_running_loop().create_task(sync, name=f"max_ts of region {region.id}")
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _sync(self, region_id: int, number: int) -> None:
        try:
            timestamp = await self._pd.timestamp()
        except RutileError as error:
            log.warning("region %d keeps to two-phase commits: no timestamp from PD: %s", region_id, error)
            self._led.pop(region_id, None)  # the next heartbeat tries again
            return
        if self._asked.get(region_id) == number:
            self._max_ts.sync_region(region_id, timestamp)
