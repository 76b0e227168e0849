"""The shell round the watch core: snapshots to begin with, streams, and a walk that tells watchers how far they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from functools import partial
from itertools import islice

from rutile_kv.client.parallel import cancel_all, run_bounded
from rutile_kv.client.pd import PdClient
from rutile_kv.engine.api import CF_LOCK
from rutile_kv.raftstore.driver import StoreDriver
from rutile_kv.raftstore.pd_commands import context_of
from rutile_kv.raftstore.region_info import RegionInfo
from rutile_kv.server.boundary import StoreStopped
from rutile_kv.txn.shell import TxnScheduler
from rutile_kv.watch.core import Feed, WatchCore
from rutile_kv.watch.locks import Loading
from rutile_kv.watch.watcher import Page, Watcher
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import ProposalInMergingMode, RegionNotFound, RutileError, ServerIsBusy

log = logging.getLogger(__name__)

MAX_WATCHERS = 4096
"""Watchers of a store; more are told that it is busy."""
LOCKS_AT_ONCE = 1024
"""Locks read before others get a turn."""
REGIONS_AT_ONCE = 64
WALK_SECONDS = 5.0
"""What one region may take; then it is left to the next walk."""


class Watches:
    """All watches of one store. Belongs to one event loop."""

    def __init__(
        self, driver: StoreDriver, scheduler: TxnScheduler, pd: PdClient, period_s: float, queue_bytes: int
    ) -> None:
        """Every `period_s` seconds watchers hear how far they are; `queue_bytes` may wait for each of them."""
        self.core = WatchCore()
        self.queue_bytes = queue_bytes
        self._driver = driver
        self._scheduler = scheduler
        self._pd = pd
        self._period_s = period_s
        self._fresh: dict[int, None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        driver.store.observe(self.core)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._walk(), name="watch progress")

    async def close(self) -> None:
        """End every watch, so that its client goes elsewhere."""
        if self._task is not None:
            await cancel_all([self._task])
        self.core.end_all(StoreStopped("the store is stopping"))

    # --- streams ------------------------------------------------------------------------------------------------------

    def add(self, region_id: int, watcher: Watcher) -> None:
        """Let `watcher` hear of what is applied from this turn on; `remove` it in the end. Raises ServerIsBusy."""
        if len(self.core) >= MAX_WATCHERS:
            raise ServerIsBusy(f"{MAX_WATCHERS} watches are served")
        self.core.add(region_id, watcher)
        self._fresh[region_id] = None
        self._wake.set()

    def remove(self, region_id: int, watcher: Watcher) -> None:
        self.core.remove(region_id, watcher)

    async def pages(self, watcher: Watcher, wake: asyncio.Event) -> AsyncGenerator[Page, None]:
        """What the watcher hears, as it comes. `wake` is what it wakes. Raises what it is ended with."""
        while True:
            page = watcher.take()
            if page is not None:
                yield page
            elif watcher.ended is not None:
                raise watcher.ended
            else:
                wake.clear()
                await wake.wait()

    # --- progress -----------------------------------------------------------------------------------------------------

    async def _walk(self) -> None:
        """Every period all regions, and in between those that have just got a watcher."""
        loop = asyncio.get_running_loop()
        next_walk = loop.time()
        while True:
            try:
                async with asyncio.timeout_at(next_walk):
                    await self._wake.wait()
                regions: Iterable[int] = self._fresh
            except TimeoutError:
                next_walk = loop.time() + self._period_s
                regions = self.core.region_ids()
            self._wake.clear()
            self._fresh = {}
            try:
                await self._advance(list(regions))
            except Exception:
                log.exception("watchers hear of no progress this time")  # they must hear of the next

    async def _advance(self, region_ids: list[int]) -> None:
        if not region_ids:
            return
        try:
            ts = await self._pd.timestamp()
        except RutileError as error:
            log.info("watchers hear of no progress: no timestamp from PD: %s", error)
            return
        self._scheduler.max_ts.raise_to(ts)
        await run_bounded([partial(self._advance_region, each, ts) for each in region_ids], REGIONS_AT_ONCE)

    async def _advance_region(self, region_id: int, ts: int) -> None:
        """`WatchCore.advance` says what has to be sure."""
        try:
            async with asyncio.timeout(WALK_SECONDS):
                info = self._info(region_id)
                feed = self.core.feed(region_id)
                if feed is not None and feed.wants_locks():
                    await self._load_locks(feed, context_of(info))
                await self.landed(info.region, ts)
                await self._driver.read_view(context_of(info))
        except (TimeoutError, ProposalInMergingMode):
            log.info("watchers of region %d hear of no progress this time", region_id)
        except RutileError as error:
            self.core.end(region_id, error)
        else:
            self.core.advance(self._info(region_id).region, self._driver.store.applied_index(region_id), ts)

    def _info(self, region_id: int) -> RegionInfo:
        info = self._driver.store.region_info(region_id)
        if info is None:
            raise RegionNotFound(region_id)
        return info

    async def _load_locks(self, feed: Feed, context: kvrpcpb.Context) -> None:
        snapshot, _, _ = await self._driver.snapshot(context)
        try:
            feed.locks.begin()
            pairs = snapshot.scan(CF_LOCK, b"", None)
            while feed.locks.loading is Loading.UNDER_WAY and (some := list(islice(pairs, LOCKS_AT_ONCE))):
                feed.locks.found(some)
                await asyncio.sleep(0)
            feed.locks.finish()
        finally:
            feed.locks.abandon()
            snapshot.close()

    async def landed(self, region: metapb.Region, ts: int) -> None:
        """Wait for locks on their way whose transactions may commit at or below `ts`."""
        landed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def act() -> None:
            if not landed.done():
                landed.set_result(None)

        self._scheduler.when_landed(region.start_key, region.end_key or None, ts, act)
        await landed
