"""Keeps `MaxTs` honest over changes of leadership.

What a region's former leader let read is not known here. So the region's max_ts is unknown (async commit falls back to
two phases) from the moment this store begins to lead it until a timestamp has come from PD: that one is above every
read there was. Heartbeats tell of a new term before anything can be proposed in it, because a leader serves nothing
until an entry of its own term is applied.
"""

from __future__ import annotations

import asyncio
import logging

from rutile_kv.client.pd import PdClient
from rutile_kv.txn.max_ts import MaxTs
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)


class MaxTsSync:
    """Follows the regions this store leads. Belongs to one event loop."""

    def __init__(self, max_ts: MaxTs, pd: PdClient) -> None:
        self._max_ts = max_ts
        self._pd = pd
        self._terms: dict[int, int] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}

    def leads(self, region_id: int, term: int) -> None:
        """This store leads the region in `term`. Cheap when that is not news."""
        if self._terms.get(region_id) == term:
            return
        self._terms[region_id] = term
        self._max_ts.forget_region(region_id)
        task = asyncio.get_running_loop().create_task(self._sync(region_id, term), name=f"max_ts of region {region_id}")
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _sync(self, region_id: int, term: int) -> None:
        try:
            timestamp = await self._pd.timestamp()
        except RutileError as error:
            log.warning("region %d keeps to two-phase commits: no timestamp from PD: %s", region_id, error)
            self._terms.pop(region_id, None)  # the next heartbeat tries again
            return
        if self._terms.get(region_id) == term:
            self._max_ts.sync_region(region_id, timestamp)
