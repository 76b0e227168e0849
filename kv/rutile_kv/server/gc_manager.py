"""A store's part in garbage collection: it follows PD's safe point, and walks when that has risen.

The safe point counts for readers as soon as it is known here. Collecting begins only `GRACE_POLLS` polls later: by
then every store that can reach PD knows it too, so that whoever leads a region next does not let anybody read what is
gone. A store that PD does not answer presumes, before that grace is over, that the safe point has risen as far as it
can: to now less the life time. So it refuses what may be gone, which are reads older than that, and serves all others.

The store that leads the first region also runs the worker that moves the safe point, and after the same grace destroys
the ranges that were dropped below it (`rutile_kv.client.delete_ranges`).
"""

from __future__ import annotations

import asyncio
import logging
import math

from rutile_kv.client.backoff import Pace
from rutile_kv.client.delete_ranges import DeleteRanges
from rutile_kv.client.gc import GcWorker
from rutile_kv.client.pd import PdClient
from rutile_kv.server.first_region import FirstRegion
from rutile_kv.server.garbage_collector import GarbageCollector
from rutile_kv.txn.safe_point import SafePoint
from rutile_proto.errors import RutileError
from rutile_proto.timestamps import compose

log = logging.getLogger(__name__)

GRACE_POLLS = 2
ATTEMPTS_A_POLL = 4
"""PD has a quarter of a poll to answer, and is asked again that soon if it did not."""
LEAST_PATIENCE_SECONDS = 1.0
CLOCKS_APART_SECONDS = 30.0
"""How far this machine's clock may lag behind PD's."""


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
        pace: Pace,
    ) -> None:
        self._pd = pd
        self._safe_point = safe_point
        self._collector = collector
        self._worker = worker
        self._dropped = dropped
        self._first_region = first_region
        self._poll_seconds = poll_seconds
        self._interval_seconds = interval_seconds
        self._pace = pace
        self._heard_at = -math.inf
        self._settled = 0
        """The safe point that every store in contact with PD knows."""
        self._news = asyncio.Event()

    async def follow(self) -> None:
        """Follow the safe point for ever, until cancelled."""
        seen, polls = 0, 0
        while True:
            heard = await self.poll()
            polls = polls + heard if self._safe_point.ts == seen else 0
            seen = self._safe_point.ts
            if seen > self._settled and polls >= GRACE_POLLS:
                self._settled = seen
                self._news.set()
            await self._pace.sleep(self._poll_seconds if heard else self._poll_seconds / ATTEMPTS_A_POLL)

    async def collect(self) -> None:
        """Remove what is below each safe point that has settled; until cancelled. A walk may outlast many polls."""
        while True:
            await self._news.wait()
            self._news.clear()
            safe_point = self._settled
            await self._destroy_dropped(safe_point)
            removed = await self._collector.walk(safe_point)
            log.info("removed %d records below safe point %d", removed, safe_point)

    async def _destroy_dropped(self, safe_point: int) -> None:
        """Before the walk: what is gone need not be walked through."""
        if not self._first_region.led_term():
            return
        try:
            log.info("destroyed %d dropped ranges", await self._dropped.run(safe_point))
        except RutileError as error:
            log.warning("the list of dropped ranges cannot be read: %s", error)

    async def poll(self) -> bool:
        """Take PD's safe point over; whether PD told it. If it has not for too long, presume the worst."""
        try:
            async with asyncio.timeout(max(self._poll_seconds / ATTEMPTS_A_POLL, LEAST_PATIENCE_SECONDS)):
                safe_point = await self._pd.gc_safe_point()
        except (RutileError, TimeoutError) as error:
            log.info("PD does not tell the safe point: %s", error)
            self._not_heard()
            return False
        self._heard_at = self._pace.clock.monotonic()
        self._safe_point.raise_to(safe_point)
        self._safe_point.presume(0)
        return True

    def _not_heard(self) -> None:
        """One more attempt must fit before the grace is over; else what was removed meanwhile may be read here."""
        silent_s = self._pace.clock.monotonic() - self._heard_at
        if silent_s >= (GRACE_POLLS - 0.5) * self._poll_seconds:
            life_s = self._worker.life_time_s
            youngest_s = life_s - min(CLOCKS_APART_SECONDS, life_s / 2)
            self._safe_point.presume(compose(max(0, self._pace.clock.wall_ms() - round(youngest_s * 1000))))

    async def work(self) -> None:
        """Move the safe point every so often while this store leads the first region; until cancelled."""
        while True:
            await self._pace.sleep(self._interval_seconds)
            if not self._first_region.led_term():
                continue
            try:
                log.info("the safe point is %d", await self._worker.run_once())
            except RutileError as error:
                log.warning("the safe point stays where it is: %s", error)
