"""Removes expired raw keys: a slow walk over the regions this store leads.

Nobody needs it in order to read what is right; it gives space back. Every replica loses the bytes by the same log
entries. A walk looks at ROWS_AT_ONCE rows, removes what has expired among them with one entry, and rests; at the end of
the last region it rests longer. It looks at what this replica has applied, without asking anybody: a linearizable view
would wake every sleeping region once a minute. What it found is looked at again by the command that removes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from rutile_kv.engine.api import RAW_CFS, Cf, Reader
from rutile_kv.env.clock import Clock
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.raw.commands import RemoveExpired
from rutile_kv.raw.sweep import find_expired
from rutile_kv.raw.writer import RawWriter
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import RegionError, UndeterminedResult

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 512
STEP_SECONDS = 0.05
"""Rest between two looks: at most about 10,000 rows a second, one or two percent of a processor."""
WALK_SECONDS = 60.0
"""Rest between two walks."""


class LocalViews(Protocol):
    """What the sweeper asks of the store's regions."""

    def local_view(self, context: kvrpcpb.Context) -> Reader:
        """The region as this replica has applied it, until the next await. Raises RegionError."""


class RawSweeper:
    """The walk of one store."""

    def __init__(
        self,
        kv: LocalViews,
        writer: RawWriter,
        regions: Callable[[], Sequence[RegionInfo]],
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`regions` are those of the store, in key order."""
        self._kv = kv
        self._writer = writer
        self._regions = regions
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Walk for ever, until cancelled."""
        while True:
            await self._sleep(WALK_SECONDS)
            removed = await self.walk()
            if removed:
                log.info("removed %d expired raw keys", removed)

    async def walk(self) -> int:
        """One walk over all regions led from here; how many keys it removed."""
        removed = 0
        for info in self._regions():
            if info.is_leader:
                removed += await self._sweep_region(info)
        return removed

    async def _sweep_region(self, info: RegionInfo) -> int:
        """A region that changes under the walk is left to the next one."""
        context = kvrpcpb.Context(region_id=info.region.id, region_epoch=info.region.region_epoch, peer=info.peer)
        removed = 0
        try:
            for cf in RAW_CFS:
                removed += await self._sweep_family(context, cf)
        except (RegionError, UndeterminedResult) as error:
            log.debug("the sweep of region %d ends early: %s", info.region.id, error)
        return removed

    async def _sweep_family(self, context: kvrpcpb.Context, cf: Cf) -> int:
        removed, position = 0, b""
        while True:
            now_s = self._clock.wall_ms() // 1000
            step = find_expired(self._kv.local_view(context), cf, position, b"", now_s, ROWS_AT_ONCE)
            if step.expired:
                removed += await self._writer.execute(context, RemoveExpired(cf, step.expired, now_s))
            if step.next_key is None:
                return removed
            position = step.next_key
            await self._sleep(STEP_SECONDS)
