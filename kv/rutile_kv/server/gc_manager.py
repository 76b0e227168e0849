"""A store's part in garbage collection: it follows PD's safe point, and walks when that has risen.

The safe point counts for readers as soon as it is known here. Collecting begins only `GRACE_POLLS` polls later: by
then every store that can reach PD knows it too, so that whoever leads a region next does not let anybody read what is
gone. The store that leads the first region also runs the worker that moves the safe point, and after the same grace
destroys the ranges that were dropped below it (`rutile_kv.client.delete_ranges`).
"""

from __future__ import annotations

import asyncio
import logging

from rutile_kv.client.delete_ranges import DeleteRanges
from rutile_kv.client.gc import GcWorker
from rutile_kv.client.pd import PdClient
from rutile_kv.server.first_region import FirstRegion
from rutile_kv.server.garbage_collector import GarbageCollector
from rutile_kv.txn.safe_point import SafePoint
from rutile_proto.errors import RutileError

log = logging.getLogger(__name__)

GRACE_POLLS = 2


class GcManager:
    """The tasks. `poll_seconds` between two looks at PD, `interval_seconds` between two moves of the safe point."""

    def __init__(
        self,
        pd: PdClient,
        safe_point: SafePoint,
        collector: GarbageCollector,
        worker: GcWorker,
        dropped: DeleteRanges,
        first_region: FirstRegion,
        poll_seconds: float,
        interval_seconds: float,
    ) -> None:
        self._pd = pd
        self._safe_point = safe_point
        self._collector = collector
        self._worker = worker
        self._dropped = dropped
        self._first_region = first_region
        self._poll_seconds = poll_seconds
        self._interval_seconds = interval_seconds

    async def follow(self) -> None:
        """Follow the safe point for ever, until cancelled."""
        collected, seen, polls = 0, 0, 0
        while True:
            await self.poll()
            polls = polls + 1 if self._safe_point.ts == seen else 0
            seen = self._safe_point.ts
            if seen > collected and polls >= GRACE_POLLS:
                await self._destroy_dropped(seen)
                removed = await self._collector.walk(seen)
                log.info("removed %d records below safe point %d", removed, seen)
                collected = seen
            await asyncio.sleep(self._poll_seconds)

    async def _destroy_dropped(self, safe_point: int) -> None:
        """Before the walk: what is gone need not be walked through."""
        if not self._first_region.led_term():
            return
        try:
            log.info("destroyed %d dropped ranges", await self._dropped.run(safe_point))
        except RutileError as error:
            log.warning("the list of dropped ranges cannot be read: %s", error)

    async def poll(self) -> None:
        """Take PD's safe point over."""
        try:
            self._safe_point.raise_to(await self._pd.gc_safe_point())
        except RutileError as error:
            log.info("PD does not tell the safe point: %s", error)

    async def work(self) -> None:
        """Move the safe point every so often while this store leads the first region; until cancelled."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            if not self._first_region.led_term():
                continue
            try:
                log.info("the safe point is %d", await self._worker.run_once())
            except RutileError as error:
                log.warning("the safe point stays where it is: %s", error)
